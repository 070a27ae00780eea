"""A budget: no call is made that could overshoot it; what follows is as the agent says: less, another model, people, an end."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from tenure import Agent, tool
from tenure.activities import paying
from tenure.activities.raising import Raising
from tenure.approvals.request import Request
from tenure.client import RunHandle
from tenure.errors import ConfigError
from tenure.run import Raise
from tenure.runtime.prices import Prices
from tenure.runtime.store import Connection, approvals, charges
from tenure.runtime.store.charges import Call
from tenure.testing import Embedded, embedded
from tenure.testing.scripted_claude import overloaded, text, tool_use
from tenure.turn import Usage
from tests.waiting import eventually, one_pending

SONNET, HAIKU = "claude-sonnet-5-5", "claude-haiku-5-5"


@tool(effect="read")
async def look(what: str) -> str:
    """Look something up."""
    return what


def desk(models: tuple[str, ...] = (), **budget: Any) -> Agent:
    return Agent(name="desk", tools=[look], optimization={"budget": budget, "models": models})


async def rows(system: Embedded, what: str) -> list[tuple[Any, ...]]:
    return await system.require_store().read(lambda db: [tuple(row) for row in db.execute(what).fetchall()])


async def spend(system: Embedded, amount: int, scope: str = "agent/day") -> None:
    """Somebody else has spent this much of today's budget."""

    def write(db: Connection) -> None:
        db.execute("UPDATE totals SET spent = spent + ? WHERE scope = ?", (amount, scope))

    await system.require_store().transact(write)


async def started_late(system: Embedded, agent: Agent) -> RunHandle:
    """A run that begins when the day's budget of ten cents is all but spent."""
    await agent.run("go")
    await spend(system, 99_900)
    return await agent.start("go")


def asked(system: Embedded) -> list[tuple[str, int]]:
    """Which model was asked for how much, each time."""
    assert system.claude is not None
    return [(one.body["model"], one.body["max_tokens"]) for one in system.claude.requests]


async def test_every_call_is_held_before_it_is_made_and_settled_at_what_it_cost() -> None:
    seen: list[list[tuple[Any, ...]]] = []

    async def claude(body: dict[str, Any]) -> Any:
        seen.append(await rows(running[0], "SELECT outcome, held FROM charges WHERE outcome = 'held'"))
        return text("done")

    running: list[Embedded] = []
    agent = desk(daily=1)
    async with embedded(agent, claude=claude) as system:
        running.append(system)
        response = await agent.run("go")
        ((held,),) = [[amount for _, amount in one] for one in seen]
        assert held >= response.cost * 1_000_000
        assert await rows(system, "SELECT outcome, cost FROM charges") == [
            ("settled", round(response.cost * 1_000_000))
        ]
        assert await rows(system, "SELECT DISTINCT held FROM totals") == [(0,)]


async def test_what_is_left_bounds_the_length_of_the_answer_and_then_the_run_stops() -> None:
    agent = desk(per_request=0.02)
    script = [tool_use("look", what="x" * 40), text("done")]
    async with embedded(agent, claude=script) as system:
        await agent.run("go")
        (_, first), (_, second) = asked(system)
        assert 256 <= second <= first < 4096
        bound = Prices().cost_of(SONNET, Usage(cache_write=200, output=first))
        assert bound <= 20_000


async def test_a_run_whose_budget_is_too_small_for_one_useful_answer_asks_claude_nothing_and_says_why() -> None:
    agent = desk(per_request="0.001")
    async with embedded(agent, claude=lambda body: text("never")) as system:
        response = await agent.run("go")
        assert (response.success, response.stop_reason, asked(system)) == (False, "budget", [])
        assert response.message.startswith(
            "the budget of this run is too small for one call: it is $0.001, and a call needs up to $0.0"
        )


async def test_the_day_of_all_runs_stops_the_next_one_and_another_tenant_has_its_own() -> None:
    agent = desk(daily=0.1)
    async with embedded(agent, claude=lambda body: text("done")) as system:
        assert (await agent.run("go")).success
        await spend(system, 99_900)
        stopped = await agent.run("go")
        assert stopped.stop_reason == "budget"
        assert stopped.message.startswith("the budget of agent desk for today is used up: $0.10")
        assert ", left: $0.00, and the next call may cost $0.0" in stopped.message
        assert (await agent.run("go", tenant="acme")).success


