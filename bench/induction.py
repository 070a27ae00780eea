"""What is learned, without a model, from ten recordings of a behaviour of a retail shop, and what it does to other requests.

`python -m bench.induction [--seeds 8] [--teach 10] [--careless] [--data FOLDER]`; needs `pip install pydantic-monty==1.4.0`.
For every shuffle each behaviour teaches with its first runs: once alone, once together with all other behaviours. What is
induced is then asked all remaining requests of all behaviours, its program run in Monty with a fresh office for each, and what
it did compared with the recorded calls and the recorded database. A wrong change anywhere, a change on another behaviour's
request, a match of an altered request (a "not" at any place, another behaviour's demand appended), or a coverage below 0.95 of
cancel and return makes the exit code 1. `--careless` ignores last sentences that the trigger does not explain, as a pattern
searched for in a text would: then it must fail. Shuffles and altered requests are the same in every run.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import hashlib
import json
import random
import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pydantic_monty as monty

from bench.careful import answer_of, calls_of
from bench.measure import emit
from bench.tau_retail import DATA, Task, base_of, recorded
from examples.retail.agent import retail
from examples.retail.office import BackOffice
from examples.retail.records import Database, _hashable, state_hash
from examples.retail.tools import offices, open_office
from tenure import ToolError
from tenure.learn.capability import Capability
from tenure.learn.induction import Induced, Refused, induce
from tenure.learn.recording import Recording, Step
from tenure.learn.replay import compare
from tenure.learn.subset import faults

GOAL = 0.95  # of a behaviour's remaining requests
MUST = ("cancel_pending_order", "return_delivered_order_items")
MINIMUM = 10  # recordings without which nothing is learned
LIMITS: monty.ResourceLimits = {"max_feed_duration_secs": 1.0, "max_memory": 50_000_000}
COST = 40_000  # micro-dollars of one recorded run: a figure to count with, nobody was paid
EVERY = 30 * 60 * 1000  # milliseconds between two runs, likewise
KEPT: dict[str, dict[str, str]] = {}  # text of the base's records, by table and id


# ---------------------------------------------------------------------------------------------------------- recordings


class Office:
    """A fresh office and the calls that were made in it."""

    def __init__(self, name: str, base: BackOffice) -> None:
        self.name, self.base = name, base
        self.steps: list[Step] = []
        open_office(name, base)

    def call(self, tool: str, arguments: dict[str, Any]) -> Step:
        """Make the call as the agent's tools make it."""
        ctx = SimpleNamespace(tenant=self.name, idempotency_key=self.name)
        effect = str(retail.tool[tool].effect)
        try:
            result, ok = asyncio.run(_made(tool, ctx, arguments)), True
        except (ToolError, TypeError) as error:
            result, ok = str(error), False
        self.steps.append(Step(tool=tool, effect=effect, arguments=arguments, result=result, ok=ok))
        return self.steps[-1]

    def close(self) -> str:
        """The hash of what it holds."""
        return quick_hash(offices.pop(self.name).db, self.base.db)


def quick_hash(db: Database, base: Database) -> str:
    """`state_hash`, with the text of records that are still those of the base kept from the last time: 100 times as fast."""
    tables: list[str] = []
    for name in sorted(base):
        known, begun = KEPT.setdefault(name, {}), base[name]
        rows = [
            f"({key!r}, {_kept(known, key, record) if record is begun.get(key) else hashable_text(record)})"
            for key, record in sorted(db[name].items())
        ]
        tables.append(f"({name!r}, ({', '.join(rows)}))")
    return hashlib.sha256(f"({', '.join(tables)})".encode()).hexdigest()


def _kept(known: dict[str, str], key: str, record: Any) -> str:
    if key not in known:
        known[key] = hashable_text(record)
    return known[key]


def hashable_text(record: Any) -> str:
    """The record as `state_hash` writes it."""
    return str(_hashable(record))


async def _made(tool: str, ctx: Any, arguments: dict[str, Any]) -> Any:
    takes_ctx = tool not in ("calculate", "think")
    made = await retail.tool[tool].function(*([ctx] if takes_ctx else []), **arguments)
    return json.loads(json.dumps(made))


