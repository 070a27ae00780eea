"""Agreement: what so many clean runs prove. The bound is that of Clopper and Pearson (1934), one-sided at 95 %."""

from __future__ import annotations

import math

MISTAKEN = 0.05  # one side


def lower(runs: int, agreed: int) -> float:
    """The share of runs that agree is no smaller, from 0 to 1."""
    if agreed == 0:
        return 0.0
    low, high = 0.0, agreed / runs
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (middle, high) if _at_least(runs, agreed, middle) < MISTAKEN else (low, middle)
    return low


def _at_least(n: int, least: int, share: float) -> float:
    """The probability of `least` or more among `n`."""
    if share <= 0:
        return 0.0
    return math.fsum(math.comb(n, k) * share**k * (1 - share) ** (n - k) for k in range(least, n + 1))
