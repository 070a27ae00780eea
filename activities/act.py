"""act: one tool call, made once. What changes the world is written down before it is made and after it was made.

Rules of this file: nothing here decides whether a call may be made; it checks that what it was told to make is what was
ruled on, and that no earlier start of it is unaccounted for. The attempt whose token stands in the effect record speaks.
"""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias, overload

from temporalio import activity
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from tenure.activities.attempt import Attempted, Broke, Declined, Dropped, Flag, Returned, attempt
from tenure.activities.decide import resolve
from tenure.activities.pulse import Pulse, pulse
from tenure.activities.resources import Resources, now, refuse
from tenure.approvals.digest import call_digest, effect_key
from tenure.errors import BadInput, Refused, StoreUnavailable, Unavailable
from tenure.run import Act, Effect, Result
from tenure.runtime import telemetry as otel
from tenure.runtime.store import Connection, effects, runs, transcript
from tenure.runtime.store.runs import RunRow
from tenure.spec import AgentSpec
from tenure.tools import State, Tool, ToolContext, state_delta
from tenure.transcript import result_of, result_row, state_of, tool_calls
from tenure.wire import INLINE_LIMIT, BlobRef, Json, JsonObject

Arguments: TypeAlias = dict[str, Any]  # typed by the tool's own signature
WORDS_LIMIT = 8_000  # characters of an error, or of the message with which a tool finishes the run
DEATHS = 100  # attempts of a read that may vanish without a word; the store's outages count as well
STARTS = 10  # starts of an idempotent tool that may
SAVING = 1.0  # seconds before start-to-close at which saving a result is given up


@dataclass(frozen=True)
class Job:
    """Everything one attempt needs to know."""

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

    @property
    def repeatable(self) -> bool:
        """Whether a failed attempt may simply be made again."""
        return self.tool.effect is Effect.READ or self.tool.idempotent


@dataclass(frozen=True)
class _Found:
    run: RunRow | None
    turn: JsonObject | None
    stands: JsonObject | None
    deltas: list[JsonObject]


