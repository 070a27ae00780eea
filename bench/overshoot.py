"""Budgets that cannot be overshot: crowds of runs of ten cents against five dollars a day, on four workers that kill themselves.

    python -m bench.overshoot [--store sqlite|postgres] [--runs 1000] [--each 60]

`--runs` come at once, a fifth of their calls killed anywhere; then `--each` for every point at which a process can die around a
call: before the hold, between hold and call, between call and settling, after settling; every fifth call is killed there.

What counts is what the stand-in for Claude would have billed, looked at all the while, and not our own word. Beside it: the same
with a worker that checks the budget and records the cost afterwards, and runs of small cost under a large `max_tokens`, which must
not starve. Prints one JSON line for each store; exit code 1 when a promise was broken.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bench import dying_worker, overshoot_agent
from bench.measure import emit
from bench.processes import Stage, WorkerProcess, run_to_end, say, staged
from tenure.activities.resources import now
from tenure.runtime.prices import Prices
from tenure.runtime.store import charges
from tenure.turn import Usage

WORKERS = 4
LIVES = overshoot_agent.dear.timeout + dying_worker.MARGIN / 1000 + 0.5  # seconds of a hold
STORES = ("sqlite", "postgres")
MODEL = overshoot_agent.dear.model


@dataclass
class Watch:
    """What was billed, at every look."""

    stage: Stage
    cap: int
    most: int = 0
    looks: int = 0
    deaths: int = 0
    over_at: list[float] = field(default_factory=list[float])

    def billed(self) -> int:
        """Micro-dollars of the tokens that the stand-in has billed so far."""
        told = self.stage.claude.billed
        used = Usage(
            input=told.get("input_tokens", 0),
            output=told.get("output_tokens", 0),
            cache_read=told.get("cache_read_input_tokens", 0),
            cache_write=told.get("cache_creation_input_tokens", 0),
        )
        return Prices().cost_of(MODEL, used)

    async def look(self) -> None:
        """Look for ever."""
        begun = time.monotonic()
        while True:
            self.most, self.looks = max(self.most, self.billed()), self.looks + 1
            if self.most > self.cap and not self.over_at:
                self.over_at.append(round(time.monotonic() - begun, 2))
            await asyncio.sleep(0.02)

    async def keep_alive(self, agents: str) -> None:
        """Four workers, each replaced when it has died."""
        workers: list[WorkerProcess] = []
        while True:
            dead = [one for one in workers if one.process.returncode is not None]
            self.deaths += len(dead)
            workers = [one for one in workers if one not in dead]
            while len(workers) < WORKERS:
                workers.append(await self.stage.start_worker(agents, module="bench.dying_worker"))
            await asyncio.sleep(0.2)


async def measure(agent: str, runs: int, cap: float, url: Callable[[], str] | None, **env: str) -> dict[str, Any]:
    """One crowd of runs against one cap, on a store of its own."""
    if url is not None:
        env["TENURE_DATABASE_URL"] = url()
    async with staged(overshoot_agent.claude, latency=0.3, **env) as stage:
        watch = Watch(stage, round(cap * 1_000_000))
        tending = [
            asyncio.create_task(watch.look()),
            asyncio.create_task(watch.keep_alive(f"bench.overshoot_agent:{agent}")),
        ]
        begun = time.monotonic()
        await _served(stage, agent)
        handles = [await stage.system.runs.start(agent, f"{agent} {number}") for number in range(runs)]
        say(f"{agent}: {runs} runs started")
        responses = await asyncio.wait_for(asyncio.gather(*(handle.result() for handle in handles)), 900)
        took = time.monotonic() - begun
        ended = Counter(str(response.stop_reason) for response in responses)
        for task in tending:
            task.cancel()
        phantoms = await _phantoms(stage) if watch.deaths else 0
        outcomes = await stage.store.read(
            lambda db: {row[0]: row[1] for row in db.execute("SELECT outcome, count(*) FROM charges GROUP BY outcome")}
        )
        return {
            "runs": runs,
            "cap": cap,
            "billed_at_most": watch.most / 1_000_000,
            "looks": watch.looks,
            "overshot_by": max(watch.most - watch.cap, 0) / 1_000_000,
            "ended": dict(ended),
            "workers_killed": watch.deaths,
            "calls": outcomes,
            "held_after_expiry": phantoms / 1_000_000,
            "seconds": round(took, 1),
            "load_average": round(os.getloadavg()[0], 1),
        }


async def _served(stage: Stage, agent: str) -> None:
    from tenure.runtime.store import agents

    while not await stage.store.read(lambda db: agents.fresh(db, agent, now())):
        await asyncio.sleep(0.1)


async def _phantoms(stage: Stage) -> int:
    """What is still held once every hold has expired and one more call has swept."""
    await asyncio.sleep(LIVES)
    await stage.store.transact(lambda db: charges.sweep(db, now()))
    return await stage.store.read(lambda db: db.execute("SELECT coalesce(max(held), 0) FROM totals").fetchone()[0])


async def everything(options: argparse.Namespace, url: Callable[[], str] | None) -> dict[str, Any]:
    """All of them, one after the other."""
    killed = {"any": await measure("dear", options.runs, overshoot_agent.CAP, url, BENCH_DIES="any")}
    for point in dying_worker.POINTS if options.each else ():
        say(f"killed {point}")
        killed[point] = await measure("dear", options.each, overshoot_agent.CAP, url, BENCH_DIES=point)
    unheld = await measure("dear", options.baseline, overshoot_agent.CAP, url, BENCH_UNHELD="1")
    small = await measure("cheap", options.small, overshoot_agent.SMALL_CAP, url)
    kept = all(one["overshot_by"] == 0 == one["held_after_expiry"] for one in killed.values())
    return {
        "bench": "overshoot",
        "killed": killed,
        "check_then_record": unheld,
        "small": small,
        "holds": kept and small["ended"] == {"answered": options.small},
    }


async def on(store: str, options: argparse.Namespace) -> dict[str, Any]:
    """Everything on one kind of store; a Postgres waits for the disk, as SQLite does."""
    say(f"on {store}")
    if store == "sqlite":
        return {"store": store, **await everything(options, None)}
    from tests.postgres import served

    with served(durable=True) as server:
        return {"store": store, **await everything(options, server.url)}


def main() -> int:
    """One line of figures for each store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", choices=STORES, help="default: one after the other")
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--each", type=int, default=60, help="runs for every point at which a process can die")
    parser.add_argument(
        "--baseline", type=int, default=300, help="runs of the worker that checks and records afterwards"
    )
    parser.add_argument("--small", type=int, default=100, help="runs of small cost under a large max_tokens")
    options, broken = parser.parse_args(), 0
    for store in (options.store,) if options.store else STORES:
        found = run_to_end(on(store, options))
        emit(found)
        broken |= not found["holds"]
    return broken


if __name__ == "__main__":
    sys.exit(main())
