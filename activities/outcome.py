"""What an attempt at a tool call came to: a result, or a failure and what Claude is told if nobody tries again.

Rules of this file: a tool that changes the world has run, whatever it returned; only ToolError says that nothing happened.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, overload

from tenure.activities.attempt import Attempted, Broke, Declined, Dropped, Returned
from tenure.activities.job import Job
from tenure.errors import BadInput
from tenure.run import Effect
from tenure.runtime.blobs import Blobs
from tenure.tools import ToolContext
from tenure.turn import Result
from tenure.wire import INLINE_LIMIT, BlobRef, Json

WORDS_LIMIT = 8_000  # characters of an error, or of the message with which a tool finishes the run
Kind: TypeAlias = Literal["declined", "unsuccessful", "raised", "unexpected"]


@dataclass(frozen=True)
class Failed:
    """The attempt failed. `result` is what Claude is told when there is no other; `error` says it in words."""

    kind: Kind
    error: str
    result: Result

    def is_safe_to_repeat(self, job: Job) -> bool:
        """Whether another attempt cannot double an effect."""
        return job.repeatable or self.kind == "declined"

    def is_repeated_by_itself(self, job: Job) -> bool:
        """Whether another attempt is made when nobody says otherwise."""
        by_itself = self.kind == "raised" or (self.kind == "unexpected" and job.tool.effect is Effect.READ)
        return by_itself and job.repeatable and job.number <= job.tool.retries


def of(job: Job, ctx: ToolContext, tried: Attempted, blobs: Blobs) -> Result | Failed:
    """What the attempt came to. Raises CancelledError when it was dropped."""
    match tried:
        case Returned(value=value):
            return _returned(job, ctx, value, blobs)
        case Declined(message=message):
            return Failed("declined", message, Result(ok=False, value=short(message)))
        case Broke(message=message):
            return _broken(job, "raised", message)
        case Dropped():
            raise asyncio.CancelledError


def unknown(job: Job, message: str) -> Result:
    """Claude is told that nobody knows."""
    told = f"{message}. Nobody knows whether {job.tool.name} took effect: find out before you call it again"
    return Result(ok=False, value=told, outcome="unknown")


def witnessed(job: Job) -> Result:
    """A person has said so."""
    return Result(value=f"{job.tool.name} took effect: a person confirmed it. What it returned is not known")


def _returned(job: Job, ctx: ToolContext, value: Any, blobs: Blobs) -> Result | Failed:  # Any: the tool's own value
    try:
        checked = job.tool.result(value)
        delta = ctx.state.delta(job.tool.name)
    except BadInput as error:
        return _broken(job, "unexpected", str(error))
    failed = isinstance(checked, dict) and checked.get("success") is False  # pyright: ignore[reportUnknownMemberType]  # JSON
    shown, blob = _placed(checked, blobs)
    result = Result(ok=not failed, value=shown, blob=blob, state=delta, finish=short(ctx.finished))
    return Failed("unsuccessful", short(json.dumps(shown)), result) if failed else result


def _broken(job: Job, kind: Kind, message: str) -> Failed:
    told = short(message)
    read = job.tool.effect is Effect.READ
    return Failed(kind, told, Result(ok=False, value=told) if read else unknown(job, told))


def _placed(value: Json, blobs: Blobs) -> tuple[Json, BlobRef | None]:
    """The value itself, or a reference to it when it is too large for history."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    content = text.encode()
    return (None, blobs.put(content)) if len(content) > INLINE_LIMIT else (value, None)


@overload
def short(text: str) -> str: ...
@overload
def short(text: None) -> None: ...
def short(text: str | None) -> str | None:
    """Words of a tool travel inside history: what does not fit there is cut, and said to be."""
    if text is None or len(text) <= WORDS_LIMIT:
        return text
    return f"{text[:WORDS_LIMIT]} [cut: the first {WORDS_LIMIT:,} of {len(text):,} characters]"
