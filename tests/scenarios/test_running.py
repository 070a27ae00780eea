"""Ways to run an agent: by key, by priority, followed as events; and what is shown of it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType

from tenure import Agent, RunHandle, Status, StopReason, Tenure, tool
from tenure.client.events import Event
from tenure.errors import BadInput
from tenure.hooks import Reject, ToolCall
from tenure.runtime.settings import Settings
from tenure.runtime.temporal import start_server
from tenure.testing import embedded
from tenure.testing.scripted_claude import text, tool_use
from tests.waiting import one_pending

MADE: list[str] = []


@tool(effect="read")
async def look(what: str) -> str:
    """Look."""
    return f"seen {what}"


@tool(effect="write")
async def pay(amount: int) -> str:
    """Pay."""
    MADE.append(str(amount))
    return f"paid {amount}"


@tool(effect="privileged")
async def wire(amount: int) -> str:
    """Wire."""
    MADE.append(str(amount))
    return f"wired {amount}"


desk = Agent(name="desk", tools=[look, pay, wire])
PAY = [tool_use("pay", amount=1), text("Paid.")]


async def test_an_idempotency_key_holds_beyond_what_temporal_keeps(tmp_path: Path) -> None:
    MADE.clear()
    async with embedded(desk, claude=PAY, home=tmp_path / ".tenure"):
        first = await desk.run("pay 1", idempotency_key="order 17")
    # Another Temporal server beside the same store: what the retention period leaves.
    async with embedded(desk, claude=PAY, home=tmp_path / ".tenure") as system:
        handle = await system.runs.find(first.id)
        assert await handle.result() == first  # told by the store alone

        again = await desk.run("pay 1", idempotency_key="order 17")
        assert again == first
    assert MADE == ["1"]


async def test_a_client_without_a_store_gets_the_first_run_as_well(tmp_path: Path) -> None:
    MADE.clear()
    async with embedded(desk, claude=PAY, home=tmp_path / ".tenure"):
        await desk.run("pay 1", idempotency_key="order 18")
    async with embedded(desk, claude=PAY, home=tmp_path / ".tenure") as system:
        bare = Tenure(system.temporal, system.settings)
        handle = await bare.runs.start("desk", "pay 1", idempotency_key="order 18")
        assert (await handle.workflow.result()).message == "Paid."
    assert MADE == ["1"]


async def test_a_key_that_was_used_for_another_request_is_refused(tmp_path: Path) -> None:
    async with embedded(desk, claude=PAY, home=tmp_path / ".tenure"):
        await desk.run("pay 1", idempotency_key="order 19")
        for other in (
            {"message": "pay 2"},
            {"message": "pay 1", "user": "bob"},
            {"message": "pay 1", "state": {"a": 1}},
        ):
            with pytest.raises(BadInput, match="has this idempotency_key and was started with another message"):
                await desk.run(**other, idempotency_key="order 19")  # type: ignore[arg-type]  # a table of options
    async with embedded(desk, claude=PAY, home=tmp_path / ".tenure") as system:
        with pytest.raises(BadInput, match="was started with another message"):
            await desk.run("pay 2", idempotency_key="order 19")
        bare = Tenure(system.temporal, system.settings)  # without a store only the worker can know
        late = await (await bare.runs.start("desk", "pay 2", idempotency_key="order 19")).result()
        assert (late.status, "used for another message" in late.message) == (Status.FAILED, True)
        [kept] = await system.runs.list()
        assert (kept.status, kept.message) == (Status.COMPLETED, "Paid.")


async def test_an_option_that_does_not_exist_is_refused_with_the_nearest_name() -> None:
    async with embedded(desk, claude=PAY) as system:
        with pytest.raises(BadInput, match="no option 'idempotency_kee': did you mean 'idempotency_key'"):
            await desk.run("go", idempotency_kee="x")  # type: ignore[call-arg]  # the point of the test
        with pytest.raises(BadInput, match="user=5"):
            await system.runs.start("desk", "go", user=5)  # type: ignore[arg-type]  # the point of the test


async def test_a_run_has_its_tenant_as_fairness_key_and_the_priority_it_was_started_with() -> None:
    async with embedded(desk, claude=PAY) as system:
        handle = await desk.start("go", tenant="acme", priority=1)
        info = (await handle.workflow.describe()).raw_description.workflow_execution_info
        assert (info.priority.priority_key, info.priority.fairness_key) == (1, "acme")
        await handle.result()
        for wrong in (0, 6, True):
            with pytest.raises(BadInput, match="must be 1"):
                await system.runs.start("desk", "go", priority=wrong)


async def test_a_small_tenant_does_not_wait_behind_all_runs_of_a_large_one(tmp_path: Path) -> None:
    server = await start_server()
    try:
        queued = Tenure(server.client, Settings.at(tmp_path / ".tenure", {}))  # nobody serves the queue yet
        large = [await queued.runs.start("desk", "go", tenant="large") for _ in range(30)]
        small = await queued.runs.start("desk", "go", tenant="small")
        async with embedded(desk, claude=[text("ok")], server=server, home=tmp_path / ".tenure"):
            assert all([(await handle.result()).success for handle in [*large, small]])
            begun = [await taken_at(handle) for handle in [*large, small]]
    finally:
        await server.shutdown()
    assert sum(other < begun[-1] for other in begun) < 10  # all 30 were in the queue before it


async def taken_at(handle: RunHandle) -> int:
    """When a worker first took the run, in nanoseconds."""
    async for event in handle.workflow.fetch_history_events():
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED:
            return event.event_time.ToNanoseconds()
    raise AssertionError("no worker took it")


def reject_large(call: ToolCall) -> Reject | None:
    return Reject("too much") if call.input.get("amount", 0) > 50 else None


async def test_events_tell_a_run_as_it_happens() -> None:
    MADE.clear()
    agent = Agent(name="desk", tools=[look, pay, wire], on_tool_call=reject_large)
    script = [
        [text("I look first."), tool_use("look", what="a"), tool_use("look", what="b")],
        [tool_use("pay", amount=100)],
        [tool_use("wire", amount=7)],
        text("Done."),
    ]
    async with embedded(agent, claude=script) as system:
        handle = await agent.start("go")
        seen: list[Event] = []

        async def collect() -> None:
            seen.extend([event async for event in handle.events()])

        following = asyncio.create_task(collect())
        request = await one_pending(system)
        await system.approve(request)
        await asyncio.wait_for(following, 30)
        late = [event async for event in handle.events()]
    assert late == seen  # who comes late is told the same
    assert [event.kind for event in seen if event.kind not in ("tool_started", "tool_finished")] == [
        "started", "decided", "decided", "decided", "waiting", "resumed", "decided", "finished",
    ]  # fmt: skip
    assert {event.request for event in seen if event.kind in ("waiting", "resumed")} == {request.id}
    assert (seen[0].text, seen[1].text, seen[1].tools) == ("go", "I look first.", ("look", "look"))
    finished = [(event.tool, event.text, event.ok) for event in seen if event.kind == "tool_finished"]
    assert sorted(finished[:2]) == [("look", "seen a", True), ("look", "seen b", True)]
    assert finished[2:] == [("pay", "rejected: too much", False), ("wire", "wired 7", True)]
    last = seen[-1]
    assert (last.text, last.status, last.stop_reason, last.ok) == ("Done.", Status.COMPLETED, StopReason.ANSWERED, True)
    assert last.cost == sum(event.cost for event in seen if event.kind == "decided") > 0
    assert [event.at for event in seen] == sorted(event.at for event in seen)


async def test_events_of_a_run_that_failed_or_was_cancelled_end_in_how_it_ended() -> None:
    async def ends(script: list[Any], **options: Any) -> Event:
        agent = Agent(name="desk", tools=[look, pay, wire], **options)
        async with embedded(agent, claude=script) as system:
            handle = await agent.start("go")
            if "wire" in str(script):
                await one_pending(system)
                await handle.cancel()
            return [event async for event in handle.events()][-1]

    def raises(state: dict[str, Any]) -> bool:
        raise ValueError("broken")

    failed = await ends(PAY, until=raises)
    assert (failed.kind, failed.status, "until of 'desk' raised" in failed.text) == ("finished", Status.FAILED, True)
    cancelled = await ends([tool_use("wire", amount=1)])
    assert (cancelled.kind, cancelled.status) == ("finished", Status.CANCELLED)
