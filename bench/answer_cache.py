"""Answer cache: what one look-up takes, and what a run costs that is answered from the cache beside one that asks Claude once.

`python -m bench.answer_cache [--entries 10000 1000000] [--rounds 15] [--runs 10]`: look-ups of one partition in a store
of its own, warm, misses and both kinds of hits; then alternating batches of both kinds of runs, with the same message.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench import work
from bench.measure import contestant, emit, history_of, interleave, ratio, spread, stage
from tenure import Agent
from tenure.optimize import guards
from tenure.run import RunRequest
from tenure.runtime import caching
from tenure.runtime.caching import Asked
from tenure.runtime.store import schema
from tenure.turn import Turn

GOALS = {10_000: 2.0, 1_000_000: 20.0}  # milliseconds at the median
CPU, EVENTS = 0.65, 12
LOOKS = 300
AT = 1_800_000_000_000
RULE = {"similarity": 0.8, "ttl": 86_400}
AREAS = ("the Alps", "London", "Paris", "Berlin", "Tokyo", "Oslo", "Rome", "Lima", "Cairo", "Delhi")


def request(number: int) -> str:
    """The `number`-th request; no two are the same."""
    return f"How long does a delivery of {number} boxes to {AREAS[number % 10]} take?"


def again(number: int) -> str:
    """The same in other words."""
    return f"Could you please tell me how long deliveries of {number} boxes to {AREAS[number % 10]} will take?".replace(
        " will", ""
    )


def filled(db: sqlite3.Connection, agent: Agent, entries: int) -> None:
    """A store that knows so many answers of one partition."""
    asked = Asked("", RunRequest(agent="desk", message=""), agent.snapshot(), AT, 1.0)
    part = caching._part(agent, asked)  # pyright: ignore[reportPrivateUsage]  # a bench fills the store as runs would

    def rows() -> Iterator[tuple[Any, ...]]:
        for number in range(entries):
            guarded = guards.read(request(number))
            assert guarded is not None
            told = guarded.signature, guarded.kept
            yield (
                f"w{number}",
                "default",
                "desk",
                part,
                request(number),
                *told,
                "{}",
                0,
                "Three days.",
                1,
                AT,
                AT + 10**9,
            )

    db.execute("BEGIN")
    db.executemany(f"INSERT INTO cached_answers VALUES ({', '.join('?' * 13)})", rows())
    db.execute("COMMIT")


def looks(db: sqlite3.Connection, agent: Agent, entries: int, kind: str) -> dict[str, Any]:
    """What looking up takes, in milliseconds."""
    draw, took, found = random.Random(7), list[float](), 0
    ways: dict[str, Callable[[int], str]] = {
        "exact": request,
        "similar": again,
        "miss": lambda number: request(number + entries),
    }
    say = ways[kind]
    for at in range(LOOKS + 50):
        asked = Asked(
            f"{kind}{at}", RunRequest(agent="desk", message=say(draw.randrange(entries))), agent.snapshot(), AT + 1, 1.0
        )
        db.execute("BEGIN")
        begun = time.perf_counter()
        given = caching.look(db, agent, asked)
        took += [time.perf_counter() - begun] if at >= 50 else []
        db.execute("ROLLBACK")
        found += isinstance(given, Turn)
    return {**spread(took, digits=3), "found": found / (LOOKS + 50)}


def stored(entries: int) -> dict[str, Any]:
    """Fill a store and look."""
    rule = {"enable_cache": True, "cache_rules": [RULE], "audit": 0}
    agent = Agent(name="desk", optimization=rule)
    with tempfile.TemporaryDirectory(prefix="tenure-bench-") as folder:
        db = sqlite3.connect(Path(folder) / "store.db", isolation_level=None)
        db.row_factory = sqlite3.Row
        db.execute("PRAGMA journal_mode=WAL")
        schema.bring_up(db, Path("bench"), read_only=False)
        filled(db, agent, entries)
        told = {kind: looks(db, agent, entries, kind) for kind in ("exact", "similar", "miss")}
        db.close()
    worst = max(one["median"] for one in told.values())
    return {"entries": entries, "ms": told, "goal_ms": GOALS.get(entries), "holds": worst <= GOALS.get(entries, 20.0)}


async def measure(entries: list[int], rounds: int, runs: int) -> None:
    """Both, as one line."""
    lookups = [stored(many) for many in entries]
    async with (
        stage() as at,
        contestant("known", at, "-m", "bench.our_cached", "known") as known,
        contestant("asked", at, "-m", "bench.our_cached", "asked") as asked,
    ):
        await interleave([known, asked], rounds, runs, work.QUESTION, warm=20)
        cpu = ratio(known.cpu, asked.cpu)
        history = {one.name: await history_of(at.client, one.workflow) for one in (known, asked)}
        tiers = known.results, asked.results
        emit({
            "bench": "answer_cache",
            "lookups": lookups,
            "known": {**known.summary(), **history["known"]},
            "asked": {**asked.summary(), **history["asked"]},
            "cpu_ratio": cpu,
            "same_answer": known.answer == asked.answer,
            "tiers": tiers,
            "goal": {"cpu_ratio": CPU, "events": EVENTS},
            "holds": cpu["median"] <= CPU and history["known"]["events"] <= EVENTS and tiers == (["exact"], ["model"])
            and all(one["holds"] for one in lookups),
        })  # fmt: skip


def main() -> None:
    """Read the parameters."""
    parser = argparse.ArgumentParser(prog="python -m bench.answer_cache", description=__doc__)
    parser.add_argument("--entries", type=int, nargs="+", default=sorted(GOALS))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--runs", type=int, default=10, help="a batch")
    options = parser.parse_args()
    asyncio.run(measure(options.entries, options.rounds, options.runs))


if __name__ == "__main__":
    main()
