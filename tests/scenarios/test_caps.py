"""What an operator lets a tenant spend binds its runs, whatever their agents say; `tenure cost cap` sets it, `caps` shows it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner, Result
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from tenure import Agent
from tenure.cli import main
from tenure.client import RunHandle
from tenure.client.cost import Cost
from tenure.client.waking import Woken
from tenure.errors import BadInput, ConfigError
from tenure.optimize import money
from tenure.runtime.store import Connection, approvals, caps
from tenure.testing import Embedded, embedded
from tenure.testing.scripted_claude import text
from tests.waiting import eventually, one_pending


def desk(**budget: Any) -> Agent:
    return Agent(name="desk", optimization={"budget": budget})


def done(body: dict[str, Any]) -> Any:
    return text("done")


async def rows(system: Embedded, what: str) -> list[tuple[Any, ...]]:
    return await system.require_store().read(lambda db: [tuple(row) for row in db.execute(what).fetchall()])


async def spend(system: Embedded, amount: int, scope: str = "tenant/day") -> None:
    """Somebody else has spent this much."""

    def write(db: Connection) -> None:
        db.execute("UPDATE totals SET spent = spent + ? WHERE scope = ?", (amount, scope))

    await system.require_store().transact(write)


async def typed(system: Embedded, *words: str) -> Result:
    """What an operator types; a thread, because each command has an event loop of its own."""
    at = system.temporal.service_client.config.target_host
    env = {
        "TENURE_HOME": str(system.settings.home),
        "TEMPORAL_ADDRESS": at,
        "COLUMNS": "100",
        "USER": "omar",
        "LOGNAME": "omar",
    }
    return await asyncio.to_thread(CliRunner(env=env).invoke, main, list(words))


# ---------------------------------------------------------------------------------------------------------------- runs


async def test_a_tenant_s_day_that_is_used_up_stops_its_runs_and_those_of_nobody_else() -> None:
    agent = desk()
    async with embedded(agent, claude=done) as system:
        assert (await agent.run("go", tenant="acme")).success
        await system.cost.cap("acme", daily=0.1, by="omar")
        await spend(system, 99_900)
        stopped = await agent.run("go", tenant="acme")
        assert stopped.stop_reason == "budget"
        assert "the cap that an operator has set for tenant acme for today is used up: $0.1" in stopped.message
        assert "of $0.10 is spent" in stopped.message
        assert (await agent.run("go", tenant="other")).success


async def test_a_cap_bites_at_the_next_call_and_gives_way_at_the_next_call() -> None:
    agent = desk(monthly=100)
    async with embedded(agent, claude=done) as system:
        assert (await agent.run("go")).success
        await system.cost.cap("default", monthly="0.000001", by="omar")
        assert (await agent.run("go")).stop_reason == "budget"
        await system.cost.cap("default", monthly="none", by="omar")
        assert (await agent.run("go")).success


async def paused(system: Embedded, agent: Agent) -> RunHandle:
    """A run that waits for people because the tenant's day is all but spent."""
    await agent.run("go")
    await system.cost.cap("default", daily=0.1, by="omar")
    await spend(system, 99_900)
    return await agent.start("go")


async def markers(handle: RunHandle) -> int:
    """How often the run has done something that its history marks: asked, looked."""
    history = await handle.workflow.fetch_history()
    return sum(event.event_type == EventType.EVENT_TYPE_MARKER_RECORDED for event in history.events)


async def seen_to_wait(handle: RunHandle) -> None:
    """It has looked at the ledger after it asked, and does nothing more."""

    async def waits() -> bool:
        history = await handle.workflow.fetch_history()
        return any(event.event_type == EventType.EVENT_TYPE_TIMER_STARTED for event in history.events)

    await eventually(waits)


async def test_people_may_add_to_a_tenant_s_day_by_a_signed_answer() -> None:
    agent = desk(on_exhausted="pause")
    async with embedded(agent, claude=done) as system:
        handle = await paused(system, agent)
        request = await one_pending(system)
        told = {name: request.payload[name] for name in ("scope", "subject", "cap", "add")}
        assert told == {"scope": "tenant/day", "subject": "default", "cap": "$0.10", "add": "$0.10"}
        await system.approve(request)
        assert (await handle.result()).success
        ((amount, cap),) = await rows(system, "SELECT amount, cap FROM raises")
        assert (amount, cap) == (100_000, request.payload["operator_cap"])
        assert await rows(system, "SELECT scope FROM totals WHERE raised > 0") == []


