"""Frequent answers: which requests had the very same answer again and again, and which ask for none of those.

Rules of this file: pure. Answers that differ in a word are different: where Claude words each anew, there is nothing to learn.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Spoken:
    """A run that only spoke. `teaches`: somebody called it good, nobody bad, and nothing of it is anybody's in particular."""

    run: str
    request: str
    answer: str
    cost: int
    teaches: bool


@dataclass(frozen=True)
class Frequent:
    """`examples` are requests with the label of their answer, `none` those that ask for none of them; `newest` gave each label."""

    examples: list[tuple[str, str]]
    none: list[str]
    newest: dict[str, Spoken]


def frequent(spoken: Sequence[Spoken], others: Iterable[str], least: int, confidence: Fraction) -> Frequent:
    """The answers that at least `least` of the runs had, oldest run first; `others` are requests of runs that did more than speak.

    A request teaches its answer if the share `confidence` of the runs that were asked just that had it.
    """
    agreed = _agreed(spoken, confidence)
    teaching = [one for one in spoken if one.teaches and agreed.get(one.request) == label_of(one.answer)]
    counts = Counter(label_of(one.answer) for one in teaching)
    known = {label for label, many in counts.items() if many >= least}
    kept = [one for one in teaching if label_of(one.answer) in known]
    asked = {one.request for one in kept}
    return Frequent(
        examples=[(one.request, label_of(one.answer)) for one in kept],
        none=[request for request in (*(one.request for one in spoken), *others) if request not in asked],
        newest={label_of(one.answer): one for one in kept},
    )


def label_of(answer: str) -> str:
    """16 hex digits, equal for answers that differ in white space alone."""
    return hashlib.sha256(" ".join(answer.split()).encode()).hexdigest()[:16]


def _agreed(spoken: Sequence[Spoken], confidence: Fraction) -> dict[str, str]:
    """By request: the answer that enough of its runs had."""
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for one in spoken:
        found[one.request][label_of(one.answer)] += 1
    best = {request: counts.most_common(1)[0] for request, counts in found.items()}
    return {request: label for request, (label, many) in best.items() if many >= confidence * found[request].total()}
