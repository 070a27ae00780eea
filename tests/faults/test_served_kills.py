"""A worker that is killed in the middle of a run that a capability serves."""

from __future__ import annotations

import asyncio

import pytest

from bench.processes import Stage, staged, until
from tenure.runtime import schedules
from tenure.runtime.store import capabilities
from tests.tickets import claude, request

AGENTS = "tests.faults.closing:closing"


@pytest.mark.timeout(180)
@pytest.mark.parametrize("place", ["read", "write"])
async def test_the_write_happens_once_and_the_capability_ends_the_run(place: str) -> None:
    async with staged(claude) as stage:
        worker = await stage.start_worker(AGENTS)
        await _in_service(stage)
        if place == "write":
            (stage.folder / "gate-read").touch()
        handle = await stage.system.runs.start("tickets", request(1300))
        await _reached(stage, place)
        await worker.kill()
        for gate in ("gate-read", "gate-write"):
            (stage.folder / gate).touch()
        await stage.start_worker(AGENTS)
        response = await asyncio.wait_for(handle.result(), 60)
        closed = (stage.folder / "closed").read_text().splitlines()
    assert (response.tier, response.success, response.cost) == ("capability", True, 0)
    assert [line for line in closed if line.startswith("T-1300")] == ["T-1300 T-6300"]


async def _in_service(stage: Stage) -> None:
    """A capability that serves everybody."""
    await _run(stage, range(1000, 1006))
    await stage.system.learn.mine("tickets")
    await _approve(stage)
    await _until(stage, "shadow")
    await _run(stage, range(1100, 1106))
    [row] = await stage.store.read(capabilities.rollouts)
    await schedules.nudge(stage.system.temporal, stage.store, row)  # a worker does so within seconds
    await _approve(stage)
    await _until(stage, "promoted")


async def _run(stage: Stage, numbers: range) -> None:
    handles = [await stage.system.runs.start("tickets", request(number)) for number in numbers]
    await asyncio.gather(*(handle.result() for handle in handles))


async def _approve(stage: Stage) -> None:
    asked = await until(stage.system.approvals.pending, within=60, what="a request")
    await stage.answer(asked[0], "approve")


async def _until(stage: Stage, wanted: str) -> None:
    async def look() -> bool:
        return any(row.stage == wanted for row in await stage.store.read(capabilities.rollouts))

    await until(look, within=60, what=wanted)


async def _reached(stage: Stage, place: str) -> None:
    async def look() -> bool:
        return (stage.folder / f"reached-{place}").exists()

    await until(look, within=60, what=f"the {place}")