async def test_what_people_add_to_a_cap_that_is_not_in_force_any_more_lets_nobody_spend() -> None:
    agent = desk(on_exhausted="pause")
    async with embedded(agent, claude=done) as system:
        handle = await paused(system, agent)
        request = await one_pending(system)
        # Nobody wakes the run: it hears of the answer first.
        await system.require_store().transact(lambda db: caps.put(db, "default", "tenant/day", 50_000, "omar", 1))
        await system.approve(request)

        async def asked_anew() -> list[Any]:
            return [one for one in await system.approvals.pending() if one.id != request.id]

        (again,) = await eventually(asked_anew)
        assert again.payload["cap"] == "$0.05"
        await system.answer(again, "deny", note="enough for today")
        assert (await handle.result()).stop_reason == "budget"


@pytest.mark.parametrize("daily", ["none", "5"])
async def test_a_run_that_waits_for_a_cap_goes_on_when_it_is_lifted_or_raised(daily: str) -> None:
    agent = desk(on_exhausted="pause")
    async with embedded(agent, claude=done) as system:
        handle = await paused(system, agent)
        request = await one_pending(system)
        await seen_to_wait(handle)
        told = await system.cost.cap("default", daily=daily, by="omar")
        assert told.woken == Woken(told=1)
        assert (await handle.result()).success
        (asked,) = await system.require_store().read(lambda db: approvals.of_run(db, handle.id))
        assert (asked.request.id, asked.choice, asked.answers) == (request.id, "withdrawn", [])
        assert (await system.cost.cap("default", daily=daily, by="omar")).woken == Woken()


async def test_a_run_that_waits_for_a_cap_asks_anew_when_that_is_another_one_and_still_too_low() -> None:
    agent = desk(on_exhausted="pause")
    async with embedded(agent, claude=done) as system:
        handle = await paused(system, agent)
        before = await one_pending(system)
        await system.cost.cap("default", daily=0.05, by="omar")

        async def asked_anew() -> list[Any]:
            return [one for one in await system.approvals.pending() if one.id != before.id]

        (again,) = await eventually(asked_anew)
        assert (before.payload["cap"], again.payload["cap"]) == ("$0.10", "$0.05")
        await system.approve(again)  # which is not five cents on top of five, too little still, but what the call lacks
        assert (await handle.result()).success


async def test_a_cap_that_is_lifted_before_the_run_is_seen_to_wait_for_it_is_not_waited_for() -> None:
    agent = desk(on_exhausted="pause")
    async with embedded(agent, claude=done) as system:
        await agent.run("go")
        await system.cost.cap("default", daily=0.1, by="omar")
        await spend(system, 99_900)
        lift = "CREATE TRIGGER lift AFTER INSERT ON requests BEGIN UPDATE caps SET lifted_at = 1; END"
        await system.require_store().transact(lambda db: db.execute(lift))
        assert (await agent.run("go")).success


async def test_a_run_that_is_woken_for_nothing_goes_on_waiting_for_the_same_answer() -> None:
    agent = desk(on_exhausted="pause")
    async with embedded(agent, claude=done) as system:
        handle = await paused(system, agent)
        request = await one_pending(system)
        await seen_to_wait(handle)
        looks = await markers(handle)
        assert await system.restrictions.lift("default", "*", by="omar") == (0, 1)

        async def has_looked() -> bool:
            return await markers(handle) > looks

        await eventually(has_looked)
        assert await one_pending(system) == request
        await system.approve(request)
        assert (await handle.result()).success


async def test_a_run_that_waits_for_something_else_hears_nothing_of_caps() -> None:
    agent = desk(daily=0.1, on_exhausted="pause")
    async with embedded(agent, claude=done) as system:
        await agent.run("go")
        await spend(system, 99_900, "agent/day")
        handle = await agent.start("go")
        await one_pending(system)
        for tenant in ("default", "acme"):
            assert (await system.cost.cap(tenant, daily=50, by="omar")).woken == Woken()
        await handle.cancel()


async def test_runs_that_cannot_be_told_are_counted_and_told_by_the_next_change() -> None:
    agent = desk(on_exhausted="pause")
    async with embedded(agent, claude=done) as system:
        handle = await paused(system, agent)
        await one_pending(system)
        away = replace(system, temporal=await Client.connect("127.0.0.1:1", lazy=True))
        assert (await Cost(away).cap("default", daily=5, by="omar")).woken == Woken(missed=1)
        assert (await system.cost.cap("default", daily=5, by="omar")).woken == Woken(told=1)
        assert (await handle.result()).success


