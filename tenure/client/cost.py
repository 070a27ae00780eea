"""Cost: what calls of the model came to, and which alerts there were."""

from __future__ import annotations

from dataclasses import dataclass

from tenure.client.connected import Connected
from tenure.errors import BadInput
from tenure.runtime.store import charges
from tenure.runtime.store.charges import Account, Alert


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
