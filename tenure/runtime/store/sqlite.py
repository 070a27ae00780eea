"""A store in a file: SQLite, shared by the processes of one machine."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qs, urlparse

from tenure.errors import ConfigError, StoreUnavailable
from tenure.runtime.store import schema
from tenure.runtime.store.address import RULE, shown
from tenure.runtime.store.connection import Connection
from tenure.runtime.store.engine import BUSY_SECONDS, Store

T = TypeVar("T")


class SqliteStore(Store):
    """An open file."""

    def __init__(self, connection: sqlite3.Connection, where: str) -> None:
        super().__init__(where, schema.store_id(connection))
        self._connection = connection

    def _transact(self, work: Callable[[Connection], T]) -> T:
        with self._named_errors(), _transaction(self._connection):
            return work(self._connection)

    def _read(self, work: Callable[[Connection], T]) -> T:
        with self._named_errors():
            return work(self._connection)

    def _close(self) -> None:
        self._connection.close()

    @contextmanager
    def _named_errors(self) -> Generator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise _unavailable(Path(self.where), error) from error


def opened(url: str, *, create: bool) -> SqliteStore:
    """The store in the file that `url` names. Raises ConfigError, StoreUnavailable, StoreMismatch."""
    path, read_only = _parse(url)
    try:
        if not create and not path.is_file():
            raise FileNotFoundError("no such file")
        if not read_only:
            path.parent.mkdir(parents=True, exist_ok=True)
        return SqliteStore(_connect(path, read_only), str(path))
    except (sqlite3.Error, OSError) as error:
        raise _unavailable(path, error) from error


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Generator[None]:
    # IMMEDIATE takes the write lock before anything is read, so a decision made inside never rests on a stale row.
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # also after a COMMIT that failed: the next BEGIN must find none open
            connection.execute("ROLLBACK")
        raise


def _connect(path: Path, read_only: bool) -> sqlite3.Connection:
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


def _prepare(connection: sqlite3.Connection, path: Path, read_only: bool) -> None:
    connection.row_factory = sqlite3.Row
    if not read_only:
        connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")  # a committed intent survives power loss, not only a crash
    schema.bring_up(connection, path, read_only)


def _parse(url: str) -> tuple[Path, bool]:
    parsed = urlparse(url)
    if parsed.scheme != "sqlite" or parsed.netloc or not parsed.path:
        raise ConfigError(f"TENURE_DATABASE_URL={shown(url)!r}: {RULE}")
    return Path("/" + parsed.path.lstrip("/")), parse_qs(parsed.query).get("mode") == ["ro"]


def _unavailable(path: Path, error: Exception) -> StoreUnavailable:
    return StoreUnavailable(f"the store {path} cannot be used: {error}. Check that the folder exists and is writable")
