"""reuse: a read that another run of the tenant has made a moment ago is not made again.

Rules of this file: what is found is given to a call that may be made now, and to no other: looking comes after `permit`. A read is
known by all that its function may look at; where it looks at more, as the id of its run, its result is kept for nobody.
"""

from __future__ import annotations

import hashlib
import threading
import time
from typing import Any, TypeAlias

from tenure.activities.job import Job
from tenure.activities.resources import now
from tenure.runtime.store import Connection, epochs, results
from tenure.runtime.store.results import Read, Sought
from tenure.tools import ToolContext
from tenure.transcript import canonical
from tenure.turn import Cached, Result
from tenure.wire import Json

Said: TypeAlias = Result | Sought  # what an earlier read came to, or that it must be made
_OWN = ("run_id", "idempotency_key")  # of a context: another in every run
_CLOCK = getattr(
    time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC
)  # goes on while a machine is suspended, where there is one


class Watched(ToolContext):
    """A tool's context that notices when the tool looks at what is another in every run."""

    looked: threading.Event

    def __getattribute__(self, name: str) -> Any:  # Any: the types of the context's own fields
        """As everywhere; `looked` is set when it is one of those."""
        if name in _OWN and (found := self.__dict__.get("looked")) is not None:
            found.set()
        return super().__getattribute__(name)


def read_of(job: Job) -> Read | None:
    """The call as a read that other runs may share; None where its tool shares nothing."""
    tool = job.tool
    if not tool.shared:
        return None
    given = job.agent.facts[tool.name].given(job.block["input"])
    seen = [job.run.user, job.run.role, job.state] if tool.takes_context else None
    key = _digest([job.run.tenant, job.agent.name, tool.name, tool.identity, given, seen])
    return Read(tenant=job.run.tenant, tool=tool.name, key=key, lasts=tool.shared * 1000)


def find(db: Connection, read: Read) -> Said:
    """What the call would come to, as an earlier one has found; or the read that must be made."""
    at = steady()
    found = results.seek(db, read, at)
    if isinstance(found, Sought):
        return found
    result = Result.model_validate_json(found.value)
    return result.model_copy(update={"cached": Cached(run=found.workflow, age=at - found.at)})


def keep(db: Connection, job: Job, sought: Sought, result: Result) -> None:
    """Keep the result for others, if it says nothing but what was read."""
    if (
        not result.ok
        or result.outcome != "known"
        or result.state
        or result.finish is not None
        or result.stop is not None
    ):
        return
    told = Result(value=result.value, blob=result.blob)
    results.keep(db, sought, job.workflow, told.model_dump_json(exclude_defaults=True), steady())


def begin(db: Connection, job: Job) -> None:
    """The call changes the world from now on, for as long as its attempt may live."""
    if job.tool.stale:
        at = steady()
        epochs.begin(db, job.run.tenant, job.token, job.tool.stale, at, at + job.lasts)


def end(db: Connection, job: Job) -> None:
    """The call has changed what it has changed, in this attempt or, as somebody says, in an earlier one."""
    if job.tool.stale:
        epochs.end(db, job.run.tenant, job.token, job.tool.stale)


def steady() -> int:
    """Wall-clock time in milliseconds, which for this process does not go back when the clock is set back."""
    return max(now(), _BEGUN + _ticks())


def _digest(told: Json) -> str:
    return hashlib.sha256(canonical(told).encode()).hexdigest()


def _ticks() -> int:
    return time.clock_gettime_ns(_CLOCK) // 1_000_000


_BEGUN = now() - _ticks()
