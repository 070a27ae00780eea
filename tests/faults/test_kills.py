"""Workers that are killed and frozen in the middle of their work: the benchmarks of `bench/`, small enough for every commit."""

from __future__ import annotations

import pytest

from bench import kills, zombies


@pytest.mark.timeout(180)
async def test_killed_workers_lose_nothing_double_nothing_and_leave_in_doubt_only_what_they_were_killed_in():
    """SIGKILL again and again; what is in doubt is answered from the ledger, and every run ends as its script says."""
    options = kills.Options(
        runs=12, seed=7, turns=2, kills=3, kills_while_answering=1, spread=0.0, life=(0.8, 2.5), stillborn=0.0
    )
    figures = await kills.measure(options)
    assert not kills.broken(figures), figures
    assert figures["kills"] >= 3


@pytest.mark.timeout(120)
async def test_a_worker_that_forgets_its_effect_records_is_caught_doubling():
    """The harness can fail: without the record the same kills make the same effects twice."""
    options = kills.Options(
        runs=12,
        seed=7,
        turns=2,
        kills=3,
        kills_while_answering=0,
        spread=0.0,
        life=(0.8, 2.5),
        stillborn=0.0,
        forgetful=True,
    )
    assert (await kills.measure(options))["doubled"] > 0


@pytest.mark.timeout(120)
async def test_a_zombie_attempt_of_an_async_tool_has_no_effect_and_changes_no_row():
    """SIGSTOP between intent and effect, a second worker decides, SIGCONT: the first keeps still."""
    figures = await zombies.measure(zombies.ASYNC, each=2)
    still = ("effects_after_wake", "requests_after_wake", "rows_changed", "doubled", "lost")
    assert all(figures[name] == 0 for name in still), figures
    assert figures["completed"] == figures["zombies"] == 12
