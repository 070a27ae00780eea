"""What a review proved broken once, and must not break again."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError

from tenure import Agent, ToolContext, tool
from tenure.activities.resources import now
from tenure.approvals.digest import call_digest, effect_key
from tenure.errors import NotFound, StoreUnavailable
from tenure.run import Effect, RunRequest, RunState, Snapshot, ToolFacts
from tenure.runtime.blobs import Blobs
from tenure.runtime.store import effects
from tenure.runtime.temporal import start_server
from tenure.testing import ScriptedClaude, embedded
from tenure.testing.scripted_claude import text, tool_use
from tests.waiting import eventually, one_pending

DONE: list[str] = []


@tool(effect="destructive")
async def wipe(what: str) -> str:
    """Destroy something."""
    DONE.append(what)
    return "wiped"


@tool(effect="write", timeout=0.6)
def refund_all(ctx: ToolContext) -> str:
    """Refund in a loop, with heartbeats."""
    for number in range(100):
        DONE.append(f"refund {number}")
        time.sleep(0.1)
        ctx.heartbeat()
    return "all refunded"


@tool(effect="write")
async def charge(order: str) -> int:
    """Charge, and return something else than promised."""
    DONE.append(order)
    return "charged"  # pyright: ignore[reportReturnType]  # the point of the test


@tool(effect="write", idempotent=True, retries=0)
async def pay(order: str) -> str:
    """Pay, and break after the effect."""
    DONE.append(order)
    raise ConnectionError("reset")


@tool(effect="write", idempotent=True)
async def count(number: int) -> str:
    """Count."""
    DONE.append(str(number))
    return "counted"


def agent(**options: Any) -> Agent:
    return Agent(name="till", tools=[wipe, refund_all, charge, pay, count], **options)


@pytest.fixture(autouse=True)
def _nothing_done() -> None:
    DONE.clear()


async def test_a_store_that_fails_for_long_while_a_person_is_asked_is_waited_out() -> None:
    till = agent()
    async with embedded(till, claude=[tool_use("wipe", what="x"), text("fine")]) as system:
        handle = await till.start("go")
        request = await one_pending(system)
        store = system.resources.store
        transact = store.transact
        until = time.monotonic() + 11

        async def failing(work: Any) -> Any:
            if time.monotonic() < until:
                raise StoreUnavailable("disk is away")
            return await transact(work)

        object.__setattr__(store, "transact", failing)
        await handle.workflow.signal("answer", "knock")
        await asyncio.sleep(11)
        await system.answer(request, "deny")
        assert (await asyncio.wait_for(handle.result(), 60)).message == "fine"


async def test_a_run_that_was_refused_is_kept_as_well() -> None:
    till, other = agent(), agent(instructions="newer")
    async with embedded(till, claude=[text("ok")]) as system:
        response = await other.run("hi")
        [row] = await system.runs.list()
    assert (row.workflow, row.status, row.stop_reason) == (response.id, "failed", "failed")
    assert "restart the worker" in row.message


@pytest.mark.parametrize("name", ["refund_all", "charge", "pay"])
async def test_a_change_that_may_have_happened_is_never_told_as_a_plain_failure(name: str) -> None:
    till = agent()
    arguments = {} if name == "refund_all" else {"order": "o1"}
    script = [tool_use(name, **arguments), tool_use(name, **arguments), text("ok")]
    async with embedded(till, claude=script) as system:
        handle = await till.start("go")
        request = await one_pending(system)
        assert "nobody knows" in request.why
        made = len(DONE)
        await system.answer(request, "deny")
        response = await handle.result()
    assert len(DONE) == made
    assert "Nobody knows whether" in response.tool_calls[0]["result"]


async def test_nobody_but_the_run_itself_carries_state_into_it() -> None:
    till = agent()
    async with embedded(till, claude=[text("hello"), text("never")]) as system:
        first = await till.run("hi")
        facts = {"wipe": ToolFacts(effect=Effect.READ)}
        snapshot = Snapshot(agent="till", fingerprint=till.fingerprint, model=till.model, tools=facts)
        state = RunState(request=RunRequest(agent="till"), snapshot=snapshot, seq=2, head="x")
        forged = RunRequest(agent="till", message="wipe it", carried=state)
        handle = await system.temporal.start_workflow("AgentRun", forged, id=first.id, task_queue="tenure")
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
        assert "as a client makes it" in str(failed.value.cause)
        assert DONE == []


async def test_a_person_s_word_survives_a_rebuilt_agent(tmp_path: Path) -> None:
    old, new = agent(instructions="one"), agent(instructions="two")
    claude = ScriptedClaude([tool_use("charge", order="o1"), text("done")])
    server = await start_server()
    try:
        async with embedded(old, claude=claude, home=tmp_path / "h", server=server) as system:
            handle = await system.runs.start("till", "go")
            bound = call_digest("default", handle.id, 2, "charge", {"order": "o1"})
            key = effect_key("default", handle.id, 2, bound)
            start = effects.Start(key, handle.id, 2, "charge", bound, "dead", now())
            await system.require_store().transact(lambda db: effects.begin(db, start))
            request = await one_pending(system)
        async with embedded(new, claude=claude, home=tmp_path / "h", server=server) as system:
            await system.answer(request, "happened")
            response = await asyncio.wait_for((await system.runs.find(handle.id)).result(), 30)
            assert (response.message, DONE) == ("done", [])
    finally:
        await server.shutdown()


async def test_a_run_waits_for_a_worker_that_serves_its_agent(tmp_path: Path) -> None:
    """Two agents on one queue: a worker of the other one must not end this one's runs."""
    till, other = agent(), Agent(name="other")
    claude = ScriptedClaude([tool_use("wipe", what="x"), text("done")])
    server = await start_server()
    home = tmp_path / "h"
    try:
        async with embedded(till, claude=claude, home=home, server=server) as system:
            handle = await till.start("go")
            request = await one_pending(system)
        async with embedded(other, claude=claude, home=home, server=server) as system:
            await system.approve(request)
            await asyncio.sleep(2)
        async with embedded(till, claude=claude, home=home, server=server) as system:
            response = await asyncio.wait_for((await system.runs.find(handle.id)).result(), 60)
        assert (response.message, DONE) == ("done", ["x"])
    finally:
        await server.shutdown()


