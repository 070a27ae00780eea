"""Which model makes the first turn of a run, and who is asked when that one will not."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tenure import Agent
from tenure.hooks import Choice, FirstTurn
from tenure.testing import embedded
from tenure.testing.scripted_claude import refusal, text
from tests.scenarios.test_answer_cache import HAIKU, SONNET, asked, both, in_order, rows


async def test_a_cheaper_model_makes_the_first_turn_where_the_route_says_so() -> None:
    def route(first: FirstTurn) -> Any:
        return HAIKU if len(first.texts[0]) < 20 else Choice(HAIKU, confidence=0.5)

    agent = Agent(name="desk", optimization={"models": [HAIKU], "route": route})
    async with embedded(agent, claude=in_order("Cheap.", "Dear.")) as system:
        cheap, dear = await both(agent, "short", "a request that is long enough")
        assert [one.body["model"] for one in system.claude.requests] == [HAIKU, SONNET]
        assert (cheap.tier, dear.tier) == ("cheap", "model")
        assert await rows(system, "SELECT tier, model FROM charges ORDER BY at") == [
            ("cheap", HAIKU),
            ("model", SONNET),
        ]


async def test_a_route_may_be_patterns_of_requests() -> None:
    how = {"models": [HAIKU], "route": {HAIKU: ["thanks", "regex:(where|when) .{1,40}\\?"]}}
    agent = Agent(name="desk", optimization=how)
    async with embedded(agent, claude=in_order("One.", "Two.", "Three.")) as system:
        tiers = [(await agent.run(said)).tier for said in ("Thank you!", "Where is it?", "Refund it.")]
        assert tiers == ["cheap", "cheap", "model"]
        assert asked(system) == 3


async def test_what_the_cheaper_model_declines_the_agents_own_is_asked_and_both_are_paid() -> None:
    agent = Agent(name="desk", optimization={"models": [HAIKU], "route": lambda first: HAIKU})
    async with embedded(agent, claude=in_order(refusal(), text("Yes."))) as system:
        response = await agent.run("go")
        assert (response.message, response.tier) == ("Yes.", "model")
        ((paid,),) = await rows(system, "SELECT sum(cost) FROM charges")
        assert response.cost == Decimal(paid) / 1_000_000


async def test_a_route_that_names_another_model_ends_the_run_by_its_name() -> None:
    agent = Agent(name="desk", optimization={"models": [HAIKU], "route": lambda first: "gpt"})
    async with embedded(agent, claude=in_order()) as system:
        response = await agent.run("go")
        assert response.message.startswith("optimization.route of 'desk' returned 'gpt'")
        assert asked(system) == 0
