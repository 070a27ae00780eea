"""The sequential test that promotes: what it takes, what it promises, and that the order of the runs is nothing to it."""

from __future__ import annotations

import math
from collections import defaultdict
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.learn.sprt import Tally, clean_runs, horizon, is_halfway, nats, verdict, worse

VISION = Decimal("0.01")
CRITERIA = st.decimals(Decimal("0.0001"), Decimal("0.4999"), places=4)


def ends(criterion: Decimal, rate: float) -> dict[str, float]:
    """How probably each verdict is reached when `rate` of the runs are wrong: exact, by all that can happen."""
    open_: dict[int, float] = {0: 1.0}
    found: dict[str, float] = defaultdict(float)
    runs = 0
    while open_:
        runs, after = runs + 1, defaultdict[int, float](float)
        for wrong, share in open_.items():
            after[wrong] += share * (1 - rate)
            after[wrong + 1] += share * rate
        open_ = {}
        for wrong, share in after.items():
            said = verdict(Tally(runs=runs, wrong=wrong), criterion)
            if said == "undecided":
                open_[wrong] = share
            else:
                found[said] += share
    return found


def test_by_the_vision_71_clean_runs_promote_and_70_do_not() -> None:
    assert clean_runs(VISION) == 71
    assert verdict(Tally(runs=70), VISION) == "undecided"
    assert verdict(Tally(runs=71), VISION) == "promote"


def test_each_wrong_run_costs_forty_clean_ones() -> None:
    assert verdict(Tally(runs=111, wrong=1), VISION) == "undecided"
    assert verdict(Tally(runs=112, wrong=1), VISION) == "promote"


def test_no_runs_are_no_verdict() -> None:
    assert verdict(Tally(), VISION) == "undecided"


def test_two_wrong_runs_at_the_start_reject() -> None:
    assert verdict(Tally(runs=1, wrong=1), VISION) == "undecided"
    assert verdict(Tally(runs=2, wrong=2), VISION) == "reject"


def test_after_the_horizon_undecided_is_inconclusive() -> None:
    assert horizon(VISION) == 284
    assert verdict(Tally(runs=283, wrong=6), VISION) == "undecided"
    assert verdict(Tally(runs=284, wrong=6), VISION) == "inconclusive"


def test_half_of_the_evidence_is_36_clean_runs() -> None:
    assert not is_halfway(Tally(runs=35), VISION)
    assert is_halfway(Tally(runs=36), VISION)


def test_by_the_vision_both_errors_are_at_most_5_percent() -> None:
    assert ends(VISION, 0.05)["promote"] == pytest.approx(0.04999, abs=5e-6)
    assert ends(VISION, 0.01)["reject"] == pytest.approx(0.0281, abs=5e-4)


@pytest.mark.parametrize("told", ["0.005", "0.02", "0.05", "0.1", "0.15", "0.2", "0.3", "0.4", "0.49"])
def test_at_other_criteria_whole_runs_cost_at_most_one_percent_more(told: str) -> None:
    criterion = Decimal(told)
    bad = float(worse(Fraction(criterion), 5))
    assert ends(criterion, bad)["promote"] < 0.06
    assert ends(criterion, float(criterion))["reject"] < 0.05


@given(CRITERIA, st.integers(0, 3_000), st.integers(0, 40))
def test_it_is_the_ratio_of_walds_likelihoods(criterion: Decimal, clean: int, wrong: int) -> None:
    good = float(criterion)
    bad = min(5 * good, (1 + good) / 2)
    ratio = wrong * math.log(bad / good) + clean * math.log((1 - bad) / (1 - good))
    clean_step = math.log((1 - good) / (1 - bad))
    said = verdict(Tally(runs=clean + wrong, wrong=wrong), criterion)
    if ratio < -math.log(19) - 1e-5:
        assert said == "promote"
    elif ratio > math.log(19) + 1e-5:
        assert said == "reject"
    elif -math.log(19) + clean_step + 1e-5 < ratio < math.log(19) - 1e-5:
        assert said in ("undecided", "inconclusive")


@given(CRITERIA, st.integers(0, 400), st.integers(0, 20))
def test_a_wrong_run_never_helps_and_a_clean_one_never_harms(criterion: Decimal, runs: int, wrong: int) -> None:
    order = ["reject", "inconclusive", "undecided", "promote"]
    tally = Tally(runs=runs + wrong, wrong=wrong)
    before = order.index(verdict(tally, criterion))
    assert verdict(tally.more(True), criterion) != "promote" or before == 3
    assert verdict(tally.more(False), criterion) != "reject" or before == 0


def test_logarithms_are_rounded_down_to_nano_nats() -> None:
    assert nats(Fraction(5)) == 1_609_437_912
    assert nats(Fraction(1, 5)) == -1_609_437_913
    assert nats(Fraction(1)) == 0
