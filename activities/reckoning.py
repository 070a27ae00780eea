"""still_short: whether a run that waits for money still has too little, by the same budget or cap as when it began to wait."""

from __future__ import annotations

from dataclasses import dataclass

from temporalio import activity

from tenure.activities.resources import Resources, now
from tenure.optimize.budget import Spender, scopes
from tenure.runtime.store import Connection, charges, runs
from tenure.turn import Shortage


@dataclass(frozen=True)
class Reckoning:
    """The activity `still_short`."""

    to: Resources

    @activity.defn(name="still_short")
    async def still_short(self, told: Shortage) -> bool:
        """False: it is worth trying again, or asking anew. It is also where this worker does not know the agent's budget."""
        workflow = activity.info().workflow_id or ""

        def look(db: Connection) -> bool:
            run = runs.get(db, workflow)
            agent = self.to.registry.serving(run.agent, run.fingerprint) if run else None
            if run is None or agent is None:
                return False
            within = scopes(agent.budget, Spender(run.tenant, run.agent, workflow, run.user), now())
            short = charges.short_of(db, within, told.needed)
            return short is not None and (short.scope.name, short.scope.period, short.scope.operator) == (
                told.scope, told.period, told.operator
            )  # fmt: skip

        return await self.to.store.read(look)
