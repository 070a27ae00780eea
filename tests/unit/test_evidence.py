"""What is said of runs, as evidence: a set that no order and no repetition changes, and the bounds it is measured by."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.bounds import is_at_most
from tenure.trust import Rule
from tenure.trust.evidence import (
    WINDOW,
    Evidence,
    Judged,
    add,
    bound,
    digest,
    fall,
    is_enough,
    may_fall,
    missing,
    of_so_many,
    renewed,
    rise,
    speaking,
    tally,
    used,
    worst,
)
from tests.unit.words import DOWN, UP, bad, good, heard, steps, word, words

LOOKS = [(29, 0), (46, 1), (61, 2), (76, 3), (89, 4)]
SHAPES = words(st.integers(1, 40))


@pytest.mark.parametrize(("n", "misses"), LOOKS)
def test_a_step_up_takes_so_many_runs_and_not_one_less(n: int, misses: int) -> None:
    (rule,) = steps(UP)
    assert is_enough(rule, n, misses, "confident")
    assert not is_enough(rule, n - 1, misses, "confident")


def test_no_window_is_long_enough_for_five_failures() -> None:
    (rule,) = steps(UP)
    assert not any(is_enough(rule, n, 5, "confident") for n in range(WINDOW + 1))


def test_the_looks_are_what_the_evidence_proposes_at() -> None:
    for failures in range(6):
        evidence = heard(bad(*range(1, failures + 1)))
        found = None
        for place in range(failures + 1, WINDOW + 1):
            evidence = add(evidence, word(place))
            found = found or (place if rise(evidence, steps(UP), "confident") else None)
        assert found == {misses: n for n, misses in LOOKS}.get(failures)


def test_the_bound_is_the_one_that_is_published() -> None:
    assert [bound(n, 0) for n in (10, 59, 299)] == [0.741, 0.95, 0.99]
    assert (bound(0, 0), bound(5, 5), bound(20, 1)) == (0.0, 0.0, 0.783)


@given(st.integers(1, 100), st.integers(0, 100), st.integers(1, 999))
def test_the_bound_is_where_the_tail_of_the_binomial_is_five_percent(n: int, misses: int, thousandths: int) -> None:
    rate, misses = thousandths / 1000, min(misses, n)
    tail = math.fsum(math.comb(n, k) * (1 - rate) ** k * rate ** (n - k) for k in range(misses + 1))
    if abs(tail - 0.05) > 1e-9:
        assert is_at_most(n, misses, 1 - Fraction(thousandths, 1000)) == (tail < 0.05)
        assert (bound(n, misses) >= rate) == (tail < 0.05)


@given(st.integers(1, 99), st.integers(0, 99))
def test_more_good_runs_never_lower_the_bound_and_more_failures_never_raise_it(n: int, misses: int) -> None:
    misses = min(misses, n)
    assert bound(n + 1, misses) >= bound(n, misses) >= bound(n, min(misses + 1, n))


def test_point_takes_the_rate_as_it_is() -> None:
    assert rise(heard(good(1)), steps(), "point") is not None
    assert rise(heard(bad(1) + good(*range(2, 20))), steps(), "point") is None
    assert rise(heard(bad(1) + good(*range(2, 21))), steps(), "point") is not None
    assert rise(Evidence(), steps(), "point") is None


def test_the_largest_step_that_is_earned_is_taken() -> None:
    rules = steps(UP, Rule("success_rate", 0.99, "increment", 0.3), Rule("success_rate", 0.8, "increment", 0.2))
    found = {n: rise(heard(good(*range(n))), rules, "confident") for n in (29, 30, 49, 50)}
    # Place 0 is nowhere, so that one run less counts; for 0.99 the bound must reach 0.94, which 49 runs do.
    assert {n: rule and rule.amount for n, rule in found.items()} == {29: None, 30: 2, 49: 2, 50: 3}


@pytest.mark.parametrize(("failed", "amount"), [(0, None), (1, 1), (2, 2), (6, 5)])
def test_the_largest_step_down_that_applies_is_taken(failed: int, amount: int | None) -> None:
    rules = steps(DOWN, Rule("error_rate", 0.3, "decrement", 0.5), Rule("error_rate", 0.05, "decrement", 0.1))
    places = set(range(1, 21, 3)[:failed]) if failed < 3 else set(range(1, 7))
    found = fall(heard(word(place, place not in places) for place in range(1, 21)), rules)
    assert (found and found[0].amount) == amount


def test_a_rate_makes_a_fall_from_twenty_judged_runs_on() -> None:
    evidence = heard(bad(1, 12))
    for place in [place for place in range(2, 21) if place != 12]:
        evidence = add(evidence, word(place))
        assert (fall(evidence, steps()) is not None) == (len(evidence.judged) == 20)


def test_three_failures_in_any_ten_make_a_fall_at_once() -> None:
    assert fall(heard(bad(1, 2, 3)), steps()) is not None
    assert fall(heard(good(*range(2, 10)) + bad(1, 5, 10)), steps()) is not None
    assert fall(heard(good(*range(2, 11)) + bad(1, 5, 11)), steps()) is None
    assert fall(heard(bad(1, 2)), steps()) is None


def test_success_falls_and_errors_rise_by_the_same_count() -> None:
    falls = steps(Rule("success_rate", 0.9, "decrement", 0.2))
    rises = steps(Rule("error_rate", 0.05, "increment", 0.1))
    for failures in range(3):
        failed = {1, 12, 23}.intersection(range(12 * failures))
        evidence = heard(word(place, place not in failed) for place in range(1, 47))
        assert (fall(evidence, falls) is None) == (fall(evidence, steps(DOWN)) is None)
        assert rise(evidence, rises, "confident") == (
            None if rise(evidence, steps(UP), "confident") is None else rises[0]
        )


@pytest.mark.parametrize(
    ("rule", "failures", "falls"),
    [
        (Rule("error_rate", 0, "decrement", 0.1), 0, False),
        (Rule("error_rate", 0, "decrement", 0.1), 1, True),
        (Rule("success_rate", 1, "decrement", 0.1), 0, False),
        (Rule("success_rate", 1, "decrement", 0.1), 1, True),
        (Rule("error_rate", 1, "decrement", 0.1), 1, False),
        (Rule("success_rate", 0, "decrement", 0.1), 1, False),
    ],
)
def test_at_the_ends_of_the_scale_a_flawless_record_never_falls(rule: Rule, failures: int, falls: bool) -> None:
    evidence = heard(word(place, place > failures) for place in range(1, 31))
    assert (fall(evidence, steps(rule)) is not None) == falls


def test_a_record_of_nothing_but_failures_reaches_the_end_of_the_scale() -> None:
    for rule in (Rule("error_rate", 1, "decrement", 0.1), Rule("success_rate", 0, "decrement", 0.1)):
        assert fall(heard(bad(*range(1, 40, 10))), steps(rule)) is not None


def test_nothing_short_of_perfect_fulfils_a_threshold_of_one() -> None:
    perfect = steps(Rule("success_rate", 1, "increment", 0.1))
    assert rise(heard(good(*range(1, 59))), perfect, "confident") is None
    assert rise(heard(good(*range(1, 60))), perfect, "confident") is not None
    assert rise(heard(bad(1) + good(*range(2, 101))), perfect, "confident") is None


def test_without_rules_nothing_rises_or_falls() -> None:
    assert rise(heard(good(*range(1, 101))), [], "confident") is None
    assert fall(heard(bad(*range(1, 101))), []) is None
    assert fall(heard(bad(*range(1, 101))), steps(UP)) is None
    assert not may_fall(heard(good(1)), word(1), [])
    nothing = [rule.model_copy(update={"amount": 0}) for rule in steps()]
    assert rise(heard(good(*range(1, 101))), nothing, "confident") is None
    assert fall(heard(bad(*range(1, 101))), nothing) is None


def test_one_task_made_a_hundred_times_raises_nothing_but_lets_the_level_fall() -> None:
    assert rise(heard(good(*range(1, 101), task="hello")), steps(), "confident") is None
    assert len(speaking(heard(good(*range(1, 101), task="hello")))) == 3
    repeated = [word(place, place not in (1, 12), task="hello") for place in range(1, 21)]
    assert fall(heard(repeated), steps()) is not None
    assert len(speaking(heard(repeated))) == 5


def test_a_task_said_to_be_unknown_is_no_task() -> None:
    assert rise(heard(good(*range(1, 30), task="")), steps(), "confident") is not None


def test_a_later_worse_word_counts_and_a_later_better_one_does_not() -> None:
    evidence = heard(good(*range(1, 30)))
    assert rise(evidence, steps(), "confident") is not None
    worse = add(evidence, word(5, good=False))
    assert rise(worse, steps(), "confident") is None
    assert add(worse, word(5)) is worse


def test_what_slid_out_of_the_window_counts_no_longer() -> None:
    evidence = heard(bad(1, 2) + good(*range(3, 31)) + bad(31, 42, 53))
    assert rise(add(evidence, word(100)), steps(), "confident") is None
    assert rise(heard(good(*(set(range(54, 150)) - {100})), evidence), steps(), "confident") is not None


def test_a_complaint_counts_over_all_finished_runs_and_not_over_the_judged_ones() -> None:
    few = of_so_many(heard(bad(9_001, 9_002, 9_003, by="unasked")), 10_000)
    assert fall(few, steps()) is None
    assert worst(few) == (3, 100)
    many = heard(bad(*range(9_010, 9_100, 10), by="unasked"), few)
    assert fall(many, steps()) is not None


def test_complaints_count_among_a_hundred_runs_in_a_row() -> None:
    spread = of_so_many(heard(bad(*range(100, 10_000, 100), by="unasked")), 10_000)
    assert (worst(spread), fall(spread, steps())) == ((1, 100), None)
    dense = of_so_many(heard(bad(*range(5_000, 5_100, 10), by="unasked")), 10_000)
    assert (worst(dense), fall(dense, steps()) is None) == ((10, 100), False)
    assert worst(of_so_many(heard(bad(*range(5_000, 5_110, 11), by="unasked")), 10_000)) == (10, 100)


def test_a_young_agent_with_two_complaints_falls_as_one_with_twenty_runs_would() -> None:
    assert fall(heard(bad(1, by="unasked")), steps()) is None
    assert fall(heard(bad(1, 2, by="unasked")), steps()) is not None
    assert fall(of_so_many(heard(bad(1, 2, by="unasked")), 21), steps()) is None


@given(st.sets(st.integers(1, 10_000), min_size=3, max_size=3))
def test_three_complaints_in_ten_thousand_runs_make_no_fall_wherever_they_stand(places: set[int]) -> None:
    assert fall(heard(bad(*places, by="unasked"), of_so_many(Evidence(), 10_000)), steps()) is None


def test_failed_effects_and_denials_count_over_all_finished_runs_too() -> None:
    assert fall(of_so_many(heard(bad(100, 2_000, 9_000, by="census")), 10_000), steps()) is None
    assert fall(of_so_many(heard(bad(100, 105, 109, by="census")), 10_000), steps()) is not None
    assert fall(of_so_many(heard(bad(100, 105, 110, by="census")), 10_000), steps()) is None


def test_a_complaint_about_a_judged_run_makes_it_a_failure_too() -> None:
    evidence = heard(good(*range(1, 31)) + bad(3, 15, 30, by="unasked"))
    assert [run for run, one in evidence.judged.items() if not one.good] == ["r3", "r15", "r30"]
    assert fall(evidence, steps()) is not None  # 3 of 30 judged


@given(st.permutations([word(7), *bad(7, by="unasked"), *bad(7, by="census"), *bad(7)]))
def test_in_any_order_a_run_counts_once_by_the_worst_word(several: list[Judged]) -> None:
    evidence = heard(several)
    assert [one.good for one in evidence.judged.values()] == [False]
    assert [one.by for one in evidence.faults.values()] == ["census"]
    assert evidence.failed == ["r7"]


def test_praise_speaks_for_a_step_up_and_never_against_a_fall() -> None:
    praise = [word(place, by="unasked") for place in range(1, 30)]
    assert rise(heard(praise), steps(), "confident") is not None
    assert rise(heard(praise + bad(30, by="unasked")), steps(), "confident") is None
    assert fall(heard(praise + bad(30, 31, 32)), steps()) is not None


def test_praise_of_newer_runs_pushes_old_failures_out_of_what_a_step_up_looks_at() -> None:
    evidence = heard(
        bad(1, 12, 23, 34, 45) + good(*(place for place in range(2, 101) if place % 11 != 1 or place > 45))
    )
    assert rise(evidence, steps(UP), "confident") is None
    praised = heard([word(place, by="unasked") for place in range(101, 141)], evidence)
    assert tally(steps(UP)[0], speaking(praised)) == (100, 1)
    assert rise(praised, steps(UP), "confident") is not None


def test_praise_and_verdict_on_one_run_are_one_run() -> None:
    both = heard([*good(*range(1, 29)), *(word(place, by="unasked") for place in range(1, 29))])
    assert tally(steps(UP)[0], speaking(both)) == (28, 0)
    for by in ("sample", "census", "unasked"):
        assert tally(steps(UP)[0], speaking(heard([*bad(1, by=by), word(1, by="unasked")]))) == (1, 1)


def test_what_finished_before_the_last_change_is_no_evidence_and_its_failure_a_fault() -> None:
    later = renewed(heard(good(*range(1, 30))))
    assert heard(good(1, 15, 29), later) == later
    late = heard(bad(1, 15, 29), later)
    assert (not late.judged, set(late.faults)) == (True, {"r1", "r15", "r29"})
    assert fall(of_so_many(late, 100), steps()) is None


def test_evidence_that_spoke_for_a_proposal_speaks_for_no_other_and_failures_stay() -> None:
    asked = used(heard(bad(1) + good(*range(2, 47))))
    assert rise(asked, steps(), "confident") is None
    assert rise(heard(good(*range(47, 91)), asked), steps(), "confident") is None
    assert rise(heard(good(*range(47, 92)), asked), steps(), "confident") is not None
    assert fall(heard(bad(47, 48, 49), used(heard(bad(40, 41)))), steps()) is not None


def test_a_metric_that_is_new_to_the_rules_counts_from_where_it_was_told() -> None:
    rules = steps(Rule("success_rate", 0.5, "decrement", 0.1))
    fast = [rules[0].model_copy(update={"metric": "fast"})]
    before = heard(good(*range(1, 31)))
    assert fall(before, fast) is None
    slow = [word(place, fast=place % 2 == 0) for place in range(31, 51)]
    for one in slow[:-1]:
        before = add(before, one)
        assert fall(before, fast) is None
    last = add(before, slow[-1])
    assert may_fall(last, slow[-1], fast)
    assert fall(last, fast) is not None


def test_how_many_runs_are_missing_is_what_it_takes() -> None:
    (rule,) = steps(UP)
    assert missing(rule, Evidence()) == 29
    assert missing(rule, heard(bad(1) + good(*range(2, 11)))) == 36
    assert missing(rule, heard(good(*range(1, 30)))) == 0
    assert missing(rule, heard(bad(*range(1, 60, 11)))) is None
    assert missing(rule, heard(bad(1)), "point") == 19


@given(st.lists(SHAPES, max_size=60), st.randoms(use_true_random=False))
def test_the_same_words_in_another_order_are_the_same_evidence(told: list[Judged], chance: random.Random) -> None:
    other = list(told)
    chance.shuffle(other)
    one, two = heard(told), heard(other)
    assert one.model_copy(update={"failed": sorted(one.failed)}) == two.model_copy(
        update={"failed": sorted(two.failed)}
    )
    assert [*one.judged] == [*two.judged]


@given(st.lists(words(st.integers(1, 200)), min_size=1, max_size=150), st.data())
def test_a_word_said_twice_changes_nothing(told: list[Judged], data: st.DataObject) -> None:
    evidence = heard(told)
    again = data.draw(st.sampled_from(told))
    assert add(evidence, again) is evidence
    after = renewed(evidence)
    assert add(after, again) is after


@given(st.lists(SHAPES, max_size=60), SHAPES)
def test_a_bad_word_never_helps_and_a_good_one_never_makes_an_error(told: list[Judged], one: Judged) -> None:
    before = heard(told, of_so_many(Evidence(), 100))
    after = add(before, one)
    if not one.good:
        assert fall(before, steps()) is None or fall(after, steps()) is not None
        assert rise(before, steps(), "confident") is not None or rise(after, steps(), "confident") is None
    elif one.by == "unasked":
        assert (fall(after, steps()) is None) == (fall(before, steps()) is None)


@given(st.lists(words(st.integers(1, 250)), max_size=200))
def test_a_fall_is_never_overlooked_by_looking_only_when_there_may_be_one(told: list[Judged]) -> None:
    evidence = Evidence()
    for one in told:
        before, evidence = evidence, add(evidence, one)
        if not may_fall(evidence, one, steps()):
            assert fall(evidence, steps()) is None or fall(before, steps()) is not None


@given(st.lists(words(st.integers(1, 180)), max_size=250), st.sampled_from([0.2, 0.5, 0.7]))
def test_a_step_up_is_never_overlooked_by_giving_up_early(told: list[Judged], threshold: float) -> None:
    rules = steps(Rule("success_rate", threshold, "increment", 0.1))
    evidence = heard(told)
    for mode in ("confident", "point"):
        enough = is_enough(rules[0], *tally(rules[0], speaking(evidence)), mode)
        assert (rise(evidence, rules, mode) is not None) == enough


@given(st.lists(words(st.integers(1, 250)), max_size=200))
def test_evidence_is_bounded_and_survives_json(told: list[Judged]) -> None:
    evidence = heard(told)
    assert max(len(evidence.judged), len(evidence.praised), len(evidence.faults)) <= WINDOW
    back = Evidence.model_validate_json(evidence.model_dump_json())
    assert back == evidence
    assert [*back.judged] == [*evidence.judged]
    assert digest(back) == digest(evidence)


def test_json_whose_keys_were_sorted_is_in_order_again() -> None:
    evidence = heard(good(*range(1, 30)))
    told = evidence.model_dump()
    told["judged"] = dict(sorted(told["judged"].items()))
    assert [*Evidence.model_validate(told).judged] == [*evidence.judged]
