"""One attempt at a tool call: everything it needs to know, looked up once and checked against what was ruled on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity

from tenure.activities.resources import now, refuse
from tenure.approvals.digest import call_digest, effect_key
from tenure.errors import Refused
from tenure.run import Effect
from tenure.runtime.store import Connection, effects, runs, transcript
from tenure.runtime.store.runs import RunRow
from tenure.spec import AgentSpec
from tenure.tools import Tool
from tenure.transcript import calls_made, state_of
from tenure.turn import Act
from tenure.wire import JsonObject

STARTS = 10  # starts of an idempotent tool that may vanish without a word


@dataclass(frozen=True)
class Job:
    """One attempt. `block` is the tool_use block with the input the call is made with; `taint` says why its origin asks.

    After `lasts` milliseconds the attempt is given up.
    """

    ask: Act
    workflow: str
    seq: int
    run: RunRow
    agent: AgentSpec
    tool: Tool
    block: JsonObject
    key: str
    token: str
    state: JsonObject
    number: int  # of this attempt, from 1
    taint: str = ""
    lasts: int = 0

    @property
    def repeatable(self) -> bool:
        """Whether a failed attempt may simply be made again."""
        return self.tool.effect is Effect.READ or self.tool.idempotent

    @property
    def who(self) -> tuple[str, str]:
        """Whose calls are counted together: the tenant and the agent."""
        return self.run.tenant, self.agent.name

    @property
    def doubt(self) -> str:
        """Why a person must have looked at the call itself."""
        return "a person has edited this call" if self.ask.edited is not None else self.ask.doubt

    def start(self) -> effects.Start:
        """What the effect record is told."""
        return effects.Start(
            key=self.key,
            workflow=self.workflow,
            seq=self.seq,
            tool=self.tool.name,
            digest=self.ask.digest,
            token=self.token,
            at=now(),
            idempotent=self.tool.idempotent,
            most=STARTS,
            resolved=self.ask.resolved,
            generation=self.ask.generation,
            policy=self.agent.fingerprint,
            fence=self.ask.fence,
            request=self.ask.request,
        )


@dataclass(frozen=True)
class Found:
    """What the store has of the run and of the rows around the call."""

    run: RunRow | None
    turn: JsonObject | None
    stands: JsonObject | None
    deltas: list[JsonObject]


def look(db: Connection, workflow: str, ask: Act, seq: int) -> Found:
    """Find the run, the turn that asks, and the result that may stand already."""
    turn, stands = transcript.standing(db, workflow, ask.seq), transcript.standing(db, workflow, seq)
    return Found(
        run=runs.get(db, workflow),
        turn=turn[0] if turn else None,
        stands=stands[0] if stands else None,
        deltas=transcript.state_before(db, workflow, ask.state_before),
    )


def job_of(ask: Act, turn: JsonObject, deltas: list[JsonObject], run: RunRow, agent: AgentSpec) -> Job:
    """The attempt that the current activity is. Refuses a call that is not the one ruled on."""
    info = activity.info()
    workflow, seq = run.workflow, ask.seq + 1 + ask.call
    block: JsonObject = calls_made(turn)[ask.call]
    if ask.edited is not None:
        block = {**block, "input": ask.edited}
    bound = call_digest(run.tenant, workflow, seq, block["name"], block["input"])
    if bound != ask.digest or info.activity_type != f"tool.{block['name']}":
        told = f"row {ask.seq} asks for {block['name']!r} with digest {bound[:12]}…: that was not ruled on"
        raise refuse(Refused(told))
    return Job(
        ask=ask,
        workflow=workflow,
        seq=seq,
        run=run,
        agent=agent,
        tool=agent.tool[block["name"]],
        block=block,
        key=effect_key(run.tenant, workflow, seq, bound),
        token=f"{info.workflow_run_id}/{info.activity_id}/{info.attempt}",
        state=state_of(deltas, run.initial_state),
        number=info.attempt,
        taint="" if ask.edited is not None else turn.get("taint", {}).get(str(ask.call), ""),
        lasts=round((info.start_to_close_timeout or timedelta()).total_seconds() * 1000),
    )
