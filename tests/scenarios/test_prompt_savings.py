"""What the cache of prompts gave: `tenure show` and `tenure cost` tell it of a long run and of one that it did not pay for."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from tenure import Agent, tool
from tenure.response import Response
from tenure.runtime.prices import Prices
from tenure.spec import DEFAULT_MODEL
from tenure.testing import Embedded, embedded
from tenure.testing.messages_api import Json, turn_of
from tenure.testing.scripted_claude import text, tool_use
from tenure.turn import Usage
from tests.typing_commands import Tenure, at

TURNS = 30


@tool(effect="read")
async def read_page(number: int) -> str:
    """Read one page of the file."""
    return f"page {number}: " + "what the customer wrote, " * 60


clerk = Agent(name="clerk", instructions="You are a careful clerk. " * 300, tools=[read_page], max_iterations=40)
brief = Agent(name="brief", instructions="You answer in one word. " * 300)


def script(body: Json) -> Any:
    return (
        text("Done.")
        if turn_of(body) >= TURNS - 1 or not body.get("tools")
        else tool_use("read_page", number=turn_of(body))
    )


@pytest.fixture(scope="module")
async def system() -> AsyncGenerator[Embedded]:
    async with embedded(clerk, brief, claude=script) as made:
        yield made


@pytest.fixture
def tenure(system: Embedded) -> Tenure:
    return at(system.settings.home, system.temporal.service_client.config.target_host, COLUMNS="160")


def saved(response: Response) -> int:
    """What its tokens would have cost in full, less what they did cost, in micro-dollars: counted here on its own."""
    used = response.usage
    plain = Usage(input=used.input + used.cache_read + used.cache_write, output=used.output)
    return Prices().cost_of(DEFAULT_MODEL, plain) - Prices().cost_of(DEFAULT_MODEL, used)


async def account(tenure: Tenure, agent: str) -> Json:
    accounts = json.loads((await tenure("cost", "--json")).stdout)["accounts"]
    return next(one for one in accounts if one["name"] == agent)


async def test_a_growing_conversation_is_mostly_read_from_the_cache_and_both_pages_say_what_that_saved(
    tenure: Tenure,
) -> None:
    response = await clerk.run("Read the file.")
    expected = saved(response)
    assert response.iterations == TURNS
    assert response.cache_hits > 0.85
    assert expected > 100_000
    shown = json.loads((await tenure("show", response.id, "--json")).stdout)
    assert shown["cache_hits"] == round(response.cache_hits, 4)
    assert abs(float(shown["saved_usd"]) * 1e6 - expected) <= TURNS, "each call is rounded up by itself"
    told = await account(tenure, "clerk")
    assert told["cache_hits"] == shown["cache_hits"]
    assert told["saved"] == round(float(shown["saved_usd"]) * 1e6) == told["counterfactual"] - told["cost"]
    page = (await tenure("show", response.id)).stdout
    assert f"{response.cache_hits:.0%} read from the cache of prompts, saved ${shown['saved_usd']}" in page
    assert f"${shown['saved_usd']}" in (await tenure("cost")).stdout


async def test_where_writing_to_the_cache_cost_more_than_reading_gave_the_saving_is_below_zero(tenure: Tenure) -> None:
    response = await brief.run("Yes or no?")
    assert saved(response) < 0 == response.cache_hits
    shown = json.loads((await tenure("show", response.id, "--json")).stdout)
    assert (shown["cache_hits"], float(shown["saved_usd"]) < 0) == (0, True)
    told = await account(tenure, "brief")
    assert (told["saved"] < 0, told["cache_hits"]) == (True, 0)
    page = (await tenure("show", response.id)).stdout
    assert (
        f"0% read from the cache of prompts, saved -${shown['saved_usd'].removeprefix('-')}: writing to it cost more"
        in page
    )
    assert f"-${shown['saved_usd'].removeprefix('-')}" in (await tenure("cost")).stdout