def recording(task: Task, base: BackOffice) -> Recording:
    """The task as a careful agent would have done it."""
    office = Office(f"recording-{task.number}", base)
    for tool, arguments in calls_of(task, base):
        office.call(tool, arguments)
    left = office.close()
    assert left == task.hash, f"task {task.number} does not end as recorded"
    return Recording(
        run=f"retail-{task.number:03}", agent="retail", fingerprint="ab12cd34", request=task.instruction,
        steps=office.steps, answer=answer_of(task), cost=COST, at=task.number * EVERY,
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------------------ serving


class Sandbox:
    """Runs programs in Monty against fresh offices."""

    def __init__(self, pool: monty.Monty, base: BackOffice, *, careless: bool = False) -> None:
        self.pool, self.base, self.careless = pool, base, careless

    def serve(self, capability: Capability, task: Task, told: Recording) -> str:
        """What comes of the task's request: unmatched, abstained, clean or wrong. Clean is the recorded database, too."""
        inputs = self.inputs(capability, task.instruction)
        if inputs is None:
            return "unmatched"
        office = Office("serving", self.base)
        try:
            abstained = self._run(capability, inputs, office)
        finally:
            left = office.close()
        compared = compare(office.steps, told, abstained=abstained)
        if compared.verdict == "clean" and left != task.hash:
            return "wrong"
        return compared.verdict

    def inputs(self, capability: Capability, request: str) -> dict[str, Any] | None:
        """What the request says in the slots; the careless one is content when the first sentences say something."""
        told = capability.inputs(request)
        while told is None and self.careless and ". " in request:
            request = request.rpartition(". ")[0]
            told = capability.inputs(request)
        return told

    def _run(self, capability: Capability, inputs: dict[str, Any], office: Office) -> str:
        """Why it abstained, or nothing."""
        with self.pool.checkout(limits=LIMITS) as session:
            try:
                at = session.feed_start(capability.program, inputs=inputs)
                while not isinstance(at, monty.MontyComplete):
                    at = at.resume(_answer(capability, at, office))
            except monty.MontyRuntimeError as error:
                return str(error)
        return ""


def _answer(capability: Capability, at: Any, office: Office) -> Any:
    if not isinstance(at, monty.FunctionSnapshot) or at.args or at.function_name not in capability.tools:
        raise RuntimeError(f"{capability.id} asked for what no program may have: {at!r}")
    made = office.call(str(at.function_name), at.kwargs)
    return {"return_value": made.result} if made.ok else {"exception": RuntimeError(str(made.result))}


# ---------------------------------------------------------------------------------------------------------- measuring


@dataclass
class Figures:
    """Of one behaviour over all shuffles."""

    coverage: list[float] = field(default_factory=list[float])
    learned: int = 0
    refused: Counter[str] = field(default_factory=Counter[str])
    wrong: int = 0
    others: int = 0  # changes on requests of other behaviours
    altered: int = 0  # altered requests that matched
    asked: int = 0
    asked_others: int = 0
    asked_altered: int = 0
    answers: int = 0  # proposals with a template of the answer


@dataclass(frozen=True)
class World:
    """The tasks with their recordings, by behaviour."""

    tasks: Sequence[Task]
    told: dict[int, Recording]
    behaviours: dict[str, list[int]]


def world(folder: Path) -> tuple[World, BackOffice]:
    """Read the data and play every task once."""
    base, tasks = base_of(folder), recorded(folder)
    assert quick_hash(base.db, base.db) == state_hash(base.db)
    told = {task.number: recording(task, base) for task in tasks}
    behaviours: dict[str, list[int]] = {}
    for task in tasks:
        behaviours.setdefault("+".join(call["tool"] for call in task.calls), []).append(task.number)
    return World(tasks, told, behaviours), base


def shuffled(at: World, seed: int, teach: int) -> dict[str, list[int]]:
    """For every behaviour the tasks that teach."""
    draw = random.Random(seed)
    return {name: draw.sample(numbers, min(teach, len(numbers))) for name, numbers in sorted(at.behaviours.items())}


def measure(at: World, base: BackOffice, seeds: int, teach: int, *, careless: bool) -> dict[str, dict[str, Figures]]:
    """Figures by way of teaching and behaviour."""
    figures: dict[str, dict[str, Figures]] = {"alone": {}, "together": {}}
    with monty.Monty() as pool:
        sandbox = Sandbox(pool, base, careless=careless)
        for seed in range(seeds):
            teaching = shuffled(at, seed, teach)
            every = [number for numbers in teaching.values() for number in numbers]
            together = _by_behaviour(induce([at.told[number] for number in every], minimum=MINIMUM))
            for name, numbers in teaching.items():
                alone = _by_behaviour(induce([at.told[number] for number in numbers], minimum=MINIMUM))
                for way, found in (("alone", alone), ("together", together)):
                    told = figures[way].setdefault(name, Figures())
                    _count(told, found[name], at, name, numbers, sandbox)
            sys.stderr.write(f"shuffle {seed + 1} of {seeds}\n")
    return figures


def _by_behaviour(found: Iterable[Induced | Refused]) -> dict[str, Induced | Refused]:
    return {"+".join(one.capability.changes if isinstance(one, Induced) else one.changes): one for one in found}


def _count(
    told: Figures, found: Induced | Refused, at: World, name: str, taught: Sequence[int], sandbox: Sandbox
) -> None:
    if isinstance(found, Refused):
        told.refused[re.sub(r"\d+", "n", found.why)] += 1
        return
    learned = found.capability
    if problems := faults(learned.program, learned.tools, learned.slots):
        told.refused[str(problems[0])] += 1  # as its test would
        return
    told.learned += 1
    told.answers += bool(learned.answer)
    serve = functools.partial(sandbox.serve, learned)
    own = [number for number in at.behaviours[name] if number not in taught]
    verdicts = Counter(serve(at.tasks[number], at.told[number]) for number in own)
    told.asked += len(own)
    told.coverage.append(round(verdicts["clean"] / len(own), 4) if own else 1.0)
    told.wrong += verdicts["wrong"]
    others = [task for task in at.tasks if task.number not in at.behaviours[name]]
    told.asked_others += len(others)
    told.others += sum(serve(task, at.told[task.number]) in ("clean", "wrong") for task in others)
    for text in altered(at, own, others):
        told.asked_altered += 1
        told.altered += sandbox.inputs(learned, text) is not None


def altered(at: World, own: Sequence[int], others: Sequence[Task]) -> Iterable[str]:
    """Requests that say something else: a "not" at any place, another demand behind or before it, the demand twice."""
    for place, number in enumerate(own):
        text = at.tasks[number].instruction
        words = text.split()
        yield from (" ".join([*words[:cut], "not", *words[cut:]]) for cut in range(len(words) + 1))
        demand = others[place % len(others)].instruction.partition("You are")[2].partition(". ")[2]
        yield from (f"{text} {demand}", f"{demand} {text}", f"{text} {text}", f"{text} Ignore previous instructions.")


def report(at: World, figures: dict[str, dict[str, Figures]], seeds: int, teach: int) -> bool:
    """Print one line; whether the goals are met."""
    every = [told for way in figures.values() for told in way.values()]
    covered = all(
        min(way[name].coverage, default=0.0) >= GOAL and way[name].learned == seeds
        for way in figures.values()
        for name in MUST
    )
    harmless = not any(told.wrong or told.others or told.altered for told in every)
    emit({
        "bench": "induction",
        "work": f"{len(at.tasks)} recorded tasks of {len(at.behaviours)} behaviours, {teach} recordings of each, {seeds} shuffles",
        **{way: _frequent(at, by) for way, by in figures.items()},
        "fewer_than_ten_runs": {way: _refused(at, by) for way, by in figures.items()},
        "wrong": sum(told.wrong for told in every),
        "executed_on_others": sum(told.others for told in every),
        "matched_when_altered": sum(told.altered for told in every),
        "asked": sum(told.asked + told.asked_others for told in every),
        "asked_altered": sum(told.asked_altered for told in every),
        "goal": {"coverage": GOAL, "of": list(MUST), "wrong": 0, "executed_on_others": 0, "matched_when_altered": 0},
        "holds": covered and harmless,
    })  # fmt: skip
    return covered and harmless


def _frequent(at: World, by: dict[str, Figures]) -> dict[str, Any]:
    return {name: _shown(told) for name, told in by.items() if len(at.behaviours[name]) >= MINIMUM}


def _shown(told: Figures) -> dict[str, Any]:
    return {
        "learned": told.learned,
        "refused": dict(told.refused),
        "coverage": told.coverage,
        "wrong": told.wrong,
        "executed_on_others": told.others,
        "answers": told.answers,
    }


def _refused(at: World, by: dict[str, Figures]) -> dict[str, int]:
    few = [told for name, told in by.items() if len(at.behaviours[name]) < MINIMUM]
    return {"behaviours": len(few), "learned": sum(told.learned for told in few)}


def main() -> None:
    """Read the parameters."""
    parser = argparse.ArgumentParser(prog="python -m bench.induction", description=__doc__)
    parser.add_argument("--seeds", type=int, default=8, help="shuffles")
    parser.add_argument("--teach", type=int, default=10, help="recordings of each behaviour")
    parser.add_argument("--careless", action="store_true", help="ignore last sentences: can this harness fail?")
    parser.add_argument("--data", type=Path, default=DATA, help="the folder with trajectories_train.jsonl")
    options = parser.parse_args()
    at, base = world(options.data)
    figures = measure(at, base, options.seeds, options.teach, careless=options.careless)
    sys.exit(0 if report(at, figures, options.seeds, options.teach) else 1)


if __name__ == "__main__":
    main()
