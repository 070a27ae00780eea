"""A run outlives its worker, its store, its build and its own history."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.testing import WorkflowEnvironment

from tenure import Agent, ToolContext, tool
from tenure.approvals.request import Request
from tenure.runtime import history
from tenure.runtime.store import transcript
from tenure.runtime.temporal import start_server
from tenure.testing import Embedded, ScriptedClaude, embedded
from tenure.testing.scripted_claude import slow, text, tool_use
from tests.skipping import skipped
from tests.waiting import eventually, one_pending

__all__ = ["skipped"]

MADE: list[str] = []


@tool(effect="write")
async def pay(ctx: ToolContext, order: str) -> str:
    """Pay an order; the shop's own service does not notice a second payment."""
    MADE.append(order)
    ctx.state[order] = "paid"
    return f"paid {order}"


@tool(effect="read")
async def look(number: int) -> str:
    """Look at something."""
    return f"seen {number}"


@tool(effect="destructive")
async def close_shop() -> str:
    """Close the shop."""
    MADE.append("closed")
    return "closed"


def agent(**options: Any) -> Agent:
    return Agent(name="till", tools=[pay, look, close_shop], **options)


@pytest.fixture(autouse=True)
def _nothing_made() -> None:
    MADE.clear()


SABOTAGE = {
    "lost rows": "DELETE FROM transcript WHERE seq IN (0, 1)",
    "an altered row": "UPDATE transcript SET row = replace(row, 'paid o1', 'paid o9') WHERE seq = 2",
    "everything lost": "DELETE FROM transcript",
    "the run itself lost": "DELETE FROM runs",
}


@pytest.mark.parametrize("sabotage", SABOTAGE.values(), ids=SABOTAGE.keys())
async def test_a_transcript_that_was_lost_or_altered_is_rebuilt_from_history(sabotage: str) -> None:
    till = agent()
    script = [tool_use("pay", order="o1"), slow(tool_use("look", number=1), 0.8), text("all good")]
    async with embedded(till, claude=script) as system:
        handle = await till.start("go", context="be brief", state={"shift": 2})

        async def paid() -> bool:
            return bool(system.claude and len(system.claude.requests) == 2)

        await eventually(paid)
        store = system.require_store()
        await store.transact(lambda db: db.execute(sabotage))
        system.resources.recall._known.clear()  # pyright: ignore[reportPrivateUsage]  # as after a restart of the worker
        response = await handle.result()
        assert (response.message, MADE, response.state) == ("all good", ["o1"], {"shift": 2, "o1": "paid"})
        assert system.claude is not None
        said = [block for m in system.claude.requests[-1].body["messages"] for block in m["content"]]
        assert [block.get("text", block.get("content")) for block in said if block["type"] != "tool_use"] == [
            "be brief",
            "go",
            "paid o1",
            "seen 1",
        ]


async def test_history_and_store_tell_the_same_transcript() -> None:
    till = agent()
    script = [[tool_use("pay", order="o1"), tool_use("nothing_like_it")], tool_use("close_shop"), text("done")]
    async with embedded(till, claude=script) as system:
        handle = await till.start("go")
        await system.answer(await one_pending(system), "deny", note="not today")
        await handle.result()
        told = await history.read(system.temporal, handle.id)
        kept = await system.require_store().read(lambda db: transcript.between(db, handle.id, 0, 100))
        from tenure.transcript import canonical

        assert [canonical(row) for row in told.rows.values()] == [row for _, row in kept]


async def test_continue_as_new_is_noticed_by_nobody() -> None:
    till = agent(max_iterations=100)
    server = await start_server(flags=["--dynamic-config-value", "limit.historyCount.suggestContinueAsNew=60"])
    try:
        script = [*(tool_use("look", number=n) for n in range(40)), tool_use("pay", order="o1"), text("long way")]
        async with embedded(till, claude=script, server=server) as system:
            handle = await till.start("go", state={"a": 1})
            await handle.add_context("hurry")
            response = await handle.result()
            assert (response.message, response.iterations, len(response.tool_calls)) == ("long way", 42, 41)
            assert response.state == {"a": 1, "o1": "paid"}
            assert [call["result"] for call in response.tool_calls[:40]] == [f"seen {n}" for n in range(40)]
            continuations = 0
            async for event in history.events_of(system.temporal, handle.id):
                continuations += event.HasField("workflow_execution_continued_as_new_event_attributes")
            assert continuations >= 3
            told = await history.read(system.temporal, handle.id)
            assert len(told.rows) == 1 + 1 + 41 * 2 + 1
    finally:
        await server.shutdown()


