"""One tool call: ruled on, asked about, made, waited for, and what the run learns from its result.

Rules of this file: a row is appended exactly once for each call, in the order of the turn, by `_settle`; nothing else touches the
chain.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError
from temporalio.workflow import ActivityCancellationType

from tenure.approvals.digest import call_digest
from tenure.approvals.request import Kind
from tenure.run import CachedCall, Effect, Grant, OpenTurn, RunState, StopReason, ToolFacts
from tenure.transcript import name_of, problem_row, result_row
from tenure.trust.limits import WAIT
from tenure.trust.pattern import any_matches
from tenure.trust.ruling import Ask, Decision
from tenure.trust.terms import DEFAULTS
from tenure.turn import Act, Note, Result
from tenure.wire import JsonObject
from tenure.workflows import story
from tenure.workflows.ask import Desk, request_for
from tenure.workflows.carry import Stop, append, now, tell
from tenure.workflows.gate import doubt_of, gate
from tenure.workflows.quick import quick
from tenure.workflows.refusals import NOT_SERVED, refusal

HEARTBEAT = timedelta(seconds=5)  # a killed worker is noticed after this long
GRACE = 15.0  # seconds an activity may take beyond its own time-out to say what became of it
RETRY = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=30))
SAME_CALL_LIMIT = 3
CACHED_KEPT = 100


class NotServed(Exception):
    """The worker that got the activity serves the agent under another fingerprint now."""


@dataclass(frozen=True)
class Call:
    """One tool call of a turn. `seq` is the row of its result, `same` is equal for the same tool and arguments.

    `taint` and `doubt` say why a person must look at it whatever the level; `grant` is their approval, if they gave it, `outdated`
    the request of one that no longer holds.
    """

    index: int
    id: str
    tool: str
    arguments: JsonObject
    seq: int
    digest: str
    same: str
    taint: str = ""
    doubt: str = ""
    grant: Grant | None = None
    outdated: str = ""


def call_of(run: RunState, turn: OpenTurn, block: JsonObject, index: int) -> Call:
    """The call at `index` of the turn, with the input it is made with."""
    seq, tool = turn.seq + 1 + index, block["name"]
    given: dict[int, JsonObject] = {index: block["input"]} | turn.modified | turn.edited
    arguments = given[index]
    bound = call_digest(run.request.tenant, workflow.info().workflow_id, seq, tool, arguments)
    same = name_of([tool, arguments])
    return Call(
        index=index,
        id=block["id"],
        tool=tool,
        arguments=arguments,
        seq=seq,
        digest=bound,
        same=same,
        taint="" if index in turn.edited else turn.taint.get(index, ""),
        doubt=doubt_of(run, turn, index, tool, same),
        grant=turn.grants.get(bound),
        outdated=turn.outdated.get(bound, ""),
    )


def ruling_on(run: RunState, call: Call) -> Decision:
    """What the gate says of the call now, and to people who have approved it before, why they are asked again."""
    decision = gate(run, call.tool, call.arguments, taint=call.taint, doubt=call.doubt).decision
    if isinstance(decision, Ask) and call.outdated:
        changed = f"trust, restrictions or approvers changed since {call.outdated} was approved"
        return Ask(f"{decision.reason}; asked again: {changed}")
    return decision


async def make(run: RunState, desk: Desk, turn: OpenTurn, call: Call) -> Result | Stop:
    """Make the call, however often it takes: rate limits are waited for, starts in doubt are asked about."""
    deadline = now() + WAIT * 1000
    result = await act(run, turn, call, call.seq)
    while result.outcome in ("in_doubt", "limited"):
        if result.outcome == "limited":
            if result.since > deadline:
                return result
            await _until(result, call)
        else:
            stop = await _ask_in_doubt(run, desk, turn, call, result)
            if stop is not None:
                return stop
        result = await act(run, turn, call, call.seq)
    return result


async def act(run: RunState, turn: OpenTurn, call: Call, before: int) -> Result:
    """The activity. Raises NotServed."""
    facts = run.agent.tools[call.tool]
    try:
        return await workflow.execute_activity(
            f"tool.{call.tool}",
            _input(run, turn, call, before),
            result_type=Result,
            start_to_close_timeout=timedelta(seconds=facts.timeout + GRACE),
            heartbeat_timeout=HEARTBEAT,
            retry_policy=RETRY,
            summary=story.amounts_in_words(story.call_summary(call.tool, call.arguments)),
            cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        )
    except ActivityError as error:
        if refusal(error) == NOT_SERVED:
            raise NotServed from error
        raise


def conclude(run: RunState, turn: OpenTurn, call: Call, result: Result, begun: int) -> Stop | None:
    """The call has its result. A Stop when that ends the run."""
    turn.resolved, turn.generation = None, 0
    facts = run.agent.tools[call.tool]
    if result.outcome == "unknown":
        run.unknown.append(call.same)
    same_result = name_of([call.same, result.value, result.blob and result.blob.blob])
    _remember(run, call, result, facts, same_result)
    told = story.call_summary(call.tool, call.arguments) + (story.cached(result.cached) if result.cached else "")
    _settle(run, turn, result_row(call.id, result), told, ok=result.ok, took=now() - begun)
    if result.stop is not None:
        return Stop(StopReason.FAILED, result.stop)
    if result.finish is not None:
        return Stop(StopReason.FINISHED, result.finish)
    return _count_error(run, result.ok) or _count_repeat(run, call, same_result, facts)


async def reused(run: RunState, turn: OpenTurn, call: Call, cached: CachedCall) -> Stop | None:
    """A read whose earlier result in this run is its result as well."""
    noted = await quick("note", Note(seq=call.seq, row=result_row(call.id, Result(same_as=cached.seq))), Note)
    _settle(run, turn, noted.row, f"{story.call_summary(call.tool, call.arguments)}: as before")
    return _count_error(run, ok=True) or _count_repeat(run, call, cached.result, run.agent.tools[call.tool])


def refused(run: RunState, turn: OpenTurn, block: JsonObject, problem: str, *, counts: bool) -> Stop | None:
    """A call that is not made as Claude wrote it; `decide` has written its row."""
    _settle(run, turn, problem_row(block["id"], problem), f"{block['name']}: {problem}", ok=False)
    return _count_error(run, ok=False) if counts else None


async def not_made(run: RunState, turn: OpenTurn, call: Call, why: str) -> Stop | None:
    """A call that policy or a person refuses: Claude is told why. It is no error of the tool."""
    noted = await quick("note", Note(seq=call.seq, row=problem_row(call.id, why)), Note)
    # A call that was made before a reset is told as it was: the world does not go back.
    _settle(run, turn, noted.row, f"{call.tool}: {why}", ok=False)
    return None


def reusable(run: RunState, call: Call) -> CachedCall | None:
    """An earlier result in this run that is this call's as well."""
    return run.cached.get(call.same) if run.agent.tools[call.tool].cache else None


