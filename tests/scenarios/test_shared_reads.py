"""Reads that are shared by the runs of a tenant: who is answered from whose, and what must never be answered so."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

from tenure import Agent, StopReason, ToolContext, tool
from tenure.response import Response
from tenure.runtime.store import Connection, transcript
from tenure.testing import Embedded, embedded
from tenure.testing.messages_api import Json, turn_of
from tenure.testing.scripted_claude import text, tool_use
from tenure.trust.restrictions import Restriction
from tests.typing_commands import at
from tests.waiting import eventually

WORLD: dict[str, Any] = {}
MADE: list[str] = []
PASS: dict[str, asyncio.Event] = {}


@pytest.fixture(autouse=True)
def _a_new_world() -> None:
    WORLD.clear()
    WORLD["price"] = 1
    MADE.clear()
    PASS.clear()


@tool(effect="read", cache=60, output="item")
async def get_price(item: str, currency: str = "EUR") -> dict[str, Any]:
    """Get a price."""
    MADE.append("get_price")
    return {"item": item, "price": WORLD["price"]}


@tool(effect="read", cache=60)
async def my_orders(ctx: ToolContext) -> str:
    """List the orders of whoever asks."""
    MADE.append("my_orders")
    return f"orders of {ctx.user} as {ctx.role} in {ctx.state.get('shop')}"


@tool(effect="read", cache=60)
async def traced(ctx: ToolContext) -> str:
    """Say which run asks."""
    MADE.append("traced")
    return ctx.run_id


@tool(effect="read", cache=60)
async def noted(ctx: ToolContext) -> str:
    """Note something in the run's state."""
    MADE.append("noted")
    ctx.state["noted"] = True
    return "noted"


@tool(effect="read", cache=60)
async def refused() -> dict[str, Any]:
    """Fail politely."""
    MADE.append("refused")
    return {"success": False}


@tool(effect="read", cache=60)
async def catalogue() -> str:
    """Return more than fits into history."""
    MADE.append("catalogue")
    return "tea, " * 20_000


@tool(effect="read", cache=60)
async def slow_price() -> int:
    """Look the price up, and take long to say it."""
    MADE.append("slow_price")
    seen = WORLD["price"]
    await PASS.setdefault("read", asyncio.Event()).wait()
    return seen


@tool(effect="write", invalidates=["get_price", "slow_*"])
async def set_price(price: int) -> str:
    """Set the price."""
    WORLD["price"] = price
    return "set"


@tool(effect="write", invalidates="get_price")
async def fail_to_set(price: int) -> str:
    """Set the price and fail."""
    WORLD["price"] = price
    raise RuntimeError("connection reset")


@tool(effect="write", invalidates=["get_price"])
async def slow_set(price: int) -> str:
    """Set the price, and take long to say so."""
    MADE.append("slow_set")
    await PASS.setdefault("before", asyncio.Event()).wait()
    WORLD["price"] = price
    MADE.append("is set")
    await PASS.setdefault("after", asyncio.Event()).wait()
    return "set"


@tool(effect="write", invalidates=["my_orders"])
async def order(item: str) -> str:
    """Order."""
    return "ordered"


@tool(effect="write")
async def do_anything() -> str:
    """Say nothing of what it makes stale."""
    return "done"


READS = [get_price, my_orders, traced, noted, refused, catalogue, slow_price]
shop = Agent(name="shop", tools=[*READS, set_price, slow_set, order])
office = Agent(name="office", tools=[get_price, set_price, fail_to_set, do_anything])
strict = Agent(name="strict", tools=[get_price], rate_limits={"get_price": "1/hour"})
AGENTS = {agent.name: agent for agent in (shop, office, strict)}


def script(body: Json) -> Any:
    """The message is the calls to make, one turn after the other."""
    turns = json.loads(body["messages"][0]["content"][-1]["text"])
    return turns[turn_of(body)] if turn_of(body) < len(turns) else text("Done.")


Play = Callable[..., Any]


@pytest.fixture(scope="module")
async def shared() -> AsyncGenerator[Embedded]:
    async with embedded(*AGENTS.values(), claude=script) as made:
        yield made


@pytest.fixture
async def system(shared: Embedded) -> Embedded:
    """Nobody has read anything."""

    def forget(db: Connection) -> None:
        for table in ("results", "data_writes", "uses"):
            db.execute(f"DELETE FROM {table}")

    await shared.resources.store.transact(forget)
    return shared


async def play(*calls: Any, agent: str = "shop", **who: Any) -> Response:
    turns = [call if isinstance(call, list) else [call] for call in calls]
    return await AGENTS[agent].run(json.dumps(turns), **{"tenant": "acme", **who})


def told(response: Response) -> list[tuple[Any, bool]]:
    """Of each call the result, and whether it came from the cache."""
    return [(call["result"], "cached" in call) for call in response.tool_calls]


