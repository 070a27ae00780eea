"""What an agent that fails so often earns: levels of trust over thousands of runs, by the rules and functions of `tenure.trust`.

The worst case for safety: people approve every step at once. Side by side: `confident` evidence and `point`, the rate as it is.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import statistics
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from bench.measure import emit
from tenure.trust import Rule, Trust
from tenure.trust.evidence import Judged, Mode
from tenure.trust.ledger import HOUR, Ledger, Policy, begin, judge, propose, settle
from tenure.trust.metrics import Outcome, counted

TRUST = Trust(
    initial=0.3,
    rules=(Rule("success_rate", 0.95, "increment", 0.1), Rule("error_rate", 0.10, "decrement", 0.2)),
)
MODES: tuple[Mode, ...] = ("confident", "point")
HIGH = 9  # tenths
DAY = 24 * HOUR
PEOPLE = ("olivia", "omar")
MANY, COMPLAINTS = 10_000, 3
SAID = {good: counted(Outcome(good=good), ("success_rate", "error_rate")) for good in (True, False)}


@dataclass(frozen=True)
class Plan:
    """How many agents make how many runs, how many a day, and after how many runs their ledgers look."""

    agents: int
    runs: int
    per_day: int
    every: int


@dataclass(frozen=True)
class Life:
    """What became of an agent: the run and the day at which it reached 0.9, its falls, steps up, highest and last level."""

    high_at: int | None
    high_day: float | None
    falls: int
    rises: int
    highest: int
    level: int


def policy(mode: Mode) -> Policy:
    """The rules of the vision."""
    return Policy(fingerprint="one", initial=TRUST.initial, rules=TRUST.steps, evidence=mode)


def word(place: int, good: bool, by: Any = "sample") -> Judged:
    """The verdict on a run, or a complaint about it."""
    return Judged(run=f"r{place}", good=good, place=place, counts=SAID[good], by=by)


def live(plan: Plan, mode: Mode, failing: float, seed: int) -> Life:
    """One agent: its runs are judged as they end, and each step that is proposed is approved at once."""
    chance, follows = random.Random(seed), policy(mode)
    ledger, high = begin(follows, 0), None
    for first in range(1, plan.runs + 1, plan.every):
        last = min(first + plan.every, plan.runs + 1) - 1
        at = last * DAY // plan.per_day
        told = [_word(place, chance.random() >= failing) for place in range(first, last + 1)]
        ledger = step(ledger, follows, told, at)
        if high is None and ledger.level >= HIGH:
            high = (last, at / DAY)
    return _life(ledger, high)


def step(ledger: Ledger, follows: Policy, told: Iterable[Judged], at: int) -> Ledger:
    """What the ledger's workflow does with a batch, and people who say yes to everything."""
    ledger = propose(judge(ledger, follows, told, at), follows, at)
    return ledger if ledger.proposal is None else settle(ledger, ledger.proposal, "approve", PEOPLE, "", at)


def complained(seed: int, *, sampled: bool, by: str = "unasked") -> Life:
    """An agent at 0.9 with 10,000 finished runs, and three complaints about any of them; `sampled`: one run in ten is judged."""
    chance, follows = random.Random(seed), policy("confident")
    ledger = begin(follows.model_copy(update={"initial": HIGH}), 0)
    about = chance.sample(range(1, MANY + 1), COMPLAINTS)
    for place in range(10, MANY + 1, 10) if sampled else ():
        ledger = judge(ledger, follows, [_word(place, True)], place, finished=place)
    ledger = judge(ledger, follows, [word(place, False, by) for place in about], MANY, finished=MANY)
    return _life(ledger, None)


def outage(_seed: int, *, verdicts: bool = False) -> Life:
    """A flawless agent at 0.9 whose provider is down for 60 of 300 runs: they have no verdict, or (`verdicts`) have failed."""
    follows = policy("confident")
    ledger = begin(follows.model_copy(update={"initial": HIGH}), 0)
    for place in range(1, 301):
        down = 120 < place <= 180
        told = [_word(place, not down)] if verdicts or not down else []
        ledger = judge(ledger, follows, told, place, finished=place)
    return _life(ledger, None)


