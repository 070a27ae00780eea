"""The store: every transaction runs in one thread of its own, so that a commit never blocks the event loop."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tenure.runtime.store.address import is_postgres
from tenure.runtime.store.connection import Connection

T = TypeVar("T")
BUSY_SECONDS = 10.0  # several processes share one store: wait this long for another's write


class Store(ABC):
    """An open store. `transact` commits what a function does; `read` only looks. Close it when done.

    `where` names it without a password, `id` tells it from every other.
    """

    def __init__(self, where: str, store_id: str) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tenure-store")
        self.where = where
        self.id = store_id

    @staticmethod
    def open(url: str, *, create: bool = True) -> Store:
        """Open, and on first use create, the store at `url`. Raises ConfigError, StoreUnavailable, StoreMismatch."""
        if is_postgres(url):
            from tenure.runtime.store import postgres  # its driver is an extra

            return postgres.opened(url, create=create)
        from tenure.runtime.store import sqlite

        return sqlite.opened(url, create=create)

    async def transact(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns, committed; nothing of it stays when it raises. Raises StoreUnavailable.

        What is read inside is what stands at the commit: transactions come one after the other, also those of other processes.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._transact, work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns; it must not write. Raises StoreUnavailable."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._read, work)

    def close(self) -> None:
        """End the store's thread and close its connection."""
        self._thread.submit(self._close)
        self._thread.shutdown(wait=True)

    @abstractmethod
    def _transact(self, work: Callable[[Connection], T]) -> T: ...

    @abstractmethod
    def _read(self, work: Callable[[Connection], T]) -> T: ...

    @abstractmethod
    def _close(self) -> None: ...