async def test_where_the_own_model_is_too_dear_the_next_one_answers() -> None:
    agent = desk(models=(HAIKU,), daily=0.1, on_exhausted="fallback")
    async with embedded(agent, claude=lambda body: text("done")) as system:
        await agent.run("go")
        await spend(system, 95_000)
        response = await agent.run("go")
        assert response.success
        assert [model for model, _ in asked(system)] == [SONNET, HAIKU]
        ((cost,),) = await rows(system, f"SELECT cost FROM charges WHERE model = '{HAIKU}'")
        assert round(response.cost * 1_000_000) == cost
        await spend(system, 10_000)
        assert (await agent.run("go")).stop_reason == "budget"


async def test_a_paused_run_goes_on_when_people_add_to_its_budget_and_once_only() -> None:
    agent = desk(daily=0.1, on_exhausted="pause")
    async with embedded(agent, claude=lambda body: text("done")) as system:
        handle = await started_late(system, agent)
        request: Request = await one_pending(system)
        assert (request.kind, request.payload["add"], request.payload["scope"]) == ("budget", "$0.10", "agent/day")
        await system.approve(request)
        assert (await handle.result()).success
        assert await rows(system, "SELECT scope, raised FROM totals WHERE raised > 0") == [("agent/day", 100_000)]


async def test_a_paused_run_whose_request_is_denied_stops() -> None:
    agent = desk(daily=0.1, on_exhausted="pause")
    async with embedded(agent, claude=lambda body: text("done")) as system:
        handle = await started_late(system, agent)
        await system.answer(await one_pending(system), "deny", note="enough for today")
        response = await handle.result()
        assert (response.stop_reason, "enough for today" in response.message) == ("budget", True)


async def test_a_paused_run_goes_on_by_itself_when_the_day_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paying, "turns_at", lambda scope, at: at + 2_000)
    agent = desk(daily=0.1, on_exhausted="pause")
    async with embedded(agent, claude=lambda body: text("done")) as system:
        handle = await started_late(system, agent)
        request = await one_pending(system)
        assert request.deadline - request.opened_at <= 3_000

        async def looked() -> bool:  # as it does when it begins to wait
            history = await system.temporal.get_workflow_handle(handle.id).fetch_history()
            return any(b"still_short" in event.SerializeToString() for event in history.events)

        await eventually(looked)
        await spend(system, -99_900)  # as on a new day
        assert (await handle.result()).success
        (asked,) = await system.require_store().read(lambda db: approvals.of_run(db, handle.id))
        assert asked.choice == "expired"


async def test_nobody_adds_to_a_budget_by_writing_that_it_was_approved() -> None:
    agent = desk(daily=0.1, on_exhausted="pause")
    async with embedded(agent, claude=lambda body: text("done")) as system:
        handle = await started_late(system, agent)
        request = await one_pending(system)
        store, raising = system.require_store(), Raising(system.resources)
        await store.transact(lambda db: approvals.close_request(db, request.id, "approve", "operator", 1))
        environment = ActivityEnvironment()
        environment.info = replace(environment.info, workflow_id=handle.id)
        with pytest.raises(ApplicationError, match="of its approvals 0 hold, 1 are needed"):
            await environment.run(raising.raise_budget, Raise(request=request.id))
        assert await rows(system, "SELECT scope FROM totals WHERE raised > 0") == []
        await handle.cancel()


async def test_a_budget_that_others_hold_is_waited_for() -> None:
    agent = desk(daily=0.1)
    async with embedded(agent, claude=lambda body: text("done")) as system:
        await agent.run("go")
        held = Call("other", "w", "default", "desk", None, SONNET, "model", 1, "", 90_000, 0, 2**60)
        await system.require_store().transact(lambda db: _hold(db, held))
        handle = await agent.start("go")
        await asyncio.sleep(1.5)
        assert (await handle.progress()).status == "running"
        await system.require_store().transact(lambda db: charges.release(db, "other", 1))
        assert (await handle.result()).success


def _hold(db: Connection, call: Call) -> None:
    (row,) = db.execute("SELECT period FROM totals WHERE scope = 'agent/day'").fetchall()
    scope = charges.Scope("agent/day", "default:desk", row[0], 100_000)
    assert charges.hold(db, call, [scope]) is None


