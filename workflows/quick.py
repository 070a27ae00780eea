"""Short store operations: local activities bounded to 10 s, then ordinary ones that wait an outage out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, TypeVar, overload

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from tenure.wire import Wire
from tenure.workflows.refusals import refusal

T = TypeVar("T")
LOCAL = timedelta(seconds=10)
ATTEMPT = timedelta(seconds=30)


@overload
async def quick(activity: str, value: Wire) -> None: ...
@overload
async def quick(activity: str, value: Wire, result: type[T]) -> T: ...
async def quick(activity: str, value: Wire, result: type[T] | None = None) -> T | None:
    """What `activity` makes of `value`. A refusal is raised as it is; an outage is waited out in an ordinary activity,
    because a local one that waits for a minute writes four times the history."""
    options: dict[str, Any] = {} if result is None else {"result_type": result}  # Any: keyword arguments of two types
    try:
        return await workflow.execute_local_activity(
            activity, value, schedule_to_close_timeout=LOCAL, retry_policy=RetryPolicy(maximum_attempts=4), **options
        )
    except (ActivityError, ApplicationError) as error:  # what a local activity raised arrives bare
        if is_cancelled_exception(error) or refusal(error) is not None:
            raise
    return await workflow.execute_activity(
        activity, value, start_to_close_timeout=ATTEMPT, retry_policy=RetryPolicy(maximum_interval=ATTEMPT), **options
    )
