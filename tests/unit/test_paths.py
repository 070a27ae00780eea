"""A path names fields of a tool's result: what it selects, and which paths are refused where they are declared."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.errors import ConfigError
from tenure.trust.paths import check, parse, select
from tenure.wire import Json, JsonObject

RESULT: JsonObject = {
    "id": 7,
    "customer": {"id": "c1", "name": "Alice", "first name": "Al", "größe": 3},
    "tickets": [{"id": 1, "tags": ["a", "b"]}, {"id": 2, "tags": []}, {"note": "no id"}, "no object"],
    "matrix": [[1, 2], [3], 4],
    "nothing": None,
}


@pytest.mark.parametrize(
    ("path", "steps", "found"),
    [
        ("*", (), [RESULT]),
        ("id", ("id",), [7]),
        ("customer", ("customer",), [RESULT["customer"]]),
        ("customer.id", ("customer", "id"), ["c1"]),
        ("customer.first name", ("customer", "first name"), ["Al"]),
        ("customer.größe", ("customer", "größe"), [3]),
        ("tickets", ("tickets",), [RESULT["tickets"]]),
        ("tickets[]", ("tickets", "[]"), RESULT["tickets"]),
        ("tickets[].id", ("tickets", "[]", "id"), [1, 2]),
        ("tickets[].tags[]", ("tickets", "[]", "tags", "[]"), ["a", "b"]),
        ("matrix[][]", ("matrix", "[]", "[]"), [1, 2, 3]),
        ("$.a", ("$", "a"), []),
        ("nothing", ("nothing",), [None]),
        ("nothing.id", ("nothing", "id"), []),
        ("id.id", ("id", "id"), []),
        ("customer[]", ("customer", "[]"), []),
        ("gone", ("gone",), []),
        ("[]", ("[]",), []),
        ("[].id", ("[]", "id"), []),
    ],
)
def test_a_path_leads_to_what_it_says(path: str, steps: tuple[str, ...], found: list[Json]) -> None:
    assert parse(path) == steps
    assert select(RESULT, path) == found


def test_a_path_may_begin_inside_a_list() -> None:
    assert select([{"name": "a"}, {"name": "b"}], "[].name") == ["a", "b"]
    assert select([[1], [2, 3]], "[][]") == [1, 2, 3]
    assert select("text", "*") == ["text"]


@pytest.mark.parametrize(
    "path",
    [
        "", " ", ".", "..", "a.", ".a", "a..b", "a.*", "*.a", "**", "a*", "a[0]", "a[", "a]", "[a]", "[", "[]a", "a[]b", "a.[]",
        "a. b", "a ", " a", "a\n", "a.b\n", "[]*", "*[]", "[].", "a[].", "[ ]",
    ],
)  # fmt: skip
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(ConfigError, match="is no path into a result: write keys joined by dots"):
        parse(path)
    with pytest.raises(ConfigError, match="is no path"):
        check(path, {})
    with pytest.raises(ConfigError, match="is no path"):
        select({}, path)


keys = st.text(st.characters(exclude_characters=".[]*", exclude_categories=("Cc", "Cs", "Z")), min_size=1, max_size=4)
values = st.recursive(
    st.none() | st.integers() | keys,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)


def places(value: Json, path: str = "") -> list[tuple[str, Json]]:
    """Every place inside, with the path that leads to it and to its like."""
    if isinstance(value, dict):
        inner = [(f"{path}.{key}" if path else key, one) for key, one in value.items()]
    else:
        inner = [(f"{path}[]", one) for one in value] if isinstance(value, list) else []
    return [(path or "*", value), *(found for below, one in inner for found in places(one, below))]


@given(values)
def test_every_place_is_found_by_its_path_and_nothing_else_is(value: Json) -> None:
    found = places(value)
    for path in {path for path, _ in found}:
        expected = [one for at, one in found if at == path]
        assert select(value, path) == expected
        check(path, {})


PERSON: JsonObject = {"type": "object", "properties": {"name": {"type": "string"}, "boss": {"$ref": "#/$defs/Person"}}}
SCHEMA: JsonObject = {
    "$defs": {"Person": PERSON, "Names": {"type": "array", "items": {"type": "string"}}},
    "type": "object",
    "properties": {
        "id": {"type": "integer"},
        "kind": {"enum": ["a", "b"]},
        "only": {"const": 1},
        "people": {"type": "array", "items": {"$ref": "#/$defs/Person"}},
        "boss": {"anyOf": [{"$ref": "#/$defs/Person"}, {"type": "null"}]},
        "either": {"oneOf": [{"$ref": "#/$defs/Person"}, {"$ref": "#/$defs/Names"}]},
        "pair": {"type": "array", "prefixItems": [{"type": "integer"}, {"$ref": "#/$defs/Person"}]},
        "empty": {"type": "object", "properties": {}},
        "open": {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": True},
        "by_name": {"type": "object", "additionalProperties": {"$ref": "#/$defs/Person"}},
        "by_pattern": {"type": "object", "patternProperties": {"^a": {"$ref": "#/$defs/Person"}}},
        "free": {"type": "object"},
        "list": {"type": "array"},
        "anything": {},
        "yes": True,
    },
}


@pytest.mark.parametrize(
    "path",
    [
        "*", "id", "people", "people[]", "people[].name", "people[].boss.boss.name", "boss.name", "either.name", "either[]",
        "pair[].name", "open.a", "open.b", "by_name.x.name", "by_pattern.ax.name", "free.a.b[].c", "list[].a", "list[][]",
        "anything.a.b", "anything[]", "yes.a",
    ],
)  # fmt: skip
def test_a_path_that_the_declared_result_can_have_is_accepted(path: str) -> None:
    check(path, SCHEMA)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("idd", "'idd': the result has no 'idd': did you mean 'id'?"),
        ("xyz", "the result has no 'xyz': it has anything, boss, by_name, "),
        ("people[].nam", "'people[].nam': an element of `people` has no 'nam': did you mean 'name'?"),
        ("people.name", "`people` has no fields, so no 'name': write `[]` before the key"),
        ("people[].boss.bos", "`boss` has no 'bos': did you mean 'boss'?"),
        ("boss.nme", "`boss` has no 'nme': did you mean 'name'?"),
        ("by_name.x.nam", "`x` has no 'nam': did you mean 'name'?"),
        ("empty.a", "`empty` has no fields, so no 'a'"),
        ("id.a", "`id` has no fields, so no 'a'"),
        ("kind.a", "`kind` has no fields, so no 'a'"),
        ("only[]", "`only` is no list: leave out `[]`"),
        ("id[]", "`id` is no list: leave out `[]`"),
        ("boss[]", "`boss` is no list: leave out `[]`"),
        ("[].id", "the result is no list: leave out `[]`"),
    ],
)
def test_a_path_that_the_declared_result_cannot_have_is_refused_and_the_nearest_named(path: str, told: str) -> None:
    with pytest.raises(ConfigError) as raised:
        check(path, SCHEMA)
    assert told in str(raised.value)
