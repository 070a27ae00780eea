"""Observe: which agent the run is, found before anything else and again whenever its worker was rebuilt."""

from __future__ import annotations

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from tenure.run import Observe, Observed, Outcome, RunState
from tenure.transcript import first_row, user_row
from tenure.turn import Note
from tenure.workflows import carry, story
from tenure.workflows.quick import quick

RESOLVES = 5  # times in a row a run may find its agent under a new fingerprint before something is badly wrong


class Ended(Exception):
    """A run of this id has ended before; Temporal has forgotten it, the store has not."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.stop_reason)
        self.outcome = outcome


async def observe(run: RunState, times: int) -> None:
    """Find the agent: at the start by the caller's fingerprint, later by name. Raises Ended."""
    if times > RESOLVES:
        raise ApplicationError("the agent keeps changing under the run: start it again", non_retryable=True)
    again = run.snapshot is not None
    first = workflow.info().first_execution_run_id
    observed = await quick("observe", Observe(request=run.request, again=again, first_run=first), Observed)
    if observed.ended is not None:
        raise Ended(observed.ended)
    if not again:
        carry.append(run, first_row(run.request))
        run.seq = 1
    run.snapshot = observed.snapshot
    run.ready, run.audit = observed.ready, observed.audit
    run.learned = run.learned if again else observed.learned
    story.tell(run)


async def take_context(run: RunState) -> None:
    """What was added from outside since the last turn becomes a row of its own."""
    texts, run.context = run.context, []
    if texts:
        row = user_row(texts)
        await quick("note", Note(seq=run.seq, row=row), Note)
        carry.append(run, row)
        run.seq += 1
