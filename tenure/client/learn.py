"""Learning from outside: what was learned, how far each capability has come, and what people want of it."""

from __future__ import annotations

import asyncio
import difflib
import secrets
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from temporalio.service import RPCError

from tenure.client.connected import Connected
from tenure.errors import BadInput, NotFound, NotServed
from tenure.learn.capability import Capability
from tenure.learn.induction import Induced, Refused, induce
from tenure.learn.reading import Found, Mine, Mined
from tenure.learn.recording import Recording
from tenure.learn.rollout import ENDS
from tenure.runtime import keys, schedules
from tenure.runtime.learning import MOST
from tenure.runtime.packs import Pack, claimed_packer, sign
from tenure.runtime.store import Connection, agents, capabilities, recordings, trials
from tenure.runtime.store.capabilities import LOST, ChangeRow, Kept, RolloutRow
from tenure.runtime.store.trials import Kind, Trial, Tried
from tenure.runtime.temporal import WORKFLOW_TASK

What: TypeAlias = Literal["pause", "resume", "roll_back", "retire", "reopen"]
NARROWS = ("pause", "roll_back", "retire")
SHOWN = 20  # runs that it was tried on
CAME: dict[Kind, str] = {
    "finished": "finished",
    "left": "left to Claude",
    "failed": "failed",
    "in_doubt": "in doubt",
    "breach": "went beyond what was approved",
    "good": "called good",
    "bad": "called bad",
    "unsafe": "called unsafe",
}


@dataclass(frozen=True)
class Known:
    """A capability in its newest version: how far it has come, what became of it, and the newest runs that version was tried on.

    `trials` are what came of those runs, in order.
    """

    kept: Kept
    rollout: RolloutRow | None
    changes: list[ChangeRow]
    tried: list[Tried]
    trials: list[Trial]

    def came_of(self, run: Tried) -> list[str]:
        """What came of one of its runs, in words."""
        return [
            f"{CAME[one.kind]}: {one.note}" if one.note else CAME[one.kind]
            for one in self.trials
            if one.workflow == run.workflow
        ]


