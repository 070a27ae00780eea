"""One turn: Claude decides, every call passes the gate, and each is made once, in order (reads side by side).

Rules of this file: calls are settled in the order of the turn and rows are chained in that order, so that a replay and a
rebuild come to the same head. Only reads run in parallel, because only they may be repeated and reordered.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, is_cancelled_exception
from temporalio.workflow import ActivityCancellationType

from tenure import run as wire
from tenure.approvals.digest import call_digest
from tenure.approvals.request import Kind
from tenure.run import ITERATION_TIMEOUT, Act, Decide, Effect, Note, OpenTurn, Result, RunState, StopReason, ToolFacts
from tenure.transcript import answer_text, assistant_row, name_of, problem_row, result_row, tool_calls
from tenure.trust.ruling import Allow, Ask, Deny
from tenure.wire import JsonObject
from tenure.workflows import story
from tenure.workflows.ask import Desk, request_for
from tenure.workflows.carry import Stop, append, now, tell
from tenure.workflows.gate import gate, quorum
from tenure.workflows.quick import quick
from tenure.workflows.refusals import NOT_SERVED, reason, refusal

HEARTBEAT = timedelta(seconds=5)  # a killed worker is noticed after this long
GRACE = 15.0  # seconds an activity may take beyond its own time-out to say what became of it
RETRY = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=30))
PARALLEL = 16
SAME_CALL_LIMIT = 3
EXPLAINED = {
    "max_tokens": "Claude's answer was cut at max_tokens: raise it on the Agent",
    "model_context_window_exceeded": "the conversation no longer fits the model's context window",
    "tool_use": "Claude stopped to use a tool and named none",
}


class NotServed(Exception):
    """The worker that got the activity serves the agent under another fingerprint now."""


@dataclass(frozen=True)
class Call:
    """One tool call of a turn. `seq` is the row of its result, `same` is equal for the same tool and arguments."""

    index: int
    id: str
    tool: str
    arguments: JsonObject
    seq: int
    digest: str
    same: str


async def decide(run: RunState) -> Stop | None:
    """Ask Claude for the next turn. A Stop when there is nothing more to do. Raises NotServed."""
    run.iteration += 1
    begun = now()
    try:
        turn = await _decide(run)
    except ActivityError as error:
        return _undecided(run, error)
    if turn.until:
        return Stop(StopReason.UNTIL)
    append(run, assistant_row(turn.content))
    run.usage, run.cost = run.usage + turn.usage, run.cost + turn.cost
    text, calls = answer_text(turn.content), tool_calls(turn.content)
    told = text or ", ".join(block["name"] for block in calls) or turn.stop
    tell(run, f"Claude: {story.one_line(told)}", took=now() - begun, tokens=turn.usage.total, cost=turn.cost)
    run.turn = OpenTurn(seq=run.seq, content=turn.content, problems=turn.problems)
    run.seq += 1 + len(calls)
    story.tell(run)
    return _judge(turn.stop, text, bool(calls))


async def settle(run: RunState, desk: Desk) -> Stop | None:
    """Make the open turn's calls. A Stop when one of them ends the run. Raises MoveOn, NotServed."""
    turn = run.turn
    if turn is None:
        return None
    blocks = tool_calls(turn.content)
    while turn.next_call < len(blocks):
        reads = _reads(run, turn, blocks)
        stop = await _together(run, turn, reads) if len(reads) > 1 else await _one(run, desk, turn, blocks)
        if stop is not None:
            return stop
    run.turn = None
    return None


async def _decide(run: RunState) -> wire.Turn:
    agent = run.agent
    attempt = timedelta(seconds=agent.timeout + GRACE)
    return await workflow.execute_activity(
        "decide",
        Decide(seq=run.seq, head=run.head),
        result_type=wire.Turn,
        start_to_close_timeout=attempt,
        heartbeat_timeout=HEARTBEAT,
        retry_policy=RETRY,
    )


def _undecided(run: RunState, error: ActivityError) -> Stop:
    if is_cancelled_exception(error):
        raise error
    if refusal(error) == NOT_SERVED:
        run.iteration -= 1  # nothing was asked
        raise NotServed from error
    why = StopReason.TIMEOUT if refusal(error) == ITERATION_TIMEOUT else StopReason.FAILED
    return Stop(why, reason(error))


