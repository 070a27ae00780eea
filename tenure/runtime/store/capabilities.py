"""Capabilities: every version of every learned capability, and how far the one that is being rolled out has come.

Rules of this file: a version is written once and never changed. Its rollout is kept by its workflow; `serving` is what runs read,
and what anybody may set to no.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tenure.runtime.store import trials
from tenure.runtime.store.connection import Connection, Row

DDL = (
    """CREATE TABLE capabilities (
        tenant TEXT NOT NULL, agent TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, digest TEXT NOT NULL,
        fingerprint TEXT NOT NULL, body TEXT NOT NULL, proposal TEXT NOT NULL, report TEXT NOT NULL, at INTEGER NOT NULL,
        PRIMARY KEY (tenant, agent, id, version)) WITHOUT ROWID""",
    """CREATE TABLE rollouts (
        tenant TEXT NOT NULL, agent TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, digest TEXT NOT NULL,
        stage TEXT NOT NULL, serving TEXT NOT NULL, percent INTEGER NOT NULL, why TEXT NOT NULL, body TEXT NOT NULL,
        number INTEGER NOT NULL, read_to INTEGER NOT NULL, at INTEGER NOT NULL, deployed TEXT NOT NULL, promoted TEXT NOT NULL,
        told_at INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (tenant, agent, id)) WITHOUT ROWID""",
    """CREATE TABLE rollout_changes (
        id INTEGER PRIMARY KEY AUTOINCREMENT, tenant TEXT NOT NULL, agent TEXT NOT NULL, capability TEXT NOT NULL,
        version INTEGER NOT NULL, stage TEXT NOT NULL, why TEXT NOT NULL, by TEXT NOT NULL, number INTEGER NOT NULL,
        at INTEGER NOT NULL, UNIQUE (tenant, agent, capability, version, number))""",
)
LOST = "lost"  # the stage of a rollout that nobody watches over
OVER = ("rejected", "rolled_back", "retired", LOST)  # stages in which nobody listens
TOLD_MS = 5_000  # a rollout is told at most this often that there is something to read
_COLUMNS = (
    "tenant, agent, id, version, digest, stage, serving, percent, why, body, number, read_to, at, deployed, promoted"
)


@dataclass(frozen=True)
class Kept:
    """One version: `body` is the capability, `proposal` what it was mined from, `report` what came of its test. All three JSON."""

    tenant: str
    agent: str
    id: str
    version: int
    digest: str
    fingerprint: str
    body: str
    proposal: str
    report: str
    at: int


@dataclass(frozen=True)
class RolloutRow:
    """How far a capability has come. `serving` is no, shadow, canary or all; `number` counts what its workflow has kept.

    `read_to` is the number of the last trial that it has read, `deployed` and `promoted` are the requests that people approved.
    """

    tenant: str
    agent: str
    id: str
    version: int
    digest: str
    stage: str
    serving: str
    percent: int
    why: str
    body: str
    number: int
    read_to: int
    at: int
    deployed: str = ""
    promoted: str = ""


@dataclass(frozen=True)
class ChangeRow:
    """A stage that a version came to: why, by whom, when."""

    version: int
    stage: str
    why: str
    by: str
    at: int


def add(db: Connection, new: Kept) -> None:
    """A new version, unless it stands already."""
    db.execute(
        "INSERT INTO capabilities VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (
            new.tenant,
            new.agent,
            new.id,
            new.version,
            new.digest,
            new.fingerprint,
            new.body,
            new.proposal,
            new.report,
            new.at,
        ),
    )


def report(db: Connection, of: Kept, told: str) -> None:
    """What came of the test of that version (JSON); what was told first stands."""
    db.execute(
        "UPDATE capabilities SET report = ? WHERE tenant = ? AND agent = ? AND id = ? AND version = ? AND report = ''",
        (told, of.tenant, of.agent, of.id, of.version),
    )


def get(db: Connection, who: tuple[str, str], id: str, version: int | None = None) -> Kept | None:
    """That version of a capability of `who` (tenant, agent), or the newest."""
    wanted = newest(db, who, id) if version is None else version
    row = db.execute(
        "SELECT * FROM capabilities WHERE tenant = ? AND agent = ? AND id = ? AND version = ?", (*who, id, wanted)
    ).fetchone()
    return None if row is None else Kept(**row)


def newest(db: Connection, who: tuple[str, str], id: str) -> int:
    """The number of its newest version; 0 where there is none."""
    found = db.execute("SELECT max(version) FROM capabilities WHERE tenant = ? AND agent = ? AND id = ?", (*who, id))
    return found.fetchone()[0] or 0


def every(db: Connection, tenant: str | None = None, agent: str | None = None) -> list[Kept]:
    """The newest version of each capability, by tenant, agent and id."""
    rows = db.execute(
        "SELECT * FROM capabilities c WHERE (?1 IS NULL OR tenant = ?1) AND (?2 IS NULL OR agent = ?2) AND version ="
        " (SELECT max(version) FROM capabilities n WHERE n.tenant = c.tenant AND n.agent = c.agent AND n.id = c.id)"
        " ORDER BY tenant, agent, id",
        (tenant, agent),
    )
    return [Kept(**row) for row in rows]


def keep(db: Connection, row: RolloutRow, by: str) -> bool:
    """The rollout stands so now; False where something later was kept. A stage it came to is added to its history.

    What it has not heard of yet, and must stop it, stops it all the same.
    """
    if trials.is_stopped(db, (row.tenant, row.agent), row.id, row.version, row.read_to):
        row = replace(row, serving="no")
    before = rollout(db, (row.tenant, row.agent), row.id)
    if before is not None and (before.version, before.number) > (row.version, row.number):
        return False
    db.execute(
        f"INSERT INTO rollouts ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (tenant, agent, id) DO UPDATE SET"
        " version = excluded.version, digest = excluded.digest, stage = excluded.stage, serving = excluded.serving,"
        " percent = excluded.percent, why = excluded.why, body = excluded.body, number = excluded.number,"
        " read_to = excluded.read_to, at = excluded.at, deployed = excluded.deployed, promoted = excluded.promoted",
        (
            row.tenant, row.agent, row.id, row.version, row.digest, row.stage, row.serving, row.percent, row.why, row.body,
            row.number, row.read_to, row.at, row.deployed, row.promoted,
        ),
    )  # fmt: skip
    if before is None or (before.version, before.stage) != (row.version, row.stage):
        _tell(db, row, row.why, by)
    elif (before.serving, before.why) != (row.serving, row.why):
        _tell(db, row, f"paused: {row.why}" if row.serving == "no" else "resumed", by)
    return True


def rollout(db: Connection, who: tuple[str, str], id: str) -> RolloutRow | None:
    """How far that capability of `who` has come."""
    row = db.execute(
        f"SELECT {_COLUMNS} FROM rollouts WHERE tenant = ? AND agent = ? AND id = ?", (*who, id)
    ).fetchone()
    return None if row is None else RolloutRow(**row)


def rollouts(db: Connection, tenant: str | None = None, agent: str | None = None) -> list[RolloutRow]:
    """Every rollout, by tenant, agent and id."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM rollouts WHERE (?1 IS NULL OR tenant = ?1) AND (?2 IS NULL OR agent = ?2)"
        " ORDER BY tenant, agent, id",
        (tenant, agent),
    )
    return [RolloutRow(**row) for row in rows]


