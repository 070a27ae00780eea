"""Ledgers: the level of every agent of every tenant as its ledger last kept it, and every change there was."""

from __future__ import annotations

import json
from dataclasses import dataclass

from tenure.runtime.store import restrictions
from tenure.runtime.store.connection import Connection, Row
from tenure.trust.ledger import Change, Ledger
from tenure.trust.ledger import level_for as trusted
from tenure.trust.restrictions import Standing

DDL = (
    """CREATE TABLE ledgers (
        tenant TEXT NOT NULL, agent TEXT NOT NULL, level INTEGER NOT NULL, fingerprint TEXT NOT NULL, epoch INTEGER NOT NULL,
        read_to INTEGER NOT NULL, body TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (tenant, agent)) WITHOUT ROWID""",
    """CREATE TABLE level_changes (
        id INTEGER PRIMARY KEY AUTOINCREMENT, tenant TEXT NOT NULL, agent TEXT NOT NULL, at INTEGER NOT NULL,
        kind TEXT NOT NULL, before INTEGER NOT NULL, after INTEGER NOT NULL, why TEXT NOT NULL, by TEXT NOT NULL,
        fingerprint TEXT NOT NULL, name TEXT NOT NULL UNIQUE)""",
    "CREATE INDEX changes_of_agent ON level_changes (tenant, agent, id)",
)


@dataclass(frozen=True)
class Kept:
    """A ledger as it was kept: `read_to` is the number of the last outcome it has read."""

    tenant: str
    agent: str
    level: int
    fingerprint: str
    read_to: int
    ledger: Ledger
    at: int


def get(db: Connection, tenant: str, agent: str) -> Kept | None:
    """The ledger of an agent of a tenant, if it has one."""
    row = db.execute("SELECT * FROM ledgers WHERE tenant = ? AND agent = ?", (tenant, agent)).fetchone()
    return None if row is None else _kept(row)


def level(db: Connection, tenant: str, agent: str) -> tuple[int, str] | None:
    """The level, and the fingerprint it was earned under."""
    row = db.execute(
        "SELECT level, fingerprint FROM ledgers WHERE tenant = ? AND agent = ?", (tenant, agent)
    ).fetchone()
    return None if row is None else (row[0], row[1])


def standing(db: Connection, tenant: str, agent: str) -> Standing:
    """What is restricted for this agent of this tenant now; a level that fell is a cap for the runs that are under way."""
    held, found = restrictions.standing(db, tenant, agent), level(db, tenant, agent)
    if found is None or found[0] >= held.cap or not held.fence:
        return held
    return held.model_copy(update={"cap": found[0]})


def level_for(db: Connection, tenant: str, agent: str, fingerprint: str, initial: int) -> int:
    """The level of a run of that build: an agent without a ledger has the initial one."""
    found = level(db, tenant, agent)
    return initial if found is None else trusted(*found, fingerprint, initial)


def of_agent(db: Connection, agent: str) -> list[Kept]:
    """The ledgers of an agent, one for each tenant."""
    return [_kept(row) for row in db.execute("SELECT * FROM ledgers WHERE agent = ? ORDER BY tenant", (agent,))]


def keep(db: Connection, tenant: str, agent: str, ledger: Ledger, read_to: int, at: int) -> list[Change]:
    """The ledger stands so now, unless a later one stands that gives no more; its changes are added to those before, once.

    Returns the changes that were not known.
    """
    new = [change for change in ledger.changes if _add(db, tenant, agent, change)]
    body = ledger.model_copy(update={"changes": []}).model_dump_json()
    db.execute(
        "INSERT INTO ledgers VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tenant, agent) DO UPDATE SET level = excluded.level,"
        " fingerprint = excluded.fingerprint, epoch = excluded.epoch, read_to = excluded.read_to, body = excluded.body,"
        " at = excluded.at WHERE (excluded.epoch, excluded.read_to) >= (ledgers.epoch, ledgers.read_to)"
        " OR excluded.level < ledgers.level",
        (tenant, agent, ledger.level, ledger.fingerprint, ledger.epoch, read_to, body, at),
    )
    return new


def changes(db: Connection, tenant: str, agent: str) -> list[Change]:
    """Every change of the level, and every proposal that came to nothing, the oldest first."""
    rows = db.execute("SELECT * FROM level_changes WHERE tenant = ? AND agent = ? ORDER BY id", (tenant, agent))
    return [
        Change(
            at=row["at"],
            kind=row["kind"],
            before=row["before"],
            after=row["after"],
            why=row["why"],
            by=json.loads(row["by"]),
            fingerprint=row["fingerprint"],
        )
        for row in rows
    ]


def _add(db: Connection, tenant: str, agent: str, change: Change) -> bool:
    name = f"{tenant}:{agent}:{change.epoch}:{change.asked}:{change.kind}"  # without a time: what is told again is the same
    done = db.execute(
        "INSERT INTO level_changes (tenant, agent, at, kind, before, after, why, by, fingerprint, name)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (
            tenant, agent, change.at, change.kind, change.before, change.after, change.why, json.dumps(change.by),
            change.fingerprint, name,
        ),
    )  # fmt: skip
    return done.rowcount == 1


def _kept(row: Row) -> Kept:
    body = Ledger.model_validate_json(row["body"])
    return Kept(row["tenant"], row["agent"], row["level"], row["fingerprint"], row["read_to"], body, row["at"])
