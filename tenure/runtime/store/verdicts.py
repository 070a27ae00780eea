"""Verdicts: what the world outside an agent says of its finished runs, one row for each run and source.

A source is `evaluate` (the agent's own function), `person:NAME` or `client` (a program). Its later word replaces its earlier
one; what several sources say stays side by side, also where they contradict each other.
"""

from __future__ import annotations

from dataclasses import dataclass

from tenure.runtime.store.connection import Connection

DDL = (
    """CREATE TABLE verdicts (
        workflow TEXT NOT NULL, source TEXT NOT NULL, good INTEGER NOT NULL, note TEXT NOT NULL, at INTEGER NOT NULL,
        PRIMARY KEY (workflow, source)) WITHOUT ROWID""",
    # A tally counts all runs of an agent: without the index each look would read their messages and outcomes as well.
    "CREATE INDEX runs_by_agent ON runs (agent, tenant, finished_at)",
)
EVALUATE, CLIENT = "evaluate", "client"


@dataclass(frozen=True)
class RunVerdict:
    """What one source says of one run, and when it said so (milliseconds). `unsafe`: that something severe happened in it."""

    workflow: str
    source: str
    good: bool
    note: str
    at: int
    unsafe: bool = False

    @property
    def word(self) -> str:
        """It in one word."""
        return "unsafe" if self.unsafe else "good" if self.good else "bad"


@dataclass(frozen=True)
class Tally:
    """How an agent's finished runs were judged. A run counts as bad as soon as one source says so."""

    agent: str
    tenant: str | None
    good: int = 0
    bad: int = 0
    finished: int = 0

    @property
    def judged(self) -> int:
        """Runs of which somebody said something."""
        return self.good + self.bad


def person(name: str) -> str:
    """The source that a person is."""
    return f"person:{name}"


def put(db: Connection, workflow: str, source: str, good: bool, note: str, at: int) -> None:
    """A source judges a run; its earlier word is forgotten."""
    db.execute(
        "INSERT INTO verdicts VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (workflow, source) DO UPDATE SET good = excluded.good, note = excluded.note, at = excluded.at",
        (workflow, source, good, note, at),
    )


def of_run(db: Connection, workflow: str) -> list[RunVerdict]:
    """Every verdict on a run, the oldest first."""
    rows = db.execute(
        "SELECT workflow, source, good, note, at, EXISTS (SELECT 1 FROM outcomes o WHERE o.workflow = v.workflow"
        " AND o.kind = 'severe' AND o.source = v.source AND o.at = v.at) FROM verdicts v WHERE workflow = ? ORDER BY at, source",
        (workflow,),
    )
    return [RunVerdict(row[0], row[1], bool(row[2]), row[3], row[4], bool(row[5])) for row in rows]


def tally(db: Connection, agent: str, tenant: str | None = None, since: int = 0) -> Tally:
    """Of the runs of `agent` that finished since then (milliseconds): how many were judged, and how. None: all tenants."""
    found = tallies(db, agent, tenant, since)
    return Tally(agent, tenant, sum(t.good for t in found), sum(t.bad for t in found), sum(t.finished for t in found))


def tallies(db: Connection, agent: str | None = None, tenant: str | None = None, since: int = 0) -> list[Tally]:
    """The same for every agent and tenant that has finished runs, by name."""
    asked = {"finished_at >= ?": since, "agent = ?": agent, "tenant = ?": tenant}
    only = {fits: value for fits, value in asked.items() if value is not None}
    rows = db.execute(
        "SELECT agent, tenant, count(*) FILTER (WHERE worst = 1), count(*) FILTER (WHERE worst = 0), count(*) FROM ("
        "SELECT agent, tenant, (SELECT min(good) FROM verdicts WHERE verdicts.workflow = runs.workflow) AS worst"
        f" FROM runs WHERE {' AND '.join(only)}) AS judged GROUP BY agent, tenant ORDER BY agent, tenant",
        tuple(only.values()),
    )
    return [Tally(*row) for row in rows]
