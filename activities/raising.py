"""raise_budget: people have approved that a run may spend more; their signatures are looked at again before it may."""

from __future__ import annotations

from dataclasses import dataclass

from temporalio import activity

from tenure.activities.resources import Resources, now, refuse
from tenure.approvals.request import Kind
from tenure.errors import AnswerRefused
from tenure.optimize import money
from tenure.optimize.budget import Scope
from tenure.run import Raise
from tenure.runtime import approving
from tenure.runtime.store import Connection, charges


@dataclass(frozen=True)
class Raising:
    """The activity `raise_budget`."""

    to: Resources

    @activity.defn(name="raise_budget")
    async def raise_budget(self, told: Raise) -> None:
        """Add to a cap, for its period, what was approved; the same request once."""
        workflow = activity.info().workflow_id or ""

        def write(db: Connection) -> None:
            asked = approving.approved(db, told.request)
            if asked is None or asked.kind is not Kind.BUDGET or asked.workflow != workflow:
                raise refuse(
                    AnswerRefused(f"no approval {told.request} of more money for this run stands in the store")
                )
            people = approving.who_approved(db, self.to.root, asked, asked.roles, asked.user)
            if len(people) < asked.quorum:
                raise refuse(
                    AnswerRefused(f"{told.request}: of its approvals {len(people)} hold, {asked.quorum} are needed")
                )
            what = asked.payload
            scope = Scope(what["scope"], what["subject"], what["period"], operator=what.get("operator_cap", 0))
            charges.raise_cap(db, asked.id, scope, money.amount(what["add"]), ", ".join(sorted(people)), now())

        await self.to.store.transact(write)
