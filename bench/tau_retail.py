"""The 500 recorded tasks of tau-bench's retail shop through the runtime, and beside it in a bare client loop.

`python -m bench.tau_retail [--tasks 500] [--concurrency 8] [--batch 50] [--data FOLDER]`: every result must equal the recorded
one, refusals word for word, and every final database must have the recorded hash; else the exit code is 1. All 768 recorded
calls are changes, so the stand-in makes one a turn: that keeps their order. A contestant is this module with `--as`.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import itertools
import json
import os
import re
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bench.contestant import compete
from bench.measure import ROOT, Contestant, contestant, emit, ratio, spread, stage
from bench.processes import run_to_end, say
from examples.retail.agent import retail
from examples.retail.office import BackOffice
from examples.retail.records import state_hash
from examples.retail.tools import offices, open_office
from tenure import ToolError
from tenure.testing import ScriptedClaude, embedded
from tenure.testing.scripted_claude import Turn, text, tool_use

DATA = ROOT.parent / "shared" / "data" / "tau_retail"
WARM = 20  # tasks made before anything is measured
SHOWN = 10  # differences in the report
MARKER = re.compile(r"\(task (\d+)\)")

Call = dict[str, Any]  # tool, input, result, ok: as in Response.tool_calls
Run = Callable[["Task"], Awaitable[list[Call]]]


@dataclass(frozen=True)
class Task:
    """One recorded conversation: what the user wants, the calls that were made for it, and the database after them."""

    number: int
    instruction: str
    calls: list[Call]
    hash: str

    @property
    def tenant(self) -> str:
        """Whose office this task changes."""
        return f"task-{self.number}"

    @property
    def message(self) -> str:
        """What the run begins with; the stand-in knows the task by its number."""
        return f"{self.instruction}\n(task {self.number})"


def recorded(folder: Path) -> list[Task]:
    """The tasks in their order."""
    lines = (folder / "trajectories_train.jsonl").read_text().splitlines()
    return [_task(number, json.loads(line)) for number, line in enumerate(lines)]


def _task(number: int, told: dict[str, Any]) -> Task:
    calls = [_call(step["name"], step["arguments"], step["result"]) for step in told["steps"]]
    return Task(number, told["instruction"], calls, told["final_db_sha256"])


def _call(tool: str, input: dict[str, Any], result: str) -> Call:
    refused = result.startswith("Error")
    return {"tool": tool, "input": input, "result": result if refused else json.loads(result), "ok": not refused}


def base_of(folder: Path) -> BackOffice:
    """The office that every task begins with."""
    users, orders, products = (
        json.loads((folder / f"{name}.json").read_text()) for name in ("users", "orders", "products")
    )
    return BackOffice(users, orders, products)


def script(tasks: Sequence[Task], body: dict[str, Any]) -> Turn:
    """The stand-in's next turn: the recorded call that comes next in the conversation, or the answer after the last one."""
    found = MARKER.search(json.dumps(body["messages"][0]))
    assert found is not None, "the first message names no task"
    task = tasks[int(found[1])]
    made = sum(message["role"] == "assistant" for message in body["messages"])
    if made == len(task.calls):
        return text(f"Done: {made} calls for task {task.number}.")
    return tool_use(task.calls[made]["tool"], **task.calls[made]["input"])


# --------------------------------------------------------------------------------------------------------- contestants


@asynccontextmanager
async def _in_the_runtime() -> AsyncGenerator[Run]:
    """Each task is a run of its own, in one embedded Tenure."""
    from temporalio.testing import WorkflowEnvironment

    from tenure.runtime.temporal import connect

    server = WorkflowEnvironment.from_client(await connect())
    async with embedded(retail, home=Path(os.environ["BENCH_FOLDER"]) / ".tenure", server=server) as system:

        async def run(task: Task) -> list[Call]:
            response = await retail.run(task.message, client=system, tenant=task.tenant)
            if not response.success:
                raise RuntimeError(f"{response.id} ended {response.stop_reason}: {response.message}")
            return response.tool_calls

        yield run


