"""Notices: the one seam through which people hear that they are asked, or still asked.

Rules of this file: telling people is best effort. A notifier that fails or hangs is said on standard error and holds nobody up; the
request stands in the store and in the Temporal UI whatever becomes of the word about it.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeAlias, cast

from tenure.approvals.request import Notice
from tenure.errors import ConfigError
from tenure.runtime.registry import import_module

Notify: TypeAlias = Callable[[Notice], Awaitable[None] | None]
SECONDS = 5.0  # a notifier may take


def load(references: str) -> list[Notify]:
    """The functions that `TENURE_NOTIFY` names, as MODULE:FUNCTION separated by commas. Raises ConfigError."""
    return [_function(reference.strip()) for reference in references.split(",") if reference.strip()]


async def tell(notifiers: Iterable[Notify], notice: Notice) -> None:
    """Hand the notice to every notifier. Never raises."""
    await asyncio.gather(*(_tell(one, notice) for one in notifiers))


async def _tell(notify: Notify, notice: Notice) -> None:
    try:
        async with asyncio.timeout(SECONDS):
            told = notify(notice) if inspect.iscoroutinefunction(notify) else await asyncio.to_thread(notify, notice)
            if inspect.isawaitable(told):
                await told
    except Exception as error:  # noqa: BLE001  # whatever it raises is the notifier's affair
        sys.stderr.write(f"tenure worker: {_named(notify)} failed on {notice.request.id}: {error!r}\n")


def _function(reference: str) -> Notify:
    module, _, name = reference.partition(":")
    found: Any = getattr(import_module(module), name, None) if name else None  # Any: the user's own function
    if not callable(found):
        raise ConfigError(f"TENURE_NOTIFY={reference!r}: write MODULE:FUNCTION of a function that takes a Notice")
    return cast("Notify", found)


def _named(notify: Notify) -> str:
    return getattr(notify, "__qualname__", repr(notify))
