"""Restrictions in force, and the fence they move: one row each, numbered in order and never deleted."""

from __future__ import annotations

from dataclasses import dataclass

from tenure.runtime.store.connection import Connection, Row
from tenure.trust.restrictions import EVERY, Restriction, Standing, fold

DDL = (
    """CREATE TABLE restrictions (
        epoch INTEGER PRIMARY KEY AUTOINCREMENT, tenant TEXT NOT NULL, agent TEXT NOT NULL, kind TEXT NOT NULL,
        value TEXT NOT NULL, reason TEXT NOT NULL, by TEXT NOT NULL, set_at INTEGER NOT NULL, lifted_at INTEGER,
        lifted_by TEXT)""",
    "CREATE INDEX restrictions_in_force ON restrictions (tenant, agent) WHERE lifted_at IS NULL",
)


@dataclass(frozen=True)
class Restricted:
    """A restriction as it stands: for whom, by whom, since when (milliseconds)."""

    epoch: int
    tenant: str
    agent: str
    restriction: Restriction
    by: str
    set_at: int


def restrict(db: Connection, who: tuple[str, str], restriction: Restriction, by: str, at: int) -> int:
    """Restrict `who` (tenant, agent; `*` for all) from now on; returns the fence it moves.

    What restricts `who` in the same way is lifted: what is in force is said once, for the reason that was given last.
    """
    lift(db, who, restriction.kind, restriction.value, by, at)
    row = db.execute(
        "INSERT INTO restrictions (tenant, agent, kind, value, reason, by, set_at, lifted_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING epoch",
        (
            *who, restriction.kind, restriction.value, restriction.reason, by, at,
            at if restriction.kind in ("revoked", "lowered") else None,
        ),
    )  # fmt: skip
    return row.fetchone()[0]


def lift(db: Connection, who: tuple[str, str], kind: str | None, value: str | None, by: str, at: int) -> int:
    """Lift what restricts exactly `who`: of one kind, with one value, or all of it; how many were lifted."""
    done = db.execute(
        "UPDATE restrictions SET lifted_at = ?, lifted_by = ? WHERE tenant = ? AND agent = ? AND lifted_at IS NULL"
        " AND (?5 IS NULL OR kind = ?5) AND (?6 IS NULL OR value = ?6)",
        (at, by, *who, kind, value),
    )
    return done.rowcount


def standing(db: Connection, tenant: str, agent: str) -> Standing:
    """What is restricted for this agent of this tenant now."""
    who = (tenant, EVERY, agent, EVERY)
    (fence,) = db.execute(
        "SELECT coalesce(max(epoch), 0) FROM restrictions WHERE tenant IN (?, ?) AND agent IN (?, ?)", who
    ).fetchone()
    if not fence:
        return Standing()
    rows = db.execute(
        "SELECT * FROM restrictions WHERE tenant IN (?, ?) AND agent IN (?, ?) AND lifted_at IS NULL ORDER BY epoch",
        who,
    )
    return fold(fence, (_restriction(row) for row in rows))


def in_force(db: Connection) -> list[Restricted]:
    """Every restriction that is not lifted, in order."""
    rows = db.execute("SELECT * FROM restrictions WHERE lifted_at IS NULL ORDER BY epoch")
    return [
        Restricted(row["epoch"], row["tenant"], row["agent"], _restriction(row), row["by"], row["set_at"])
        for row in rows
    ]


def _restriction(row: Row) -> Restriction:
    return Restriction(kind=row["kind"], value=row["value"], reason=row["reason"])
