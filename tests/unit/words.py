"""Words about runs, and the rules that the tests of evidence and ledger follow."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from hypothesis import strategies as st

from tenure.trust import Rule, Trust
from tenure.trust.config import Step
from tenure.trust.evidence import Evidence, Judged, add

By = Literal["sample", "census", "unasked"]
UP, DOWN = Rule("success_rate", 0.95, "increment", 0.1), Rule("error_rate", 0.10, "decrement", 0.2)


def steps(*rules: Rule) -> list[Step]:
    return Trust(initial=0.3, rules=rules or (UP, DOWN)).steps


def word(place: int, good: bool = True, by: By = "sample", *, task: str = "", **counts: bool) -> Judged:
    """A word about the run that finished as number `place`."""
    told = {"success_rate": good, "error_rate": not good, **counts}
    return Judged(run=f"r{place}", good=good, place=place, counts=told, task=task, by=by)


def good(*places: int, task: str = "") -> list[Judged]:
    return [word(place, task=task) for place in places]


def bad(*places: int, by: By = "sample") -> list[Judged]:
    return [word(place, good=False, by=by) for place in places]


def heard(words: Iterable[Judged], evidence: Evidence | None = None) -> Evidence:
    """What there is after these words, one after the other."""
    evidence = evidence or Evidence()
    for one in words:
        evidence = add(evidence, one)
    return evidence


BY: st.SearchStrategy[By] = st.sampled_from(["sample", "sample", "census", "unasked"])


def words(places: st.SearchStrategy[int]) -> st.SearchStrategy[Judged]:
    """Words about the runs at `places`, half of them good; census never says that."""
    return st.builds(_word, places, st.booleans(), BY)


def _word(place: int, fine: bool, by: By) -> Judged:
    return word(place, fine and by != "census", by)
