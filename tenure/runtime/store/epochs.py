"""Epochs of data: a number for what each tool reads, which moves whenever that changes.

Rules of this file: nothing is shared between tenants. What is changed is named by a pattern of tools, as in `invalidates`. Writes
move epochs when they begin and when they end, and while one is under way that names a tool, that tool has no epoch at all. An epoch
is a sum of counters that only grow, one for each pattern that was ever named, so that writes which run side by side each move it.
"""

from __future__ import annotations

from collections.abc import Iterable

from tenure.runtime.store.connection import Connection
from tenure.trust.pattern import matches

DDL = (
    """CREATE TABLE data_changes (
        tenant TEXT NOT NULL, pattern TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (tenant, pattern)) WITHOUT ROWID""",
    """CREATE TABLE data_writes (
        tenant TEXT NOT NULL, write TEXT NOT NULL, pattern TEXT NOT NULL, until INTEGER NOT NULL,
        PRIMARY KEY (tenant, write, pattern)) WITHOUT ROWID""",
    "CREATE INDEX data_writes_by_end ON data_writes (until)",
)
SWEPT = 20  # rows that one transaction deletes


def begin(db: Connection, tenant: str, write: str, patterns: Iterable[str], at: int, until: int) -> None:
    """A write that makes stale what `patterns` name is under way, until it ends: after `until` it has no effect any more."""
    named = sorted(set(patterns))
    bump(db, tenant, named)
    for pattern in named:
        db.execute(
            "INSERT INTO data_writes (tenant, write, pattern, until) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (tenant, write, pattern) DO UPDATE SET until = excluded.until",
            (tenant, write, pattern, until),
        )
    db.execute(
        "DELETE FROM data_writes WHERE (tenant, write, pattern) IN"
        " (SELECT tenant, write, pattern FROM data_writes WHERE until < ? ORDER BY until LIMIT ?)",
        (at, SWEPT),
    )


def end(db: Connection, tenant: str, write: str, patterns: Iterable[str]) -> None:
    """The write is over, whatever came of it. It need not have begun here: of one in doubt somebody has said what it did."""
    # Moved as well: by a clock that was set ahead the write may have counted as over, and reads as made after it.
    bump(db, tenant, patterns)
    db.execute("DELETE FROM data_writes WHERE tenant = ? AND write = ?", (tenant, write))


def bump(db: Connection, tenant: str, patterns: Iterable[str]) -> None:
    """What tools of these patterns read has changed."""
    for pattern in sorted(set(patterns)):  # in one order for all: two that name the same must not wait for each other
        db.execute(
            "INSERT INTO data_changes (tenant, pattern, number) VALUES (?, ?, 1)"
            " ON CONFLICT (tenant, pattern) DO UPDATE SET number = data_changes.number + 1",
            (tenant, pattern),
        )


def of_tool(db: Connection, tenant: str, tool: str, at: int) -> int | None:
    """A number that every change which names the tool moves; None while a write is under way."""
    return of_tools(db, tenant, [tool], at).get(tool)


def of_tools(db: Connection, tenant: str, tools: Iterable[str], at: int) -> dict[str, int]:
    """The numbers of these tools, without those that a write under way names."""
    # The counters first: a write that begins between the two statements is then seen by the second.
    changes = db.execute("SELECT pattern, number FROM data_changes WHERE tenant = ?", (tenant,)).fetchall()
    open_ones = db.execute(
        "SELECT DISTINCT pattern FROM data_writes WHERE tenant = ? AND until >= ?", (tenant, at)
    ).fetchall()
    return {
        tool: sum(row[1] for row in changes if matches(row[0], tool))
        for tool in tools
        if not any(matches(row[0], tool) for row in open_ones)
    }
