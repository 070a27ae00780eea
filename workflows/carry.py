"""What a run knows of itself, and how it takes all of it through continue-as-new."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from temporalio import workflow

from tenure.run import STATUS_OF, Outcome, RunRequest, RunState, Step, StopReason
from tenure.transcript import extend
from tenure.wire import JsonObject

STEPS_KEPT = 20  # lines of story that a run carries, as many as the UI is shown; the rest is counted
STEP_LIMIT = 160  # characters of one line
LAST_LIMIT = 400  # of the last one, which says why the run ended
REPEATS_KEPT = 200  # different calls with their results that are remembered to notice a run going in circles
JTIS_KEPT = 1000
T = TypeVar("T")


@dataclass(frozen=True)
class Stop:
    """A terminal condition: why the run ends, and the message it ends with."""

    reason: StopReason
    message: str = ""


def begin(request: RunRequest) -> RunState:
    """A run's state from its request: what the run itself has carried over, or a fresh one."""
    return own(request.carried) or RunState(request=request, started_at=now())


def own(carried: T | None) -> T | None:
    """What a workflow was started with as its state, if it has carried that over itself, by continue-as-new; else None.

    A workflow retry and a cron schedule name the run before them as well, but hand on what whoever started the first one sent.
    """
    info = workflow.info()
    by_itself = info.continued_run_id is not None and info.attempt == 1 and not info.cron_schedule
    return carried if by_itself else None


def pack(run: RunState) -> RunRequest:
    """The request with which the run continues as new. The message is left out: it stands in the transcript."""
    run.repeats = dict(list(run.repeats.items())[-REPEATS_KEPT:])
    run.jtis = run.jtis[-JTIS_KEPT:]
    run.request = run.request.model_copy(update={"message": "", "message_blob": None, "context": []})
    # Lists that were only appended to count as "not set" and would be left out of history: say every field again.
    whole = RunState.model_validate(run.model_dump())
    return RunRequest(agent=run.request.agent, tenant=run.request.tenant, carried=whole)


def append(run: RunState, row: JsonObject) -> None:
    """A transcript row stands: the chain grows."""
    run.head = extend(run.head, row)


def tell(
    run: RunState,
    what: str,
    *,
    took: int = 0,
    tokens: int = 0,
    cost: int = 0,
    ok: bool = True,
    limit: int = STEP_LIMIT,
) -> None:
    """Add a line to the story."""
    run.steps.append(Step(at=now(), what=what[:limit], took=took, tokens=tokens, cost=cost, ok=ok))
    if len(run.steps) > STEPS_KEPT:
        run.steps.pop(0)
        run.skipped_steps += 1


def outcome(run: RunState, stop: Stop) -> Outcome:
    """How the run ends."""
    return Outcome(
        status=STATUS_OF[stop.reason],
        stop_reason=stop.reason,
        message=stop.message,
        iterations=run.iteration,
        calls=run.calls,
        usage=run.usage,
        cost=run.cost,
        started_at=run.started_at,
        finished_at=now(),
        rows=run.rows,
        fingerprint=run.snapshot.fingerprint if run.snapshot else "",
        **_cheaper(run),
    )


def _cheaper(run: RunState) -> dict[str, Any]:  # Any: values of several fields; what says nothing stays out of history
    tier = run.served.tier if run.served else "cheap" if run.cheap else ""
    told: dict[str, Any] = {
        "tier": tier,
        "saved": run.saved,
        "served": run.served,
        "models": run.models,
    }  # Any: as above
    return {name: value for name, value in told.items() if value}


def now() -> int:
    """Workflow time in milliseconds since the epoch."""
    return round(workflow.time() * 1000)


def should_move() -> bool:
    """Whether the run should continue as new: its history grows long, or a newer build of the worker is current."""
    info = workflow.info()
    return info.is_continue_as_new_suggested() or info.is_target_worker_deployment_version_changed()
