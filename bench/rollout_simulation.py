"""What becomes of capabilities that are wrong so often: thousands of rollouts, by the events and the fold of `tenure.learn`.

Beside it the rule that anybody would write first: the point rate against the criterion.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from bench.measure import emit
from tenure.learn import sprt
from tenure.learn.events import Answered, Asked, Compared, Decision, Event, Served, Validated
from tenure.learn.rollout import Policy, Rollout, advance, begin, serving

RUNS = 3_000  # of a life
BREAKS_AT = 1_000  # runs, where what was healthy breaks
HEALTHY, BROKEN = 0.002, 0.10
RATES = (HEALTHY, 0.01, 0.02, 0.05, BROKEN)
LONG = (0.01, 0.02)  # lives that neither end soon nor repeat each other: a quarter of the seeds
ROOM = 100_000  # states that are remembered
LEAST = {"roll_back": 10, "promote": 30}  # runs after which the naive rule looks
POLICY = Policy()
AT_ONCE = Policy(
    require_approval=False, strategy="shadow"
)  # promoted without a served run: the watch alone is on trial


@dataclass(slots=True)
class Node:
    """A rollout, whether it still serves, and those that follow from it."""

    state: Rollout
    serves: bool
    after: dict[bool, Node]


class Lives:
    """The lives of promoted capabilities as a graph: equal states are one node, so that what many lives share is folded once.

    Every edge is a call of `advance`.
    """

    def __init__(self) -> None:
        self.known: dict[bytes, Node] = {}
        self.first = self._node(promoted())

    def live(self, node: Node, rate: float, runs: int, chance: random.Random) -> Iterator[Node]:
        """The states after each of `runs` runs, or until it serves no more."""
        for _ in range(runs):
            failed = chance.random() < rate
            node = node.after.get(failed) or self._served(node, failed)
            yield node
            if not node.serves:
                return

    def _served(self, node: Node, failed: bool) -> Node:
        outcome: Literal["ok", "failed"] = "failed" if failed else "ok"
        number = node.state.last + 1
        event = Served(number=number, at=number, version=1, run=f"r{number}", outcome=outcome)
        made = self._node(advance(node.state, event, AT_ONCE)[0])
        if len(self.known) < ROOM:
            node.after[failed] = made
        return made

    def _node(self, state: Rollout) -> Node:
        made = Node(state, serving(state) != "no", {})
        if len(self.known) >= ROOM:
            return made
        return self.known.setdefault(hashlib.sha256(state.model_dump_json().encode()).digest(), made)


def promoted() -> Rollout:
    """A capability that serves everybody and has served nobody yet."""
    state = validated(AT_ONCE)[0]
    while state.stage == "shadow":
        state, _ = advance(state, compared(state, "clean"), AT_ONCE)
    return state


def validated(policy: Policy) -> tuple[Rollout, list[Decision]]:
    """A capability that has passed its gate."""
    told = Validated(number=1, at=1, version=1, report="report", coverage=policy.coverage, wrong_writes=0)
    return advance(begin("refund", "digest", 1, 0), told, policy)


def compared(state: Rollout, outcome: Any) -> Compared:
    """The next event: a comparison."""
    number = state.last + 1
    return Compared(number=number, at=number, version=1, run=f"r{number}", outcome=outcome)


def roll_out(rate: float, seed: int) -> tuple[str, int]:
    """One rollout from the gate to its end, with people who say yes at once: how it ended, after how many runs."""
    chance, runs = random.Random(seed), 0
    state, told = validated(POLICY)
    while True:
        asked = next((one for one in told if isinstance(one, Asked)), None)
        if asked is not None:
            event: Event = approved(state, asked)
        elif serving(state) in ("no", "all"):
            return state.stage, runs
        else:
            runs += 1
            event = _next(state, chance.random() < rate)
        state, told = advance(state, event, POLICY)


def approved(state: Rollout, asked: Asked) -> Answered:
    """People say yes to what they are asked."""
    known = {"number": state.last + 1, "at": state.at, "version": 1, "digest": asked.digest}
    return Answered(**known, what=asked.what, asked=asked.number, choice="approved", by=["olivia"])


def watched(rate: float, seeds: int) -> dict[str, Any]:
    """Promoted capabilities at this rate; of healthy ones also how soon it is seen that they break after 1,000 runs."""
    lives, ends, breaks = Lives(), list[int | None](), {BROKEN: list[int | None](), 1.0: list[int | None]()}
    for seed in range(seeds):
        last, middle, node = 0, None, lives.first
        for last, node in enumerate(lives.live(lives.first, rate, RUNS, random.Random(seed)), 1):
            if last == BREAKS_AT:
                middle = node
        ends.append(None if node.serves else last)
        for broken, delays in breaks.items() if rate == HEALTHY and middle is not None else ():
            runs = sum(1 for _ in lives.live(middle, broken, RUNS, random.Random(-seed - 1)))
            delays.append(runs if runs < RUNS else None)
    _say(f"{seeds} lives at {rate:.1%}: {len(lives.known)} states are remembered")
    found = {f"{rate:.1%}": stopped(ends)}
    return found | {f"{broken:.0%}_from_run_1000": stopped(delays) for broken, delays in breaks.items() if delays}


def stopped(ends: list[int | None]) -> dict[str, Any]:
    """Which share was stopped, and after how many runs; a life that was not stopped counts with all its runs in the mean."""
    told = [RUNS if one is None else one for one in ends]
    quick = sorted(told)
    return {
        "lives": len(ends),
        "stopped": round(sum(one is not None for one in ends) / len(ends), 4),
        "mean_runs": round(statistics.mean(told), 1),
        "median_runs": statistics.median(told),
        "p95_runs": quick[int(0.95 * (len(quick) - 1))],
    }


def naive(rate: float, seeds: int) -> dict[str, Any]:
    """The point rate: rolled back as soon as it is above the criterion, after 10 runs; promoted if it is not, after 30."""
    criterion, promotes = float(POLICY.error_rate), 0
    ends: list[int | None] = []
    for seed in range(seeds):
        chance, failed, end = random.Random(seed), 0, None
        for run in range(1, RUNS + 1):
            failed += chance.random() < rate
            if run == LEAST["promote"]:
                promotes += failed <= criterion * run
            if run >= LEAST["roll_back"] and failed > criterion * run:
                end = run
                break
        ends.append(end)
    return {**stopped(ends), "promoted": round(promotes / seeds, 4)}


def naive_break(seeds: int) -> dict[str, Any]:
    """The same rule, where it is spared until 1,000 runs have gone well: how long until it notices."""
    criterion = float(POLICY.error_rate)
    ends: list[int | None] = []
    for seed in range(seeds):
        chance = random.Random(seed)
        failed = sum(chance.random() < HEALTHY for _ in range(BREAKS_AT))
        end = None
        for run in range(1, RUNS + 1):
            failed += chance.random() < BROKEN
            if failed > criterion * (BREAKS_AT + run):
                end = run
                break
        ends.append(end)
    return stopped(ends)


def rollouts(rate: float, seeds: int) -> dict[str, Any]:
    """How rollouts at this rate end, and after how many comparisons and served runs."""
    ended = [roll_out(rate, seed) for seed in range(seeds)]
    shares = {stage: round(count / seeds, 4) for stage, count in Counter(stage for stage, _ in ended).items()}
    return {**shares, "mean_runs": round(statistics.mean(runs for _, runs in ended), 1)}


def simulate(seeds: int) -> dict[str, Any]:
    """Everything that is reported."""
    clean = roll_out(0.0, 0)[1]
    _say("rollouts")
    rolled = {f"{rate:.1%}": rollouts(rate, seeds) for rate in RATES}
    lives: dict[str, Any] = {}
    for rate in RATES:
        lives |= watched(rate, seeds // 4 if rate in LONG else seeds)
    _say("the naive rule")
    point: dict[str, Any] = {f"{rate:.1%}": naive(rate, seeds) for rate in RATES}
    point["10%_from_run_1000"] = naive_break(seeds)
    promises = {
        "clean_runs_promote": clean == sprt.clean_runs(POLICY.error_rate),
        "healthy_rolled_back_at_most_3%": lives["0.2%"]["stopped"] <= 0.03,
        "at_the_criterion_at_most_5%": lives["1.0%"]["stopped"] <= 0.05,
        "10%_stopped_within_40_on_average": lives["10.0%"]["stopped"] == 1 and lives["10.0%"]["mean_runs"] <= 40,
        "a_break_is_always_found": lives["10%_from_run_1000"]["stopped"] == 1,
        "5%_promoted_at_most_5%": rolled["5.0%"].get("promoted", 0) <= 0.06,  # 0.05 and three standard errors of 2,000
    }
    return {"seeds": seeds, "clean_runs": clean, "rollouts": rolled, "promoted": lives, "point_rate": point,
            "promises": promises, "holds": all(promises.values())}  # fmt: skip


def _next(state: Rollout, wrong: bool) -> Event:
    """The next run: compared in the shadow, served in the canary."""
    if state.stage == "shadow":
        return compared(state, "differs" if wrong else "clean")
    number = state.last + 1
    return Served(number=number, at=number, version=1, run=f"r{number}", outcome="failed" if wrong else "ok")


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def main() -> None:
    """Read the parameters."""
    parser = argparse.ArgumentParser(prog="python -m bench.rollout_simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2_000, help="for each rate; a quarter of them at 1 and 2 %%")
    gc.disable()  # there are no cycles, and a look at all states takes a second
    report = simulate(parser.parse_args().seeds)
    emit({**report, "cpu_seconds": round(time.process_time())})
    sys.exit(0 if report["holds"] else 1)


if __name__ == "__main__":
    main()
