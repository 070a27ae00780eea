"""Results of reads that other runs of the tenant may be answered from.

Rules of this file: nothing is shared between tenants. What may be stale is not found: a result stands for the epoch of its tool in
which its read began. Nothing is prolonged by being found; every transaction deletes a bounded number of rows.
"""

from __future__ import annotations

from dataclasses import dataclass

from tenure.runtime.store import epochs
from tenure.runtime.store.connection import Connection

DDL = (
    """CREATE TABLE results (
        tenant TEXT NOT NULL, key TEXT NOT NULL, tool TEXT NOT NULL, workflow TEXT NOT NULL, value TEXT NOT NULL,
        epoch INTEGER NOT NULL, at INTEGER NOT NULL, until INTEGER NOT NULL, PRIMARY KEY (tenant, key)) WITHOUT ROWID""",
    "CREATE INDEX results_by_time ON results (tenant, at, key)",
    "CREATE INDEX results_by_end ON results (until)",
)
KEPT = 1_000  # results of a tenant, which at 64 KB each are 64 MB at most
SWEPT = 20  # rows that one transaction deletes for each reason there is


@dataclass(frozen=True)
class Read:
    """One read by what it depends on: `key` is equal for reads that must come to the same. `lasts` is in milliseconds."""

    tenant: str
    tool: str
    key: str
    lasts: int


@dataclass(frozen=True)
class Found:
    """A result, in which run it was obtained, and when its read began."""

    value: str
    workflow: str
    at: int


@dataclass(frozen=True)
class Sought:
    """A read that is made because nothing was found: it begins at `at`, in `epoch` (None: a write is under way)."""

    read: Read
    at: int
    epoch: int | None


def seek(db: Connection, read: Read, at: int) -> Found | Sought:
    """The result that a read which begins now would come to, as far as anybody has said; or that it must be made."""
    epoch = epochs.of_tool(db, read.tenant, read.tool, at)
    row = db.execute(
        "SELECT value, workflow, epoch, at, until FROM results WHERE tenant = ? AND key = ?", (read.tenant, read.key)
    ).fetchone()
    if row is None:
        return Sought(read, at, epoch)
    if row["epoch"] == epoch and row["at"] <= at <= row["until"]:
        return Found(row["value"], row["workflow"], row["at"])
    # It goes for good. Under a clock that went back it would become young again when that clock comes round once more.
    db.execute("DELETE FROM results WHERE tenant = ? AND key = ?", (read.tenant, read.key))
    return Sought(read, at, epoch)


def keep(db: Connection, sought: Sought, workflow: str, value: str, at: int) -> bool:
    """Keep what a read came to that is over now; False where a write that names it came between."""
    read = sought.read
    if sought.epoch is None or epochs.of_tool(db, read.tenant, read.tool, at) != sought.epoch:
        return False
    db.execute(
        "INSERT INTO results (tenant, key, tool, workflow, value, epoch, at, until) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (tenant, key) DO UPDATE SET workflow = excluded.workflow, value = excluded.value,"
        " epoch = excluded.epoch, at = excluded.at, until = excluded.until",
        (read.tenant, read.key, read.tool, workflow, value, sought.epoch, sought.at, sought.at + read.lasts),
    )
    _sweep(db, read.tenant, at)
    return True


def _sweep(db: Connection, tenant: str, at: int) -> None:
    """Delete some of what nobody can be answered from: what is over (of any tenant), from the future, or one too many."""
    for which, given in (
        ("until < ? ORDER BY until LIMIT ?", (at, SWEPT)),
        ("tenant = ? AND at > ? ORDER BY at LIMIT ?", (tenant, at, SWEPT)),
        ("tenant = ? ORDER BY at DESC, key DESC LIMIT ? OFFSET ?", (tenant, SWEPT, KEPT)),
    ):
        db.execute(f"DELETE FROM results WHERE (tenant, key) IN (SELECT tenant, key FROM results WHERE {which})", given)
