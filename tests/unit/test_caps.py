"""An operator's cap binds whatever the budgets of agents say, in the transaction that holds, from the next call on."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from tenure.optimize.budget import Budget, Scope, scopes
from tenure.runtime.store import Connection, alerts, caps, charges
from tenure.runtime.store.charges import Settled, Short
from tenure.turn import Usage
from tests.unit.held_calls import DAY, FREE, NOON, WHO, held


def spend(db: Connection, key: str, amount: int, *, at: int = NOON, budget: Budget = FREE) -> None:
    assert held(db, key, amount, at=at, budget=budget) is None
    charges.settle(db, key, Settled(amount, amount, Usage(), at))


def short(db: Connection, amount: int = 1, *, at: int = NOON, budget: Budget = FREE) -> tuple[str, bool, str] | None:
    """In which scope so much does not fit, whether by an operator's cap, and for how long."""
    found = charges.short_of(db, scopes(budget, WHO, at), amount)
    return None if found is None else (found.scope.name, found.scope.operator > 0, found.fit)


def test_a_call_counts_in_the_tenant_s_day_whether_or_not_that_is_capped(db: Connection) -> None:
    spend(db, "a", 300)
    caps.put(db, "acme", "tenant/day", 400, "omar", NOON)
    assert short(db, 100) is None
    assert short(db, 101) == ("tenant/day", True, "spent")


def test_only_an_operator_caps_the_tenant_s_day() -> None:
    everything = Budget(per_request=1, daily=1, monthly=1, per_user=1)
    (day,) = (one for one in scopes(everything, WHO, NOON) if one.name == "tenant/day")
    assert (day.subject, day.period, day.cap) == ("acme", "2026-11-21", None)


def test_the_scopes_are_held_in_one_order_the_narrowest_first() -> None:
    assert [one.name for one in scopes(FREE, WHO, NOON)] == [
        "run", "user/day", "agent/day", "tenant/day", "tenant/month"
    ]  # fmt: skip


def test_an_operator_s_cap_binds_an_agent_that_has_no_budget_at_all(db: Connection) -> None:
    caps.put(db, "acme", "tenant/month", 500, "omar", NOON)
    assert held(db, "a", 501) is not None
    assert held(db, "b", 500) is None


@pytest.mark.parametrize(("agents", "operator", "by_operator"), [("0.0003", 500, False), ("0.0005", 300, True)])
def test_of_a_month_s_two_caps_the_lowest_counts(db: Connection, agents: str, operator: int, by_operator: bool) -> None:
    caps.put(db, "acme", "tenant/month", operator, "omar", NOON)
    budget = Budget(monthly=agents)
    assert short(db, 300, budget=budget) is None
    assert short(db, 301, budget=budget) == ("tenant/month", by_operator, "spent")


def test_all_agents_of_a_tenant_share_its_caps_and_another_tenant_has_its_own(db: Connection) -> None:
    caps.put(db, "acme", "tenant/day", 500, "omar", NOON)
    assert held(db, "a", 300) is None
    assert held(db, "b", 300, who=replace(WHO, agent="till", workflow="run2")) is not None
    assert held(db, "c", 300, who=replace(WHO, tenant="other", workflow="run3")) is None


def test_a_cap_that_others_hold_is_told_from_one_that_is_spent(db: Connection) -> None:
    caps.put(db, "acme", "tenant/day", 500, "omar", NOON)
    held(db, "a", 400)
    assert short(db, 200) == ("tenant/day", True, "held")
    assert short(db, 501) == ("tenant/day", True, "spent")


def test_a_cap_lowered_below_what_is_spent_stops_the_next_call_and_a_lifted_one_does_not(db: Connection) -> None:
    caps.put(db, "acme", "tenant/day", 500, "omar", NOON)
    spend(db, "a", 300)
    caps.put(db, "acme", "tenant/day", 200, "omar", NOON + 1)
    assert short(db) == ("tenant/day", True, "spent")
    caps.put(db, "acme", "tenant/day", None, "omar", NOON + 2)
    assert short(db, 10**9) is None


def test_the_next_day_begins_with_the_whole_cap(db: Connection) -> None:
    caps.put(db, "acme", "tenant/day", 500, "omar", NOON)
    spend(db, "a", 500)
    assert (short(db), short(db, 500, at=NOON + DAY)) == (("tenant/day", True, "spent"), None)


