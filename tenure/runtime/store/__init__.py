"""The store: one connection, one thread, one file per table family; no file writes another's table."""

from tenure.runtime.store.address import shown
from tenure.runtime.store.connection import Connection, Row
from tenure.runtime.store.engine import Store

__all__ = ["Connection", "Row", "Store", "shown"]
