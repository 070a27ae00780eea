"""decide: the next assistant turn. Fit the transcript, call Claude, record the turn; a turn that stands is not paid twice."""

from __future__ import annotations

import asyncio
import functools
from dataclasses import dataclass
from datetime import timedelta
from typing import NoReturn

from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from tenure.activities.observe import raise_elsewhere
from tenure.activities.pulse import pulse
from tenure.activities.recall import Texts
from tenure.activities.resources import Resources, refuse
from tenure.approvals.digest import digest
from tenure.errors import BadInput, ConfigError, NotServed, Unavailable
from tenure.run import ITERATION_TIMEOUT, Decide, Turn
from tenure.runtime import telemetry as otel
from tenure.runtime.claude import Reply
from tenure.runtime.prices import cost_of
from tenure.runtime.retry import Posture, advise
from tenure.runtime.store import Connection, runs, transcript
from tenure.runtime.store.runs import RunRow
from tenure.spec import AgentSpec
from tenure.transcript import assistant_row, messages, problem_row, state_of, tool_calls
from tenure.wire import JsonObject

TRIES = 3  # attempts that are made at least, however long the first had to wait for a worker


@dataclass(frozen=True)
class Deciding:
    """The activity `decide`."""

    to: Resources

    @activity.defn(name="decide")
    async def decide(self, ask: Decide) -> Turn:
        """The turn that becomes row `ask.seq`. Temporal retries what `retry.advise` calls worth it."""
        workflow = activity.info().workflow_id or ""

        def look(db: Connection) -> tuple[RunRow | None, Turn | None, Texts]:
            missing = self.to.recall.missing(db, workflow, ask.seq)
            return runs.get(db, workflow), _standing(db, workflow, ask.seq, ask.head), missing

        with pulse():
            found, stands, missing = await self.to.store.read(look)
            if stands is not None:
                return stands
            run, agent = await resolve(self.to, found, workflow)
            rows = await self.to.recall.rows(self.to.store, activity.client(), workflow, ask.seq, ask.head, missing)
            return await self._decide(ask, workflow, run, agent, rows)

    async def _decide(self, ask: Decide, workflow: str, run: RunRow, agent: AgentSpec, rows: list[JsonObject]) -> Turn:
        if _is_done(agent, state_of(rows, run.initial_state)):
            return Turn(until=True)
        reply = await self._call(workflow, run, agent, messages(rows, self.to.blobs.get))
        turn = Turn(
            content=reply.content,
            stop=reply.stop,
            problems=_problems(agent, reply),
            usage=reply.usage,
            cost=cost_of(agent.model, reply.usage),
        )
        return await self.to.store.transact(functools.partial(_record, workflow=workflow, ask=ask, turn=turn))

    async def _call(self, workflow: str, run: RunRow, agent: AgentSpec, said: list[JsonObject]) -> Reply:
        attributes = {otel.OPERATION: "chat", otel.MODEL: agent.model, otel.AGENT: agent.name, otel.TENANT: run.tenant}
        with otel.span(f"chat {agent.model}", workflow, run.carrier, attributes) as span:
            try:
                async with asyncio.timeout(agent.timeout):
                    reply = await self.to.claude.reply(agent, said)
            except Exception as error:  # noqa: BLE001  # every class of the client and its transport is judged by one map
                self._raise(error, agent)
            span.set_attribute(otel.INPUT_TOKENS, reply.usage.input)
            span.set_attribute(otel.OUTPUT_TOKENS, reply.usage.output)
            span.set_attribute(otel.FINISH, [reply.stop])
            return reply

    def _raise(self, error: Exception, agent: AgentSpec) -> NoReturn:
        """As a failure that Temporal retries, or does not: the map decides, and the worker's patience."""
        if isinstance(error, TimeoutError):
            told = f"Claude did not answer within timeout={agent.timeout:g} s: raise it on the Agent, or ask for less at once"
            raise ApplicationError(told, type=ITERATION_TIMEOUT, non_retryable=True) from error
        advice = advise(error)
        told = f"Claude: {type(error).__name__}: {str(error)[:2000]}"
        if advice.posture is Posture.STOP or self._is_out_of_patience():
            raise ApplicationError(told, type=type(error).__name__, non_retryable=True) from None
        delay = None if advice.after is None else timedelta(seconds=advice.after)
        # BENIGN: an overloaded Claude is expected, and must not raise the worker's error metrics.
        raise ApplicationError(
            told, type=type(error).__name__, next_retry_delay=delay, category=ApplicationErrorCategory.BENIGN
        ) from None

    def _is_out_of_patience(self) -> bool:
        """Whether the worker has asked often and long enough. Time in which no worker asked does not count alone."""
        info = activity.info()
        waited = (info.started_time - info.scheduled_time).total_seconds()
        return info.attempt > TRIES and waited > self.to.patience


