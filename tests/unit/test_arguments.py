"""What Claude gives becomes the values the function's types name, or is refused with the field that does not fit."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import (
    AnyUrl,
    BaseModel,
    Field,
    JsonValue,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    field_validator,
)

from tenure.errors import BadInput
from tenure.tools import Tool, ToolContext
from tenure.wire import Json
from tests.unit.test_schemas import (
    Box,
    Cat,
    Closed,
    Color,
    Dog,
    Even,
    Level,
    Movie,
    Node,
    Open,
    Pair,
    Partial,
    Pet,
    Point,
    Tree,
    Unit,
    s_aliased,
    s_reserved,
)

ROUNDS = 60  # generated values a type: 2,000 and more over the table
integers = st.integers(-(2**63), 2**63)
texts = st.text(max_size=8)
opens = st.builds(Open, street=texts, number=st.integers(1, 9))
points = st.builds(Point, x=integers, y=integers, tags=st.lists(texts, max_size=2))
cats, dogs = st.builds(Cat, kind=st.just("cat"), lives=integers), st.builds(Dog, kind=st.just("dog"))
jsons = st.recursive(
    st.none() | st.booleans() | integers | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
nodes = st.recursive(
    st.builds(Node, value=integers, children=st.just([])),
    lambda inner: st.builds(Node, value=integers, children=st.lists(inner, max_size=2)),
    max_leaves=4,
)
trees = st.recursive(integers, lambda inner: st.dictionaries(texts, inner, max_size=2), max_leaves=4)

# A type, values of it, and one value that is none.
TYPES: list[tuple[Any, st.SearchStrategy[Any], Json]] = [
    (str, texts, 1),
    (int, integers, "1"),
    (float, st.floats(allow_nan=False, allow_infinity=False), "1.0"),
    (bool, st.booleans(), 1),
    (None, st.none(), 0),
    (bytes, texts.map(str.encode), 1),
    (JsonValue, jsons, "no wrong value"),
    (Literal["a", 1, None], st.sampled_from(["a", 1, None]), "b"),
    (Color, st.sampled_from(Color), "green"),
    (Level, st.sampled_from(Level), 3),
    (Unit, st.sampled_from(Unit), "k"),
    (int | None, integers | st.none(), "1"),
    (int | str | list[bool], integers | texts | st.lists(st.booleans(), max_size=3), 1.5),
    (Open, opens, {"number": 1}),
    (Closed, st.builds(Closed, color=st.sampled_from(Color), count=st.none() | integers), {"size": 1}),
    (Node, nodes, {"value": 1, "children": [{"value": "x"}]}),
    (Tree, trees, {"a": {"b": "c"}}),
    (Box[int], st.builds(Box[int], content=integers), {"content": "a"}),
    (Pet, cats | dogs, {"kind": "cow"}),
    (Cat | Dog, cats | dogs, {"kind": "cow"}),
    (Point, points, {"x": "1"}),
    (Movie, st.fixed_dictionaries({"title": texts}, optional={"year": integers}), {"title": "a", "yaer": 1}),
    (Partial, st.fixed_dictionaries({"title": texts}, optional={"year": integers}), {"year": 1}),
    (Pair, st.builds(Pair, left=integers, right=texts), ["1", "a"]),
    (list[int], st.lists(integers, max_size=3), ["a"]),
    (list[Open], st.lists(opens, max_size=2), [{"street": 1}]),
    (set[str], st.sets(texts, max_size=3), "abc"),
    (frozenset[Color], st.frozensets(st.sampled_from(Color)), ["green"]),
    (tuple[int, str], st.tuples(integers, texts), [1]),
    (tuple[int, ...], st.lists(integers, max_size=3).map(tuple), ["a"]),
    (dict[str, int], st.dictionaries(texts, integers, max_size=3), {"a": "b"}),
    (dict[Color, Open], st.dictionaries(st.sampled_from(Color), opens), {"green": {"street": "a"}}),
    (Sequence[int], st.lists(integers, max_size=3), "abc"),
    (Mapping[str, float], st.dictionaries(texts, st.floats(-1e9, 1e9), max_size=3), [1]),
    (dt.datetime, st.datetimes(timezones=st.just(dt.UTC)) | st.datetimes(), "yesterday"),
    (dt.date, st.dates(), "2026-02-30"),
    (dt.time, st.times(), "25:00"),
    (dt.timedelta, st.timedeltas(dt.timedelta(days=-999), dt.timedelta(days=999)), "soon"),
    (uuid.UUID, st.uuids(), "1234"),
    (Decimal, st.decimals(allow_nan=False, allow_infinity=False, places=3), "a"),
    (Path, st.lists(st.text("ab./ ", max_size=4), max_size=3).map("/".join).map(Path), 1),
    (AnyUrl, st.sampled_from(["https://a.b/c?d=e", "ftp://x"]).map(AnyUrl), "a b"),
    (Even, st.integers(0, 2**50).map(lambda number: 2 * number), 3),
    (Annotated[str, StringConstraints(min_length=2)], st.text(min_size=2, max_size=5), "a"),
    (Annotated[list[int], Field(max_length=2)], st.lists(integers, max_size=2), [1, 2, 3]),
]
NAMES = [str(getattr(hint, "__name__", hint)) for hint, _, _ in TYPES]


@cache
def taking(index: int) -> Tool:
    def takes(x: Any) -> None: ...

    takes.__annotations__["x"] = TYPES[index][0]
    return Tool(takes)


@pytest.mark.parametrize("index", range(len(TYPES)), ids=NAMES)
@settings(max_examples=ROUNDS, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_value_written_as_json_comes_back_as_it_was(index: int, data: st.DataObject) -> None:
    hint, values, _ = TYPES[index]
    value = data.draw(values)
    raw = TypeAdapter(hint).dump_python(value, mode="json")
    got = taking(index).arguments({"x": json.loads(json.dumps(raw))})["x"]
    assert got == value
    assert type(got) is type(value)


def test_two_thousand_values_are_tried() -> None:
    assert len(TYPES) * ROUNDS >= 2000


@pytest.mark.parametrize("index", range(len(TYPES)), ids=NAMES)
@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(raw=jsons)
def test_any_json_is_judged_as_pydantic_judges_the_type_alone(index: int, raw: Json) -> None:
    hint, made = TYPES[index][0], taking(index)
    try:
        expected = TypeAdapter(list[hint], config={"extra": "forbid"}).validate_json(json.dumps([raw]), strict=True)[0]
    except ValidationError:
        with pytest.raises(BadInput, match=r"^x"):
            made.arguments({"x": raw})
    else:
        assert made.arguments({"x": raw}) == {"x": expected}


@pytest.mark.parametrize("index", [index for index, row in enumerate(TYPES) if row[0] is not JsonValue])
def test_a_wrong_value_is_refused_by_the_name_of_its_field(index: int) -> None:
    with pytest.raises(BadInput, match=r"^x[.:]"):
        taking(index).arguments({"x": TYPES[index][2]})


def order(ctx: ToolContext, item: Open, counts: list[int], unit: Unit = Unit.C, notes: list[str] = []) -> None: ...  # noqa: B006


@pytest.mark.parametrize(
    ("raw", "match"),
    [
        ({"item": {"street": "a"}}, r"^counts: Field required, got "),
        ({"item": {"street": 1}, "counts": []}, r"^item\.street: Input should be a valid string, got 1$"),
        ({"item": {"street": "a"}, "counts": [1, "2"]}, r"^counts\.1: Input should be a valid integer, got '2'$"),
        ({"item": {"street": "a"}, "counts": [], "ctx": {}}, r"^ctx: Extra inputs are not permitted"),
        ({"item": {"street": "a"}, "counts": [], "unit": "k"}, r"^unit: Input should be 'c' or 'f', got 'k'$"),
        ({"item": 1, "counts": [""] * 9}, r"^item: .*; counts\.0: .*; counts\.1: .* \(\+7 more\)$"),
        ({}, r"item: Field required.*; counts: Field required"),
        ([], "must be a JSON object, not list"),
        (None, "must be a JSON object, not NoneType"),
        ("{}", "must be a JSON object, not str"),
    ],
)
def test_every_field_that_does_not_fit_is_named(raw: Json, match: str) -> None:
    with pytest.raises(BadInput, match=match):
        Tool(order).arguments(raw)


def test_what_is_left_out_has_its_default_and_a_mutable_one_is_new_each_time() -> None:
    made = Tool(order)
    first = made.arguments({"item": {"street": "a"}, "counts": []})
    assert first == {"item": Open(street="a"), "counts": [], "unit": Unit.C, "notes": []}
    first["notes"].append("kept")
    assert made.arguments({"item": {"street": "a"}, "counts": []})["notes"] == []


def test_a_factory_makes_a_default_of_its_own_for_each_call() -> None:
    def stamp(key: uuid.UUID = Field(default_factory=uuid.uuid4)) -> None: ...  # noqa: B008

    made = Tool(stamp)
    assert made.arguments({})["key"] != made.arguments({})["key"]


def test_names_that_pydantic_keeps_to_itself_reach_the_function_as_they_are() -> None:
    raw = {
        "schema": "a", "json": 1, "copy": {"street": "b"}, "model_config": 2, "model_dump": 3, "_x": 4, "__y": 5,
    }  # fmt: skip
    made = Tool(s_reserved)
    assert made.arguments(raw) == {**raw, "copy": Open(street="b")}
    made(**made.arguments(raw))
    with pytest.raises(BadInput, match=r"^schema: .*; json: .*; copy\.street: .* \(\+2 more\)$"):
        made.arguments({**raw, "schema": 1, "json": "1", "copy": {}, "model_config": "2", "_x": None})


def test_an_aliased_parameter_is_given_by_its_alias_and_passed_by_its_name() -> None:
    made = Tool(s_aliased)
    assert made.arguments({"size": 3, "from": "here"}) == {"größe": 3, "from_": "here"}
    for raw in ({"größe": 3}, {"size": 3, "from_": "here"}):
        with pytest.raises(BadInput, match="Extra inputs are not permitted"):
            made.arguments(raw)


class Fragile(BaseModel):
    x: int

    @field_validator("x")
    @classmethod
    def _divide(cls, value: int) -> int:
        return {1: 1}[value]


def test_a_validator_that_breaks_is_a_refusal_and_not_a_crash() -> None:
    def takes(x: Fragile) -> None: ...

    assert Tool(takes).arguments({"x": {"x": 1}}) == {"x": Fragile(x=1)}
    with pytest.raises(BadInput, match="the types of takes raised KeyError: 2"):
        Tool(takes).arguments({"x": {"x": 2}})


@pytest.mark.parametrize("raw", [{"x": "\ud800"}, {"x": [[]] * 3}, {"x": {1: 2}}, {"x": object()}, {"x": 10**5000}])
def test_what_is_no_proper_json_is_refused(raw: Json) -> None:
    def takes(x: str) -> None: ...

    with pytest.raises(BadInput):
        Tool(takes).arguments(raw)


def _deep(levels: int) -> Json:
    value: Json = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("function", [lambda x: None])
def test_nesting_without_end_is_refused(function: Callable[..., None]) -> None:
    function.__annotations__["x"] = JsonValue
    with pytest.raises(BadInput):
        Tool(function, name="takes").arguments({"x": _deep(100_000)})
