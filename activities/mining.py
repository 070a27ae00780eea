"""mine and start_rollout: what the runs of an agent have in common, and how what was learned of it sets out.

What induction learns nothing of may be written by Claude (`activities/writing.py`): where it may, what was found says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from temporalio import activity
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDReusePolicy
from temporalio.common import WorkflowIDConflictPolicy as Conflict

from tenure.activities.pulse import pulse
from tenure.activities.resources import Resources, now
from tenure.errors import AnswerRefused, BadInput
from tenure.learn.capability import Capability
from tenure.learn.config import Learning
from tenure.learn.induction import Refused, induce
from tenure.learn.reading import Found, Mine, Mined, Set
from tenure.learn.recording import Recording
from tenure.learn.rollout import ENDS
from tenure.learn.wording import family
from tenure.learn.written import Proposal, Written, proposal_of
from tenure.runtime import answers, drafting, packing, schedules
from tenure.runtime.learning import MOST
from tenure.runtime.store import Connection, agents, capabilities, recordings
from tenure.runtime.store.capabilities import LOST, Kept, RolloutRow
from tenure.runtime.temporal import AGENT, TENANT, WORKFLOW_TASK
from tenure.spec import AgentSpec

ROLLOUT = "CapabilityRollout"
DEFAULT_TENANT = "default"


@dataclass(frozen=True)
class Mining:
    """The activities of a miner."""

    to: Resources

    @activity.defn(name="mine")
    async def mine(self, ask: Mine) -> Mined:
        """What was found in the runs of each tenant, one tenant's apart from the others'; what is new is kept."""
        with pulse():
            agent = self.to.agent(ask.agent)
            learning = agent.learning or Learning()
            since = now() - learning.patterns.time_window * 1000
            if ask.pack:
                return Mined(found=[await self._of_pack(agent, ask, since)])
            known = await self.to.store.read(lambda db: recordings.tenants(db, agent.name, since))
            mined = Mined()
            for tenant in known if ask.tenant is None else [ask.tenant]:
                found = await self._of_tenant(agent, learning, tenant, since, frozenset(ask.again))
                mined = Mined(found=[*mined.found, *found.found], read=mined.read + found.read)
            return mined

    @activity.defn(name="start_rollout")
    async def start_rollout(self, found: Found) -> None:
        """Set a capability out on its way, once: one that lives is left alone."""
        queue = await self.to.store.read(lambda db: agents.queue(db, found.agent, now()))
        of = {"tenant": found.tenant, "agent": found.agent, "capability": found.capability, "version": found.version}
        await activity.client().start_workflow(
            ROLLOUT,
            Set.model_validate({"of": of, "digest": found.digest}),
            id=f"{found.tenant}:capability:{found.agent}:{found.capability}",
            task_queue=queue or activity.info().task_queue,
            task_timeout=WORKFLOW_TASK,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=Conflict.USE_EXISTING,
            search_attributes=TypedSearchAttributes(
                [SearchAttributePair(AGENT, found.agent), SearchAttributePair(TENANT, found.tenant)]
            ),
            static_summary=f"{found.capability} version {found.version} of {found.agent} for tenant {found.tenant}",
        )

    async def _of_pack(self, agent: AgentSpec, ask: Mine, since: int) -> Found:
        tenant = ask.tenant or DEFAULT_TENANT
        who = tenant, agent.name
        read = await self.to.store.read(lambda db: recordings.verified(db, who, agent.fingerprint, since, MOST))

        def write(db: Connection) -> Found:
            try:
                proposed = packing.unpacked(db, self.to.root, agent, tenant, ask.pack, read)
            except (BadInput, AnswerRefused) as error:
                return Found(tenant=tenant, agent=agent.name, capability="pack", runs=0, what="refused", why=str(error))
            return keep(db, tenant, agent.name, proposed, [proposed.capability.id])  # a person has brought it

        return await self.to.store.transact(write)

    async def _of_tenant(
        self, agent: AgentSpec, learning: Learning, tenant: str, since: int, again: frozenset[str]
    ) -> Mined:
        answers_learned = await answers.learn(self.to.store, self.to.blobs, agent, tenant, since, now())
        beside = [] if answers_learned is None else [answers_learned]
        if not agent.learns:
            return Mined(found=beside)
        who = tenant, agent.name
        await schedules.watch(activity.client(), self.to.store, *who)
        read = await self.to.store.read(lambda db: recordings.verified(db, who, agent.fingerprint, since, MOST))
        pattern = learning.patterns
        share = Fraction(pattern.confidence_threshold)
        proposed = await asyncio.to_thread(induce, read, minimum=pattern.min_occurrences, share=share)
        runs = {run.run: run for run in read}

        def write(db: Connection) -> list[Found]:
            return [
                _refused(db, tenant, agent, one, [runs[run] for run in one.runs], again)
                if isinstance(one, Refused)
                else keep(db, tenant, agent.name, one, again)
                for one in proposed
            ]

        found = await self.to.store.transact(write)
        return Mined(found=[*found, *beside], read=len(read))


def _refused(
    db: Connection, tenant: str, agent: AgentSpec, refused: Refused, runs: list[Recording], again: frozenset[str]
) -> Found:
    """Nothing was induced of the runs; what Claude may write of them, or has written before."""
    id, who = family(runs[0]), (tenant, agent.name)
    newest, rollout = capabilities.get(db, who, id), capabilities.rollout(db, who, id)
    of: dict[str, Any] = {"tenant": tenant, "agent": agent.name, "runs": len(refused.runs)}  # Any: fields of Found
    if newest is not None and newest.fingerprint == agent.fingerprint:
        before = proposal_of(newest.proposal)
        if isinstance(before, Written) and (_is_lost(newest, rollout) or id in again):
            return keep(db, tenant, agent.name, before, again)
        if rollout is not None and rollout.stage not in ENDS:
            told = f"version {rollout.version} is {rollout.stage}"
            return Found(**of, capability=id, what="known", version=newest.version, digest=newest.digest, why=told)
    what = ", ".join(refused.changes) or "no changes"
    wanted, why = drafting.wanted(db, tenant, agent, runs)
    told = f"{refused.why}; {why}" if why else refused.why
    return Found(**of, capability=what, what="refused", why=told, family=id if wanted else "")


def keep(db: Connection, tenant: str, agent: str, proposed: Proposal, again: Collection[str] = frozenset()) -> Found:
    """A new version, where there is none that says the same and none that is on its way; `again` those that ended may come."""
    capability, who = proposed.capability, (tenant, agent)
    many = len(proposed.runs) or len(proposed.unexplained)
    told: dict[str, Any] = {"tenant": tenant, "agent": agent, "capability": capability.id, "runs": many}
    newest = capabilities.get(db, who, capability.id)
    rollout = capabilities.rollout(db, who, capability.id)
    if newest is not None and _says_the_same(newest, proposed):
        over = rollout is not None and rollout.version == newest.version and rollout.stage in ENDS
        if not (over and capability.id in again):
            what = "new" if _is_lost(newest, rollout) else "known"
            why = _ended(capability, rollout) if over and rollout else ""
            return Found(**told, what=what, version=newest.version, digest=newest.digest, why=why)
    if (
        newest is not None
        and rollout is not None
        and rollout.stage not in ENDS
        and newest.fingerprint == capability.fingerprint
    ):
        why = f"version {rollout.version} is {rollout.stage}: what was found now waits until that is retired"
        return Found(**told, what="known", version=newest.version, digest=newest.digest, why=why)
    made = capability.model_copy(update={"version": (newest.version if newest else 0) + 1})
    proposal = proposed.model_copy(update={"capability": made})
    capabilities.add(
        db,
        Kept(
            tenant, agent, made.id, made.version, made.digest, made.fingerprint, made.model_dump_json(),
            proposal.model_dump_json(), "", now(),
        ),
    )  # fmt: skip
    return Found(**told, what="new", version=made.version, digest=made.digest)


def _ended(capability: Capability, rollout: RolloutRow) -> str:
    """Why the same program is not proposed again by itself, and how it is."""
    stage, anew = rollout.stage.replace("_", " "), f"tenure learn mine {capability.agent} --again {capability.id}"
    return f"it was {stage} ({rollout.why}), and is not proposed again but by `{anew}`"


def _is_lost(newest: Kept, rollout: RolloutRow | None) -> bool:
    """Whether its worker died before it had set out, or nobody watches over it any more."""
    return rollout is None or rollout.version != newest.version or rollout.stage == LOST


def _says_the_same(newest: Kept, proposed: Proposal) -> bool:
    """Whether it would do the same, whichever runs it was learned from."""
    before = proposal_of(newest.proposal).capability
    beside = {"version", "provenance"}
    return before.model_dump(exclude=beside) == proposed.capability.model_dump(exclude=beside)
