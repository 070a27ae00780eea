"""observe: find the agent a run names, record its snapshot, write the first row; and answer it at once, where that is known."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

from tenure.activities.resources import Resources, now, refuse
from tenure.errors import BadInput, NotServed
from tenure.run import Observe, Observed, RunRequest, Snapshot
from tenure.runtime import caching, learning
from tenure.runtime.caching import Asked
from tenure.runtime.store import Connection, agents, ledgers, restrictions, runs, transcript
from tenure.spec import AgentSpec
from tenure.transcript import assistant_row, first_row
from tenure.trust.level import MOST
from tenure.turn import Audit, Turn


@dataclass(frozen=True)
class Observing:
    """The activity `observe`."""

    to: Resources

    @activity.defn(name="observe")
    async def observe(self, ask: Observe) -> Observed:
        """The agent's snapshot. Refuses a fingerprint that no worker serves, an empty message and an unknown role.

        A run whose id has ended before, in a history that Temporal no longer keeps, is that run: its end is returned.
        """
        workflow = activity.info().workflow_id or ""
        agent = await self._agent(ask.request, again=ask.again)
        _check_role(agent, ask.request.role)
        snapshot = await self._snapshot(agent, ask.request.tenant)
        row = first_row(ask.request)

        known = await self.to.answers.find(self.to.store, self.to.blobs, agent, ask.request)
        request = ask.request.model_copy(update={"state": {**agent.state, **ask.request.state}})

        def write(db: Connection) -> Observed:
            ended = None if ask.again else runs.earlier(db, workflow, ask.first_run)
            stands = transcript.standing(db, workflow, 0) if ended else None
            if stands is not None and stands[0] != row:
                told = "this idempotency key was used for another message or context: use a new one"
                raise refuse(BadInput(f"{workflow}: {told}"))
            if ended is not None:
                return Observed(ended=ended)
            runs.observe(db, workflow, request, snapshot, now(), ask.first_run)
            if ask.again:
                return Observed(snapshot=snapshot)
            transcript.put(db, workflow, 0, row)
            return _answered(db, agent, Asked(workflow, request, snapshot, now(), random.random(), known))

        return await self.to.store.transact(write)

    async def _snapshot(self, agent: AgentSpec, tenant: str) -> Snapshot:
        """The agent as it is announced, at the level it has earned."""
        told, initial = agent.snapshot(), agent.level
        if initial is None:
            return told
        found = await self.to.store.read(
            lambda db: ledgers.level_for(db, tenant, agent.name, agent.fingerprint, initial)
        )
        return told.model_copy(update={"level": found})

    async def _agent(self, request: RunRequest, again: bool) -> AgentSpec:
        if not again and not request.message and request.message_blob is None:
            raise refuse(BadInput("the message is empty: say what the agent shall do"))
        mine = self.to.registry.agents.get(request.agent)
        wanted = None if again else request.fingerprint
        if mine is not None and wanted in (None, mine.fingerprint):
            return mine
        await raise_elsewhere(self.to, request.agent, wanted, begun=again)
        raise refuse(NotServed(_not_served(request.agent, wanted, mine, sorted(self.to.registry.agents))))


def _answered(db: Connection, agent: AgentSpec, asked: Asked) -> Observed:
    """The run as it begins: answered already, where a rule of the agent has the answer and no operator holds the agent up."""
    snapshot = asked.snapshot
    held = restrictions.standing(db, asked.request.tenant, agent.name)
    if held.halted or held.denied or held.cap != MOST:  # what was answered before may rest on what is denied now
        return Observed(snapshot=snapshot)
    match caching.look(db, agent, asked):
        case Turn() as ready:
            transcript.replace(
                db, asked.workflow, [(1, assistant_row(ready))]
            )  # unless it is told more before it begins
            return Observed(snapshot=snapshot, ready=ready)
        case Audit() as audit:
            return Observed(snapshot=snapshot, audit=audit)
        case None:
            return Observed(snapshot=snapshot, **_learned(db, agent, asked))


def _learned(db: Connection, agent: AgentSpec, asked: Asked) -> dict[str, Any]:  # Any: a field of Observed
    """What makes the run's turns; said only where there is one, because history leaves out what was not set."""
    found = learning.choose(db, agent, asked)
    return {} if found is None else {"learned": found}


async def raise_elsewhere(to: Resources, agent: str, fingerprint: str | None, *, begun: bool) -> None:
    """Raise a retryable failure when another worker serves what this one does not.

    A run that has `begun` waits for a worker that serves its agent, however long there is none: only one that serves the
    same name under another fingerprint may say that the agent was rebuilt.
    """
    served = await to.store.read(lambda db: agents.fresh(db, agent, now()))
    if begun and agent not in to.registry.agents:
        raise ApplicationError(f"this worker does not serve {agent}: waiting for one that does", type="Elsewhere")
    if served and (fingerprint is None or fingerprint in served):
        raise ApplicationError(f"{agent} is served by another worker on this task queue", type="Elsewhere")


def _check_role(agent: AgentSpec, role: str | None) -> None:
    if agent.roles and role not in agent.roles:
        known = ", ".join(map(repr, agent.roles))
        raise refuse(BadInput(f"role={role!r}: {agent.name} takes runs of the roles {known} only (`--role`)"))


def _not_served(name: str, wanted: str | None, mine: AgentSpec | None, known: list[str]) -> str:
    if mine is None:
        return f"no worker serves an agent {name!r}; this one serves {', '.join(known)}: start a worker with --agents for it"
    return f"the worker serves {name}@{mine.fingerprint[:8]}, you have {name}@{(wanted or '')[:8]}: restart the worker"
