"""How a run ends by its agent's own functions: they hear of the last iteration, and pass, rewrite or hold the final answer."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, is_cancelled_exception

from tenure.approvals.request import Kind
from tenure.hooks import SECONDS, Evaluate, Evaluated, Respond, Responded
from tenure.run import Draft, Outcome, RunState, Status, StopReason
from tenure.trust.terms import DEFAULTS
from tenure.workflows.ask import Desk, request_for
from tenure.workflows.call import GRACE, HEARTBEAT, RETRY, NotServed
from tenure.workflows.carry import Stop, tell
from tenure.workflows.refusals import NOT_SERVED, reason, refusal

ASKED = {"on_iteration", "on_response"}
ATTEMPT = timedelta(seconds=2 * SECONDS + GRACE)  # two hooks
EVALUATIONS = 3  # attempts, after which the run goes without a verdict


async def respond(run: RunState, desk: Desk, stop: Stop) -> Stop:
    """How the run ends once its agent's functions were asked. Raises MoveOn, NotServed; `finish` then goes on."""
    if not ASKED & set(run.agent.hooks):
        return stop
    run.draft = Draft(reason=stop.reason, message=stop.message)
    return await finish(run, desk, run.draft)


async def finish(run: RunState, desk: Desk, draft: Draft) -> Stop:
    """The same for a draft that stands already."""
    if not draft.held:
        said = await _ask(run, draft)
        if said.broken:
            return Stop(StopReason.FAILED, said.broken)
        draft.held, draft.message = said.held, draft.message if said.rewritten is None else said.rewritten
    return await _hold(run, desk, draft) if draft.held else Stop(draft.reason, draft.message)


async def evaluate(run: RunState, outcome: Outcome) -> None:
    """Ask for a verdict. The run has ended: whatever comes of it, that stands."""
    if "evaluate" not in run.agent.hooks or outcome.status is Status.CANCELLED:
        return
    try:
        verdict = await workflow.execute_activity(
            "evaluate",
            Evaluate(seq=run.rows, head=run.head, outcome=outcome),
            result_type=Evaluated,
            start_to_close_timeout=ATTEMPT,
            heartbeat_timeout=HEARTBEAT,
            retry_policy=RetryPolicy(maximum_attempts=EVALUATIONS),
        )
    except ActivityError as error:
        tell(run, f"evaluate: no verdict: {reason(error)}", ok=False)
        return
    judged = {True: "good", False: "not good", None: "no verdict"}[verdict.good]
    tell(run, f"evaluate: {judged}. {verdict.why}".rstrip(" ."), ok=verdict.good is not False)


async def _ask(run: RunState, draft: Draft) -> Responded:
    unheard = run.iteration if run.heard < run.iteration else 0
    about = Respond(seq=run.rows, head=run.head, iteration=unheard, reason=draft.reason, message=draft.message)
    try:
        return await workflow.execute_activity(
            "respond",
            about,
            result_type=Responded,
            start_to_close_timeout=ATTEMPT,
            heartbeat_timeout=HEARTBEAT,
            retry_policy=RETRY,
        )
    except ActivityError as error:
        if is_cancelled_exception(error) or refusal(error) != NOT_SERVED:
            raise
        raise NotServed from error


async def _hold(run: RunState, desk: Desk, draft: Draft) -> Stop:
    request = request_for(run, Kind.ANSWER, run.rows, {"answer": draft.message}, draft.held, DEFAULTS["answer"])
    settled = await desk.ask(draft, request)
    if settled.choice == "approve":
        return Stop(draft.reason, draft.message)
    return Stop(StopReason.DENIED, f"the answer was held ({draft.held}); {settled.refusal}")
