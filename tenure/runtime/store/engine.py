"""The SQLite engine: every transaction runs in one thread of its own, so that a commit never blocks the event loop."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias, TypeVar
from urllib.parse import parse_qs, urlparse

from tenure.errors import ConfigError, StoreUnavailable
from tenure.runtime.store import schema

T = TypeVar("T")
Connection: TypeAlias = sqlite3.Connection
BUSY_SECONDS = 10.0  # several processes share one file: wait this long for another's write


class Store:
    """An open store. `transact` commits what a function does; `read` only looks. Close it when done."""

    def __init__(self, connection: Connection, where: str) -> None:
        self._connection = connection
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tenure-store")
        self.where = where
        self.id = schema.store_id(connection)

    @classmethod
    def open(cls, url: str, *, create: bool = True) -> Store:
        """Open, and on first use create, the store at `url`. Raises ConfigError, StoreUnavailable, StoreMismatch."""
        path, read_only = _parse(url)
        try:
            if not create and not path.is_file():
                raise FileNotFoundError("no such file")
            if not read_only:
                path.parent.mkdir(parents=True, exist_ok=True)
            return cls(_connect(path, read_only), str(path))
        except (sqlite3.Error, OSError) as error:
            raise _unavailable(path, error) from error

    async def transact(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns, committed; nothing of it stays when it raises. Raises StoreUnavailable."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._transact, work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns; it must not write. Raises StoreUnavailable."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._read, work)

    def close(self) -> None:
        """End the store's thread and close its file."""
        self._thread.submit(self._connection.close)
        self._thread.shutdown(wait=True)

    def _transact(self, work: Callable[[Connection], T]) -> T:
        with self._named_errors(), _transaction(self._connection):
            return work(self._connection)

    def _read(self, work: Callable[[Connection], T]) -> T:
        with self._named_errors():
            return work(self._connection)

    @contextmanager
    def _named_errors(self) -> Generator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise _unavailable(Path(self.where), error) from error


@contextmanager
def _transaction(connection: Connection) -> Generator[None]:
    # IMMEDIATE takes the write lock before anything is read, so a decision made inside never rests on a stale row.
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # also after a COMMIT that failed: the next BEGIN must find none open
            connection.execute("ROLLBACK")
        raise


def _connect(path: Path, read_only: bool) -> Connection:
    mode = "ro" if read_only else "rwc"
    # isolation_level=None: transactions are ours to begin and end. The thread check is off because the connection is
    # opened in the caller's thread and then used by the store's one thread only.
    connection = sqlite3.connect(
        f"file:{path}?mode={mode}", uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        _prepare(connection, path, read_only)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: Connection, path: Path, read_only: bool) -> None:
    connection.row_factory = sqlite3.Row
    if not read_only:
        connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")  # a committed intent survives power loss, not only a crash
    schema.bring_up(connection, path, read_only)


def _parse(url: str) -> tuple[Path, bool]:
    parsed = urlparse(url)
    if parsed.scheme != "sqlite" or parsed.netloc or not parsed.path:
        raise ConfigError(f"TENURE_DATABASE_URL={url!r}: must be sqlite:///an/absolute/path.db")
    return Path("/" + parsed.path.lstrip("/")), parse_qs(parsed.query).get("mode") == ["ro"]


def _unavailable(path: Path, error: Exception) -> StoreUnavailable:
    return StoreUnavailable(f"the store {path} cannot be used: {error}. Check that the folder exists and is writable")
