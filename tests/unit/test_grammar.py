"""Permissions and levels: what a line of policy means, and that it never means more than it says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.errors import ConfigError
from tenure.trust import level
from tenure.trust.grammar import Condition, Permission, parse

SCALARS = st.none() | st.booleans() | st.integers(-50, 50) | st.floats(-50, 50) | st.text("abc", max_size=3)
OPS = st.sampled_from(["==", "!=", "<=", ">=", "<", ">"])
CONDITIONS = st.builds(Condition, st.sampled_from(["a", "b", "a.c"]), OPS, SCALARS) | st.builds(
    Condition, st.sampled_from(["a", "b"]), st.sampled_from(["in", "not in"]), st.lists(SCALARS, max_size=3)
)
ARGUMENTS = st.dictionaries(st.sampled_from(["a", "b"]), SCALARS | st.dictionaries(st.just("c"), SCALARS), max_size=2)
PERMISSIONS = st.builds(Permission, st.just("t"), st.lists(CONDITIONS, max_size=3).map(tuple))


@pytest.mark.parametrize(
    ("text", "arguments", "allows", "restricts"),
    [
        ("refund", {}, True, True),
        ("refund(amount <= 100)", {"amount": 100}, True, True),
        ("refund(amount <= 100)", {"amount": 100.01}, False, False),
        ("refund(amount <= 100)", {}, False, True),
        ("refund(amount <= 100)", {"amount": "7"}, False, True),
        ("refund(amount <= 100)", {"amount": True}, False, True),
        ("pay(currency in ['EUR', 'USD'], amount < 5)", {"currency": "USD", "amount": 4}, True, True),
        ("pay(currency in ['EUR', 'USD'])", {"currency": "GBP"}, False, False),
        ("pay(currency not in ['EUR'])", {"currency": "GBP"}, True, True),
        ("pay(to.country == 'CH')", {"to": {"country": "CH"}}, True, True),
        ("pay(to.country == 'CH')", {"to": {}}, False, True),
        ("pay(note == 'a, b')", {"note": "a, b"}, True, True),
        ("pay(urgent == true, reason == null)", {"urgent": True, "reason": None}, True, True),
    ],
)
def test_what_allows_needs_every_condition_and_what_restricts_needs_none_to_be_false(
    text: str, arguments: dict[str, Any], allows: bool, restricts: bool
) -> None:
    permission = parse(text)
    assert (permission.allows(arguments), permission.restricts(arguments)) == (allows, restricts)


@given(PERMISSIONS, ARGUMENTS)
def test_whatever_is_allowed_would_also_be_restricted(permission: Permission, arguments: dict[str, Any]) -> None:
    assert permission.restricts(arguments) or not permission.allows(arguments)


@given(PERMISSIONS, CONDITIONS, ARGUMENTS)
def test_one_more_condition_never_allows_more(
    permission: Permission, more: Condition, arguments: dict[str, Any]
) -> None:
    narrower = Permission(permission.pattern, (*permission.conditions, more))
    assert permission.allows(arguments) or not narrower.allows(arguments)


@given(PERMISSIONS, ARGUMENTS, st.sampled_from(["a", "b"]))
def test_leaving_an_argument_out_never_gains_anything(
    permission: Permission, arguments: dict[str, Any], dropped: str
) -> None:
    fewer = {name: value for name, value in arguments.items() if name != dropped}
    asked = any(condition.argument.startswith(dropped) for condition in permission.conditions)
    if asked:
        assert not permission.allows(fewer)
    assert permission.restricts(fewer) or not permission.restricts(arguments)


@pytest.mark.parametrize(
    "text",
    ["", "re*fund", "refund(", "refund()", "refund(amount)", "refund(amount = 3)", "refund(amount <= )",
     "refund(amount in 3)", "refund(amount <= [3])", "refund(amount <= other)", "refund(amount <= {})", "a b"],
)  # fmt: skip
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse(text)


@given(st.integers(0, 10))
def test_a_level_is_read_as_it_is_shown(tenths: int) -> None:
    assert level.read("x", level.shown(tenths)) == tenths
    assert level.read("x", tenths / 10) == tenths


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (0.35, "nearest is 0.4"),
        (1.1, "outside 0 to 1"),
        (-0.1, "outside"),
        (True, "no level"),
        ("high", "no level"),
        (float("nan"), "outside"),
    ],
)
def test_a_level_off_the_grid_is_refused_with_the_nearest(wrong: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        level.read("initial", wrong)
