"""The level is earned: judged runs are evidence, people sign a step up, and a step down needs nobody."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tenure import Agent, tool
from tenure.approvals.request import Request
from tenure.runtime import judging
from tenure.runtime.store import ledgers, outcomes, runs
from tenure.runtime.store.ledgers import Kept
from tenure.testing import Embedded, embedded
from tenure.testing.scripted_claude import slow, text, tool_use
from tenure.trust import evidence, ledger, reading
from tests.waiting import eventually, one_pending

GOOD: list[bool] = [True]


@tool(effect="write", idempotent=True)
async def put(what: str) -> str:
    """Put."""
    return what


@tool(effect="write", idempotent=True)
async def fail(what: str) -> dict[str, bool]:
    """Fail."""
    return {"success": False}


RULES = [
    {"metric": "success_rate", "threshold": 0.95, "action": "increment", "amount": 0.1},
    {"metric": "error_rate", "threshold": 0.10, "action": "decrement", "amount": 0.2},
]


def desk(**more: Any) -> Agent:
    trust = {"initial": 0.3, "permissions": {0.1: ["fail"], 0.4: ["put"]}, "rules": RULES, **more}
    return Agent(name="desk", tools=[put, fail], trust=trust, evaluate=lambda response: GOOD[0])


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, at once: no cool-down, nudges and looks every tenth of a second, few runs are enough."""
    GOOD[0] = True
    monkeypatch.setattr(ledger, "COOL_DOWN", 0)
    monkeypatch.setattr(outcomes, "EVERY_MS", 100)
    monkeypatch.setattr(reading, "EVERY", 150)
    monkeypatch.setattr(evidence, "LEAST", 3)
    monkeypatch.setattr(evidence, "MARGIN", evidence.Fraction(9, 10))


@asynccontextmanager
async def serving(agent: Agent, script: Any = lambda body: text("done"), **more: Any) -> AsyncGenerator[Embedded]:
    async with embedded(agent, claude=script, **more) as system:
        yield system


async def kept(system: Embedded) -> Kept | None:
    return await system.require_store().read(lambda db: ledgers.get(db, "default", "desk"))


async def reaches(system: Embedded, level: int) -> Kept:
    async def there() -> Kept | None:
        found = await kept(system)
        return found if found is not None and found.level == level else None

    found = await eventually(there)
    assert found is not None
    return found


async def earn(system: Embedded, agent: Agent, count: int = 3) -> Request:
    for number in range(count):
        await agent.run(f"task {number}")
    return await one_pending(system)


async def test_judged_runs_propose_a_step_up_which_a_person_signs() -> None:
    agent = desk()
    async with serving(agent) as system:
        request = await earn(system, agent)
        assert (request.kind, request.quorum) == ("escalation", 1)
        assert (request.payload["from"], request.payload["to"]) == ("0.3", "0.4")
        assert request.workflow == judging.ledger_id("default", "desk")
        before = await kept(system)
        assert before is not None
        assert before.level == 3
        await system.approve(request)
        await reaches(system, 4)
        changes = await system.require_store().read(lambda db: ledgers.changes(db, "default", "desk"))
        assert [(change.kind, change.after, change.by) for change in changes] == [
            ("began", 3, []),
            ("rise", 4, ["operator"]),
        ]


async def test_a_run_that_starts_after_the_step_has_the_new_level() -> None:
    agent = desk()

    def script(body: dict[str, Any]) -> Any:
        wants = "put it" in str(body["messages"][0])
        return tool_use("put", what="it") if wants and len(body["messages"]) == 1 else text("done")

    async with serving(agent, script) as system:
        await system.approve(await earn(system, agent))
        await reaches(system, 4)
        assert (await agent.run("put it")).success  # at 0.3 it would wait for a person


async def test_a_denied_step_spends_its_evidence() -> None:
    agent = desk()
    async with serving(agent) as system:
        request = await earn(system, agent)
        await system.answer(request, "deny", note="not yet")

        async def denied() -> bool:
            changes = await system.require_store().read(lambda db: ledgers.changes(db, "default", "desk"))
            return changes[-1].kind == "denied"

        await eventually(denied)
        found = await kept(system)
        assert found is not None
        assert (found.level, found.ledger.proposal) == (3, None)


