"""Cost: what calls of the model came to, what is spent of today's and this month's budgets, and which alerts there were."""

from __future__ import annotations

import time
from dataclasses import dataclass

from tenure.client.connected import Connected
from tenure.errors import BadInput
from tenure.optimize.budget import days
from tenure.runtime.store import charges
from tenure.runtime.store.charges import Account, Alert, Bounded


@dataclass(frozen=True)
class Cost:
    """The facet `system.cost`. Amounts in micro-dollars, times in milliseconds since the epoch."""

    system: Connected

    async def accounts(self, by: str = "agent", since: int = 0, tenant: str | None = None) -> list[Account]:
        """What calls since then came to, by `agent`, `tenant`, `model`, `tier` or `day`. Raises BadInput for anything else."""
        if by not in charges.BY:
            raise BadInput(f"by={by!r}: must be one of {', '.join(charges.BY)}")
        return await self.system.require_store().read(lambda db: charges.accounts(db, by, since, tenant))

    async def current(self) -> list[Bounded]:
        """What is spent and held in the scopes of today and of this month, the most first."""
        today = days(round(time.time() * 1000))
        return await self.system.require_store().read(lambda db: charges.current(db, today))

    async def alerts(self, since: int = 0) -> list[Alert]:
        """Every threshold of a budget that was passed since then, the newest first."""
        return await self.system.require_store().read(lambda db: charges.alerts(db, since))
