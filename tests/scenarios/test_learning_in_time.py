"""The whole life of a capability on a server whose clock is moved: people who take days, months in service, and then an outage."""

from __future__ import annotations

from datetime import timedelta

from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from tenure.approvals.answer import Answer, sign
from tenure.approvals.request import Request
from tenure.client.approvals import VALID, shown_digest
from tenure.learn.rollout import Rollout
from tenure.runtime import keys
from tenure.testing import Embedded, embedded
from tests.skipping import skipped
from tests.tickets import BROKEN, SOON, approve, claude, closed, desk, request, rollout, tidied
from tests.waiting import one_pending

__all__ = ["skipped", "tidied"]
OWNER = "default:capability:tickets:close_ticket"


def owner(system: Embedded) -> WorkflowHandle[object, object]:
    return system.temporal.get_workflow_handle(OWNER)


async def approve_late(system: Embedded, days: int) -> Request:
    """Approve what is asked, so many days after it was asked by the clock of whoever asks."""
    asked: Request = await one_pending(system)
    by_then = asked.opened_at // 1000 + days * 24 * 3600
    answer = Answer(
        request=asked.id,
        digest=shown_digest(asked),
        verdict="approve",
        principal="operator",
        jti=f"{asked.id}-late",
        exp=by_then + VALID,
    )
    token = sign(answer, keys.load(system.settings.home / "keys", "operator"))
    verdict = await system.approvals.send(asked, token, wait=20)
    assert verdict is not None
    assert verdict.accepted, verdict.reason
    return asked


async def stages(system: Embedded) -> list[str]:
    """What it has come through, as the store tells it."""
    return [one.stage for one in (await system.learn.of("close_ticket")).changes]


async def test_from_ten_runs_to_everybody_and_back_with_days_and_months_in_between(
    skipping: WorkflowEnvironment,
) -> None:
    agent = desk()
    async with embedded(agent, claude=claude, server=skipping) as system:
        await closed(agent, range(1000, 1010))
        [found] = (await system.learn.mine("tickets")).found
        assert (found.capability, found.what, found.runs) == ("close_ticket", "new", 10)

        asked = await one_pending(system)
        await skipping.fast_forward(owner(system), timedelta(days=2))
        assert (await approve_late(system, 2)).id == asked.id, "people have three days"
        await rollout(system, "shadow")

        await closed(agent, range(1100, 1130))
        await rollout(system, "canary")
        await closed(agent, range(1200, 1230))
        await one_pending(system)
        await skipping.fast_forward(owner(system), timedelta(days=2))
        await approve_late(system, 2)
        await rollout(system, "promoted")

        await skipping.fast_forward(owner(system), timedelta(days=200))
        assert (await agent.run(request(1300))).tier == "capability", (
            "months without a run are no reason to take it back"
        )

        BROKEN.append("the ticket system is down")
        await closed(agent, range(1400, 1430), at_once=1)
        gone = await rollout(system, "rolled_back")
        watched = Rollout.model_validate_json(gone.body).errors
        assert 3 <= watched.bad <= 10, (
            "what the e-process promises where every run fails, and what came before was good"
        )
        assert f"{watched.bad} of the {watched.runs} runs given to it failed" in gone.why
        assert await stages(system) == ["validated", "shadow", "canary", "promoted", "rolled_back"]
        told = {event.event_type async for event in owner(system).fetch_history_events()}
        what_decided = {EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED}
        assert told >= what_decided, "tests, readings and answers are in history"


async def test_months_in_the_shadow_without_a_run_end_without_a_verdict_until_somebody_reopens_it(
    skipping: WorkflowEnvironment,
) -> None:
    agent = desk(SOON)
    async with embedded(agent, claude=claude, server=skipping) as system:
        await closed(agent, range(1000, 1006))
        await system.learn.mine("tickets")
        await approve(system)
        await rollout(system, "shadow")
        await skipping.fast_forward(owner(system), timedelta(days=31))
        ended = await rollout(system, "inconclusive")
        assert "no traffic is no pass" in ended.why

        await system.learn.order(await system.learn.of("close_ticket"), "reopen", by="sam", why="the season begins")
        asked = await one_pending(system)
        assert asked.payload["step"] == "deploy", "it begins before people again"


async def test_silence_about_a_promotion_takes_it_out_of_service(skipping: WorkflowEnvironment) -> None:
    agent = desk(SOON)
    async with embedded(agent, claude=claude, server=skipping) as system:
        await closed(agent, range(1000, 1006))
        await system.learn.mine("tickets")
        await approve(system)
        await rollout(system, "shadow")
        await closed(agent, range(1100, 1106))
        asked = await one_pending(system)
        assert asked.payload["step"] == "promote"
        await skipping.fast_forward(owner(system), timedelta(days=4))
        ended = await rollout(system, "inconclusive")
        assert "silence is no approval" in ended.why
        assert (await agent.run(request(1300))).tier == "model"
