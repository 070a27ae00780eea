"""What is answered again: to whom, for how long, resting on what, and until who complains."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tenure import Agent
from tenure.optimize import CacheRule, Optimization
from tenure.runtime import caching
from tenure.runtime.store import cached, epochs, runs
from tenure.runtime.store.cached import RuleAccount
from tenure.turn import Audit, Turn
from tests.unit.answered_runs import MESSAGES, TENANTS, TTL, WHOSE, Runs, desk

PARTS = st.fixed_dictionaries({}, optional=WHOSE)
OTHERS: list[dict[str, Any]] = [
    {"tenant": "globex"}, {"role": "admin"}, {"state": {"plan": "gold"}}, {"cap": 3}, {"level": 5},
]  # fmt: skip


@pytest.mark.parametrize("other", OTHERS)
def test_an_answer_is_given_to_nobody_who_may_see_something_else(other: dict[str, Any]) -> None:
    made = Runs()
    assert made.answer(MESSAGES[0]) is None
    assert made.answer(MESSAGES[0], **other) is None
    assert made.answer(MESSAGES[0], user="ann") == MESSAGES[0]
    assert made.answer(MESSAGES[0], **other) == MESSAGES[0]


@given(first=PARTS, second=PARTS, whose=st.tuples(TENANTS, TENANTS))
def test_two_partitions_never_share(first: dict[str, Any], second: dict[str, Any], whose: tuple[str, str]) -> None:
    same = {**{"state": {}}, **first} == {**{"state": {}}, **second} and whose[0] == whose[1]
    assume(not same)
    made = Runs()
    made.answer(MESSAGES[0], tenant=whose[0], **first)
    assert made.answer(MESSAGES[0], tenant=whose[1], **second) is None


def test_another_build_begins_anew() -> None:
    made = Runs()
    made.answer(MESSAGES[0])
    made.agent = desk(instructions="Be brief.")
    assert made.answer(MESSAGES[0]) is None


def test_a_run_that_was_told_more_is_neither_answered_nor_kept() -> None:
    made = Runs()
    made.answer(MESSAGES[0])
    assert made.answer(MESSAGES[0], context=["It is Sunday."]) is None
    assert made.answer(MESSAGES[0], tainted=True) is None
    assert made.look("acme", MESSAGES[0])[1] is not None


def test_what_nobody_called_good_waits_for_somebody_who_does() -> None:
    made = Runs(agent=desk(admit="verified"))
    workflow, _ = made.look("acme", MESSAGES[0])
    made.end(workflow, "Nine.", [])
    assert made.look("acme", MESSAGES[0])[1] is None
    made.say(workflow, good=True)
    assert isinstance(made.look("acme", MESSAGES[0])[1], Turn)


def test_a_row_without_its_meta_is_not_given_again() -> None:
    made = Runs(agent=desk(admit="verified"))
    workflow, _ = made.look("acme", MESSAGES[0])
    made.end(workflow, "Nine.", [])
    made.store.db.execute("UPDATE transcript SET meta = NULL")
    made.say(workflow, good=True)
    assert made.look("acme", MESSAGES[0])[1] is None


@pytest.mark.parametrize(
    ("tools", "again"), [(("hours",), True), (("hours", "mine"), False), (("note",), False), (("gone",), False)]
)
def test_only_what_read_what_is_everybodys_is_given_again(tools: tuple[str, ...], again: bool) -> None:
    made = Runs()
    made.answer(MESSAGES[0], tools)
    assert (made.answer(MESSAGES[0], tools) is not None) == again


@pytest.mark.parametrize(
    ("seconds", "again"), [(0, True), (TTL - 1, True), (TTL, False), (TTL + 1, False), (-1, False)]
)
def test_an_answer_lasts_as_long_as_its_rule_says_by_a_clock_that_goes_on(seconds: int, again: bool) -> None:
    made = Runs()
    made.answer(MESSAGES[0])
    made.at += seconds * 1000
    assert isinstance(made.look("acme", MESSAGES[0])[1], Turn) == again


def test_a_change_makes_stale_what_rests_on_it_and_nothing_else() -> None:
    made = Runs()
    made.answer(MESSAGES[0], ("hours",))
    made.store.at_once(lambda db: epochs.bump(db, "acme", ["prices"]))
    made.store.at_once(lambda db: epochs.bump(db, "globex", ["hours"]))
    assert made.answer(MESSAGES[0]) is not None
    made.store.at_once(lambda db: epochs.bump(db, "acme", ["hours"]))
    assert made.answer(MESSAGES[0]) is None


def test_while_a_write_is_under_way_nothing_that_rests_on_it_is_given_or_kept() -> None:
    made = Runs()
    made.answer(MESSAGES[0], ("hours",))
    made.store.at_once(lambda db: epochs.begin(db, "acme", "w", ["hours"], made.at, made.at + 10**6))
    assert made.answer(MESSAGES[0], ("hours",)) is None
    assert made.answer(MESSAGES[0], ("hours",)) is None
    made.store.at_once(lambda db: epochs.end(db, "acme", "w", ["hours"]))
    assert made.answer(MESSAGES[0], ("hours",)) is None
    assert made.answer(MESSAGES[0], ("hours",)) is not None


def test_a_complaint_takes_an_answer_back_wherever_it_was_given() -> None:
    made = Runs()
    first, _ = made.look("acme", MESSAGES[0])
    made.end(first, "Nine.", [])
    again = [given(made) for _ in range(3)]  # so many that one complaint closes no rule
    made.say(again[0], good=False)
    assert account(made).closed == ""
    assert made.look("acme", MESSAGES[0])[1] is None
    made.end(f"acme:run:desk:{made.number}", "Ten.", [])
    made.say(f"acme:run:desk:{made.number}", good=False)
    assert made.look("acme", MESSAGES[0])[1] is None


def given(made: Runs, message: str = MESSAGES[0]) -> str:
    """The run that was answered by a rule."""
    workflow, found = made.look("acme", message)
    assert isinstance(found, Turn)
    by = found.served
    assert by is not None
    made.store.at_once(lambda db: caching.served(db, runs.get(db, workflow), by, "m", "p", made.at))  # type: ignore[arg-type]
    return workflow


def greeter(ttl: int | None = None) -> Runs:
    """Runs of an agent that greets by a rule, and compares nothing."""
    rule = CacheRule(pattern="greeting", response="Hello!", ttl=ttl)
    return Runs(agent=Agent(name="desk", optimization=Optimization(enable_cache=True, cache_rules=[rule])))


def account(made: Runs) -> RuleAccount:
    (found,) = cached.rule_accounts(made.store.db)
    return found


def test_a_canned_answer_does_not_age_whatever_its_ttl_says() -> None:
    made = greeter(ttl=1)
    for _ in range(2):
        given(made, "hello")
        made.at += 10**9


def test_complaints_count_against_all_that_a_rule_has_given_and_close_it_when_they_are_too_many() -> None:
    made = greeter()
    answered = [given(made, "hello") for _ in range(12)]
    made.say(answered[3], good=False)
    assert (account(made).complaints, account(made).closed) == (1, "")
    made.say(answered[5], good=False)
    told = account(made)
    assert (told.hits, told.complaints, told.audited, told.wrong) == (12, 2, 0, 0)
    assert told.closed == "2 of 12 answers that it gave were called bad, more than 2% can explain"
    assert made.look("acme", "hello")[1] is None


def test_few_complaints_about_many_answers_close_nothing() -> None:
    made = greeter()
    answered = [given(made, "hello") for _ in range(40)]
    for workflow in answered[:2]:
        made.say(workflow, good=False)
    assert (account(made).complaints, account(made).closed) == (2, "")


def test_a_run_is_complained_of_once_however_often_somebody_complains_and_not_when_it_is_taken_back() -> None:
    made = greeter()
    answered = [given(made, "hello") for _ in range(12)]
    for source in ("client", "person:ann", "client", "person:bob"):
        made.say(answered[0], good=False, source=source)
    assert (account(made).complaints, account(made).closed) == (1, "")
    for source in ("client", "person:ann", "person:bob"):
        made.say(answered[0], good=True, source=source)
    assert account(made).complaints == 0


def test_a_complaint_about_what_claude_said_instead_is_none_about_the_rule() -> None:
    made = Runs()
    made.answer(MESSAGES[0])
    compared, found = made.look("acme", MESSAGES[0], draw=0.0)
    assert isinstance(found, Audit)
    made.end(compared, "Ten.", [])
    made.say(compared, good=False)
    assert (account(made).hits, account(made).complaints, account(made).closed) == (0, 0, "")


def test_a_rule_that_was_opened_again_begins_without_its_complaints() -> None:
    made = greeter()
    first = [given(made, "hello") for _ in range(2)]
    made.say(first[0], good=False)
    assert account(made).closed
    made.store.at_once(lambda db: cached.reopen_rule(db, ("acme", "desk"), "greeting", made.at))
    made.at += 1
    given(made, "hello")
    made.say(first[1], good=False)
    assert (account(made).complaints, account(made).closed) == (2, "")


def test_what_is_written_less_alike_than_the_rule_wants_is_asked() -> None:
    made = Runs(agent=desk(similarity=1.0))
    made.answer("When do you open the shops?")
    assert made.answer("When do you open the shop?") is None
    assert made.answer("Please, when do you open the shops?") is not None


def test_what_is_over_is_deleted_as_new_runs_come() -> None:
    made = Runs()
    for n in range(5):
        made.answer(f"Where is box {n}?")
    made.at += TTL * 1000 + 1
    made.answer("Where is box 9?")
    assert made.store.db.execute("SELECT count(*) FROM cached_answers").fetchone()[0] == 1
