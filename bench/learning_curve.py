"""The learning curve: what a repetitive stream costs with learning and without, by which tier it is served, and what is wrong.

`python -m bench.learning_curve [--passes 4] [--tasks 500] [--percent 50] [--error-rate 0.05] [--figures FOLDER] [--data FOLDER]`:
the recorded tasks of tau-bench's shop, each pass in another order, on the real server; the stand-in does what `bench.induction`
records: who is it, which orders, then the recorded changes. After each run the agent's `evaluate` compares the office's database
with the recorded one: what differs is wrong. Every hundred runs are mined, and whatever people are asked is approved at once. With
the default of 10 % and 0.01 a capability takes some 400 runs of its kind to be promoted: more than there are here, so the bench
asks for less. Three arms: without learning, with what induction learns alone, and with programs that are written where it learns
nothing; those are OURS (`bench/writing_programs.py`), a stand-in plays Claude. The figures need matplotlib
(`bench/requirements-figures.txt`); without `--figures` nothing is drawn.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import accumulate
from pathlib import Path
from typing import Any

from bench.careful import SWAPS, answer_of, calls_of
from bench.induction import quick_hash
from bench.measure import emit
from bench.processes import say
from bench.tau_retail import DATA, Task, base_of, recorded
from bench.writing_programs import GOOD, program
from examples.retail import tools as retail_tools
from examples.retail.agent import retail
from examples.retail.office import BackOffice
from tenure import Agent, Response, ToolContext
from tenure.spec import AgentSpec
from tenure.testing import Embedded, embedded
from tenure.testing.messages_api import turn_of
from tenure.testing.scripted_claude import ScriptedClaude, Turn, refusal, text, tool_use

AT_ONCE, MINED_EVERY = 12, 100
BETWEEN = (
    600.0  # seconds between two blocks of runs on the stand-in's clock: its cache of prompts forgets in the meantime
)


class Shop:
    """An office for each run, and whether it ended as recorded."""

    def __init__(self, tasks: Sequence[Task], base: BackOffice) -> None:
        self.tasks = {task.instruction: task for task in tasks}
        self.calls = {task.instruction: calls_of(task, base) for task in tasks}
        self.base, self.offices = base, dict[str, BackOffice]()
        self.asked, self.wrong = dict[str, str](), list[str]()  # by run

    def office_of(self, ctx: ToolContext) -> BackOffice:
        """The office of the run."""
        return self.offices.setdefault(ctx.run_id, self.base.copy())

    def claude(self, body: dict[str, Any]) -> Turn:
        """The stand-in's next turn."""
        told: str = body["messages"][0]["content"][0]["text"]
        if told not in self.tasks:
            return self.writes(told)
        calls, made = self.calls[told], turn_of(body)
        return tool_use(calls[made][0], **calls[made][1]) if made < len(calls) else text(answer_of(self.tasks[told]))

    def writes(self, briefing: str) -> Turn:
        """OUR program where it is to write one for items that are swapped; for everything else it has none."""
        tool = next((tool for tool in SWAPS if f"The runs change, in this order: {tool}." in briefing), None)
        return text(json.dumps({"program": program(GOOD, tool)})) if tool else refusal()

    def agent(self, learning: dict[str, Any] | None) -> AgentSpec:
        """The example, judged by what it has done."""
        return Agent(
            name="retail", instructions=retail.instructions, tools=retail.tools, max_iterations=30, learning=learning,
            evaluate=self.ended_well,
        )  # fmt: skip

    def ended_well(self, response: Response) -> bool:
        """Whether the office is as recorded."""
        opened, task = self.offices.pop(response.id, self.base), self.tasks[self.asked[response.id]]
        good = quick_hash(opened.db, self.base.db) == task.hash
        self.wrong += [] if good else [response.id]
        return good


async def approving(system: Embedded) -> None:
    """People who approve whatever they are asked about a capability."""
    while True:
        for request in await system.approvals.pending():
            if request.kind == "deployment":
                await system.approve(request)
        await asyncio.sleep(0.5)


@dataclass(frozen=True)
class Arm:
    """What became of the stream in one arm, in dollars with what Claude was paid to write programs."""

    name: str
    made: list[Response]
    dollars: Decimal
    capabilities: list[tuple[str, str, str]]  # id, stage, why


