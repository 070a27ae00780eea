"""Evidence: what people and programs outside an agent say of its runs, and when that is enough for a step up or a step down.

Rules of this file: pure. It is a set: runs stand in the order in which they finished, not in that of the words about them, so that
the same words in another order are the same evidence. Each run counts once, by the worst word about it.

Who looks at a run without knowing how it went (`sample`) makes it a judged run. Who looks at every run and speaks of failures alone
(`census`), and who speaks when he likes (`unasked`), make faults: they count over all finished runs, because nobody says of the
others that they were good; a judged run that they speak of has failed. Falls look at judged runs and faults. A step up looks at
praise as well, and at no more than `SAME_TASK` good runs of one task: one easy request made a hundred times proves nothing.

The bound is that of `tenure.bounds`: the rate of success is at least p when that of failure is proven to be at most 1 - p.
"""

from __future__ import annotations

import functools
import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import islice, pairwise
from typing import Any, Literal, TypeAlias

from pydantic import Field, field_validator

from tenure.bounds import is_at_most, upper
from tenure.trust.config import Step
from tenure.wire import Wire

WINDOW = 100  # runs that count
SAME_TASK = 3
LEAST = 29  # judged runs before a step up, with `confident`
MARGIN = Fraction(5, 100)  # how far below the rule's threshold the bound may lie
FALL_LEAST = 20  # runs before a rate alone makes a step down
LAST, LAST_FAILED = 10, 3
REMEMBERED = 200  # runs that were not good
Mode: TypeAlias = Literal["confident", "point"]


class Judged(Wire):
    """A word about a finished run, from outside the agent.

    It was the `place`-th run of the agent to finish. `counts` says for each metric of the rules whether the run counts for it, with
    this word on it; `task` is equal for runs that were asked the same. Who spoke, `by`: see above.
    """

    run: str
    good: bool
    place: int
    counts: dict[str, bool]
    task: str = ""
    by: Literal["sample", "census", "unasked"] = "sample"


Runs: TypeAlias = dict[str, Judged]


class Evidence(Wire):
    """What counts since the level changed last: of judged runs, praised ones and faults the newest `WINDOW` each.

    `failed` names the newest runs that were not good, also before: hearing it again is nothing new. A run up to place `since` is no
    evidence any more; one up to `spent` has spoken for a proposal, and speaks for no other. `finished` is how many runs there were,
    as far as is known.
    """

    judged: Runs = Field(default_factory=dict[str, Judged])
    praised: Runs = Field(default_factory=dict[str, Judged])
    faults: Runs = Field(default_factory=dict[str, Judged])
    failed: list[str] = Field(default_factory=list[str])
    since: int = 0
    spent: int = 0
    finished: int = 0

    @field_validator("judged", "praised", "faults")
    @classmethod
    def _in_order(cls, runs: Runs) -> Runs:  # the keys of a JSON object have none
        return _ordered(runs)


def add(evidence: Evidence, word: Judged) -> Evidence:
    """The evidence with one more word about a run; the very same when the word says nothing new."""
    found = _found_good(evidence, word) if word.good else _found_bad(evidence, word)
    if not found:
        return evidence
    return evidence.model_copy(update={**found, "finished": max(evidence.finished, word.place)})


def of_so_many(evidence: Evidence, finished: int) -> Evidence:
    """The evidence that knows how many runs there were."""
    return evidence.model_copy(update={"finished": finished}) if finished > evidence.finished else evidence


def renewed(evidence: Evidence) -> Evidence:
    """The evidence after a change of the level: none, and what was known does not count again."""
    since = max(evidence.since, _last(evidence))
    return Evidence(failed=evidence.failed, since=since, finished=evidence.finished)


def used(evidence: Evidence) -> Evidence:
    """The evidence after the end of a proposal: what spoke for it speaks for no other; what speaks against the agent stays."""
    return evidence.model_copy(update={"spent": max(evidence.spent, _last(evidence))})


def digest(evidence: Evidence) -> str:
    """What a proposal is bound to (SHA-256, hex)."""
    return hashlib.sha256(evidence.model_dump_json().encode()).hexdigest()


