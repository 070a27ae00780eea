"""Cached answers: what runs were asked, what they answered, and what came of giving that again.

Rules of this file: a row is opened when a run begins, and gives nothing before its answer was let in. It belongs to one partition:
two tenants, agents, roles or states never share one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from tenure.runtime.store.connection import Connection, Row

DDL = (
    """CREATE TABLE cached_answers (
        workflow TEXT PRIMARY KEY, tenant TEXT NOT NULL, agent TEXT NOT NULL, part TEXT NOT NULL, request TEXT NOT NULL,
        signature TEXT NOT NULL, kept TEXT NOT NULL, epochs TEXT NOT NULL, verified INTEGER NOT NULL, answer TEXT,
        cost INTEGER NOT NULL DEFAULT 0, at INTEGER NOT NULL, expires_at INTEGER NOT NULL) WITHOUT ROWID""",
    "CREATE INDEX cached_by_request ON cached_answers (part, request) WHERE answer IS NOT NULL",
    "CREATE INDEX cached_by_signature ON cached_answers (part, signature, at) WHERE answer IS NOT NULL",
    "CREATE INDEX cached_by_end ON cached_answers (expires_at)",
    """CREATE TABLE cache_hits (
        workflow TEXT PRIMARY KEY, tenant TEXT NOT NULL, agent TEXT NOT NULL, rule TEXT NOT NULL, tier TEXT NOT NULL,
        source TEXT NOT NULL, audited INTEGER NOT NULL DEFAULT 0, agreed INTEGER, at INTEGER NOT NULL,
        complained INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID""",
    "CREATE INDEX cache_hits_by_rule ON cache_hits (tenant, agent, rule)",
    """CREATE TABLE closed_rules (
        tenant TEXT NOT NULL, agent TEXT NOT NULL, rule TEXT NOT NULL, why TEXT NOT NULL, at INTEGER NOT NULL,
        reopened_at INTEGER NOT NULL DEFAULT 0, closed INTEGER NOT NULL, PRIMARY KEY (tenant, agent, rule)) WITHOUT ROWID""",
)
CANDIDATES = 50  # the newest requests of one signature that are compared
SWEPT = 100  # rows that are over, at most, which one transaction deletes


@dataclass(frozen=True)
class Entry:
    """A request and its answer. `epochs` are the numbers of the data it may have read; `cost` is what the answer cost."""

    workflow: str
    tenant: str
    agent: str
    part: str
    request: str
    signature: str
    kept: str
    epochs: dict[str, int]
    verified: bool  # it waits for somebody to call it good
    at: int
    expires_at: int
    answer: str | None = None
    cost: int = 0


@dataclass(frozen=True)
class Hit:
    """An answer that was given again, or (`audited`) would have been: by which rule, and from which run."""

    workflow: str
    tenant: str
    agent: str
    rule: str
    tier: str
    source: str
    audited: bool
    at: int


_COLUMNS = "workflow, tenant, agent, part, request, signature, kept, epochs, verified, at, expires_at, answer, cost"


def open_entry(db: Connection, entry: Entry) -> None:
    """A run begins whose answer may be given again."""
    _sweep(db, entry.at)
    db.execute(
        f"INSERT INTO cached_answers ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, 0) ON CONFLICT DO NOTHING",
        (
            entry.workflow, entry.tenant, entry.agent, entry.part, entry.request, entry.signature, entry.kept,
            json.dumps(entry.epochs), int(entry.verified), entry.at, entry.expires_at,
        ),
    )  # fmt: skip


def opened(db: Connection, workflow: str) -> Entry | None:
    """What was opened for that run and has no answer yet."""
    row = db.execute(
        f"SELECT {_COLUMNS} FROM cached_answers WHERE workflow = ? AND answer IS NULL", (workflow,)
    ).fetchone()
    return None if row is None else _entry(row)


def admit(db: Connection, entry: Entry, answer: str, epochs: dict[str, int], cost: int) -> None:
    """The run's answer may be given again; it takes the place of an older one to the same request."""
    db.execute(
        "DELETE FROM cached_answers WHERE part = ? AND request = ? AND answer IS NOT NULL AND at <= ?",
        (entry.part, entry.request, entry.at),
    )
    db.execute(
        "UPDATE cached_answers SET answer = ?, epochs = ?, cost = ? WHERE workflow = ?",
        (answer, json.dumps(epochs), cost, entry.workflow),
    )


def drop(db: Connection, workflow: str) -> None:
    """The answer of that run is not given again."""
    db.execute("DELETE FROM cached_answers WHERE workflow = ?", (workflow,))


def of_request(db: Connection, part: str, request: str, after: int, at: int) -> list[Entry]:
    """Answers to the very same request from between `after` and now, the newest first."""
    return _found(db, "request", (part, request, after, at))


def of_signature(db: Connection, part: str, signature: str, after: int, at: int) -> list[Entry]:
    """Answers to requests that the guards call the same from between `after` and now, the newest first."""
    return _found(db, "signature", (part, signature, after, at))


def note_hit(db: Connection, hit: Hit) -> None:
    """An answer was given again, or is to be audited."""
    db.execute(
        "INSERT INTO cache_hits (workflow, tenant, agent, rule, tier, source, audited, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        (hit.workflow, hit.tenant, hit.agent, hit.rule, hit.tier, hit.source, int(hit.audited), hit.at),
    )


def hit_of(db: Connection, workflow: str) -> Hit | None:
    """What was given again in that run."""
    row = db.execute(
        "SELECT workflow, tenant, agent, rule, tier, source, audited, at FROM cache_hits WHERE workflow = ?",
        (workflow,),
    ).fetchone()
    return None if row is None else Hit(*row)


def note_audit(db: Connection, workflow: str, agreed: bool) -> None:
    """Claude gave the same answer, or another."""
    db.execute("UPDATE cache_hits SET agreed = ? WHERE workflow = ? AND audited = 1", (int(agreed), workflow))


def audits(db: Connection, who: tuple[str, str], rule: str) -> tuple[int, int]:
    """How many hits of a rule of `who` (tenant, agent) were audited since it was last opened, and how many were wrong."""
    return _counted(db, "coalesce(sum(1 - agreed), 0)", "agreed IS NOT NULL", who, rule)


def note_complaint(db: Connection, workflow: str, complained: bool) -> None:
    """Somebody calls what that run was answered with bad, or nobody does any more."""
    db.execute("UPDATE cache_hits SET complained = ? WHERE workflow = ? AND audited = 0", (int(complained), workflow))


def complaints(db: Connection, who: tuple[str, str], rule: str) -> tuple[int, int]:
    """How many answers a rule of `who` (tenant, agent) has given since it was last opened, and how many were called bad."""
    return _counted(db, "coalesce(sum(complained), 0)", "audited = 0", who, rule)


def close_rule(db: Connection, who: tuple[str, str], rule: str, why: str, at: int) -> None:
    """The rule gives nothing to anybody any more, until somebody opens it again."""
    db.execute(
        "INSERT INTO closed_rules (tenant, agent, rule, why, at, closed) VALUES (?, ?, ?, ?, ?, 1)"
        " ON CONFLICT (tenant, agent, rule) DO UPDATE SET why = excluded.why, at = excluded.at, closed = 1",
        (*who, rule, why, at),
    )


def reopen_rule(db: Connection, who: tuple[str, str], rule: str, at: int) -> None:
    """A closed rule gives answers again, audited anew."""
    db.execute(
        "UPDATE closed_rules SET closed = 0, reopened_at = ? WHERE tenant = ? AND agent = ? AND rule = ? AND closed = 1",
        (at, *who, rule),
    )


def closed(db: Connection, who: tuple[str, str]) -> set[str]:
    """The rules of `who` that are closed."""
    rows = db.execute("SELECT rule FROM closed_rules WHERE tenant = ? AND agent = ? AND closed = 1", who)
    return {row[0] for row in rows}


@dataclass(frozen=True)
class RuleAccount:
    """What a rule has done for an agent of a tenant.

    `hits` are the answers that it gave, `complaints` those of them that somebody called bad. Beside these, `audited` ones were
    compared with what Claude said instead, and `wrong` of them differed.
    """

    tenant: str
    agent: str
    rule: str
    hits: int
    complaints: int
    audited: int
    wrong: int
    closed: str  # why; empty while it is open


def rule_accounts(db: Connection, tenant: str | None = None) -> list[RuleAccount]:
    """Every rule that ever had something to give, by tenant and agent."""
    rows = db.execute(
        "SELECT h.tenant, h.agent, h.rule, count(*) - sum(h.audited), sum(h.complained), count(h.agreed),"
        " coalesce(sum(1 - h.agreed), 0),"
        " coalesce((SELECT why FROM closed_rules c WHERE c.tenant = h.tenant AND c.agent = h.agent AND c.rule = h.rule"
        " AND c.closed = 1), '') FROM cache_hits h WHERE (?1 IS NULL OR h.tenant = ?1) GROUP BY h.tenant, h.agent, h.rule"
        " ORDER BY h.tenant, h.agent, h.rule",
        (tenant,),
    )
    return [RuleAccount(*row) for row in rows]


def _counted(db: Connection, bad: str, of: str, who: tuple[str, str], rule: str) -> tuple[int, int]:
    """Hits of a rule since it was last opened: how many of that kind there are, and how many of them are bad."""
    row = db.execute(
        f"SELECT count(*), {bad} FROM cache_hits WHERE tenant = ?1 AND agent = ?2 AND rule = ?3 AND {of} AND at >"
        " coalesce((SELECT reopened_at FROM closed_rules WHERE tenant = ?1 AND agent = ?2 AND rule = ?3), 0)",
        (*who, rule),
    ).fetchone()
    return row[0], row[1]


def _sweep(db: Connection, at: int) -> None:
    """Delete some of what is over, of any tenant."""
    over = "SELECT workflow FROM cached_answers WHERE expires_at <= ? ORDER BY expires_at LIMIT ?"
    db.execute(f"DELETE FROM cached_answers WHERE workflow IN ({over})", (at, SWEPT))


def _found(db: Connection, column: str, asked: tuple[str, str, int, int]) -> list[Entry]:
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM cached_answers WHERE part = ? AND {column} = ? AND answer IS NOT NULL AND at > ? AND at <= ?"
        f" ORDER BY at DESC LIMIT {CANDIDATES}",
        asked,
    )
    return [_entry(row) for row in rows]


def _entry(row: Row) -> Entry:
    told = dict(row)
    return Entry(**{**told, "epochs": json.loads(told["epochs"])})
