"""A zombie has no effect: workers are frozen with SIGSTOP in the middle of a tool, given up, replaced, and woken with SIGCONT.

    python -m bench.zombies [--each 3]            async tools, which the pulse of an attempt cancels on waking
    python -m bench.zombies --sync [--each 3]     tools in a thread, which nothing can cancel

Prints one JSON line; exit code 1 when a woken async tool changed anything.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import kills_agent
from bench.processes import Stage, WorkerProcess, run_to_end, say, staged, until
from tenure.approvals.request import Request
from tenure.client import RunHandle
from tenure.runtime.store import Connection, effects, transcript

AGENTS = "bench.kills_agent:sleeper"
WAKING = 4.0  # seconds that a woken worker is watched: longer than the grace a tool in a thread has


@dataclass(frozen=True)
class Case:
    """One way to be a zombie. `answered` says when a person decides about an effect in doubt: before or after it wakes."""

    tool: str
    arguments: dict[str, Any]
    answered: str = ""

    @property
    def name(self) -> str:
        """For the figures."""
        more = [f"{key}={value}" for key, value in self.arguments.items()] + [f"answered {self.answered}"] * bool(
            self.answered
        )
        return f"{self.tool}({', '.join(more)})"


ASYNC = (
    *(Case("book_held", {"where": where}) for where in ("before", "after")),
    *(
        Case("pay_held", {"where": where}, answered)
        for where in ("before", "after")
        for answered in ("before it wakes", "after it woke")
    ),
)
SYNC = (
    *(Case("book_blocked", {"beats": beats}) for beats in (True, False)),
    *(
        Case("pay_blocked", {"beats": beats}, answered)
        for beats in (True, False)
        for answered in ("before it wakes", "after it woke")
    ),
)


@dataclass
class Zombies:
    """The runs whose worker is frozen, by the step that names them in the ledger."""

    stage: Stage
    cases: dict[str, Case]
    handles: dict[str, RunHandle] = field(default_factory=dict[str, RunHandle])

    async def start(self) -> None:
        """Start a run for every case."""
        for step, case in self.cases.items():
            told = json.dumps({"tool": case.tool, "arguments": {"step": step, **case.arguments}})
            self.handles[step] = await self.stage.system.runs.start("sleeper", f"[call {told}]")

    async def answer(self, when: str) -> bool:
        """Answer from the ledger what is to be answered then; whether all of it is."""
        wanted = {step for step, case in self.cases.items() if case.answered == when}
        for request in await self._open(wanted):
            verdict = await self.stage.say_what_happened(request)
            if verdict is not None and not verdict.accepted:
                say(f"answer refused: {verdict.reason}")
        ended = await self.stage.ended()
        return all(self.handles[step].id in ended for step in wanted)

    async def _open(self, steps: set[str]) -> list[Request]:
        return [r for r in await self.stage.doubts() if r.payload["arguments"]["step"] in steps]

    async def are_decided(self) -> bool:
        """Whether every attempt was made again, or is a question for a person."""
        asked = {request.payload["arguments"]["step"] for request in await self.stage.doubts()}
        ended = await self.stage.ended()
        return all(step in asked or self.handles[step].id in ended for step in self.cases)

    async def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """The effect records and transcripts as they stand, by step."""

        def look(db: Connection) -> dict[str, list[tuple[Any, ...]]]:
            return {
                step: [tuple(row) for row in effects.of_run(db, handle.id)]
                + transcript.between(db, handle.id, 0, 1_000_000)
                for step, handle in self.handles.items()
            }

        return await self.stage.store.read(look)


async def measure(cases: tuple[Case, ...], each: int, keep: Path | None = None) -> dict[str, Any]:
    """Freeze `each` of every case at once, all in one worker; figures for one line."""
    begun = time.monotonic()
    async with staged(kills_agent.sleepers_claude, keep=keep) as stage:
        zombies = Zombies(stage, {f"{i}.{n}": case for i, case in enumerate(cases) for n in range(each)})
        first = await _warm_worker(stage)
        await zombies.start()
        await until(entered(stage, len(zombies.cases)), within=30, what="every tool at the gate")
        first.freeze()
        frozen = time.monotonic()
        gate_of(stage).touch()  # the next attempt goes straight through, and so would the zombie
        await (await stage.start_worker(AGENTS)).ready()
        await until(zombies.are_decided, within=60, what="every attempt made again or in doubt")
        say("every attempt is decided")
        await until(lambda: zombies.answer("before it wakes"), within=90, what="the early answers")
        before, woken = await zombies.rows(), time.time()
        first.thaw()
        slept = round(time.monotonic() - frozen, 1)
        say(f"woken after {slept} s")
        await asyncio.sleep(WAKING)
        after = await zombies.rows()
        asked = stage.ledger.asked_since(woken, first.pid)
        await until(lambda: zombies.answer("after it woke"), within=90, what="the late answers")
        responses = await asyncio.wait_for(asyncio.gather(*(h.result() for h in zombies.handles.values())), 60)
        made = stage.ledger.effects()
        times = {step: made[handle.id, step] for step, handle in zombies.handles.items()}
        changed = [step for step in zombies.cases if before[step] != after[step]]
        return {
            "zombies": len(zombies.cases),
            "effects_after_wake": sum(new for _, new in asked),
            "requests_after_wake": len(asked),
            "rows_changed": len(changed),
            "completed": sum(r.status == "completed" for r in responses),
            "doubled": sum(max(0, count - 1) for count in times.values()),
            "lost": sum(count == 0 for count in times.values()),
            "asked_after_wake_by_case": _by_case(zombies, [step for step, _ in asked]),
            "rows_changed_by_case": _by_case(zombies, changed),
            "doubled_by_case": _by_case(zombies, [step for step, count in times.items() if count > 1]),
            "frozen_seconds": slept,
            "seconds": round(time.monotonic() - begun, 1),
            "errors_logged": stage.faults_logged(),
        }


async def _warm_worker(stage: Stage) -> WorkerProcess:
    """A worker that has asked Claude once, so that no import stands between the runs that count."""
    worker = await stage.start_worker(AGENTS)
    await worker.ready()
    warm = await stage.system.runs.start("sleeper", "Warm up.")
    await asyncio.wait_for(warm.result(), 60)
    return worker


def entered(stage: Stage, wanted: int) -> Callable[[], Awaitable[bool]]:
    """Whether so many tools have begun."""

    async def look() -> bool:
        return stage.ledger.count_entered() >= wanted

    return look


def gate_of(stage: Stage) -> Path:
    """The gate as the worker processes know it; this process has another BENCH_FOLDER, or none."""
    return stage.folder / kills_agent.GATE.name


def _by_case(zombies: Zombies, steps: list[str]) -> dict[str, int]:
    return dict(Counter(zombies.cases[step].name for step in steps))


def main() -> int:
    """Measure by the command line; the exit code says whether zombies kept still."""
    parser = argparse.ArgumentParser(prog="python -m bench.zombies", description=__doc__)
    parser.add_argument("--sync", action="store_true", help="tools in a thread")
    parser.add_argument("--each", type=int, default=3, help="zombies of each case")
    parser.add_argument("--keep", type=Path, help="a folder for the store, the ledger and the workers' logs")
    options = parser.parse_args()
    figures = run_to_end(measure(SYNC if options.sync else ASYNC, options.each, options.keep))
    kind = "sync" if options.sync else "async"
    print(json.dumps({"bench": f"zombies ({kind} tools)", **figures}))
    still = ("effects_after_wake", "requests_after_wake", "rows_changed", "doubled", "lost")
    return 1 if not options.sync and any(figures[name] for name in still) else 0


if __name__ == "__main__":
    sys.exit(main())
