"""Runs: one row per workflow id, written when a run is observed and when it ends."""

from __future__ import annotations

import json
from dataclasses import dataclass

from tenure.run import Outcome, Record, RunRequest, Snapshot, Status
from tenure.runtime.store.connection import Connection
from tenure.wire import JsonObject

DDL = (
    """CREATE TABLE runs (
        workflow TEXT PRIMARY KEY, tenant TEXT NOT NULL, agent TEXT NOT NULL, fingerprint TEXT NOT NULL,
        user TEXT, role TEXT, state TEXT NOT NULL, trace TEXT NOT NULL DEFAULT '{}', status TEXT NOT NULL,
        stop_reason TEXT, message TEXT NOT NULL DEFAULT '',
        iterations INTEGER NOT NULL DEFAULT 0, calls INTEGER NOT NULL DEFAULT 0, tokens INTEGER NOT NULL DEFAULT 0,
        cost INTEGER NOT NULL DEFAULT 0, started_at INTEGER NOT NULL, finished_at INTEGER,
        outcome TEXT, first_run TEXT NOT NULL DEFAULT '') WITHOUT ROWID""",
    "CREATE INDEX runs_by_time ON runs (started_at)",
)


@dataclass(frozen=True)
class RunRow:
    """A run as the store knows it. Times in milliseconds, cost in micro-dollars."""

    workflow: str
    tenant: str
    agent: str
    fingerprint: str
    user: str | None
    role: str | None
    state: str
    trace: str
    status: str
    stop_reason: str | None
    message: str
    iterations: int
    calls: int
    tokens: int
    cost: int
    started_at: int
    finished_at: int | None
    outcome: str | None = None
    first_run: str = ""

    @property
    def carrier(self) -> dict[str, str]:
        """The caller's trace context."""
        return json.loads(self.trace)

    @property
    def initial_state(self) -> JsonObject:
        """The state the run began with."""
        return json.loads(self.state)


def observe(
    db: Connection, workflow: str, request: RunRequest, snapshot: Snapshot, at: int, first_run: str = ""
) -> None:
    """A run begins, or goes on under another fingerprint; a second attempt changes nothing."""
    db.execute(
        "INSERT INTO runs (workflow, tenant, agent, fingerprint, user, role, state, trace, status, started_at, first_run)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'running', ?, ?) ON CONFLICT (workflow) DO UPDATE SET"
        " fingerprint = excluded.fingerprint, first_run = CASE WHEN runs.outcome IS NULL AND excluded.first_run <> ''"
        " THEN excluded.first_run ELSE runs.first_run END",
        (
            workflow, request.tenant, request.agent, snapshot.fingerprint, request.user, request.role,
            json.dumps(request.state), json.dumps(request.trace), at, first_run,
        ),
    )  # fmt: skip


def earlier(db: Connection, workflow: str, first_run: str) -> Outcome | None:
    """How an earlier run of the same id ended, which Temporal has forgotten; None when this one is the only one."""
    row = db.execute(
        "SELECT outcome FROM runs WHERE workflow = ? AND first_run NOT IN (?, '') AND outcome IS NOT NULL",
        (workflow, first_run),
    ).fetchone()
    return None if row is None else Outcome.model_validate_json(row[0])


def waiting(db: Connection, workflow: str, waits: bool) -> None:
    """A run waits for a person, or goes on."""
    status = Status.WAITING if waits else Status.RUNNING
    db.execute("UPDATE runs SET status = ? WHERE workflow = ? AND finished_at IS NULL", (status, workflow))


def waiting_now(db: Connection, tenant: str, agent: str) -> list[str]:
    """The runs of an agent of a tenant (`*`: all of them) that wait for a person or for an operator."""
    rows = db.execute(
        "SELECT workflow FROM runs WHERE status = 'waiting' AND finished_at IS NULL AND (?1 = '*' OR tenant = ?1)"
        " AND (?2 = '*' OR agent = ?2)",
        (tenant, agent),
    )
    return [row[0] for row in rows]


def finish(db: Connection, workflow: str, record: Record) -> None:
    """A run ended; a run that was refused before it was observed is kept as well. An earlier run of this id stands."""
    outcome = record.outcome
    db.execute(
        "INSERT INTO runs"
        " (workflow, tenant, agent, fingerprint, user, role, state, status, started_at, first_run)"
        " VALUES (?, ?, ?, ?, ?, ?, '{}', 'running', ?, ?) ON CONFLICT DO NOTHING",
        (
            workflow, record.tenant, record.agent, outcome.fingerprint, record.user, record.role, outcome.started_at,
            record.first_run,
        ),
    )  # fmt: skip
    db.execute(
        "UPDATE runs SET status = ?, stop_reason = ?, message = ?, iterations = ?, calls = ?, tokens = ?, cost = ?,"
        " finished_at = ?, outcome = ?, first_run = ? WHERE workflow = ? AND (first_run IN ('', ?) OR outcome IS NULL)",
        (
            outcome.status, outcome.stop_reason, outcome.message, outcome.iterations, outcome.calls, outcome.usage.total,
            outcome.cost, outcome.finished_at, outcome.model_dump_json(), record.first_run, workflow,
            record.first_run,
        ),
    )  # fmt: skip


def get(db: Connection, workflow: str) -> RunRow | None:
    """The run of that workflow id."""
    row = db.execute("SELECT * FROM runs WHERE workflow = ?", (workflow,)).fetchone()
    return None if row is None else RunRow(**row)


def named(db: Connection, part: str) -> tuple[int, list[str]]:
    """How many workflow ids begin with `part`, or without a colon in it have a last part that begins or ends so, and the newest
    three."""
    whole = "?1" if ":" in part else "tenant || ':run:' || agent || ':' || ?1"
    ends = "" if ":" in part else " OR substr(workflow, length(workflow) - length(?1) + 1) = ?1"
    rows = db.execute(
        f"SELECT workflow, count(*) OVER () FROM runs WHERE substr(workflow, 1, length({whole})) = {whole}{ends}"
        " ORDER BY started_at DESC LIMIT 3",
        (part,),
    ).fetchall()
    return rows[0][1] if rows else 0, [row[0] for row in rows]


def tenants(db: Connection) -> list[str]:
    """Every tenant that ever had a run."""
    return [row[0] for row in db.execute("SELECT DISTINCT tenant FROM runs ORDER BY tenant")]


def recent(
    db: Connection, *, agent: str | None, tenant: str | None, status: str | None, since: int, limit: int
) -> list[RunRow]:
    """Runs that match, the newest first."""
    rows = db.execute(
        "SELECT * FROM runs WHERE started_at >= ?1 AND (?2 IS NULL OR agent = ?2) AND (?3 IS NULL OR tenant = ?3)"
        " AND (?4 IS NULL OR status = ?4) ORDER BY started_at DESC LIMIT ?5",
        (since, agent, tenant, status, limit),
    )
    return [RunRow(**row) for row in rows]
