"""Claude and the way to Claude fail in every way they can; the run hears of it as little as possible."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tenure import Agent, tool
from tenure.testing import embedded
from tenure.testing.scripted_claude import (
    Reply,
    ScriptedClaude,
    api_error,
    block,
    cut,
    overloaded,
    rate_limited,
    server_error,
    spend_limit,
    text,
    tool_use,
)

MADE: list[str] = []


@tool(effect="write", idempotent=True)
async def note_down(what: str, path: str = "") -> str:
    """Write something down."""
    MADE.append(what)
    return "noted"


def agent(**options: Any) -> Agent:
    return Agent(name="clerk", tools=[note_down], **options)


BOTH = pytest.mark.parametrize("max_tokens", [4096, 32_000], ids=["in one piece", "streamed"])


def waits(claude: ScriptedClaude) -> list[float]:
    """Seconds between the requests, in order of arrival."""
    at = [request.at for request in claude.requests]
    return [later - earlier for earlier, later in itertools.pairwise(at)]


async def test_retry_after_is_honoured_to_the_second() -> None:
    claude = ScriptedClaude([text("done")])
    claude.interrupt(rate_limited(retry_after=3))
    async with embedded(agent(), claude=claude):
        assert (await agent().run("go")).message == "done"
    [wait] = waits(claude)
    assert 3.0 <= wait < 4.0


@BOTH
async def test_outages_are_waited_out(max_tokens: int) -> None:
    clerk = agent(max_tokens=max_tokens)
    claude = ScriptedClaude([text("done")])
    claude.interrupt(
        overloaded(retry_after_ms=10), server_error(retry_after_ms=10), api_error(529, "overloaded_error", "x")
    )
    async with embedded(clerk, claude=claude):
        response = await clerk.run("go")
    assert (response.message, response.iterations, len(claude.requests)) == ("done", 1, 4)


@BOTH
@pytest.mark.parametrize("contract", [False, True])
async def test_a_spend_limit_is_not_retried(max_tokens: int, contract: bool) -> None:
    clerk = agent(max_tokens=max_tokens)
    claude = ScriptedClaude([text("done")])
    claude.interrupt(spend_limit(contract=contract, retry_after=1, should_retry=True))
    async with embedded(clerk, claude=claude):
        response = await clerk.run("go")
    assert (response.stop_reason, len(claude.requests)) == ("failed", 1)
    assert "SpendLimitReached" in response.message


@BOTH
@pytest.mark.parametrize("ending", ["closed", "complete"])
async def test_a_connection_cut_in_the_middle_is_asked_again_and_nothing_half_is_run(
    max_tokens: int, ending: str
) -> None:
    MADE.clear()
    clerk = agent(max_tokens=max_tokens)
    claude = ScriptedClaude([tool_use("note_down", what="a", path="/tmp/x"), text("done")])
    half = cut(tool_use("note_down", what="a", path="/tmp/x"), ending=ending, after=4)  # pyright: ignore[reportArgumentType]
    claude.interrupt(half)
    async with embedded(clerk, claude=claude):
        response = await clerk.run("go")
    assert (response.message, MADE, len(claude.requests)) == ("done", ["a"], 3)


async def test_tool_json_truncated_at_max_tokens_is_not_run() -> None:
    MADE.clear()
    clerk = agent(max_tokens=32_000)
    broken = Reply([tool_use("note_down", partial_json='{"what": "a", "path": "/tm')], stop_reason="max_tokens")
    async with embedded(clerk, claude=[broken, text("shorter then")]):
        response = await clerk.run("go")
    assert (response.message, MADE) == ("shorter then", [])
    assert "cut at max_tokens" in response.tool_calls[0]["result"]


@BOTH
async def test_blocks_nobody_knows_are_kept_whole_and_sent_back(max_tokens: int) -> None:
    clerk = agent(max_tokens=max_tokens)
    odd = block("hologram", depth=3, layers=[{"z": 1, "ink": None}], signature="s1g")
    claude = ScriptedClaude([[odd, tool_use("note_down", what="a")], text("done")])
    async with embedded(clerk, claude=claude):
        assert (await clerk.run("go")).message == "done"
    sent_back = claude.requests[-1].body["messages"][1]["content"][0]
    assert sent_back == {"type": "hologram", "depth": 3, "layers": [{"z": 1, "ink": None}], "signature": "s1g"}


async def test_a_request_claude_refuses_fails_the_run_with_its_words() -> None:
    claude = ScriptedClaude([text("done")])
    claude.interrupt(api_error(400, "invalid_request_error", "messages.0: too odd"))
    async with embedded(agent(), claude=claude):
        response = await agent().run("go")
    assert (response.stop_reason, len(claude.requests)) == ("failed", 1)
    assert "too odd" in response.message


async def test_an_outage_beyond_the_worker_s_patience_ends_the_run() -> None:
    claude = ScriptedClaude(lambda body: overloaded(retry_after_ms=300))
    clerk = agent(timeout=1)
    async with embedded(clerk, claude=claude, patience=0.001) as system:
        system.claude  # noqa: B018
        import asyncio

        handle = await clerk.start("go")
        response = await asyncio.wait_for(handle.result(), 40)
    assert response.stop_reason == "failed"
    assert "OverloadedError" in response.message
