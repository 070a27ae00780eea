"""Which requests ask for the same, which rules may answer them, what may be kept, and when a rule closes itself."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tenure.errors import ConfigError
from tenure.optimize import Optimization, admission, audits, english, guards, similarity
from tenure.optimize.admission import Finished
from tenure.optimize.rules import CacheRule

VISION = {
    "enableCache": True,
    "cacheRules": [
        {"pattern": "greeting", "ttl": 86400, "response": "Hello! How can I help?"},
        {"similarity": 0.95, "ttl": 3600},
    ],
    "patterns": {"autoDetect": True, "minFrequency": 10, "confidence": 0.9},
    "budget": {"daily": 50.0, "perRequest": 1.0, "alertThreshold": 0.8},
    "fallback": ["cache", "pattern", "intelligent"],
}
SAID = """
    where order card refund transfer London Paris Bob Alice not never 5 50 4711 2026-03-01 $ EUR from without how why may 10:30
    before after cancel I my you the please to on is was will can't only all off 3.5 3,5 -1 US us IT
"""
WORDS = st.sampled_from(SAID.split())
REQUESTS = st.lists(WORDS, min_size=1, max_size=9).map(" ".join)
COUNTED = "4711 4712 Bob Alice not never without from until off out if only all 5 50 London why how who tomorrow"
COUNTS = COUNTED.split()


def signature(text: str) -> str | None:
    found = guards.read(text)
    return None if found is None else found.signature


# ------------------------------------------------------------------------------------------------------------ the guards


@given(before=REQUESTS, one=st.sampled_from(COUNTS), other=st.sampled_from(COUNTS), after=REQUESTS)
def test_requests_that_differ_in_a_word_that_counts_are_never_the_same(
    before: str, one: str, other: str, after: str
) -> None:
    assume(one != other)
    first, second = (signature(f"{before} order {word} {after}") for word in (one, other))
    assert first is None or first != second


@given(before=REQUESTS, word=st.sampled_from(COUNTS), after=REQUESTS)
def test_a_word_that_counts_is_never_overlooked(before: str, word: str, after: str) -> None:
    assert signature(f"{before} order {word} {after}") != signature(f"{before} order {after}")


@given(
    number=st.integers(0, 10**12),
    other=st.integers(0, 10**12),
    form=st.sampled_from(["{}", "-{}", "${}", "A{}", "{}%", "({})", "0.{}"]),
)
@example(number=5, other=50, form="{}")
def test_numbers_are_the_same_only_when_they_are_written_the_same(number: int, other: int, form: str) -> None:
    assume(number != other)
    first, second = (signature(f"What is the fee for {form.format(many)} here?") for many in (number, other))
    assert first != second


@pytest.mark.parametrize(
    ("one", "other"),
    [("5", "-5"), ("5", "(5)"), ("5", ".5"), ("5", "5%"), ("$5", "€5"), ("1,5", "15"), ("10 am", "10 pm")],
)
def test_every_sign_of_a_number_counts(one: str, other: str) -> None:
    assert signature(f"Is a fee of {one} usual?") != signature(f"Is a fee of {other} usual?")


@given(
    one=st.sampled_from(["London", "savings", "Bob", "EUR", "the US"]),
    other=st.sampled_from(["Paris", "checking", "Ann", "GBP", "us"]),
)
def test_a_direction_counts(one: str, other: str) -> None:
    for form in ("Send it from {} to {}", "Move {} into {}", "Can I exchange {} for {}?", "{} sent {} a gift"):
        assert signature(form.format(one, other)) != signature(form.format(other, one))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Can I cancel my order?", "Can't I cancel my order?"),
        ("Is my card blocked?", "Isn’t my card blocked?"),
        ("Cancel my order", "Did you cancel my order?"),
        ("Can you send me the money?", "Can I send you the money?"),
        ("Will the card arrive on Monday?", "Did the card arrive on Monday?"),
        ("How can I verify my identity?", "Why must I verify my identity?"),
        ("delivery in may", "delivery in june"),
        ("Is my card blocked?", "Was my card blocked?"),
        ("Is it there in 3 days?", "Is it there for 3 days?"),
        ("A parcel to Bob", "A parcel for Bob"),
        ("Pay Mr Hastings", "Pay Mr Hasting"),
        ("The price of Apple", "The price of apple"),
        ("Turn on my card", "Turn off my card"),
        ("Send it to the US", "Send it to us"),
    ],
)  # fmt: skip
def test_negation_time_and_who_does_it_count(one: str, other: str) -> None:
    assert signature(one) != signature(other)


@pytest.mark.parametrize(
    "said",
    [
        "How do I activate my card?", "Hi, could you please tell me how I can activate the card?", "how to activate card",
        "I need to know how to activate my card, thanks", "Tell me how do i activate my card please!!",
    ],
)  # fmt: skip
def test_politeness_and_wrapping_do_not_count(said: str) -> None:
    assert signature(said) == signature("How do I activate my card?")


def test_what_says_nothing_or_too_much_is_like_nothing() -> None:
    assert guards.read("Why not?") is None
    assert guards.read("please, thanks!") is None
    assert guards.read("card " * 200) is None


def test_only_plain_english_words_lose_their_endings() -> None:
    told = ["orders", "companies", "shipped", "shipping", "glass", "cafés", "v2s", "größen"]
    assert [guards.stem(word) for word in told] == [
        "order",
        "company",
        "ship",
        "ship",
        "glass",
        "cafés",
        "v2s",
        "größen",
    ]


@given(st.text(max_size=300))
def test_whatever_is_sent_can_be_read(text: str) -> None:
    found = guards.read(text)
    assert found is None or found.kept


def test_no_word_that_counts_stands_in_the_lists_of_those_that_do_not() -> None:
    counts = """
        not no never without from off out before after if or and only all none how why when where who which by until since
    """
    assert not set(counts.split()) & (english.DROPPED | english.LINKS)


@given(REQUESTS, REQUESTS)
def test_likeness_is_symmetric_and_whole_for_the_same_text(one: str, other: str) -> None:
    first, second = similarity.grams(one), similarity.grams(other)
    assert similarity.cosine(first, second) == similarity.cosine(second, first)
    assert similarity.cosine(first, first) == pytest.approx(1)


# ------------------------------------------------------------------------------------------------------------- the rules


def test_the_optimization_of_the_vision_is_taken_as_it_is_written() -> None:
    made = Optimization(**json.loads(json.dumps(VISION)))
    assert [rule.name for rule in made.rules] == ["greeting", "similar 0.95"]
    assert made.patterns is not None
    assert made.patterns.min_frequency == 10


def test_the_cache_can_be_switched_off_without_losing_its_rules() -> None:
    made = Optimization(enable_cache=False, cache_rules=[{"ttl": 60}])
    assert (made.rules, len(made.cache_rules)) == ((), 1)
    assert Optimization(enable_cache=True, fallback=["intelligent"]).rules == ()
    assert [rule.name for rule in Optimization(enable_cache=True).rules] == ["exact"]


@pytest.mark.parametrize("said", ["Hi!", "hello there", "HEY 👋", "Good morning, how are you?", "Hi. How's it going?"])
def test_a_greeting_is_known_by_all_of_it(said: str) -> None:
    assert CacheRule(pattern="greeting", response="Hello!").matches(said)
    assert not CacheRule(pattern="greeting", response="Hello!").matches(f"{said} Cancel my order.")


def test_a_rule_matches_its_examples_and_its_expression_whole() -> None:
    rule = CacheRule(examples=["What is C#?"], pattern="regex:opening (hours|times)\\??", response="9 to 5")
    assert all(map(rule.matches, ["what is c#", "Opening hours?", " opening times "]))
    assert not any(map(rule.matches, ["what is c", "opening hours on Sunday", "x" * 300]))


@pytest.mark.parametrize(
    ("given_", "said"),
    [
        ({"similarity": 0.5, "ttl": 60}, "cache_rules.similarity=0.5: must be at least 0.7"),
        ({"similarity": 1.5, "ttl": 60}, "cache_rules.similarity=1.5: must be at least 0.7 and at most 1"),
        ({"similarity": float("nan"), "ttl": 60}, "cache_rules.similarity"),
        ({"ttl": 0}, "cache_rules.ttl=0: must be seconds, more than 0"),
        ({"ttl": -1}, "cache_rules.ttl=-1"),
        ({"similarity": 0.9}, "cache_rules.ttl is missing"),
        ({"response": "Hi"}, "give the rule a pattern or examples, or it would answer everything"),
        ({"pattern": "regex:.*", "response": "Hi"}, "matches everything"),
        ({"pattern": "regex:[\\s\\S]+", "response": "Hi"}, "matches everything"),
        ({"pattern": "regex:(a+)+b", "response": "Hi"}, "repeats what repeats"),
        ({"pattern": "regex:(", "response": "Hi"}, "not a regular expression"),
        ({"pattern": "greting", "response": "Hi"}, "must be one of 'greeting'"),
        ({"pattern": "greeting", "response": " "}, "must say something"),
        ({"pattern": "greeting", "response": "Hi", "similarity": 0.9}, "matches by pattern or examples alone"),
        ({"examples": ["?"], "response": "Hi"}, "must be a request"),
        ({"tll": 5}, "cache_rules has no setting 'tll': did you mean 'ttl'?"),
    ],
)  # fmt: skip
def test_a_rule_that_cannot_be_meant_is_refused_by_field(given_: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        CacheRule(**given_)
    assert said in str(refused.value)


# --------------------------------------------------------------------------------------------------------- the admission

GOOD = Finished(
    request="When do you open?", answer="At nine.", answered=True, tainted=False, calls=("hours",), pure=frozenset({"hours"}),
    failed=False, others=0, good=1, bad=0,
)  # fmt: skip


def test_a_verified_success_that_only_read_may_be_given_again() -> None:
    assert admission.refusal(GOOD, verified=True) is None


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"answered": False}, "it did not end with an answer"),
        ({"answer": " "}, "it did not end with an answer"),
        ({"bad": 1}, "somebody called it bad"),
        ({"good": 0}, "nobody has called it good"),
        ({"tainted": True}, "it rests on what came from elsewhere"),
        ({"others": 1}, "it was told more than the request"),
        ({"calls": ("hours", "refund")}, "it did more than read"),
        ({"failed": True}, "a call of it failed"),
        ({"answer": "x" * 9000}, "its answer is too long"),
        ({"answer": "Write to ann@example.com"}, "it holds what looks personal"),
        ({"request": "My name is Ann. When do you open?"}, "it holds what looks personal"),
        ({"request": "Is DE89 3704 0044 0532 0130 00 yours?"}, "it holds what looks personal"),
        ({"request": "x" * 600}, "it holds what looks personal"),
    ],
)
def test_everything_else_may_not(changed: dict[str, Any], why: str) -> None:
    found = admission.refusal(dataclasses.replace(GOOD, **changed), verified=True)
    assert found is not None
    assert found.startswith(why)


def test_without_verification_an_answer_is_enough() -> None:
    assert admission.refusal(dataclasses.replace(GOOD, good=0), verified=False) is None
    assert admission.refusal(dataclasses.replace(GOOD, good=0, bad=1), verified=False) is not None


# ------------------------------------------------------------------------------------------------------------- the audits


def test_a_rule_closes_when_its_errors_prove_that_it_is_wrong_too_often() -> None:
    assert audits.closes(1, 1)
    assert not audits.closes(10, 1)
    assert audits.closes(10, 2)
    assert not audits.closes(1000, 20)
    assert not audits.closes(50, 0)


@given(n=st.integers(1, 400), wrong=st.integers(0, 20))
def test_the_bound_falls_with_every_audit_that_agrees_and_rises_with_every_error(n: int, wrong: int) -> None:
    assume(wrong < n)
    assert audits.upper(n + 1, wrong) <= audits.upper(n, wrong) <= audits.upper(n, wrong + 1)
    assert audits.upper(n, wrong) >= wrong / n


def test_the_bound_is_the_known_one() -> None:
    assert audits.upper(299, 0) == pytest.approx(0.01, abs=1e-4)
    assert audits.upper(59, 0) == pytest.approx(0.05, abs=1e-3)


def test_the_vision_is_the_one_beside_the_project() -> None:
    beside = Path(__file__).parents[3] / "shared" / "vision_configs.json"
    if not beside.is_file():
        pytest.skip("the vision's configurations are not here")
    assert json.loads(beside.read_text())["optimization"] == VISION