def rise(evidence: Evidence, rules: Iterable[Step], mode: Mode) -> Step | None:
    """The rule by which a step up may be proposed, the largest step first."""
    # At best it is mostly not enough, which is soon found out; failures that others may push out of the window do not count here.
    most = len(evidence.judged) + len(evidence.praised)
    sure = islice(evidence.judged.values(), max(most + len(evidence.faults) - WINDOW, 0), None)
    failed = sum(not one.good for one in sure)
    steps = [rule for rule in _largest_first(rules, "increment") if is_enough(rule, min(most, WINDOW), failed, mode)]
    runs = speaking(evidence) if steps else []
    return next((rule for rule in steps if is_enough(rule, *tally(rule, runs), mode)), None)


def fall(evidence: Evidence, rules: Iterable[Step]) -> tuple[Step, str] | None:
    """The rule by which the level falls now, the largest step first, and why."""
    steps = _largest_first(rules, "decrement")
    judged = list(evidence.judged.values())
    if steps and _is_burst([at for at, one in enumerate(judged) if not one.good]):
        return steps[0], f"{LAST_FAILED} of {min(LAST, len(judged))} judged runs in a row failed"
    if steps and _is_burst([one.place for one in evidence.faults.values() if one.by == "census"]):
        return steps[
            0
        ], f"{LAST_FAILED} of {min(LAST, max(evidence.finished, LAST_FAILED))} finished runs in a row failed"
    near, among = worst(evidence)
    last = next(reversed(evidence.faults), "")
    told = ((rule, _passed(rule, judged) or _blamed(rule, near, among, last)) for rule in steps)
    return next(((rule, why) for rule, why in told if why), None)


def may_fall(evidence: Evidence, word: Judged, rules: Iterable[Step]) -> bool:
    """Whether the level may fall because of a word just added: one against the agent, or one that makes enough of them."""
    runs = evidence.judged
    if not (word.good and runs.get(word.run, word).good) or len(runs) == FALL_LEAST:
        return True
    # As many words speak of a metric that is new to the rules as soon as the run before those does not.
    before = next(islice(reversed(runs.values()), FALL_LEAST, None)).counts if len(runs) > FALL_LEAST else word.counts
    return any(rule.action == "decrement" and (rule.metric not in before or _is_against(rule, word)) for rule in rules)


def speaking(evidence: Evidence) -> list[Judged]:
    """The runs that a step up looks at, the newest last: all that failed, and the good ones that are not used up."""
    every = _ordered({**evidence.praised, **evidence.faults, **evidence.judged})
    seen: Counter[str] = Counter()
    found: list[Judged] = []
    for one in list(every.values())[-WINDOW:]:
        seen[one.task] += one.good and one.place > evidence.spent
        again = bool(one.task) and seen[one.task] > SAME_TASK
        if not one.good or (one.place > evidence.spent and not again):
            found.append(one)
    return found


def tally(rule: Step, judged: Iterable[Judged]) -> tuple[int, int]:
    """How many runs speak of a rule that raises, and how many against it. A failure does, whatever the metric."""
    told = [one for one in judged if rule.metric in one.counts or not one.good]
    return len(told), sum(not one.good or _is_against(rule, one) for one in told)


def is_enough(rule: Step, n: int, misses: int, mode: Mode) -> bool:
    """Whether `misses` in `n` runs fulfil a rule that raises."""
    tolerated = _tolerates(rule)
    if not n or Fraction(misses, n) > tolerated:
        return False
    return mode == "point" or (n >= LEAST and is_at_most(n, misses, tolerated + MARGIN))


def missing(rule: Step, evidence: Evidence, mode: Mode = "confident") -> int | None:
    """How many more runs, all of them fulfilling the rule, would earn the step; None when the window is too short for it."""
    n, misses = tally(rule, speaking(evidence))
    return next((more for more in range(WINDOW - n + 1) if is_enough(rule, n + more, misses, mode)), None)


def worst(evidence: Evidence) -> tuple[int, int]:
    """The most faults in any `WINDOW` finished runs in a row: how many, and of how many.

    Fewer than `FALL_LEAST` finished runs are taken for as many: the others may yet come, and all be well.
    """
    places = [one.place for one in evidence.faults.values()]
    near = max((sum(place - WINDOW < other <= place for other in places) for place in places), default=0)
    return near, min(max(evidence.finished, FALL_LEAST), WINDOW)


def bound(n: int, misses: int) -> float:
    """The one-sided 95 % lower bound on the rate, to three digits, for people to read."""
    return float(1 - upper(n, misses, 1000))