async def test_the_level_falls_by_itself_and_bites_in_runs_under_way() -> None:
    agent = desk(initial=0.5)

    def script(body: dict[str, Any]) -> Any:
        wants = "put it" in str(body["messages"][0])
        return slow(tool_use("put", what="it"), 6.0) if wants and len(body["messages"]) == 1 else text("done")

    async with serving(agent, script) as system:
        under_way = await agent.start("put it")
        GOOD[0] = False
        for number in range(3):
            await agent.run(f"task {number}")
        found = await reaches(system, 3)
        assert found.ledger.changes == []
        request = await one_pending(system)
        assert request.why.startswith("put needs level 0.4, and the agent has 0.3")
        await system.approve(request)
        await under_way.result()


async def test_an_unsafe_run_takes_everything_until_two_people_give_it_back() -> None:
    agent = desk(initial=0.5)
    async with serving(agent) as system:
        run = await agent.run("task")
        await system.feedback.give(run.id, True, unsafe=True, note="mailed a stranger", source="person:alice")
        await reaches(system, 0)
        await system.temporal.get_workflow_handle(judging.ledger_id("default", "desk")).signal(
            "ask_back", args=["restore", "the mail was a test"]
        )
        request = await one_pending(system)
        assert (request.payload["step"], request.quorum) == ("restore", 2)
        await system.approve(request)
        await reaches(system, 5)


async def test_failed_effects_and_denials_speak_for_themselves() -> None:
    agent = desk(initial=0.3)

    def script(body: dict[str, Any]) -> Any:
        if len(body["messages"]) > 1:
            return text("done")
        return tool_use("put", what="x") if "put" in str(body["messages"][0]) else tool_use("fail", what="x")

    async with serving(agent, script) as system:
        failed = await agent.run("fail")
        handle = await agent.start("put")
        await system.answer(await one_pending(system), "deny", note="wrong account")
        denied = await handle.result()
        store = system.require_store()
        said = {
            run.id: [(one.source, one.good, one.note) for one in await system.feedback.of(run.id)]
            for run in (failed, denied)
        }
        assert ("effects", False, "fail failed") in said[failed.id]
        assert ("denial:operator", False, "wrong account") in said[denied.id]
        assert await store.read(lambda db: outcomes.places(db, ("default", "desk"))) == 2


async def test_a_rebuilt_agent_has_the_initial_level_at_most_and_the_older_build_too() -> None:
    agent = desk()
    async with serving(agent) as system:
        await system.approve(await earn(system, agent))
        await reaches(system, 4)
        rebuilt = desk(permissions={0.1: ["fail"], 0.2: ["put"]})
        snapshots = []
        for build in (agent, rebuilt):
            assert build.level is not None
            snapshots.append(
                await system.require_store().read(
                    lambda db, build=build: ledgers.level_for(db, "default", "desk", build.fingerprint, build.level)  # type: ignore[misc]
                )
            )
        assert snapshots == [4, 3]


async def test_another_tenant_earns_for_itself() -> None:
    agent = desk()
    async with serving(agent) as system:
        await system.approve(await earn(system, agent))
        await reaches(system, 4)
        await agent.run("task", tenant="acme")
        assert await system.require_store().read(lambda db: ledgers.get(db, "acme", "desk")) is None or (
            await system.require_store().read(lambda db: ledgers.level(db, "acme", "desk"))
        ) == (3, agent.fingerprint)


async def test_a_ledger_that_rests_comes_back_with_what_it_knew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "IDLE", 700)
    agent = desk()
    async with serving(agent) as system:
        await agent.run("task 0")
        handle = system.temporal.get_workflow_handle(judging.ledger_id("default", "desk"))

        async def rests() -> bool:
            found = await kept(system)
            status = (await handle.describe()).status
            return found is not None and len(found.ledger.evidence.judged) == 1 and str(status) == "2"

        await eventually(rests)
        request = await earn(system, agent)
        assert request.kind == "escalation"
        found = await kept(system)
        assert found is not None
        assert len(found.ledger.evidence.judged) >= 3


async def test_an_agent_without_trust_has_no_ledger() -> None:
    agent = Agent(name="desk", evaluate=lambda response: True)
    async with serving(agent) as system:
        run = await agent.run("task")
        assert await kept(system) is None
        found = await system.require_store().read(lambda db: runs.get(db, run.id))
        assert found is not None
        await system.feedback.give(run.id, True)