def live(db: Connection, who: tuple[str, str], fingerprint: str) -> list[tuple[RolloutRow, Kept]]:
    """What runs of `who` under that fingerprint may be given to, or be compared with."""
    rows = db.execute(
        "SELECT id, version FROM rollouts WHERE tenant = ? AND agent = ? AND serving <> 'no' ORDER BY id", who
    ).fetchall()
    found = ((rollout(db, who, row[0]), get(db, who, row[0], row[1])) for row in rows)
    return [(row, kept) for row, kept in found if row and kept and kept.fingerprint == fingerprint]


def stop(db: Connection, who: tuple[str, str], id: str, version: int, why: str) -> None:
    """No run is given to that version from now on, before its workflow has heard why."""
    db.execute(
        "UPDATE rollouts SET serving = 'no', why = ? WHERE tenant = ? AND agent = ? AND id = ? AND version = ?",
        (why, *who, id, version),
    )


def lose(db: Connection, of: RolloutRow, why: str) -> None:
    """Nobody watches over it any more: it serves nothing, and may set out anew."""
    db.execute(
        "UPDATE rollouts SET serving = 'no', stage = 'lost', why = ?, number = 0, read_to = 0, deployed = '', promoted = ''"
        " WHERE tenant = ? AND agent = ? AND id = ? AND version = ?",
        (why, of.tenant, of.agent, of.id, of.version),
    )


def take_due(db: Connection, agents: Mapping[str, str], at: int) -> list[RolloutRow]:
    """Rollouts of these agents (fingerprints by name) that something is to be told, and that were not told lately.

    They have trials that they have not read, or their agent was rebuilt. Each is told by one worker.
    """
    found = [RolloutRow(**row) for agent, fingerprint in agents.items() for row in _due(db, agent, fingerprint, at)]
    for one in found:
        db.execute(
            "UPDATE rollouts SET told_at = ? WHERE tenant = ? AND agent = ? AND id = ?",
            (at, one.tenant, one.agent, one.id),
        )
    return found


def _due(db: Connection, agent: str, fingerprint: str, at: int) -> list[Row]:
    return db.execute(
        f"SELECT {_COLUMNS} FROM rollouts r WHERE agent = ? AND told_at <= ? AND stage NOT IN {OVER} AND (read_to < "
        " (SELECT max(seq) FROM trials t WHERE t.tenant = r.tenant AND t.agent = r.agent AND t.capability = r.id"
        " AND t.version = r.version)"
        " OR (stage IN ('validated', 'shadow', 'canary', 'promoted') AND EXISTS (SELECT 1 FROM capabilities c"
        " WHERE c.tenant = r.tenant AND c.agent = r.agent AND c.id = r.id AND c.version = r.version AND c.fingerprint <> ?)))",
        (agent, at - TOLD_MS, fingerprint),
    ).fetchall()


def changes(db: Connection, who: tuple[str, str], id: str) -> list[ChangeRow]:
    """What became of a capability, the oldest first."""
    rows = db.execute(
        "SELECT version, stage, why, by, at FROM rollout_changes WHERE tenant = ? AND agent = ? AND capability = ? ORDER BY id",
        (*who, id),
    )
    return [ChangeRow(*row) for row in rows]


def _tell(db: Connection, row: RolloutRow, why: str, by: str) -> None:
    db.execute(
        "INSERT INTO rollout_changes (tenant, agent, capability, version, stage, why, by, number, at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (row.tenant, row.agent, row.id, row.version, row.stage, why, by, row.number, row.at),
    )
