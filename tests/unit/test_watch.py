"""The watch over what is served: it is silent over the healthy for life, and sounds soon over the broken, whenever it breaks."""

from __future__ import annotations

import json
import math
import random
from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from tenure.learn.watch import ALARM, BETS, Watch, observed, odds, sounds

VISION = Decimal("0.01")
TOLERATED = st.decimals(Decimal("0.0001"), Decimal("0.99"), places=4)


def after(runs: list[bool], tolerated: Decimal = VISION) -> Watch:
    watch = Watch()
    for bad in runs:
        watch = observed(watch, bad, tolerated)
    return watch


def mixture(runs: list[bool], tolerated: Decimal) -> float:
    """The whole e-process: every bet from every run on, each with its part of the money, in products of floats."""
    good, sums = float(tolerated), 0.0
    for times, share in BETS:
        bad = min(times * good, (1 + good) / 2)
        for start in range(1, len(runs) + 1):
            doubling = int(math.log2(start))
            part = float(share) / (2**doubling * (doubling + 1) * (doubling + 2))
            sums += part * math.prod(bad / good if one else (1 - bad) / (1 - good) for one in runs[start - 1 :])
    return sums


@given(st.lists(st.integers(0, 9).map(lambda one: one < 2), max_size=60), TOLERATED)
def test_it_is_never_richer_than_the_mixture_whose_promise_it_makes(runs: list[bool], tolerated: Decimal) -> None:
    watch = after(runs, tolerated)
    whole = mixture(runs, tolerated)
    if runs:
        assert whole / (len(BETS) * len(runs)) * (1 - 1e-5) <= float(odds(watch)) <= whole * (1 + 1e-9)


@given(TOLERATED)
def test_nobody_expects_to_win_a_bet_while_no_more_is_bad_than_tolerated(tolerated: Decimal) -> None:
    first = [after([bad], tolerated).wealth for bad in (False, True)]
    expected = sum(
        float(chance) * sum(math.exp(wealth / 1e9) for wealth in told)
        for chance, told in zip((1 - tolerated, tolerated), first, strict=True)
    )
    assert expected <= 0.5 + 1e-12  # the half of the money that is bet on the first run


def test_the_parts_of_the_money_are_one() -> None:
    parts = [Fraction(2**k, 2**k * (k + 1) * (k + 2)) for k in range(1_000)]
    assert sum(parts) == 1 - Fraction(1, 1_001)
    assert sum(share for _, share in BETS) == 1


def test_the_alarm_is_20_to_1() -> None:
    assert math.exp(ALARM / 1e9) >= 20 > math.exp((ALARM - 2) / 1e9)


def test_three_bad_runs_of_the_first_twenty_sound_it_and_one_does_not() -> None:
    assert not sounds(after([True] + [False] * 19))
    assert sounds(after([False] * 17 + [True] * 3))
    assert not sounds(Watch())


def test_a_long_good_life_is_no_debt() -> None:
    broken = [True] + [False] * 9
    young, old = after(broken * 3), after([False] * 1_000 + broken * 10)
    assert sounds(young) and sounds(old)


def test_the_wealth_of_a_long_good_life_is_bounded() -> None:
    watch = after([False] * 10_000)
    assert not sounds(watch)
    assert min(watch.wealth) > -30 * 10**9


@given(st.integers(0, 2**20))
def test_a_life_goes_on_from_json(seed: int) -> None:
    chance = random.Random(seed)
    runs = [chance.random() < 0.05 for _ in range(200)]
    half = Watch.model_validate(json.loads(after(runs[:100]).model_dump_json()))
    for bad in runs[100:]:
        half = observed(half, bad, VISION)
    assert half == after(runs)


def test_at_the_criterion_a_life_ends_by_mistake_in_less_than_5_percent() -> None:
    """A sample of what `bench.rollout_simulation` measures."""
    stopped = 0
    for seed in range(60):
        chance, watch = random.Random(seed), Watch()
        for _ in range(1_000):
            watch = observed(watch, chance.random() < 0.01, VISION)
            if sounds(watch):
                stopped += 1
                break
    assert stopped <= 3


def test_a_watch_that_began_with_fewer_bets_keeps_those() -> None:
    old = Watch(runs=9, wealth=after([True] * 3).wealth[:2])
    assert len(observed(old, True, VISION).wealth) == 2