@asynccontextmanager
async def _by_hand() -> AsyncGenerator[Run]:
    """The loop that everybody writes first: the same client and the same functions, and nothing that survives a crash."""
    from anthropic import AsyncAnthropic

    told = [entry.manifest for entry in retail.tools]
    async with AsyncAnthropic(max_retries=0) as claude:

        async def run(task: Task) -> list[Call]:
            ctx = SimpleNamespace(tenant=task.tenant, idempotency_key=task.tenant)
            messages: list[Any] = [{"role": "user", "content": task.message}]
            made: list[Call] = []
            while True:
                turn = await claude.messages.create(
                    model=retail.model, max_tokens=retail.max_tokens, system=retail.instructions, tools=told, messages=messages
                )  # fmt: skip
                content = [block.model_dump(mode="json", exclude_unset=True) for block in turn.content]
                asked = [block for block in content if block["type"] == "tool_use"]
                if not asked:
                    return made
                calls = [await _made(ctx, block) for block in asked]
                made += calls
                results = [_told(block, call) for block, call in zip(asked, calls, strict=True)]
                messages += [{"role": "assistant", "content": content}, {"role": "user", "content": results}]

        yield run


async def _made(ctx: Any, block: dict[str, Any]) -> Call:
    made = {"tool": block["name"], "input": block["input"]}
    try:
        return {**made, "result": await retail.tool[block["name"]].function(ctx, **block["input"]), "ok": True}
    except ToolError as error:
        return {**made, "result": str(error), "ok": False}


def _told(block: dict[str, Any], call: Call) -> dict[str, Any]:
    shown = call["result"] if isinstance(call["result"], str) else json.dumps(call["result"])
    return {"type": "tool_result", "tool_use_id": block["id"], "content": shown, "is_error": not call["ok"]}


WAYS: dict[str, Callable[[], AbstractAsyncContextManager[Run]]] = {"tenure": _in_the_runtime, "bare": _by_hand}


async def serve(way: str, folder: Path) -> None:
    """Answer the driver: `FIRST LAST CONCURRENCY` makes these tasks, `check` says of each task made how it compares."""
    tasks, base, made = recorded(folder), base_of(folder), dict[int, list[Call]]()
    async with WAYS[way]() as run:

        async def once(message: str) -> tuple[str, str, list[Any]]:
            if message == "check":
                untouched = state_hash(base.db) == json.loads((folder / "meta.json").read_text())["base_db_sha256"]
                return "", "", [untouched, *(_compared(tasks[number], made[number]) for number in sorted(made))]
            first, last, concurrency = map(int, message.split())
            gate = asyncio.Semaphore(concurrency)

            async def one(task: Task) -> None:
                async with gate:
                    open_office(task.tenant, base)
                    made[task.number] = await run(task)

            await asyncio.gather(*map(one, tasks[first:last]))
            return "", "", []

        await compete(once)


def _compared(task: Task, made: Sequence[Call]) -> dict[str, Any]:
    """How many results are equal, whether the database is, and everything that differs."""
    left = state_hash(offices[task.tenant].db)
    pairs = [*itertools.zip_longest(task.calls, made), (task.hash, left)]
    differ = [(theirs, ours) for theirs, ours in pairs if _json(theirs) != _json(ours)]
    return {
        "equal": sum(_json(theirs) == _json(ours) for theirs, ours in pairs[:-1]),
        "refused": sum(not call["ok"] for call in made),
        "hash": left == task.hash,
        "differ": [{"task": task.number, "recorded": theirs, "made": ours} for theirs, ours in differ],
    }


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True)  # text, because Python holds 1, 1.0 and True to be equal


# ------------------------------------------------------------------------------------------------------------- driver


