"""Sandbox: does a hostile program get out, outlive its limits, or take the worker with it? And what does one step cost?

`python -m bench.sandbox [--rounds 30]`: every program of `bench/hostile.py` is run in one sandbox, as it stands, by a process that
has what it may not reach: a variable of the environment, a file, a port, a folder to write into. After each a healthy program
must still answer. Then how many of them are refused by reading alone, and what a step of a healthy program takes beside a fresh
Python interpreter. The exit code is 1 when one escaped, ended late or otherwise than it may, or the sandbox was not well after it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import secrets
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from bench.hostile import Hostile, hostile
from bench.measure import emit, ratio, spread
from tenure.learn.program import Called, Finished, Progress, Signature, Stopped
from tenure.learn.recording import Step
from tenure.runtime.monty import LIMITS, Sandbox

VARIABLE = "TENURE_BENCH_SECRET"
LATEST = 4.0  # seconds a program may take on a busy machine: its second, the grace, and a process to start
GROWTH = 512  # megabytes that this process may grow by: inputs and results of 30 MB are its own, in several copies
TOOLS = {"get_order"}
SIGNATURE = Signature(
    "get_order",
    takes={"type": "object", "properties": {"order_id": {"type": "string"}}, "required": ["order_id"]},
)
HEALTHY = """order = get_order(order_id=order_id)
assert order["status"] == "open", "only open orders can be cancelled"
other = get_order(order_id=order["next"])
f"{order['status']} and {other['status']}"
"""
JOURNAL = [
    Step(tool="get_order", effect="read", arguments={"order_id": "7"}, result={"status": "open", "next": "8"}),
    Step(tool="get_order", effect="read", arguments={"order_id": "8"}, result={"status": "closed", "next": "9"}),
]
ANSWER = Finished(answer="open and closed")


@dataclass
class Canaries:
    """What no program may touch: a secret in the environment and in a file, a folder, a port, and our processes."""

    folder: Path
    port: int = 0
    connections: int = 0
    before: frozenset[int] = field(default_factory=lambda: frozenset(child.pid for child in children()))
    secret: str = field(default_factory=lambda: secrets.token_hex(16))

    def told(self, sandbox: Sandbox, progress: Progress) -> str | None:
        """What a program did that it may not, if it did."""
        if self.secret in repr(progress):
            return "the secret came back"
        if self.connections:
            return "it connected"
        if sorted(path.name for path in self.folder.iterdir()) != ["secret"]:
            return "it wrote a file"
        if (self.folder / "secret").read_text() != self.secret or os.environ.get(VARIABLE) != self.secret:
            return "the secret was changed"
        started = [child for child in children() if child.pid not in self.before]
        strange = any(child.name() != "monty" for child in started) or len(started) > sandbox.processes
        return f"it started {started}" if strange else None


@asynccontextmanager
async def canaries() -> AsyncGenerator[Canaries]:
    """Set out, until the block ends."""
    with tempfile.TemporaryDirectory(prefix="tenure-bench-") as folder:
        made = Canaries(Path(folder))

        def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            made.connections += 1
            writer.close()

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        made.port = server.sockets[0].getsockname()[1]
        (made.folder / "secret").write_text(made.secret)
        before, os.environ[VARIABLE] = os.environ.get(VARIABLE, ""), made.secret
        async with server:
            yield made
        os.environ[VARIABLE] = before


def children() -> list[psutil.Process]:
    """The processes this one has started, and theirs."""
    return psutil.Process().children(recursive=True)


async def run(sandbox: Sandbox, one: Hostile) -> Progress:
    """One program, as far as it comes; those that are to be killed lose their process after a moment."""
    running = asyncio.ensure_future(sandbox.advance(one.program, one.inputs, one.journal, TOOLS))
    while one.killed and not running.done():
        await asyncio.sleep(0.1)
        for child in children():
            if child.name() == "monty":
                child.kill()
    return await running


def end_of(progress: Progress) -> str:
    """In one word."""
    return progress.kind if isinstance(progress, Stopped) else type(progress).__name__.lower()


@dataclass
class Verdicts:
    """What came of all programs; `faults` is empty when the sandbox held."""

    ends: Counter[str] = field(default_factory=Counter[str])
    kinds: set[str] = field(default_factory=set[str])
    faults: list[str] = field(default_factory=list[str])
    slowest: float = 0.0

    async def judge(self, sandbox: Sandbox, one: Hostile, out: Canaries) -> None:
        """Run it, look at the canaries, and see whether the sandbox is well."""
        began = time.perf_counter()
        progress = await run(sandbox, one)
        took = time.perf_counter() - began
        self.slowest = max(self.slowest, took)
        self.kinds.add(one.kind)
        self.ends[end_of(progress)] += 1
        async for fault in self._faults(sandbox, one, progress, took, out):
            self.faults.append(f"{one.kind}: {one.program[:80]!r}: {fault}")

    async def _faults(
        self, sandbox: Sandbox, one: Hostile, progress: Progress, took: float, out: Canaries
    ) -> AsyncGenerator[str]:
        if escaped := out.told(sandbox, progress):
            yield f"ESCAPED: {escaped}"
        if took > LATEST:
            yield f"took {took:.1f} s"
        if one.ends and end_of(progress) not in one.ends:
            yield f"ended as {progress!r:.300}"
        if isinstance(progress, Called | Finished) and await run(sandbox, one) != progress:
            yield "came to something else when it was run again"
        if await sandbox.advance(HEALTHY, {"order_id": "7"}, JOURNAL, TOOLS) != ANSWER:
            yield "a healthy program does not answer after it"


async def refused_by_reading(sandbox: Sandbox, programs: list[Hostile]) -> int:
    """How many would never have been run."""
    return sum([bool(await sandbox.check(one.program, [SIGNATURE], {})) for one in programs])


async def cost(sandbox: Sandbox, rounds: int) -> dict[str, Any]:
    """Milliseconds of one step with two journalled calls, beside a fresh interpreter and beside no sandbox at all."""
    steps, fresh, plain = [], [], []
    inputs = {"order_id": "7"}
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(10):
            await sandbox.advance(HEALTHY, inputs, JOURNAL, TOOLS)
        steps.append((time.perf_counter() - began) / 10)
        fresh.append(
            _timed(lambda: subprocess.run([sys.executable, "-I", "-c", "print(1)"], check=True, capture_output=True))
        )
        plain.append(_timed(_plain))
    checked = []
    for _ in range(rounds):
        began = time.perf_counter()
        assert not await sandbox.check(HEALTHY, [SIGNATURE], {"order_id": {"type": "string"}})
        checked.append(time.perf_counter() - began)
    return {
        "step_ms": spread(steps, digits=3),
        "fresh_interpreter_ms": spread(fresh),
        "plain_exec_ms": spread(plain, digits=3),
        "check_ms": spread(checked),
        "step_beside_fresh_interpreter": ratio(steps, fresh),
    }


def _timed(once: Callable[[], object]) -> float:
    began = time.perf_counter()
    once()
    return time.perf_counter() - began


def _plain() -> None:
    left = iter([step.result for step in JOURNAL])
    exec(compile(HEALTHY, "program", "exec"), {"order_id": "7", "get_order": lambda order_id: next(left)})


async def main(rounds: int) -> int:
    """Run everything and print one line."""
    verdicts, sandbox = Verdicts(), Sandbox()
    async with canaries() as out:
        programs = hostile(str(out.folder), out.port, VARIABLE)
        before = _peak()
        for one in programs:
            await verdicts.judge(sandbox, one, out)
        grown = _peak() - before
        refused = await refused_by_reading(sandbox, programs)
        figures = await cost(sandbox, rounds)
        await sandbox.close()
        left = [str(child) for child in children()]
    emit(
        {
            "bench": "sandbox",
            "programs": len(programs),
            "kinds": len(verdicts.kinds),
            "escaped": sum("ESCAPED" in fault for fault in verdicts.faults),
            "faults": verdicts.faults,
            "ends": dict(verdicts.ends),
            "slowest_s": round(verdicts.slowest, 2),
            "limit_s": LIMITS.seconds,
            "host_grew_mb": grown,
            "host_may_grow_mb": GROWTH,
            "processes_left": left,
            "refused_by_reading": refused,
            **figures,
        }
    )
    return int(bool(verdicts.faults or left or grown > GROWTH))


def _peak() -> int:
    """Megabytes that this process has taken at most."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // 2**20 if sys.platform == "darwin" else peak // 2**10


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    sys.exit(asyncio.run(main(parser.parse_args().rounds)))
