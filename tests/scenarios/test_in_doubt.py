"""An effect nobody can account for: a person says whether it happened, and the run goes on from there."""

from __future__ import annotations

import pytest

from tenure import Agent, tool
from tenure.activities.resources import now
from tenure.approvals.digest import call_digest, effect_key
from tenure.approvals.request import Kind, Request
from tenure.client import RunHandle
from tenure.errors import AnswerRefused
from tenure.runtime.store import effects
from tenure.testing import Embedded, embedded
from tenure.testing.scripted_claude import slow, text, tool_use
from tests.waiting import one_pending

PAID: list[str] = []


@tool(effect="write", timeout=0.2)
async def pay(order: str) -> str:
    """Pay an order."""
    PAID.append(order)
    return f"paid {order}"


till = Agent(name="till", tools=[pay])
SCRIPT = [slow(tool_use("pay", order="o1"), 1.0), text("done")]


@pytest.fixture(autouse=True)
def _nothing_paid() -> None:
    PAID.clear()


async def with_an_orphan(system: Embedded, *, age: int) -> tuple[RunHandle, Request]:
    """A run whose first call finds an intent without a result, begun `age` ms ago, as a killed worker leaves it."""
    handle = await till.start("go", user="alice")
    bound = call_digest("default", handle.id, 2, "pay", {"order": "o1"})
    key = effect_key("default", handle.id, 2, bound)
    start = effects.Start(key, handle.id, 2, "pay", bound, "of a dead worker", now() - age)
    await system.require_store().transact(lambda db: effects.begin(db, start))
    return handle, await one_pending(system)


async def test_it_happened_and_is_not_done_again() -> None:
    async with embedded(till, claude=SCRIPT) as system:
        handle, request = await with_an_orphan(system, age=0)
        assert (request.kind, request.choices) == (Kind.IN_DOUBT, ["happened", "did-not", "stop"])
        await system.answer(request, "happened")
        response = await handle.result()
        assert (response.message, PAID) == ("done", [])
        assert "a person confirmed it" in response.tool_calls[0]["result"]


async def test_it_did_not_happen_and_is_done_once() -> None:
    async with embedded(till, claude=SCRIPT) as system:
        handle, request = await with_an_orphan(system, age=60_000)
        await system.answer(request, "did-not")
        response = await handle.result()
        assert (response.message, PAID, response.tool_calls[0]["result"]) == ("done", ["o1"], "paid o1")


async def test_did_not_cannot_be_said_while_the_attempt_may_still_be_running() -> None:
    async with embedded(till, claude=SCRIPT) as system:
        handle, request = await with_an_orphan(system, age=0)
        with pytest.raises(AnswerRefused, match="too early to say did-not"):
            await system.answer(request, "did-not")
        await system.answer(request, "happened")
        await handle.result()
        assert PAID == []


async def test_nobody_knows_and_the_run_stops() -> None:
    async with embedded(till, claude=SCRIPT) as system:
        handle, request = await with_an_orphan(system, age=0)
        await system.answer(request, "stop")
        response = await handle.result()
        assert (response.stop_reason, response.status, PAID) == ("in_doubt", "failed", [])
        [row] = await system.require_store().read(lambda db: effects.of_run(db, handle.id))
        assert row["status"] == "intent"
