"""Statistics: what became of an agent's runs and of the requests they made, counted from what the other tables hold.

Rules of this file: it only reads.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass

from tenure.approvals.request import Request
from tenure.runtime.store.connection import Connection
from tenure.transcript import tool_calls

RUNS_READ = 2_000  # of the newest runs the transcripts are read


@dataclass(frozen=True)
class Asked:
    """A request about calls, how it ended (empty: it is open), by whom, and how long that took in milliseconds."""

    request: Request
    choice: str
    principal: str
    took: int


@dataclass(frozen=True)
class Used:
    """Of the newest runs: how many they were, how many had read what others wrote, and how often each tool was called."""

    runs: int
    tainted: int
    calls: dict[str, int]


def stops(db: Connection, tenant: str | None, agent: str, since: int) -> dict[str, int]:
    """How many finished runs ended for which reason."""
    rows = db.execute(
        "SELECT stop_reason, count(*) FROM runs WHERE agent = ?1 AND (?2 IS NULL OR tenant = ?2) AND finished_at >= ?3"
        " GROUP BY stop_reason ORDER BY 2 DESC",
        (agent, tenant, since),
    )
    return {row[0]: row[1] for row in rows}


def asked(db: Connection, tenant: str | None, agent: str, since: int) -> list[Asked]:
    """Every request about calls since then, the oldest first."""
    rows = db.execute(
        "SELECT body, choice, principal, closed_at FROM requests WHERE kind = 'tool_call' AND opened_at >= ?2"
        " AND (?1 IS NULL OR tenant = ?1) ORDER BY opened_at",
        (tenant, since),
    )
    found = [(Request.model_validate_json(row[0]), row) for row in rows if json.loads(row[0]).get("agent") == agent]
    return [Asked(request, row[1] or "", row[2] or "", (row[3] or 0) - request.opened_at) for request, row in found]


def used(db: Connection, tenant: str | None, agent: str, since: int) -> Used:
    """What the newest runs called, read from their transcripts."""
    runs = [
        row[0]
        for row in db.execute(
            "SELECT workflow FROM runs WHERE agent = ?1 AND (?2 IS NULL OR tenant = ?2) AND started_at >= ?3"
            " ORDER BY started_at DESC LIMIT ?4",
            (agent, tenant, since, RUNS_READ),
        )
    ]
    calls: Counter[str] = Counter()
    tainted = 0
    for run in runs:
        rows = db.execute("SELECT row, meta FROM transcript WHERE workflow = ? AND meta IS NOT NULL", (run,)).fetchall()
        calls.update(block["name"] for row in rows for block in tool_calls(json.loads(row[0]).get("content", [])))
        tainted += any(json.loads(row[1]).get("tainted", False) for row in rows)
    return Used(len(runs), tainted, dict(calls))