async def later(system: Embedded, seconds: float) -> None:
    """So much time goes by for what is kept."""
    moved = round(seconds * 1000)
    await system.resources.store.transact(
        lambda db: db.execute("UPDATE results SET at = at - ?, until = until - ?", (moved, moved))
    )


TEA = tool_use("get_price", item="tea")


# ---------------------------------------------------------------------------------------------------------- who shares


async def test_a_read_of_one_run_answers_another_run_of_the_tenant_and_says_so(system: Embedded) -> None:
    first, second = await play(TEA, user="alice"), await play(TEA, user="bob")
    assert MADE == ["get_price"]
    assert [call["result"] for call in second.tool_calls] == [call["result"] for call in first.tool_calls]
    cached = second.tool_calls[0]["cached"]
    assert (cached["run"], 0 <= cached["age"] < 60_000, "cached" in first.tool_calls[0]) == (first.id, True, False)


async def test_what_is_from_the_cache_is_shown_by_show_with_its_age(system: Embedded) -> None:
    first = await play(TEA)
    await later(system, 12)
    second = await play(TEA, TEA)
    tenure = at(system.settings.home, system.temporal.service_client.config.target_host, COLUMNS="200")
    page = (await tenure("show", second.id)).stdout
    ages = re.findall(rf"from the cache, ([\d.]+) s old: read in {first.id}", page)
    assert [12 <= float(age) < 60 for age in ages] == [True, True]
    assert "2 calls (2 from the cache)" in page
    steps = json.loads((await tenure("show", second.id, "--json")).stdout)["steps"]
    assert [step["cached"]["run"] for step in steps if step["kind"] == "call"] == [first.id] * 2
    assert "from the cache" not in (await tenure("show", first.id)).stdout, (
        "nor does it speak of prompts that were too short"
    )


async def test_the_story_of_a_run_under_way_says_that_a_result_is_from_the_cache(system: Embedded) -> None:
    await play(TEA)
    await later(system, 30)
    handle = await shop.start(json.dumps([[TEA], [tool_use("slow_price")]]), tenant="acme")

    async def is_told() -> bool:
        steps = (await handle.progress()).steps
        return any(re.search(r'get_price\(item="tea"\): from the cache, [3-5]\d s old', step.what) for step in steps)

    await eventually(is_told)
    PASS.setdefault("read", asyncio.Event()).set()
    await handle.result()


async def test_another_tenant_is_never_answered_from_it(system: Embedded) -> None:
    await play(TEA)
    assert told(await play(TEA, tenant="globex")) == [({"item": "tea", "price": 1}, False)]
    assert MADE == ["get_price"] * 2


async def test_another_agent_is_not_answered_from_it(system: Embedded) -> None:
    await play(TEA)
    await play(TEA, agent="office")
    assert MADE == ["get_price"] * 2


async def test_a_default_that_is_written_out_is_the_same_read_and_another_argument_is_not(system: Embedded) -> None:
    await play(TEA)
    await play(tool_use("get_price", currency="EUR", item="tea"), tool_use("get_price", item="tea", currency="USD"))
    assert MADE == ["get_price"] * 2


async def test_a_tool_with_a_context_shares_only_with_the_same_user_role_and_state(system: Embedded) -> None:
    call, who = tool_use("my_orders"), {"user": "alice", "role": "buyer", "state": {"shop": "tea"}}
    await play(call, **who)
    others: list[dict[str, Any]] = [{"user": "bob"}, {"user": None}, {"role": "boss"}, {"state": {"shop": "rum"}}]
    for other in others:
        mine = {**who, **other}
        expected = f"orders of {mine['user']} as {mine['role']} in {mine['state']['shop']}"
        assert told(await play(call, **mine)) == [(expected, False)]
    assert told(await play(call, **who)) == [("orders of alice as buyer in tea", True)]


async def test_the_same_read_twice_in_one_turn_is_made_once(system: Embedded) -> None:
    response = await play([TEA, TEA, tool_use("get_price", item="rum")])
    assert MADE == ["get_price"] * 2
    assert [cached for _, cached in told(response)] == [False, True, False]


async def test_a_hit_asked_for_again_and_again_is_still_going_in_circles(system: Embedded) -> None:
    assert (await play(*[TEA] * 4)).stop_reason is StopReason.REPEATED_CALL


# ------------------------------------------------------------------------------------------------------- what is kept


async def test_after_its_time_a_result_is_read_anew_however_often_it_was_found(system: Embedded) -> None:
    await play(TEA)
    for _ in range(2):
        await later(system, 25)
        assert told(await play(TEA))[0][1]
    await later(system, 11)
    assert not told(await play(TEA))[0][1]


@pytest.mark.parametrize("name", ["traced", "noted", "refused"])
async def test_what_is_the_run_s_own_or_no_success_is_kept_for_nobody(system: Embedded, name: str) -> None:
    await play(tool_use(name), user="alice")
    await play(tool_use(name), user="alice")
    assert MADE.count(name) == 2


