"""What a failed activity says to the workflow: the type of refusal, or that it is merely broken."""

from __future__ import annotations

from temporalio.exceptions import ActivityError, ApplicationError, FailureError, TimeoutError

from tenure.errors import NotServed

NOT_SERVED = NotServed.__name__


def refusal(error: FailureError) -> str | None:
    """The type of a refusal that no retry heals, or None for anything else."""
    cause = error.cause if isinstance(error, ActivityError) else error
    return cause.type if isinstance(cause, ApplicationError) and cause.non_retryable else None


def reason(error: BaseException) -> str:
    """What went wrong, in words for a person."""
    if not isinstance(error, ActivityError):
        return error.message if isinstance(error, ApplicationError) else str(error)
    match error.cause:
        case ApplicationError() as cause:
            return cause.message
        case TimeoutError() as cause:
            last = cause.cause.message if isinstance(cause.cause, ApplicationError) else "no attempt came to an end"
            return f"{error.activity_type} was given up: {last}"
        case cause:
            return str(cause or error)
