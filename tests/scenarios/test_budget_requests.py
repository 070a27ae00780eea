"""What people are asked about money: an amount that is enough, or another one; a no ends the run, and says nothing of the agent."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tenure import Agent, tool
from tenure.approvals.request import Kind, Request
from tenure.cli import main
from tenure.client import RunHandle
from tenure.client.approvals import edited
from tenure.errors import BadInput
from tenure.runtime import keys
from tenure.runtime.store import verdicts
from tenure.testing import Embedded, embedded
from tenure.testing.scripted_claude import text, tool_use
from tests.waiting import eventually, one_pending


@tool(effect="destructive")
async def drop(what: str) -> str:
    """Drop something."""
    return what


poor = Agent(name="poor", optimization={"budget": {"per_request": "0.001", "on_exhausted": "pause"}})
wild = Agent(name="wild", tools=[drop])


def done(body: dict[str, Any]) -> Any:
    return text("done")


async def typed(system: Embedded, *words: str) -> Result:
    """What somebody types; a thread, because each command has an event loop of its own."""
    at = system.temporal.service_client.config.target_host
    env = {"TENURE_HOME": str(system.settings.home), "TEMPORAL_ADDRESS": at, "COLUMNS": "200"}
    return await asyncio.to_thread(CliRunner(env=env).invoke, main, list(words))


async def asked_anew(system: Embedded, before: Request) -> Request:
    async def look() -> list[Request]:
        return [one for one in await system.approvals.pending() if one.id != before.id]

    return (await eventually(look))[0]


async def raised(system: Embedded) -> list[int]:
    store = system.require_store()
    return await store.read(lambda db: [row[0] for row in db.execute("SELECT amount FROM raises").fetchall()])


def dollars(told: str) -> Decimal:
    return Decimal(told.removeprefix("$"))


# -------------------------------------------------------------------------------------------------------------- amounts


async def test_what_people_are_asked_to_add_is_enough_for_the_next_call_in_whole_cents_and_says_so() -> None:
    async with embedded(poor, claude=done) as system:
        handle = await poor.start("go")
        request = await one_pending(system)
        after, _, told = request.payload["after"].partition(": ")
        needed = told.removeprefix("enough for the next call, which may cost ")
        assert dollars(after) == dollars(request.payload["cap"]) + dollars(request.payload["add"])
        assert 0 < dollars(after) - dollars(needed) <= Decimal("0.01")
        assert dollars(request.payload["add"]) * 100 % 1 == 0
        await system.approve(request)
        assert (await handle.result()).success


async def test_another_amount_is_another_request_and_what_that_says_is_added() -> None:
    async with embedded(poor, claude=done) as system:
        handle = await poor.start("go")
        request = await one_pending(system)
        told = await typed(system, "approve", request.id, "--edit", '{"add": 5}')
        assert (told.exit_code, told.stderr) == (0, "")
        assert "instead  add: $5.00" in told.stdout
        assert "edit by operator counts: the changed amount is a new request" in told.stdout
        again = await asked_anew(system, request)
        assert again.payload["add"] == "$5.00"
        assert again.payload["after"].startswith("$5.001: enough for the next call, which may cost $0.0")
        assert await raised(system) == []
        assert (await typed(system, "approve", again.id)).exit_code == 0
        assert (await handle.result()).success
        assert await raised(system) == [5_000_000]


async def test_whoever_adds_too_little_is_told_before_it_is_approved() -> None:
    async with embedded(poor, claude=done) as system:
        handle = await poor.start("go")
        request = await one_pending(system)
        await typed(system, "approve", request.id, "--edit", '{"add": "0.001"}')
        again = await asked_anew(system, request)
        assert again.payload["after"].startswith("$0.002: NOT enough for the next call, which may cost $0.0")
        await handle.cancel()


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        ({"add": -1}, "add=-1: must be more than nothing"),
        ({"add": "lots"}, "add='lots': must be dollars"),
        ({"amount": 5}, "of a budget only what is added can be changed"),
        ({"add": 5, "cap": 9}, "of a budget only what is added can be changed"),
    ],
)
def test_an_amount_that_cannot_be_meant_is_refused_where_it_is_typed(edit: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        edited(asked_for(Kind.BUDGET, ["approve", "deny", "edit"]), edit)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (Kind.BUDGET, "set another with `tenure cost cap`"),
        (Kind.ESCALATION, "because it asks about a step up in trust: answer it with approve or deny"),
        (Kind.TOOL_CALL, "because it asks about several calls"),
    ],
)
def test_what_cannot_be_edited_says_so_and_what_to_do_instead(kind: Kind, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        edited(asked_for(kind, ["approve", "deny"]), {"add": 5})


def asked_for(kind: Kind, choices: list[str]) -> Request:
    told: dict[str, Any] = {"tenant": "acme", "workflow": "w", "agent": "poor", "seq": 1, "why": "", "digest": ""}
    return Request(id="req-1", kind=kind, choices=choices, payload={"add": "$0.10"}, **told)


async def test_nothing_is_printed_of_a_request_that_cannot_be_edited() -> None:
    async with embedded(wild, claude=[[tool_use("drop", what="a"), tool_use("drop", what="b")]]) as system:
        handle = await wild.start("go")
        request = await one_pending(system)
        told = await typed(system, "approve", request.id, "--edit", '{"what": "c"}')
        assert (told.exit_code, told.stdout) == (2, "")
        await handle.cancel()


async def test_an_amount_that_somebody_signed_by_hand_is_looked_at_before_it_counts() -> None:
    async with embedded(poor, claude=done) as system:
        handle = await poor.start("go")
        request = await one_pending(system)
        key = keys.load(system.settings.home / "keys", "operator")
        for edit in ({"add": "$-5.00"}, {"add": "5"}, {"add": "$5.00", "cap": "$9.00"}, {"what": "$5.00"}):
            token = system.approvals.sign(request, "edit", "operator", key, edit=edit)
            verdict = await system.approvals.send(request, token)
            assert verdict is not None
            assert not verdict.accepted, edit
        assert (await one_pending(system)).id == request.id
        await handle.cancel()


# --------------------------------------------------------------------------------------------------- what a no leads to


async def judged(system: Embedded, handle: RunHandle) -> list[tuple[str, bool]]:
    found = await system.require_store().read(lambda db: verdicts.of_run(db, handle.id))
    return [(one.source, one.good) for one in found]


async def test_whoever_denies_money_says_nothing_against_the_agent() -> None:
    async with embedded(poor, claude=done) as system:
        handle = await poor.start("go")
        request = await one_pending(system)
        told = await typed(system, "deny", request.id, "--note", "enough")
        assert "deny by operator counts: the run ends" in told.stdout
        assert (await handle.result()).stop_reason == "budget"
        assert await judged(system, handle) == []


async def test_whoever_denies_a_call_speaks_against_the_agent() -> None:
    async with embedded(wild, claude=[tool_use("drop", what="a"), text("done")]) as system:
        handle = await wild.start("go")
        await system.answer(await one_pending(system), "deny", note="not that one")
        await handle.result()
        assert await judged(system, handle) == [("denial:operator", False)]


async def test_the_card_of_a_budget_says_when_the_run_tries_again_and_how_another_amount_is_given() -> None:
    daily = Agent(name="daily", optimization={"budget": {"daily": "0.001", "on_exhausted": "pause"}})
    async with embedded(daily, claude=done) as system:
        handle = await daily.start("go")
        request = await one_pending(system)
        shown = (await typed(system, "pending")).stdout
        assert " UTC, then the day is over, and the run tries again" in shown
        assert f"""tenure approve {request.id} --edit '{{"add": 5}}'""" in shown
        assert json.loads((await typed(system, "pending", "--json")).stdout)[0]["payload"]["add"] in shown
        await handle.cancel()
