"""Cost: what calls of the model came to, what operators let tenants spend, and what is answered without a call."""

from __future__ import annotations

import difflib
import time
from dataclasses import dataclass

from tenure.client import toolbox, waking
from tenure.client.connected import Connected
from tenure.client.runs import NAME
from tenure.client.waking import Woken
from tenure.errors import BadInput, NotFound
from tenure.optimize import money
from tenure.optimize.budget import Scope, days
from tenure.optimize.money import Dollars
from tenure.runtime.store import Connection, accounts, alerts, approvals, cached, caps, charges, epochs, runs
from tenure.runtime.store.accounts import Account
from tenure.runtime.store.alerts import Alert
from tenure.runtime.store.cached import RuleAccount
from tenure.runtime.store.caps import Cap, Capped
from tenure.runtime.store.charges import Total
from tenure.trust.pattern import PATTERN

NONE = "none"  # the word that lifts a cap


@dataclass(frozen=True)
class Standing:
    """An operator's cap, and what there is of it in this day or month: spent, held, and added by people."""

    cap: Cap
    now: Total


@dataclass(frozen=True)
class Capping:
    """The caps of a tenant that are in force now, and what became of the runs that waited for others."""

    in_force: list[Standing]
    woken: Woken


@dataclass(frozen=True)
class Cost:
    """The facet `system.cost`. Amounts in micro-dollars, times in milliseconds since the epoch."""

    system: Connected

    async def accounts(self, by: str = "agent", since: int = 0, tenant: str | None = None) -> list[Account]:
        """What calls since then came to, by `agent`, `tenant`, `model`, `tier` or `day`. Raises BadInput for anything else."""
        if by not in accounts.BY:
            raise BadInput(f"by={by!r}: must be one of {', '.join(accounts.BY)}")
        return await self.system.require_store().read(lambda db: accounts.by(db, by, since, tenant))

    async def alerts(self, since: int = 0, tenant: str | None = None) -> list[Alert]:
        """Every threshold of a budget that was passed since then, the newest first, and whether the webhook has taken it."""
        return await self.system.require_store().read(lambda db: alerts.since(db, since, tenant))

    async def cap(
        self, tenant: str, *, daily: Dollars | None = None, monthly: Dollars | None = None, by: str
    ) -> Capping:
        """Let a tenant spend so many dollars in a day, in a month (UTC), whatever its agents' budgets say; "none" lifts a cap.

        Bites at the next call of the model; what is left out stays as it is. The runs that wait for a cap that is not in force any
        more are woken. Raises BadInput for a name that no tenant can have, ConfigError for an amount that is none.
        """
        if not NAME.fullmatch(tenant):
            raise BadInput(f"tenant={tenant!r}: must match {NAME.pattern}")
        given: dict[Capped, Dollars | None] = {"tenant/day": daily, "tenant/month": monthly}
        wanted: dict[Capped, int | None] = {
            scope: _amount(scope, told) for scope, told in given.items() if told is not None
        }
        if not wanted:
            raise BadInput(f"no cap is given for tenant {tenant!r}: say daily or monthly, in dollars, or {NONE!r}")
        at = _now()

        def write(db: Connection) -> tuple[list[Standing], list[str]]:
            for scope, amount in wanted.items():
                caps.put(db, tenant, scope, amount, by, at)
            return _standing(db, at, tenant), _waiting_in_vain(db, tenant)

        in_force, waiting = await self.system.require_store().transact(write)
        return Capping(in_force, await waking.wake(self.system.temporal, waiting))

    async def caps(self) -> list[Standing]:
        """Every cap that operators have set, with what there is of it now."""
        at = _now()
        return await self.system.require_store().read(lambda db: _standing(db, at))

    async def doubts(self, tenant: str, pattern: str = "*") -> list[str]:
        """What could not be looked up of a tenant, or of a pattern of tools, in words: what is said of it may be about nobody."""
        store = self.system.require_store()
        known, unnamed = await store.read(lambda db: (runs.tenants(db), toolbox.doubt(db, pattern)))
        near = difflib.get_close_matches(tenant, known, 1)
        hint = f": did you mean {near[0]!r}?" if near else ""
        told = [f"no run of a tenant {tenant!r} is known here{hint}"] if tenant not in known else []
        return [*told, unnamed] if unnamed else told

    async def rules(self, tenant: str | None = None) -> list[RuleAccount]:
        """What each rule of a cache has given, how much of that was called bad, how many answers were audited, how many wrong."""
        return await self.system.require_store().read(lambda db: cached.rule_accounts(db, tenant))

    async def bump_epoch(self, pattern: str, tenant: str = "default") -> None:
        """What the tools of that pattern read has changed: no result and no answer that rests on it is given again.

        Raises BadInput for what is no pattern of tools.
        """
        if not pattern or not PATTERN.fullmatch(pattern):
            raise BadInput(f"pattern={pattern!r:.80}: must be a tool, or a pattern of tools such as 'orders*'")
        await self.system.require_store().transact(lambda db: epochs.bump(db, tenant, [pattern]))

    async def reopen(self, rule: str, agent: str, tenant: str = "default") -> None:
        """A rule that closed itself gives answers again, audited anew. Raises NotFound where no such rule is closed."""
        who, at = (tenant, agent), _now()

        def write(db: Connection) -> set[str]:
            known = cached.closed(db, who)
            cached.reopen_rule(db, who, rule, at)
            return known

        known = await self.system.require_store().transact(write)
        if rule not in known:
            near = difflib.get_close_matches(rule, known, 1)
            told = (
                f": did you mean {near[0]!r}?"
                if near
                else "; none is"
                if not known
                else f"; there is {sorted(known)[0]!r}"
            )
            raise NotFound(f"no rule {rule!r} of {agent} for tenant {tenant} is closed{told}")


def _waiting_in_vain(db: Connection, tenant: str) -> list[str]:
    """The runs that ask people to add to a cap which is not in force any more: also those that an earlier change did not reach."""
    in_force = {cap.id for cap in caps.in_force(db)}
    asked = ((one.workflow, one.payload.get("operator_cap")) for one in approvals.about_budgets(db, tenant))
    return [workflow for workflow, cap in asked if cap and cap not in in_force]


def _amount(scope: Capped, told: Dollars) -> int | None:
    if told == NONE:
        return None
    return money.read("daily" if scope == "tenant/day" else "monthly", told)


def _standing(db: Connection, at: int, tenant: str | None = None) -> list[Standing]:
    day, month = days(at)
    return [
        Standing(cap, charges.total(db, Scope(cap.scope, cap.tenant, period, cap.amount, operator=cap.id)))
        for cap in caps.in_force(db)
        if tenant in (None, cap.tenant)
        for period in (day if cap.scope == "tenant/day" else month,)
    ]


def _now() -> int:
    return round(time.time() * 1000)
