"""Whoever calls an answer bad that Claude was not asked for hears what that does."""

from __future__ import annotations

import asyncio
from typing import Any

from click.testing import CliRunner

from tenure import Agent
from tenure.cli import main
from tenure.testing import Embedded, embedded
from tenure.testing.scripted_claude import text

RULES = [{"pattern": "greeting", "response": "Hello!"}, {"ttl": 3600}]
HOURS = "What are your opening hours?"


def nine(body: dict[str, Any]) -> Any:
    return text("Nine.")


async def said(system: Embedded, run: str, word: str) -> list[str]:
    """The lines below the verdict."""
    env = {"TENURE_HOME": str(system.settings.home), "COLUMNS": "200"}
    told = await asyncio.to_thread(CliRunner(env=env).invoke, main, ["feedback", run, word, "--by", "alice"])
    assert (told.exit_code, told.stderr) == (0, "")
    return told.stdout.splitlines()[2:]


async def test_a_complaint_says_what_becomes_of_an_answer_that_was_given_again_and_of_one_that_a_rule_holds() -> None:
    how = {"enable_cache": True, "cache_rules": RULES, "admit": "answered", "audit": 0}
    agent = Agent(name="desk", optimization=how)
    async with embedded(agent, claude=nine) as system:
        first, again, greeted = [await agent.run(one) for one in (HOURS, HOURS, "hello")]
        assert (first.tier, again.tier, greeted.tier) == ("model", "exact", "canned")
        assert await said(system, again.id, "good") == []
        assert await said(system, again.id, "bad") == [f"its answer, from {first.id}, is no longer given again"]
        assert await said(system, greeted.id, "bad") == [
            "its answer is that of the rule 'greeting', whoever asks: to give another one, change the rule"
        ]
        assert await said(system, first.id, "bad") == []
        assert (await agent.run(HOURS)).tier == "model"