@dataclass(frozen=True)
class Acting:
    """The activities `tool.<name>`: one function serves them all, because the turn says which tool it is."""

    to: Resources

    @activity.defn(dynamic=True)
    async def act(self, given: Sequence[RawValue]) -> Result:
        """The result of the call, made now or found made. Refuses a call that is not the one ruled on."""
        ask = activity.payload_converter().from_payload(given[0].payload, Act)
        info = activity.info()
        workflow, seq = info.workflow_id or "", ask.seq + 1 + ask.call
        with pulse() as beat:
            found = await self._look(ask, workflow, seq)
            job = await self._job(ask, workflow, seq, found)
            if found.stands is not None and found.stands["id"] == job.block["id"]:
                return result_of(found.stands)
            result = await self._make(job, beat)
        if activity.is_cancelled():
            raise asyncio.CancelledError  # the result is kept, and the run hears that it was cancelled
        return result

    async def _make(self, job: Job, beat: Pulse) -> Result:
        attributes = {otel.OPERATION: "execute_tool", otel.TOOL: job.tool.name, otel.AGENT: job.agent.name}
        with otel.span(f"execute_tool {job.tool.name}", job.workflow, job.run.carrier, attributes) as span:
            try:
                arguments = job.tool.arguments(job.block["input"])
            except BadInput as error:  # the agent was rebuilt with another schema since Claude wrote the call
                return await self._keep(job, Result(ok=False, value=f"the arguments no longer fit: {error}"))
            if job.tool.effect is Effect.READ:
                result = await self._read(job, beat, arguments)
            else:
                result = await self._change(job, beat, arguments)
            span.set_attribute(otel.OUTCOME, result.outcome)
            return result

    async def _look(self, ask: Act, workflow: str, seq: int) -> _Found:
        look = functools.partial(_look, workflow=workflow, ask=ask, seq=seq)
        found = await self.to.store.read(look)
        if found.turn is None or found.run is None:
            await self.to.recall.restore(self.to.store, activity.client(), workflow)
            found = await self.to.store.read(look)
        return found

    async def _job(self, ask: Act, workflow: str, seq: int, found: _Found) -> Job:
        if found.turn is None:
            raise Unavailable(f"row {ask.seq} of {workflow} is neither in the store nor in history")
        run, agent = await resolve(self.to, found.run, workflow)
        block = tool_calls(found.turn["content"])[ask.call]
        bound = call_digest(run.tenant, workflow, seq, block["name"], block["input"])
        if bound != ask.digest or activity.info().activity_type != f"tool.{block['name']}":
            raise refuse(
                Refused(f"row {ask.seq} asks for {block['name']!r} with digest {bound[:12]}…: that was not ruled on")
            )
        info = activity.info()
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
            state=state_of(found.deltas, run.initial_state),
            number=info.attempt,
        )

    async def _read(self, job: Job, beat: Pulse, arguments: Arguments) -> Result:
        if job.number > DEATHS:
            return await self._keep(
                job, Result(ok=False, value=f"{job.number - 1} attempts of {job.tool.name} left no word")
            )
        return await self._keep(job, await self._attempt(job, beat, arguments))

    async def _change(self, job: Job, beat: Pulse, arguments: Arguments) -> Result:
        begun = await self.to.store.transact(functools.partial(effects.begin, start=_start(job)))
        match begun:
            case effects.Stored(result=text):
                return await self._keep(job, Result.model_validate_json(text))
            case effects.Happened():
                return await self._keep(job, _witnessed(job), settle=job.ask.generation)
            case effects.InDoubt(generation=generation, since=since):
                return Result(ok=False, outcome="in_doubt", generation=generation, since=since)
            case effects.Exhausted(generation=generation):
                told = _unknown(job, f"{generation} starts of {job.tool.name} left no word")
                return await self._keep(job, told, settle=generation)
            case effects.Go():
                return await self._keep(job, await self._attempt(job, beat, arguments), ends=True)

    async def _attempt(self, job: Job, beat: Pulse, arguments: Arguments) -> Result:
        """Run the tool. Raises for Temporal to try again, and CancelledError when the attempt is dropped or not ours."""
        flag = Flag(beat)
        ctx = ToolContext(
            run_id=job.workflow,
            tenant=job.run.tenant,
            user=job.run.user,
            idempotency_key=job.key,
            state=State(job.state),
            heartbeat=flag.heartbeat,
        )
        if beat.lost:  # the last look before the world may change
            raise _given_up()
        timeout = job.tool.timeout or job.agent.timeout
        tried = await attempt(job.tool, ctx, arguments, timeout, flag)
        if beat.lost:
            raise _given_up()
        return self._judge(job, ctx, tried)

    def _judge(self, job: Job, ctx: ToolContext, tried: Attempted) -> Result:
        match tried:
            case Returned(value=value):
                return self._returned(job, ctx, value)
            case Declined(message=message):
                return Result(ok=False, value=_short(message))
            case Broke(message=message):
                return _broken(job, _short(message))
            case Dropped():
                raise asyncio.CancelledError

    def _returned(self, job: Job, ctx: ToolContext, value: Any) -> Result:  # Any: the tool's own value
        try:
            checked = job.tool.result(value)
            size = len(json.dumps(job.state))
            delta = state_delta(job.tool.name, ctx.state, size) if ctx.state.delta else {}
        except BadInput as error:
            # A tool that changes the world has run, whatever it returned: it must not simply be called again.
            return _broken(job, str(error)) if job.tool.effect is Effect.READ else _unknown(job, str(error))
        failed = isinstance(checked, dict) and checked.get("success") is False  # pyright: ignore[reportUnknownMemberType]  # JSON
        shown, blob = self._placed(checked)
        return Result(ok=not failed, value=shown, blob=blob, state=delta, finish=_short(ctx.finished))

    def _placed(self, value: Json) -> tuple[Json, BlobRef | None]:
        """The value itself, or a reference to it when it is too large for history."""
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        content = text.encode()
        return (None, self.to.blobs.put(content)) if len(content) > INLINE_LIMIT else (value, None)

    async def _keep(self, job: Job, result: Result, *, ends: bool = False, settle: int = 0) -> Result:
        """Write the row, and with it what became of the effect; the row that stands is the result."""
        text, status = result.model_dump_json(), "raised" if result.outcome == "unknown" else "done"

        def write(db: Connection) -> Result | None:
            if ends and not effects.end(db, job.key, job.token, status, text, now()):
                return None
            if settle and not effects.settle(db, job.key, settle, status, text, now()):
                return None
            stands = transcript.standing(db, job.workflow, job.seq)
            if stands is not None and stands[0].get("id") == job.block["id"]:
                return result_of(stands[0])
            transcript.replace(db, job.workflow, [(job.seq, result_row(job.block["id"], result))])
            return result

        kept = await _insisting(lambda: self.to.store.transact(write))
        if kept is None:
            raise ApplicationError(f"another attempt of {job.tool.name} has taken over", type="TakenOver")
        return kept


