"""A Temporal reset forgets nothing: what was made stays made, and what was refused may still be allowed."""

from __future__ import annotations

from typing import Any

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import ResetReapplyExcludeType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest

from tenure import Agent, RunHandle, tool
from tenure.testing import Embedded, embedded
from tenure.testing.scripted_claude import text, tool_use
from tests.waiting import eventually

MADE: list[int] = []


@tool(effect="privileged")
async def wire(amount: int) -> str:
    """Wire."""
    MADE.append(amount)
    return f"wired {amount}"


agent = Agent(name="desk", tools=[wire])
SCRIPT = [tool_use("wire", amount=1), text("ok")]


@pytest.fixture(autouse=True)
def _nothing_made() -> None:
    MADE.clear()


async def reset(system: Embedded, handle: RunHandle) -> None:
    """Back to the run's first task."""
    events = [event async for event in handle.workflow.fetch_history_events()]
    first = next(event.event_id for event in events if event.HasField("workflow_task_completed_event_attributes"))
    execution = WorkflowExecution(workflow_id=handle.id)
    await system.temporal.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace="default",
            workflow_execution=execution,
            workflow_task_finish_event_id=first,
            request_id="again",
            reason="a test",
            reset_reapply_exclude_types=[ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_SIGNAL],  # answers anew
        )
    )


async def asked(handle: RunHandle) -> Any:
    async def look() -> Any:
        waiting = (await handle.progress()).waiting_for
        return waiting[0] if waiting else None

    return await eventually(look)


async def test_a_call_that_was_denied_before_the_reset_is_made_when_people_approve_it_after() -> None:
    async with embedded(agent, claude=SCRIPT) as system:
        handle = await agent.start("go")
        await system.answer(await asked(handle), "deny", note="no")
        assert not (await handle.result()).tool_calls[0]["ok"]
        await reset(system, handle)
        await system.approve(await asked(handle))
        response = await handle.result()
    assert (response.tool_calls[0]["result"], MADE) == ("wired 1", [1])


async def test_a_call_that_was_made_before_the_reset_is_told_as_made_even_when_it_is_denied_after() -> None:
    async with embedded(agent, claude=SCRIPT) as system:
        handle = await agent.start("go")
        await system.approve(await asked(handle))
        await handle.result()
        await reset(system, handle)
        await system.answer(await asked(handle), "deny", note="no")
        response = await handle.result()
    assert (response.tool_calls[0]["result"], MADE) == ("wired 1", [1])
