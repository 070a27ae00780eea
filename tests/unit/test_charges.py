"""Budgets: whatever is held, settled, lost and raised, in whatever order, no scope has spent or promised more than its cap."""

from __future__ import annotations

import functools
import itertools
import sqlite3
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tenure.errors import StoreUnavailable
from tenure.optimize.budget import Budget, Scope, Spender, scopes
from tenure.runtime.store import Connection, caps, charges
from tenure.runtime.store.caps import Capped
from tenure.runtime.store.charges import Settled
from tenure.turn import Usage
from tests.unit import held_calls
from tests.unit.held_calls import DAY, LIVES, NOON, WHO, call

BUDGET = Budget(per_request=0.0005, daily=0.001, monthly=0.0015, per_user=0.0008)
USERS = st.sampled_from(["alice", "bob", None])
held = functools.partial(held_calls.held, budget=BUDGET)


def spent(db: Connection, name: str, at: int = NOON) -> tuple[int, int]:
    (scope,) = (one for one in scopes(BUDGET, WHO, at) if one.name == name)
    found = charges.total(db, scope)
    return found.spent, found.held


def test_a_hold_is_no_spend_and_what_was_not_used_comes_back(db: Connection) -> None:
    assert held(db, "a", 400) is None
    assert spent(db, "run") == (0, 400)
    charges.settle(db, "a", Settled(30, 30, Usage(), NOON))
    assert [spent(db, one.name) for one in scopes(BUDGET, WHO, NOON)] == [(30, 0)] * 5


def test_a_call_of_no_run_counts_for_the_agents_day_and_the_tenants_and_for_nobody_else(db: Connection) -> None:
    nobodys = Spender(tenant="acme", agent="desk", workflow="")
    assert [one.name for one in scopes(BUDGET, nobodys, NOON)] == ["agent/day", "tenant/day", "tenant/month"]
    assert held(db, "a", 100, who=nobodys) is None
    assert spent(db, "agent/day") == (0, 100)
    assert spent(db, "run") == (0, 0)


def test_what_fits_nowhere_is_held_nowhere(db: Connection) -> None:
    other = Spender(tenant="acme", agent="desk", workflow="run2", user="bob")
    assert held(db, "a", 500) is None
    assert held(db, "b", 500, who=other) is None
    short = held(db, "c", 100, who=Spender(tenant="acme", agent="desk", workflow="run3", user="carol"))
    assert short is not None
    assert (short.scope.name, short.fit) == ("agent/day", "held")
    assert spent(db, "tenant/month") == (0, 1000)


def test_a_scope_that_others_hold_is_told_from_one_that_is_spent(db: Connection) -> None:
    held(db, "a", 400)
    short = held(db, "b", 400)
    assert short is not None
    assert short.fit == "held"
    charges.settle(db, "a", Settled(400, 400, Usage(), NOON))
    short = held(db, "c", 400)
    assert short is not None
    assert (short.scope.name, short.fit, short.left) == ("run", "spent", 100)


def test_the_same_call_is_held_once_and_settled_once(db: Connection) -> None:
    for _ in range(3):
        assert held(db, "a", 400) is None
    for cost in (30, 40, 50):
        charges.settle(db, "a", Settled(cost, cost, Usage(), NOON))
    assert spent(db, "run") == (30, 0)


def test_a_call_that_was_settled_is_not_made_again_for_nothing(db: Connection) -> None:
    held(db, "a", 400)
    charges.settle(db, "a", Settled(30, 30, Usage(), NOON))
    with pytest.raises((sqlite3.IntegrityError, StoreUnavailable), match=r"UNIQUE|unique"):
        held(db, "a", 400)


def test_a_hold_that_nobody_settles_in_time_is_spent_in_full_and_no_phantom(db: Connection) -> None:
    held(db, "a", 400)
    held(db, "b", 10, NOON + LIVES)
    assert spent(db, "run") == (400, 10)
    charges.settle(db, "a", Settled(1, 1, Usage(), NOON + LIVES))  # the reply of a worker that was only slow
    assert spent(db, "run") == (400, 10)


def test_a_call_that_was_certainly_not_made_costs_nothing(db: Connection) -> None:
    held(db, "a", 400)
    charges.release(db, "a", NOON)
    assert spent(db, "run") == (0, 0)


def test_a_hold_counts_in_the_day_in_which_it_was_made(db: Connection) -> None:
    late = NOON + 12 * 3600_000 - 1
    held(db, "a", 400, late)
    charges.settle(db, "a", Settled(300, 300, Usage(), late + 5_000))
    assert (spent(db, "agent/day", late), spent(db, "agent/day", late + 1)) == ((300, 0), (0, 0))


def test_people_raise_a_cap_for_its_period_and_one_request_does_so_once(db: Connection) -> None:
    day = next(one for one in scopes(BUDGET, WHO, NOON) if one.name == "agent/day")
    charges.settle(db, "a", Settled(500, 500, Usage(), NOON)) if held(db, "a", 500) is None else None
    for _ in range(2):
        charges.raise_cap(db, "req-1", day, 2_000, "olivia", NOON)
    assert charges.total(db, day).raised == 2_000
    assert charges.total(db, Scope("agent/day", day.subject, "2026-11-22", day.cap)).raised == 0


