"""A store in a Postgres: shared by the processes of many machines.

Rules of this file: transactions that write come one after the other, as on SQLite, behind one lock. What is read inside one is what
stands when it commits, and its row numbers are in the order of commits: who reads on from a number misses none. A password is never
told. What the server leaves open (a lost connection, a commit without an answer) is a failure; callers try again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from tenure.errors import ConfigError, StoreMismatch, StoreUnavailable
from tenure.runtime.store import schema
from tenure.runtime.store.address import RULE, shown, split_mode
from tenure.runtime.store.connection import Connection, Cursor, Value
from tenure.runtime.store.dialect import translated
from tenure.runtime.store.engine import BUSY_SECONDS, Store

try:
    import psycopg
    from psycopg.adapt import Loader
    from psycopg.conninfo import conninfo_to_dict
    from psycopg.types.numeric import IntLoader
except ImportError as error:
    raise ConfigError(
        f"TENURE_DATABASE_URL names a Postgres, whose driver is not here ({error}):"
        f" {sys.executable} -m pip install 'psycopg[binary]'"
    ) from error

T = TypeVar("T")
_ONE_WRITER = (
    0x74656E75 << 32
)  # the locks of a database are shared by all its users: "tenu", and the number of our table meta
# READ COMMITTED, whatever the server's default is: a snapshot taken before the lock was waited for would be stale.
_BEGIN = b"BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock(%d + 'meta'::regclass::oid::bigint)" % (
    _ONE_WRITER
)
# Nothing waits for ever: not for another's lock, not for a statement, not for a worker that stands still inside a transaction.
ANSWER_SECONDS = 30.0  # a server that says nothing for so long is given up
_LIMITS = f"""SET lock_timeout = {BUSY_SECONDS * 1000:.0f}; SET statement_timeout = {ANSWER_SECONDS * 800:.0f};
    SET idle_in_transaction_session_timeout = {BUSY_SECONDS * 1000:.0f};
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'""".encode()
_PATIENCE = {
    "connect_timeout": "5", "keepalives_idle": "10", "keepalives_interval": "5", "keepalives_count": "3",
    "tcp_user_timeout": "15000", "application_name": "tenure",
}  # fmt: skip


@dataclass(frozen=True)
class Place:
    """Where the server is, and how it is reached. `where` may be shown, `parameters` may not."""

    where: str
    read_only: bool
    parameters: dict[str, Any] = field(repr=False)

    def unavailable(self, error: object, note: str = "") -> StoreUnavailable:
        """The error to raise, on one line, without a password."""
        told = " ".join(str(error).split())
        for secret in (self.parameters.get("password"), self.parameters.get("sslpassword")):
            told = told.replace(secret, "***") if secret else told
        return StoreUnavailable(
            f"the store {self.where} cannot be used: {told}. {note}Check that the server runs and lets this user write"
        )


