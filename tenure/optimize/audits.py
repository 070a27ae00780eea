"""Audits: how often an answer that a rule gives is another than Claude would give now, and when a rule closes itself.

A rule is judged by two counts, each for itself. Audits are a random sample of what it would have given: they bound its errors from
both sides. Complaints are no sample: nobody asks for them, and of those who get a wrong answer most say nothing. So they are held
against every answer that the rule has given, as if all others had been right: where even that is more than a rule may be wrong, it
is wrong too often; where it is not, nothing is proven, and `upper` is of audits alone. The two are not added up: the many answers
that nobody compared would outweigh the few that were. Whose mistake it was, the rule's or Claude's in the answer that was given
again, a complaint does not say; it counts either way, once for each run.

Rules of this file: pure. The bounds are those of Clopper and Pearson (1934), one-sided at 95 %, anew at each look.
"""

from __future__ import annotations

import math

WRONG_AT_MOST = 0.02  # of what a rule gives
MISTAKEN = 0.05  # one side


def closes(n: int, wrong: int) -> bool:
    """Whether so many wrong ones, of `n` audits or of `n` answers given, prove that the rule is wrong more often than it may be."""
    return wrong > 0 and 1 - _at_most(n, wrong - 1, WRONG_AT_MOST) <= MISTAKEN


def upper(audited: int, wrong: int) -> float:
    """The share of wrong ones is no larger, from 0 to 1."""
    if wrong >= audited:
        return 1.0
    low, high = wrong / audited, 1.0
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (middle, high) if _at_most(audited, wrong, middle) > MISTAKEN else (low, middle)
    return high


def _at_most(n: int, most: int, share: float) -> float:
    """The probability of no more than `most` among `n`."""
    if most < 0:
        return 0.0
    if share >= 1:
        return float(most >= n)
    log = [_choose(n, k) + k * math.log(share) + (n - k) * math.log1p(-share) for k in range(most + 1)]
    return min(math.fsum(map(math.exp, log)), 1.0)


def _choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