async def resolve(to: Resources, run: RunRow | None, workflow: str) -> tuple[RunRow, AgentSpec]:
    """The run's row and its agent. Raises NotServed (not retryable) when nobody serves that fingerprint any more."""
    if run is None:
        await to.recall.restore(to.store, activity.client(), workflow)
        run = await to.store.read(functools.partial(runs.get, workflow=workflow))
    if run is None:
        raise Unavailable(f"{workflow} is neither in the store {to.store.where} nor in history")
    agent = to.registry.serving(run.agent, run.fingerprint)
    if agent is None:
        await raise_elsewhere(to, run.agent, run.fingerprint, begun=True)
        raise refuse(NotServed(f"no worker serves {run.agent}@{run.fingerprint[:8]} any more"))
    return run, agent


def _standing(db: Connection, workflow: str, seq: int, head: str) -> Turn | None:
    """The turn that stands there, if it followed on the same rows: after a reset another one may stand in its place."""
    found = transcript.standing(db, workflow, seq)
    if found is None or found[1].get("head") != head:
        return None
    row, meta = found
    return Turn.model_validate({**meta, "content": row["content"]})


def _record(db: Connection, workflow: str, ask: Decide, turn: Turn) -> Turn:
    """Keep the turn and the rows of calls that cannot be made; the turn that stands wins over a late one."""
    stands, seq = _standing(db, workflow, ask.seq, ask.head), ask.seq
    if stands is not None:
        return stands
    transcript.cut(db, workflow, seq)  # rows of a branch that a reset has left
    meta = {**turn.model_dump(mode="json", exclude={"content"}), "head": ask.head}
    transcript.put(db, workflow, seq, assistant_row(turn.content), meta)
    calls = tool_calls(turn.content)
    for index, problem in turn.problems.items():
        transcript.put(db, workflow, seq + 1 + index, problem_row(calls[index]["id"], problem))
    return turn


def _is_done(agent: AgentSpec, state: JsonObject) -> bool:
    if agent.until is None:
        return False
    try:
        return bool(agent.until(state))
    except Exception as error:  # a user's function may raise anything; the run must say which one did
        raise refuse(
            ConfigError(f"until of {agent.name!r} raised {type(error).__name__}: {str(error)[:2000]}")
        ) from error


def _problems(agent: AgentSpec, reply: Reply) -> dict[int, str]:
    calls = tool_calls(reply.content)
    found = {index: problem for index, call in enumerate(calls) if (problem := _problem(agent, call))}
    if reply.stop == "max_tokens" and calls:
        found[len(calls) - 1] = "this call was cut at max_tokens and not made: write less, or one call at a time"
    return found


def _problem(agent: AgentSpec, call: JsonObject) -> str | None:
    tool = agent.tool.get(call["name"])
    if tool is None:
        return f"there is no tool {call['name']!r}; there are: {', '.join(agent.tool) or 'none'}"
    try:
        tool.arguments(call["input"])
        digest(call["input"])
    except BadInput as error:
        return f"the arguments do not fit {tool.name}: {error}"
    return None
