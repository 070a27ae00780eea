"""Accounts: what the calls of the model came to, summed up for whoever pays. The calls themselves are in `charges`.

Rules of this file: it only reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from tenure.runtime.store.connection import Connection

USUAL = 20  # runs
BY = {"agent": "agent", "tenant": "tenant", "model": "model", "tier": "tier", "day": "at / 86400000"}  # days since 1970


@dataclass(frozen=True)
class Account:
    """What an agent, tenant, model, tier or day came to. Micro-dollars and tokens.

    `calls` of a model were made; `answered` runs needed none, because a cache knew the answer; `refused` calls fitted no budget.
    `counterfactual` is what all of it would have cost without these caches, and without the cache of prompts: each answer what the
    run cost that it comes from, each prompt as if nothing had been read from that cache, and nothing written to it. `unknown` calls
    were never settled: they count with the most they can have cost, without tokens. `held` is what calls under way may cost.
    """

    name: str
    calls: int
    answered: int
    refused: int
    unknown: int
    cost: int
    held: int
    counterfactual: int
    input: int
    output: int
    cache_read: int
    cache_write: int

    @property
    def saved(self) -> int:
        """What caches have saved; below zero where writing prompts to theirs cost more than reading from it gave back."""
        return self.counterfactual - self.cost

    @property
    def cache_hits(self) -> float:
        """The share of the tokens sent that was read from the cache of prompts, 0 to 1."""
        return self.cache_read / max(self.input + self.cache_read + self.cache_write, 1)


FREE = ("canned", "exact", "similar", "pattern", "capability")  # tiers that ask no model
SUMS = (
    f"sum(CASE WHEN outcome <> 'refused' AND tier NOT IN {FREE} THEN 1 ELSE 0 END),"
    f" sum(CASE WHEN outcome <> 'refused' AND tier IN {FREE} THEN 1 ELSE 0 END),"
    " sum(CASE WHEN outcome = 'refused' THEN 1 ELSE 0 END),"
    " sum(CASE WHEN outcome = 'unknown' THEN 1 ELSE 0 END), sum(cost),"
    " sum(CASE WHEN outcome = 'held' THEN held ELSE 0 END), sum(uncached), sum(input), sum(output), sum(cache_read),"
    " sum(cache_write)"
)


def of_run(db: Connection, workflow: str) -> Account | None:
    """What the calls of one run came to; None where the store knows of none."""
    row = db.execute(f"SELECT agent, {SUMS} FROM charges WHERE workflow = ? GROUP BY agent", (workflow,)).fetchone()
    return None if row is None else Account(*row)


def by(db: Connection, what: str, since: int, tenant: str | None = None) -> list[Account]:
    """What calls since then (milliseconds) came to, by one of `BY`, the dearest first; days in their order."""
    rows = db.execute(
        f"SELECT {BY[what]} AS name, {SUMS} FROM charges"
        " WHERE at >= ?1 AND (?2 IS NULL OR tenant = ?2) GROUP BY name"
        f" ORDER BY {'name' if what == 'day' else 'sum(cost) DESC, name'}",
        (since, tenant),
    )
    return [Account(_day(row[0]) if what == "day" else row[0], *row[1:]) for row in map(tuple, rows)]


def usual(db: Connection, tenant: str, agent: str) -> int:
    """What the agent's last runs that cost anything have cost on average, 0 where there were none."""
    rows = db.execute(
        f"SELECT cost FROM runs WHERE agent = ? AND tenant = ? AND cost > 0 ORDER BY finished_at DESC LIMIT {USUAL}",
        (agent, tenant),
    ).fetchall()
    return sum(row[0] for row in rows) // max(len(rows), 1)


def _day(number: int) -> str:
    return str(date(1970, 1, 1) + timedelta(days=number))