async def _insisting(write: Callable[[], Awaitable[Result | None]]) -> Result | None:
    """A result that is known must not be lost to a store that is locked or full for a while: try until time is up."""
    info = activity.info()
    left = (info.start_to_close_timeout or timedelta()).total_seconds() - SAVING
    deadline = info.started_time + timedelta(seconds=left)
    while True:
        try:
            return await write()
        except StoreUnavailable:
            if datetime.now(UTC) > deadline:
                raise
            await asyncio.sleep(0.5)


def _look(db: Connection, workflow: str, ask: Act, seq: int) -> _Found:
    turn, stands = transcript.standing(db, workflow, ask.seq), transcript.standing(db, workflow, seq)
    return _Found(
        run=runs.get(db, workflow),
        turn=turn[0] if turn else None,
        stands=stands[0] if stands else None,
        deltas=transcript.state_before(db, workflow, ask.state_before),
    )


def _start(job: Job) -> effects.Start:
    return effects.Start(
        key=job.key,
        workflow=job.workflow,
        seq=job.seq,
        tool=job.tool.name,
        digest=job.ask.digest,
        token=job.token,
        at=now(),
        idempotent=job.tool.idempotent,
        most=STARTS,
        resolved=job.ask.resolved,
        generation=job.ask.generation,
    )


def _broken(job: Job, message: str) -> Result:
    """Raise for another attempt while the tool may be repeated and has retries left; after the last one Claude is told."""
    if job.repeatable and job.number <= job.tool.retries:
        raise ApplicationError(message, type="ToolFailed")
    return Result(ok=False, value=message) if job.tool.effect is Effect.READ else _unknown(job, message)


def _given_up() -> ApplicationError:
    """The process stood still and another attempt has been made: what this one says is heard by nobody."""
    return ApplicationError("this attempt was given up", type="TakenOver", category=ApplicationErrorCategory.BENIGN)


def _unknown(job: Job, message: str) -> Result:
    told = f"{message}. Nobody knows whether {job.tool.name} took effect: find out before you call it again"
    return Result(ok=False, value=told, outcome="unknown")


@overload
def _short(text: str) -> str: ...
@overload
def _short(text: None) -> None: ...
def _short(text: str | None) -> str | None:
    """Words of a tool travel inside history: what does not fit there is cut, and said to be."""
    if text is None or len(text) <= WORDS_LIMIT:
        return text
    return f"{text[:WORDS_LIMIT]} [cut: the first {WORDS_LIMIT:,} of {len(text):,} characters]"


def _witnessed(job: Job) -> Result:
    return Result(value=f"{job.tool.name} took effect: a person confirmed it. What it returned is not known")