async def run(shop: Shop, stream: Sequence[Task], name: str, learning: dict[str, Any] | None) -> Arm:
    """The whole stream, a few at once."""
    made = list[Response]()
    claude = ScriptedClaude(shop.claude, record=False, clock=lambda: BETWEEN * (len(made) // MINED_EVERY))
    async with embedded(shop.agent(learning), claude=claude) as system:
        people = asyncio.create_task(approving(system))
        for at in range(0, len(stream), MINED_EVERY):
            made += await _block(system, shop, stream[at : at + MINED_EVERY])
            if learning is not None:
                await system.learn.mine("retail")
            say(f"{name}: {len(made)} of {len(stream)}")
        people.cancel()
        rollouts = await system.learn.every()
        spent = sum(one.cost for one in await system.cost.accounts("agent"))
        stages = [(kept.id, row.stage if row else "mined", row.why if row else "") for kept, row in rollouts]
        return Arm(name, made, Decimal(spent) / 1_000_000, stages)


async def _block(system: Embedded, shop: Shop, tasks: Sequence[Task]) -> list[Response]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(task: Task) -> Response:
        async with gate:
            handle = await system.runs.start("retail", task.instruction)
            shop.asked[handle.id] = task.instruction
            return await handle.result()

    return await asyncio.gather(*map(one, tasks))


def told_of(arm: Arm, shop: Shop, before: Decimal) -> dict[str, Any]:
    """Dollars, tiers, and what was wrong; `saved` is of what it costs without learning."""
    tiers = {one.id: one.tier for one in arm.made}
    return {
        "runs": len(arm.made),
        "dollars": str(arm.dollars),
        "saved": round(float(1 - arm.dollars / (before or arm.dollars)), 4),
        "tiers": dict(Counter(tiers.values())),
        "last_pass": dict(Counter(one.tier for one in arm.made[-len(shop.tasks) :])),
        "wrong": dict(Counter(tiers[run] for run in shop.wrong)),
        "failed": sum(not one.success for one in arm.made),
        "capabilities": arm.capabilities,
    }


def draw(folder: Path, arms: Sequence[Arm], title: str) -> None:
    """The curve as PNG and SVG: dollars so far on the left, the share served without Claude on the right."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    mpl.rcParams["svg.hashsalt"] = "tenure"  # the same figures make the same file
    figure, (money, share) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for arm in arms:
        money.plot(list(accumulate(float(one.cost) for one in arm.made)), label=arm.name)
        blocks = [arm.made[at : at + MINED_EVERY] for at in range(0, len(arm.made), MINED_EVERY)]
        served = [100 * sum(one.tier == "capability" for one in block) / len(block) for block in blocks]
        share.plot([MINED_EVERY * (at + 1) for at in range(len(blocks))], served, label=arm.name)
    money.set(xlabel="runs", ylabel="dollars of the runs so far")
    share.set(xlabel="runs", ylabel="of the last hundred without Claude, %", ylim=(0, 100))
    money.legend()
    figure.suptitle(title)
    folder.mkdir(parents=True, exist_ok=True)
    for kind in ("png", "svg"):
        figure.savefig(folder / f"learning_curve.{kind}", dpi=120, metadata={"Date": None} if kind == "svg" else None)


async def measure(options: argparse.Namespace) -> None:
    """All arms on the same stream."""
    tasks, base, draws = recorded(options.data)[: options.tasks], base_of(options.data), random.Random(options.seed)
    stream = [task for _ in range(options.passes) for task in draws.sample(tasks, len(tasks))]
    told: dict[str, Any] = {}
    arms: list[Arm] = []
    for name, learning in ways(options.percent, options.error_rate).items():
        shop = Shop(tasks, base)
        retail_tools.office_of = shop.office_of
        arms.append(await run(shop, stream, name, learning))
        told[name] = told_of(arms[-1], shop, arms[0].dollars)
    asked = {name: value for name, value in vars(options).items() if name not in ("data", "figures")}
    emit({"bench": "learning_curve", **asked, **told})
    if options.figures:
        title = f"{len(stream)} runs of {len(tasks)} recorded tasks, {options.passes} shuffled passes"
        draw(options.figures, arms, title)


def ways(percent: int, error_rate: str) -> dict[str, dict[str, Any] | None]:
    """The arms: their settings by name."""
    deployment = {"rollout_percentage": percent, "success_criteria": {"error_rate": error_rate}}
    return {
        "without learning": None,
        "induction alone": {"deployment": deployment, "capabilities": {"auto_generate": False}},
        "with written programs": {"deployment": deployment},
    }


def main() -> None:
    """Read the parameters."""
    parser = argparse.ArgumentParser(prog="python -m bench.learning_curve", description=__doc__)
    parser.add_argument("--passes", type=int, default=4)
    parser.add_argument("--tasks", type=int, default=500)
    parser.add_argument("--percent", type=int, default=50, help="of the canary")
    parser.add_argument("--error-rate", default="0.05", help="that a capability may have")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--figures", type=Path)
    parser.add_argument("--data", type=Path, default=DATA)
    asyncio.run(measure(parser.parse_args()))


if __name__ == "__main__":
    main()
