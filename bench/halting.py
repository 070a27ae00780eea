"""Halting: after `tenure halt` has returned, does any call begin, and how long until every run stands still, and goes on again?

    python -m bench.halting [--runs 40] [--rounds 6]

Runs make calls without a pause while an operator halts and resumes their agent, again and again, at a random moment. The same
for an approver's key that is withdrawn while every run holds calls it approved and has not made yet. All in one process, so that
one clock says in which order the store was told that a call begins and that the change holds: both are noted inside their
transactions. A call that was told first may run its own first line a moment after the change; `first_line_after_ms` is the longest
such moment. Prints one JSON line; exit code 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import json
import os
import random
import statistics
import sys
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from bench.processes import run_to_end, say
from tenure import Agent, ToolContext, tool
from tenure.activities.resources import now
from tenure.approvals.approvers import Approver, encode_key
from tenure.approvals.request import Request
from tenure.runtime import approving, keys
from tenure.runtime.store import Connection, effects, restrictions
from tenure.testing import Embedded, embedded
from tenure.testing.scripted_claude import tool_use
from tenure.trust.restrictions import Restriction

CALL = 0.02  # seconds a call takes
PER_TURN = (
    40  # calls that Claude asks for at once: most are still to be made when the key that approved them is withdrawn
)
LOOK = 0.004  # seconds between two looks at what the store says
PATIENCE = 5.0  # seconds after which a run that was not woken is woken by the benchmark itself
SETTLE = 1.0  # seconds that pass between halt and resume in every second round; in the others, none
LONGEST = 70.0  # seconds after which no new round begins
CALLS: dict[str, list[float]] = defaultdict(list)  # of each run, when its calls ran their first lines
RECORDED: dict[str, list[float]] = defaultdict(list)  # and when the store was told that they begin
CHANGED: list[float] = []  # when the store was told of each change
_begin, _restrict = effects.begin, restrictions.restrict


def _noting_begin(db: Connection, start: effects.Start) -> effects.Begun:
    begun = _begin(db, start)
    if isinstance(begun, effects.Go):
        RECORDED[start.workflow].append(time.perf_counter())
    return begun


def _noting_restrict(db: Connection, who: tuple[str, str], told: Restriction, by: str, at: int) -> int:
    fence = _restrict(db, who, told, by, at)
    CHANGED.append(time.perf_counter())
    return fence


@tool(effect="write", idempotent=True)
async def step(ctx: ToolContext, number: int) -> str:
    """Make a step."""
    CALLS[ctx.run_id].append(time.perf_counter())
    await asyncio.sleep(CALL)
    return f"step {number}"


TRUST = {"initial": 0.3, "permissions": {0.9: ["step"]}}
MOVER = Agent(name="mover", tools=[step], max_iterations=10_000)
ASKER = Agent(name="asker", tools=[step], max_iterations=10_000, trust=TRUST)


def claude(body: dict[str, Any]) -> Any:
    """Always more steps, none of them twice."""
    first = PER_TURN * sum(message["role"] == "assistant" for message in body["messages"])
    return [tool_use("step", number=first + n) for n in range(PER_TURN)]


@dataclass(frozen=True)
class Runs:
    """The runs under way, and what is seen of them."""

    system: Embedded
    ids: frozenset[str]

    async def parked(self) -> set[str]:
        """Those that wait for somebody."""
        rows = await self.system.require_store().read(
            lambda db: db.execute("SELECT workflow FROM runs WHERE status = 'waiting'").fetchall()
        )
        return {row[0] for row in rows} & self.ids

    async def asking(self, but: Collection[str] = ()) -> dict[str, Request]:
        """The open request of each run that has one whose id is not among `but`."""
        return {one.workflow: one for one in await self.system.approvals.pending() if one.id not in but}

    def begun(self, since: float) -> dict[str, int]:
        """How many calls each of them has begun after `since`, where any."""
        counts = {run: len(RECORDED[run]) - bisect_right(RECORDED[run], since) for run in self.ids}
        return {run: count for run, count in counts.items() if count}

    def last_line(self, since: float) -> float:
        """How long after `since` the last of them ran the first line of a call, in seconds."""
        return max((CALLS[run][-1] - since for run in self.ids if CALLS[run]), default=0.0)

    async def moving(self, since: float, calls: int = 1) -> None:
        """Wait until each of them has begun so many calls since then. Raises TimeoutError."""
        async with asyncio.timeout(30):
            while sum(count >= calls for count in self.begun(since).values()) < len(self.ids):
                await asyncio.sleep(LOOK)

    async def first_seen(self, look: Callable[[], Awaitable[Collection[str]]]) -> dict[str, float]:
        """When each was first among those that `look` sees, on this process's clock; after PATIENCE it is not waited for."""
        seen: dict[str, float] = {}
        deadline = time.perf_counter() + PATIENCE
        while self.ids - seen.keys() and time.perf_counter() < deadline:
            found, at = await look(), time.perf_counter()
            seen |= {run: at for run in self.ids & set(found) if run not in seen}
            await asyncio.sleep(LOOK)
        return seen


