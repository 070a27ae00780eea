"""Audit: a run that Claude answered although an answer was known is compared with that answer, once it is over."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError

from tenure.run import Compare, Compared, Outcome, RunState, StopReason
from tenure.workflows.call import GRACE, HEARTBEAT
from tenure.workflows.carry import tell
from tenure.workflows.refusals import reason

ATTEMPTS = 3  # after which the hit stays unaudited


async def audit(run: RunState, outcome: Outcome) -> None:
    """Compare. The run has ended: whatever comes of it, that stands."""
    if run.audit is None or outcome.stop_reason is not StopReason.ANSWERED:
        return
    asked = Compare(seq=run.rows, audit=run.audit, request=run.request.message, message=outcome.message)
    try:
        found = await workflow.execute_activity(
            "audit",
            asked,
            result_type=Compared,
            start_to_close_timeout=timedelta(seconds=run.agent.timeout + GRACE),
            heartbeat_timeout=HEARTBEAT,
            retry_policy=RetryPolicy(maximum_attempts=ATTEMPTS),
            summary=f"the rule {run.audit.rule!r} is audited",
        )
    except ActivityError as error:
        tell(run, f"audit of the rule {run.audit.rule!r}: {reason(error)}", ok=False)
        return
    said = {
        True: "the same answer",
        False: "another answer: it is not given again",
        None: "the budget did not allow it",
    }
    tell(run, f"audit of the rule {run.audit.rule!r}: {said[found.agreed]}", ok=found.agreed is not False)
