"""Caps: what an operator lets a tenant spend in a day and in a month, whatever the agents' own budgets say.

Rules of this file: rows are only added and lifted, so that one reads later who allowed what and when. A new amount is a new cap:
what people added to the one before went with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from tenure.optimize.budget import Scope
from tenure.runtime.store.connection import Connection

Capped: TypeAlias = Literal["tenant/day", "tenant/month"]

DDL = (
    """CREATE TABLE caps (
        id INTEGER PRIMARY KEY AUTOINCREMENT, tenant TEXT NOT NULL, scope TEXT NOT NULL, amount INTEGER NOT NULL,
        by TEXT NOT NULL, set_at INTEGER NOT NULL, lifted_at INTEGER, lifted_by TEXT)""",
    "CREATE UNIQUE INDEX caps_in_force ON caps (tenant, scope) WHERE lifted_at IS NULL",
)


@dataclass(frozen=True)
class Cap:
    """What a tenant may spend in each day, or in each month, by whose word and since when. Micro-dollars, milliseconds."""

    id: int
    tenant: str
    scope: Capped
    amount: int
    by: str
    set_at: int


def put(db: Connection, tenant: str, scope: Capped, amount: int | None, by: str, at: int) -> None:
    """Cap what the tenant may spend from now on; None: lift its cap. The same amount again is the same cap."""
    stands = _standing(db, tenant).get(scope)
    if stands is not None and stands.amount == amount:
        return
    db.execute(
        "UPDATE caps SET lifted_at = ?, lifted_by = ? WHERE tenant = ? AND scope = ? AND lifted_at IS NULL",
        (at, by, tenant, scope),
    )
    if amount is not None:
        db.execute(
            "INSERT INTO caps (tenant, scope, amount, by, set_at) VALUES (?, ?, ?, ?, ?)",
            (tenant, scope, amount, by, at),
        )


def bound(db: Connection, scopes: Iterable[Scope]) -> list[Scope]:
    """The scopes as their budgets bound them and, after each that an operator bounds as well, the same with that cap."""
    known: dict[str, dict[str, Cap]] = {}
    found: list[Scope] = []
    for scope in scopes:
        found.append(scope)
        if scope.name not in ("tenant/day", "tenant/month"):
            continue
        if scope.subject not in known:
            known[scope.subject] = _standing(db, scope.subject)
        cap = known[scope.subject].get(scope.name)
        if cap is not None:
            found.append(Scope(scope.name, scope.subject, scope.period, cap.amount, operator=cap.id))
    return found


def in_force(db: Connection) -> list[Cap]:
    """Every cap that is not lifted, by tenant, that of the day first."""
    rows = db.execute(
        "SELECT id, tenant, scope, amount, by, set_at FROM caps WHERE lifted_at IS NULL ORDER BY tenant, scope"
    )
    return [Cap(*row) for row in rows]


def _standing(db: Connection, tenant: str) -> dict[str, Cap]:
    rows = db.execute(
        "SELECT id, tenant, scope, amount, by, set_at FROM caps WHERE tenant = ? AND lifted_at IS NULL", (tenant,)
    )
    return {cap.scope: cap for cap in (Cap(*row) for row in rows)}
