"""Calls of the model at noon of one day, held in the scopes of whoever makes them."""

from __future__ import annotations

from tenure.optimize.budget import Budget, Spender, scopes
from tenure.runtime.store import Connection, charges
from tenure.runtime.store.charges import Call, Short

NOON = 1_795_262_400_000  # 2026-11-21 12:00 UTC
DAY = 24 * 3600_000
LIVES = 60_000  # milliseconds of a hold
WHO = Spender(tenant="acme", agent="desk", workflow="run1", user="alice")
FREE = Budget()


def call(key: str, amount: int, at: int = NOON, who: Spender = WHO) -> Call:
    return Call(
        key=key, workflow=who.workflow, tenant=who.tenant, agent=who.agent, user=who.user, model="claude-sonnet-5-5",
        tier="model", seq=1, prices="1", held=amount, at=at, expires_at=at + LIVES,
    )  # fmt: skip


def held(
    db: Connection, key: str, amount: int, at: int = NOON, who: Spender = WHO, budget: Budget = FREE
) -> Short | None:
    """In which scope the call does not fit; None: it is held."""
    return charges.hold(db, call(key, amount, at, who), scopes(budget, who, at))
