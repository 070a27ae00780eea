"""Long runs: what 100 tool calls with 4 KB results cost beside a raw workflow that passes the transcript by reference.

`python -m bench.long_runs [--calls 100] [--size 4096] [--rounds 6] [--runs 1]`.
"""

from __future__ import annotations

import argparse
import asyncio

from bench import work
from bench.measure import contestant, emit, history_of, interleave, ratio, spread, stage

GOAL = 1.3


async def measure(calls: int, size: int, rounds: int, runs: int) -> None:
    """Alternate batches of both and print the ratio."""
    async with (
        stage() as at,
        contestant("tenure", at, "-m", "bench.our_own") as ours,
        contestant("raw", at, "-m", "bench.raw_temporal", "reference") as raw,
    ):
        await interleave([ours, raw], rounds, runs, work.fetch(calls, size))
        cpu = ratio(ours.cpu, raw.cpu)
        right = ours.answer == raw.answer == work.answer(calls)
        emit({
            "bench": "long_runs",
            "work": f"{calls} tool calls x {size} bytes, 0 ms model",
            "rounds": rounds,
            "runs_per_batch": runs,
            "tenure": {**ours.summary(), **await history_of(at.client, ours.workflow)},
            "raw_by_reference": {**raw.summary(), **await history_of(at.client, raw.workflow)},
            "cpu_ratio": cpu,
            "latency_ratio": round(spread(ours.latencies)["median"] / spread(raw.latencies)["median"], 3),
            "goal": {"cpu_ratio": GOAL},
            "right_answer": right,
            "holds": cpu["median"] <= GOAL and right,
        })  # fmt: skip


def main() -> None:
    """Read the parameters."""
    parser = argparse.ArgumentParser(prog="python -m bench.long_runs", description=__doc__)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--size", type=int, default=4096, help="bytes of each result")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--runs", type=int, default=1, help="a batch")
    options = parser.parse_args()
    asyncio.run(measure(options.calls, options.size, options.rounds, options.runs))


if __name__ == "__main__":
    main()
