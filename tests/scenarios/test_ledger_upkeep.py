"""A ledger of trust in the long run: workers that come, go and restart, agents that change, stores that are put back."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.testing import WorkflowEnvironment

from tenure import Agent
from tenure.runtime import judging
from tenure.runtime.store import Connection, agents, approvals, outcomes
from tenure.testing import Embedded
from tenure.trust import reading
from tests.desk import (
    LEDGER,
    desk,
    in_haste,
    is_quiet,
    kept,
    kinds,
    ran,
    serving,
    shared_server,
    that,
    workflow,
)
from tests.waiting import eventually, one_pending

__all__ = ["in_haste", "shared_server"]  # fixtures

pytestmark = pytest.mark.usefixtures("hasty")


# Who serves it


async def test_a_word_given_from_another_task_queue_reaches_the_ledger_where_its_agent_is_served() -> None:
    agent = desk(initial=0.5)
    async with serving(agent, task_queue="theirs") as system:
        (run,) = await ran(agent, system, 1)
        await is_quiet(system)
        await workflow(system).terminate()  # so that the word has to start it
        there = replace(system, settings=replace(system.settings, task_queue="elsewhere"))
        await there.feedback.give(run, False, unsafe=True)
        await that(system, lambda found: found.level == 0)


async def test_a_ledger_goes_on_with_the_next_pinned_build_when_the_last_worker_of_its_own_is_gone(
    tmp_path: Path, server: WorkflowEnvironment
) -> None:
    agent, shared = desk(initial=0.5), {"home": tmp_path / "home", "server": server}
    async with serving(agent, **shared, build_id="one") as first:
        (run,) = await ran(agent, first, 1)
        await is_quiet(first)
    async with serving(agent, **shared, build_id="two") as second:
        await second.feedback.give(run, False, unsafe=True)
        await that(second, lambda found: found.level == 0)


async def test_the_newer_build_still_counts_while_its_only_worker_restarts(
    tmp_path: Path, server: WorkflowEnvironment
) -> None:
    old, new = desk(), desk(permissions={0.1: ["hold"], 0.2: ["put"]})
    shared: dict[str, Any] = {"home": tmp_path / "home", "server": server}
    async with serving(old, **shared, task_queue="old") as first:
        async with serving(new, **shared, task_queue="new") as second:
            await ran(new, second, 1)
            await is_quiet(first)
        await ran(old, first, 2)  # nobody serves the newer one now
        async with serving(new, **shared, task_queue="new") as second:
            await ran(new, second, 1)
            assert (await is_quiet(second)).fingerprint == new.fingerprint
        assert (await kinds(first)).count("rebuilt") <= 1


async def test_an_older_build_that_is_served_alone_for_long_enough_counts_again(
    tmp_path: Path, server: WorkflowEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agents, "GRACE_MS", 500)
    old, new = desk(), desk(permissions={0.1: ["hold"], 0.2: ["put"]})
    shared: dict[str, Any] = {"home": tmp_path / "home", "server": server}
    async with serving(old, **shared, task_queue="old") as first:
        async with serving(new, **shared, task_queue="new") as second:
            await ran(new, second, 1)
            await is_quiet(first)
        await asyncio.sleep(0.7)
        await ran(old, first, 1)
        await that(first, lambda found: found.fingerprint == old.fingerprint)


async def test_a_proposal_is_taken_back_when_the_agent_loses_its_trust(
    tmp_path: Path, server: WorkflowEnvironment
) -> None:
    agent = desk()
    bare = Agent(name="desk", tools=list(agent.tools))
    async with serving(agent, home=tmp_path / "home", server=server) as system:
        await ran(agent, system, 3)
        await one_pending(system)
    async with serving(bare, home=tmp_path / "home", server=server) as system:
        await system.require_store().transact(lambda db: db.execute("UPDATE builds SET last_at = 0 WHERE trust <> ''"))
        await workflow(system).signal("nudge")
        assert await asyncio.wait_for(workflow(system).result(), 20) == "the agent has no trust="
        assert await system.approvals.pending() == []
        assert (await system.require_store().read(lambda db: approvals.of_run(db, LEDGER)))[0].choice == "withdrawn"


async def test_a_ledger_under_another_name_is_refused() -> None:
    agent = desk()
    async with serving(agent) as system:
        watch = judging.Watch(tenant="default", agent="desk")
        made = await system.temporal.start_workflow(judging.LEDGER, watch, id="mine", task_queue="tenure")
        with pytest.raises(WorkflowFailureError) as failed:
            await asyncio.wait_for(made.result(), 20)
        assert "is called 'default:trust:desk', not 'mine'" in str(failed.value.cause)


# What it hears, and when


async def test_something_severe_is_heard_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = desk(initial=0.5)
    async with serving(agent) as system:
        (run,) = await ran(agent, system, 1)
        await is_quiet(system)
        monkeypatch.setattr(outcomes, "EVERY_MS", 60_000)
        monkeypatch.setattr(reading, "EVERY", 60_000)
        await system.feedback.give(run, True)  # from now on nothing is due
        await system.feedback.give(run, False, unsafe=True)
        await that(system, lambda found: found.level == 0, within=5)


async def test_an_approval_does_not_outrun_what_was_said_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = desk()
    async with serving(agent) as system:
        runs = await ran(agent, system, 3)
        request = await one_pending(system)
        monkeypatch.setattr(outcomes, "EVERY_MS", 60_000)
        monkeypatch.setattr(reading, "EVERY", 60_000)
        await system.feedback.give(runs[0], False)
        await system.answer(request, "approve")

        async def withdrawn() -> bool:
            return (await kinds(system))[-1] == "withdrawn" and not await system.approvals.pending()

        await eventually(withdrawn)
        found = await kept(system)
        assert found is not None
        assert found.level == 3


async def test_runs_that_were_cancelled_or_ended_by_an_outage_are_none_that_complaints_are_counted_among() -> None:
    agent = desk(evaluate=None)
    async with serving(agent) as system:
        handle = await agent.start("put it")
        await eventually(lambda: _is_running(system, handle.id))
        await handle.cancel()
        await handle.result()
        (good,) = await ran(agent, system, 1)
        await system.feedback.give(handle.id, False)
        await system.feedback.give(good, False)
        found = await is_quiet(system)
        assert (found.ledger.evidence.finished, len(found.ledger.evidence.failed)) == (1, 1)


async def _is_running(system: Embedded, run: str) -> bool:
    return bool(await system.require_store().read(lambda db: db.execute("SELECT 1 FROM runs").fetchone()))


async def test_a_store_that_was_put_back_is_read_from_where_it_stands() -> None:
    agent = desk(initial=0.5)
    async with serving(agent) as system:
        runs = await ran(agent, system, 3)
        before = await is_quiet(system)
        await system.require_store().transact(_put_back)
        await system.feedback.give(runs[0], False, unsafe=True)
        found = await that(system, lambda found: found.level == 0)
        assert found.read_to < before.read_to


def _put_back(db: Connection) -> None:
    """As if the last day had never been."""
    db.execute("DELETE FROM outcomes WHERE seq > 1")
    db.execute("UPDATE ledgers SET read_to = 1")
    db.execute("UPDATE sqlite_sequence SET seq = 1 WHERE name = 'outcomes'")
