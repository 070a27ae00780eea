"""The effect record under every order of attempts: an effect is never started twice unless somebody may start it twice."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tenure.runtime.store import Connection, effects
from tenure.runtime.store.effects import Exhausted, Go, Happened, InDoubt, Start, Stored


def start(token: str, **more: object) -> Start:
    fields: dict[str, object] = {"key": "k", "workflow": "w", "seq": 2, "tool": "pay", "digest": "d", "at": 5}
    return Start(**{**fields, "token": token, **more})  # pyright: ignore[reportArgumentType]  # a literal of test data


def test_an_attempt_that_finds_a_result_returns_it(db: Connection) -> None:
    assert effects.begin(db, start("one")) == Go()
    assert effects.end(db, "k", "one", "done", "paid", 6)
    assert effects.begin(db, start("two")) == Stored("paid")


def test_an_attempt_that_finds_only_an_intent_is_in_doubt_unless_the_tool_is_idempotent(db: Connection) -> None:
    effects.begin(db, start("one"))
    assert effects.begin(db, start("two")) == InDoubt(1, 5)
    assert effects.begin(db, start("two", idempotent=True)) == Go()


def test_an_attempt_that_was_overtaken_can_no_longer_say_what_happened(db: Connection) -> None:
    effects.begin(db, start("one"))
    effects.begin(db, start("two", idempotent=True))
    assert not effects.end(db, "k", "one", "done", "late", 6)
    assert effects.end(db, "k", "two", "done", "paid", 7)
    assert effects.begin(db, start("three")) == Stored("paid")


@pytest.mark.parametrize("generation", [0, 2, 99])
def test_a_person_s_word_about_another_start_does_not_count(db: Connection, generation: int) -> None:
    effects.begin(db, start("one"))
    assert effects.begin(db, start("two", resolved="did-not", generation=generation)) == InDoubt(1, 5)
    assert effects.begin(db, start("two", resolved="happened", generation=generation)) == InDoubt(1, 5)


def test_a_person_s_word_counts_once(db: Connection) -> None:
    effects.begin(db, start("one"))
    assert effects.begin(db, start("two", resolved="did-not", generation=1)) == Go()
    assert effects.begin(db, start("three", resolved="did-not", generation=1)) == InDoubt(2, 5)
    assert effects.begin(db, start("three", resolved="happened", generation=2)) == Happened()
    assert effects.settle(db, "k", 2, "done", "it happened", 9)
    assert not effects.settle(db, "k", 2, "done", "again", 9)
    assert effects.begin(db, start("four")) == Stored("it happened")


def test_an_idempotent_tool_whose_starts_all_vanish_is_given_up(db: Connection) -> None:
    for number in range(3):
        assert effects.begin(db, start(f"t{number}", idempotent=True, most=3)) == Go()
    assert effects.begin(db, start("t4", idempotent=True, most=3)) == Exhausted(3)
    assert effects.settle(db, "k", 3, "raised", "nobody knows", 9)
    assert effects.begin(db, start("t5", idempotent=True, most=3)) == Stored("nobody knows")


class Attempts(RuleBasedStateMachine):
    """Attempts of one non-idempotent call come, die, linger and come late; people speak; the world counts effects.

    `alive` are attempts that were told to go and have not ended: each may still make its effect, once. A person who says
    `did-not` is right only when no attempt made it and none can any more, which is what the start-to-close wait is for.
    """

    def __init__(self, db: Connection) -> None:
        super().__init__()
        self.db = db

    @initialize()
    def begin(self) -> None:
        self.db.execute("BEGIN")
        self.made = 0
        self.alive: set[str] = set()
        self.count = 0

    def _come(self, **more: object) -> effects.Begun:
        self.count += 1
        begun = effects.begin(self.db, start(f"t{self.count}", **more))
        if begun == Go():
            self.alive.add(f"t{self.count}")
        return begun

    @rule()
    def an_attempt_comes(self) -> None:
        self._come()

    @rule(data=st.data())
    def an_attempt_makes_its_effect_and_says_so(self, data: st.DataObject) -> None:
        if self.alive:
            token = data.draw(st.sampled_from(sorted(self.alive)))
            self.alive.discard(token)
            self.made += 1
            effects.end(self.db, "k", token, "done", "paid", 6)

    @rule(data=st.data(), before=st.booleans())
    def an_attempt_is_killed(self, data: st.DataObject, before: bool) -> None:
        if self.alive:
            self.alive.discard(data.draw(st.sampled_from(sorted(self.alive))))
            self.made += not before

    @rule(generation=st.integers(0, 5))
    def a_person_who_looked_speaks(self, generation: int) -> None:
        if not self.alive:
            self._come(resolved="happened" if self.made else "did-not", generation=generation)

    @invariant()
    def the_effect_is_made_at_most_once(self) -> None:
        assert getattr(self, "made", 0) <= 1

    @invariant()
    def at_most_one_attempt_may_go(self) -> None:
        assert len(getattr(self, "alive", ())) <= 1

    def teardown(self) -> None:
        self.db.execute("ROLLBACK")


def test_no_order_of_attempts_makes_an_effect_twice(db: Connection) -> None:
    examples = 200 if isinstance(db, sqlite3.Connection) else 25
    told = settings(max_examples=examples, stateful_step_count=20, suppress_health_check=[HealthCheck.too_slow])
    run_state_machine_as_test(lambda: Attempts(db), settings=told)
