"""One attempt at a tool's function: run it, bound it in time, tell it about cancellation, and say what became of it.

An async function is cancelled where it waits. A sync one runs in a thread of its own and hears of cancellation at its next
`ctx.heartbeat()`; one that never looks up is abandoned after a grace, because a thread cannot be killed.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from tenure.activities.pulse import Pulse
from tenure.errors import Cancelled, ToolError
from tenure.tools import Tool, ToolContext

GRACE = 3.0  # seconds a sync tool has to look up after it was cancelled


@dataclass(frozen=True)
class Returned:
    """The function returned `value`."""

    value: Any  # whatever the user's function returns; checked by Tool.result


@dataclass(frozen=True)
class Declined:
    """The function raised ToolError: nothing happened."""

    message: str


@dataclass(frozen=True)
class Broke:
    """The function raised something else or took too long: nobody knows whether it took effect."""

    message: str


@dataclass(frozen=True)
class Dropped:
    """The run was cancelled, or the worker stopped, while the function ran: nobody knows how far it came."""


Attempted: TypeAlias = Returned | Declined | Broke | Dropped


@dataclass(frozen=True)
class Flag:
    """What a running tool's context asks: go on?"""

    pulse: Pulse
    cancelled: threading.Event = field(default_factory=threading.Event)

    def heartbeat(self) -> None:
        """Raise Cancelled once the run was cancelled, or when the process stood still and the attempt was given up."""
        if self.cancelled.is_set():
            raise Cancelled("the run was cancelled")
        if self.pulse.lost:
            raise Cancelled("the worker stood still for too long: this attempt was given up")


async def attempt(tool: Tool, ctx: ToolContext, arguments: dict[str, Any], timeout: float, flag: Flag) -> Attempted:
    """Run `tool` once, for at most `timeout` seconds. Never raises what the tool raises."""
    call, limit = _bound(tool, ctx, arguments), asyncio.timeout(timeout)
    try:
        async with limit:
            return Returned(await call() if tool.is_async else await _watched(call, flag))
    except Cancelled:  # our own word, raised inside the tool: what it did before, it does not say
        return Broke(f"{tool.name} did not return within {timeout:g} s") if limit.expired() else Dropped()
    except ToolError as error:
        return Declined(str(error) or type(error).__name__)
    except TimeoutError:
        flag.cancelled.set()
        return Broke(f"{tool.name} did not return within {timeout:g} s")
    except asyncio.CancelledError:
        return Dropped()
    except (Exception, SystemExit) as error:  # noqa: BLE001  # a tool may raise anything; what it raised is an outcome, not a fault of ours
        return Broke(f"{type(error).__name__}: {error}")


def _bound(tool: Tool, ctx: ToolContext, arguments: dict[str, Any]) -> Callable[[], Any]:
    given = (ctx,) if tool.takes_context else ()
    return lambda: tool.function(*given, **arguments)


async def _watched(call: Callable[[], Any], flag: Flag) -> Any:
    future = threaded(call)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        flag.cancelled.set()
        done, _ = await asyncio.wait({future}, timeout=GRACE)
        if done:
            return future.result()
        raise


def threaded(call: Callable[[], Any]) -> asyncio.Future[Any]:
    """What `call` comes to, in a daemon thread of its own: one that hangs can be abandoned and does not hold the worker."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()
    future.add_done_callback(lambda done: done.cancelled() or done.exception())  # abandoned: nobody else will look
    context = contextvars.copy_context()

    def tell(settle: Callable[[Any], None], value: Any) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(lambda: None if future.done() else settle(value))

    def work() -> None:
        try:
            tell(future.set_result, context.run(call))
        except BaseException as error:  # noqa: BLE001  # also SystemExit: it must end the tool, not be lost in a thread
            tell(future.set_exception, error if isinstance(error, Exception) else RuntimeError(repr(error)))

    threading.Thread(
        target=work, name="tenure-tool", daemon=True
    ).start()  # daemon: a stuck tool cannot hold the worker
    return future