@dataclass
class Found:
    """What the rounds of one change showed: how long it took to be seen in each run (seconds), and in how many it was not."""

    rounds: int = 0
    late: int = 0  # calls that began after it and should not have
    trailing: float = 0.0  # seconds after it in which a call that had begun before ran its first line
    latencies: list[float] = field(default_factory=list[float])
    missing: list[int] = field(default_factory=list[int])  # of each round

    def add(self, wanted: Collection[str], seen: dict[str, float], changed: float) -> None:
        """One more round, in which it was to be seen in the runs `wanted`."""
        self.rounds += 1
        self.missing.append(len(wanted) - len(seen.keys() & wanted))
        self.latencies += [seen[run] - changed for run in seen.keys() & wanted]

    def told(self) -> dict[str, int]:
        """Milliseconds: the median, the 99th percentile and the worst."""
        ordered = sorted(1000 * seconds for seconds in self.latencies) or [0.0]
        cuts = statistics.quantiles(ordered, n=100, method="inclusive") if len(ordered) > 1 else ordered * 99
        spread = {"p50": cuts[49], "p99": cuts[98], "max": ordered[-1]}
        return {"samples": len(ordered), **{name: round(value) for name, value in spread.items()}}


@asynccontextmanager
async def under_way(system: Embedded, agent: Agent, count: int) -> AsyncIterator[Runs]:
    """So many runs, each of a tenant of its own, because the people of one tenant are asked only so much in an hour."""
    CALLS.clear()
    RECORDED.clear()
    handles = [await agent.start("go", tenant=f"t{number}") for number in range(count)]
    try:
        yield Runs(system, frozenset(handle.id for handle in handles))
    finally:
        await asyncio.gather(*(handle.cancel() for handle in handles))
        await asyncio.gather(*(handle.result() for handle in handles))


# An operator halts and resumes


async def halts(system: Embedded, count: int, rounds: int, rng: random.Random, until: float) -> dict[str, Any]:
    """What halting showed, and what resuming did."""
    halted, resumed = Found(), Found()
    async with under_way(system, MOVER, count) as runs:
        since = 0.0
        while halted.rounds < rounds and time.perf_counter() < until:
            await runs.moving(since)
            await asyncio.sleep(rng.uniform(0.1, 0.5))
            await system.restrictions.restrict("*", MOVER.name, Restriction(kind="halt"), by="bench")
            changed = time.perf_counter()
            seen = await runs.first_seen(runs.parked)
            await asyncio.sleep(SETTLE * (halted.rounds % 2))
            halted.add(runs.ids, seen, changed)
            halted.late += sum(runs.begun(CHANGED[-1]).values())
            halted.trailing = max(halted.trailing, runs.last_line(changed))
            since = await resume(runs, resumed)
            say(
                f"halt {halted.rounds}: {halted.told()}, late {halted.late}; resume: {resumed.told()}, asleep {resumed.missing}"
            )
    calls = sum(map(len, CALLS.values()))
    asleep = {"not_woken_at_once": sum(resumed.missing[::2]), "not_woken_after_a_second": sum(resumed.missing[1::2])}
    return {
        "halt": {
            "calls": calls,
            "began_after": halted.late,
            "first_line_after_ms": round(1000 * halted.trailing, 1),
            "not_parked": sum(halted.missing),
            "parked_ms": halted.told(),
        },
        "resume": {**asleep, "goes_on_ms": resumed.told()},
    }