async def test_store_and_temporal_agree_on_a_run_that_is_cancelled_while_it_is_recorded() -> None:
    till = agent()
    async with embedded(till, claude=[text("the answer")]) as system:
        store = system.resources.store
        transact = store.transact

        async def slow(work: Any) -> Any:
            if "write" in getattr(work, "__qualname__", "") and "record" in work.__qualname__:
                await asyncio.sleep(1.5)
            return await transact(work)

        object.__setattr__(store, "transact", slow)
        handle = await till.start("go")

        async def answered() -> bool:
            return bool(system.claude and system.claude.requests)

        await eventually(answered)
        await asyncio.sleep(0.7)
        await handle.cancel()
        response = await handle.result()
        [row] = await system.runs.list()
    # Temporal decides which came first; whatever it decided, the store says the same.
    assert (response.status, response.message) == (row.status, row.message)


def test_a_blob_s_name_never_becomes_a_path(tmp_path: Path) -> None:
    blobs = Blobs(f"file://{tmp_path}")
    for name in ("/etc/passwd", "../../etc/passwd", "a" * 63, "A" * 64, ""):
        with pytest.raises(NotFound, match="names no blob"):
            blobs.get(name)


async def test_the_agent_s_own_state_is_the_beginning_of_the_run_s() -> None:
    till = agent(state={"shift": 1, "desk": "a"})
    async with embedded(till, claude=[text("ok")]):
        assert (await till.run("hi", state={"desk": "b"})).state == {"shift": 1, "desk": "b"}
