"""act: one tool call, made once. What changes the world is written down before it is made and after it was made.

Rules of this file: nothing begins that is not what was ruled on, that a second look (`permit`) does not find permitted in the very
transaction that writes it down, of which an earlier start is unaccounted for, or for which a rate limit is used up. The attempt
whose token stands in the effect record speaks.
"""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from temporalio import activity
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from tenure.activities import hooks, outcome, reuse
from tenure.activities.attempt import Flag, attempt
from tenure.activities.decide import resolve
from tenure.activities.job import Found, Job, job_of, look
from tenure.activities.outcome import Failed, unknown, witnessed
from tenure.activities.permit import Stale, permit
from tenure.activities.pulse import Pulse, pulse
from tenure.activities.resources import Resources, now
from tenure.errors import BadInput, HookFailed, StoreUnavailable, Unavailable
from tenure.hooks import ON_ERROR, Retry, Stop, Tell, ToolFailure
from tenure.run import Effect
from tenure.runtime import lineage
from tenure.runtime import telemetry as otel
from tenure.runtime.store import Connection, effects, ledgers, transcript, uses
from tenure.runtime.store.results import Read, Sought
from tenure.state import State
from tenure.transcript import result_of, result_row, was_made
from tenure.trust.limits import RateLimit
from tenure.trust.restrictions import limits_on
from tenure.turn import Act, Result

Held: TypeAlias = uses.Limited | Stale  # why a call does not begin now
Arguments: TypeAlias = dict[str, Any]  # typed by the tool's own signature
DEATHS = 100  # attempts of a read that may vanish without a word; the store's outages count as well
TRIES = 10  # attempts that `on_error` may ask for, all told
SAVING = 1.0  # seconds before start-to-close at which saving a result is given up


@dataclass(frozen=True)
class Acting:
    """The activities `tool.<name>`: one function serves them all, because the turn says which tool it is."""

    to: Resources

    @activity.defn(dynamic=True)
    async def act(self, given: Sequence[RawValue]) -> Result:
        """The result of the call, made now or found made. Refuses a call that is not the one ruled on."""
        ask = activity.payload_converter().from_payload(given[0].payload, Act)
        workflow, seq = activity.info().workflow_id or "", ask.seq + 1 + ask.call
        with pulse() as beat:
            found = await self._look(ask, workflow, seq)
            if found.turn is None:
                raise Unavailable(f"row {ask.seq} of {workflow} is neither in the store nor in history")
            run, agent = await resolve(self.to, found.run, workflow)
            job = job_of(ask, found.turn, found.deltas, run, agent)
            if found.stands is not None and was_made(found.stands, job.block["id"]):
                return result_of(found.stands)
            result = await self._make(job, beat)
        if activity.is_cancelled():
            raise asyncio.CancelledError  # the result is kept, and the run hears that it was cancelled
        return result

    async def _look(self, ask: Act, workflow: str, seq: int) -> Found:
        looking = functools.partial(look, workflow=workflow, ask=ask, seq=seq)
        found = await self.to.store.read(looking)
        if found.turn is None or found.run is None:
            await self.to.recall.restore(self.to.store, activity.client(), workflow)
            found = await self.to.store.read(looking)
        return found

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
            if job.tool.shared:
                span.set_attribute(otel.CACHED, result.cached is not None)
            if result.cached is not None:
                span.set_attribute(otel.CACHED_AGE, result.cached.age)
            return result

    async def _read(self, job: Job, beat: Pulse, arguments: Arguments) -> Result:
        if job.number > DEATHS:
            told = f"{job.number - 1} attempts of {job.tool.name} left no word"
            return await self._keep(job, Result(ok=False, value=told))
        read, looked = reuse.read_of(job), threading.Event()
        found = await (self._hold(job) if read is None else self._seek(job, read))
        match found:
            case uses.Limited() | Stale():
                return _held(found)
            case Result():
                return found
            case Sought() | None:
                result = await self._attempt(job, beat, arguments, looked)
                return await self._keep(job, result, sought=None if looked.is_set() else found)

    async def _seek(self, job: Job, read: Read) -> Held | reuse.Said:
        """The result that another run has obtained, with its row; only a call that may be made now is given it."""
        return await self.to.store.transact(functools.partial(_found, job=job, read=read, root=self.to.root))

    async def _hold(self, job: Job) -> Held | None:
        """Why a read must not be made now; nothing is written where nothing is counted."""
        stale, limits = await self.to.store.read(lambda db: (permit(db, job, self.to.root), _limits(db, job)))
        if stale is not None or not limits:
            return stale
        return await self.to.store.transact(lambda db: permit(db, job, self.to.root) or _take(db, job))

    async def _change(self, job: Job, beat: Pulse, arguments: Arguments) -> Result:
        begun = await self.to.store.transact(functools.partial(_begin, job=job, root=self.to.root))
        match begun:
            case uses.Limited() | Stale():
                return _held(begun)
            case effects.Stored(result=text):
                return await self._keep(job, Result.model_validate_json(text))
            case effects.Happened():
                return await self._keep(job, witnessed(job), settle=job.ask.generation)
            case effects.InDoubt(generation=generation, since=since):
                return Result(ok=False, outcome="in_doubt", generation=generation, since=since)
            case effects.Exhausted(generation=generation):
                told = unknown(job, f"{generation} starts of {job.tool.name} left no word")
                return await self._keep(job, told, settle=generation)
            case effects.Go():
                result = await self._attempt(job, beat, arguments, threading.Event())
                return await self._keep(job, result, ends=True)

    async def _attempt(self, job: Job, beat: Pulse, arguments: Arguments, looked: threading.Event) -> Result:
        """Run the tool; `looked` is set once it looks at which run it runs in.

        Raises for Temporal to try again, and CancelledError when the attempt is dropped or not ours.
        """
        flag = Flag(beat)
        ctx = reuse.Watched(
            run_id=job.workflow,
            tenant=job.run.tenant,
            user=job.run.user,
            idempotency_key=job.key,
            state=State(job.state),
            heartbeat=flag.heartbeat,
            role=job.run.role,
        )
        ctx.looked = looked
        if beat.lost:  # the last look before the world may change
            raise _given_up()
        timeout = job.tool.timeout or job.agent.timeout
        with lineage.of(tainted=job.ask.tainted, cap=job.ask.cap, user=job.run.user, looked=looked):
            tried = await attempt(job.tool, ctx, arguments, timeout, flag)
        if beat.lost:
            raise _given_up()
        came = outcome.of(job, ctx, tried, self.to.blobs)
        return came if isinstance(came, Result) else await self._failed(job, came)

    async def _failed(self, job: Job, failed: Failed) -> Result:
        """What the agent's `on_error` makes of it. Raises for another attempt."""
        try:
            said = await hooks.choose(job.agent, "on_error", _failure(job, failed), ON_ERROR)
            said = Stop(hooks.words(job.agent, "on_error", said.reason)) if isinstance(said, Stop) else said
        except HookFailed as error:
            said = Stop(str(error))
        match said:
            case Stop(reason=reason):
                return failed.result.model_copy(update={"stop": reason or "on_error stopped the run"})
            case Retry() if failed.is_safe_to_repeat(job) and job.number < TRIES:
                await self._withdraw(job, failed)
            case None if failed.is_repeated_by_itself(job):
                pass
            case None | Tell() | Retry() | _:
                return failed.result
        raise ApplicationError(failed.error, type="ToolFailed")

    async def _withdraw(self, job: Job, failed: Failed) -> None:
        """Nothing happened, by the tool's own word: its start is taken back, so that the next one is no second one."""
        if failed.kind == "declined" and job.tool.effect is not Effect.READ:
            await self.to.store.transact(functools.partial(_take_back, job=job))

    async def _keep(
        self, job: Job, result: Result, *, ends: bool = False, settle: int = 0, sought: Sought | None = None
    ) -> Result:
        """Write the row, and with it what became of the effect, or of the read; the row that stands is the result."""
        result = _with_edit(job, result)
        text, status = result.model_dump_json(), "raised" if result.outcome == "unknown" else "done"

        def write(db: Connection) -> Result | None:
            if ends and not effects.end(db, job.key, job.token, status, text, now()):
                return None
            if settle and not effects.settle(db, job.key, settle, status, text, now()):
                return None
            if ends or settle:
                reuse.end(db, job)
            if sought is not None:
                reuse.keep(db, job, sought, result)
            return _stand(db, job, result)

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


