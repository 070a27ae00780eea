"""Workers that are killed and frozen in the middle of their work: the benchmarks of `bench/`, small enough for every commit."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bench import kills, kills_agent, zombies
from bench.processes import staged, until

SMALL = kills.Options(
    runs=12, seed=7, turns=2, kills=3, kills_while_answering=1, spread=0.0, life=(0.8, 2.5), stillborn=0.0, limit=60
)


@pytest.fixture(scope="module")
async def measured() -> tuple[dict[str, Any], dict[str, Any]]:
    """Killed and frozen workers side by side: both mostly wait for time-outs."""
    return await asyncio.gather(kills.measure(SMALL), zombies.measure(zombies.ASYNC, each=2))


@pytest.mark.timeout(180)
def test_killed_workers_lose_nothing_and_double_nothing(measured):
    """SIGKILL again and again; what is in doubt is answered from the ledger, and every run ends as its script says."""
    figures = measured[0]
    assert figures["kills"] >= SMALL.kills
    assert figures["completed"] == SMALL.runs
    assert [figures[name] for name in ("doubled", "lost", "not_asked_for", "calls_not_ok")] == [0] * 4, figures


@pytest.mark.timeout(180)
def test_only_what_a_kill_cut_off_from_its_record_is_in_doubt_and_never_an_idempotent_tool(measured):
    """Every orphaned start of a non-idempotent tool is asked about, and nothing else is."""
    figures = measured[0]
    assert kills.broken(figures) == [], figures


@pytest.mark.timeout(180)
def test_a_zombie_attempt_of_an_async_tool_has_no_effect_and_changes_no_row(measured):
    """SIGSTOP between intent and effect, a second worker decides, SIGCONT: the first keeps still."""
    figures = measured[1]
    still = ("effects_after_wake", "requests_after_wake", "rows_changed", "doubled", "lost")
    assert {name: figures[name] for name in still} == dict.fromkeys(still, 0), figures
    assert figures["completed"] == figures["zombies"] == 12


@pytest.mark.timeout(120)
async def test_a_kill_after_the_effect_doubles_it_only_where_the_effect_record_is_ignored():
    """So the harness can fail, and the record is what makes it pass."""
    found = await asyncio.gather(
        _effects_after_a_kill("bench.forgetful_worker"), _effects_after_a_kill("tenure.worker")
    )
    assert found == [2, 1]


async def _effects_after_a_kill(module: str) -> int:
    """How often a write that is not idempotent happened whose worker was killed right after it."""
    async with staged(kills_agent.sleepers_claude) as stage:
        told = '{"tool": "pay_held", "arguments": {"step": "1", "where": "after"}}'
        run = await stage.system.runs.start("sleeper", f"[call {told}]")
        first = await stage.start_worker(zombies.AGENTS, module=module)
        await until(zombies.entered(stage, 1), within=60, what="the effect")
        await first.kill()
        zombies.gate_of(stage).touch()
        await stage.start_worker(zombies.AGENTS, module=module)

        async def is_decided() -> bool:
            return bool(await stage.doubts()) or run.id in await stage.ended()

        await until(is_decided, within=60, what="what becomes of the second attempt")
        return stage.ledger.effects()[run.id, "1"]
