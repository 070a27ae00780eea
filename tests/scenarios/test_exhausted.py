"""Somebody is told when a budget begins to refuse calls: holds reach its cap long before the spend does."""

from __future__ import annotations

from typing import Any

import pytest

from tenure import Agent
from tenure.client import RunHandle
from tenure.runtime.store import alerts
from tenure.runtime.store.alerts import Alert
from tenure.testing import Embedded, embedded
from tenure.testing.scripted_claude import text
from tests.waiting import one_pending

HAIKU = "claude-haiku-5-5"


def desk(models: tuple[str, ...] = (), **budget: Any) -> Agent:
    return Agent(name="desk", optimization={"budget": {"daily": 0.1, **budget}, "models": models})


def done(body: dict[str, Any]) -> Any:
    return text("done")


async def spend(system: Embedded, amount: int, scope: str = "agent/day") -> None:
    """Somebody else has spent this much."""
    what = "UPDATE totals SET spent = spent + ? WHERE scope = ?"
    await system.require_store().transact(lambda db: [*db.execute(what, (amount, scope))])


async def told(system: Embedded) -> list[Alert]:
    return await system.require_store().read(lambda db: alerts.since(db, 0))


async def begun(system: Embedded, agent: Agent) -> RunHandle:
    """A run that begins when too much of the ten cents of the day is spent for the next call, and nobody was told so far."""
    await agent.run("go")
    await spend(system, 99_000)
    await system.require_store().transact(lambda db: [*db.execute("DELETE FROM alerts")])
    return await agent.start("go")


async def test_the_first_call_that_a_budget_refuses_raises_an_alert_once() -> None:
    agent = desk(alert_threshold=1)
    async with embedded(agent, claude=done) as system:
        assert (await (await begun(system, agent)).result()).stop_reason == "budget"
        assert (await agent.run("go")).stop_reason == "budget"
        (alert,) = await told(system)
        assert (alert.scope, alert.subject, alert.threshold, alert.cap) == (
            "agent/day",
            "default:desk",
            "exhausted",
            100_000,
        )
        assert (alert.spent < alert.cap, alert.operator) == (True, 0)


async def test_a_run_that_pauses_raises_it_before_anybody_answers() -> None:
    agent = desk(on_exhausted="pause")
    async with embedded(agent, claude=done) as system:
        handle = await begun(system, agent)
        await one_pending(system)
        assert [one.threshold for one in await told(system)] == ["exhausted"]
        await handle.cancel()


async def test_a_run_that_falls_back_raises_it_although_it_is_answered() -> None:
    agent = desk((HAIKU,), on_exhausted="fallback")
    async with embedded(agent, claude=done) as system:
        await agent.run("go")
        await spend(system, 95_000)
        assert (await agent.run("go")).success
        assert "exhausted" in [one.threshold for one in await told(system)]


@pytest.mark.parametrize("thresholds", [[], [0.5]])
async def test_whoever_wants_no_alerts_gets_none(thresholds: list[float]) -> None:
    agent = desk(alert_threshold=thresholds)
    async with embedded(agent, claude=done) as system:
        await (await begun(system, agent)).result()
        assert [one.threshold for one in await told(system)] == ["exhausted"] * len(thresholds)


async def test_it_says_when_it_is_an_operators_cap_that_refuses() -> None:
    agent = desk(daily=100)
    async with embedded(agent, claude=done) as system:
        await agent.run("go")
        await system.cost.cap("default", daily="0.001", by="omar")
        assert (await agent.run("go")).stop_reason == "budget"
        (alert,) = await told(system)
        assert (alert.scope, alert.threshold, alert.operator > 0) == ("tenant/day", "exhausted", True)
