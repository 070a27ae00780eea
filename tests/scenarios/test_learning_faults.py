"""What can go wrong with a capability that serves: it stops half-way, people take a hand in, it is paused, its owner is gone."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tenure import Agent
from tenure.hooks import Modify, Reject, ToolCall
from tenure.runtime import keys
from tenure.runtime.store import capabilities, recordings, verdicts
from tenure.testing import Embedded, embedded
from tenure.testing.messages_api import turn_of
from tenure.testing.scripted_claude import ScriptedClaude, text
from tenure.trust.restrictions import Restriction
from tests.tickets import (
    CLOSED,
    DOORS,
    MUTE,
    SOON,
    WHO,
    Door,
    approve,
    claude,
    closed,
    desk,
    halfway,
    in_service,
    request,
    rollout,
    thorough,
    thorough_claude,
    tidied,
)
from tests.waiting import eventually, one_pending

__all__ = ["tidied"]
SERVED = "capability"


def asked(system: Embedded, number: int) -> int:
    """How often Claude was asked about that ticket."""
    assert isinstance(system.claude, ScriptedClaude)
    return sum(request(number) in str(one.body["messages"][0]) for one in system.claude.requests)


# ------------------------------------------------------------------------------------------------ it stops half-way


@pytest.mark.parametrize(
    ("choice", "ended"),
    [("continue", ("answered", "T-1300 is closed, but I could not reach you.")), ("stop", ("in_doubt", None))],
)
async def test_a_program_that_stops_after_its_first_write_parks_the_run_and_is_rolled_back_at_once(
    choice: str, ended: tuple[str, str | None]
) -> None:
    agent = thorough()
    async with embedded(agent, claude=thorough_claude) as system:
        await in_service(agent, system)
        MUTE.append("no line")
        handle = await agent.start(request(1300))
        parked = await one_pending(system)
        assert (parked.kind, parked.choices) == ("parked", ["continue", "stop"])
        assert parked.why.startswith(
            "the capability close_ticket-tell_customer cannot go on, and has changed something"
        )
        assert (CLOSED["T-1300"], asked(system, 1300)) == ("T-6300", 0), (
            "Claude is not asked before a person has looked"
        )

        [row] = await system.require_store().read(capabilities.rollouts)
        assert row.serving == "no", "at once, not when its rollout has heard of it"
        gone = await rollout(system, "rolled_back")
        assert "is in doubt" in gone.why

        await system.answer(parked, choice)
        response = await handle.result()
    assert response.stop_reason == ended[0]
    assert ended[1] is None or response.message == ended[1]
    assert [call["tool"] for call in response.tool_calls] == ["get_ticket", "close_ticket", "tell_customer"]


async def test_a_program_that_knows_no_words_does_its_work_and_claude_answers() -> None:
    sayings = itertools.cycle(
        ["Done.", "That one is gone now, have a nice day!", "All set on our side", "It was a duplicate"]
    )

    def talkative(body: dict[str, Any]) -> Any:
        return text(next(sayings)) if turn_of(body) == 2 else claude(body)

    agent = desk(SOON)
    async with embedded(agent, claude=talkative) as system:
        await in_service(agent, system)
        response = await agent.run(request(1300))
        assert response.success
        assert CLOSED["T-1300"] == "T-6300"
        assert asked(system, 1300) == 1, "for the words alone"
        assert response.cost > 0


# ---------------------------------------------------------------------------------------- people take a hand in


async def test_a_run_that_is_told_more_leaves_the_capability_for_claude() -> None:
    agent = desk(SOON)
    async with embedded(agent, claude=claude) as system:
        await in_service(agent, system)
        begun = await agent.run(request(1300), context="the customer is angry")
        assert begun.tier == "model"

        DOORS["T-1301"] = Door()
        handle = await agent.start(request(1301))
        async with halfway("T-1301"):
            await handle.add_context("and hurry")
        response = await handle.result()
    assert (response.tier, response.success) == ("model", True)
    assert [call["tool"] for call in response.tool_calls] == ["get_ticket", "close_ticket"]


async def test_a_hook_that_changes_or_rejects_a_call_leaves_the_run_to_claude() -> None:
    def tame(call: ToolCall) -> Modify | Reject | None:
        if call.tool != "close_ticket":
            return None
        match call.input["ticket"]:
            case "T-1300":
                return Modify({**call.input, "duplicate_of": "T-9999"})
            case "T-1301":
                return Reject("not that one")
            case _:
                return None

    agent = desk(SOON, on_tool_call=tame)
    async with embedded(agent, claude=claude) as system:
        await in_service(agent, system)
        changed = await agent.run(request(1300))
        rejected = await agent.run(request(1301))
        untouched = await agent.run(request(1302))
    assert (changed.tier, changed.success, CLOSED["T-1300"]) == ("model", True, "T-9999")
    assert (rejected.tier, rejected.success, "T-1301" in CLOSED) == ("model", True, False)
    assert untouched.tier == SERVED


ASKS = {"initial": 0.5, "permissions": {0.1: ["*"]}, "tool_rules": {"close_ticket(ticket == 'T-1300')": "ask"}}


@pytest.mark.parametrize("choice", ["approve", "deny", "edit"])
async def test_a_person_is_asked_about_its_write_as_about_claude_s(choice: str) -> None:
    agent = desk(SOON, trust=ASKS)
    async with embedded(agent, claude=claude) as system:
        await in_service(agent, system)
        handle = await agent.start(request(1300))
        held = await one_pending(system)
        assert (held.kind, held.payload["tool"]) == ("tool_call", "close_ticket")
        assert "T-1300" not in CLOSED
        if choice == "edit":
            key = keys.load(system.settings.home / "keys", "operator")
            edit = {"ticket": "T-1300", "duplicate_of": "T-7777"}
            await system.approvals.send(held, system.approvals.sign(held, "edit", "operator", key, edit=edit), wait=20)
            held = await eventually(lambda: _another(system, held.id))
        await system.answer(held, "deny" if choice == "deny" else "approve")
        response = await handle.result()
    wanted = {"approve": (SERVED, "T-6300"), "deny": ("model", None), "edit": ("model", "T-7777")}[choice]
    assert (response.tier, CLOSED.get("T-1300")) == wanted
    assert response.success


async def _another(system: Embedded, before: str) -> Any:
    return next((one for one in await system.approvals.pending() if one.id != before), None)


# ---------------------------------------------------------------------------------------------- operators step in


async def test_a_pause_bites_at_the_next_turn_of_runs_under_way_until_it_is_resumed() -> None:
    agent = desk(SOON)
    async with embedded(agent, claude=claude) as system:
        await in_service(agent, system)
        DOORS["T-1300"] = Door()
        handle = await agent.start(request(1300))
        async with halfway("T-1300"):
            await _order(system, "pause")
        assert ((await handle.result()).tier, asked(system, 1300)) == ("model", 2)
        assert (await agent.run(request(1301))).tier == "model"

        await _order(system, "resume")
        await eventually(lambda: _serves(system, "all"))
        past = [f"{one.stage}: {one.why} ({one.by})" for one in (await system.learn.of("close_ticket")).changes]
        assert past[-2:] == ["promoted: paused: sam: odd refunds (sam)", "promoted: resumed (sam)"]
        assert (await agent.run(request(1302))).tier == SERVED


@pytest.mark.parametrize(("what", "stage"), [("roll_back", "rolled_back"), ("retire", "retired")])
async def test_what_a_person_takes_back_serves_nobody_again(what: Any, stage: str) -> None:
    agent = desk(SOON)
    async with embedded(agent, claude=claude) as system:
        await in_service(agent, system)
        await _order(system, what)
        assert not await _serves(system, "all"), "at once, not when its rollout has heard of it"
        assert (await agent.run(request(1300))).tier == "model"
        gone = await rollout(system, stage)
        assert gone.why == "sam: odd refunds"
        [known] = (await system.learn.mine("tickets")).found
        assert known.what == "known", "the same is not learned again"


async def test_a_halted_agent_parks_a_served_run_which_then_goes_on() -> None:
    agent = desk(SOON)
    async with embedded(agent, claude=claude) as system:
        await in_service(agent, system)
        DOORS["T-1300"] = Door()
        handle = await agent.start(request(1300))
        async with halfway("T-1300"):
            await system.restrictions.restrict(*WHO, Restriction(kind="halt", value="", reason="audit"), by="sam")

        async def is_parked() -> bool:
            return (await handle.progress()).status == "waiting"

        await eventually(is_parked)
        assert "T-1300" not in CLOSED
        await system.restrictions.lift(*WHO, by="sam")
        assert ((await handle.result()).tier, CLOSED["T-1300"]) == (SERVED, "T-6300")


async def test_a_rollout_that_is_ended_from_outside_serves_no_more_and_sets_out_anew() -> None:
    agent = desk(SOON)
    async with embedded(agent, claude=claude) as system:
        await in_service(agent, system)
        owner = system.temporal.get_workflow_handle("default:capability:tickets:close_ticket")
        await owner.terminate("by mistake")
        await agent.run(request(1300))
        lost = await rollout(system, "lost")
        assert lost.serving == "no"
        assert (await agent.run(request(1301))).tier == "model"

        [found] = (await system.learn.mine("tickets")).found
        assert (found.what, found.version) == ("new", 1)
        await approve(system)
        await rollout(system, "shadow")
        assert (await agent.run(request(1302))).tier == "model", "nothing of what it had earned counts any more"


# -------------------------------------------------------------------------------------- who teaches, and whom


async def test_runs_that_nobody_called_good_never_teach() -> None:
    agent = desk(SOON, evaluate=None)
    async with embedded(agent, claude=claude) as system:
        runs = await closed(agent, range(1000, 1008))
        assert (await system.learn.mine("tickets")).read == 0
        for run in runs[:5]:
            await system.feedback.give(run.id, good=True, source=verdicts.person("sam"))
        for run in runs[4:]:
            await system.feedback.give(run.id, good=False, source=verdicts.person("kim"))
        mined = await system.learn.mine("tickets")
        assert (mined.read, [one.runs for one in mined.found]) == (4, [4])
        assert {one.run for one in await _verified(system, agent)} == {run.id for run in runs[:4]}


async def test_two_tenants_share_no_recording_no_capability_and_no_rollout() -> None:
    agent = desk({**SOON, "patterns": {"min_occurrences": 6}})
    async with embedded(agent, claude=claude) as system:
        await closed(agent, range(1000, 1004), tenant="acme")
        await closed(agent, range(1010, 1014), tenant="beta")
        mined = await system.learn.mine("tickets")
        assert [(one.tenant, one.what, one.runs) for one in mined.found] == [
            ("acme", "refused", 4),
            ("beta", "refused", 4),
        ], "eight would have been enough"

        await in_service(agent, system, tenant="acme")
        theirs = await agent.run(request(1300), tenant="beta")
        own = await agent.run(request(1301), tenant="acme")
        assert (theirs.tier, own.tier) == ("model", SERVED)
        assert {row.tenant for row in await system.require_store().read(capabilities.rollouts)} == {"acme"}


async def _order(system: Embedded, what: Any) -> None:
    await system.learn.order(await system.learn.of("close_ticket"), what, by="sam", why="odd refunds")


async def _serves(system: Embedded, whom: str) -> bool:
    return any(row.serving == whom for row in await system.require_store().read(capabilities.rollouts))


async def _verified(system: Embedded, agent: Agent) -> Any:
    return await system.require_store().read(lambda db: recordings.verified(db, WHO, agent.fingerprint, 0, 100))
