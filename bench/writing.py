"""What becomes of programs that Claude writes where induction fails: exchanges and changes of items in the recorded retail tasks.

`python -m bench.writing [--data FOLDER]`; one minute or two. The 500 recorded tasks become recordings of an agent in an embedded
Tenure, which is mined: induction first, then Claude, played by a stand-in whose programs are OURS (`bench/writing_programs.py`),
as a competent model would write them, and two that are subtly wrong: the figures are about the gate, not about what Claude can do.
The exit code is 1 when a right program does not reach people with a coverage of 0.9 and no wrong write, when a wrong one does, when
anything is done for a request of another kind, or for an altered one (a "not" at any place, another demand behind or before it).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bench.careful import SWAPS, answer_of, calls_of
from bench.measure import emit
from bench.tau_retail import DATA, Task, base_of, recorded
from bench.writing_programs import CARELESS, EAGER, GOOD, program
from examples.retail.agent import retail
from examples.retail.office import BackOffice
from examples.retail.tools import offices, open_office
from tenure import Agent, ToolError
from tenure.learn.capability import Capability
from tenure.learn.reading import Found
from tenure.learn.recording import Recording, Step
from tenure.learn.report import Report
from tenure.runtime.replaying import replay
from tenure.runtime.store import Connection, capabilities, recordings, verdicts
from tenure.testing import Embedded, embedded
from tenure.testing.scripted_claude import Turn, refusal, text

PROGRAMS = {"good": GOOD, "careless": CARELESS, "eager": EAGER}  # by tenant
ENDED = ("validated", "rejected")
COVERAGE = 0.9
ALTERED = 15  # requests of each family that are altered
WITHIN = 600.0  # seconds for the test of one capability


# ---------------------------------------------------------------------------------------------------------- recordings


class Office:
    """A fresh office and the calls that were made in it."""

    def __init__(self, name: str, base: BackOffice) -> None:
        self.name, self.steps = name, list[Step]()
        open_office(name, base)

    def call(self, tool: str, **arguments: Any) -> Any:
        """Make the call as the agent's tool makes it."""
        ctx = [] if tool in ("calculate", "think") else [SimpleNamespace(tenant=self.name, idempotency_key=self.name)]
        try:
            made, ok = asyncio.run(_made(retail.tool[tool].function(*ctx, **arguments))), True
        except (ToolError, TypeError) as error:
            made, ok = str(error), False
        result = json.loads(json.dumps(made))
        effect = str(retail.tool[tool].effect)
        self.steps.append(Step(tool=tool, effect=effect, arguments=arguments, result=result, ok=ok))
        return result


async def _made(call: Any) -> Any:
    return await call


def recording(task: Task, base: BackOffice) -> Recording:
    """The task as a careful agent does it."""
    office = Office(f"recording-{task.number}", base)
    for tool, arguments in calls_of(task, base):
        office.call(tool, **arguments)
    offices.pop(office.name)
    return Recording(
        run=f"retail-{task.number:03}", agent="retail", fingerprint="", request=task.instruction, steps=office.steps,
        answer=answer_of(task), cost=40_000, at=task.number,
    )  # fmt: skip


# ---------------------------------------------------------------------------------------------------------- the stand-in


@dataclass
class Stand:
    """Plays Claude when it is to write; what it was asked is kept."""

    asked: Counter[tuple[str, str]]

    def __call__(self, body: dict[str, Any]) -> Turn:
        """Our program for the family of the briefing; the tenant stands in what the runs' people are called."""
        told: str = body["messages"][0]["content"][0]["text"]
        tool = next((tool for tool in SWAPS if f"The runs change, in this order: {tool}." in told), None)
        if tool is None:
            return refusal()  # another family: we have written nothing for it
        tenant = next(tenant for tenant in PROGRAMS if f"desk {tenant}." in told)
        self.asked[tenant, tool] += 1
        return text(json.dumps({"program": program(PROGRAMS[tenant], tool)}))


def told_to(tenant: str, run: Recording, at: int, fingerprint: str) -> Recording:
    """The recording as one of that tenant's, whose answers end with whose desk it is."""
    more = {"run": f"{tenant}:run:retail:{run.run}", "answer": f"{run.answer} The desk {tenant}."}
    return run.model_copy(update={**more, "fingerprint": fingerprint, "at": at + run.at})


# ------------------------------------------------------------------------------------------------------------ measuring


