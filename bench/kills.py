"""Nothing lost or doubled: workers are killed with SIGKILL at random points while many runs change the outside world.

    python -m bench.kills [--runs 100] [--seed 1]           0 effects doubled, 0 lost, in doubt only where a kill was
    python -m bench.kills --without-effect-record           the same, with a worker that forgets: doubles, or this proves nothing

Prints one JSON line; exit code 1 when a promise was broken.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import kills_agent
from bench.processes import LOOK, Stage, WorkerProcess, run_to_end, say, staged, until
from tenure.approvals.request import Kind, Request
from tenure.client import RunHandle
from tenure.runtime.store import Connection, effects, runs, transcript
from tenure.transcript import tool_calls

AGENTS = "bench.kills_agent:clerk"
FORGETFUL = "bench.forgetful_worker"
Done = Callable[[], Awaitable[bool]]


@dataclass(frozen=True)
class Options:
    """How much is done. A worker's life is counted from the moment it serves; some are killed while they start."""

    runs: int = 100
    seed: int = 1
    turns: int = 5
    kills: int = 30  # at most, until every run is complete or in doubt
    kills_while_answering: int = 8
    spread: float = 60.0  # seconds over which runs are started
    life: tuple[float, float] = (0.5, 9.0)
    stillborn: float = 0.1  # the share of workers that are killed before they serve
    limit: float = 900.0  # seconds after which the benchmark gives up
    forgetful: bool = False
    keep: Path | None = None


@dataclass
class Watch:
    """What the benchmark saw. An orphan is an effect (key, start) that stood at `intent` when its worker was killed."""

    stage: Stage
    options: Options
    rng: random.Random
    plans: dict[str, kills_agent.Plan] = field(default_factory=dict[str, kills_agent.Plan])
    handles: list[RunHandle] = field(default_factory=list[RunHandle])
    kills: int = 0
    where: Counter[str] = field(default_factory=Counter[str])
    orphans: set[tuple[str, int]] = field(default_factory=set[tuple[str, int]])
    answers: Counter[str] = field(default_factory=Counter[str])
    all_started: bool = False

    async def start_runs(self) -> None:
        """Start every run, spread over time."""
        options = self.options
        for number in range(options.runs):
            message = kills_agent.message_for(options.seed, number, options.turns)
            handle = await self.stage.system.runs.start("clerk", message, idempotency_key=message)
            self.plans[handle.id] = kills_agent.plan(options.seed, number, options.turns)
            self.handles.append(handle)
            await asyncio.sleep(self.rng.uniform(0, 2 * options.spread / options.runs))
        self.all_started = True

    async def is_settled(self) -> bool:
        """Whether every run is complete or waits for a person."""
        if not self.all_started:
            return False
        waiting = {request.workflow for request in await self.stage.doubts()}
        return all(run in waiting for run in await self.unfinished())

    async def unfinished(self) -> list[str]:
        """The runs that are not at their end."""
        ended = await self.stage.ended()
        return [run for run in self.plans if run not in ended]

    async def is_finished(self) -> bool:
        """Whether every run is at its end."""
        return self.all_started and not await self.unfinished()

    async def kill(self, worker: WorkerProcess) -> None:
        """Kill, then look where everything stood before the next worker touches it."""
        await worker.kill()
        self.kills += 1
        waiting = {request.workflow for request in await self.stage.doubts()}
        happened = self.stage.ledger.effects()
        begun = tuple(self.plans)  # more may be started while the store's thread looks

        def look(db: Connection) -> None:
            for run in begun:
                self.where[self._place(db, run, run in waiting, worker.begun, happened)] += 1

        await self.stage.store.read(look)
        say(f"kill {self.kills}: {len(await self.unfinished())} runs unfinished, {len(waiting)} waiting for a person")

    def _place(self, db: Connection, run: str, waits: bool, begun: int, happened: Counter[tuple[str, str]]) -> str:
        row = runs.get(db, run)
        if row is None or row.finished_at is not None:
            return "not begun" if row is None else "finished"
        turn, rows = _standing_turn(db, run)
        intents = [effect for effect in effects.of_run(db, run) if effect["status"] == "intent"]
        for effect in intents:
            if not kills_agent.WRITES[effect["tool"]]:
                self.orphans.add((effect["key"], effect["generation"]))
        if waits:
            return "waiting for a person"
        fresh = [effect for effect in intents if effect["started_at"] >= begun]
        if fresh:
            call = next(c for at, c in enumerate(turn) if _seq(rows, turn, at) == fresh[0]["seq"])
            kind = "idempotent" if kills_agent.WRITES[call["name"]] else "other"
            made = happened[run, call["input"]["step"]] > 0
            return f"{kind} write, {'after' if made else 'before'} its effect"
        if intents:
            return "a write that an earlier kill orphaned"
        return "reading, or between calls" if turn else "asking Claude"


