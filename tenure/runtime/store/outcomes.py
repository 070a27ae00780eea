"""Outcomes: what became of an agent's finished runs, as one numbered sequence that its ledger of trust reads on from where it was.

Rules of this file: rows are only added. A run enters once when it ends, and once more with every verdict on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tenure.runtime.store.connection import Connection

DDL = (
    """CREATE TABLE outcomes (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, tenant TEXT NOT NULL, agent TEXT NOT NULL, workflow TEXT NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('finished', 'judged', 'severe')), good INTEGER NOT NULL, source TEXT NOT NULL,
        note TEXT NOT NULL, place INTEGER NOT NULL, at INTEGER NOT NULL)""",
    "CREATE INDEX outcomes_of_agent ON outcomes (tenant, agent, seq)",
    "CREATE UNIQUE INDEX outcomes_finished ON outcomes (workflow) WHERE kind = 'finished'",
    "CREATE INDEX outcomes_of_run ON outcomes (workflow)",
    """CREATE TABLE nudges (
        tenant TEXT NOT NULL, agent TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (tenant, agent)) WITHOUT ROWID""",
)
EVERY_MS = 10_000  # an agent's ledger is told at most this often that there is something to read


@dataclass(frozen=True)
class OutcomeRow:
    """One of them. `place` counts the agent's finished runs up to this one."""

    seq: int
    workflow: str
    kind: Literal["finished", "judged", "severe"]
    good: bool
    source: str
    note: str
    place: int
    at: int


def finished(db: Connection, who: tuple[str, str], workflow: str, at: int) -> bool:
    """A run of `who` (tenant, agent) ended; False when that was known."""
    done = db.execute(
        "INSERT INTO outcomes (tenant, agent, workflow, kind, good, source, note, place, at)"
        " VALUES (?, ?, ?, 'finished', 0, '', '', ?, ?) ON CONFLICT DO NOTHING",
        (*who, workflow, places(db, who) + 1, at),
    )
    return done.rowcount == 1


def judged(
    db: Connection, who: tuple[str, str], workflow: str, source: str, good: bool, severe: bool, note: str, at: int
) -> None:  # fmt: skip
    """Somebody said something of a run that has ended."""
    db.execute(
        "INSERT INTO outcomes (tenant, agent, workflow, kind, good, source, note, place, at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, coalesce((SELECT place FROM outcomes WHERE workflow = ? AND kind = 'finished'), 0), ?)",
        (*who, workflow, "severe" if severe else "judged", good, source, note, workflow, at),
    )


def after(db: Connection, who: tuple[str, str], seq: int, most: int) -> list[OutcomeRow]:
    """The next outcomes of `who` after number `seq`, in order."""
    rows = db.execute(
        "SELECT seq, workflow, kind, good, source, note, place, at FROM outcomes"
        " WHERE tenant = ? AND agent = ? AND seq > ? ORDER BY seq LIMIT ?",
        (*who, seq, most),
    )
    return [OutcomeRow(row[0], row[1], row[2], bool(row[3]), row[4], row[5], row[6], row[7]) for row in rows]


def places(db: Connection, who: tuple[str, str]) -> int:
    """How many runs of `who` have finished."""
    row = db.execute(
        "SELECT place FROM outcomes WHERE tenant = ? AND agent = ? AND kind = 'finished' ORDER BY seq DESC LIMIT 1", who
    ).fetchone()
    return row[0] if row else 0


def is_of_the_agent(db: Connection, workflow: str) -> bool:
    """Whether the run is one that its agent is judged by: others were cancelled, or ended by an outage."""
    found = db.execute("SELECT 1 FROM outcomes WHERE workflow = ? AND kind = 'finished'", (workflow,))
    return found.fetchone() is not None


def last(db: Connection) -> int:
    """The number of the newest outcome of all."""
    return db.execute("SELECT coalesce(max(seq), 0) FROM outcomes").fetchone()[0]


def take_nudge(db: Connection, who: tuple[str, str], at: int) -> bool:
    """Whether the ledger of `who` should be told now; at most every ten seconds."""
    done = db.execute(
        "INSERT INTO nudges VALUES (?, ?, ?) ON CONFLICT (tenant, agent) DO UPDATE SET at = excluded.at"
        " WHERE nudges.at <= excluded.at - ? OR nudges.at > excluded.at",  # the clock went back
        (*who, at, EVERY_MS),
    )
    return done.rowcount == 1


def unread(db: Connection, names: list[str], before: int) -> list[tuple[str, str]]:
    """Whose ledgers (tenant, agent) were last told before that time and have something to read: a word of it may have been lost."""
    marks = ", ".join("?" * len(names))
    rows = db.execute(
        f"SELECT tenant, agent FROM nudges WHERE at < ? AND agent IN ({marks}) AND"
        " (SELECT max(seq) FROM outcomes o WHERE o.tenant = nudges.tenant AND o.agent = nudges.agent) >"
        " coalesce((SELECT read_to FROM ledgers l WHERE l.tenant = nudges.tenant AND l.agent = nudges.agent), 0)",
        (before, *names),
    )
    return [(row[0], row[1]) for row in rows]


def drop_nudge(db: Connection, who: tuple[str, str]) -> None:
    """The ledger was not told after all: it is due at once, and `unread` finds it."""
    db.execute("UPDATE nudges SET at = 0 WHERE tenant = ? AND agent = ?", who)
