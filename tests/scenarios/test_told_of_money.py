"""What `tenure run` and `tenure show` tell of money: which model answered instead, and who added what to which budget."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from click.testing import CliRunner, Result

from tenure import Agent
from tenure.cli import main
from tenure.runtime.store import Connection
from tenure.testing import Embedded, embedded
from tenure.testing.scripted_claude import text
from tests.waiting import one_pending

HAIKU = "claude-haiku-5-5"


def done(body: dict[str, Any]) -> Any:
    return text("done")


async def typed(system: Embedded, *words: str) -> Result:
    """What somebody types; a thread, because each command has an event loop of its own."""
    at = system.temporal.service_client.config.target_host
    env = {"TENURE_HOME": str(system.settings.home), "TEMPORAL_ADDRESS": at, "COLUMNS": "80"}
    return await asyncio.to_thread(CliRunner(env=env).invoke, main, list(words))


async def spend(system: Embedded, amount: int) -> None:
    def write(db: Connection) -> None:
        db.execute("UPDATE totals SET spent = spent + ? WHERE scope = 'agent/day'", (amount,))

    await system.require_store().transact(write)


async def test_a_turn_of_a_model_that_the_agent_fell_back_to_says_so_wherever_one_looks() -> None:
    budget = {"daily": 0.1, "on_exhausted": "fallback"}
    agent = Agent(name="desk", optimization={"budget": budget, "models": [HAIKU]})
    async with embedded(agent, claude=done) as system:
        own = await agent.run("go")
        await spend(system, 95_000)
        followed = await typed(system, "run", "desk", "go")
        assert f"● done ({HAIKU})" in " ".join(followed.stderr.split())
        assert f"completed (answered, by {HAIKU}): 1 turn" in followed.stderr
        fallen = await agent.run("go")
        assert (own.models, fallen.models) == ([], [HAIKU])
        shown = await typed(system, "show", fallen.id)
        assert f"by {HAIKU}: the agent's own did not fit the budget" in " ".join(shown.stdout.split())
        assert HAIKU not in (await typed(system, "show", own.id)).stdout
        (turn,) = json.loads((await typed(system, "show", fallen.id, "--json")).stdout)["steps"][1:]
        assert (turn["model"], turn["tier"]) == (HAIKU, "")
        assert json.loads((await typed(system, "run", "desk", "go", "--json")).stdout)["models"] == [HAIKU]


async def test_a_turn_of_a_model_that_the_route_chose_says_that() -> None:
    agent = Agent(name="desk", optimization={"models": [HAIKU], "route": lambda first: HAIKU})
    async with embedded(agent, claude=done) as system:
        shown = await typed(system, "show", (await agent.run("go")).id)
        assert f"by {HAIKU}: the route chose it" in shown.stdout


async def test_who_added_how_much_to_which_budget_stands_in_the_story_of_the_run() -> None:
    agent = Agent(name="desk", optimization={"budget": {"daily": "0.001", "on_exhausted": "pause"}})
    async with embedded(agent, claude=done) as system:
        handle = await agent.start("go")
        request = await one_pending(system)
        await system.approve(request)
        await handle.result()
        told = (
            f"approve by operator: {request.payload['add']} added to the budget of agent desk of tenant default for 20"
        )
        assert told in " ".join((await typed(system, "show", handle.id)).stdout.split())