def _judge(stop: str, text: str, calls: bool) -> Stop | None:
    match stop:
        case "refusal":
            return Stop(StopReason.REFUSED, text or "Claude declined to go on")
        case "tool_use" | "max_tokens" if calls:
            return None
        case "end_turn" | "stop_sequence" if not calls:
            return Stop(StopReason.ANSWERED, text)
        case "pause_turn" | "compaction":
            return None  # Claude asks to be called again with what it has so far
        case _:
            unknown = f"Claude stopped for a reason this Tenure does not know: {stop!r}; upgrade Tenure"
            return Stop(StopReason.FAILED, EXPLAINED.get(stop, unknown))


def _reads(run: RunState, turn: OpenTurn, blocks: list[JsonObject]) -> list[Call]:
    """The next calls, as far as all of them are allowed reads."""
    found: list[Call] = []
    for index in range(turn.next_call, min(len(blocks), turn.next_call + PARALLEL)):
        facts = run.agent.tools.get(blocks[index]["name"])
        if index in turn.problems or facts is None or facts.effect is not Effect.READ:
            break
        call = _call(run, turn, blocks[index], index)
        if not isinstance(gate(run.agent, call.tool, call.same, run.unknown).decision, Allow):
            break
        found.append(call)
    return found


async def _together(run: RunState, turn: OpenTurn, calls: list[Call]) -> Stop | None:
    begun, before = now(), calls[0].seq
    # All of them end before one's failure is heard: nothing may be in flight when the run moves on.
    found = await asyncio.gather(*(_act(run, call, before) for call in calls), return_exceptions=True)
    results = [_raised(result) for result in found]
    stops = [_conclude(run, turn, call, result, begun) for call, result in zip(calls, results, strict=True)]
    return next((stop for stop in stops if stop is not None), None)


def _raised(result: Result | BaseException) -> Result:
    if isinstance(result, BaseException):
        raise result
    return result


async def _one(run: RunState, desk: Desk, turn: OpenTurn, blocks: list[JsonObject]) -> Stop | None:
    index = turn.next_call
    block = blocks[index]
    if index in turn.problems:
        return _refused(run, turn, block, turn.problems[index])
    call = _call(run, turn, block, index)
    match gate(run.agent, call.tool, call.same, run.unknown).decision:
        case Deny(reason=why):
            return await _not_made(run, turn, block, why)
        case Ask(reason=why) if turn.granted != call.digest:
            stop = await _ask(run, desk, turn, block, call, why)
            if stop is not None or turn.granted != call.digest:
                return stop
        case Ask() | Allow():
            pass
    begun = now()
    result = await _act(run, call, call.seq, turn)
    while result.outcome == "in_doubt":
        stop = await _ask_in_doubt(run, desk, turn, call, result)
        if stop is not None:
            return stop
        result = await _act(run, call, call.seq, turn)
    return _conclude(run, turn, call, result, begun)


async def _ask(run: RunState, desk: Desk, turn: OpenTurn, block: JsonObject, call: Call, why: str) -> Stop | None:
    """Grant the call, or let Claude know why not; a destructive call nobody answers for halts the run."""
    facts = run.agent.tools[call.tool]
    halts = facts.effect is Effect.DESTRUCTIVE
    payload: JsonObject = {"tool": call.tool, "arguments": call.arguments, "effect": str(facts.effect)}
    more = {"quorum": quorum(facts), "on_timeout": "halt" if halts else "deny"}
    settled = await desk.ask(turn, request_for(run, Kind.TOOL_CALL, call.seq, payload, why, **more))
    if settled.choice == "approve":
        turn.granted = call.digest
        return None
    if settled.choice == "expired" and halts:
        return Stop(StopReason.DENIED, f"nobody approved {call.tool} in time, and it is destructive: the run halts")
    told = f"denied by {settled.principal}" if settled.principal else "denied: nobody answered in time"
    return await _not_made(run, turn, block, f"{told}. {settled.note}".strip())


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
        "deadline": now() + 72 * 3600_000,
    }
    settled = await desk.ask(turn, request_for(run, Kind.IN_DOUBT, call.seq, payload, why, **more))
    if settled.choice not in ("happened", "did-not"):
        return Stop(StopReason.IN_DOUBT, f"nobody could say whether {call.tool} took effect")
    # Kept until the call is concluded: the worker may be rebuilt before anybody has acted on it.
    turn.resolved, turn.generation = ("happened" if settled.choice == "happened" else "did-not"), result.generation
    return None


