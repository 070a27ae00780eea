"""Waiting for what is recorded somewhere, bounded in time, instead of sleeping and hoping."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenure.approvals.request import Request
from tenure.testing import Embedded

T = TypeVar("T")


async def eventually(look: Callable[[], Awaitable[T]], *, within: float = 20.0) -> T:
    """The first truthy thing `look` sees. Fails after `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        found = await look()
        if found:
            return found
        assert time.monotonic() < deadline, f"not seen within {within} s"
        await asyncio.sleep(0.03)


async def one_pending(system: Embedded, *, within: float = 20.0) -> Request:
    """The one request that is open, once it is."""
    return (await eventually(system.approvals.pending, within=within))[0]
