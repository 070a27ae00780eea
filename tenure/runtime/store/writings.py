"""Writings: for which runs Claude was asked to write a program, what it answered and what came of it. No answer is paid twice.

Rules of this file: an answer is kept before it is judged and never changed. What has come to an end stays at it: the same runs are
not written of again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from tenure.runtime.store.connection import Connection

DDL = (
    """CREATE TABLE writings (
        tenant TEXT NOT NULL, agent TEXT NOT NULL, fingerprint TEXT NOT NULL, family TEXT NOT NULL, number INTEGER NOT NULL,
        runs INTEGER NOT NULL, newest INTEGER NOT NULL, digest TEXT NOT NULL, shown TEXT NOT NULL, at INTEGER NOT NULL,
        outcome TEXT NOT NULL DEFAULT 'open' CHECK (outcome IN ('open', 'proposed', 'refused')), why TEXT NOT NULL DEFAULT '',
        PRIMARY KEY (tenant, agent, fingerprint, family, number)) WITHOUT ROWID""",
    """CREATE TABLE drafts (
        tenant TEXT NOT NULL, agent TEXT NOT NULL, fingerprint TEXT NOT NULL, family TEXT NOT NULL, number INTEGER NOT NULL,
        round INTEGER NOT NULL, model TEXT NOT NULL, text TEXT NOT NULL, stop TEXT NOT NULL, at INTEGER NOT NULL,
        PRIMARY KEY (tenant, agent, fingerprint, family, number, round)) WITHOUT ROWID""",
)
_OF = "tenant = ? AND agent = ? AND fingerprint = ? AND family = ?"


@dataclass(frozen=True)
class Family:
    """The runs of one build of an agent of a tenant that did the same."""

    tenant: str
    agent: str
    fingerprint: str
    id: str

    @property
    def key(self) -> tuple[str, str, str, str]:
        """As the tables have it."""
        return self.tenant, self.agent, self.fingerprint, self.id


@dataclass(frozen=True)
class Writing:
    """Claude was asked, for the `number`-th time: of `runs` runs, the newest of which ended at `newest`, and was shown these.

    `digest` is that of all the runs. `outcome` is open, proposed or refused, and `why` says why.
    """

    number: int
    runs: int
    newest: int
    digest: str
    shown: Sequence[str]
    at: int
    outcome: str = "open"
    why: str = ""


@dataclass(frozen=True)
class Draft:
    """What `model` answered, and why it stopped."""

    model: str
    text: str
    stop: str


def last(db: Connection, of: Family) -> Writing | None:
    """The newest writing of the family."""
    row = db.execute(
        f"SELECT number, runs, newest, digest, shown, at, outcome, why FROM writings WHERE {_OF} ORDER BY number DESC LIMIT 1",
        of.key,
    ).fetchone()
    if row is None:
        return None
    number, runs, newest, digest, shown, at, outcome, why = row
    return Writing(number, runs, newest, digest, json.loads(shown), at, outcome, why)


def begin(db: Connection, of: Family, new: Writing) -> Writing:
    """A new writing; where one of that number stands, that one."""
    db.execute(
        "INSERT INTO writings (tenant, agent, fingerprint, family, number, runs, newest, digest, shown, at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (*of.key, new.number, new.runs, new.newest, new.digest, json.dumps(list(new.shown)), new.at),
    )
    return last(db, of) or new


def end(db: Connection, of: Family, number: int, outcome: str, why: str) -> None:
    """What came of it; what was told first stands."""
    db.execute(
        f"UPDATE writings SET outcome = ?, why = ? WHERE {_OF} AND number = ? AND outcome = 'open'",
        (outcome, why, *of.key, number),
    )


def keep(db: Connection, of: Family, number: int, round: int, draft: Draft, at: int) -> Draft:
    """The answer to that round; the one that stands wins over a late one."""
    db.execute(
        "INSERT INTO drafts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (*of.key, number, round, draft.model, draft.text, draft.stop, at),
    )
    return draft_of(db, of, number, round) or draft


def draft_of(db: Connection, of: Family, number: int, round: int) -> Draft | None:
    """What Claude answered in that round."""
    row = db.execute(
        f"SELECT model, text, stop FROM drafts WHERE {_OF} AND number = ? AND round = ?", (*of.key, number, round)
    ).fetchone()
    return None if row is None else Draft(*row)
