"""The pulse of an attempt: heartbeats while it lives, and the end of it when the process was frozen too long.

A process that is stopped (SIGSTOP, a paused virtual machine) and wakes up later finds its attempt given up and another one
made. The pulse notices the gap before the attempt's own code goes on, and cancels it: a zombie has no effect.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator
from contextlib import contextmanager

from temporalio import activity

TICK = 0.2  # seconds; the first one due after a freeze, so it comes before any timer of the attempt
BEAT = 1.0
CLOCK = getattr(
    time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC
)  # goes on while a machine is suspended, where there is one
FROZEN = 4.0  # seconds without a tick after which the attempt is given up; below the heartbeat time-out of 5 s


class Pulse:
    """One attempt's heartbeat. `lost` says that the attempt is not ours any more."""

    def __init__(self, task: asyncio.Task[object] | None) -> None:
        self._task = task
        self._loop = asyncio.get_running_loop()
        self._ticked = self._beaten = _now()
        self._timer = self._loop.call_later(TICK, self._tick)
        self._lost = False

    @property
    def lost(self) -> bool:
        """Whether the process stood still for so long that another attempt may have begun."""
        self._lost = self._lost or _now() - self._ticked > FROZEN
        return self._lost

    def stop(self) -> None:
        """The attempt is over."""
        self._timer.cancel()

    def _tick(self) -> None:
        if self.lost:
            if self._task is not None:
                self._task.cancel()
            return
        self._ticked = _now()
        if self._ticked - self._beaten >= BEAT:
            self._beaten = self._ticked
            activity.heartbeat()
        self._timer = self._loop.call_later(TICK, self._tick)


@contextmanager
def pulse() -> Generator[Pulse]:
    """Heartbeat for the current activity while the block runs."""
    made = Pulse(asyncio.current_task())
    try:
        yield made
    finally:
        made.stop()


def _now() -> float:
    return time.clock_gettime(CLOCK)
