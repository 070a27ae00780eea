"""Summaries of old turns: what they must tell, when they stand for nothing, and that they are paid for once."""

from __future__ import annotations

import json
from typing import Any

from tenure import Agent, StopReason, tool
from tenure.hooks import Modify
from tenure.response import Response
from tenure.testing import ScriptedClaude, embedded
from tenure.testing.scripted_claude import overloaded, refusal, text, tool_use


@tool(effect="write")
async def refund(amount: int) -> str:
    """Refund."""
    return f"refunded {amount}"


@tool(effect="read")
async def page(number: int) -> str:
    """Read a page."""
    return f"{number}: " + "all work and no play " * 150


def long_talk(haiku: Any) -> Any:
    def turn(body: dict[str, Any]) -> Any:
        if "haiku" in body["model"]:
            return haiku(body) if callable(haiku) else haiku
        made = sum(message["role"] == "assistant" for message in body["messages"])
        words = "I wonder about this at length. " * 100
        over = made > 6 or "SUMMARY" in str(body["messages"][0])
        return text("done") if over else [text(words), tool_use("refund", amount=100 + made)]

    return turn


async def sent_by(agent: Agent, script: Any) -> tuple[Response, list[dict[str, Any]]]:
    async with embedded(agent, claude=script) as system:
        response = await agent.run("go")
        assert system.claude is not None
        return response, [request.body for request in system.claude.requests]


async def test_a_summary_that_was_refused_stands_for_nothing() -> None:
    agent = Agent(name="desk", tools=[refund], context_window=2_500, max_iterations=20)
    response, sent = await sent_by(agent, long_talk(refusal("no")))
    assert any("haiku" in body["model"] for body in sent)
    words = json.dumps(sent[-1]["messages"])
    assert "a summary of the conversation" not in words
    assert all(f'"amount": {call["input"]["amount"]}' in words for call in response.tool_calls)


async def test_a_summary_tells_the_input_that_calls_were_made_with() -> None:
    agent = Agent(
        name="desk",
        tools=[refund],
        context_window=2_500,
        max_iterations=20,
        on_tool_call=lambda call: Modify({"amount": call.input["amount"] - 100}),
    )
    _, sent = await sent_by(agent, long_talk(text("SUMMARY")))
    asked = next(body for body in sent if "haiku" in body["model"])["messages"][0]["content"][0]["text"]
    assert 'refund] {"amount": 0}' in asked
    assert '"amount": 100' not in asked


async def test_a_summary_is_paid_for_once_when_the_turn_after_it_has_to_be_asked_for_again() -> None:
    def summarise(body: dict[str, Any]) -> Any:
        claude.interrupt(overloaded(retry_after_ms=10), overloaded(retry_after_ms=10))  # the next two requests
        return text("SUMMARY")

    agent = Agent(name="desk", tools=[refund], context_window=2_500, max_iterations=20)
    with ScriptedClaude(long_talk(summarise)) as claude:
        response, sent = await sent_by(agent, claude)
        billed = sum(claude.billed.values())
    assert sum("haiku" in body["model"] for body in sent) == 1
    assert response.tokens_used == billed


async def test_what_was_cleared_may_be_read_again_without_going_in_circles() -> None:
    agent = Agent(name="desk", tools=[page], context_window=3_000, max_iterations=20)
    script = [tool_use("page", number=n % 4) for n in range(12)]
    response, _ = await sent_by(agent, [*script, text("done")])
    assert response.stop_reason is not StopReason.REPEATED_CALL
