"""How a run ends: what it is recorded as, and how Temporal shows it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError, CancelledError, is_cancelled_exception

from tenure.run import Outcome, Record, Recorded, RunState, Status, StopReason
from tenure.workflows import carry, respond, story
from tenure.workflows.audit import audit
from tenure.workflows.carry import Stop
from tenure.workflows.quick import quick
from tenure.workflows.refusals import reason


def stop_for(error: BaseException) -> Stop:
    """The terminal condition that an exception stands for."""
    if is_cancelled_exception(error) or isinstance(error, asyncio.CancelledError):
        return Stop(StopReason.CANCELLED, "cancelled")
    return Stop(StopReason.FAILED, reason(error))


async def close(run: RunState, stop: Stop) -> Outcome:
    """Record the end everywhere it is looked for: the store, the story, the search attributes."""
    outcome = carry.outcome(run, stop)
    completed = outcome.status is Status.COMPLETED
    told = (
        outcome.message if not completed else story.one_line(outcome.message)
    )  # why it ended: nobody should have to guess
    carry.tell(
        run, f"{outcome.stop_reason}: {story.one_line(told, carry.LAST_LIMIT)}", ok=completed, limit=carry.LAST_LIMIT
    )
    request = run.request
    record = Record(
        outcome=outcome,
        agent=request.agent,
        tenant=request.tenant,
        user=request.user,
        role=request.role,
        trace=request.trace,
        first_run=workflow.info().first_execution_run_id,
        **({} if run.served is None else {"model": run.agent.model}),
    )
    recorded = await quick("record", record, Recorded)
    if recorded.in_doubt:
        carry.tell(run, f"in doubt: {', '.join(recorded.in_doubt)}", ok=False)
    if run.snapshot is not None:
        await respond.evaluate(run, outcome)
        await audit(run, outcome)
    story.tell(run)
    story.mark_closed(run, outcome)
    await workflow.wait_condition(workflow.all_handlers_finished)
    return outcome


async def again(run: RunState, outcome: Outcome) -> Outcome:
    """The end of an earlier run of this id is this one's as well: nothing is done, nothing is recorded anew.

    Cancelled is returned and not raised: this run was not, and Temporal would call it a failure.
    """
    carry.tell(run, f"ended before, as {outcome.stop_reason}: {story.one_line(outcome.message)}")
    story.tell(run)
    story.mark_closed(run, outcome)
    await workflow.wait_condition(workflow.all_handlers_finished)
    return outcome if outcome.stop_reason is StopReason.CANCELLED else end(outcome)


async def undisturbed(closing: Coroutine[Any, Any, Outcome]) -> Outcome:
    """Once a run has its outcome, it stands: a cancellation that comes while it is being recorded comes too late."""
    task = asyncio.ensure_future(closing)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        return await task


def end(outcome: Outcome) -> Outcome:
    """How the workflow itself ends: Temporal shows cancelled and failed runs as what they are."""
    if outcome.stop_reason is StopReason.CANCELLED:
        raise CancelledError("the run was cancelled")
    if outcome.stop_reason is StopReason.FAILED:
        raise ApplicationError(outcome.message, outcome, type="RunFailed", non_retryable=True)
    return outcome