def _limits(db: Connection, job: Job) -> list[tuple[str, RateLimit]]:
    """The agent's own rate limits on the tool, and those that an operator has set."""
    set_now = limits_on(ledgers.standing(db, *job.who), job.tool.name)
    return [*job.agent.limits(job.tool.name).items(), *set_now]


def _take(db: Connection, job: Job) -> uses.Limited | None:
    return uses.take(db, job.key, job.who, job.tool.name, _limits(db, job), now())


def _begin(db: Connection, job: Job, root: Ed25519PublicKey) -> effects.Begun | Held:
    """Look again, count and begin in one transaction: what would start now is held back, and nothing that happened already."""
    start = job.start()
    begins = isinstance(effects.foresee(db, start), effects.Go)
    held = (permit(db, job, root) or _take(db, job)) if begins else None
    if begins and held is None:
        reuse.begin(db, job)
    return held or effects.begin(db, start)


def _take_back(db: Connection, job: Job) -> None:
    effects.withdraw(db, job.key, job.token)
    reuse.end(db, job)


def _found(db: Connection, job: Job, read: Read, root: Ed25519PublicKey) -> Held | reuse.Said:
    """What is found stands as the call's row at once. It is not counted: a rate limit protects what the function would call."""
    limits = _limits(db, job)
    held = permit(db, job, root) or uses.held(db, job.key, job.who, job.tool.name, limits, now())
    if held is not None:
        return held
    said = reuse.find(db, read)
    return _stand(db, job, _with_edit(job, said)) if isinstance(said, Result) else _take(db, job) or said


def _stand(db: Connection, job: Job, result: Result) -> Result:
    """The result of the row that stands; where none does, this one's row is written."""
    stands = transcript.standing(db, job.workflow, job.seq)
    if stands is not None and was_made(stands[0], job.block["id"]):
        return result_of(stands[0])
    transcript.replace(db, job.workflow, [(job.seq, result_row(job.block["id"], result))])
    return result


def _with_edit(job: Job, result: Result) -> Result:
    return result if job.ask.edited is None else result.model_copy(update={"edited": job.ask.edited})


def _held(held: Held) -> Result:
    if isinstance(held, Stale):
        return Result(ok=False, outcome="stale", value=held.why, standing=held.standing)
    return Result(ok=False, outcome="limited", value=str(held), since=held.until)


def _failure(job: Job, failed: Failed) -> ToolFailure:
    return ToolFailure(
        run=hooks.info_of(job.run),
        tool=job.tool.name,
        input=job.block["input"],
        error=failed.error,
        kind=failed.kind,
        attempt=job.number,
        safe=failed.is_safe_to_repeat(job),
    )


def _given_up() -> ApplicationError:
    """The process stood still and another attempt has been made: what this one says is heard by nobody."""
    return ApplicationError("this attempt was given up", type="TakenOver", category=ApplicationErrorCategory.BENIGN)
