"""Lineage: what a run that is started from inside another run's tool takes over from it.

Rules of this file: it only narrows. A child never has more trust than its parent, what taints the parent taints the child, and
where the tool names nobody else it is the same person's run: who may not approve the one may not approve the other.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Lineage:
    """Of the run whose tool is running: whether it is tainted, its level (tenths; None: it has no `trust`), and whose it is.

    `looked` is set once the tool has asked: what it returns may then depend on the run that it runs in.
    """

    tainted: bool = False
    cap: int | None = None
    user: str | None = None
    looked: threading.Event = field(default_factory=threading.Event, compare=False)


_current: contextvars.ContextVar[Lineage] = contextvars.ContextVar("tenure_lineage")
_NONE = Lineage()


def current() -> Lineage:
    """The lineage of whatever is started here; outside of a tool, none."""
    found = _current.get(_NONE)
    found.looked.set()
    return found


@contextmanager
def of(*, tainted: bool, cap: int | None, user: str | None, looked: threading.Event | None = None) -> Generator[None]:
    """Within the block, started runs descend from this one."""
    token = _current.set(Lineage(tainted, cap, user, looked or threading.Event()))
    try:
        yield
    finally:
        _current.reset(token)
