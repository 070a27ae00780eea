"""The bounds by which trust rises, rules of the cache close and routers open: those of Clopper and Pearson, in whole numbers."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tenure.bounds import is_at_most, is_more, upper

SHARES = st.fractions(Fraction(1, 1000), Fraction(999, 1000), max_denominator=1000)


@given(n=st.integers(1, 200), wrong=st.integers(0, 200), share=SHARES)
def test_both_bounds_are_where_the_tail_of_the_binomial_is_five_percent(n: int, wrong: int, share: Fraction) -> None:
    wrong, p = min(wrong, n), float(share)
    tail = math.fsum(math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(wrong + 1))
    below = tail - math.comb(n, wrong) * p**wrong * (1 - p) ** (n - wrong)
    assume(abs(tail - 0.05) > 1e-9 and abs(1 - below - 0.05) > 1e-9)
    assert is_at_most(n, wrong, share) == (tail < 0.05)
    assert is_more(n, wrong, share) == (wrong > 0 and 1 - below < 0.05)


@given(n=st.integers(1, 200), wrong=st.integers(0, 200), share=SHARES)
def test_nothing_is_proven_both_ways(n: int, wrong: int, share: Fraction) -> None:
    wrong = min(wrong, n)
    assert not (is_at_most(n, wrong, share) and is_more(n, wrong, share))


@given(n=st.integers(1, 300), wrong=st.integers(0, 300))
def test_the_upper_bound_is_the_smallest_share_that_is_proven(n: int, wrong: int) -> None:
    bound = upper(n, min(wrong, n))
    assert is_at_most(n, min(wrong, n), bound)
    assert not is_at_most(n, min(wrong, n), bound - Fraction(1, 10_000))


def test_where_nothing_is_known_nothing_is_proven() -> None:
    assert upper(0, 0) == 1
    assert not is_more(0, 0, Fraction(1, 2))
    assert is_at_most(0, 0, Fraction(1))


def test_the_bounds_are_the_published_ones() -> None:
    assert float(upper(299, 0)) == pytest.approx(0.01, abs=1e-4)
    assert float(upper(59, 0)) == pytest.approx(0.05, abs=1e-3)
    assert is_at_most(149, 0, Fraction(2, 100))
    assert not is_at_most(148, 0, Fraction(2, 100))