def _standing_turn(db: Connection, run: str) -> tuple[list[dict[str, Any]], dict[int, dict[str, Any]]]:
    """The calls of the last assistant turn if not all of them have a row, and all rows by seq."""
    rows = {seq: json.loads(row) for seq, row in transcript.between(db, run, 0, 1_000_000)}
    last = max((seq for seq, row in rows.items() if row["role"] == "assistant"), default=None)
    if last is None:
        return [], rows
    calls = tool_calls(rows[last]["content"])
    return (calls if any(last + 1 + at not in rows for at in range(len(calls))) else []), rows


def _seq(rows: dict[int, dict[str, Any]], turn: list[dict[str, Any]], at: int) -> int:
    return max(seq for seq, row in rows.items() if row["role"] == "assistant") + 1 + at


async def measure(options: Options) -> dict[str, Any]:
    """Everything for one line of figures."""
    begun = time.monotonic()
    async with staged(kills_agent.clerks_claude, latency=0.1, keep=options.keep) as stage:
        watch = Watch(stage, options, random.Random(options.seed))
        starting = asyncio.create_task(watch.start_runs())
        await _kill_until(watch, watch.is_settled, options.kills)
        settled_after, kills_until_settled = time.monotonic() - begun, watch.kills
        in_doubt = len(await stage.doubts())
        waiting_otherwise = len(await watch.unfinished()) - in_doubt
        answering = asyncio.create_task(_answer_all(watch))
        # Answers, too, must survive: workers go on being killed while people answer, beginning with the one that lives.
        if options.kills_while_answering and in_doubt:
            await watch.kill(stage.workers[-1])
            await _kill_until(watch, watch.is_finished, kills_until_settled + options.kills_while_answering)
        await until(watch.is_finished, within=options.limit, what="the end of every run")
        answering.cancel()
        await asyncio.gather(starting, answering, return_exceptions=True)
        responses = await asyncio.wait_for(asyncio.gather(*(h.result() for h in watch.handles)), 60)
        return {
            "bench": "kills" + (" without effect record" if options.forgetful else ""),
            "runs": options.runs,
            "seed": options.seed,
            "kills": watch.kills,
            "kills_until_settled": kills_until_settled,
            "in_doubt_when_settled": in_doubt,
            **await _doubts(watch),
            "neither_complete_nor_in_doubt": waiting_otherwise,
            "completed": sum(r.status == "completed" for r in responses),
            "calls_not_ok": sum(not call["ok"] for r in responses for call in r.tool_calls),
            **_compare(watch),
            "answers": dict(watch.answers),
            "seconds": round(time.monotonic() - begun, 1),
            "seconds_until_settled": round(settled_after, 1),
            "runs_at_kills": dict(watch.where.most_common()),
            "load_average": round(os.getloadavg()[0], 1),
            "errors_logged": stage.faults_logged(),
        }


async def _kill_until(watch: Watch, done: Done, most: int) -> None:
    """Start workers and kill them until `done` or enough of them died; the last one lives."""
    while True:
        worker = await watch.stage.start_worker(
            AGENTS, module=FORGETFUL if watch.options.forgetful else "tenure.worker"
        )
        if watch.kills >= most:
            await until(done, within=watch.options.limit, what=done.__name__)
            return
        if await _outlives(watch, worker, done):
            return


