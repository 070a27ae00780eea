"""What the options of a tool do in a run."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from tenure import Agent, ToolContext, ToolError, tool
from tenure.testing import embedded
from tenure.testing.scripted_claude import text, tool_use

TRIES: list[str] = []


@tool(effect="read", retries=2)
async def flaky() -> str:
    """Fail twice."""
    TRIES.append("flaky")
    if len(TRIES) < 3:
        raise ConnectionError("reset")
    return "third time lucky"


@tool(effect="write", idempotent=True, retries=1)
async def flaky_write(ctx: ToolContext) -> str:
    """Fail once."""
    TRIES.append(ctx.idempotency_key)
    if len(TRIES) < 2:
        raise ConnectionError("reset")
    return "written"


@tool(effect="read", retries=5)
async def closed() -> str:
    """Say that nothing happened."""
    TRIES.append("closed")
    raise ToolError("we are closed")


@tool(effect="read")
async def unsuccessful() -> dict[str, Any]:
    """Fail politely."""
    return {"success": False, "reason": "no such order"}


@tool(effect="read")
def in_a_thread(ctx: ToolContext) -> dict[str, Any]:
    """Tell who asks, from a thread."""
    ctx.heartbeat()
    return {"thread": threading.current_thread().name, "tenant": ctx.tenant, "user": ctx.user, "run": ctx.run_id}


agent = Agent(name="hand", tools=[flaky, flaky_write, closed, unsuccessful, in_a_thread])


async def call(name: str) -> dict[str, Any]:
    TRIES.clear()
    async with embedded(agent, claude=[tool_use(name), text("ok")]):
        response = await agent.run("go", tenant="acme", user="alice")
    assert response.message == "ok"
    return response.tool_calls[0]


async def test_a_read_that_fails_is_tried_again() -> None:
    assert (await call("flaky"))["result"] == "third time lucky"
    assert len(TRIES) == 3


async def test_an_idempotent_write_is_tried_again_with_the_same_key() -> None:
    assert (await call("flaky_write"))["result"] == "written"
    assert len(TRIES) == 2
    assert len(set(TRIES)) == 1


async def test_tool_error_says_that_nothing_happened_and_is_not_tried_again() -> None:
    told = await call("closed")
    assert (told["ok"], told["result"], len(TRIES)) == (False, "we are closed", 1)


async def test_success_false_counts_as_a_failed_call() -> None:
    told = await call("unsuccessful")
    assert (told["ok"], told["result"]["reason"]) == (False, "no such order")


async def test_a_sync_tool_runs_in_a_thread_and_knows_who_asks() -> None:
    told = (await call("in_a_thread"))["result"]
    assert (told["thread"], told["tenant"], told["user"]) == ("tenure-tool", "acme", "alice")


def test_a_script_without_an_event_loop_runs_an_agent() -> None:
    async def served(stop: asyncio.Event, ready: threading.Event, found: list[Any]) -> None:
        async with embedded(agent, claude=[text("hello")]) as system:
            found.append(system)
            ready.set()
            await stop.wait()

    found: list[Any] = []
    loop, ready = asyncio.new_event_loop(), threading.Event()
    stop = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(served(stop, ready, found)))
    thread.start()
    try:
        assert ready.wait(30)
        assert agent.run_sync("hi", client=found[0]).message == "hello"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
