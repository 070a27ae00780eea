"""A ledger of trust under faults: nothing said of a run is lost, nothing counts twice, and nothing raises a level but people."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from temporalio.testing import WorkflowEnvironment

from bench import trust_load
from tenure.activities.resources import now
from tenure.errors import NotFound
from tenure.runtime import judging
from tenure.runtime.store import Connection, ledgers, outcomes, runs
from tenure.runtime.temporal import start_server
from tenure.testing import embedded
from tenure.trust import reading
from tests.desk import (
    GO,
    GOOD,
    HELD,
    MAY,
    READS,
    SLOW,
    STEP,
    WHO,
    approved,
    asked_by,
    claude,
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

# Workers that die, nudges that are doubled or lost


@pytest.mark.timeout(180)
async def test_workers_that_are_killed_while_outcomes_arrive_lose_none_of_them() -> None:
    figures = await trust_load.measure(trust_load.Options(outcomes=240, rate=40, kills=2))
    assert figures["kills"] >= 1
    assert [goal for goal in trust_load.missed(figures) if goal != "history stays short"] == [], figures


async def test_a_worker_that_stops_in_the_middle_of_a_read_leaves_it_to_the_next(
    tmp_path: Path, server: WorkflowEnvironment
) -> None:
    agent = desk(rules=SLOW)
    async with serving(agent, home=tmp_path / "home", server=server) as system:
        READS.set()
        await ran(agent, system, 2)
        await eventually(lambda: asyncio.to_thread(HELD.wait, 0.1))
        threading.Timer(1.0, GO.set).start()  # the store's thread ends with the read it is in
    READS.clear()
    async with serving(agent, home=tmp_path / "home", server=server) as system:
        found = await that(system, lambda found: len(found.ledger.evidence.judged) == 2)
        assert (found.level, found.ledger.evidence.finished, await kinds(system)) == (3, 2, ["began"])


async def test_a_doubled_nudge_changes_nothing() -> None:
    agent = desk()
    async with serving(agent) as system:
        await ran(agent, system, 2)
        before = await is_quiet(system)
        for _ in range(20):
            await judging.nudge(system.require_store(), system.temporal, "tenure", WHO)
        after = await is_quiet(system)
        assert (after.ledger, after.read_to, await kinds(system)) == (before.ledger, before.read_to, ["began"])


async def test_a_word_whose_nudge_was_lost_with_its_worker_is_found_by_any_other() -> None:
    agent = desk()
    async with serving(agent) as system:
        (run,) = await ran(agent, system, 1)
        await is_quiet(system)
        assert await system.require_store().transact(lambda db: _complain(db, run))  # and nobody is told
        await that(system, lambda found: run.rpartition(":")[2] in found.ledger.evidence.failed)


async def test_a_word_whose_nudge_did_not_reach_temporal_is_found_by_any_worker() -> None:
    agent = desk()
    async with serving(agent) as system:
        (run,) = await ran(agent, system, 1)
        await is_quiet(system)

        def unreached(db: Connection) -> None:
            assert _complain(db, run)
            outcomes.drop_nudge(db, WHO)  # as `judging.nudge` does when nobody answers

        await system.require_store().transact(unreached)
        await that(system, lambda found: run.rpartition(":")[2] in found.ledger.evidence.failed, within=4)


def _complain(db: Connection, run: str) -> str:
    row = runs.get(db, run)
    assert row is not None
    judging.say(db, row, "client", False, "wrong", now())
    return judging.due(db, WHO, now() + 1000)


# Continue-as-new, and a store that knows more than the ledger


async def test_continue_as_new_loses_neither_evidence_nor_the_open_request_nor_its_answers() -> None:
    agent = desk(initial=0.5)
    tiny = await start_server(flags=["--dynamic-config-value", "limit.historyCount.suggestContinueAsNew=6"])
    try:
        async with serving(agent, server=tiny) as system:
            run = (await ran(agent, system, 2))[0]
            await system.feedback.give(run, False, unsafe=True, note="mailed a stranger")
            await that(system, lambda found: found.level == 0)
            await workflow(system).signal("ask_back", args=["restore", "it was a test"])
            await one_pending(system)
            await is_quiet(system)
            (request,) = await asked_by(system)
            await approved(system, request, "operator")
            first = (await workflow(system).describe()).run_id
            await ran(agent, system, 2)
            before = await is_quiet(system)
            assert (await workflow(system).describe()).run_id != first
            assert [one.id for one in await asked_by(system)] == [request.id]
            assert len(before.ledger.evidence.judged) == 2
            await approved(system, request, "reviewer")
            await that(system, lambda found: found.level == 5)
            assert (await kinds(system))[-1] == "restore"
    finally:
        await tiny.shutdown()


async def test_the_lower_level_of_the_store_wins_over_that_of_the_ledger() -> None:
    agent = desk(initial=0.5)
    async with serving(agent) as system:
        await ran(agent, system, 1)
        found = await is_quiet(system)
        lower = found.ledger.model_copy(update={"level": 1, "epoch": found.ledger.epoch + 1})
        await system.require_store().transact(lambda db: ledgers.keep(db, *WHO, lower, found.read_to, now()))
        await ran(agent, system, 1)
        assert (await is_quiet(system)).level == 1


async def test_a_write_of_the_ledger_that_comes_late_does_not_undo_a_fall() -> None:
    agent = desk(initial=0.5)
    async with serving(agent) as system:
        (run,) = await ran(agent, system, 1)
        old = await is_quiet(system)
        await system.feedback.give(run, False, unsafe=True)
        await that(system, lambda found: found.level == 0)
        # What a worker does that stood still inside `keep_ledger` while another one took its place.
        await system.require_store().transact(lambda db: ledgers.keep(db, *WHO, old.ledger, old.read_to, old.at))
        assert (await is_quiet(system)).level == 0


async def test_a_ledger_that_waits_for_people_sleeps_however_long_nothing_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reading, "IDLE", 2000)
    agent = desk()
    async with serving(agent) as system:
        await ran(agent, system, 3)
        await one_pending(system)
        await asyncio.sleep(2.5)
        before = (await workflow(system).describe()).history_length
        await asyncio.sleep(4)
        assert (await workflow(system).describe()).history_length - before <= 12  # a look or none, not one each second


# Builds, tenants, runs under way


async def test_two_builds_side_by_side_do_not_flap_and_the_older_has_the_initial_level_at_most(
    tmp_path: Path, server: WorkflowEnvironment
) -> None:
    old, new = desk(), desk(permissions={0.1: ["hold"], 0.2: ["put"]})
    shared: dict[str, Any] = {"home": tmp_path / "home", "server": server}
    async with serving(old, **shared, task_queue="old") as first:
        await ran(old, first, 3)
        await first.approve(await one_pending(first))
        await that(first, lambda found: found.level == 4)
        async with serving(new, **shared, task_queue="new") as second:
            for _ in range(2):
                await ran(old, first, 1)
                await ran(new, second, 1)
            found = await is_quiet(first)
            assert (found.level, found.fingerprint) == (3, new.fingerprint)
            assert (await kinds(first)).count("rebuilt") == 1
            assert (
                len(found.ledger.evidence.judged) == 2
            )  # what is said of the older build is no evidence for the newer
            for build in (old, new):
                level = await first.require_store().read(
                    lambda db, build=build: ledgers.level_for(db, *WHO, build.fingerprint, 3)  # type: ignore[misc]
                )
                assert level == 3


async def test_a_call_that_was_let_through_is_asked_about_when_the_level_falls_before_it_begins() -> None:
    agent = desk(initial=0.5)
    async with serving(agent) as system:
        under_way = await agent.start("put it")
        await asyncio.wait_for(STEP.wait(), 20)  # `put` was allowed at 0.5 in the same turn
        GOOD[0] = False
        await ran(agent, system, 3)
        await that(system, lambda found: found.level == 3)
        MAY.set()
        request = await one_pending(system)
        assert request.why.startswith("put needs level 0.4, and the agent has 0.3")
        await system.approve(request)
        assert (await under_way.result()).success


async def test_feedback_judges_the_agent_of_the_runs_own_tenant_and_no_run_that_nobody_knows() -> None:
    agent = desk(evaluate=None)
    async with serving(agent) as system:
        (mine,) = await ran(agent, system, 1)
        (theirs,) = await ran(agent, system, 1, tenant="acme")
        with pytest.raises(NotFound):
            await system.feedback.give("default:run:desk:never", False, unsafe=True)
        with pytest.raises(NotFound):
            await system.feedback.give(mine.replace("default:", "acme:"), False, unsafe=True)
        await system.feedback.give(theirs, False, unsafe=True)

        async def fell() -> bool:
            found = await kept(system, "acme")
            return found is not None and found.level == 0

        await eventually(fell)
        found = await is_quiet(system)
        assert (found.level, found.ledger.evidence.failed) == (3, [])


async def _hangs(run: object) -> bool:
    await asyncio.Event().wait()
    return True


def _raises(run: object) -> bool:
    raise ValueError("broken")


async def test_an_evaluator_that_raises_hangs_or_says_something_else_has_judged_nothing() -> None:
    failing: list[Callable[[object], Any]] = [_hangs, _raises, lambda run: 1, lambda run: "good"]
    agents = [desk(hook).model_copy(update={"name": f"desk{number}"}) for number, hook in enumerate(failing)]
    async with embedded(*agents, claude=claude) as system:
        for agent in agents:
            (run,) = await ran(agent, system, 1)
            assert await system.feedback.of(run) == []
            rows = await system.require_store().read(
                lambda db, name=agent.name: outcomes.after(db, ("default", name), 0, 9)  # type: ignore[misc]
            )
            assert [row.kind for row in rows] == ["finished"]
