"""The learning curve: what a repetitive stream costs with learning and without, by which tier it is served, and what is wrong.

`python -m bench.learning_curve [--passes 4] [--tasks 500] [--percent 50] [--error-rate 0.05] [--figures FOLDER] [--data FOLDER]`:
the recorded tasks of tau-bench's shop, each pass in another order, on the real server; the stand-in does what `bench.induction`
records: who is it, which orders, then the recorded changes. After each run the agent's `evaluate` compares the office's database
with the recorded one: what differs is wrong. Every hundred runs are mined, and whatever people are asked is approved at once. With
the default of 10 % and 0.01 a capability takes some 400 runs of its kind to be promoted: more than there are here, so the bench
asks for less. The figures need matplotlib (`bench/requirements-figures.txt`); without `--figures` nothing is drawn.
"""

from __future__ import annotations

import argparse
import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from itertools import accumulate
from pathlib import Path
from typing import Any

from bench.induction import PERSON, SAID, quick_hash
from bench.measure import emit
from bench.processes import say
from bench.tau_retail import DATA, Task, base_of, recorded
from examples.retail import tools as retail_tools
from examples.retail.agent import retail
from examples.retail.office import BackOffice
from tenure import Agent, Response, ToolContext
from tenure.spec import AgentSpec
from tenure.testing import Embedded, embedded
from tenure.testing.messages_api import turn_of
from tenure.testing.scripted_claude import Turn, text, tool_use

AT_ONCE, MINED_EVERY = 12, 100
Call = tuple[str, dict[str, Any]]


def calls_of(task: Task) -> list[Call]:
    """What a careful agent does: who is it, what are the orders, then the recorded changes."""
    found: list[Call] = []
    person = PERSON.search(task.instruction)
    if person is not None:
        first, last, email, code = person.groups()
        by_name = {"first_name": first, "last_name": last, "zip": code}
        found.append(("find_user_id_by_email", {"email": email}) if email else ("find_user_id_by_name_zip", by_name))
    orders = dict.fromkeys(call["input"]["order_id"] for call in task.calls if "order_id" in call["input"])
    found += [("get_order_details", {"order_id": order}) for order in orders]
    return [*found, *((call["tool"], call["input"]) for call in task.calls)]


def answer_of(task: Task) -> str:
    """What it says at the end."""
    return " ".join(SAID.get(c["tool"], "Order {order_id} is changed.").format(**c["input"]) for c in task.calls)


class Shop:
    """An office for each run, and whether it ended as recorded."""

    def __init__(self, tasks: Sequence[Task], base: BackOffice) -> None:
        self.tasks = {task.instruction: task for task in tasks}
        self.base, self.offices = base, dict[str, BackOffice]()
        self.asked, self.wrong = dict[str, str](), list[str]()  # by run

    def office_of(self, ctx: ToolContext) -> BackOffice:
        """The office of the run."""
        return self.offices.setdefault(ctx.run_id, self.base.copy())

    def claude(self, body: dict[str, Any]) -> Turn:
        """The stand-in's next turn."""
        task = self.tasks[body["messages"][0]["content"][0]["text"]]
        calls, made = calls_of(task), turn_of(body)
        return tool_use(calls[made][0], **calls[made][1]) if made < len(calls) else text(answer_of(task))

    def agent(self, learning: dict[str, Any] | None) -> AgentSpec:
        """The example, judged by what it has done."""
        return Agent(
            name="retail", instructions=retail.instructions, tools=retail.tools, max_iterations=20, learning=learning,
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


async def run(shop: Shop, stream: Sequence[Task], learning: dict[str, Any] | None) -> tuple[list[Response], list[Any]]:
    """The whole stream, a few at once; what became of it, and of what was learned."""
    agent, made = shop.agent(learning), list[Response]()
    async with embedded(agent, claude=shop.claude) as system:
        people = asyncio.create_task(approving(system))
        for at in range(0, len(stream), MINED_EVERY):
            made += await _block(system, shop, stream[at : at + MINED_EVERY])
            if learning is not None:
                await system.learn.mine("retail")
            say(f"{'with' if learning else 'without'} learning: {len(made)} of {len(stream)}")
        people.cancel()
        rollouts = await system.learn.every()
        return made, [(kept.id, row.stage if row else "mined", row.why if row else "") for kept, row in rollouts]


async def _block(system: Embedded, shop: Shop, tasks: Sequence[Task]) -> list[Response]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(task: Task) -> Response:
        async with gate:
            handle = await system.runs.start("retail", task.instruction)
            shop.asked[handle.id] = task.instruction
            return await handle.result()

    return await asyncio.gather(*map(one, tasks))


def told_of(made: Sequence[Response], shop: Shop) -> dict[str, Any]:
    """Dollars, tiers by pass, and what was wrong."""
    wrong = Counter(next(one.tier for one in made if one.id == run) for run in shop.wrong)
    return {
        "runs": len(made),
        "dollars": str(sum((one.cost for one in made), Decimal(0))),
        "tiers": dict(Counter(one.tier for one in made)),
        "wrong": dict(wrong),
        "failed": sum(not one.success for one in made),
    }


def draw(folder: Path, without: Sequence[Response], learned: Sequence[Response], title: str) -> None:
    """The curve as PNG and SVG: dollars so far on the left, the share served without Claude on the right."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (money, share) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for made, name in ((without, "without learning"), (learned, "with learning")):
        money.plot(list(accumulate(float(one.cost) for one in made)), label=name)
    money.set(xlabel="runs", ylabel="dollars so far")
    money.legend()
    blocks = [learned[at : at + MINED_EVERY] for at in range(0, len(learned), MINED_EVERY)]
    by_block = [100 * sum(one.tier == "capability" for one in block) / len(block) for block in blocks]
    share.bar(range(len(blocks)), by_block)
    share.set(xlabel="hundreds of runs", ylabel="served by a capability, %", ylim=(0, 100))
    figure.suptitle(title)
    folder.mkdir(parents=True, exist_ok=True)
    for kind in ("png", "svg"):
        figure.savefig(folder / f"learning_curve.{kind}", dpi=120, metadata={"Date": None} if kind == "svg" else None)


async def measure(options: argparse.Namespace) -> None:
    """Both arms on the same stream."""
    tasks, base, draws = recorded(options.data)[: options.tasks], base_of(options.data), random.Random(options.seed)
    stream = [task for _ in range(options.passes) for task in draws.sample(tasks, len(tasks))]
    criteria = {"error_rate": options.error_rate}
    learning = {"deployment": {"rollout_percentage": options.percent, "success_criteria": criteria}}
    told: dict[str, Any] = {}
    arms: list[list[Response]] = []
    for name, how in (("without", None), ("with", learning)):
        shop = Shop(tasks, base)
        retail_tools.office_of = shop.office_of
        made, rollouts = await run(shop, stream, how)
        arms.append(made)
        told[name] = {**told_of(made, shop), "capabilities": rollouts}
    saved = 1 - Decimal(told["with"]["dollars"]) / Decimal(told["without"]["dollars"])
    asked = {name: value for name, value in vars(options).items() if name not in ("data", "figures")}
    emit({"bench": "learning_curve", **asked, **told, "saved": round(float(saved), 4)})
    if options.figures:
        draw(
            options.figures,
            *arms,
            f"{len(stream)} runs of {len(tasks)} recorded tasks, {options.passes} shuffled passes",
        )


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
