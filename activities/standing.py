"""standing: what is restricted for an agent now, for a run that waits for it to be over."""

from __future__ import annotations

from dataclasses import dataclass

from temporalio import activity

from tenure.activities.resources import Resources
from tenure.run import Subject
from tenure.runtime.store import Connection, ledgers, runs
from tenure.trust.restrictions import Standing


@dataclass(frozen=True)
class Watching:
    """The activity `standing`."""

    to: Resources

    @activity.defn(name="standing")
    async def standing(self, subject: Subject) -> Standing:
        """What holds now; a run that is halted is listed as waiting."""
        workflow = activity.info().workflow_id or ""

        def look(db: Connection) -> Standing:
            found = ledgers.standing(db, subject.tenant, subject.agent)
            runs.waiting(db, workflow, waits=bool(found.halted))
            return found

        return await self.to.store.transact(look)
