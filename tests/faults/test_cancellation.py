"""A cancelled run stops: a running tool is told, and what was in flight is recorded as what it is."""

from __future__ import annotations

import asyncio
import time

from tenure import Agent, ToolContext, tool
from tenure.runtime.store import effects
from tenure.testing import Embedded, embedded
from tenure.testing.scripted_claude import slow, text, tool_use
from tests.waiting import eventually

TOLD: dict[str, float] = {}


@tool(effect="write", timeout=30)
async def patient() -> str:
    """Wait where it can be told."""
    TOLD["started"] = time.monotonic()
    try:
        await asyncio.sleep(25)
    except asyncio.CancelledError:
        TOLD["told"] = time.monotonic()
        raise
    return "done"


@tool(effect="write", timeout=30)
def diligent(ctx: ToolContext) -> str:
    """Look up now and then."""
    TOLD["started"] = time.monotonic()
    try:
        for _ in range(250):
            time.sleep(0.1)
            ctx.heartbeat()
    finally:
        TOLD["told"] = time.monotonic()
    return "done"


@tool(effect="write", timeout=30)
def deaf() -> str:
    """Be busy in C and never look up."""
    TOLD["started"] = time.monotonic()
    time.sleep(14)
    return "done"


agent = Agent(name="runner", tools=[patient, diligent, deaf])


async def cancelled(system: Embedded, name: str) -> tuple[str, list[str], float]:
    """Cancel a run while its tool runs: (status, statuses of its effects, seconds until the run was over)."""
    TOLD.clear()
    handle = await agent.start("go")

    async def started() -> bool:
        return "started" in TOLD

    await eventually(started)
    begun = time.monotonic()
    await handle.cancel()
    response = await handle.result()
    rows = await system.require_store().read(lambda db: effects.of_run(db, handle.id))
    TOLD["cancelled"] = begun
    return response.status, [row["status"] for row in rows], time.monotonic() - begun


async def test_an_async_tool_is_told_within_six_seconds_and_its_effect_is_in_doubt() -> None:
    async with embedded(agent, claude=[tool_use("patient"), text("never")]) as system:
        status, found, _ = await cancelled(system, "patient")
    assert (status, found) == ("cancelled", ["intent"])
    assert TOLD["told"] - TOLD["cancelled"] < 6


async def test_a_sync_tool_is_told_at_its_next_heartbeat_and_what_it_did_before_is_in_doubt() -> None:
    async with embedded(agent, claude=[tool_use("diligent"), text("never")]) as system:
        status, found, _ = await cancelled(system, "diligent")
    assert (status, found) == ("cancelled", ["intent"])
    assert TOLD["told"] - TOLD["cancelled"] < 6


async def test_a_tool_blocked_in_c_is_abandoned_and_recorded_in_doubt() -> None:
    async with embedded(agent, claude=[tool_use("deaf"), text("never")]) as system:
        status, found, took = await cancelled(system, "deaf")
    assert (status, found) == ("cancelled", ["intent"])
    assert took < 11


async def test_a_run_cancelled_while_claude_thinks_stops_at_once() -> None:
    async with embedded(agent, claude=[slow(text("late"), 20)]) as system:
        handle = await agent.start("go")

        async def asked() -> bool:
            return bool(system.claude and system.claude.requests)

        await eventually(asked)
        begun = time.monotonic()
        await handle.cancel()
        response = await handle.result()
        [row] = await system.runs.list()
    assert (response.status, response.stop_reason, row.status) == ("cancelled", "cancelled", "cancelled")
    assert (response.iterations, response.latency > 0) == (1, True)
    assert time.monotonic() - begun < 6
