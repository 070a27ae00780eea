"""A ledger of trust under load: outcomes at 50 a second while the workers that read them are killed again and again.

    python -m bench.trust_load [--outcomes 6000] [--rate 50] [--kills 20] [--seed 5]

Finished runs of one agent are recorded and judged in the store as the activities `record` and `evaluate` do it, and nudged as in
production, beside worker processes that run the ledger and nothing else. Is a word lost, does the level end where the same words
folded by `tenure.trust.ledger` end, how much history does it take, and what does a run pay for it? A step up comes a day after
the last change at the earliest: here the level only falls. Prints one JSON line; exit code 1 when a goal is missed.
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
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from temporalio.api.enums.v1 import EventType

from bench.processes import Stage, WorkerProcess, run_to_end, say, staged, until
from tenure import Agent
from tenure.activities.resources import now
from tenure.run import Outcome, Record, RunRequest, Snapshot, Status, StopReason
from tenure.runtime import judging
from tenure.runtime.store import Connection, ledgers, runs, transcript, verdicts
from tenure.runtime.store.ledgers import Kept
from tenure.testing.scripted_claude import text
from tenure.transcript import first_row, name_of
from tenure.trust import ledger as trust
from tenure.trust.evidence import Judged

T = TypeVar("T")
AGENTS, TENANT = "bench.trust_load:desk", "default"
WHO = TENANT, "desk"
EVENTS_GOAL = 0.05  # of history for each run
LONGEST = 200.0  # seconds after which no more runs are recorded
CATCH_UP = 90.0  # seconds the last worker has to read what is left
RULES = [
    {"metric": "success_rate", "threshold": 0.95, "action": "increment", "amount": 0.1},
    {"metric": "error_rate", "threshold": 0.10, "action": "decrement", "amount": 0.1},
]


def is_good(run: object) -> bool:
    """The runs of this benchmark are judged by its plan: no worker runs any."""
    return True


desk = Agent(name="desk", trust={"initial": 1.0, "permissions": {0.1: ["*"]}, "rules": RULES}, evaluate=is_good)


@dataclass(frozen=True)
class Options:
    """How much is done, and how fast: runs that finish in a second."""

    outcomes: int = 6000
    rate: float = 50.0
    kills: int = 20
    seed: int = 5


@dataclass(frozen=True)
class Plan:
    """What becomes of the `place`-th run: how `evaluate` judges it, and whether a client complains of it."""

    place: int
    good: bool
    complaint: bool

    @property
    def run(self) -> str:
        """Its workflow."""
        return f"{TENANT}:run:desk:{self.place:08}"

    @property
    def request(self) -> RunRequest:
        """What it was asked: three in a row the same."""
        return RunRequest(agent="desk", message=f"task {self.place // 3}")

    def words(self) -> Iterator[Judged]:
        """What is said of it, made here and not by the code that is measured."""
        task, name = name_of([first_row(self.request), None]), self.run.rpartition(":")[2]
        bad = {"success_rate": False, "error_rate": True}
        counts = {"success_rate": self.good, "error_rate": not self.good}
        yield Judged(run=name, good=self.good, place=self.place, counts=counts, task=task)
        if self.complaint:
            yield Judged(run=name, good=False, place=self.place, counts=bad, task=task, by="unasked")


def plans(options: Options) -> list[Plan]:
    """Mostly good runs; in each eighth a stretch about bad enough for a step down, and a complaint now and then."""
    rng, eighth = random.Random(options.seed), max(options.outcomes // 8, 1)
    found: list[Plan] = []
    for place in range(1, options.outcomes + 1):
        bad = 0.5 if place % eighth in range(6) and place > eighth else 0.01
        found.append(Plan(place, rng.random() >= bad, place > 100 and rng.random() < 0.005))
    return found


def folded(planned: list[Plan]) -> trust.Ledger:
    """The ledger after the same words, by the policy alone."""
    policy = desk.policy
    assert policy is not None
    words = [word for plan in planned for word in plan.words()]
    return trust.judge(trust.begin(policy, 0), policy, words, 1, finished=len(planned))


@dataclass
class Feed:
    """Records runs as the activities do, and remembers what that took (seconds)."""

    stage: Stage
    took: dict[str, list[float]] = field(default_factory=lambda: {"observe": [], "record": [], "say": []})
    nudges: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])
    nudged: int = 0
    fed: int = 0
    seconds: float = 0.0

    async def all(self, planned: list[Plan], rate: float) -> None:
        """One run after the other, at that rate, as far as the machine keeps up."""
        begun = time.perf_counter()
        for plan in planned:
            await asyncio.sleep(begun + plan.place / rate - time.perf_counter())
            if time.perf_counter() - begun > LONGEST:
                break
            await self._run(plan)
            self.fed = plan.place
        self.seconds = time.perf_counter() - begun
        await asyncio.gather(*self.nudges)

    async def _run(self, plan: Plan) -> None:
        await self._timed("observe", functools.partial(observe, plan=plan))
        for name, write in (
            ("record", functools.partial(record, plan=plan)),
            ("say", functools.partial(evaluate, plan=plan)),
            *([("say", functools.partial(complain, plan=plan))] if plan.complaint else []),
        ):
            if await self._timed(name, write):
                self._nudge()

    async def _timed(self, name: str, write: Callable[[Connection], T]) -> T:
        begun = time.perf_counter()
        done = await self.stage.store.transact(write)
        self.took[name].append(time.perf_counter() - begun)
        return done

    def _nudge(self) -> None:
        system = self.stage.system
        work = judging.nudge(self.stage.store, system.temporal, system.settings.task_queue, WHO)
        task = asyncio.create_task(work)
        self.nudged += 1
        self.nudges.add(task)
        task.add_done_callback(self.nudges.discard)


def observe(db: Connection, plan: Plan) -> None:
    """As the activity `observe`."""
    snapshot = Snapshot(agent="desk", fingerprint=desk.fingerprint, model=desk.model)
    runs.observe(db, plan.run, plan.request, snapshot, now())
    transcript.put(db, plan.run, 0, first_row(plan.request))


def record(db: Connection, plan: Plan) -> str:
    """As the activity `record`; the task queue on which the ledger is to be told, if it is."""
    outcome = Outcome(
        status=Status.COMPLETED, stop_reason=StopReason.ANSWERED, finished_at=now(), fingerprint=desk.fingerprint
    )
    runs.finish(db, plan.run, Record(outcome=outcome, agent="desk", tenant=TENANT))
    judging.finished(db, _row(db, plan), now())
    return judging.due(db, WHO, now())


def evaluate(db: Connection, plan: Plan) -> str:
    """As the activity `evaluate`."""
    judging.say(db, _row(db, plan), verdicts.EVALUATE, plan.good, "", now())
    return judging.due(db, WHO, now())


def complain(db: Connection, plan: Plan) -> str:
    """As `feedback.give`."""
    judging.say(db, _row(db, plan), verdicts.CLIENT, False, "not what I wanted", now())
    return judging.due(db, WHO, now())


def _row(db: Connection, plan: Plan) -> runs.RunRow:
    row = runs.get(db, plan.run)
    assert row is not None
    return row


async def kill_workers(stage: Stage, options: Options, worker: WorkerProcess, feeding: asyncio.Task[None]) -> int:
    """Kill the worker and its successors at random points, spread over the load; the last one lives. Returns how many died."""
    rng, begun = random.Random(options.seed), time.perf_counter()
    period = 0.8 * options.outcomes / options.rate / max(options.kills, 1)
    for number in range(options.kills):
        due = begun + period * (number + rng.random())
        if time.perf_counter() < due + period:  # one that is too far behind its time is killed while it starts
            await worker.ready()
        await asyncio.sleep(max(due - time.perf_counter(), rng.uniform(0, 1)))
        if feeding.done():
            return number
        await worker.kill()
        say(f"kill {number + 1}")
        worker = await stage.start_worker(AGENTS)
    return options.kills


async def history(stage: Stage) -> dict[str, Any]:
    """Events and bytes of all executions of the ledger."""
    ledger_id, client = judging.ledger_id(*WHO), stage.system.temporal
    kinds: Counter[int] = Counter()
    size = 0
    async for execution in client.list_workflows(f"WorkflowId = '{ledger_id}'"):
        handle = client.get_workflow_handle(ledger_id, run_id=execution.run_id)
        async for event in handle.fetch_history_events():
            kinds[event.event_type] += 1
            size += event.ByteSize()
    named = {EventType.Name(kind).removeprefix("EVENT_TYPE_").lower(): count for kind, count in kinds.most_common(6)}  # type: ignore[arg-type]  # an int of that enum
    return {"events": kinds.total(), "history_bytes": size, "most_events": named}


async def caught_up(stage: Stage) -> tuple[int, Kept | None]:
    """Wait until the ledger has read everything, or its time is up: the last number, and what was kept."""

    def look(db: Connection) -> tuple[int, Kept | None]:
        last = db.execute("SELECT coalesce(max(seq), 0) FROM outcomes").fetchone()[0]
        return last, ledgers.get(db, *WHO)

    async def is_read() -> bool:
        last, kept = await stage.store.read(look)
        return kept is not None and kept.read_to == last

    try:
        await until(is_read, within=CATCH_UP, what="the ledger at the end of what was said")
    except TimeoutError as error:
        say(str(error))
    return await stage.store.read(look)


async def measure(options: Options) -> dict[str, Any]:
    """Everything for one line of figures."""
    begun, planned = time.perf_counter(), plans(options)
    async with staged(lambda body: text("done")) as stage:
        feed = Feed(stage)
        first = await stage.start_worker(AGENTS)
        await first.ready()  # an agent that nobody has announced has no ledger
        feeding = asyncio.create_task(feed.all(planned, options.rate))
        kills = await kill_workers(stage, options, first, feeding)
        await feeding
        last, kept = await caught_up(stage)
        written = await history(stage)
        return {
            "bench": "trust_load", "outcomes": feed.fed, "rate": round(feed.fed / feed.seconds, 1), "seed": options.seed,
            "kills": kills, **_compare(planned[: feed.fed], last, kept), **written,
            "events_per_outcome": round(written["events"] / max(feed.fed, 1), 4), "events_goal": EVENTS_GOAL,
            "nudges": feed.nudged, **{f"{name}_ms": _spread(took) for name, took in feed.took.items()},
            "errors_logged": stage.faults_logged(), "load_average": round(os.getloadavg()[0], 1),
            "seconds": round(time.perf_counter() - begun, 1),
        }  # fmt: skip


def _compare(planned: list[Plan], last: int, kept: Kept | None) -> dict[str, Any]:
    """What was kept beside what the same words come to."""
    wanted = folded(planned)
    words = sum(1 for plan in planned for _ in plan.words())
    return {
        "words": words,
        "last": last,
        "read_to": kept.read_to if kept else 0,
        "level": kept.level if kept else None,
        "level_folded": wanted.level,
        "falls": sum(change.kind == "fall" for change in wanted.changes),
        "evidence_equal": kept is not None and kept.ledger.evidence == wanted.evidence,
    }


def _spread(seconds: list[float]) -> dict[str, float]:
    """Milliseconds: the median, the 95th percentile and the worst."""
    cuts = statistics.quantiles(seconds, n=100, method="inclusive") if len(seconds) > 1 else [0.0] * 99
    return {
        name: round(1000 * value, 2)
        for name, value in (("p50", cuts[49]), ("p95", cuts[94]), ("max", max(seconds, default=0)))
    }


def missed(figures: dict[str, Any]) -> list[str]:
    """The goals that these figures miss."""
    goals = {
        "every word is read": figures["read_to"] == figures["last"],
        "the level is that of the same words": figures["level"] == figures["level_folded"],
        "so is the evidence": figures["evidence_equal"],
        "history stays short": figures["events_per_outcome"] <= figures["events_goal"],
    }
    return [goal for goal, is_met in goals.items() if not is_met]


def main() -> int:
    """Measure by the command line; the exit code says whether every goal was met."""
    parser = argparse.ArgumentParser(prog="python -m bench.trust_load", description=__doc__)
    for name in ("outcomes", "kills", "seed"):
        parser.add_argument(f"--{name}", type=int, default=getattr(Options, name))
    parser.add_argument("--rate", type=float, default=Options.rate, help="runs that finish in a second")
    figures = run_to_end(measure(Options(**vars(parser.parse_args()))))
    print(json.dumps({**figures, "missed": missed(figures)}))
    return 1 if missed(figures) else 0


if __name__ == "__main__":
    sys.exit(main())
