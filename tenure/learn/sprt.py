"""Wald's sequential test: whether a capability is as good as it must be, after as few runs as that takes.

Rules of this file: pure, in whole numbers. The likelihood ratio is computed from two counts, so that the order of the runs does not
matter and nothing drifts; logarithms are nano-nats, rounded once from a decimal that every platform computes alike.

Wald (1945), Sequential Tests of Statistical Hypotheses: H0, the share of wrong runs is the criterion, against H1, it is five times
that. With both errors at 5 % the test ends where one is 19 times as likely as the other. At the criterion 0.01 that is between the
71st and the 72nd run without an error; the bound is taken in whole runs, at the 71st. Within the horizon a capability that is wrong
in 0.05 of its runs is then promoted with a probability of 0.04999, and a good one turned away with 0.0281 (exact, `test_sprt.py`).
"""

from __future__ import annotations

import functools
from decimal import Context, Decimal
from fractions import Fraction
from typing import Literal, TypeAlias

from tenure.wire import Wire

Verdict: TypeAlias = Literal["promote", "reject", "undecided", "inconclusive"]
NANO = 10**9  # nano-nats in a nat
WORSE = 5  # H1 is so many times the criterion
MISTAKEN = Fraction(5, 100)  # alpha, and beta
PATIENCE = 4  # times the clean runs that promote: then the test ends without a verdict
EXACT = Context(prec=40)


class Tally(Wire):
    """The evidence of the test: how many runs were looked at, how many of them were wrong."""

    runs: int = 0
    wrong: int = 0

    def more(self, wrong: bool) -> Tally:
        """One more run."""
        return Tally(runs=self.runs + 1, wrong=self.wrong + wrong)


def verdict(tally: Tally, criterion: Decimal) -> Verdict:
    """What the runs say of a capability that may be wrong in `criterion` of its runs (0 < criterion < 0.5)."""
    ratio = _ratio(tally, criterion)
    if ratio <= -_steps(criterion)[2]:
        return "promote"
    if ratio >= nats((1 - MISTAKEN) / MISTAKEN):
        return "reject"
    return "undecided" if tally.runs < horizon(criterion) else "inconclusive"


def is_halfway(tally: Tally, criterion: Decimal) -> bool:
    """Whether at least half of what promotes is there."""
    return 2 * _ratio(tally, criterion) <= -_steps(criterion)[2]


def clean_runs(criterion: Decimal) -> int:
    """How many runs promote, if none is wrong: 71 at 0.01."""
    _, clean, bound = _steps(criterion)
    return bound // clean


def horizon(criterion: Decimal) -> int:
    """After how many runs the test ends without a verdict: 284 at 0.01."""
    return PATIENCE * clean_runs(criterion)


def worse(criterion: Fraction, times: int) -> Fraction:
    """A share of wrong runs that is `times` the criterion; where that is above halfway to 1, halfway to 1."""
    return min(times * criterion, (1 + criterion) / 2)


@functools.lru_cache(maxsize=1024)
def nats(ratio: Fraction) -> int:
    """The natural logarithm of `ratio`, in nano-nats, rounded down."""
    exact = EXACT.ln(EXACT.divide(Decimal(ratio.numerator), Decimal(ratio.denominator)))
    return int((exact * NANO).to_integral_value("ROUND_FLOOR"))


def _ratio(tally: Tally, criterion: Decimal) -> int:
    """The logarithm of the likelihood under H1 over that under H0."""
    wrong, clean, _ = _steps(criterion)
    return tally.wrong * wrong - (tally.runs - tally.wrong) * clean


@functools.lru_cache(maxsize=256)
def _steps(criterion: Decimal) -> tuple[int, int, int]:
    """By how much a wrong run raises the ratio, a clean one lowers it, and how far down it promotes."""
    good = Fraction(criterion)
    bad = worse(good, WORSE)
    clean = nats((1 - good) / (1 - bad))
    bound = nats((1 - MISTAKEN) / MISTAKEN)
    return nats(bad / good), clean, bound // clean * clean
