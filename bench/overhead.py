"""Overhead: what Tenure costs beside a raw Temporal workflow that makes the same model and tool calls.

`python -m bench.overhead [--rounds 15] [--runs 10]`: 4 model calls and 3 tool calls a run, a model that takes 0 ms.
"""

from __future__ import annotations

import argparse
import asyncio

from bench import work
from bench.measure import contestant, emit, history_of, interleave, ratio, spread, stage

GOAL, AIM, EVENTS = 1.5, 1.25, 60


async def measure(rounds: int, runs: int) -> None:
    """Alternate batches of both and print the ratio."""
    async with (
        stage() as at,
        contestant("tenure", at, "-m", "bench.our_own") as ours,
        contestant("raw", at, "-m", "bench.raw_temporal", "whole") as raw,
    ):
        await interleave([ours, raw], rounds, runs, work.SUPPORT, warm=20)
        cpu = ratio(ours.cpu, raw.cpu)
        history = {one.name: await history_of(at.client, one.workflow) for one in (ours, raw)}
        emit({
            "bench": "overhead",
            "work": "4 model calls + 3 tool calls, 0 ms model",
            "rounds": rounds,
            "runs_per_batch": runs,
            "tenure": {**ours.summary(), **history["tenure"]},
            "raw": {**raw.summary(), **history["raw"]},
            "cpu_ratio": cpu,
            "latency_ratio": round(spread(ours.latencies)["median"] / spread(raw.latencies)["median"], 3),
            "goal": {"cpu_ratio": GOAL, "events": EVENTS},
            "aim": {"cpu_ratio": AIM},
            "same_answer": ours.answer == raw.answer,
            "holds": cpu["median"] <= GOAL and history["tenure"]["events"] <= EVENTS and ours.answer == raw.answer,
        })  # fmt: skip


def main() -> None:
    """Read the parameters."""
    parser = argparse.ArgumentParser(prog="python -m bench.overhead", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--runs", type=int, default=10, help="a batch")
    options = parser.parse_args()
    asyncio.run(measure(options.rounds, options.runs))


if __name__ == "__main__":
    main()
