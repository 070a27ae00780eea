"""Routers: what each agent of each tenant answers from what it has learned. The model is a blob; here is which, and for what.

Rules of this file: one for each agent of a tenant, the newest; it is of the build that it was learned from, and serves no other.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from tenure.runtime.store.connection import Connection

DDL = (
    """CREATE TABLE routers (
        tenant TEXT NOT NULL, agent TEXT NOT NULL, fingerprint TEXT NOT NULL, blob TEXT NOT NULL, answers TEXT NOT NULL,
        why TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (tenant, agent)) WITHOUT ROWID""",
)


@dataclass(frozen=True)
class LearnedAnswer:
    """An answer that many requests had, the newest run that gave it, and what such a run costs (micro-dollars)."""

    text: str
    run: str
    cost: int


@dataclass(frozen=True)
class RouterRow:
    """`blob` is the router's SHA-256, `answers` are its labels'. `why` says why it answers nothing; empty: it may."""

    tenant: str
    agent: str
    fingerprint: str
    blob: str
    answers: dict[str, LearnedAnswer]
    why: str
    at: int


def keep(db: Connection, row: RouterRow) -> None:
    """It takes the place of the one before."""
    told = json.dumps({label: vars(one) for label, one in row.answers.items()})
    db.execute(
        "INSERT INTO routers VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tenant, agent) DO UPDATE SET fingerprint ="
        " excluded.fingerprint, blob = excluded.blob, answers = excluded.answers, why = excluded.why, at = excluded.at",
        (row.tenant, row.agent, row.fingerprint, row.blob, told, row.why, row.at),
    )


def get(db: Connection, tenant: str, agent: str) -> RouterRow | None:
    """The newest."""
    row = db.execute("SELECT * FROM routers WHERE tenant = ? AND agent = ?", (tenant, agent)).fetchone()
    if row is None:
        return None
    answers = {label: LearnedAnswer(**one) for label, one in json.loads(row["answers"]).items()}
    return RouterRow(row["tenant"], row["agent"], row["fingerprint"], row["blob"], answers, row["why"], row["at"])
