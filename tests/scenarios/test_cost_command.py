"""`tenure cost` and `tenure cache` on a terminal of 80 columns: nothing is lost, typos are named, alerts obey the filters."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tenure import Agent, tool
from tenure.cli import main
from tenure.runtime.cautions import cautions_for
from tenure.runtime.store import Connection
from tenure.testing import Embedded, embedded
from tenure.testing.scripted_claude import text

WIDTH = 80
LONG = "regex:(?:where|when)(?: on earth)? (?:is|are) (?:my|the) orders?(?: now)?"


@tool(effect="read")
async def get_price(what: str) -> str:
    """Get a price."""
    return what


cautious = Agent(name="cautious", tools=[get_price], optimization={"budget": {"daily": 0.1, "alert_threshold": 0.5}})


def done(body: dict[str, Any]) -> Any:
    return text("done")


async def typed(system: Embedded, *words: str) -> Result:
    """What an operator types; a thread, because each command has an event loop of its own."""
    at = system.temporal.service_client.config.target_host
    env = {"TENURE_HOME": str(system.settings.home), "TEMPORAL_ADDRESS": at, "COLUMNS": str(WIDTH)}
    return await asyncio.to_thread(CliRunner(env=env).invoke, main, list(words))


async def do(system: Embedded, what: str) -> None:
    def write(db: Connection) -> None:
        db.execute(what)

    await system.require_store().transact(write)


async def past_half(system: Embedded, tenant: str) -> None:
    """More than half of the day's ten cents is spent, and the call after it does not fit."""
    await cautious.run("go", tenant=tenant)
    await do(system, f"UPDATE totals SET spent = spent + 55000 WHERE subject = '{tenant}:cautious'")
    await cautious.run("go", tenant=tenant)
    await do(system, f"UPDATE totals SET spent = spent + 45000 WHERE subject = '{tenant}:cautious'")
    await cautious.run("go", tenant=tenant)


def widest(told: Result) -> int:
    return max(map(len, told.stdout.splitlines()))


async def test_alerts_obey_the_filters_say_which_threshold_of_what_and_whether_anybody_was_told() -> None:
    async with embedded(cautious, claude=done) as system:
        await past_half(system, "acme")
        await past_half(system, "north")
        told = await typed(system, "cost", "--tenant", "acme")
        said = " ".join(told.stdout.split())
        assert "the budget of agent cautious of tenant acme for 20" in said
        assert ": 50% is spent: $0.0" in said
        assert ": a call did not fit any more: $0.1" in said
        assert "of $0.10; no webhook is set" in said
        assert "north" not in said
        assert widest(told) <= WIDTH
        assert "alert" not in (await typed(system, "cost", "--tenant", "nosuch")).stdout
        assert "alert" not in (await typed(system, "cost", "--since", "0d")).stdout
        assert (await typed(system, "cost")).stdout.count("alert ") == 4


async def test_calls_whose_worker_died_and_that_no_budget_took_are_told_in_lines_that_fit() -> None:
    async with embedded(cautious, claude=done) as system:
        await past_half(system, "a-tenant-with-a-name-that-is-rather-long")
        await do(system, "UPDATE charges SET outcome = 'unknown' WHERE outcome = 'settled'")
        for by in ("agent", "tenant", "model", "day"):
            told = await typed(system, "cost", "--by", by)
            assert widest(told) <= WIDTH
            assert "Claude's answer was lost" in " ".join(told.stdout.split())


async def test_a_rule_with_a_long_name_takes_no_column_from_the_others() -> None:
    rule = {"pattern": LONG, "response": "Soon."}
    agent = Agent(name="an-agent-with-a-long-name", optimization={"enable_cache": True, "cache_rules": [rule]})
    async with embedded(agent, claude=done) as system:
        assert (await agent.run("where is my order")).tier == "canned"
        told = await typed(system, "cache")
        assert told.stdout.splitlines()[0].split() == [
            "agent",
            "tenant",
            "rule",
            "answered",
            "bad",
            "audited",
            "wrong",
            "at",
            "most",
        ]
        assert widest(told) <= WIDTH
        head, *rows = told.stdout.splitlines()
        begin, end = head.index("rule"), head.index("answered")
        assert "".join(row[begin:end] for row in rows).replace(" ", "").startswith(LONG.replace(" ", ""))


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("get_pric", "no announced agent has a tool 'get_pric': did you mean 'get_price'?"),
        ("set_*", "no announced agent has a tool 'set_*'"),
        ("get_*", ""),
        ("*", ""),
    ],
)
async def test_whoever_says_that_data_has_changed_hears_when_no_tool_reads_it_and_it_is_done(
    pattern: str, said: str
) -> None:
    async with embedded(cautious, claude=done) as system:
        await cautious.run("go")
        told = await typed(system, "cache", "bump", pattern)
        assert told.exit_code == 0
        assert told.stderr == (f"tenure: warning: {said}\n" if said else "")
        assert f"what {pattern} read for tenant default is stale" in told.stdout


async def test_whoever_says_it_of_a_tenant_that_nobody_has_seen_hears_so() -> None:
    async with embedded(cautious, claude=done) as system:
        await cautious.run("go", tenant="acme")
        told = await typed(system, "cache", "bump", "get_price", "--tenant", "acmee")
        assert "no run of a tenant 'acmee' is known here: did you mean 'acme'?" in told.stderr


def test_a_worker_says_whom_a_budget_of_users_does_not_bound() -> None:
    agent = Agent(name="desk", optimization={"budget": {"per_user": 1}})
    (told,) = cautions_for(agent)
    assert told.startswith("desk: budget.per_user bounds no run that is started without a user")
    assert "all agents of the tenant" in told


@pytest.mark.parametrize("budget", [{}, {"alert_threshold": 0.5}, {"on_exhausted": "pause"}])
def test_a_worker_says_that_a_budget_without_an_amount_bounds_nothing(budget: dict[str, Any]) -> None:
    told = cautions_for(Agent(name="desk", optimization={"budget": budget}))
    assert told == [
        "desk: budget names no amount (daily, per_request, monthly, per_user): it counts for operators' caps alone"
    ]
    assert cautions_for(Agent(name="desk", optimization={"enable_cache": True, "admit": "answered"})) == []


async def test_a_run_without_money_says_why_to_the_end_of_the_line() -> None:
    poor = Agent(name="poor", optimization={"budget": {"per_user": "0.001"}})
    async with embedded(poor, claude=done) as system:
        told = await typed(system, "run", "poor", "go", "--user", "alice")
        assert told.exit_code == 1
        said = " ".join(told.stderr.split())
        why = "budget: the budget of user alice for today, over all agents is too small for one call: it is $0.001, and a call"
        assert f"■ {why}" in said
        assert "…" not in said
