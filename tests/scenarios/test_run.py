"""A run from request to response, on a real Temporal server with a real client of the Messages API."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import pytest

from tenure import Agent, Status, StopReason, ToolContext, ToolError, tool
from tenure.errors import NotFound
from tenure.run import Progress
from tenure.testing import embedded
from tenure.testing.scripted_claude import Reply, ScriptedClaude, pause, refusal, slow, text, tool_use
from tests.waiting import eventually

ORDER: list[str] = []


@tool(effect="read")
async def look_up(name: str) -> dict[str, str]:
    """Look something up."""
    ORDER.append(f"start {name}")
    await asyncio.sleep(0.2)
    ORDER.append(f"end {name}")
    return {"name": name}


@tool(effect="write", idempotent=True)
async def set_status(ctx: ToolContext, ticket: str, status: Literal["open", "closed"]) -> str:
    """Set a ticket's status."""
    ORDER.append(f"{ticket}={status}")
    ctx.state[ticket] = status
    return f"{ticket} is {status}"


@tool(effect="read")
async def read_state(ctx: ToolContext) -> dict[str, Any]:
    """Tell the state."""
    return dict(ctx.state)


@tool(effect="read")
async def fail() -> str:
    """Fail."""
    raise ToolError("the back office is closed")


@tool(effect="read", poll=True)
async def poll_job() -> str:
    """Ask a job for its state."""
    return "running"


@tool(effect="write")
async def close_case(ctx: ToolContext) -> str:
    """End the conversation."""
    ctx.finish("case closed")
    return "ok"


def agent(**options: Any) -> Agent:
    tools = [look_up, set_status, read_state, fail, poll_job, close_case]
    return Agent(name="desk", instructions="Help.", tools=tools, **options)


@pytest.fixture(autouse=True)
def _empty_order() -> None:
    ORDER.clear()


async def test_a_run_answers_and_tells_what_it_did() -> None:
    desk = agent()
    script = [tool_use("look_up", name="alice"), text("Alice is a customer.")]
    async with embedded(desk, claude=script) as system:
        response = await desk.run("Who is Alice?", tenant="acme", user="bob")
        assert str(response) == response.message == "Alice is a customer."
        assert (response.status, response.stop_reason, response.success) == ("completed", "answered", True)
        assert response.tool_calls == [
            {"tool": "look_up", "input": {"name": "alice"}, "result": {"name": "alice"}, "ok": True}
        ]
        assert response.iterations == 2
        assert response.cost > 0
        assert response.tokens_used > 0
        assert response.id.startswith("acme:run:desk:")
        assert system.claude is not None
        asked = [request.body for request in system.claude.requests if "messages" in request.body]
        assert asked[0]["system"][0]["text"] == "Help."
        assert {entry["name"] for entry in asked[0]["tools"]} == {t.name for t in desk.tools}
        assert asked[1]["messages"][-1]["content"][0]["type"] == "tool_result"


async def test_reads_run_side_by_side_and_writes_in_the_order_of_the_turn() -> None:
    desk = agent()
    calls = [
        tool_use("look_up", name="a"),
        tool_use("look_up", name="b"),
        tool_use("set_status", ticket="t1", status="open"),
        tool_use("set_status", ticket="t1", status="closed"),
        tool_use("read_state"),
    ]
    async with embedded(desk, claude=[calls, text("done")]):
        response = await desk.run("go", state={"seen": True})
    assert {ORDER[0], ORDER[1]} == {"start a", "start b"}
    assert ORDER[4:] == ["t1=open", "t1=closed"]
    assert response.state == {"seen": True, "t1": "closed"}
    assert response.tool_calls[-1]["result"] == {"seen": True, "t1": "closed"}


async def test_a_tool_can_finish_the_run() -> None:
    desk = agent()
    async with embedded(desk, claude=[tool_use("close_case"), text("never said")]):
        response = await desk.run("close it")
    assert (response.stop_reason, response.message, response.success) == (StopReason.FINISHED, "case closed", True)