def summary(lives: Sequence[Life]) -> dict[str, Any]:
    """Shares, medians and means over the agents."""
    reached = [life for life in lives if life.high_at is not None]
    return {
        "reached_0.9": round(len(reached) / len(lives), 4),
        "median_runs_to_0.9": _median([life.high_at for life in reached]),
        "median_days_to_0.9": _median([life.high_day for life in reached]),
        "falls": _mean(life.falls for life in lives),
        "steps_up": _mean(life.rises for life in lives),
        "highest_level": max(life.highest for life in lives) / 10,
        "level_at_the_end": _mean(life.level / 10 for life in lives),
    }


def simulate(options: argparse.Namespace) -> dict[str, Any]:
    """Everything that is reported."""
    plan = Plan(options.agents, options.runs, options.per_day, options.every)
    slow = Plan(options.agents, options.runs, options.rarely, 1)
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:

        def many(what: Any) -> list[Life]:
            return pool.map(what, range(options.agents), chunksize=20)

        rates = {f"{failing:.0%}": {mode: summary(many(partial(live, plan, mode, failing))) for mode in MODES}
                 for failing in _told(options.failing)}  # fmt: skip
        _say("agents whose cool-down never binds")
        rarely = summary(many(partial(live, slow, "confident", 0.01)))
        _say("complaints and outages")
        after = {
            "complaints_about_unjudged_runs": _fallen(many(partial(complained, sampled=False))),
            "complaints_where_one_run_in_ten_is_judged": _fallen(many(partial(complained, sampled=True))),
            "the_same_counted_as_verdicts": _fallen(many(partial(complained, sampled=False, by="sample"))),
            "outage": _fallen(many(outage)),
            "outage_counted_as_failures": _fallen(many(partial(outage, verdicts=True))),
        }
    told = {"failing": rates, f"failing_1%_at_{options.rarely}_runs_a_day": rarely, "demoted": after}
    return {**vars(options), **told, "holds": _holds(rates, rarely, after)}


def _holds(rates: dict[str, Any], rarely: dict[str, Any], after: dict[str, float]) -> bool:
    """Failing 10 % never gets there, failing 1 % does in under 300 runs and cool-downs; neither complaints nor outages demote."""
    ten, one = rates.get("10%"), rates.get("1%")
    return (
        (ten is None or ten["confident"]["reached_0.9"] == 0)
        and (one is None or one["confident"]["reached_0.9"] > 0.99)
        and rarely["median_runs_to_0.9"] < 300
        and not any(after[name] for name in after if "counted" not in name)
        and all(after[name] for name in after if "counted" in name)
    )


WORDS: dict[tuple[int, bool], Judged] = {}


def _word(place: int, good: bool) -> Judged:
    """The verdicts of all agents are equal values: each is made once."""
    key = (place, good)
    if key not in WORDS:
        WORDS[key] = word(place, good)
    return WORDS[key]


def _life(ledger: Ledger, high: tuple[int, float] | None) -> Life:
    def count(kind: str) -> int:
        return sum(change.kind == kind for change in ledger.changes)

    highest = max(change.after for change in ledger.changes)
    return Life(high and high[0], high and high[1], count("fall"), count("rise"), highest, ledger.level)


def _fallen(lives: Sequence[Life]) -> float:
    return round(sum(life.falls > 0 for life in lives) / len(lives), 4)


def _told(rates: Sequence[float]) -> Iterable[float]:
    for failing in rates:
        _say(f"agents that fail {failing:.0%}")
        yield failing


def _median(numbers: Sequence[Any]) -> float | None:
    return round(statistics.median(numbers), 1) if numbers else None


def _mean(numbers: Iterable[float]) -> float:
    return round(statistics.mean(numbers), 2)


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def main() -> None:
    """Read the parameters."""
    parser = argparse.ArgumentParser(prog="python -m bench.trust_simulation", description=__doc__)
    parser.add_argument("--agents", type=int, default=250, help="for each of the rates")
    parser.add_argument("--runs", type=int, default=2_000)
    parser.add_argument("--per-day", type=int, default=50, help="runs a day: a cool-down is as many runs")
    parser.add_argument("--every", type=int, default=5, help="runs after which the ledger looks")
    parser.add_argument(
        "--rarely", type=int, default=20, help="runs a day at which evidence takes longer than cool-downs"
    )
    parser.add_argument("--failing", type=float, nargs="+", default=[0.10, 0.05, 0.02, 0.01])
    parser.add_argument("--processes", type=int, default=min(os.cpu_count() or 1, 4))
    started = time.monotonic()
    report = simulate(parser.parse_args())
    emit({**report, "seconds": round(time.monotonic() - started)})
    sys.exit(0 if report["holds"] else 1)


if __name__ == "__main__":
    main()
