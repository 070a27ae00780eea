"""Bounds: how often something goes wrong at most, or at least, 95 % sure, when so many of so many went wrong.

Rules of this file: pure, and in whole numbers, so that every machine and every replay of a history has the same answer. The bounds
are those of Clopper and Pearson (1934), one-sided: with k wrong in n, the share of wrong ones is at most p when P(X <= k) <= 0.05
for X ~ Binomial(n, p), and more than p when P(X >= k) <= 0.05.
"""

from __future__ import annotations

import functools
from fractions import Fraction

MISTAKEN = Fraction(5, 100)  # one side
FINE = 10_000  # steps from 0 to 1 in which a bound is told


@functools.lru_cache(maxsize=4096)
def is_at_most(n: int, wrong: int, share: Fraction) -> bool:
    """Whether `wrong` in `n` prove that the true share of wrong ones is no larger than `share`."""
    return share >= 1 or _tail(n, wrong, share) <= MISTAKEN


@functools.lru_cache(maxsize=4096)
def is_more(n: int, wrong: int, share: Fraction) -> bool:
    """Whether `wrong` in `n` prove that the true share of wrong ones is larger than `share`."""
    return wrong > 0 and 1 - _tail(n, wrong - 1, share) <= MISTAKEN


@functools.lru_cache(maxsize=4096)
def upper(n: int, wrong: int, steps: int = FINE) -> Fraction:
    """The smallest share, from 0 to 1 in so many steps, that the true one is proven not to exceed; 1 where nothing is known."""
    low, high = 0, steps  # it lies above the one, and not above the other
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_at_most(n, wrong, Fraction(middle, steps)) else (middle, high)
    return Fraction(high, steps)


def lower(n: int, right: int, steps: int = FINE) -> Fraction:
    """The largest share, from 0 to 1 in so many steps, that the true share of right ones is proven not to fall below."""
    return 1 - upper(n, n - right, steps)


def _tail(n: int, most: int, share: Fraction) -> Fraction:
    """The probability of no more than `most` among `n`, when each is one with the probability `share`."""
    hit, whole = share.numerator, share.denominator
    miss = whole - hit
    if most < 0 or not miss:
        return Fraction(most >= n)
    found, term = 0, miss**n
    for k in range(min(most, n) + 1):
        found += term
        term = term * ((n - k) * hit) // ((k + 1) * miss)
    return Fraction(found, whole**n)
