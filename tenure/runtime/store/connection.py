"""What the tables ask of a database: so much of sqlite3's connection as SQLite and Postgres both answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeAlias

Value: TypeAlias = str | bytes | int | float | None


class Row(Protocol):
    """A row: answers by place and by name, unpacks, and is a mapping for `**`. What a column holds, its reader knows (Any)."""

    def __getitem__(self, key: Any, /) -> Any: ...
    def __iter__(self) -> Iterator[Any]: ...
    def __len__(self) -> int: ...
    def keys(self) -> Sequence[str]:
        """The names of the columns."""
        ...


class Cursor(Protocol):
    """What a statement came to. Rows are Any, as in sqlite3: the statement says what is in them."""

    @property
    def rowcount(self) -> int:
        """How many rows a statement changed."""
        ...

    def fetchone(self) -> Any: ...
    def fetchall(self) -> list[Any]: ...
    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """Runs statements. `?` is the next parameter, `?3` the third: the dialect of SQLite, as far as `dialect` knows it."""

    def execute(self, sql: str, parameters: Sequence[Value] = ..., /) -> Cursor: ...
    def executemany(self, sql: str, parameters: Iterable[Sequence[Value]], /) -> Cursor: ...