async def _outlives(watch: Watch, worker: WorkerProcess, done: Done) -> bool:
    """Kill the worker at a random point, unless all is `done` before."""
    if watch.rng.random() < watch.options.stillborn:
        await asyncio.sleep(watch.rng.uniform(0, 1.5))
    else:
        await worker.ready()
        end = time.monotonic() + watch.rng.uniform(*watch.options.life)
        while time.monotonic() < end:
            if await done():
                return True
            await asyncio.sleep(min(LOOK, max(0, end - time.monotonic())))
    await watch.kill(worker)
    return False


async def _answer_all(watch: Watch) -> None:
    """Answer each request in doubt from the ledger, as soon as may be, again and again."""
    while True:
        for request in await watch.stage.doubts():
            verdict = await watch.stage.say_what_happened(request)
            if verdict is not None:
                watch.answers[verdict.choice if verdict.accepted else verdict.reason.partition(":")[0]] += 1
        await asyncio.sleep(0.2)


async def _doubts(watch: Watch) -> dict[str, int]:
    """Every request in doubt there ever was, against the orphans that the kills left."""
    asked = await watch.stage.store.read(_requests)
    keys = await watch.stage.store.read(
        lambda db: {(row["workflow"], row["seq"]): row["key"] for run in watch.plans for row in effects.of_run(db, run)}
    )
    found = {(keys[request.workflow, request.seq], request.payload["start"]) for request in asked}
    return {
        "in_doubt": len(asked),
        "in_doubt_without_a_kill": len(found - watch.orphans),
        "in_doubt_idempotent": sum(kills_agent.WRITES[request.payload["tool"]] for request in asked),
        "orphans_nobody_asked_about": len(watch.orphans - found),
    }


def _requests(db: Connection) -> list[Request]:
    rows = db.execute("SELECT body FROM requests WHERE kind = ?", (Kind.IN_DOUBT,))
    return [Request.model_validate_json(row[0]) for row in rows]


def _compare(watch: Watch) -> dict[str, Any]:
    """The ledger against the plans."""
    made = watch.stage.ledger.effects()
    wanted = {(run, step): tool for run, todo in watch.plans.items() for step, tool in kills_agent.steps_of(todo)}
    doubled = dict.fromkeys(kills_agent.WRITES, 0)
    for place, tool in wanted.items():
        doubled[tool] += max(0, made[place] - 1)
    return {
        "effects": sum(made.values()),
        "doubled": sum(doubled.values()),
        "doubled_by_tool": {tool: count for tool, count in doubled.items() if count},
        "lost": sum(made[place] == 0 for place in wanted),
        "not_asked_for": sum(count for place, count in made.items() if place not in wanted),
    }


def broken(figures: dict[str, Any]) -> list[str]:
    """The promises that these figures break."""
    zero = (
        "doubled", "lost", "not_asked_for", "in_doubt_idempotent", "in_doubt_without_a_kill", "neither_complete_nor_in_doubt",
        "orphans_nobody_asked_about", "calls_not_ok",
    )  # fmt: skip
    found = [f"{name} = {figures[name]}" for name in zero if figures[name]]
    if figures["completed"] != figures["runs"]:
        found.append(f"{figures['completed']} of {figures['runs']} runs completed")
    return found


def main() -> int:
    """Measure by the command line; the exit code says whether every promise held."""
    parser = argparse.ArgumentParser(prog="python -m bench.kills", description=__doc__)
    for name in ("runs", "seed", "turns", "kills"):
        parser.add_argument(f"--{name}", type=int, default=getattr(Options, name))
    parser.add_argument("--spread", type=float, default=Options.spread, help="seconds over which runs are started")
    parser.add_argument("--without-effect-record", dest="forgetful", action="store_true")
    parser.add_argument("--keep", type=Path, help="a folder for the store, the ledger and the workers' logs")
    options = Options(**vars(parser.parse_args()))
    figures = run_to_end(measure(options))
    print(json.dumps(figures))
    if options.forgetful:
        return 0 if figures["doubled"] else 1
    return 1 if broken(figures) else 0


if __name__ == "__main__":
    sys.exit(main())
