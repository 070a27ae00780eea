"""One turn: Claude decides, every call passes the gate, and each is made once, in order (reads side by side).

Rules of this file: calls are settled in the order of the turn and rows are chained in that order, so that a replay and a
rebuild come to the same head. Only reads run in parallel, because only they may be repeated and reordered.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

from tenure.hooks import SECONDS
from tenure.run import Effect, OpenTurn, RunState, StopReason
from tenure.transcript import answer_text, assistant_row, tool_calls
from tenure.trust.ruling import Allow, Ask, Deny
from tenure.turn import ITERATION_TIMEOUT, Decide, Result, Served, Turn
from tenure.wire import JsonObject
from tenure.workflows import approval, park, story
from tenure.workflows import call as calls
from tenure.workflows.ask import Desk
from tenure.workflows.call import GRACE, HEARTBEAT, RETRY, Call, NotServed, call_of
from tenure.workflows.carry import Stop, append, now, tell
from tenure.workflows.refusals import NOT_SERVED, reason, refusal

PARALLEL = 16
EXPLAINED = {
    "max_tokens": "Claude's answer was cut at max_tokens: raise it on the Agent",
    "model_context_window_exceeded": "the conversation no longer fits the model's context window: set context_window",
    "tool_use": "Claude stopped to use a tool and named none",
}


async def decide(run: RunState) -> Stop | None:
    """Ask Claude for the next turn. A Stop when there is nothing more to do. Raises NotServed."""
    ready, run.ready = run.ready, None
    if ready is not None and ready.served is not None and run.seq == 1:  # later, it was told more
        return _serve(run, ready, ready.served)
    run.iteration += 1
    begun = now()
    try:
        turn = await _decide(run)
    except ActivityError as error:
        return _undecided(run, error)
    run.standing = turn.standing or run.standing
    if turn.parked:
        run.iteration -= 1  # Claude was not asked
        await park.halted(run)
        return None
    if turn.shortage:
        run.iteration, run.shortage = run.iteration - 1, turn.shortage  # nor was it asked here
        return None
    if turn.stuck:
        run.iteration, run.stuck = run.iteration - 1, turn.stuck
        return None
    run.heard = run.iteration - 1
    if turn.until or turn.halted:
        run.iteration -= 1  # nothing was decided
        return Stop(StopReason.UNTIL) if turn.until else Stop(StopReason.FAILED, turn.halted)
    append(run, assistant_row(turn))
    by = _count(run, turn)
    _forget(run, turn)
    text, asked = answer_text(turn.content), tool_calls(turn.content)
    told = text or ", ".join(block["name"] for block in asked) or turn.stop
    tell(run, f"{by}: {story.one_line(told)}", took=now() - begun, tokens=turn.usage.total, cost=turn.cost)
    run.turn = OpenTurn(
        seq=run.seq,
        content=turn.content,
        problems=turn.problems,
        rejected=turn.rejected,
        modified=turn.modified,
        taint=turn.taint,
    )
    run.tainted = run.tainted or turn.tainted
    run.seq += 1 + len(asked)
    story.tell(run)
    return Stop(StopReason.FAILED, turn.broken) if turn.broken else _judge(turn.stop, text, bool(asked))


def _count(run: RunState, turn: Turn) -> str:
    """Add the turn to what the run has used. Returns who made it."""
    if turn.left and run.learned is not None:
        tell(run, f"{run.learned.id} leaves the run to Claude: {turn.left}")
        run.learned = None
    if turn.tier == "capability" and run.learned is not None:
        run.iteration -= 1  # of Claude
        done = (
            None
            if tool_calls(turn.content)
            else Served(tier="capability", rule=run.learned.id, saved=run.learned.saved)
        )
        run.served, run.saved = done, run.learned.saved if done else 0
        return run.learned.id
    run.usage, run.cost, run.tokens = run.usage + turn.usage, run.cost + turn.cost, turn.tokens
    run.saved, run.cheap = run.saved + turn.saved, run.cheap is not False and turn.tier == "cheap"
    run.models += [turn.model] if turn.model and turn.model not in run.models else []
    return f"Claude ({turn.model})" if turn.model else "Claude"


def _serve(run: RunState, turn: Turn, served: Served) -> Stop:
    """Answer with what is known already. `observe` has written the row."""
    append(run, assistant_row(turn))
    run.seq, run.served, run.saved = run.seq + 1, served, served.saved
    tell(run, f"answered without Claude, by the rule {served.rule!r}")
    return Stop(StopReason.ANSWERED, answer_text(turn.content))


async def settle(run: RunState, desk: Desk) -> Stop | None:
    """Make the open turn's calls. A Stop when one of them ends the run. Raises MoveOn, NotServed."""
    turn = run.turn
    if turn is None:
        return None
    blocks = tool_calls(turn.content)
    while turn.next_call < len(blocks):
        reads = _reads(run, turn, blocks)
        stop = await _together(run, desk, turn, reads) if len(reads) > 1 else await _one(run, desk, turn, blocks)
        if stop is not None:
            return stop
    run.turn = None
    return None


async def _decide(run: RunState) -> Turn:
    agent = run.agent
    attempt = timedelta(seconds=agent.timeout + GRACE + SECONDS * len(agent.hooks))
    return await workflow.execute_activity(
        "decide",
        _asked(run),
        result_type=Turn,
        start_to_close_timeout=attempt,
        heartbeat_timeout=HEARTBEAT,
        retry_policy=RETRY,
        summary=f"turn {run.iteration}",
    )


