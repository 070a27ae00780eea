"""Audits: how often an answer that was given again is another than Claude would give now, and when a rule closes itself.

Rules of this file: pure. The bounds are those of Clopper and Pearson (1934), one-sided at 95 %.
"""

from __future__ import annotations

import math

WRONG_AT_MOST = 0.02  # of what a rule gives
MISTAKEN = 0.05  # one side


def closes(audited: int, wrong: int) -> bool:
    """Whether so many wrong ones prove that the rule is wrong more often than it may be."""
    return wrong > 0 and 1 - _at_most(audited, wrong - 1, WRONG_AT_MOST) <= MISTAKEN


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
