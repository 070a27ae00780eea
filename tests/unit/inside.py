"""A workflow's surroundings without a server, for properties over thousands of runs.

The workflow's own code runs as it stands: here is who it is, what time it is, its activities and how it waits, answered where the
SDK's worker would answer. What crosses to an activity, and comes back, becomes history's JSON on the way. A store in memory is
behind the activities.
"""

from __future__ import annotations

import asyncio
import dataclasses
import sqlite3
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

from temporalio.testing import ActivityEnvironment

from tenure.runtime.store import Connection, schema
from tenure.runtime.temporal import CONVERTER

T = TypeVar("T")
Activity = Callable[[Any], Awaitable[Any]]
_PAYLOADS = CONVERTER.payload_converter


def crossed(value: T, kind: type[Any] | None = None) -> T:
    """`value` as it comes out of history."""
    return _PAYLOADS.from_payloads(_PAYLOADS.to_payloads([value]), [kind or type(value)])[0]


class Memory:
    """A store in memory with the whole schema; as the real one, what fails leaves nothing behind."""

    def __init__(self) -> None:
        self.db = sqlite3.connect(":memory:", isolation_level=None)
        self.db.row_factory = sqlite3.Row
        schema.bring_up(self.db, Path("memory"), read_only=False)

    async def transact(self, work: Callable[[Connection], T]) -> T:
        return self.at_once(work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        return work(self.db)

    def at_once(self, work: Callable[[Connection], T], *, keep: bool = True) -> T:
        self.db.execute("BEGIN IMMEDIATE")
        try:
            done = work(self.db)
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT" if keep else "ROLLBACK")
        return done


class Inside:
    """One workflow's surroundings. `at` is its time in milliseconds; `moves` says that it should continue as new."""

    def __init__(self, workflow: str, activities: Mapping[str, Activity]) -> None:
        self.at = 1_800_000_000_000
        self.moves = False
        self.workflow = workflow
        self._activities = activities
        self._loop = asyncio.new_event_loop()
        self._moved = asyncio.Event()
        setattr(self._loop, "__temporal_workflow_runtime", self)  # written plainly it would be mangled

    def close(self) -> None:
        """Drop whatever still waits."""
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begin, and go on as far as it goes."""
        task = self._loop.create_task(work)
        self.go_on()
        return task

    def go_on(self) -> None:
        """Look at every condition again, until all that runs waits for something."""
        self._loop.run_until_complete(self._quiet())

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for what a test does from outside."""
        await self.workflow_wait_condition(holds)

    async def _quiet(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()
        await asyncio.sleep(0)
        # What can run at once: asyncio has no public word for it.
        while self._loop._ready:  # type: ignore[attr-defined]  # noqa: ASYNC110  # nobody would set an event
            await asyncio.sleep(0)

    async def _act(self, name: str, given: tuple[Any, ...], result: type[Any] | None) -> Any:
        activity = self._activities[name.partition(".")[0]]
        environment = ActivityEnvironment()
        environment.info = dataclasses.replace(environment.info, activity_type=name, workflow_id=self.workflow)
        done = await environment.run(activity, *(crossed(one) for one in given))
        return None if done is None else crossed(done, result)

    # ------------------------------------------------------------- what the SDK's functions ask, under the SDK's names

    def workflow_start_activity(self, name: str, *given: Any, result_type: type[Any] | None, **_: Any) -> Any:
        return self._loop.create_task(self._act(name, given, result_type))

    workflow_start_local_activity = workflow_start_activity

    async def workflow_wait_condition(
        self, holds: Callable[[], bool], *, timeout: float | None = None, **_: Any
    ) -> None:
        until = None if timeout is None else self.at + timeout * 1000
        while not holds():
            if until is not None and self.at >= until:
                raise TimeoutError
            await self._moved.wait()

    async def workflow_sleep(self, duration: float, **_: Any) -> None:
        until = self.at + duration * 1000
        await self.until(lambda: self.at >= until)

    def workflow_info(self) -> Any:
        return SimpleNamespace(
            workflow_id=self.workflow,
            first_execution_run_id="first",
            is_continue_as_new_suggested=lambda: self.moves,
            is_target_worker_deployment_version_changed=lambda: False,
        )

    def workflow_time_ns(self) -> int:
        return self.at * 1_000_000

    def workflow_set_current_details(self, details: str) -> None:
        """Nobody looks."""

    def workflow_upsert_search_attributes(self, updates: Any, **_: Any) -> None:
        """Nobody looks."""