async def resume(runs: Runs, resumed: Found) -> float:
    """Lift the halt and see who goes on. Who is not woken by that is woken by a signal of ours: returns since when all are."""

    async def moving() -> Collection[str]:
        return runs.begun(lifting)

    lifting = time.perf_counter()
    await runs.system.restrictions.lift("*", MOVER.name, by="bench")
    seen = await runs.first_seen(moving)
    resumed.add(runs.ids, seen, lifting)
    for run in runs.ids - seen.keys():
        await runs.system.temporal.get_workflow_handle(run).signal("resume")
    return time.perf_counter()


# The key of an approver is withdrawn


async def revocations(system: Embedded, count: int, rounds: int, rng: random.Random, until: float) -> dict[str, Any]:
    """What withdrawing a key showed, while runs hold calls that it approved and that were not made yet."""
    revoked, asked = Found(), set[str]()
    async with under_way(system, ASKER, count) as runs:
        while revoked.rounds < rounds and time.perf_counter() < until:
            name = f"approver-{revoked.rounds}"
            asked |= await approve_all(runs, name, asked)
            await asyncio.sleep(rng.uniform(0.0, 0.3))
            holding = runs.ids - (await runs.asking(asked)).keys()
            await system.require_store().transact(functools.partial(revoke, system=system, name=name))
            changed = time.perf_counter()
            seen = await runs.first_seen(functools.partial(runs.asking, asked))
            revoked.add(holding, seen, changed)
            revoked.late += sum(runs.begun(CHANGED[-1]).values())
            revoked.trailing = max(revoked.trailing, runs.last_line(changed))
            say(
                f"revocation {revoked.rounds}: {revoked.told()}, late {revoked.late}, {len(holding)} runs held approvals"
            )
    made = {
        "calls": sum(map(len, CALLS.values())),
        "began_after": revoked.late,
        "first_line_after_ms": round(1000 * revoked.trailing, 1),
    }
    return {"revoke": {**made, "not_asked_again": sum(revoked.missing), "asks_again_ms": revoked.told()}}


async def approve_all(runs: Runs, name: str, before: Collection[str]) -> set[str]:
    """A new approver approves what every run asks, and every run begins with it; the requests' ids."""
    system, folder = runs.system, runs.system.settings.home / "keys"
    key, root = keys.make(folder, name), keys.load(folder, "root")
    person = Approver(principal=name, key=encode_key(key.public_key()))
    await system.require_store().transact(lambda db: approving.enter(db, root, person, now(), "bench"))
    async with asyncio.timeout(30):
        while (asking := await runs.asking(before)).keys() != runs.ids:
            await asyncio.sleep(LOOK)
    since = time.perf_counter()
    for request in asking.values():
        token = system.approvals.sign(request, "approve", name, key)
        await system.temporal.get_workflow_handle(request.workflow).signal("answer", token)
    await runs.moving(since, calls=2)
    return {request.id for request in asking.values()}


def revoke(db: Connection, system: Embedded, name: str) -> None:
    """As `tenure approvers revoke` does it."""
    approving.revoke(db, system.resources.root, name, "a benchmark", "bench", now())


async def measure(count: int, rounds: int, seed: int) -> dict[str, Any]:
    """The figures of so many rounds of each change under so many runs."""
    rng, begun = random.Random(seed), time.perf_counter()
    effects.begin, restrictions.restrict = _noting_begin, _noting_restrict
    async with embedded(MOVER, ASKER, claude=claude) as system:
        figures = await halts(system, count, rounds, rng, begun + LONGEST / 2)
        figures |= await revocations(system, count, rounds, rng, begun + LONGEST)
    return {
        "bench": "halting", "runs": count, "rounds": rounds, "seed": seed, **figures, "missed": missed(figures), "goal": 0,
        "load_average": round(os.getloadavg()[0], 1), "seconds": round(time.perf_counter() - begun, 1),
    }  # fmt: skip


def missed(figures: dict[str, Any]) -> int:
    """Calls that should not have begun, and runs in which a change was not seen."""
    parts = (figures["halt"], figures["resume"], figures["revoke"])
    return sum(
        value for part in parts for name, value in part.items() if name == "began_after" or name.startswith("not_")
    )


def main() -> int:
    """Measure by the command line; the exit code says whether the goal was met."""
    parser = argparse.ArgumentParser(prog="python -m bench.halting", description=__doc__)
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    figures = run_to_end(measure(options.runs, options.rounds, options.seed))
    print(json.dumps(figures))
    return 0 if figures["missed"] == figures["goal"] else 1


if __name__ == "__main__":
    sys.exit(main())
