"""Recovery: the seconds from SIGKILL of the only worker to the run's next step, a new worker being started at once.

    python -m bench.recovery [--kills 10]

Each kill meets two runs: one inside an idempotent tool, one waiting for Claude. Prints one JSON line; exit code 1 above 10 s.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from bench import kills_agent
from bench.processes import Stage, run_to_end, say, staged, until
from bench.zombies import gate_of
from tenure.client import RunHandle

AGENTS = "bench.kills_agent:sleeper"
GOAL = 10.0


class HeldClaude:
    """Answers as `sleepers_claude`, but keeps who asks `[think]` waiting until the gate is open."""

    def __init__(self) -> None:
        self.gate: Path | None = None
        self.thinking = 0

    async def __call__(self, body: dict[str, Any]) -> Any:
        """The next turn."""
        if "[think]" not in json.dumps(body["messages"][0]):
            return kills_agent.sleepers_claude(body)
        self.thinking += 1
        try:
            while self.gate is not None and not self.gate.exists():
                await asyncio.sleep(kills_agent.GATE_LOOK)
        finally:
            self.thinking -= 1
        return "thought"


async def measure(kills: int, seed: int) -> dict[str, Any]:
    """The figures of `kills` kills."""
    rng = random.Random(seed)
    claude = HeldClaude()
    begun = time.monotonic()
    async with staged(claude) as stage:
        claude.gate = gate_of(stage)
        in_tool, asking, starting = [], [], []
        worker = await stage.start_worker(AGENTS)
        await worker.ready()
        for number in range(kills):
            claude.gate.unlink(missing_ok=True)
            already = stage.ledger.count_entered()
            told = {"tool": "book_held", "arguments": {"step": str(number), "where": "before"}}
            tool_run = await stage.system.runs.start("sleeper", f"[call {json.dumps(told)}]")
            think_run = await stage.system.runs.start("sleeper", "[think]")
            await until(_both_held(stage, claude, already), within=30, what="a run in its tool and one with Claude")
            await asyncio.sleep(rng.uniform(0, 2))  # any place between two heartbeats; the tool may take 3 s
            await worker.kill()
            killed = time.monotonic()
            claude.gate.touch()
            worker = await stage.start_worker(AGENTS)
            took = await asyncio.gather(
                _next_row(stage, tool_run, 2, killed), _next_row(stage, think_run, 1, killed), _serves(worker, killed)
            )
            for kept, seconds in zip((in_tool, asking, starting), took, strict=True):
                kept.append(seconds)
            say(f"kill {number + 1}: tool {took[0]:.2f} s, Claude {took[1]:.2f} s, worker ready {took[2]:.2f} s")
            await asyncio.wait_for(asyncio.gather(tool_run.result(), think_run.result()), 30)
        return {
            "bench": "recovery",
            "kills": kills,
            "seed": seed,
            "in_a_tool": _spread(in_tool),
            "asking_claude": _spread(asking),
            "new_worker_serves_after": _spread(starting),
            "goal": GOAL,
            "worst": round(max(in_tool + asking), 2),
            "load_average": round(
                os.getloadavg()[0], 1
            ),  # a start of Python takes seconds of CPU: a busy machine shows
            "seconds": round(time.monotonic() - begun, 1),
        }


def _both_held(stage: Stage, claude: HeldClaude, already: int) -> Any:
    async def look() -> bool:
        return claude.thinking > 0 and stage.ledger.count_entered() > already

    return look


async def _next_row(stage: Stage, run: RunHandle, seq: int, killed: float) -> float:
    """When transcript row `seq` stood, in seconds after the kill."""

    async def look() -> bool:
        return await stage.store.read(
            lambda db: (
                db.execute("SELECT 1 FROM transcript WHERE workflow = ? AND seq = ?", (run.id, seq)).fetchone()
                is not None
            )
        )

    await until(look, within=60, what=f"row {seq} of {run.id}")
    return time.monotonic() - killed


async def _serves(worker: Any, killed: float) -> float:
    await worker.ready()
    return time.monotonic() - killed


def _spread(seconds: list[float]) -> dict[str, float]:
    return {"median": round(statistics.median(seconds), 2), "max": round(max(seconds), 2)}


def main() -> int:
    """Measure by the command line; the exit code says whether the goal was met."""
    parser = argparse.ArgumentParser(prog="python -m bench.recovery", description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    figures = run_to_end(measure(options.kills, options.seed))
    print(json.dumps(figures))
    return 0 if figures["worst"] <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