async def test_an_amount_or_a_name_that_cannot_be_meant_is_refused() -> None:
    async with embedded(desk(), claude=done) as system:
        with pytest.raises(ConfigError, match="daily=-1: must be more than nothing"):
            await system.cost.cap("acme", daily=-1, by="omar")
        with pytest.raises(ConfigError, match="monthly='much': must be dollars"):
            await system.cost.cap("acme", daily=1, monthly="much", by="omar")
        with pytest.raises(BadInput, match="say daily or monthly"):
            await system.cost.cap("acme", by="omar")
        for name in ("", "*", "Acme Inc"):
            with pytest.raises(BadInput, match="must match"):
                await system.cost.cap(name, daily=1, by="omar")
        assert await system.cost.caps() == []


# ---------------------------------------------------------------------------------------------------------- the command


async def spent_by_acme(system: Embedded) -> str:
    ((spent,),) = await rows(system, "SELECT spent FROM totals WHERE scope = 'tenant/day' AND subject = 'acme'")
    return money.shown(spent)


async def test_an_operator_caps_a_tenant_lists_the_caps_and_lifts_them() -> None:
    agent = desk()
    async with embedded(agent, claude=done) as system:
        await agent.run("go", tenant="acme")
        set_ = await typed(system, "cost", "cap", "acme", "--daily", "50", "--monthly", "1000")
        assert (set_.exit_code, set_.stderr) == (0, "")
        listed = await typed(system, "cost", "caps")
        spent = await spent_by_acme(system)
        assert [line.split()[:4] for line in listed.stdout.splitlines()] == [
            ["tenant", "cap", "in", "a"], ["acme", "$50.00", "day", spent], ["acme", "$1000.00", "month", spent],
        ]  # fmt: skip
        lifted = await typed(system, "cost", "cap", "acme", "--daily", "none", "--json")
        (left,) = json.loads(lifted.stdout)
        assert (left["scope"], left["amount"], left["tenant"]) == ("tenant/month", 1_000_000_000, "acme")
        await typed(system, "cost", "cap", "acme", "--monthly", "none")
        assert (await typed(system, "cost", "caps")).stdout == "no tenant is capped by an operator\n"
        assert json.loads((await typed(system, "cost", "caps", "--json")).stdout) == []


async def test_whoever_lifts_a_cap_hears_how_many_runs_had_waited_for_it() -> None:
    agent = desk(on_exhausted="pause")
    async with embedded(agent, claude=done) as system:
        handle = await paused(system, agent)
        await one_pending(system)
        lifted = await typed(system, "cost", "cap", "default", "--daily", "none")
        assert lifted.stdout.splitlines() == ["no operator's cap on tenant default", "1 waiting run told"]
        assert (await handle.result()).success


async def test_whoever_caps_a_tenant_hears_that_nobody_has_seen_it_or_that_nothing_fits_any_more() -> None:
    agent = desk()
    async with embedded(agent, claude=done) as system:
        await agent.run("go", tenant="acme")
        unknown = await typed(system, "cost", "cap", "acmee", "--daily", "50")
        assert unknown.exit_code == 0
        assert "no run of a tenant 'acmee' is known here: did you mean 'acme'?" in unknown.stderr
        low = await typed(system, "cost", "cap", "acme", "--daily", "0.0001")
        told = f"tenant acme has spent {await spent_by_acme(system)} of $0.0001 today: its next call is not made"
        assert told in low.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("cost cap", "Missing argument 'TENANT'"),
        ("cost cap acme", "Missing option '--daily' or '--monthly'"),
        ("cost cap acme --daily 0", "daily='0': must be more than nothing"),
        ("cost cap acme --daily lots", "daily='lots': must be dollars"),
        ("cost cap * --daily 5", "tenant='*': must match"),
        ("cost --json caps", "write options behind the word `caps`"),
        ("cost capz", "No such command 'capz'"),
    ],
)
async def test_a_mistake_is_one_line_that_names_it(words: str, said: str) -> None:
    async with embedded(desk(), claude=done) as system:
        told = await typed(system, *words.split())
        assert told.exit_code == 2
        assert said in told.stderr
        assert len(told.stderr.splitlines()) == 1


async def test_the_accounts_are_shown_as_before() -> None:
    agent = desk()
    async with embedded(agent, claude=done) as system:
        assert (await typed(system, "cost")).stdout == "no call of the model was paid for in that time\n"
        await agent.run("go")
        assert "desk" in (await typed(system, "cost", "--by", "agent", "--since", "1h")).stdout
        told = json.loads((await typed(system, "cost", "--by", "tenant", "--json")).stdout)
        assert [one["name"] for one in told["accounts"]] == ["default"]