async def measure(folder: Path, count: int, concurrency: int, size: int) -> bool:
    """Alternate batches of both, compare everything, print the figures; whether all of it is as recorded."""
    tasks = recorded(folder)[:count]
    batches = [(first, min(first + size, len(tasks))) for first in range(0, len(tasks), size)]
    command = ("-m", "bench.tau_retail", "--data", str(folder), "--as")
    with ScriptedClaude(functools.partial(script, tasks), record=False) as claude:
        async with stage() as staged:  # its own stand-in stays idle: this one knows the recording
            at = replace(staged, env={**staged.env, "ANTHROPIC_BASE_URL": claude.base_url})
            async with (
                contestant("tenure", at, *command, "tenure") as ours,
                contestant("bare", at, *command, "bare") as bare,
            ):
                await _alternate((ours, bare), batches, concurrency)
                say("comparing every result and every database")
                await asyncio.gather(*(one.batch(1, "check", keep=False) for one in (ours, bare)))
    return _report(tasks, batches, concurrency, ours, bare)


async def _alternate(both: Sequence[Contestant], batches: Sequence[tuple[int, int]], concurrency: int) -> None:
    for one in both:
        await one.batch(1, f"0 {min(WARM, batches[-1][1])} {concurrency}", keep=False)
    for number, (first, last) in enumerate(batches):
        for one in both if number % 2 == 0 else reversed(both):
            await one.batch(1, f"{first} {last} {concurrency}")
            say(f"{one.name}: tasks {first} to {last - 1} in {one.latencies[-1]:.1f} s, {one.cpu[-1]:.2f} s of CPU")


def _report(
    tasks: Sequence[Task], batches: Sequence[tuple[int, int]], concurrency: int, ours: Contestant, bare: Contestant
) -> bool:
    sizes = [last - first for first, last in batches]
    calls = [call for task in tasks for call in task.calls]
    goal = {
        "results": len(calls),
        "hashes": len(tasks),
        "refusals": sum(not call["ok"] for call in calls),
        "base": True,
    }
    figures = {one.name: _figures(one, sizes) for one in (ours, bare)}
    holds = all(goal.items() <= told.items() for told in figures.values())
    emit({
        "bench": "tau_retail",
        "work": f"{len(tasks)} recorded tasks, {len(calls)} calls, 0 ms model",
        "concurrency": concurrency,
        "batches": len(batches),
        **figures,
        "cpu_ratio": ratio(ours.cpu, bare.cpu),
        "runs_per_second_ratio": round(sum(ours.latencies) / sum(bare.latencies), 2),
        "differ": [d for one in (ours, bare) for told in one.results[1:] for d in told["differ"]][:SHOWN],
        "goal": goal,
        "holds": holds,
    })  # fmt: skip
    return holds


def _figures(one: Contestant, sizes: Sequence[int]) -> dict[str, Any]:
    base, *compared = one.results
    return {
        "results": sum(told["equal"] for told in compared),
        "hashes": sum(told["hash"] for told in compared),
        "refusals": sum(told["refused"] for told in compared),
        "base": base,
        "runs_per_second": round(sum(sizes) / sum(one.latencies), 1),
        "cpu_ms_per_run": spread([cpu / size for cpu, size in zip(one.cpu, sizes, strict=True)]),
        "cpu_ms_by_thread": {name: round(1000 * s / sum(sizes), 1) for name, s in one.threads.items() if s > 0.1},
    }


def main() -> None:
    """Read the parameters."""
    parser = argparse.ArgumentParser(prog="python -m bench.tau_retail", description=__doc__)
    parser.add_argument("--tasks", type=int, default=500, help="the first so many")
    parser.add_argument("--concurrency", type=int, default=8, help="runs at the same time")
    parser.add_argument("--batch", type=int, default=50, help="tasks of one contestant before the other's turn")
    parser.add_argument("--data", type=Path, default=DATA, help="the folder with trajectories_train.jsonl")
    parser.add_argument("--as", dest="way", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        asyncio.run(serve(options.way, options.data))
    else:
        holds = run_to_end(measure(options.data, options.tasks, options.concurrency, options.batch))
        sys.exit(0 if holds else 1)


if __name__ == "__main__":
    main()