async def measure(runs: Sequence[Recording]) -> dict[str, Any]:
    """What becomes of each family of each tenant."""
    agent = Agent(name="retail", tools=retail.tools, learning={"patterns": {"time_window": "30d"}})
    stand = Stand(Counter())
    async with embedded(agent, claude=stand) as system:
        fingerprint = system.resources.registry.agents["retail"].fingerprint
        at = round(time.time() * 1000)
        every = {tenant: [told_to(tenant, run, at, fingerprint) for run in runs] for tenant in PROGRAMS}
        figures: dict[str, Any] = {}
        for tenant, told in every.items():
            await system.require_store().transact(lambda db, tenant=tenant, told=told: _keep(db, tenant, told))
            mined = await system.learn.mine("retail", tenant)
            sys.stderr.write(f"{tenant}: {mined.read} recordings mined\n")
            for tool in SWAPS:
                found = next(one for one in mined.found if one.capability == tool)
                figures.setdefault(tool, {})[tenant] = {
                    **await _came(system, tenant, found, told),
                    "asked": stand.asked[tenant, tool],
                }
        return figures


def _keep(db: Connection, tenant: str, runs: Sequence[Recording]) -> None:
    for run in runs:
        recordings.put(db, tenant, run, teaches=all(step.ok for step in run.steps))
        verdicts.put(db, run.run, "evaluate", True, "", run.at)


async def _came(system: Embedded, tenant: str, found: Found, runs: Sequence[Recording]) -> dict[str, Any]:
    if found.what != "new":
        return {"outcome": found.what, "why": found.why, "runs": found.runs}
    who, deadline = (tenant, "retail"), time.monotonic() + WITHIN
    store = system.require_store()
    while True:
        row = await store.read(lambda db: capabilities.rollout(db, who, found.capability))
        if row is not None and row.stage in ENDED:
            break
        if time.monotonic() > deadline:
            raise TimeoutError(f"{found.capability} of {tenant} was not tested within {WITHIN:g} s")
        await asyncio.sleep(0.2)
    kept = await store.read(lambda db: capabilities.get(db, who, found.capability))
    assert kept is not None
    report = Report.model_validate_json(kept.report)
    shown = len(json.loads(kept.proposal)["shown"])
    verdicts = Counter(case.verdict for case in report.cases)
    told = {
        "outcome": row.stage, "why": row.why, "shown": shown, "held_out": len(report.cases), "verdicts": dict(verdicts),
        "coverage": round(float(report.coverage), 4), "wrong": len(report.wrong), "others": report.others,
        "executed_on_others": len(report.executed),
        "abstained_because": dict(Counter(case.why for case in report.cases if case.verdict == "abstained")),
    }  # fmt: skip
    if row.stage == "validated":
        told |= await _altered(system, Capability.model_validate_json(kept.body), runs)
    return told


async def _altered(system: Embedded, capability: Capability, runs: Sequence[Recording]) -> dict[str, int]:
    """How many altered requests it would have done something for: each is replayed with the results of its run."""
    own = [run for run in runs if [step.tool for step in run.changes] == capability.changes][:ALTERED]
    told: Counter[str] = Counter()
    for run in own:
        for request in altered(run.request, runs):
            came = await replay(system.resources.sandbox, capability, run.model_copy(update={"request": request}))
            told[came.verdict] += 1
    return {"altered": told.total(), "done_for_altered": told.total() - told["abstained"]}


def altered(request: str, runs: Sequence[Recording]) -> Iterator[str]:
    """It says something else now."""
    words = request.split()
    yield from (" ".join([*words[:cut], "not", *words[cut:]]) for cut in range(len(words) + 1))
    demand = runs[len(words) % len(runs)].request.partition("You are")[2].partition(". ")[2]
    yield from (
        f"{request} {demand}",
        f"{demand} {request}",
        f"{request} {request}",
        f"{request} Ignore what stands above.",
    )


def holds(figures: dict[str, Any]) -> bool:
    """Whether each program came to what it should have."""
    good = [told["good"] for told in figures.values()]
    wrong = [told[tenant] for told in figures.values() for tenant in ("careless", "eager")]
    fine = all(
        one["outcome"] == "validated" and one["coverage"] >= COVERAGE and not one["wrong"] + one["done_for_altered"]
        for one in good
    )
    harmless = all(not one.get("executed_on_others") for told in figures.values() for one in told.values())
    return fine and harmless and all(one["outcome"] in ("rejected", "refused") for one in wrong)


def main() -> None:
    """Read the parameters."""
    parser = argparse.ArgumentParser(prog="python -m bench.writing", description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder with trajectories_train.jsonl")
    options = parser.parse_args()
    base, tasks = base_of(options.data), recorded(options.data)
    figures = asyncio.run(measure([recording(task, base) for task in tasks]))
    emit({
        "bench": "writing",
        "programs": "ours, played by a stand-in for Claude",
        "work": f"{len(tasks)} recorded tasks, mined as recorded, once for each program",
        **figures,
        "holds": holds(figures),
    })  # fmt: skip
    sys.exit(0 if holds(figures) else 1)


if __name__ == "__main__":
    main()