def _asked(run: RunState) -> Decide:
    asked = Decide(seq=run.seq, head=run.head, iteration=run.iteration, tokens=run.tokens)
    told: dict[str, Any] = {"untrusted": run.request.tainted, "learned": run.learned}  # Any: values of two types
    return asked.model_copy(update={name: value for name, value in told.items() if value})


def _forget(run: RunState, turn: Turn) -> None:
    """What was cleared may be read again without going in circles; what was read before state changed is stale."""
    if turn.fitted is not None:
        run.repeats.clear()
    if turn.state:
        run.cached.clear()


def _undecided(run: RunState, error: ActivityError) -> Stop:
    if is_cancelled_exception(error):
        raise error
    run.iteration -= refusal(error) == NOT_SERVED  # nothing was asked
    if refusal(error) == NOT_SERVED:
        raise NotServed from error
    run.heard = run.iteration
    why = StopReason.TIMEOUT if refusal(error) == ITERATION_TIMEOUT else StopReason.FAILED
    return Stop(why, reason(error))


def _judge(stop: str, text: str, asked: bool) -> Stop | None:
    match stop:
        case "refusal":
            return Stop(StopReason.REFUSED, text or "Claude declined to go on")
        case "tool_use" | "max_tokens" if asked:
            return None
        case "end_turn" | "stop_sequence" if not asked:
            return Stop(StopReason.ANSWERED, text)
        case "pause_turn" | "compaction":
            return None  # Claude asks to be called again with what it has so far
        case _:
            unknown = f"Claude stopped for a reason this Tenure does not know: {stop!r}; upgrade Tenure"
            return Stop(StopReason.FAILED, EXPLAINED.get(stop, unknown))


def _reads(run: RunState, turn: OpenTurn, blocks: list[JsonObject]) -> list[Call]:
    """The next calls, as far as all of them are allowed reads, none of them with a result that can be reused."""
    found: list[Call] = []
    for index in range(turn.next_call, min(len(blocks), turn.next_call + PARALLEL)):
        facts = run.agent.tools.get(blocks[index]["name"])
        if index in turn.problems or index in turn.rejected or facts is None or facts.effect is not Effect.READ:
            break
        call = call_of(run, turn, blocks[index], index)
        if not isinstance(calls.ruling_on(run, call), Allow) or calls.reusable(run, call):
            break
        if (facts.cache or facts.shared) and any(call.same == other.same for other in found):
            break  # the second one of the same turn can reuse the first one's result
        found.append(call)
    return found


async def _together(run: RunState, desk: Desk, turn: OpenTurn, reads: list[Call]) -> Stop | None:
    begun, before = now(), reads[0].seq
    # All of them end before one's failure is heard: nothing may be in flight when the run moves on.
    acting = (calls.act(run, turn, call, before) for call in reads)
    found = await asyncio.gather(*acting, return_exceptions=True)
    results = [_raised(result) for result in found]
    stops: list[Stop] = []
    for call, result in zip(reads, results, strict=True):
        if stops and result.outcome == "limited":
            break  # the run ends: what was held back is not made any more
        if result.outcome == "stale":
            await calls.stale(run, turn, call, result)
            break  # those after it have been made: their results stand and are found
        stop = await _made(run, desk, turn, call, result, begun)
        stops += [stop] if stop is not None else []
    return stops[0] if stops else None


def _raised(result: Result | BaseException) -> Result:
    if isinstance(result, BaseException):
        raise result
    return result


async def _made(run: RunState, desk: Desk, turn: OpenTurn, call: Call, result: Result, begun: int) -> Stop | None:
    """Conclude a read that was made beside others; one that a rate limit held back is made now, on its own."""
    if result.outcome != "limited":
        return calls.conclude(run, turn, call, result, begun)
    return await _make(run, desk, turn, call)


async def _one(run: RunState, desk: Desk, turn: OpenTurn, blocks: list[JsonObject]) -> Stop | None:
    index = turn.next_call
    block = blocks[index]
    if index in turn.problems:
        return calls.refused(run, turn, block, turn.problems[index], counts=True)
    if index in turn.rejected:
        return calls.refused(run, turn, block, turn.rejected[index], counts=False)
    call = call_of(run, turn, block, index)
    match calls.ruling_on(run, call):
        case Deny() if run.standing.halted:
            return await park.halted(run)
        case Deny(reason=why):
            return await calls.not_made(run, turn, call, why)
        case Ask() if call.grant is None:
            return await approval.seek(run, desk, turn, call)
        case Ask() | Allow():
            pass
    cached = calls.reusable(run, call)
    if cached is not None:
        return await calls.reused(run, turn, call, cached)
    return await _make(run, desk, turn, call)


async def _make(run: RunState, desk: Desk, turn: OpenTurn, call: Call) -> Stop | None:
    begun = now()
    result = await calls.make(run, desk, turn, call)
    if isinstance(result, Stop):
        return result
    if result.outcome == "stale":
        return await calls.stale(run, turn, call, result)
    if result.outcome == "limited":
        return await calls.not_made(run, turn, call, calls.held_back(result))
    return calls.conclude(run, turn, call, result, begun)
