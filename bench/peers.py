"""Peers: the same work on pydantic-ai's TemporalAgent and on openai-agents on Temporal, beside Tenure and raw Temporal.

`python -m bench.peers [--rounds 9] [--runs 5] [--long-rounds 2]`. The peers run in an environment of their own, which the
first start makes under `~/.cache/tenure-bench` from `bench/requirements-peers.txt` (`--environment` names another place).
The long work is 100 tool calls x 4 KB.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from bench import work
from bench.measure import ROOT, Contestant, Stage, contestant, emit, history_of, interleave, ratio, stage

PEERS = {"pydantic-ai TemporalAgent": "peer_pydantic_ai", "openai-agents on Temporal": "peer_openai_agents"}
REQUIREMENTS = ROOT / "bench" / "requirements-peers.txt"
CALLS, SIZE = 100, 4096


def environment(folder: Path) -> str:
    """The interpreter of the peers' environment, made when it is missing or its requirements have changed."""
    python, stamp = folder / "bin" / "python", folder / "requirements.txt"
    if not stamp.is_file() or stamp.read_text() != REQUIREMENTS.read_text():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, stdout=sys.stderr)
        install = [str(python), "-m", "pip", "install", "--quiet", "--requirement", str(REQUIREMENTS)]
        subprocess.run(install, check=True, stdout=sys.stderr)
        stamp.write_text(REQUIREMENTS.read_text())
    return str(python)


async def _enter(stack: AsyncExitStack, at: Stage, python: str, raw: str) -> list[Contestant]:
    ours = await stack.enter_async_context(contestant("tenure", at, "-m", "bench.our_own"))
    floor = await stack.enter_async_context(contestant("raw Temporal", at, "-m", "bench.raw_temporal", raw))
    peers = [
        await stack.enter_async_context(
            contestant(name, at, "-c", f"from bench.{module} import main; main()", python=python)
        )
        for name, module in PEERS.items()
    ]
    return [ours, floor, *peers]


async def _compare(python: str, raw: str, rounds: int, runs: int, message: str) -> dict[str, Any]:
    async with AsyncExitStack() as stack:
        at = await stack.enter_async_context(stage())
        ours, *others = everyone = await _enter(stack, at, python, raw)
        await interleave(everyone, rounds, runs, message)
        return {
            "rounds": rounds,
            "runs_per_batch": runs,
            "contestants": {
                one.name: {**one.summary(), **await history_of(at.client, one.workflow)} for one in everyone
            },
            "cpu_ratio_to_tenure": {one.name: ratio(one.cpu, ours.cpu) for one in others},
            "same_answer": len({one.answer for one in everyone}) == 1,
        }


async def measure(python: str, rounds: int, runs: int, long_rounds: int) -> None:
    """Both works, in one report."""
    short = await _compare(python, "whole", rounds, runs, work.SUPPORT)
    long = await _compare(python, "reference", long_rounds, 1, work.fetch(CALLS, SIZE)) if long_rounds else None
    works = {"4 model calls + 3 tool calls": short, **({f"{CALLS} tool calls x {SIZE} bytes": long} if long else {})}
    below = all(found["cpu_ratio_to_tenure"][peer]["median"] > 1 for found in works.values() for peer in PEERS)
    same = all(found["same_answer"] for found in works.values())
    goal = "CPU per run below each of the peers"
    emit({"bench": "peers", "works": works, "goal": goal, "holds": below and same})


def main() -> None:
    """Read the parameters."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--runs", type=int, default=5, help="a batch")
    parser.add_argument("--long-rounds", type=int, default=2, help="0 leaves the long work out")
    parser.add_argument("--environment", type=Path, default=Path.home() / ".cache" / "tenure-bench")
    options = parser.parse_args()
    python = environment(options.environment)
    asyncio.run(measure(python, options.rounds, options.runs, options.long_rounds))


if __name__ == "__main__":
    main()
