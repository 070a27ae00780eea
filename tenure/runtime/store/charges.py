"""Charges: what every model call may cost, costs and has cost, and what that comes to in each scope with a budget.

Rules of this file: a call is held in all its scopes or in none, and settled once. Holds are kept apart from spend. A hold that
nobody settled in time is spend: the call may have been made. It counts in the period in which it was made, whenever it is settled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tenure.optimize.budget import Scope, Spender, fits
from tenure.runtime.store import caps
from tenure.runtime.store.connection import Connection
from tenure.runtime.store.runs import RunRow
from tenure.turn import Served, Usage

DDL = (
    """CREATE TABLE charges (
        key TEXT PRIMARY KEY, workflow TEXT NOT NULL, tenant TEXT NOT NULL, agent TEXT NOT NULL, user TEXT, model TEXT NOT NULL,
        tier TEXT NOT NULL, seq INTEGER NOT NULL, prices TEXT NOT NULL, held INTEGER NOT NULL, cost INTEGER NOT NULL DEFAULT 0,
        input INTEGER NOT NULL DEFAULT 0, output INTEGER NOT NULL DEFAULT 0, cache_read INTEGER NOT NULL DEFAULT 0,
        cache_write INTEGER NOT NULL DEFAULT 0, uncached INTEGER NOT NULL DEFAULT 0, at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL, settled_at INTEGER,
        outcome TEXT NOT NULL CHECK (outcome IN ('held', 'settled', 'unknown', 'refused'))) WITHOUT ROWID""",
    "CREATE INDEX charges_held ON charges (expires_at) WHERE outcome = 'held'",
    "CREATE INDEX charges_by_time ON charges (at)",
    "CREATE INDEX charges_of_run ON charges (workflow)",
    """CREATE TABLE charge_scopes (
        key TEXT NOT NULL, scope TEXT NOT NULL, subject TEXT NOT NULL, period TEXT NOT NULL,
        PRIMARY KEY (key, scope)) WITHOUT ROWID""",
    """CREATE TABLE totals (
        scope TEXT NOT NULL, subject TEXT NOT NULL, period TEXT NOT NULL, spent INTEGER NOT NULL DEFAULT 0,
        held INTEGER NOT NULL DEFAULT 0, raised INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (scope, subject, period)) WITHOUT ROWID""",
    """CREATE TABLE raises (
        request TEXT PRIMARY KEY, scope TEXT NOT NULL, subject TEXT NOT NULL, period TEXT NOT NULL, amount INTEGER NOT NULL,
        principal TEXT NOT NULL, at INTEGER NOT NULL, cap INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID""",
    "CREATE INDEX raises_of_cap ON raises (cap, period) WHERE cap > 0",
)


@dataclass(frozen=True)
class Call:
    """A model call that is about to be made. `held` is the most that it can cost, in micro-dollars."""

    key: str
    workflow: str
    tenant: str
    agent: str
    user: str | None
    model: str
    tier: str
    seq: int
    prices: str
    held: int
    at: int
    expires_at: int


@dataclass(frozen=True)
class Total:
    """What a scope has spent, what is held of it, and by how much people have raised its cap in this period."""

    spent: int = 0
    held: int = 0
    raised: int = 0


@dataclass(frozen=True)
class Short:
    """A scope in which a call does not fit: for good (`spent`), or until others give back what they hold (`held`)."""

    scope: Scope
    total: Total
    fit: str
    wanted: int

    @property
    def left(self) -> int:
        """What is not spent yet, of the cap as it stands."""
        return (self.scope.cap or 0) + self.total.raised - self.total.spent


@dataclass(frozen=True)
class Settled:
    """What a call has cost, and would have cost without the cache of prompts (`uncached`)."""

    cost: int
    uncached: int
    usage: Usage
    at: int


def total(db: Connection, scope: Scope) -> Total:
    """What there is of a scope now. What people added to an operator's cap is apart from what they added to the agents' budgets."""
    row = db.execute(
        "SELECT spent, held, raised FROM totals WHERE scope = ? AND subject = ? AND period = ?",
        (scope.name, scope.subject, scope.period),
    ).fetchone()
    found = Total() if row is None else Total(*row)
    return replace(found, raised=_added(db, scope)) if scope.operator else found


def hold(db: Connection, call: Call, scopes: Sequence[Scope]) -> Short | None:
    """Hold what the call may cost in all of its scopes, or say in which it does not fit: the one that is spent before others.

    The same key again is the same hold, as long as it is one: a call that was settled is not made again under it. What nobody
    settled in time is settled first.
    """
    if db.execute("SELECT 1 FROM charges WHERE key = ? AND outcome = 'held'", (call.key,)).fetchone() is not None:
        return None
    sweep(db, call.at)
    short = short_of(db, scopes, call.held)
    if short is not None:
        return short
    _insert(db, call, "held")
    for scope in scopes:
        db.execute("INSERT INTO charge_scopes VALUES (?, ?, ?, ?)", (call.key, scope.name, scope.subject, scope.period))
        db.execute(
            "INSERT INTO totals (scope, subject, period, held) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (scope, subject, period) DO UPDATE SET held = totals.held + excluded.held",
            (scope.name, scope.subject, scope.period, call.held),
        )
    return None


def short_of(db: Connection, scopes: Sequence[Scope], amount: int) -> Short | None:
    """In which of the scopes so much does not fit now, by its budget or its operator's cap: one that is spent before one that
    others hold."""
    found = [short for scope in caps.bound(db, scopes) if (short := _short(db, scope, amount)) is not None]
    return next((short for short in found if short.fit == "spent"), found[0] if found else None)


def settle(db: Connection, key: str, told: Settled) -> None:
    """What the call has cost, once: a second time, or after its hold has become spend, nothing happens."""
    used = told.usage
    done = db.execute(
        "UPDATE charges SET outcome = 'settled', cost = ?, uncached = ?, input = ?, output = ?, cache_read = ?, cache_write = ?,"
        " settled_at = ? WHERE key = ? AND outcome = 'held'",
        (told.cost, told.uncached, used.input, used.output, used.cache_read, used.cache_write, told.at, key),
    )
    if done.rowcount:
        _spend(db, key, told.cost)


@dataclass(frozen=True)
class Swept:
    """A call whose hold became spend: whose it was, and when it was held (milliseconds)."""

    who: Spender
    at: int


def is_any_expired(db: Connection, at: int) -> bool:
    """Whether `sweep` would find something to do."""
    found = db.execute("SELECT 1 FROM charges WHERE outcome = 'held' AND expires_at <= ? LIMIT 1", (at,))
    return found.fetchone() is not None


def sweep(db: Connection, at: int) -> list[Swept]:
    """Holds that nobody settled in time become spend, in full: their calls may have been made."""
    swept: list[Swept] = []
    for row in db.execute(
        "SELECT key, held, tenant, agent, workflow, \"user\", at FROM charges WHERE outcome = 'held' AND expires_at <= ?",
        (at,),
    ).fetchall():
        done = db.execute(
            "UPDATE charges SET outcome = 'unknown', cost = held, uncached = held, settled_at = ?"
            " WHERE key = ? AND outcome = 'held'",
            (at, row[0]),
        )
        if done.rowcount:
            _spend(db, row[0], row[1])
            swept.append(Swept(Spender(*row[2:6]), row[6]))
    return swept


def release(db: Connection, key: str, at: int) -> None:
    """The call was certainly not made: nothing of its hold is spent."""
    done = db.execute(
        "UPDATE charges SET outcome = 'settled', settled_at = ? WHERE key = ? AND outcome = 'held'", (at, key)
    )
    if done.rowcount:
        _spend(db, key, 0)


def refuse(db: Connection, call: Call) -> None:
    """The call does not fit a budget, and is not made."""
    if db.execute("SELECT 1 FROM charges WHERE key = ?", (call.key,)).fetchone() is None:
        _insert(db, call, "refused", settled_at=call.at)


def keep_hit(db: Connection, run: RunRow, model: str, served: Served, prices: str, at: int) -> None:
    """A run was answered without Claude: it cost nothing, and stands beside the calls that did."""
    db.execute(
        "INSERT INTO charges (key, workflow, tenant, agent, user, model, tier, seq, prices, held, uncached, at, expires_at,"
        " settled_at, outcome) VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?, 0, ?, ?, ?, ?, 'settled') ON CONFLICT DO NOTHING",
        (
            f"served:{run.workflow}", run.workflow, run.tenant, run.agent, run.user, model, served.tier, prices,
            served.saved, at, at, at,
        ),
    )  # fmt: skip


def raise_cap(db: Connection, request: str, scope: Scope, amount: int, principal: str, at: int) -> None:
    """People have raised the cap of a scope by so much for its period; one request raises it once.

    What was added to an operator's cap counts as long as that very cap is in force, and in no budget of an agent.
    """
    done = db.execute(
        "INSERT INTO raises (request, scope, subject, period, amount, principal, at, cap) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        (request, scope.name, scope.subject, scope.period, amount, principal, at, scope.operator),
    )
    if done.rowcount and not scope.operator:
        db.execute(
            "INSERT INTO totals (scope, subject, period, raised) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (scope, subject, period) DO UPDATE SET raised = totals.raised + excluded.raised",
            (scope.name, scope.subject, scope.period, amount),
        )


def tokens_at(db: Connection, workflow: str, seq: int) -> dict[str, int]:
    """How many tokens the call that made the turn at row `seq` had, prompt and answer, by the model that counted them."""
    rows = db.execute(
        "SELECT model, input + output + cache_read + cache_write FROM charges WHERE workflow = ? AND seq = ?"
        " AND tier IN ('model', 'cheap') AND outcome = 'settled' AND output > 0 ORDER BY at",
        (workflow, seq),
    )
    return {row[0]: row[1] for row in rows}


def _short(db: Connection, scope: Scope, amount: int) -> Short | None:
    found = total(db, scope)
    cap = None if scope.cap is None else scope.cap + found.raised
    fit = fits(cap, found.spent, found.held, amount)
    return None if fit == "fits" else Short(scope, found, fit, amount)


def _added(db: Connection, scope: Scope) -> int:
    found = db.execute(
        "SELECT coalesce(sum(amount), 0) FROM raises WHERE cap = ? AND period = ?", (scope.operator, scope.period)
    )
    return found.fetchone()[0]


def _insert(db: Connection, call: Call, outcome: str, settled_at: int | None = None) -> None:
    db.execute(
        "INSERT INTO charges (key, workflow, tenant, agent, user, model, tier, seq, prices, held, at, expires_at, settled_at,"
        " outcome) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            call.key, call.workflow, call.tenant, call.agent, call.user, call.model, call.tier, call.seq, call.prices,
            call.held, call.at, call.expires_at, settled_at, outcome,
        ),
    )  # fmt: skip


def _spend(db: Connection, key: str, cost: int) -> None:
    """Turn the hold of a charge into spend, in every scope it was held in."""
    (held,) = db.execute("SELECT held FROM charges WHERE key = ?", (key,)).fetchone()
    db.execute(
        "UPDATE totals SET held = held - ?, spent = spent + ? FROM charge_scopes AS c WHERE c.key = ?"
        " AND totals.scope = c.scope AND totals.subject = c.subject AND totals.period = c.period",
        (held, cost, key),
    )