def _found_good(evidence: Evidence, word: Judged) -> dict[str, Any]:
    """What a good word changes (Any: fields of the evidence). Who looks for failures alone has none to say."""
    name = "judged" if word.by == "sample" else "praised"
    runs = evidence.judged if word.by == "sample" else evidence.praised
    if word.by == "census" or word.run in runs or _is_late(evidence, runs, word):
        return {}
    fault = evidence.faults.get(word.run) if word.by == "sample" else None  # found before the run was judged
    return {name: _newest(runs, _sampled(fault) if fault else word)}


def _found_bad(evidence: Evidence, word: Judged) -> dict[str, Any]:
    """What a bad word changes. One about a run before the window is a fault, whoever says it."""
    standing, fault, known = evidence.judged.get(word.run), evidence.faults.get(word.run), word.run in evidence.failed
    late = standing is None and _is_late(evidence, evidence.judged, word)
    fails = standing.good if standing else word.by == "sample" and not late
    blames = (word.by == "census" and fault.by != "census") if fault else (late or word.by != "sample")
    found: dict[str, Any] = {}
    if fails:
        found["judged"] = _newest(evidence.judged, _sampled(word))
    if blames and (standing or fault or not known):  # otherwise it has counted before the last change
        found["faults"] = _newest(evidence.faults, word)
    if not known:
        found["failed"] = [*evidence.failed, word.run][-REMEMBERED:]
    return found


def _sampled(fault: Judged) -> Judged:
    """A fault as it stands among the judged runs: there it does not matter who found it."""
    return fault.model_copy(update={"by": "sample"})


def _is_late(evidence: Evidence, runs: Runs, word: Judged) -> bool:
    """Whether the run finished before the last change, or before the window."""
    return word.place <= evidence.since or (len(runs) >= WINDOW and _key(word) < _key(next(iter(runs.values()))))


def _newest(runs: Runs, word: Judged) -> Runs:
    """The runs with one more, and without the oldest if they are too many."""
    last = next(reversed(runs.values()), word)
    more = {**runs, word.run: word}
    more = more if _key(last) <= _key(word) else _ordered(more)
    if len(more) > WINDOW:
        del more[next(iter(more))]
    return more


def _ordered(runs: Runs) -> Runs:
    inside = all(_key(one) <= _key(other) for one, other in pairwise(runs.values()))
    return runs if inside else {one.run: one for one in sorted(runs.values(), key=_key)}


def _key(word: Judged) -> tuple[int, str]:
    return word.place, word.run


def _last(evidence: Evidence) -> int:
    """The place of the newest run that somebody spoke of."""
    each = (evidence.judged, evidence.praised, evidence.faults)
    return max((next(reversed(runs.values())).place for runs in each if runs), default=0)


def _largest_first(rules: Iterable[Step], action: str) -> list[Step]:
    """A step of nothing is none."""
    return sorted((rule for rule in rules if rule.action == action and rule.amount), key=lambda rule: -rule.amount)


def _is_burst(failed: Sequence[int]) -> bool:
    """Whether 3 of any 10 in a row failed: a late word about an old run counts as if it had come in time."""
    return any(third - first < LAST for first, third in zip(failed, failed[LAST_FAILED - 1 :], strict=False))


def _passed(rule: Step, judged: Iterable[Judged]) -> str:
    """Why the rate makes the level fall; empty: it does not. A flawless record never does, whatever the threshold."""
    told = [one for one in judged if rule.metric in one.counts]
    against = sum(_is_against(rule, one) for one in told)
    if not against or len(told) < FALL_LEAST or Fraction(against, len(told)) < _tolerates(rule):
        return ""
    share = (against if rule.better == "lower" else len(told) - against) / len(told)
    return f"{rule.metric} is {share:.2f} over {len(told)} judged runs, the rule says {rule.threshold}"


def _blamed(rule: Step, near: int, among: int, last: str) -> str:
    """The same for faults, the newest of which is named."""
    if not near or Fraction(near, among) < _tolerates(rule):
        return ""
    share = f"among {among} that is {near / among:.2f}, the rule says {rule.threshold}"
    return f"{near} runs were found at fault, the last {last}: {share}"


def _is_against(rule: Step, word: Judged) -> bool:
    return rule.metric in word.counts and word.counts[rule.metric] == (rule.better == "lower")


def _tolerates(rule: Step) -> Fraction:
    return _tolerated(rule.threshold, rule.better)


@functools.lru_cache(maxsize=256)
def _tolerated(threshold: Decimal, better: str) -> Fraction:
    """The share of runs against it at which a rule turns."""
    return Fraction(threshold) if better == "lower" else 1 - Fraction(threshold)