async def test_until_is_asked_before_every_model_call() -> None:
    desk = agent(until=lambda state: state.get("t1") == "closed")
    script = [tool_use("set_status", ticket="t1", status="open"), tool_use("set_status", ticket="t1", status="closed")]
    async with embedded(desk, claude=script) as system:
        response = await desk.run("go")
        assert system.claude is not None
        assert len(system.claude.requests) == 2
    assert (response.stop_reason, response.status) == (StopReason.UNTIL, Status.COMPLETED)


async def test_the_iterations_are_bounded() -> None:
    desk = agent(max_iterations=3)
    async with embedded(desk, claude=lambda request: tool_use("look_up", name=str(len(request["messages"])))):
        response = await desk.run("go on and on")
    assert (response.stop_reason, response.status, response.iterations) == ("max_iterations", "failed", 3)


async def test_failed_calls_in_a_row_end_the_run() -> None:
    desk = agent(error_threshold=2)
    async with embedded(desk, claude=[tool_use("fail"), tool_use("fail"), text("never")]):
        response = await desk.run("go")
    assert response.stop_reason == "error_threshold"
    assert [call["result"] for call in response.tool_calls] == ["the back office is closed"] * 2
    assert not any(call["ok"] for call in response.tool_calls)


async def test_a_success_between_failures_starts_the_count_again() -> None:
    desk = agent(error_threshold=2)
    script = [tool_use("fail"), tool_use("look_up", name="a"), tool_use("fail"), text("I gave up politely.")]
    async with embedded(desk, claude=script):
        assert (await desk.run("go")).stop_reason == "answered"


async def test_the_same_call_with_the_same_result_three_times_ends_the_run() -> None:
    desk = agent()
    async with embedded(desk, claude=lambda request: tool_use("look_up", name="a")):
        response = await desk.run("go")
    assert (response.stop_reason, response.iterations) == ("repeated_call", 3)


async def test_a_polling_tool_may_ask_the_same_thing_again() -> None:
    desk = agent(max_iterations=6)
    async with embedded(desk, claude=lambda request: tool_use("poll_job")):
        assert (await desk.run("wait for it")).stop_reason == "max_iterations"


async def test_a_refusal_of_claude_is_said_as_such() -> None:
    desk = agent()
    async with embedded(desk, claude=[refusal("I will not do that.")]):
        response = await desk.run("do harm")
    assert (response.stop_reason, response.status, response.message) == ("refused", "failed", "I will not do that.")


async def test_a_paused_turn_is_resumed_with_what_it_has() -> None:
    desk = agent()
    async with embedded(desk, claude=[pause("Searching…"), text("Found it.")]) as system:
        response = await desk.run("search")
        assert system.claude is not None
        assert system.claude.requests[-1].body["messages"][-1]["role"] == "assistant"
    assert response.message == "Found it."


async def test_an_iteration_that_takes_too_long_ends_the_run() -> None:
    desk = agent(timeout=0.5)
    async with embedded(desk, claude=[slow(text("late"), 5)]):
        response = await desk.run("hurry")
    assert response.stop_reason == "timeout"
    assert "timeout=0.5 s" in response.message


async def test_an_unknown_stop_reason_runs_no_tool() -> None:
    desk = agent()
    reply = Reply([tool_use("set_status", ticket="t", status="open")], stop_reason="quantum_pause")
    async with embedded(desk, claude=[reply]):
        response = await desk.run("go")
    assert (response.stop_reason, ORDER) == ("failed", [])
    assert "'quantum_pause'" in response.message


async def test_an_answer_cut_at_max_tokens_is_not_taken_for_an_answer() -> None:
    desk = agent()
    async with embedded(desk, claude=[Reply([text("Once upon")], stop_reason="max_tokens")]):
        response = await desk.run("tell a story")
    assert response.stop_reason == "failed"
    assert "max_tokens" in response.message


