"""When a request is sent to a learned answer: what a calibration must prove, and what closes it again."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenure import bounds
from tenure.errors import ConfigError
from tenure.learn import router
from tenure.learn.router import Abstained, Closed, Guess, Open, Routed, Scored
from tenure.optimize.traits import traits

CONFIDENCES = st.integers(0, 20).map(lambda n: n / 20)
KNOWN = st.builds(Scored, CONFIDENCES, st.sampled_from([True] * 30 + [False]))
STRANGE = st.builds(Scored, st.integers(0, 12).map(lambda n: n / 20), st.just(False), st.just(False))
TARGETS = st.sampled_from([Fraction(1, 100), Fraction(2, 100), Fraction(1, 20), Fraction(1, 5)])
NONE = [Scored(0.1, False, False)] * router.LEAST_NONE
SURE = [Scored(0.9, True)] * 149  # the least that prove 2 %


@st.composite
def many(draw: st.DrawFn) -> list[Scored]:
    """Hundreds of requests, made of a few different ones, with enough that ask for none of these."""
    known = draw(st.lists(st.tuples(KNOWN, st.integers(1, 60)), min_size=1, max_size=12))
    strange = draw(st.lists(STRANGE, min_size=1, max_size=8))
    return [one for each, times in known for one in [each] * times] + strange * router.LEAST_NONE


OPEN = Open(0.5, 200, 150, 0)


@settings(max_examples=200)
@given(scored=many(), target=TARGETS)
def test_what_is_answered_is_proven_to_be_wrong_no_more_often_than_the_target(
    scored: list[Scored], target: Fraction
) -> None:
    found = router.calibrate(scored, target)
    if isinstance(found, Open):
        answered = [one for one in scored if one.confidence >= found.threshold]
        wrong = sum(not one.right for one in answered)
        assert (found.asked, found.answered, found.wrong) == (len(scored), len(answered), wrong)
        assert found.threshold > 0
        assert bounds.is_at_most(len(answered), wrong, target)
        assert found.wrong_at_most <= float(target) + 1e-4


@settings(max_examples=200)
@given(scored=many(), target=TARGETS)
def test_no_lower_threshold_is_proven(scored: list[Scored], target: Fraction) -> None:
    found = router.calibrate(scored, target)
    chosen = found.threshold if isinstance(found, Open) else 2.0
    for lower in {one.confidence for one in scored if 0 < one.confidence < chosen}:
        answered = [one for one in scored if one.confidence >= lower]
        assert not bounds.is_at_most(len(answered), sum(not one.right for one in answered), target)


@given(scored=many(), targets=st.tuples(TARGETS, TARGETS))
def test_a_router_that_may_be_wrong_more_often_answers_no_less(
    scored: list[Scored], targets: tuple[Fraction, Fraction]
) -> None:
    strict, loose = (answered(router.calibrate(scored, target)) for target in sorted(targets))
    assert strict <= loose


@given(scored=many(), target=TARGETS, at=st.integers(0, 10_000))
def test_a_request_that_turns_out_wrong_never_widens_what_is_answered(
    scored: list[Scored], target: Fraction, at: int
) -> None:
    at %= len(scored)
    worse = [*scored[:at], replace(scored[at], right=False), *scored[at + 1 :]]
    assert answered(router.calibrate(worse, target)) <= answered(router.calibrate(scored, target))


def answered(calibration: router.Calibration) -> int:
    return calibration.answered if isinstance(calibration, Open) else 0


def test_calibration_without_none_of_these_is_refused() -> None:
    with pytest.raises(ConfigError, match="calibration of 149 requests without 'none of these'"):
        router.calibrate(SURE)


def test_too_few_of_none_of_these_leave_it_closed() -> None:
    assert router.calibrate(SURE + NONE[1:]) == Closed("29 requests ask for none of these, 30 are the least")
    assert router.calibrate(SURE + NONE) == Open(0.9, 179, 149, 0)


def test_too_little_data_leaves_it_closed_however_right_it_was() -> None:
    found = router.calibrate(SURE[1:] + NONE)
    assert found == Closed("148 requests have a known answer: were all of them right, more than 2.0% might be wrong")


def test_requests_for_none_of_these_that_are_answered_are_wrong() -> None:
    mistaken = [Scored(0.95, True, known=False)] * router.LEAST_NONE  # whatever it is said to be
    assert isinstance(router.calibrate(SURE + mistaken), Closed)


def test_one_that_abstains_by_itself_opens_nothing() -> None:
    assert isinstance(router.calibrate([Scored(0.0, True)] * 500 + NONE), Closed)


@pytest.mark.parametrize("target", [Fraction(0), Fraction(1), Fraction(-1, 2)])
def test_a_target_is_a_share(target: Fraction) -> None:
    with pytest.raises(ConfigError, match="must be a share of wrong answers"):
        router.calibrate(SURE + NONE, target)


# -------------------------------------------------------------------------------------------------------------- the route


@pytest.mark.parametrize(
    ("guess", "found"),
    [
        (Guess("hours", 0.5), Routed("hours", 0.5)),
        (Guess("hours", 0.49), Abstained("0.490 sure of 'hours', 0.500 is the least")),
        (Guess("hours", float("nan")), Abstained("nan sure of 'hours', 0.500 is the least")),
        (Guess(None, 0.99), Abstained("it asks for none of what was learned")),
    ],
)
def test_only_a_sure_guess_is_followed(guess: Guess, found: Routed | Abstained) -> None:
    assert router.route(guess, frozenset(), frozenset(), OPEN) == found


def test_a_closed_router_answers_nothing() -> None:
    assert router.route(Guess("hours", 1.0), frozenset(), frozenset(), Closed("no")) == Abstained("closed: no")


EXAMPLES = ["When do you open?", "What are your hours?", "Are you open at 9:30?"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("When do you open tomorrow?", ""),  # a date was among the examples
        ("When is order 4711 open?", "number: no example"),
        ("When is order A-4711 open?", "identifier: no example"),
        ("Do you open an account for $30?", "amount: no example"),
        ("Do you open an account for 30 EUR?", "amount: no example"),
        ("When does example.com open?", "address: no example"),
        ("When does Bob open?", "name: no example"),
        ("When don't you open?", "denial: no example"),
    ],
)
def test_a_request_that_names_what_no_example_names_is_sent_nowhere(text: str, why: str) -> None:
    known = frozenset[str]().union(*(traits(example) for example in EXAMPLES))
    found = router.route(Guess("hours", 1.0), frozenset(traits(text)), known, OPEN)
    assert isinstance(found, Abstained if why else Routed)
    assert found == Routed("hours", 1.0) if not why else found.why.startswith(why)


def test_an_answer_to_denials_alone_is_none_to_their_contrary() -> None:
    known = frozenset(traits("I can't log in"))
    assert router.unlike(frozenset(traits("I can log in")), known) == "no denial"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("on 3/12", "date"), ("by 2026-03-01", "date"), ("on Monday", "date"), ("in march", "date"),
        ("may I ask", ""), ("on the 3rd", "date"),
        ("see a@b.org", "address"), ("costs £1,000.00", "amount"), ("12 cards", "number"), ("3.50 of it", "number"),
        ("card #12", "identifier"), ("it is 47112", "identifier"), ("", ""),
    ],
)  # fmt: skip
def test_a_slot_is_typed_by_its_form(text: str, found: str) -> None:
    assert traits(text) == {"no denial", found} - {""}


# -------------------------------------------------------------------------------------------------------------- the drift


def test_audits_that_break_the_bound_close_the_router_for_good() -> None:
    closed = router.audited(OPEN, [True] * 100 + [False] * 6)
    assert closed == Closed("6 of 106 audited answers were wrong, more than 2.0% can explain")
    assert router.audited(closed, [True] * 10_000) == closed


def test_a_drift_does_not_drown_in_what_went_before_it() -> None:
    drifting = [True] * 5000 + [False, *[True] * 19] * 10
    assert not bounds.is_more(len(drifting), 10, router.TARGET)
    assert router.drifted(drifting) == "10 of 200 audited answers were wrong, more than 2.0% can explain"


@given(outcomes=st.lists(st.booleans(), max_size=300))
def test_it_closes_exactly_when_the_audits_prove_it(outcomes: list[bool]) -> None:
    proven = any(
        bounds.is_more(len(some), some.count(False), router.TARGET) for some in (outcomes, outcomes[-router.NEWEST :])
    )
    assert isinstance(router.audited(OPEN, outcomes), Closed) == proven


def test_audits_that_agree_close_nothing() -> None:
    assert router.audited(OPEN, [True] * 500) == OPEN
    assert router.audited(OPEN, []) == OPEN


def test_equal_requests_never_stand_on_both_sides() -> None:
    parts = [router.fold(f"request {n}", 1, 5) for n in range(1000)]
    assert parts == [router.fold(f"request {n}", 1, 5) for n in range(1000)]
    assert parts != [router.fold(f"request {n}", 2, 5) for n in range(1000)]
    assert all(150 < parts.count(part) < 250 for part in range(5))
