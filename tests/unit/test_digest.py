"""Digests bind what was seen: equal values have equal digests, different values do not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.approvals.digest import call_digest, digest, effect_key
from tenure.errors import BadInput

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4) | st.just("$int"), inner, max_size=3)
    ),
    max_leaves=6,
)


def same(one: object, other: object) -> bool:
    """Equal as JSON: numbers by value, but a bool is no number."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return type(one) is type(other) and one == other


@given(JSON, JSON)
def test_two_values_share_a_digest_only_if_they_are_the_same(one: object, other: object) -> None:
    if digest(one) == digest(other):
        # RFC 8785 writes numbers as doubles: 1 and 1.0 are one number, and are one argument to any JSON reader.
        assert same(one, other) or str(one).replace(".0", "") == str(other).replace(".0", "") or one == other


@given(st.integers(min_value=2**53, max_value=2**70))
def test_integers_beyond_2_to_the_53_are_told_apart_to_the_last_digit(number: int) -> None:
    assert digest(number) != digest(number + 1)
    assert digest(number) != digest(str(number))
    assert digest(number) != digest({"$int": str(number)})


@given(st.dictionaries(st.text(max_size=5), st.integers(), max_size=6), st.randoms())
def test_the_order_of_keys_does_not_matter(value: dict[str, int], random: object) -> None:
    items = list(value.items())
    random.shuffle(items)  # pyright: ignore[reportAttributeAccessIssue]  # hypothesis gives a random.Random
    assert digest(dict(items)) == digest(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800", object()])
def test_what_has_no_canonical_form_is_named(value: object) -> None:
    with pytest.raises(BadInput, match="no canonical JSON form"):
        digest(value)


def test_a_call_is_bound_to_its_place_its_tool_and_its_arguments() -> None:
    base = ("acme", "acme:run:a:1", 3, "pay", {"order": "o1"})
    changed = [
        ("beta", *base[1:]),
        ("acme", "other", *base[2:]),
        (*base[:2], 4, *base[3:]),
        (*base[:3], "refund", base[4]),
    ]
    digests = {call_digest(*base), *(call_digest(*other) for other in changed), call_digest(*base[:4], {"order": "o2"})}  # pyright: ignore[reportArgumentType]
    assert len(digests) == 6
    assert effect_key("acme", "w", 3, "d") != effect_key("acme", "w", 4, "d")
