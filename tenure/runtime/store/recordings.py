"""Recordings: what finished runs teach by, with personal values concealed under a key of their tenant.

Rules of this file: a run is recorded once, when it ends. What is said of it later stands with the verdicts, and is looked up here.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from tenure.learn.recording import Recording
from tenure.runtime.store.connection import Connection

DDL = (
    """CREATE TABLE recordings (
        workflow TEXT PRIMARY KEY, tenant TEXT NOT NULL, agent TEXT NOT NULL, fingerprint TEXT NOT NULL, body TEXT NOT NULL,
        teaches INTEGER NOT NULL, plain INTEGER NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID""",
    "CREATE INDEX recordings_by_time ON recordings (tenant, agent, at)",
    "CREATE TABLE concealing_keys (tenant TEXT PRIMARY KEY, key TEXT NOT NULL) WITHOUT ROWID",
)
KEY_BYTES = 32


@dataclass(frozen=True)
class Said:
    """What a run was asked and answered. `spoke`: it did nothing else, for nobody in particular; `verified`: and that was good."""

    run: str
    request: str
    answer: str
    cost: int
    spoke: bool
    verified: bool


def put(db: Connection, tenant: str, recording: Recording, *, teaches: bool, plain: bool = False) -> None:
    """Keep what the run did. It `teaches` if Claude did it, it ended as it should, and none of its calls failed.

    `plain`: it began as any run of the agent does, and for nobody in particular.
    """
    row = (
        recording.run,
        tenant,
        recording.agent,
        recording.fingerprint,
        recording.model_dump_json(),
        int(teaches),
        int(plain),
        recording.at,
    )
    db.execute("INSERT INTO recordings VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", row)


def get(db: Connection, workflow: str) -> Recording | None:
    """What that run teaches by."""
    row = db.execute("SELECT body FROM recordings WHERE workflow = ?", (workflow,)).fetchone()
    return None if row is None else Recording.model_validate_json(row[0])


def verified(db: Connection, who: tuple[str, str], fingerprint: str, since: int, most: int) -> list[Recording]:
    """What teaches of the newest runs of `who` (tenant, agent) under that fingerprint: somebody called it good, nobody bad."""
    rows = db.execute(
        "SELECT body FROM recordings r WHERE tenant = ? AND agent = ? AND at >= ? AND fingerprint = ? AND teaches = 1"
        " AND (SELECT min(good) FROM verdicts v WHERE v.workflow = r.workflow) = 1 ORDER BY at DESC, workflow LIMIT ?",
        (*who, since, fingerprint, most),
    ).fetchall()
    return [Recording.model_validate_json(row[0]) for row in reversed(rows)]


def said(db: Connection, who: tuple[str, str], fingerprint: str, since: int, most: int) -> list[Said]:
    """What the newest runs of `who` under that fingerprint were asked and answered, oldest first."""
    rows = db.execute(
        "SELECT body, teaches, plain, (SELECT min(good) FROM verdicts v WHERE v.workflow = r.workflow) FROM recordings r"
        " WHERE tenant = ? AND agent = ? AND at >= ? AND fingerprint = ? ORDER BY at DESC, workflow LIMIT ?",
        (*who, since, fingerprint, most),
    ).fetchall()
    return [_said(Recording.model_validate_json(row[0]), bool(row[1]), bool(row[2]), row[3]) for row in reversed(rows)]


def count(db: Connection, who: tuple[str, str], since: int) -> tuple[int, int]:
    """How many runs of `who` were recorded since then, and of how many of them nobody has said anything."""
    row = db.execute(
        "SELECT count(*), coalesce(sum(CASE WHEN EXISTS (SELECT 1 FROM verdicts v WHERE v.workflow = r.workflow)"
        " THEN 0 ELSE 1 END), 0) FROM recordings r WHERE tenant = ? AND agent = ? AND at >= ?",
        (*who, since),
    ).fetchone()
    return row[0], row[1]


def tenants(db: Connection, agent: str, since: int) -> list[str]:
    """Whose runs of the agent were recorded since then."""
    rows = db.execute(
        "SELECT DISTINCT tenant FROM recordings WHERE agent = ? AND at >= ? ORDER BY tenant", (agent, since)
    )
    return [row[0] for row in rows]


def key(db: Connection, tenant: str) -> bytes:
    """The key under which the tenant's personal values are concealed; made when it is first asked for."""
    db.execute(
        "INSERT INTO concealing_keys VALUES (?, ?) ON CONFLICT DO NOTHING", (tenant, secrets.token_hex(KEY_BYTES))
    )
    return bytes.fromhex(db.execute("SELECT key FROM concealing_keys WHERE tenant = ?", (tenant,)).fetchone()[0])


def _said(one: Recording, teaches: bool, plain: bool, worst: int | None) -> Said:
    spoke = plain and not one.steps and bool(one.answer.strip())
    return Said(one.run, one.request, one.answer, one.cost, spoke, spoke and teaches and worst == 1)