class Row:
    """A row of an answer: by place, by name, unpacked, or as a mapping."""

    __slots__ = ("_names", "_values")

    def __init__(self, names: tuple[str, ...], values: Sequence[Any]) -> None:
        self._names, self._values = names, values

    def __getitem__(self, key: Any) -> Any:
        return self._values[self._names.index(key) if isinstance(key, str) else key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def keys(self) -> Sequence[str]:
        """The names of the columns."""
        return self._names


# Text may hold a NUL on SQLite and may not on Postgres. A NUL that somebody has sent in a name must be refused by policy there as
# well, not fail the transaction again and again: it is kept as two signs, of which no text begins with the first one.
_MARK = "\ufdd0"


def _kept(value: Value) -> Value:
    if isinstance(value, str):
        marked = "\0" in value or _MARK in value
        return value.replace(_MARK, _MARK + "1").replace("\0", _MARK + "0") if marked else value
    return int(value) if isinstance(value, bool) else value


class _Text(Loader):
    def load(self, data: Any) -> str:
        text = str(data, "utf-8")
        return text.replace(_MARK + "0", "\0").replace(_MARK + "1", _MARK) if _MARK in text else text


def _rows(cursor: psycopg.Cursor[Any]) -> Callable[[Sequence[Any]], Row]:
    return partial(Row, tuple(column.name for column in cursor.description or ()))


class _Cursor(psycopg.RawCursor[Row]):
    """Takes parameters as `$1`, as the server does: a percent sign is nothing but itself."""


class _Answering(psycopg.Connection[Row]):
    """A server that stands still while its machine does not would be waited for without end."""

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:  # Any: of psycopg's own kinds
        try:
            return super().wait(gen, interval, ANSWER_SECONDS if timeout is None else timeout)
        except psycopg.OperationalError:
            if self.pgconn.transaction_status == psycopg.pq.TransactionStatus.ACTIVE:
                self.close()  # what it would still say belongs to a question that was given up
            raise


class Session:
    """A connection to the server, with the verbs that the tables use. Raises StoreUnavailable for all that goes wrong."""

    def __init__(self, place: Place) -> None:
        self.place = place
        with self._named_errors():
            self._connection = _Answering.connect(
                **place.parameters, autocommit=True, cursor_factory=_Cursor, row_factory=_rows
            )
            try:
                self._prepare()
            except BaseException:
                self.close()
                raise

    @property
    def lost(self) -> bool:
        """Whether the server is to be connected to anew."""
        return self._connection.closed

    def execute(self, sql: str, parameters: Sequence[Value] = (), /) -> Cursor:
        """Run a statement."""
        with self._named_errors():
            return self._connection.execute(translated(sql), [_kept(value) for value in parameters])

    def executemany(self, sql: str, parameters: Iterable[Sequence[Value]], /) -> Cursor:
        """Run a statement for each of several rows."""
        with self._named_errors():
            cursor = self._connection.cursor()
            cursor.executemany(translated(sql), [[_kept(value) for value in row] for row in parameters])
            return cursor

    def close(self) -> None:
        """End the connection; what it had begun is undone."""
        self._connection.close()

    def _prepare(self) -> None:
        self._connection.adapters.register_loader("text", _Text)
        self._connection.adapters.register_loader("numeric", IntLoader)  # the sum of whole numbers is a whole number
        self._say(_LIMITS + (b"; SET default_transaction_read_only = on" if self.place.read_only else b""))
        if (encoding := self._connection.info.parameter_status("server_encoding")) != "UTF8":
            raise psycopg.NotSupportedError(f"its database is encoded in {encoding}, UTF8 is needed")

    @contextmanager
    def transaction(self) -> Generator[None]:
        """All or nothing, and alone."""
        with self._named_errors():
            try:
                self._say(_BEGIN)
                yield
                self._commit()
            except BaseException:
                self._undo()
                raise

    def _commit(self) -> None:
        try:
            told = self._say(b"COMMIT")
        except psycopg.Error as error:
            raise self.place.unavailable(error, "Whether the transaction was committed is not known. ") from error
        if told != "COMMIT":  # Postgres rolls back a transaction in which a statement failed, whoever caught that
            raise psycopg.errors.InFailedSqlTransaction(
                "a statement of the transaction had failed: nothing is committed"
            )

    def _undo(self) -> None:
        if self.lost or self._connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE:
            return
        try:
            self._say(b"ROLLBACK")
        except psycopg.Error:
            self.close()  # the server rolls back what it was not told to commit

    def _say(self, statements: bytes) -> str:
        # Not prepared: of what is prepared Postgres takes one statement at a time.
        return self._connection.execute(statements, prepare=False).statusmessage or ""

    @contextmanager
    def _named_errors(self) -> Generator[None]:
        try:
            yield
        except psycopg.Error as error:
            raise self.place.unavailable(error) from error


class PostgresStore(Store):
    """An open connection, which is made anew when it was lost."""

    def __init__(self, session: Session) -> None:
        super().__init__(session.place.where, schema.store_id(session))
        self._connection = session

    def _transact(self, work: Callable[[Connection], T]) -> T:
        session = self._live()
        with session.transaction():
            return work(session)

    def _read(self, work: Callable[[Connection], T]) -> T:
        return work(self._live())

    def _close(self) -> None:
        self._connection.close()

    def _live(self) -> Session:
        if not self._connection.lost:
            return self._connection
        fresh = Session(self._connection.place)
        if (found := schema.store_id(fresh)) != self.id:
            fresh.close()
            raise StoreMismatch(
                f"the store {self.where} was {self.id} and is {found} now: another one was put in its place"
            )
        self._connection = fresh
        return fresh


def opened(url: str, *, create: bool) -> PostgresStore:
    """The store in the database that `url` names. Raises ConfigError, StoreUnavailable, StoreMismatch."""
    session = Session(_placed(url))
    try:
        if not create and not _version(session):
            missing = FileNotFoundError("no store was made in it yet")
            raise session.place.unavailable(missing) from missing
        schema.bring_up(session, session.place.where, session.place.read_only, _KEEPING)
        return PostgresStore(session)
    except BaseException:
        session.close()
        raise


def _placed(url: str) -> Place:
    plain, read_only = split_mode(url)
    try:
        told = conninfo_to_dict(plain)
    except psycopg.Error:  # whose words may hold a part of a password
        raise ConfigError(f"TENURE_DATABASE_URL={shown(url)}: {RULE}") from None
    return Place(shown(url), read_only, {**_PATIENCE, **told, "client_encoding": "utf8"})


def _version(db: Connection) -> int:
    if db.execute("SELECT to_regclass('meta') IS NULL").fetchone()[0]:
        return 0
    row = db.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
    return 0 if row is None else int(row[0])


# Of several processes that open an empty database one makes the schema; the others wait, and find it.
_KEEPING = schema.Keeping(
    begin="BEGIN ISOLATION LEVEL READ COMMITTED",
    alone=f"SELECT pg_advisory_xact_lock({_ONE_WRITER})",
    found=_version,
    keep="INSERT INTO meta VALUES ('schema', '{}') ON CONFLICT (key) DO UPDATE SET value = excluded.value",
)
