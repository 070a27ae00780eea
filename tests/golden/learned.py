"""The shapes of what learning adds: a run that a capability serves, the rollout that let it in, and the miner that found it."""

from __future__ import annotations

from typing import Any

from temporalio.client import WorkflowHandle

from tenure import Agent
from tenure.client import RunHandle
from tenure.testing import Embedded
from tests.tickets import SOON, close_ticket, get_ticket, in_service, request

LEARNER = Agent(
    name="keeper", tools=[get_ticket, close_ticket], learning=SOON, evaluate=lambda response: response.success
)


async def served(system: Embedded) -> RunHandle:
    """A run that Claude is not asked in."""
    await in_service(LEARNER, system)
    handle = await system.runs.start("keeper", request(1300), user="alice")
    await handle.result()
    return handle


async def left(system: Embedded) -> RunHandle:
    """A run that is told more after its first turn: the capability leaves it to Claude."""
    from tests.tickets import DOORS, Door, halfway

    await in_service(LEARNER, system)
    DOORS["T-1300"] = Door()
    handle = await system.runs.start("keeper", request(1300))
    async with halfway("T-1300"):
        await handle.add_context("hurry")
    await handle.result()
    return handle


async def rolled_out(system: Embedded) -> WorkflowHandle[Any, Any]:
    """A rollout from its test to its promotion, which is paused, resumed and retired then."""
    await in_service(LEARNER, system)
    await (await system.runs.start("keeper", request(1300))).result()
    handle = system.temporal.get_workflow_handle("default:capability:keeper:close_ticket")
    for what in ("pause", "resume", "retire"):
        await handle.signal("order", args=[what, "sam", "to show it"])
    await handle.result()
    return handle


async def mined(system: Embedded) -> WorkflowHandle[Any, Any]:
    """A look at the runs that finds something new."""
    await in_service(LEARNER, system)
    found = [one async for one in system.temporal.list_workflows("WorkflowType = 'PatternMiner'")]
    return system.temporal.get_workflow_handle(max(found, key=lambda one: one.start_time).id)