def held_back(result: Result) -> str:
    """What Claude is told of a call that a rate limit does not allow for longer than a run waits."""
    return f"not made: {result.value}; the next call is possible at {story.moment(result.since)} UTC"


async def stale(run: RunState, turn: OpenTurn, call: Call, result: Result) -> None:
    """The ruling no longer held when the call was to be made: it goes back to the gate, once."""
    turn.stale += 1
    run.standing = result.standing or run.standing
    turn.outdated |= {of: grant.request for of, grant in turn.grants.items() if grant.fence != run.standing.fence}
    turn.grants = {of: grant for of, grant in turn.grants.items() if grant.fence == run.standing.fence}
    if turn.stale > 1:
        await not_made(run, turn, call, f"not made: {result.value}, again and again")


def _settle(run: RunState, turn: OpenTurn, row: JsonObject, told: str, *, ok: bool = True, took: int = 0) -> None:
    """The next call of the turn has its row: the chain and the story grow by it."""
    append(run, row)
    run.calls += 1
    turn.next_call += 1
    turn.stale = 0
    tell(run, told, took=took, ok=ok)
    story.tell(run)


async def _until(result: Result, call: Call) -> None:
    left = timedelta(milliseconds=max(result.since - now(), 1))
    await workflow.sleep(left, summary=f"waiting for the rate limit of {call.tool}")


async def _ask_in_doubt(run: RunState, desk: Desk, turn: OpenTurn, call: Call, result: Result) -> Stop | None:
    payload: JsonObject = {
        "tool": call.tool,
        "arguments": call.arguments,
        "start": result.generation,
        "at": result.since,
    }
    why = f"a start of {call.tool} left no result: did it take effect?"
    timeout = run.agent.tools[call.tool].timeout
    more = {
        "choices": ["happened", "did-not", "stop"],
        "did_not_from": result.since + round((timeout + GRACE) * 1000),
    }
    request = request_for(run, Kind.IN_DOUBT, call.seq, payload, why, DEFAULTS["in_doubt"], **more)
    settled = await desk.ask(turn, request)
    if settled.choice not in ("happened", "did-not"):
        return Stop(StopReason.IN_DOUBT, f"nobody could say whether {call.tool} took effect")
    # Kept until the call is concluded: the worker may be rebuilt before anybody has acted on it.
    turn.resolved, turn.generation = ("happened" if settled.choice == "happened" else "did-not"), result.generation
    return None


def _remember(run: RunState, call: Call, result: Result, facts: ToolFacts, same_result: str) -> None:
    """Keep the result of a cacheable read; whatever changes the world, or the run's state, makes what was read before it stale."""
    if facts.effect is not Effect.READ or result.state:
        stale = ["*"] if facts.invalidates is None else facts.invalidates
        run.cached = {same: kept for same, kept in run.cached.items() if not any_matches(stale, kept.tool)}
    elif facts.cache and result.ok and result.finish is None and len(run.cached) < CACHED_KEPT:
        run.cached[call.same] = CachedCall(tool=call.tool, seq=call.seq, result=same_result)


def _count_error(run: RunState, ok: bool) -> Stop | None:
    run.errors = 0 if ok else run.errors + 1
    if run.errors < run.agent.error_threshold:
        return None
    return Stop(StopReason.ERROR_THRESHOLD, f"{run.errors} tool calls failed in a row")


def _count_repeat(run: RunState, call: Call, same_result: str, facts: ToolFacts) -> Stop | None:
    count = run.repeats.get(same_result, 0) + 1
    if facts.effect is not Effect.READ:
        run.repeats.clear()  # the world may have changed: reading the same again is not going in circles
    run.repeats[same_result] = count
    if count < SAME_CALL_LIMIT or facts.poll:
        return None
    return Stop(StopReason.REPEATED_CALL, f"{call.tool} gave the same result for the same arguments {count} times")


def _input(run: RunState, turn: OpenTurn, call: Call, before: int) -> Act:
    act = Act(seq=call.seq - 1 - call.index, call=call.index, digest=call.digest, state_before=before)
    told: JsonObject = {
        "resolved": turn.resolved,
        "generation": turn.generation,
        "fence": run.standing.fence,
        "request": call.grant and call.grant.request,
        "tainted": run.tainted,
        "doubt": call.doubt,
    }
    bounds: JsonObject = {} if run.level is None else {"cap": run.level}
    if call.index in turn.edited:
        bounds["edited"] = call.arguments
    # History leaves out what was not set: only what says something is.
    return act.model_copy(update={name: value for name, value in told.items() if value} | bounds)