class Ledger(RuleBasedStateMachine):
    """Runs of two users and two agents of one tenant, over days; calls that settle, are lost, and come late; operators who cap the
    tenant, cap it otherwise and lift that again, and people who add to what they were asked about."""

    def __init__(self, db: Connection) -> None:
        super().__init__()
        self.db = db

    @initialize()
    def opened(self) -> None:
        self.db.execute("BEGIN")
        self.at, self.keys = NOON, itertools.count()
        self.open: dict[str, int] = {}
        self.seen: dict[tuple[str, str, str], Scope] = {}
        self.billed: dict[tuple[str, str, str], int] = {}
        self.places: dict[str, list[tuple[str, str, str]]] = {}
        self.caps: dict[str, tuple[int, int]] = {}  # of a scope: the number of the cap in force, and its amount
        self.added: dict[tuple[int, str], int] = {}  # to which cap, in which period

    @rule(
        amount=st.integers(1, 700),
        run=st.sampled_from("abc"),
        user=st.sampled_from(["alice", "bob", None]),
        agent=st.sampled_from(["desk", "till"]),
    )
    def hold(self, amount: int, run: str, user: str | None, agent: str) -> None:
        who = Spender("acme", agent, run, user)
        key, within = f"k{next(self.keys)}", scopes(BUDGET, who, self.at)
        short = charges.hold(self.db, call(key, amount, self.at, who), within)
        if short is not None:
            assert short.total.spent + short.total.held + amount > (short.scope.cap or 0) + short.total.raised
            return
        self.open[key] = amount
        self.places[key] = [(one.name, one.subject, one.period) for one in within]
        self.seen |= {(one.name, one.subject, one.period): one for one in within}
        self.within_the_caps_in_force(within)

    def within_the_caps_in_force(self, within: list[Scope]) -> None:
        for scope in within:
            if scope.name in self.caps:
                number, cap = self.caps[scope.name]
                found = charges.total(self.db, scope)
                assert found.spent + found.held <= cap + self.added.get((number, scope.period), 0)

    @rule(name=st.sampled_from(["tenant/day", "tenant/month"]), amount=st.none() | st.integers(1, 1500))
    def capped(self, name: Capped, amount: int | None) -> None:
        caps.put(self.db, "acme", name, amount, "omar", self.at)
        self.caps.pop(name, None)
        for one in caps.in_force(self.db):
            self.caps[one.scope] = (one.id, one.amount)
        assert self.caps.get(name, (0, None))[1] == amount

    @precondition(lambda self: self.caps)
    @rule(data=st.data(), amount=st.integers(1, 300), late=st.integers(0, 2))
    def added_to_a_cap(self, data: st.DataObject, amount: int, late: int) -> None:
        """People add to a cap; by then it may be another one, and theirs counts no more."""
        name = data.draw(st.sampled_from(sorted(self.caps)))
        (scope,) = (one for one in scopes(BUDGET, WHO, self.at) if one.name == name)
        number = max(self.caps[name][0] - late, 1)
        charges.raise_cap(self.db, f"req{next(self.keys)}", replace(scope, operator=number), amount, "olivia", self.at)
        self.added[number, scope.period] = self.added.get((number, scope.period), 0) + amount

    @precondition(lambda self: self.open)
    @rule(data=st.data(), share=st.floats(0, 1))
    def reply(self, data: st.DataObject, share: float) -> None:
        """Claude has answered, and has billed this much of what was held, whether or not anybody is left to write it down."""
        key = data.draw(st.sampled_from(sorted(self.open)))
        cost = int(self.open.pop(key) * share)
        for place in self.places[key]:
            self.billed[place] = self.billed.get(place, 0) + cost
        if data.draw(st.booleans()):
            charges.settle(self.db, key, Settled(cost, cost, Usage(), self.at))

    @rule(after=st.sampled_from([1, LIVES // 2, LIVES, DAY // 2]))
    def wait(self, after: int) -> None:
        self.at += after

    @precondition(lambda self: self.seen)
    @rule(data=st.data(), amount=st.integers(1, 300))
    def raised(self, data: st.DataObject, amount: int) -> None:
        scope = self.seen[data.draw(st.sampled_from(sorted(self.seen)))]
        charges.raise_cap(self.db, f"req{next(self.keys)}", scope, amount, "olivia", self.at)

    @invariant()
    def never_more_than_the_cap(self) -> None:
        for place, scope in getattr(self, "seen", {}).items():
            found = charges.total(self.db, scope)
            cap = (scope.cap if scope.cap is not None else 10**9) + found.raised
            assert found.spent + found.held <= cap
            assert self.billed.get(place, 0) <= cap
            assert self.billed.get(place, 0) <= found.spent + found.held
            assert min(found.spent, found.held) >= 0

    def teardown(self) -> None:
        charges.sweep(self.db, self.at + LIVES)
        left = [charges.total(self.db, scope).held for scope in getattr(self, "seen", {}).values()]
        self.db.execute("ROLLBACK")
        assert not any(left)


def test_whatever_happens_to_calls_no_cap_is_overshot_and_nothing_stays_held(db: Connection) -> None:
    told = settings(
        max_examples=100 if isinstance(db, sqlite3.Connection) else 15,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    run_state_machine_as_test(lambda: Ledger(db), settings=told)
