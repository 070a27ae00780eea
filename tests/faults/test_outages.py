"""The store or the server is away for a while; the run waits."""

from __future__ import annotations

import asyncio
import sqlite3

from temporalio.testing import WorkflowEnvironment

from tenure import Agent, tool
from tenure.runtime.temporal import ATTRIBUTES, CONVERTER, FAST_FLAGS, QUIET, binary
from tenure.testing import embedded
from tenure.testing.scripted_claude import text, tool_use


@tool(effect="write", idempotent=True)
async def note_down(what: str) -> str:
    """Write something down."""
    return "noted"


agent = Agent(name="clerk", tools=[note_down])


async def test_a_store_that_is_locked_for_a_while_is_waited_out() -> None:
    async with embedded(agent, claude=[tool_use("note_down", what="a"), text("done")]) as system:
        # Another process holds the write lock for longer than a local activity may take.
        other = sqlite3.connect(system.require_store().where, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        handle = await agent.start("go")
        await asyncio.sleep(11)
        other.execute("ROLLBACK")
        other.close()
        response = await asyncio.wait_for(handle.result(), 60)
        assert response.message == "done"
        history = await system.temporal.get_workflow_handle(handle.id).fetch_history()
        names = [e.activity_task_scheduled_event_attributes.activity_type.name for e in history.events]
        assert "observe" in names  # the local activity gave way to an ordinary one
        assert len(history.events) < 45


async def test_a_worker_registers_the_search_attributes_that_are_missing() -> None:
    server = await WorkflowEnvironment.start_local(
        data_converter=CONVERTER,
        dev_server_existing_path=binary(),
        dev_server_extra_args=[*FAST_FLAGS, *QUIET],
        dev_server_log_level="error",
    )
    try:
        async with embedded(agent, claude=[text("done")], server=server) as system:
            from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest

            known = await system.temporal.operator_service.list_search_attributes(
                ListSearchAttributesRequest(namespace="default")
            )
            assert {key.name for key in ATTRIBUTES} <= set(known.custom_attributes)
    finally:
        await server.shutdown()
