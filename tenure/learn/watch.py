"""The watch over a share that must stay low, for life: it sounds when too many runs were bad, whenever that begins.

Rules of this file: pure, in whole numbers; the same runs in the same order are the same watch, on every platform. There is no
product of many factors: a wealth is a logarithm in nano-nats to which each run adds one of two numbers, both rounded down, which
makes it smaller and never larger than it is.

It is an e-process: bets against "at most `tolerated` of the runs are bad", which nobody can expect to win while that is true. A
wealth of 20 is then reached with a probability of at most 1/20, however many runs are looked at (Ville 1939; Shafer and Vovk 2019,
Game-Theoretic Foundations for Probability and Finance). That is the promise: a capability within its criterion is rolled back by
mistake with at most 5 % in all its life, at the criterion itself as well.

A bet made at the first run is worth nothing after a thousand good ones, so that a part of the money is put on every later run, as
in the e-detectors of Shin, Ramdas and Rinaldo (2022, arXiv:2203.03532). Theirs bet the whole anew at each run, and promise only how
rarely they sound. Here all parts together are one: the promise is for life, and its price grows with the logarithm of the run at
which things go bad, 10 nats at the 1,000th, which at a rate of 0.1 against 0.01 are 71 runs. Of all parts only the richest is kept,
which is less than the sum and so as safe.
"""

from __future__ import annotations

import functools
from decimal import Decimal
from fractions import Fraction

from pydantic import Field

from tenure.learn.sprt import EXACT, NANO, nats, worse
from tenure.wire import Wire

# How many times the tolerated share a bet expects, and which part of the money it is: on a slow decline, a fast one, a break.
BETS = ((2, Fraction(1, 5)), (10, Fraction(3, 5)), (50, Fraction(1, 5)))
ALARM = nats(Fraction(20)) + 1  # rounded up


class Watch(Wire):
    """How many runs were watched, how many of them were bad, and for each bet the wealth of its richest part (nano-nats)."""

    runs: int = 0
    bad: int = 0
    wealth: list[int] = Field(default_factory=list[int])


def observed(watch: Watch, bad: bool, tolerated: Decimal) -> Watch:
    """The watch after one more run. `tolerated` is the share that may be bad, above 0 and below 1."""
    runs = watch.runs + 1
    begun = _begun(runs.bit_length() - 1)
    before = watch.wealth or begun
    steps = _steps(tolerated)
    # Not strict: a watch that began under a release with other bets keeps those that it has.
    wealth = [max(had, new) + step[bad] for had, new, step in zip(before, begun, steps, strict=False)]
    return Watch(runs=runs, bad=watch.bad + bad, wealth=wealth)


def sounds(watch: Watch) -> bool:
    """Whether so many bad runs are no chance any more."""
    return any(wealth >= ALARM for wealth in watch.wealth)


def odds(watch: Watch) -> Decimal:
    """The wealth as people read it: 20 sounds the alarm."""
    return EXACT.exp(EXACT.divide(Decimal(max(watch.wealth, default=0)), Decimal(NANO)))


@functools.lru_cache(maxsize=256)
def _begun(doubling: int) -> list[int]:
    """What a bet is worth that begins at a run from 2^k to 2^(k+1) - 1: these share 1/(k+1)(k+2), and all of them are 1."""
    part = Fraction(1, 2**doubling * (doubling + 1) * (doubling + 2))
    return [nats(part * share) for _, share in BETS]


@functools.lru_cache(maxsize=256)
def _steps(tolerated: Decimal) -> tuple[tuple[int, int], ...]:
    """What a good run and a bad run do to each bet."""
    good = Fraction(tolerated)
    return tuple((nats((1 - bad) / (1 - good)), nats(bad / good)) for bad in (worse(good, times) for times, _ in BETS))