async def test_a_call_that_the_api_refuses_costs_nothing() -> None:
    agent = desk(daily=1)
    async with embedded(agent, claude=lambda body: text("done")) as system:
        assert system.claude is not None
        system.claude.interrupt(overloaded(retry_after_ms=10))
        response = await agent.run("go")
        assert response.success
        assert sorted(await rows(system, "SELECT outcome, cost > 0 FROM charges")) == [("settled", 0), ("settled", 1)]


async def test_an_alert_is_raised_once_in_a_day_and_threshold() -> None:
    agent = desk(daily=0.1, alert_threshold=[0.5, 0.8])
    async with embedded(agent, claude=lambda body: text("done")) as system:
        await agent.run("go")
        await spend(system, 55_000)
        for _ in range(2):
            await agent.run("go")
        assert await rows(system, "SELECT scope, threshold FROM alerts") == [("agent/day", "0.5")]


async def test_a_run_is_billed_no_more_than_its_budget_however_often_it_asks() -> None:
    agent = desk(per_request=0.03)
    async with embedded(agent, claude=lambda body: tool_use("look", what=str(len(body["messages"])) * 300)) as system:
        response = await agent.run("go")
        assert response.stop_reason in ("budget", "max_iterations")
        assert system.claude is not None
        assert response.cost <= 0.03
        await eventually(lambda: _settled(system))


async def _settled(system: Embedded) -> bool:
    return await rows(system, "SELECT 1 FROM charges WHERE outcome = 'held'") == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"budget": {"daily": -1}}, "budget.daily=-1: must be more than nothing"),
        ({"budget": {"daily": float("inf")}}, "budget.daily=inf: must be more than nothing and finite"),
        ({"budget": {"daily": "much"}}, "must be dollars"),
        ({"budget": {"dayly": 1}}, "budget has no setting 'dayly': did you mean 'daily'?"),
        ({"budget": {"perRequst": 1}}, "budget has no setting 'perRequst'"),
        (
            {"patterns": {"confidense": 0.9}},
            "optimization.patterns has no setting 'confidense': did you mean 'confidence'?",
        ),
        (
            {"enable_cache": True, "cache_rules": [{"ttl": 60, "admit": "answered"}]},
            "cache_rules has no setting 'admit': it belongs to Optimization itself",
        ),
        ({"enable_cache": True, "cache_rules": [{"tll": 60}]}, "cache_rules has no setting 'tll': did you mean 'ttl'?"),
        (
            {"enable_cache": True, "cache_rules": [{"pattern": "greting", "response": "Hi"}]},
            "or 'regex:...': did you mean 'greeting'?",
        ),
        ({"budget": {"perRequest": 0.0000001}}, "finer than a micro-dollar"),
        ({"budget": {"alertThreshold": 1.5}}, "must be a share of the cap"),
        ({"budget": {"onExhausted": "fallback"}}, "name what to fall back to in optimization.models"),
        ({"models": ["claude-haiku-5-5"]}, "write on_exhausted='fallback'"),
        ({"cacheRules": [{"ttl": 60}]}, "nothing is cached without enable_cache=True"),
        ({"fallback": ["cache"]}, "and 'intelligent' at the end"),
        ({"route": "haiku"}, "route"),
        ({"route": len}, "name the models that it may choose from"),
        (
            {"route": {"claude-opus-5": ["thanks"]}, "models": ["claude-haiku-5-5"]},
            "which is not in optimization.models",
        ),
        ({"route": {"claude-haiku-5-5": ["regex:("]}, "models": ["claude-haiku-5-5"]}, "not a regular expression"),
        ({"audit": 1.5}, "optimization.audit=1.5"),
        ({"patterns": {"confidence": 2}}, "optimization.patterns.confidence=2"),
        ({"budgte": {}}, "did you mean 'budget'?"),
    ],
)
def test_what_cannot_be_meant_is_refused_where_it_is_written(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Agent(name="desk", optimization=given)
    assert said in str(refused.value)


def test_the_vision_s_own_budget_is_taken_as_written() -> None:
    agent = Agent(name="desk", optimization={"budget": {"daily": 50.0, "perRequest": 1.0, "alertThreshold": 0.8}})
    assert (agent.budget.daily, agent.budget.per_request) == (50_000_000, 1_000_000)
