"""Router: which requests are sent to what was learned of earlier ones, and when it is better to send them nowhere.

Rules of this file: pure. It sees no text and no model: what a model believes of a request comes in as a guess, what stands in the
request as traits, and chance as a seed. Whatever is not known abstains: a request that is sent nowhere costs a call of Claude, one
that is sent to the wrong answer costs more.

The threshold is that of selective classification with a guaranteed risk (Geifman and El-Yaniv, 2017), by the bound of
`tenure.bounds`: of all thresholds that are proven, one-sided at 95 %, to be wrong in no more than `target` of what they answer,
the one that answers most. It holds for requests of the kind that it was calibrated on. So requests that ask for none of what was
learned must be among those, as many as there are in truth: each of them that is answered is wrong.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from typing import TypeAlias

from tenure import bounds
from tenure.errors import ConfigError

TARGET = Fraction(2, 100)  # of what is answered may be wrong
LEAST_NONE = 30  # requests of a calibration that ask for none of what was learned
NEWEST = 200  # audits that are looked at by themselves: a drift would drown in what went before it
Traits: TypeAlias = frozenset[str]


@dataclass(frozen=True)
class Scored:
    """A request whose answer is known, as the model that never saw it would have answered it.

    `confidence` is from 0, it would abstain, to 1; `known` is False for a request that asks for none of what was learned.
    """

    confidence: float
    right: bool
    known: bool = True


@dataclass(frozen=True)
class Open:
    """What is answered: a guess of this confidence or more. In calibration, `wrong` of `answered` were, of `asked` requests."""

    threshold: float
    asked: int
    answered: int
    wrong: int

    @property
    def wrong_at_most(self) -> float:
        """The share of wrong answers is no larger (95 % sure)."""
        return float(bounds.upper(self.answered, self.wrong))


@dataclass(frozen=True)
class Closed:
    """Nothing is answered, and why."""

    why: str


Calibration: TypeAlias = Open | Closed


@dataclass(frozen=True)
class Guess:
    """What a model believes: `label` is what is asked for, None: none of what was learned. `confidence` from 0 to 1."""

    label: str | None
    confidence: float


@dataclass(frozen=True)
class Routed:
    """The request is sent there."""

    label: str
    confidence: float


@dataclass(frozen=True)
class Abstained:
    """The request is sent nowhere: Claude is asked."""

    why: str


def too_few(known: int, none: int, target: Fraction = TARGET) -> str:
    """Why so many requests, `none` of them for none of these, can prove nothing however they are answered; empty: they may.

    Raises ConfigError where there is no "none of these": what is measured without them is no promise.
    """
    if not 0 < target < 1:
        raise ConfigError(f"target={target}: must be a share of wrong answers, more than 0 and less than 1")
    if not none:
        rule = "give it requests that ask for none of what was learned, as many as there are in truth"
        raise ConfigError(f"calibration of {known} requests without 'none of these': {rule}")
    if none < LEAST_NONE:
        return f"{none} requests ask for none of these, {LEAST_NONE} are the least"
    if not bounds.is_at_most(known, 0, target):
        return f"{known} requests have a known answer: were all of them right, more than {float(target):.1%} might be wrong"
    return ""


def calibrate(scored: Sequence[Scored], target: Fraction = TARGET) -> Calibration:
    """The threshold that answers most while its share of wrong answers is proven to be at most `target`; or why there is none.

    Raises ConfigError where no request asks for "none of these".
    """
    none = sum(not one.known for one in scored)
    why = too_few(len(scored) - none, none, target)
    if why:
        return Closed(why)
    return widest(scored, target)


def widest(scored: Iterable[Scored], target: Fraction) -> Calibration:
    """The same of whatever was scored, also without "none of these": `calibrate` is what promises something."""
    ranked = sorted(scored, key=lambda one: -one.confidence)
    cuts: list[Open] = []
    answered = wrong = 0
    for confidence, alike in groupby(ranked, key=lambda one: one.confidence):
        if not confidence > 0:
            break
        more = list(alike)
        answered, wrong = answered + len(more), wrong + sum(not (one.right and one.known) for one in more)
        cuts.append(Open(confidence, len(ranked), answered, wrong))
    # More wrong ones than the target has in the mean prove nothing: so the bound is asked about few.
    likely = (cut for cut in reversed(cuts) if cut.wrong <= target * cut.answered)
    found = next((cut for cut in likely if bounds.is_at_most(cut.answered, cut.wrong, target)), None)
    return found or Closed(f"of {len(ranked)} requests no part is proven to be wrong in at most {float(target):.1%}")


def route(guess: Guess, asked: Traits, examples: Traits, calibration: Calibration) -> Routed | Abstained:
    """Where a request goes. `asked` are its own traits, `examples` those that any example of the guessed label has."""
    if isinstance(calibration, Closed):
        return Abstained(f"closed: {calibration.why}")
    if guess.label is None:
        return Abstained("it asks for none of what was learned")
    if strange := unlike(asked, examples):
        return Abstained(f"{strange}: no example of {guess.label!r} is like that")
    if not guess.confidence >= calibration.threshold:
        return Abstained(f"{guess.confidence:.3f} sure of {guess.label!r}, {calibration.threshold:.3f} is the least")
    return Routed(guess.label, guess.confidence)


def unlike(asked: Traits, examples: Traits) -> str:
    """What a request has that no example of the label has; empty: nothing.

    A learned answer says the same to everybody. Where no example ever had an amount, a date or an id, a request with one asks for
    more than was learned; and what was only ever asked is no answer to its contrary.
    """
    return ", ".join(sorted(asked - examples))


def drifted(outcomes: Sequence[bool], target: Fraction = TARGET) -> str:
    """Why audited answers (True: right), the oldest first, prove that more than `target` are wrong; empty: they do not."""
    for told in (outcomes, outcomes[-NEWEST:]):
        wrong = sum(not right for right in told)
        if bounds.is_more(len(told), wrong, target):
            return f"{wrong} of {len(told)} audited answers were wrong, more than {float(target):.1%} can explain"
    return ""


def audited(calibration: Calibration, outcomes: Sequence[bool], target: Fraction = TARGET) -> Calibration:
    """The calibration after audits: once its bound is broken it is closed, and only another calibration opens it."""
    if isinstance(calibration, Closed):
        return calibration
    why = drifted(outcomes, target)
    return Closed(why) if why else calibration


def fold(text: str, seed: int, folds: int) -> int:
    """In which of so many parts a request is, by itself: equal ones never stand on both sides of a calibration."""
    digest = hashlib.sha256(f"{seed}:{text}".encode()).digest()
    return int.from_bytes(digest[:8]) % folds
