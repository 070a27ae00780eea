"""What the benchmarks share: a stage (Temporal and the stand-in for Claude), contestants on it, medians, one JSON line."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import tempfile
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from temporalio.client import Client

from tenure.runtime.history import events_of
from tenure.runtime.temporal import start_server

ROOT = Path(__file__).parent.parent
LINE_LIMIT = 2**24  # bytes of one line from a contestant
# Without bytecode caches the sandbox compiles workflow modules again in every run: nobody deploys like that.
NOT_INHERITED = ("TENURE_", "TEMPORAL_", "ANTHROPIC_", "PYTHONDONTWRITEBYTECODE")


@dataclass(frozen=True)
class Stage:
    """A Temporal server and a scripted Claude, each in a process of its own and in nobody's account."""

    client: Client
    env: Mapping[str, str]
    folder: Path


@asynccontextmanager
async def stage() -> AsyncGenerator[Stage]:
    """Start both on loopback and free ports; they end with the block."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tenure-bench-")))
        with _stdout_to_stderr():
            server = await start_server()
        stack.push_async_callback(server.shutdown)
        address = server.client.service_client.config.target_host
        claude = await stack.enter_async_context(
            _process("-m", "tenure.testing.scripted_claude", "--script", "bench.work:reply")
        )
        url = (await _line(claude)).strip()
        env = {
            **{name: value for name, value in os.environ.items() if not name.startswith(NOT_INHERITED)},
            "TEMPORAL_ADDRESS": address,
            "ANTHROPIC_BASE_URL": url,
            "ANTHROPIC_API_KEY": "scripted",
            "PYTHONPYCACHEPREFIX": str(folder / "pycache"),
        }
        yield Stage(server.client, env, folder)


@dataclass
class Contestant:
    """One contestant's process and what its batches cost so far."""

    name: str
    process: asyncio.subprocess.Process
    cpu: list[float] = field(default_factory=list[float])
    latencies: list[float] = field(default_factory=list[float])
    threads: dict[str, float] = field(default_factory=dict[str, float])
    runs: int = 0
    workflow: str = ""
    answer: str = ""
    results: list[Any] = field(default_factory=list[Any])

    async def batch(self, runs: int, message: str, *, keep: bool = True) -> None:
        """Make `runs` runs; the first batch of a process is not kept, because it pays for imports and caches."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"runs": runs, "message": message}).encode() + b"\n")
        told = json.loads(await _line(self.process))
        self.workflow, self.answer, self.results = told["workflow"], told["answer"], told["results"]
        if not keep:
            return
        self.runs += runs
        self.cpu.append(told["cpu"])
        self.latencies.extend(told["latencies"])
        for thread, seconds in told["threads"].items():
            self.threads[thread] = self.threads.get(thread, 0.0) + seconds

    def summary(self) -> dict[str, Any]:
        """Medians per run, in milliseconds."""
        threads = {
            name: round(1000 * s / self.runs, 1) for name, s in sorted(self.threads.items(), key=lambda t: -t[1])
        }
        return {
            "cpu_ms": spread(self.cpu),
            "latency_ms": spread(self.latencies),
            "cpu_ms_by_thread": {name: ms for name, ms in threads.items() if ms >= 0.1},
        }


@asynccontextmanager
async def contestant(name: str, at: Stage, *command: str, python: str = sys.executable) -> AsyncGenerator[Contestant]:
    """Start the contestant `python -m bench.MODULE ...`; it ends when its stdin closes."""
    folder = at.folder / name
    folder.mkdir(exist_ok=True)
    env = {**at.env, "BENCH_FOLDER": str(folder)}
    async with _process(*command, env=env, python=python) as process:
        await _line(process)
        yield Contestant(name, process)


async def interleave(
    contestants: Sequence[Contestant], rounds: int, runs: int, message: str, *, warm: int | None = None
) -> None:
    """Batches in turn, in alternating order, so that a neighbour's load falls on everyone alike."""
    for one in contestants:
        await one.batch(warm or runs, message, keep=False)
    for number in range(rounds):
        for one in contestants if number % 2 == 0 else reversed(contestants):
            await one.batch(runs, message)


def ratio(over: Sequence[float], under: Sequence[float]) -> dict[str, float]:
    """The ratio of neighbouring batches: the median of pairs, and the quartiles around it."""
    return spread([a / b for a, b in zip(over, under, strict=True)], scale=1.0, digits=3)


def spread(values: Sequence[float], *, scale: float = 1000.0, digits: int = 1) -> dict[str, float]:
    """Median, quartiles and the lowest value."""
    ordered = sorted(values)
    low, _, high = statistics.quantiles(ordered, n=4) if len(ordered) > 1 else (ordered * 3)
    named = {"median": statistics.median(ordered), "q1": low, "q3": high, "min": ordered[0]}
    return {name: round(value * scale, digits) for name, value in named.items()}


async def history_of(client: Client, workflow: str) -> dict[str, int]:
    """How many events a run has written, how many bytes they take, and how often it continued as new."""
    events = [event async for event in events_of(client, workflow)]
    starts = sum(event.HasField("workflow_execution_started_event_attributes") for event in events)
    size = sum(event.ByteSize() for event in events)
    return {"events": len(events), "history_bytes": size, "continuations": starts - 1}


def emit(report: Mapping[str, Any]) -> None:
    """Print the report as one line."""
    sys.stdout.write(json.dumps(report) + "\n")
    sys.stdout.flush()


@contextmanager
def _stdout_to_stderr() -> Generator[None]:
    """The server's banner must not stand beside our one line: what is started in the block inherits stderr as stdout."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


@asynccontextmanager
async def _process(
    *command: str, env: Mapping[str, str] | None = None, python: str = sys.executable
) -> AsyncGenerator[asyncio.subprocess.Process]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        python, *command, cwd=ROOT, env=env, stdin=pipe, stdout=pipe, limit=LINE_LIMIT
    )
    try:
        yield process
    finally:
        if process.returncode is None and process.stdin is not None:
            process.stdin.close()
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), 20)
        finally:
            if process.returncode is None:
                process.kill()


async def _line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    line = await process.stdout.readline()
    if not line:
        raise RuntimeError(f"process {process.pid} ended without an answer; what it said stands above")
    return line.decode()
