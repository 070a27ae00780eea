"""What takes a capability that serves back, what does not, and how what was taken back is tried again."""

from __future__ import annotations

from tenure.testing import embedded
from tests.tickets import SOON, STATUS, approve, claude, closed, desk, in_service, request, rollout, tidied

__all__ = ["tidied"]


async def test_what_made_the_turns_of_a_run_that_somebody_calls_unsafe_serves_nobody_again() -> None:
    agent = desk(SOON)
    async with embedded(agent, claude=claude) as system:
        await in_service(agent, system)
        served = await agent.run(request(1300))
        await system.feedback.give(served.id, False, note="wrong ticket", unsafe=True)
        assert (await agent.run(request(1301))).tier == "model", "at once, not when its rollout has heard of it"
        gone = await rollout(system, "rolled_back")
        assert "somebody has called it unsafe" in gone.why


async def test_a_word_about_a_run_that_claude_made_takes_nothing_back() -> None:
    agent = desk(SOON)
    async with embedded(agent, claude=claude) as system:
        await in_service(agent, system)
        STATUS["T-1300"] = "closed"
        left = await agent.run(request(1300))
        await system.feedback.give(left.id, False, note="wrong", unsafe=True)
        assert (await agent.run(request(1301))).tier == "capability"


async def test_a_look_up_that_finds_nothing_is_left_to_claude_and_no_failure_of_the_capability() -> None:
    agent = desk(SOON)
    async with embedded(agent, claude=claude) as system:
        await in_service(agent, system)
        numbers = range(1300, 1304)
        STATUS.update({f"T-{number}": "unknown" for number in numbers})
        assert {run.tier for run in await closed(agent, numbers)} == {"model"}
        known = await system.learn.of("close_ticket")
        assert known.rollout is not None and known.rollout.stage == "promoted"
        assert {came for one in known.tried[:4] for came in known.came_of(one)} >= {
            f"left to Claude: get_ticket failed: no ticket T-{number}" for number in numbers
        }


async def test_what_was_taken_back_is_proposed_anew_only_where_a_person_says_so() -> None:
    agent = desk(SOON)
    async with embedded(agent, claude=claude) as system:
        await in_service(agent, system)
        known = await system.learn.of("close_ticket")
        await system.learn.order(known, "roll_back", by="sam", why="the ticket system was down")
        await rollout(system, "rolled_back")
        [found] = (await system.learn.mine("tickets")).found
        assert (found.what, found.version) == ("known", 1)
        assert "the ticket system was down" in found.why
        [found] = (await system.learn.mine("tickets", again=["close_ticket"])).found
        assert (found.what, found.version) == ("new", 2)
        asked = await approve(system)
        assert (asked.payload["step"], asked.payload["version"]) == ("deploy", 2), "people are asked as the first time"
        await rollout(system, "shadow")
        [found] = (await system.learn.mine("tickets", again=["close_ticket"])).found
        assert (found.what, found.version) == ("known", 2), "what is under way is not proposed again"
