"""Parking: a run that may not go on waits, however long, with everything it knows, and goes on where it was.

Rules of this file: nothing is in flight while a run is parked, so it may continue as new at any moment here.
"""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

from tenure.approvals.request import Kind
from tenure.run import Parked, RunState, StopReason, Subject
from tenure.trust.restrictions import Standing
from tenure.trust.terms import DEFAULTS
from tenure.wire import JsonObject
from tenure.workflows import story
from tenure.workflows.ask import Desk, MoveOn, request_for
from tenure.workflows.carry import Stop, now, should_move, tell
from tenure.workflows.quick import quick

LOOK = timedelta(minutes=10)  # `tenure resume` wakes the runs it frees; this is for what its signal did not reach


async def halted(run: RunState) -> None:
    """Wait until no operator's halt stands in the way. Raises MoveOn."""
    if run.parked is None:
        run.parked = Parked(why=f"halted: {run.standing.halted}", since=now())
        tell(run, run.parked.why, ok=False)
        story.mark_waiting(True)
    while run.standing.halted:
        run.woken = False
        run.standing = await quick("standing", Subject(tenant=run.request.tenant, agent=run.request.agent), Standing)
        run.parked.why = f"halted: {run.standing.halted}"
        story.tell(run)
        if run.standing.halted:
            await _rest(run)
    took = now() - run.parked.since
    run.parked = None
    if run.turn is not None:
        run.turn.stale = 0
    tell(run, "resumed", took=took)
    story.mark_waiting(False)
    story.tell(run)


async def looked_at(run: RunState, desk: Desk, seq: int) -> Stop | None:
    """The run has asked so often that people may have stopped reading: it asks no more before one has looked at it."""
    why = f"the run has asked {run.asks} times: look at it as a whole before it asks again"
    run.parked = run.parked or Parked(why=why, since=now())
    request = request_for(
        run, Kind.PARKED, seq, {"asks": run.asks}, why, DEFAULTS["parked"], choices=["continue", "stop"]
    )
    settled = await desk.ask(run.parked, request)
    run.parked = None
    if settled.choice == "continue":
        run.asks = 0
        return None
    return Stop(StopReason.DENIED, f"{why}; {settled.refusal}")


async def stuck(run: RunState, desk: Desk) -> Stop | None:
    """A capability cannot go on after it has changed something: a person says whether Claude does. Raises MoveOn."""
    learned = run.learned.id if run.learned else ""
    why = f"the capability {learned} cannot go on, and has changed something already: {run.stuck}"
    run.parked = run.parked or Parked(why=why, since=now())
    payload: JsonObject = {"capability": learned, "calls": run.calls}
    request = request_for(run, Kind.PARKED, run.seq, payload, why, DEFAULTS["parked"], choices=["continue", "stop"])
    settled = await desk.ask(run.parked, request)
    run.parked, run.learned, run.stuck = None, None, ""
    if settled.choice == "continue":
        tell(run, f"{learned} leaves the run to Claude, which {settled.principal} lets go on")
        return None
    return Stop(StopReason.IN_DOUBT, f"{why}; {settled.refusal}")


async def _rest(run: RunState) -> None:
    if should_move():
        raise MoveOn
    try:
        await workflow.wait_condition(lambda: run.woken, timeout=LOOK, timeout_summary="halted: looking again")
    except TimeoutError:
        return