async def test_a_second_start_with_the_same_key_is_the_first_run() -> None:
    desk = agent()
    async with embedded(desk, claude=[text("done")]) as system:
        first, second = await asyncio.gather(*(desk.run("pay", idempotency_key="order 7") for _ in range(2)))
        assert first.id == second.id
        assert ":k-" in first.id
        assert len(await system.runs.list()) == 1


async def test_added_context_reaches_the_next_turn() -> None:
    desk = agent()
    script = [slow(tool_use("look_up", name="a"), 1.0), text("done")]
    async with embedded(desk, claude=script) as system:
        handle = await desk.start("go", context="You speak to a child.")
        await handle.add_context("Speak French.")
        await handle.result()
        assert system.claude is not None
        first, last = (str(r.body["messages"]) for r in (system.claude.requests[0], system.claude.requests[-1]))
    assert "You speak to a child." in first
    assert "Speak French." in last


async def test_progress_tells_where_a_living_run_stands() -> None:
    desk = agent()
    async with embedded(desk, claude=[tool_use("look_up", name="a"), slow(text("done"), 2.0)]):
        handle = await desk.start("go")

        async def second_iteration() -> Progress | None:
            progress = await handle.progress()
            return progress if progress.iteration == 2 else None

        progress = await eventually(second_iteration)
        assert progress.status == "running"
        assert progress.cost > 0
        assert [step.what for step in progress.steps] == ["Claude: look_up", 'look_up(name="a")']


async def test_runs_are_found_by_the_last_part_of_their_id_and_by_search_attributes() -> None:
    desk = agent()
    async with embedded(desk, claude=[text("done")]) as system:
        response = await desk.run("go", tenant="acme")
        assert (await system.runs.find(response.id.rpartition(":")[2])).id == response.id
        with pytest.raises(NotFound, match="nothing"):
            await system.runs.find("nothing")

        async def listed() -> list[str]:
            query = "TenureAgent = 'desk' AND TenureStatus = 'completed' AND TenureStopReason = 'answered' AND TenureCostUsd > 0"
            return [run.id async for run in system.temporal.list_workflows(query)]

        assert await eventually(listed) == [response.id]
        [row] = await system.runs.list(agent="desk", status=Status.COMPLETED)
        assert (row.workflow, row.tenant, row.stop_reason, row.message) == (response.id, "acme", "answered", "done")


async def test_a_client_without_a_store_reads_the_run_from_history() -> None:
    from dataclasses import replace

    desk = agent()
    script = [tool_use("set_status", ticket="t1", status="open"), text("done")]
    async with embedded(desk, claude=script) as system:
        response = await desk.run("go", state={"a": 1})
        bare = replace(system, store=None)
        again = await (await bare.runs.find(response.id)).result()
    assert (again.tool_calls, again.state, again.message) == (response.tool_calls, response.state, "done")


async def test_a_run_reads_as_a_story_in_the_temporal_ui() -> None:
    desk = agent()
    async with embedded(desk, claude=[tool_use("look_up", name="alice"), text("done")]) as system:
        response = await desk.run("Who is Alice?")
        handle = system.temporal.get_workflow_handle(response.id)
        description = await handle.describe()
        assert await description.static_summary() == "desk: Who is Alice?"
        metadata = await handle.query("__temporal_workflow_metadata")
        assert 'look_up(name="alice")' in metadata.current_details
        history = await handle.fetch_history()
        names = [e.activity_task_scheduled_event_attributes.activity_type.name for e in history.events]
        assert [name for name in names if name] == ["decide", "tool.look_up", "decide"]


async def test_policy_code_touches_no_clock_and_no_randomness() -> None:
    desk = agent()
    script = [[tool_use("look_up", name="a"), tool_use("set_status", ticket="t", status="open")], text("done")]
    async with embedded(desk, claude=ScriptedClaude(script), strict_sandbox=True):
        assert (await desk.run("go")).success