async def _act(run: RunState, call: Call, before: int, turn: OpenTurn | None = None) -> Result:
    facts = run.agent.tools[call.tool]
    try:
        return await workflow.execute_activity(
            f"tool.{call.tool}",
            _input(call, before, turn),
            result_type=Result,
            start_to_close_timeout=timedelta(seconds=facts.timeout + GRACE),
            heartbeat_timeout=HEARTBEAT,
            retry_policy=RETRY,
            summary=story.call_summary(call.tool, call.arguments),
            cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        )
    except ActivityError as error:
        if refusal(error) == NOT_SERVED:
            raise NotServed from error
        raise


def _conclude(run: RunState, turn: OpenTurn, call: Call, result: Result, begun: int) -> Stop | None:
    append(run, result_row(call.id, result))
    run.calls += 1
    turn.next_call = call.index + 1
    turn.resolved, turn.generation = None, 0
    facts = run.agent.tools[call.tool]
    if result.outcome == "unknown":
        run.unknown.append(call.same)
    tell(run, story.call_summary(call.tool, call.arguments), took=now() - begun, ok=result.ok)
    story.tell(run)
    if result.finish is not None:
        return Stop(StopReason.FINISHED, result.finish)
    return _count_error(run, result.ok) or _count_repeat(run, call, result, facts)


def _count_error(run: RunState, ok: bool) -> Stop | None:
    run.errors = 0 if ok else run.errors + 1
    if run.errors < run.agent.error_threshold:
        return None
    return Stop(StopReason.ERROR_THRESHOLD, f"{run.errors} tool calls failed in a row")


def _count_repeat(run: RunState, call: Call, result: Result, facts: ToolFacts) -> Stop | None:
    key = name_of([call.same, result.value, result.blob and result.blob.blob])
    count = run.repeats.get(key, 0) + 1
    if facts.effect is not Effect.READ:
        run.repeats.clear()  # the world may have changed: reading the same again is not going in circles
    run.repeats[key] = count
    if count < SAME_CALL_LIMIT or facts.poll:
        return None
    return Stop(StopReason.REPEATED_CALL, f"{call.tool} gave the same result for the same arguments {count} times")


def _refused(run: RunState, turn: OpenTurn, block: JsonObject, problem: str) -> Stop | None:
    """A call that cannot be made as Claude wrote it; `decide` has written its row."""
    append(run, problem_row(block["id"], problem))
    turn.next_call += 1
    tell(run, f"{block['name']}: {problem}", ok=False)
    story.tell(run)
    return _count_error(run, ok=False)


async def _not_made(run: RunState, turn: OpenTurn, block: JsonObject, why: str) -> Stop | None:
    """A call that policy or a person refuses: Claude is told why. It is no error of the tool."""
    row = problem_row(block["id"], why)
    await quick("note", Note(seq=turn.seq + 1 + turn.next_call, row=row), Note)
    append(run, row)
    turn.next_call += 1
    tell(run, f"{block['name']}: {why}", ok=False)
    story.tell(run)
    return None


def _call(run: RunState, turn: OpenTurn, block: JsonObject, index: int) -> Call:
    seq, tool, arguments = turn.seq + 1 + index, block["name"], block["input"]
    bound = call_digest(run.request.tenant, workflow.info().workflow_id, seq, tool, arguments)
    return Call(index, block["id"], tool, arguments, seq, bound, name_of([tool, arguments]))


def _input(call: Call, before: int, turn: OpenTurn | None) -> Act:
    act = Act(seq=call.seq - 1 - call.index, call=call.index, digest=call.digest, state_before=before)
    if turn is None or turn.resolved is None:
        return act
    return act.model_copy(update={"resolved": turn.resolved, "generation": turn.generation})
