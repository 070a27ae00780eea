"""From repeated requests to a capability that serves: mined, tested, approved, in the shadow, as a canary, and for everybody."""

from __future__ import annotations

from tenure import Agent
from tenure.testing import Embedded, embedded
from tests.tickets import BROKEN, CLOSED, STATUS, approve, claude, closed, desk, request, rollout, tidied

__all__ = ["tidied"]


async def test_ten_similar_requests_become_a_capability_that_serves_everybody() -> None:
    agent = desk()
    async with embedded(agent, claude=claude) as system:
        await closed(agent, range(1000, 1010))
        mined = await system.learn.mine("tickets")
        assert [(one.capability, one.what, one.runs) for one in mined.found] == [("close_ticket", "new", 10)]

        asked = await approve(system)
        assert asked.payload["step"] == "deploy"
        assert "close_ticket" in asked.payload["program"]
        await rollout(system, "shadow")

        await closed(agent, range(1100, 1130))
        await rollout(system, "canary")
        runs = await closed(agent, range(1200, 1230))
        assert {run.tier for run in runs} == {"model", "capability"}

        asked = await approve(system)
        assert asked.payload["step"] == "promote"
        await rollout(system, "promoted")
        served = await agent.run(request(1300))
        assert (served.tier, served.success, served.cost) == ("capability", True, 0)
        assert served.message == "Ticket T-1300 is closed as a duplicate of T-6300."
        assert [call["tool"] for call in served.tool_calls] == ["get_ticket", "close_ticket"]
        assert served.saved > 0
        assert CLOSED["T-1300"] == "T-6300"


async def promoted(agent: Agent, system: Embedded) -> None:
    """A capability that serves everybody."""
    await closed(agent, range(1000, 1010))
    await system.learn.mine("tickets")
    await approve(system)
    await rollout(system, "shadow")
    await closed(agent, range(1100, 1130))
    await rollout(system, "canary")
    await closed(agent, range(1200, 1230))
    await approve(system)
    await rollout(system, "promoted")


async def test_a_tool_that_starts_failing_ends_it_by_itself_and_claude_serves_again() -> None:
    agent = desk()
    async with embedded(agent, claude=claude) as system:
        await promoted(agent, system)
        BROKEN.append("the ticket system is down")
        failed = await closed(agent, range(1300, 1340))
        gone = await rollout(system, "rolled_back")
        assert "failed" in gone.why
        assert gone.serving == "no"
        assert {run.message for run in failed} == {f"I could not close T-{n}." for n in range(1300, 1340)}

        BROKEN.clear()
        again = await agent.run(request(1400))
        assert (again.tier, again.success) == ("model", True)


async def test_a_guard_that_fails_leaves_the_request_to_claude_unseen_by_the_user() -> None:
    agent = desk()
    async with embedded(agent, claude=claude) as system:
        await promoted(agent, system)
        STATUS["T-1300"] = "closed"
        told = await agent.run(request(1300))
        assert (told.message, told.tier, told.success) == ("Ticket T-1300 is closed already.", "model", True)
        assert [call["tool"] for call in told.tool_calls] == ["get_ticket"], "what was looked up is not looked up again"
        assert "T-1300" not in CLOSED
