"""Cost: what calls of the model came to, which alerts there were, and what is answered without a call."""

from __future__ import annotations

import difflib
import time
from dataclasses import dataclass

from tenure.client.connected import Connected
from tenure.errors import BadInput, NotFound
from tenure.runtime.store import Connection, cached, charges, epochs
from tenure.runtime.store.cached import RuleAccount
from tenure.runtime.store.charges import Account, Alert
from tenure.trust.pattern import PATTERN


@dataclass(frozen=True)
class Cost:
    """The facet `system.cost`. Amounts in micro-dollars, times in milliseconds since the epoch."""

    system: Connected

    async def accounts(self, by: str = "agent", since: int = 0, tenant: str | None = None) -> list[Account]:
        """What calls since then came to, by `agent`, `tenant`, `model`, `tier` or `day`. Raises BadInput for anything else."""
        if by not in charges.BY:
            raise BadInput(f"by={by!r}: must be one of {', '.join(charges.BY)}")
        return await self.system.require_store().read(lambda db: charges.accounts(db, by, since, tenant))

    async def alerts(self, since: int = 0) -> list[Alert]:
        """Every threshold of a budget that was passed since then, the newest first."""
        return await self.system.require_store().read(lambda db: charges.alerts(db, since))

    async def rules(self, tenant: str | None = None) -> list[RuleAccount]:
        """What each rule of a cache has given again, how many of its answers were audited, how many were wrong."""
        return await self.system.require_store().read(lambda db: cached.rule_accounts(db, tenant))

    async def bump_epoch(self, pattern: str, tenant: str = "default") -> int:
        """What the tools of that pattern read has changed: no answer that rests on it is given again. Returns the new number.

        Raises BadInput for what is no pattern of tools.
        """
        if not pattern or not PATTERN.fullmatch(pattern):
            raise BadInput(f"pattern={pattern!r:.80}: must be a tool, or a pattern of tools such as 'orders*'")
        return await self.system.require_store().transact(lambda db: epochs.bump(db, tenant, pattern))

    async def reopen(self, rule: str, agent: str, tenant: str = "default") -> None:
        """A rule that closed itself gives answers again, audited anew. Raises NotFound where no such rule is closed."""
        who, at = (tenant, agent), round(time.time() * 1000)

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
