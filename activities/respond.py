"""respond and evaluate: what the agent's own functions say of the final answer, and afterwards of the run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from temporalio import activity

from tenure.activities import hooks
from tenure.activities.decide import iteration, resolve
from tenure.activities.pulse import pulse
from tenure.activities.resources import Resources, now
from tenure.client.story import response_of, tool_calls_of
from tenure.errors import HookFailed
from tenure.hooks import ON_RESPONSE, Answer, Evaluate, Evaluated, Evaluation, Hold, Respond, Responded, Rewrite
from tenure.run import STATUS_OF, StopReason
from tenure.runtime import judging
from tenure.runtime.store import Connection, runs, verdicts
from tenure.runtime.store.runs import RunRow
from tenure.spec import AgentSpec
from tenure.transcript import state_of
from tenure.wire import INLINE_LIMIT, JsonObject

FINAL = {StopReason.ANSWERED, StopReason.FINISHED}


@dataclass(frozen=True)
class Responding:
    """The activities `respond` and `evaluate`."""

    to: Resources

    @activity.defn(name="respond")
    async def respond(self, ask: Respond) -> Responded:
        """What `on_response` says of a final answer, once `on_iteration` has heard of the last iteration."""
        with pulse():
            run, agent, rows = await self._found(ask.seq, ask.head)
            state = state_of(rows, run.initial_state)
            try:
                if agent.on_iteration is not None and ask.iteration:
                    told = iteration(run, rows, ask.iteration, STATUS_OF[ask.reason], state, self.to)
                    await hooks.ask(agent, "on_iteration", agent.on_iteration, told)
                if ask.reason not in FINAL:
                    return Responded()
                answer = Answer(hooks.info_of(run), ask.message, tool_calls_of(rows, self.to.blobs), state)
                return _judged(agent, await hooks.choose(agent, "on_response", answer, ON_RESPONSE))
            except HookFailed as error:
                return Responded(broken=str(error))

    @activity.defn(name="evaluate")
    async def evaluate(self, ask: Evaluate) -> Evaluated:
        """The verdict of the agent's `evaluate`, kept beside the run. A hook that fails gives none."""
        with pulse():
            run, agent, rows = await self._found(ask.seq, ask.head)
            if agent.evaluate is None:
                return Evaluated()
            response = response_of(run.workflow, ask.outcome, rows, run.initial_state, self.to.blobs)
            try:
                verdict = _verdict(agent, await hooks.ask(agent, verdicts.EVALUATE, agent.evaluate, response))
            except HookFailed as error:
                return Evaluated(why=str(error))
            good = verdict.good
            if good is not None:
                await self._keep(run, good, verdict.why)
            return verdict

    async def _keep(self, run: RunRow, good: bool, why: str) -> None:
        who = run.tenant, run.agent

        def write(db: Connection) -> str:
            judging.say(db, run, verdicts.EVALUATE, good, why, now())
            return judging.due(db, who, now())

        if due := await self.to.store.transact(write):
            await self.to.nudge(who, due)

    async def _found(self, seq: int, head: str) -> tuple[RunRow, AgentSpec, list[JsonObject]]:
        workflow = activity.info().workflow_id or ""
        found, missing = await self.to.store.read(
            lambda db: (runs.get(db, workflow), self.to.recall.missing(db, workflow, seq))
        )
        run, agent = await resolve(self.to, found, workflow)
        rows = await self.to.recall.rows(self.to.store, activity.client(), workflow, seq, head, missing)
        return run, agent, rows


def _judged(agent: AgentSpec, said: Any) -> Responded:  # Any: one of ON_RESPONSE, or None
    match said:
        case Rewrite(message=message):
            return Responded(rewritten=_message(agent, message))
        case Hold(reason=why):
            return Responded(held=hooks.words(agent, "on_response", why) or "on_response holds it")
        case _:
            return Responded()


def _message(agent: AgentSpec, message: object) -> str:
    said = hooks.words(agent, "on_response", message, INLINE_LIMIT)
    if said != message or len(said.encode()) > INLINE_LIMIT:
        rule = f"a text of at most {INLINE_LIMIT:,} bytes"
        raise HookFailed(f"on_response of {agent.name!r} rewrote the answer to something else than {rule}")
    return said


def _verdict(agent: AgentSpec, said: Any) -> Evaluated:  # Any: not yet validated
    match said:
        case None:
            return Evaluated()
        case bool():
            return Evaluated(good=said)
        case Evaluation(good=bool() as good, note=str() as note):
            return Evaluated(good=good, why=hooks.words(agent, verdicts.EVALUATE, note))
        case _:
            allowed = "None, True, False or Evaluation(good, note)"
            raise HookFailed(f"evaluate of {agent.name!r} returned {said!r:.200}: return {allowed} (tenure.hooks)")
