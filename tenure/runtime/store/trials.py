"""Trials: which runs a learned capability was tried on, and what came of each, numbered for its rollout to read on from.

Rules of this file: rows are only added. A run is tried on one capability, once, in the way that its first row says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from tenure.runtime.store.connection import Connection

Mode: TypeAlias = Literal["shadow", "canary", "all"]
Kind: TypeAlias = Literal["finished", "left", "failed", "in_doubt", "breach", "good", "bad", "unsafe"]
DDL = (
    """CREATE TABLE tried (
        workflow TEXT PRIMARY KEY, tenant TEXT NOT NULL, agent TEXT NOT NULL, capability TEXT NOT NULL, version INTEGER NOT NULL,
        mode TEXT NOT NULL CHECK (mode IN ('shadow', 'canary', 'all')), at INTEGER NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE trials (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, tenant TEXT NOT NULL, agent TEXT NOT NULL, capability TEXT NOT NULL,
        version INTEGER NOT NULL, workflow TEXT NOT NULL,
        kind TEXT NOT NULL
            CHECK (kind IN ('finished', 'left', 'failed', 'in_doubt', 'breach', 'good', 'bad', 'unsafe')),
        note TEXT NOT NULL, at INTEGER NOT NULL, wrote INTEGER NOT NULL, UNIQUE (workflow, kind))""",
    "CREATE INDEX trials_of_capability ON trials (tenant, agent, capability, version, seq)",
)


@dataclass(frozen=True)
class Tried:
    """A run that a capability is tried on: `shadow`, it only looks on; else it makes the run's turns."""

    workflow: str
    tenant: str
    agent: str
    capability: str
    version: int
    mode: Mode
    at: int


@dataclass(frozen=True)
class Trial:
    """What came of one: it finished, was left to Claude, failed, stopped half-way,
    broke what was approved, or somebody said something of it."""

    seq: int
    workflow: str
    mode: Mode
    kind: Kind
    note: str
    at: int
    wrote: bool = False


def try_on(db: Connection, new: Tried) -> Tried:
    """The run is tried; what was said first stands."""
    db.execute(
        "INSERT INTO tried VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (new.workflow, new.tenant, new.agent, new.capability, new.version, new.mode, new.at),
    )
    return of_run(db, new.workflow) or new


def of_run(db: Connection, workflow: str) -> Tried | None:
    """What that run is tried on."""
    row = db.execute("SELECT * FROM tried WHERE workflow = ?", (workflow,)).fetchone()
    return None if row is None else Tried(**row)


def add(db: Connection, run: Tried, kind: Kind, note: str, at: int, *, wrote: bool = False) -> None:
    """Something came of it; the same again says nothing. `wrote`: it had changed something before it was given up."""
    db.execute(
        "INSERT INTO trials (tenant, agent, capability, version, workflow, kind, note, at, wrote)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (run.tenant, run.agent, run.capability, run.version, run.workflow, kind, note, at, int(wrote)),
    )


def is_stopped(db: Connection, who: tuple[str, str], capability: str, version: int, seq: int) -> bool:
    """Whether something came of a run after number `seq` for which that version is given no other run."""
    row = db.execute(
        "SELECT 1 FROM trials WHERE tenant = ? AND agent = ? AND capability = ? AND version = ? AND seq > ?"
        " AND kind IN ('unsafe', 'breach', 'in_doubt') LIMIT 1",
        (*who, capability, version, seq),
    ).fetchone()
    return row is not None


def after(db: Connection, who: tuple[str, str], capability: str, version: int, seq: int, most: int) -> list[Trial]:
    """The next trials of a version of a capability of `who` (tenant, agent) after number `seq`, in order."""
    rows = db.execute(
        "SELECT t.seq, t.workflow, r.mode, t.kind, t.note, t.at FROM trials t JOIN tried r ON r.workflow = t.workflow"
        " WHERE t.tenant = ? AND t.agent = ? AND t.capability = ? AND t.version = ? AND t.seq > ? ORDER BY t.seq LIMIT ?",
        (*who, capability, version, seq, most),
    )
    return [Trial(**row) for row in rows]


def of_workflow(db: Connection, run: Tried) -> list[Trial]:
    """What came of one run, in order."""
    rows = db.execute("SELECT seq, kind, note, at, wrote FROM trials WHERE workflow = ? ORDER BY seq", (run.workflow,))
    return [
        Trial(row["seq"], run.workflow, run.mode, row["kind"], row["note"], row["at"], bool(row["wrote"]))
        for row in rows
    ]


def kinds(db: Connection, workflow: str) -> set[str]:
    """What came of that run."""
    return {row[0] for row in db.execute("SELECT kind FROM trials WHERE workflow = ?", (workflow,))}


def of_version(db: Connection, who: tuple[str, str], capability: str, version: int, most: int) -> list[Tried]:
    """The newest runs that a version of it was tried on."""
    rows = db.execute(
        "SELECT * FROM tried WHERE tenant = ? AND agent = ? AND capability = ? AND version = ? ORDER BY at DESC LIMIT ?",
        (*who, capability, version, most),
    )
    return [Tried(**row) for row in rows]