def added(db: Connection, request: str, scope: Scope, amount: int) -> None:
    charges.raise_cap(db, request, scope, amount, "olivia", NOON)


def shortage(db: Connection, amount: int, budget: Budget = FREE) -> Short:
    found = charges.short_of(db, scopes(budget, WHO, NOON), amount)
    assert found is not None
    return found


def test_people_add_to_an_operator_s_cap_for_its_day_only(db: Connection) -> None:
    caps.put(db, "acme", "tenant/day", 500, "omar", NOON)
    short_of = shortage(db, 501).scope
    for _ in range(2):
        added(db, "req-1", short_of, 100)
    assert (short(db, 600), short(db, 601)) == (None, ("tenant/day", True, "spent"))
    assert short(db, 501, at=NOON + DAY) == ("tenant/day", True, "spent")


def test_who_adds_to_an_agent_s_budget_does_not_add_to_the_operator_s_cap(db: Connection) -> None:
    caps.put(db, "acme", "tenant/month", 500, "omar", NOON)
    budget = Budget(monthly="0.0003")
    added(db, "req-1", shortage(db, 301, budget).scope, 1000)
    assert short(db, 500, budget=budget) is None
    assert short(db, 501, budget=budget) == ("tenant/month", True, "spent")


def test_who_adds_to_an_operator_s_cap_does_not_add_to_an_agent_s_budget(db: Connection) -> None:
    caps.put(db, "acme", "tenant/month", 300, "omar", NOON)
    budget = Budget(monthly="0.0005")
    added(db, "req-1", shortage(db, 301, budget).scope, 1000)
    assert short(db, 500, budget=budget) is None
    assert short(db, 501, budget=budget) == ("tenant/month", False, "spent")


def test_a_new_cap_knows_nothing_of_what_was_added_to_the_one_before(db: Connection) -> None:
    caps.put(db, "acme", "tenant/day", 500, "omar", NOON)
    before = shortage(db, 501).scope
    added(db, "req-1", before, 1000)
    caps.put(db, "acme", "tenant/day", 400, "omar", NOON + 1)
    added(db, "req-2", before, 1000)  # asked before, answered after
    assert (short(db, 400), short(db, 401)) == (None, ("tenant/day", True, "spent"))


def test_the_same_amount_again_is_the_same_cap(db: Connection) -> None:
    caps.put(db, "acme", "tenant/day", 500, "omar", NOON)
    added(db, "req-1", shortage(db, 501).scope, 100)
    caps.put(db, "acme", "tenant/day", 500, "nightly script", NOON + 1)
    assert short(db, 600) is None
    assert [(one.by, one.set_at) for one in caps.in_force(db)] == [("omar", NOON)]


def test_who_set_and_who_lifted_a_cap_is_kept(db: Connection) -> None:
    caps.put(db, "acme", "tenant/day", 500, "omar", NOON)
    caps.put(db, "acme", "tenant/day", 400, "olga", NOON + 1)
    caps.put(db, "acme", "tenant/day", None, "otto", NOON + 2)
    rows = db.execute("SELECT amount, by, set_at, lifted_by, lifted_at FROM caps ORDER BY id").fetchall()
    assert [tuple(row) for row in rows] == [
        (500, "omar", NOON, "olga", NOON + 1),
        (400, "olga", NOON + 1, "otto", NOON + 2),
    ]
    assert caps.in_force(db) == []


def test_an_alert_is_about_the_lowest_cap_and_raised_once_in_its_period(db: Connection) -> None:
    caps.put(db, "acme", "tenant/month", 500, "omar", NOON)
    caps.put(db, "acme", "tenant/day", 1000, "omar", NOON)
    budget, shares = Budget(monthly="0.001"), (Decimal("0.8"), Decimal(1))
    spend(db, "a", 450, budget=budget)
    within = scopes(budget, WHO, NOON)
    told = [(one.scope, one.threshold, one.cap, one.spent) for one in alerts.raise_due(db, within, shares, NOON)]
    assert told == [("tenant/month", "0.8", 500, 450)]
    assert alerts.raise_due(db, within, shares, NOON + 1) == []
