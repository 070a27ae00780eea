"""The store: one connection, one thread, one file per table family; no file writes another's table."""

from tenure.runtime.store.engine import Connection, Store

__all__ = ["Connection", "Store"]