async def test_a_large_result_is_kept_by_its_reference(system: Embedded) -> None:
    first, second = await play(tool_use("catalogue")), await play(tool_use("catalogue"))
    assert (MADE, second.tool_calls[0]["result"]) == (["catalogue"], first.tool_calls[0]["result"])


async def test_a_row_from_the_cache_survives_the_loss_of_the_store_s_rows(system: Embedded) -> None:
    await play(TEA)
    second = await play(TEA)
    await system.resources.store.transact(lambda db: transcript.cut(db, second.id, 0))
    await system.resources.recall.restore(system.resources.store, system.temporal, second.id)
    handle = await system.runs.find(second.id)
    assert (await handle.result()).tool_calls == second.tool_calls


# ------------------------------------------------------------------------------------------------- what makes it stale


@pytest.mark.parametrize("agent", ["shop", "office"])
async def test_a_write_of_another_run_of_whatever_agent_makes_stale_what_it_names(system: Embedded, agent: str) -> None:
    await play(TEA)
    await play(tool_use("set_price", price=9), agent=agent)
    assert told(await play(TEA)) == [({"item": "tea", "price": 9}, False)]


async def test_a_write_that_failed_makes_stale_what_it_names(system: Embedded) -> None:
    await play(TEA)
    await play(tool_use("fail_to_set", price=9), agent="office")
    assert told(await play(TEA))[0][0]["price"] == 9


async def test_a_write_that_says_nothing_makes_everything_of_the_tenant_stale(system: Embedded) -> None:
    for tenant in ("acme", "globex"):
        await play(TEA, tenant=tenant)
    await play(tool_use("do_anything"), agent="office")
    assert [told(await play(TEA, tenant=tenant))[0][1] for tenant in ("acme", "globex")] == [False, True]


async def test_a_write_that_names_other_reads_leaves_it(system: Embedded) -> None:
    await play(TEA)
    await play(tool_use("order", item="tea"))
    assert told(await play(TEA))[0][1]


async def test_a_read_that_was_under_way_when_a_write_came_is_not_kept(system: Embedded) -> None:
    reading = asyncio.create_task(play(tool_use("slow_price")))
    await eventually(lambda: asyncio.sleep(0, "slow_price" in MADE))
    await play(tool_use("set_price", price=9))
    PASS["read"].set()
    assert told(await reading) == [(1, False)]
    assert told(await play(tool_use("slow_price"))) == [(9, False)]


async def test_while_a_write_is_under_way_nothing_that_it_names_is_kept_or_found(system: Embedded) -> None:
    await play(TEA)
    writing = asyncio.create_task(play(tool_use("slow_set", price=9)))
    await eventually(lambda: asyncio.sleep(0, "slow_set" in MADE))
    assert told(await play(TEA, tool_use("get_price", item="rum")))[0] == ({"item": "tea", "price": 1}, False)
    PASS["before"].set()
    await eventually(lambda: asyncio.sleep(0, "is set" in MADE))
    assert told(await play(TEA)) == [({"item": "tea", "price": 9}, False)]
    PASS.setdefault("after", asyncio.Event()).set()
    await writing
    assert told(await play(TEA, TEA)) == [({"item": "tea", "price": 9}, False), ({"item": "tea", "price": 9}, True)]


# --------------------------------------------------------------------------------------------------- what comes first


async def test_a_call_that_is_denied_now_is_not_answered_from_the_cache(system: Embedded) -> None:
    await play(TEA)
    await system.restrictions.restrict("acme", "shop", Restriction(kind="deny", value="get_price"), by="ops")
    try:
        response = await play(TEA)
    finally:
        await system.restrictions.lift("acme", "shop", by="ops")
    assert (response.tool_calls[0]["ok"], "cached" in response.tool_calls[0]) == (False, False)
    assert "denied by an operator" in response.tool_calls[0]["result"]


async def test_a_halted_agent_is_answered_nothing_before_it_may_go_on(system: Embedded) -> None:
    await play(TEA)
    await system.restrictions.restrict("acme", "shop", Restriction(kind="halt"), by="ops")
    handle = await shop.start(json.dumps([[TEA]]), tenant="acme")

    async def waits() -> bool:
        return (await handle.progress()).status == "waiting"

    await eventually(waits)
    assert not any("cache" in step.what for step in (await handle.progress()).steps)
    await system.restrictions.lift("acme", "shop", by="ops")
    assert told(await handle.result())[0][1]


async def test_a_hit_counts_for_no_rate_limit_and_one_that_is_used_up_holds_it_back(system: Embedded) -> None:
    other = tool_use("get_price", item="rum")
    assert [call["ok"] for call in (await play(TEA, agent="strict")).tool_calls] == [True]
    response = await play(TEA, agent="strict")
    assert response.tool_calls[0]["result"].startswith("not made: rate limit of 'get_price'")
    await system.resources.store.transact(lambda db: db.execute("DELETE FROM uses"))
    assert [call["ok"] for call in (await play(TEA, TEA, other, agent="strict")).tool_calls] == [True, True, True]