async def test_a_reset_run_makes_no_effect_twice() -> None:
    from temporalio.api.common.v1 import WorkflowExecution
    from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest

    till = agent()
    async with embedded(till, claude=[tool_use("pay", order="o1"), tool_use("look", number=1), text("done")]) as system:
        response = await till.run("go")
        assert system.claude is not None
        asked = len(system.claude.requests)
        request = ResetWorkflowExecutionRequest(
            namespace="default",
            workflow_execution=WorkflowExecution(workflow_id=response.id),
            reason="test",
            workflow_task_finish_event_id=4,
            request_id="reset-1",
        )
        await system.temporal.workflow_service.reset_workflow_execution(request)
        again = await (await system.runs.find(response.id)).result()
        assert (again.message, MADE) == ("done", ["o1"])
        assert len(system.claude.requests) == asked  # a stored turn is not paid twice


async def test_a_run_waiting_on_a_person_goes_on_under_a_changed_agent(tmp_path: Path) -> None:
    old, new = agent(instructions="version one"), agent(instructions="version two")
    claude = ScriptedClaude([tool_use("close_shop"), text("closed for good")])
    server = await start_server()
    try:
        async with embedded(old, claude=claude, home=tmp_path / "home", server=server) as system:
            handle = await old.start("go")
            request = await one_pending(system)
        async with embedded(new, claude=claude, home=tmp_path / "home", server=server) as system:
            await system.approve(request)
            response = await (await system.runs.find(handle.id)).result()
            assert (response.message, MADE) == ("closed for good", ["closed"])
            [row] = await system.runs.list()
            assert row.fingerprint == new.fingerprint
            assert claude.requests[-1].body["system"][0]["text"] == "version two"
    finally:
        await server.shutdown()


async def test_a_run_waiting_on_a_person_moves_to_the_new_build_of_the_worker(tmp_path: Path) -> None:
    till = agent()
    claude = ScriptedClaude([tool_use("close_shop"), text("closed for good")])
    server = await start_server()
    home = tmp_path / "home"
    try:
        async with embedded(till, claude=claude, home=home, server=server, build_id="one") as first:
            handle = await till.start("go")
            request = await one_pending(first)
            async with embedded(till, claude=claude, home=home, server=server, build_id="two") as second:
                await second.answer(request, "approve", by="operator")  # wakes it on build one, which lets it go
                await eventually(lambda: _built_by(second, handle.id, "two"))
            async with embedded(till, claude=claude, home=home, server=server, build_id="two") as second:
                await second.answer(request, "approve", by="reviewer")
                response = await (await second.runs.find(handle.id)).result()
            assert (response.message, MADE) == ("closed for good", ["closed"])
    finally:
        await server.shutdown()


async def _built_by(system: Embedded, run: str, build: str) -> bool:
    """Whether the run is on that build. The server tells a run of a new build with its next task: any signal makes one."""
    await system.temporal.get_workflow_handle(run).signal("answer", "knock")
    await asyncio.sleep(0.3)
    description = await system.temporal.get_workflow_handle(run).describe()
    info = description.raw_description.workflow_execution_info.versioning_info
    return info.deployment_version.build_id == build


async def test_a_destructive_call_nobody_approves_within_an_hour_halts_the_run(skipping: WorkflowEnvironment) -> None:
    till = agent()
    async with embedded(till, claude=[tool_use("close_shop"), text("never")], server=skipping) as system:
        handle = await till.start("go")
        request: Request = await one_pending(system)
        await skipping.fast_forward(handle.workflow, timedelta(hours=1, seconds=5))
        response = await asyncio.wait_for(handle.result(), 20)
        assert (response.stop_reason, MADE) == ("denied", [])
        assert "nobody approved close_shop in time" in response.message
        assert request not in await system.approvals.pending()