@dataclass(frozen=True)
class Learn:
    """The facet `system.learn`."""

    system: Connected

    async def mine(self, agent: str, tenant: str | None = None, *, again: Sequence[str] = ()) -> Mined:
        """Look for patterns in the runs of an agent now, and wait for what is found. Raises NotServed where no worker serves it.

        `again` are capabilities that ended: where the same is found, it is proposed anew, as another version.
        """
        return await self._execute(
            Mine(agent=agent, tenant=tenant, again=list(again)), f"patterns in the runs of {agent}, by hand"
        )

    async def unpack(self, agent: str, pack: str, tenant: str = "default") -> Found:
        """Propose what a pack holds for an agent of a tenant: it is tested on the runs of this place, and then people are asked.

        Raises NotServed where no worker serves the agent, BadInput for a pack that is not taken in: nothing of it is kept.
        """
        claimed_packer(pack)  # what is none at all goes no further
        mined = await self._execute(Mine(agent=agent, tenant=tenant, pack=pack), f"a pack for {agent}")
        [found] = mined.found
        if found.what == "refused":
            raise BadInput(found.why)
        return found

    def pack(self, known: Known, principal: str) -> str:
        """The capability as one text, signed with the local key of `principal`. Raises NotFound where there is none."""
        made = Pack(capability=Capability.model_validate_json(known.kept.body), by=principal, at=_now())
        return sign(made, keys.load(self.system.settings.home / "keys", principal))

    async def _execute(self, ask: Mine, told: str) -> Mined:
        store = self.system.require_store()
        queue = await store.read(lambda db: agents.queue(db, ask.agent, _now()))
        if not queue:
            raise NotServed(f"no worker serves an agent {ask.agent!r} now: `tenure worker --agents ...` does")
        return await self.system.temporal.execute_workflow(
            schedules.MINER,
            ask,
            id=f"{schedules.schedule_id(ask.agent)}:{secrets.token_hex(4)}",
            task_queue=queue,
            task_timeout=WORKFLOW_TASK,
            result_type=Mined,
            static_summary=told,
        )

    async def every(self, tenant: str | None = None, agent: str | None = None) -> list[tuple[Kept, RolloutRow | None]]:
        """Every capability in its newest version, and how far it has come."""

        def read(db: Connection) -> list[tuple[Kept, RolloutRow | None]]:
            found = capabilities.every(db, tenant, agent)
            return [(one, capabilities.rollout(db, (one.tenant, one.agent), one.id)) for one in found]

        return await self.system.require_store().read(read)

    async def patterns(self, agent: str, tenant: str, minimum: int) -> list[Induced | Refused]:
        """What the verified runs of the agent's newest build have in common, seen from here; nothing is kept.

        `minimum` is how many runs it takes. Raises NotFound where no worker has announced the agent.
        """

        def read(db: Connection) -> list[Recording]:
            builds = agents.fresh(db, agent, _now())
            if not builds:
                raise NotFound(f"no worker serves an agent {agent!r} now: `tenure worker --agents ...` does")
            return [one for build in builds for one in recordings.verified(db, (tenant, agent), build, 0, MOST)]

        found = await self.system.require_store().read(read)
        return await asyncio.to_thread(induce, found, minimum=minimum)

    async def recorded(self, tenant: str, agent: str, since: int = 0) -> tuple[int, int]:
        """How many runs of an agent of a tenant were recorded since then (milliseconds), and how many of them nobody has judged."""
        return await self.system.require_store().read(lambda db: recordings.count(db, (tenant, agent), since))

    async def of(self, name: str, tenant: str | None = None, agent: str | None = None) -> Known:
        """The capability of that id. Raises NotFound, and BadInput where several agents or tenants have one."""
        kept = _one(name, [one for one, _ in await self.every(tenant, agent)])
        who = kept.tenant, kept.agent

        def read(db: Connection) -> Known:
            tried = trials.of_version(db, who, kept.id, kept.version, SHOWN)
            came = [trial for one in tried for trial in trials.of_workflow(db, one)]
            return Known(
                kept, capabilities.rollout(db, who, kept.id), capabilities.changes(db, who, kept.id), tried, came
            )

        return await self.system.require_store().read(read)

    async def order(self, known: Known, what: What, *, by: str, why: str = "") -> None:
        """Tell the rollout. What takes it out of service does so at once, before its workflow has heard of it.

        Raises NotFound where its rollout is over.
        """
        kept, rollout = known.kept, known.rollout
        if rollout is not None and rollout.stage in (*ENDS, LOST):
            raise NotFound(f"the rollout of {kept.id} is over ({rollout.why}): nothing of it is in service")
        if what in NARROWS:
            told = f"{what.replace('_', ' ')} by {by}" + (f": {why}" if why else "")
            store = self.system.require_store()
            await store.transact(
                lambda db: capabilities.stop(db, (kept.tenant, kept.agent), kept.id, kept.version, told)
            )
        try:
            await self.system.temporal.get_workflow_handle(workflow_of(kept)).signal("order", args=[what, by, why])
        except RPCError as error:
            raise NotFound(f"the rollout of {kept.id} is over: nothing of it is in service") from error


def workflow_of(kept: Kept) -> str:
    """The workflow that owns its rollout."""
    return f"{kept.tenant}:capability:{kept.agent}:{kept.id}"


def _one(name: str, known: Iterable[Kept]) -> Kept:
    every = list(known)
    found = [one for one in every if one.id == name]
    if len(found) > 1:
        whose = ", ".join(f"--agent {one.agent} --tenant {one.tenant}" for one in found)
        raise BadInput(f"{name!r} is a capability of several: write one of {whose}")
    if not found:
        near = difflib.get_close_matches(name, [one.id for one in every], 1)
        raise NotFound(
            f"no capability {name!r}: " + (f"did you mean {near[0]!r}?" if near else "`tenure learn` lists them")
        )
    return found[0]


def _now() -> int:
    return round(time.time() * 1000)
