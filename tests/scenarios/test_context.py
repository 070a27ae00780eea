"""Long conversations: what is cleared, what is summarised, and how much of it is read from the prompt cache."""

from __future__ import annotations

import itertools
from typing import Any

from tenure import Agent, tool
from tenure.testing import ScriptedClaude, embedded
from tenure.testing.scripted_claude import text, tool_use
from tenure.transcript import CLEARED

PAGE = "The quick brown fox jumps over the lazy dog. " * 60  # about 900 tokens


@tool(effect="read")
async def read(page: int) -> str:
    """Read a page."""
    return f"page {page}: {PAGE}"


def results(body: dict[str, Any]) -> list[str]:
    blocks = [block for message in body["messages"] for block in message["content"]]
    return [block["content"] for block in blocks if block["type"] == "tool_result"]


def reader(pages: int) -> Any:
    """Claude reads one page a turn, counted by what was asked and not by what is left of it."""
    asked = 0

    def turn(body: dict[str, Any]) -> Any:
        nonlocal asked
        if "haiku" in body["model"]:
            return text("SUMMARY: pages were read.")
        asked += 1
        return tool_use("read", page=asked) if asked <= pages else text("All read.")

    return turn


async def test_over_context_window_the_oldest_tool_results_are_cleared_first() -> None:
    agent = Agent(name="reader", tools=[read], max_iterations=30, context_window=6_000)
    async with embedded(agent, claude=reader(10)) as system:
        response = await agent.run("Read everything.")
        assert system.claude is not None
        sent = [request.body for request in system.claude.requests]
    assert (response.success, len(response.tool_calls)) == (True, 10)
    assert all(PAGE in call["result"] for call in response.tool_calls)  # nothing is lost but from what is sent
    assert not any("haiku" in body["model"] for body in sent)
    last = results(sent[-1])
    kept = [index for index, told in enumerate(last) if told != CLEARED]
    assert kept == list(range(kept[0], 10))  # the newest, without a gap
    assert kept[0] > 0
    for before, after in itertools.pairwise(sent):  # what was cleared once stays cleared
        cleared = [index for index, told in enumerate(results(before)) if told == CLEARED]
        assert all(results(after)[index] == CLEARED for index in cleared)


async def test_what_cannot_be_cleared_is_summarised_by_a_cheap_model_and_the_summary_is_recorded() -> None:
    long = "I think about it at length. " * 120  # Claude's own words cannot be cleared

    def turn(body: dict[str, Any]) -> Any:
        if "haiku" in body["model"]:
            return text("SUMMARY: pages 1 to n were read.")
        made = len([m for m in body["messages"] if m["role"] == "assistant"])
        summarised = "SUMMARY" in str(body["messages"][0])
        return text("All read.") if summarised and made >= 4 else [text(long), tool_use("read", page=made)]

    agent = Agent(name="reader", tools=[read], max_iterations=30, context_window=5_000)
    async with embedded(agent, claude=turn) as system:
        response = await agent.run("Read everything.")
        rows = [row async for row in rows_of(system, response.id)]
        assert system.claude is not None
        asked = [request.body for request in system.claude.requests]
    assert response.success
    summaries = [body for body in asked if "haiku" in body["model"]]
    assert summaries
    assert "[agent calls read]" in summaries[0]["messages"][0]["content"][0]["text"]
    first = asked[-1]["messages"][0]["content"]
    assert [block["text"] for block in first] == [
        "Read everything.",
        "[Tenure: a summary of the conversation so far, in place of its turns]\nSUMMARY: pages 1 to n were read.",
    ]
    recorded = [row["fitted"] for row in rows if "fitted" in row]
    assert recorded[-1]["summary"].startswith("SUMMARY")
    model_only = sum(request.body["model"] == "claude-sonnet-5-5" for request in system.claude.requests)
    assert response.iterations == model_only  # a summary is no iteration, but it is paid for
    assert response.tokens_used == sum(system.claude.billed.values())


async def rows_of(system: Any, workflow: str) -> Any:
    import json

    from tenure.runtime.store import transcript

    for _, row in await system.resources.store.read(lambda db: transcript.between(db, workflow, 0, 1000)):
        yield json.loads(row)


async def test_without_context_window_everything_is_sent() -> None:
    agent = Agent(name="reader", tools=[read], max_iterations=30)
    async with embedded(agent, claude=reader(10)) as system:
        await agent.run("Read everything.")
        assert system.claude is not None
        assert CLEARED not in results(system.claude.requests[-1].body)


async def test_thirty_turns_read_at_least_85_percent_of_their_input_from_the_prompt_cache() -> None:
    agent = Agent(name="reader", instructions="Read carefully. " * 200, tools=[read], max_iterations=40)
    async with embedded(agent, claude=reader(29)):
        response = await agent.run("Read everything.")
    assert response.iterations == 30
    assert response.cache_hits >= 0.85, response.usage


async def test_a_turn_of_many_calls_still_reads_the_conversation_from_the_cache() -> None:
    script = [[tool_use("read", page=n) for n in range(15)], [tool_use("read", page=n) for n in range(15)], text("ok")]
    agent = Agent(name="reader", tools=[read])
    with ScriptedClaude(script) as claude:
        async with embedded(agent, claude=claude):
            response = await agent.run("Read everything.")
    assert response.usage.cache_read > 10_000  # the third request reads what the second one wrote
