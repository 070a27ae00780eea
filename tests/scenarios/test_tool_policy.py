"""Roles, rate limits and the cache of reads within a run: who may call what, how often, and when it is not called at all."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tenure import Agent, StopReason, tool
from tenure.errors import ConfigError
from tenure.response import Response
from tenure.testing import embedded
from tenure.testing.scripted_claude import text, tool_use

MADE: list[str] = []


@pytest.fixture(autouse=True)
def _nothing_made() -> None:
    MADE.clear()


@tool(effect="read", cache=True)
async def get_price(item: str) -> dict[str, Any]:
    """Get a price."""
    MADE.append(f"get_price {item}")
    return {"item": item, "price": len(MADE)}


@tool(effect="read", cache=True)
async def get_stock(item: str) -> int:
    """Get the stock."""
    MADE.append(f"get_stock {item}")
    return len(MADE)


@tool(effect="write", invalidates=["get_price"])
async def set_price(item: str, price: int) -> str:
    """Set a price."""
    MADE.append(f"set_price {item}")
    return "set"


@tool(effect="write")
async def restock(item: str) -> str:
    """Restock."""
    MADE.append(f"restock {item}")
    return "done"


@tool(effect="egress", idempotent=True)
async def send_mail(to: str) -> str:
    """Send a mail."""
    MADE.append(f"send_mail {to}")
    return "sent"


TOOLS = [get_price, get_stock, set_price, restock, send_mail]


async def run(script: list[Any], role: str | None = None, **options: Any) -> Response:
    agent = Agent(name="shop", tools=TOOLS, **options)
    async with embedded(agent, claude=[*script, text("Done.")]):
        return await agent.run("go", role=role)


# ------------------------------------------------------------------------------------------------------------ cache


async def test_a_cached_read_is_made_once_and_claude_reads_its_result_again() -> None:
    agent = Agent(name="shop", tools=TOOLS)
    script = [tool_use("get_price", item="tea"), tool_use("get_price", item="tea"), text("Done.")]
    async with embedded(agent, claude=script) as system:
        response = await agent.run("go")
        assert system.claude is not None
        sent = system.claude.requests[-1].body["messages"]
    assert MADE == ["get_price tea"]
    assert [call["result"] for call in response.tool_calls] == [{"item": "tea", "price": 1}] * 2
    assert sent[4]["content"][0]["content"] == sent[2]["content"][0]["content"]


async def test_the_same_read_twice_in_one_turn_is_made_once() -> None:
    await run([[tool_use("get_price", item="tea"), tool_use("get_price", item="tea"), tool_use("get_stock", item="x")]])
    assert sorted(MADE) == ["get_price tea", "get_stock x"]


async def test_other_arguments_are_another_read() -> None:
    await run([tool_use("get_price", item="tea"), tool_use("get_price", item="rum")])
    assert MADE == ["get_price tea", "get_price rum"]


async def test_a_call_that_changes_the_world_clears_what_was_read_before() -> None:
    await run([tool_use("get_stock", item="tea"), tool_use("restock", item="tea"), tool_use("get_stock", item="tea")])
    assert MADE == ["get_stock tea", "restock tea", "get_stock tea"]


async def test_invalidates_names_the_only_reads_that_a_call_makes_stale() -> None:
    reads = [tool_use("get_price", item="tea"), tool_use("get_stock", item="tea")]
    await run([reads, tool_use("set_price", item="tea", price=3), reads])
    assert sorted(MADE[3:]) == ["get_price tea"]


async def test_a_cached_read_asked_for_again_and_again_is_still_going_in_circles() -> None:
    response = await run([tool_use("get_price", item="tea")] * 4)
    assert (response.stop_reason, MADE) == (StopReason.REPEATED_CALL, ["get_price tea"])


async def test_a_cached_result_survives_the_loss_of_the_store_s_rows() -> None:
    from tenure.runtime.store import transcript

    agent = Agent(name="shop", tools=TOOLS)
    script = [tool_use("get_price", item="tea"), tool_use("get_price", item="tea"), text("Done.")]
    async with embedded(agent, claude=script) as system:
        response = await agent.run("go")
        await system.resources.store.transact(lambda db: transcript.cut(db, response.id, 0))
        await system.resources.recall.restore(system.resources.store, system.temporal, response.id)
        handle = await system.runs.find(response.id)
        assert (await handle.result()).tool_calls == response.tool_calls


# ------------------------------------------------------------------------------------------------------------ roles

ROLES = {"viewer": ["get_*"], "clerk": ["get_*", "send_mail", "restock"]}


async def test_a_role_is_shown_and_may_use_only_its_tools() -> None:
    agent = Agent(name="shop", tools=TOOLS, roles=ROLES)
    script = [[tool_use("restock", item="tea"), tool_use("get_stock", item="tea")], text("Done.")]
    async with embedded(agent, claude=script) as system:
        response = await agent.run("go", role="viewer")
        assert system.claude is not None
        shown = [told["name"] for told in system.claude.requests[0].body["tools"]]
    assert shown == ["get_price", "get_stock"]
    assert response.tool_calls[0]["result"] == "the role 'viewer' may not use restock"
    assert MADE == ["get_stock tea"]


async def test_another_role_may_use_others() -> None:
    await run([tool_use("restock", item="tea")], role="clerk", roles=ROLES)
    assert MADE == ["restock tea"]


@pytest.mark.parametrize("role", [None, "boss"])
async def test_a_run_without_a_known_role_is_refused(role: str | None) -> None:
    response = await run([tool_use("get_price", item="tea")], role=role, roles=ROLES)
    assert (response.stop_reason, MADE) == (StopReason.FAILED, [])
    assert f"role={role!r}: shop takes runs of the roles 'viewer', 'clerk' only" in response.message


def test_a_pattern_that_misses_its_tool_by_a_letter_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"roles\['viewer'\]: 'get_prize' names no tool.*did you mean 'get_price'"):
        Agent(name="shop", tools=TOOLS, roles={"viewer": ["get_prize"]})
    with pytest.raises(ConfigError, match="rate_limits: 'send_mall' names no tool"):
        Agent(name="shop", tools=TOOLS, rate_limits={"send_mall": "1/hour"})
    with pytest.raises(ConfigError, match=r"'get_\*x' is no tool pattern"):
        Agent(name="shop", tools=TOOLS, roles={"viewer": ["get_*x"]})


# ------------------------------------------------------------------------------------------------------ rate limits


async def test_a_call_beyond_a_long_limit_is_not_made_and_claude_is_told_when_it_can_be() -> None:
    script = [tool_use("send_mail", to=f"{name}@example.com") for name in "abc"]
    response = await run(script, rate_limits={"send_*": "2/hour"}, error_threshold=1)
    assert MADE == ["send_mail a@example.com", "send_mail b@example.com"]
    told = response.tool_calls[2]
    assert not told["ok"]
    assert told["result"].startswith("not made: rate limit of 'send_*': 2 in 3,600 s; the next call is possible at ")
    assert response.success  # policy is no error of the tool


async def test_a_run_waits_for_a_short_limit() -> None:
    begun = time.monotonic()
    await run([tool_use("restock", item=f"i{n}") for n in range(3)], rate_limits={"restock": "1/s"})
    assert len(MADE) == 3
    assert time.monotonic() - begun > 1.9


async def test_reads_side_by_side_keep_the_limit_too() -> None:
    reads = [tool_use("get_stock", item=f"i{n}") for n in range(3)]
    response = await run([reads], rate_limits={"*": "2/day"})
    assert len(MADE) == 2
    assert [call["ok"] for call in response.tool_calls].count(False) == 1


async def test_a_limit_counts_over_all_runs_of_a_tenant_and_not_over_others() -> None:
    agent = Agent(name="shop", tools=TOOLS, rate_limits={"send_mail": "1/hour"})
    async with embedded(agent, claude=[tool_use("send_mail", to="a"), text("Done.")]):
        first = await agent.run("go", tenant="acme")
        second = await agent.run("go", tenant="acme")
        other = await agent.run("go", tenant="zeta")
    assert [run.tool_calls[0]["ok"] for run in (first, second, other)] == [True, False, True]


@pytest.mark.parametrize("wrong", ["ten per hour", "0/hour", "5/fortnight", -1])
def test_a_limit_that_cannot_be_read_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigError, match="rate_limits"):
        Agent(name="shop", tools=TOOLS, rate_limits={"send_mail": wrong})
