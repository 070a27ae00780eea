"""What Claude is told of a function's parameters means what pydantic says of their types."""

from __future__ import annotations

import datetime as dt
import inspect
import json
import subprocess
import sys
import typing
import uuid
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    NotRequired,
    Optional,
    Required,
    TypeVar,
    Union,
)

import annotated_types
import pytest
from pydantic import (
    AnyUrl,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    HttpUrl,
    JsonValue,
    StringConstraints,
    TypeAdapter,
)
from typing_extensions import TypeAliasType, TypedDict

from tenure.tools import Tool, ToolContext
from tenure.wire import Json, JsonObject

T = TypeVar("T")


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Unit(StrEnum):
    C = "c"
    F = "f"


class Closed(BaseModel):
    """Takes nothing unknown."""

    model_config = ConfigDict(extra="forbid")

    color: Color = Field(default=Color.RED, description="which one")
    count: int | None = None


class Open(BaseModel):
    street: str
    number: int = Field(default=1, ge=1)


class Node(BaseModel):
    value: int
    children: list[Node] = []


class ClosedNode(BaseModel):
    model_config = ConfigDict(extra="forbid")

    below: ClosedNode | None


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"]


class Box(BaseModel, Generic[T]):
    content: T


@dataclass
class Point:
    x: int
    y: int = 0
    tags: list[str] = field(default_factory=list[str])


class Movie(TypedDict):
    title: str
    year: NotRequired[int]


class Partial(TypedDict, total=False):
    title: Required[str]
    year: int


class Pair(NamedTuple):
    left: int
    right: str = "r"


Tree = TypeAliasType("Tree", "dict[str, Tree] | int")
UserId = NewType("UserId", str)
Even = Annotated[int, Field(multiple_of=2), annotated_types.Ge(0)]
Pet = Annotated[Cat | Dog, Field(discriminator="kind")]


# fmt: off
def s_text(x: str) -> None: ...
def s_int(x: int) -> None: ...
def s_float(x: float) -> None: ...
def s_bool(x: bool) -> None: ...
def s_none(x: None) -> None: ...
def s_bytes(x: bytes) -> None: ...
def s_any(x: Any) -> None: ...
def s_object(x: object) -> None: ...
def s_json(x: JsonValue) -> None: ...
def s_literal(x: Literal["a", "b"]) -> None: ...
def s_literal_mixed(x: Literal["a", 1, None]) -> None: ...
def s_literal_one(x: Literal["only"]) -> None: ...
def s_enum(x: Color) -> None: ...
def s_int_enum(x: Level = Level.LOW) -> None: ...
def s_str_enum(x: Unit = Unit.C) -> None: ...
def s_optional(x: Optional[int]) -> None: ...  # noqa: UP045
def s_optional_default(x: int | None = None) -> None: ...
def s_union(x: Union[int, str, list[bool]]) -> None: ...  # noqa: UP007
def s_union_pep604(x: int | str) -> None: ...
def s_union_models(x: Cat | Dog) -> None: ...
def s_discriminated(x: Pet) -> None: ...
def s_discriminated_later(x: Annotated[Cat | Dog, Discriminator("kind")]) -> None: ...
def s_model(x: Open) -> None: ...
def s_model_closed(x: Closed, y: Closed) -> None: ...
def s_model_default(x: Open = Open(street="Main")) -> None: ...  # noqa: B008
def s_model_recursive(x: Node) -> None: ...
def s_model_generic(x: Box[int], y: Box[str]) -> None: ...
def s_alias_recursive(x: Tree) -> None: ...
def s_dataclass(x: Point) -> None: ...
def s_typed_dict(x: Movie) -> None: ...
def s_typed_dict_partial(x: Partial) -> None: ...
def s_named_tuple(x: Pair) -> None: ...
def s_list(x: list[int]) -> None: ...
def s_list_bare(x: list) -> None: ...
def s_list_mutable_default(x: list[int] = []) -> None: ...  # noqa: B006
def s_list_models(x: list[Open]) -> None: ...
def s_set(x: set[str]) -> None: ...
def s_set_default(x: set[str] = {"a", "b", "c"}) -> None: ...  # noqa: B006
def s_frozenset(x: frozenset[Color]) -> None: ...
def s_tuple(x: tuple[int, str]) -> None: ...
def s_tuple_open(x: tuple[int, ...]) -> None: ...
def s_dict(x: dict[str, int]) -> None: ...
def s_dict_bare(x: dict) -> None: ...
def s_dict_models(x: dict[Color, Open]) -> None: ...
def s_sequence(x: Sequence[int]) -> None: ...
def s_mapping(x: Mapping[str, float]) -> None: ...
def s_nested(x: list[dict[str, tuple[int, Open | None]]]) -> None: ...
def s_datetime(x: dt.datetime, y: dt.date, z: dt.time, w: dt.timedelta = dt.timedelta(minutes=1)) -> None: ...
def s_uuid(x: uuid.UUID) -> None: ...
def s_decimal(x: Decimal = Decimal("1.5")) -> None: ...
def s_path(x: Path) -> None: ...
def s_url(x: HttpUrl, y: AnyUrl) -> None: ...
def s_constrained(x: Even) -> None: ...
def s_field_range(x: Annotated[int, Field(ge=1, le=10, description="one to ten")]) -> None: ...
def s_string_constraints(x: Annotated[str, StringConstraints(min_length=2, pattern="^a")]) -> None: ...
def s_annotated_length(x: Annotated[list[int], annotated_types.Len(1, 3)]) -> None: ...
def s_inner_constraint(x: list[Annotated[str, Field(max_length=3)]]) -> None: ...
def s_field_default(x: int = Field(3, gt=0)) -> None: ...
def s_field_required(x: int = Field(gt=0)) -> None: ...
def s_field_factory(x: list[int] = Field(default_factory=list)) -> None: ...  # noqa: B008
def s_annotated_factory(x: Annotated[list[int], Field(default_factory=list)]) -> None: ...
def s_annotated_default(x: Annotated[int, Field(default=7)], y: str) -> None: ...
def s_none_default(x: int = None) -> None: ...  # noqa: RUF013
def s_default_no_json(x: object = object(), y: float = float("inf")) -> None: ...
def s_new_type(x: UserId) -> None: ...
def s_type_var(x: T) -> None: ...  # pyright: ignore
def s_keyword_only(x: int, *, y: str = "a", z: bool) -> None: ...
def s_nothing() -> None: ...
def s_context(ctx: ToolContext, x: int) -> None: ...
def s_context_optional(ctx: ToolContext | None = None, *, x: int = 1) -> None: ...
def s_context_positional(ctx: ToolContext, /, x: int) -> None: ...
def s_reserved(schema: str, json: int, copy: Open, model_config: int, model_dump: int, _x: int, __y: int = 1) -> None: ...
def s_reserved_and_free(schema: str, the_schema: int, dict: float = 1.0, construct: bool = True) -> None: ...
def s_aliased(größe: Annotated[int, Field(alias="size")], from_: Annotated[str, Field(alias="from")] = "") -> None: ...  # noqa: PLC2401
def s_field_names_types(date: dt.date, int: int, list: list[str]) -> None: ...
async def s_async(x: int) -> None: ...
# fmt: on

SIGNATURES: list[Callable[..., Any]] = [function for name, function in list(globals().items()) if name.startswith("s_")]
NOT_CLAUDES = {"ctx"}
IGNORED = {"title", "description", "default"}  # where these stand, and whose word counts, differs by construction


def resolved(node: Json, defs: JsonObject, inside: tuple[str, ...] = ()) -> Json:
    """The schema with its references written out; a recursive one becomes the number of levels it goes back."""
    if isinstance(node, list):
        return [resolved(one, defs, inside) for one in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        name = node["$ref"].removeprefix("#/$defs/")
        if name in inside:
            return {"back": len(inside) - inside.index(name)}
        rest = {key: value for key, value in node.items() if key != "$ref"}
        return {**resolved(defs[name], defs, (*inside, name)), **resolved(rest, defs, inside)}
    return {key: resolved(value, defs, inside) for key, value in node.items() if key not in {"$defs", "mapping"}}


def meaning(node: Json) -> Json:
    """Without annotations; a property may well be called `title`."""
    if isinstance(node, list):
        return [meaning(one) for one in node]
    if not isinstance(node, dict):
        return node
    kept = {key: value for key, value in node.items() if key not in IGNORED}
    return {
        key: {name: meaning(one) for name, one in value.items()} if key == "properties" else meaning(value)
        for key, value in kept.items()
    }


def shown_name(hint: Any, parameter: str) -> str:
    given = [entry.alias for entry in getattr(hint, "__metadata__", ()) if getattr(entry, "alias", None)]
    return given[-1] if given else parameter


def has_default(hint: Any, parameter: inspect.Parameter) -> bool:
    own = parameter.default
    if hasattr(own, "is_required"):  # a pydantic Field
        return not own.is_required()
    annotated = [entry for entry in getattr(hint, "__metadata__", ()) if hasattr(entry, "is_required")]
    return own is not parameter.empty or any(not entry.is_required() for entry in annotated)


def reference(hint: Any) -> JsonObject:
    """pydantic's own schema of the type, where nothing unknown is accepted: an element of a list inherits that setting."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an alias means nothing there
        whole = TypeAdapter(list[hint], config=ConfigDict(extra="forbid")).json_schema()
    return {**whole["items"], "$defs": whole.get("$defs", {})}


@pytest.mark.parametrize("function", SIGNATURES, ids=lambda function: function.__name__)
def test_the_schema_means_what_pydantic_says_of_each_parameter(function: Callable[..., Any]) -> None:
    given = Tool(function).manifest["input_schema"]
    hints = typing.get_type_hints(function, include_extras=True)
    parameters = {key: one for key, one in inspect.signature(function).parameters.items() if key not in NOT_CLAUDES}
    assert (given["type"], given["additionalProperties"]) == ("object", False)
    assert list(given["properties"]) == [shown_name(hints[key], key) for key in parameters]
    for key, parameter in parameters.items():
        hint = hints[key] if not hasattr(parameter.default, "metadata") else Annotated[hints[key], parameter.default]
        expected = reference(hint)
        shown = given["properties"][shown_name(hints[key], key)]
        ours, theirs = resolved(shown, given.get("$defs", {})), resolved(expected, expected.get("$defs", {}))
        assert meaning(ours) == meaning(theirs), key
    required = [shown_name(hints[key], key) for key, one in parameters.items() if not has_default(hints[key], one)]
    assert given.get("required", []) == required


NO_CALL_SCHEMA = {"s_annotated_default", "s_context", "s_context_optional", "s_context_positional"}


@pytest.mark.parametrize("function", SIGNATURES, ids=lambda function: function.__name__)
def test_the_schema_means_what_pydantic_says_of_a_call_of_the_function(function: Callable[..., Any]) -> None:
    if function.__name__ in NO_CALL_SCHEMA:
        return  # pydantic has none: for our context, and for a default that stands before a parameter without one
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of defaults that are no JSON
        expected = TypeAdapter(function, config=ConfigDict(extra="forbid")).json_schema()
    given = Tool(function).manifest["input_schema"]
    ours, theirs = resolved(given, given.get("$defs", {})), resolved(expected, expected.get("$defs", {}))
    assert meaning(ours) == meaning(theirs)


def test_enough_signatures_are_compared() -> None:
    assert len(SIGNATURES) >= 70


@pytest.mark.parametrize("function", SIGNATURES, ids=lambda function: function.__name__)
def test_the_schema_can_be_sent(function: Callable[..., Any]) -> None:
    json.dumps(Tool(function).manifest, allow_nan=False, ensure_ascii=False).encode()


def test_the_comparison_can_fail() -> None:
    one, other = TypeAdapter(Node).json_schema(), TypeAdapter(Open).json_schema()
    assert meaning(resolved(one, one["$defs"])) != meaning(resolved(other, {}))
    assert meaning({"properties": {"title": {"title": "x"}}}) == {"properties": {"title": {}}}


def test_hints_read_the_same_whether_or_not_their_evaluation_is_postponed() -> None:
    source = "def f(x: int | None, y: Annotated[list[str], Field(max_length=2)] = []) -> None: ..."
    made: list[JsonObject] = []
    for head in ("", "from __future__ import annotations\n"):
        names: dict[str, Any] = {"Annotated": Annotated, "Field": Field}
        exec(compile(head + source, "<test>", "exec", dont_inherit=True), names)
        made.append(Tool(names["f"]).manifest)
    assert made[0] == made[1]


def test_defaults_are_told_and_those_json_cannot_hold_are_only_left_out() -> None:
    def defaults(
        unit: Unit = Unit.F,
        at: dt.timedelta = dt.timedelta(minutes=1),
        none: int | None = None,
        most: float = float("inf"),
        what: object = NOT_CLAUDES,
        colors: frozenset[Color] = frozenset(Color),
    ) -> None: ...

    properties = Tool(defaults).manifest["input_schema"]["properties"]
    told = {key: value.get("default", "left out") for key, value in properties.items()}
    assert told == {
        "unit": "f", "at": "PT1M", "none": None, "most": "left out", "what": ["ctx"], "colors": ["blue", "red"],
    }  # fmt: skip


def test_the_fingerprint_of_a_tool_is_the_same_in_every_process() -> None:
    program = (
        "import enum, hashlib, json\nfrom tenure.tools import Tool\n"
        "Color = enum.Enum('Color', 'RED BLUE GREEN BLACK')\n"
        "def f(x: frozenset[Color] = frozenset(Color), y: set[str] = {'a', 'b', 'c', 'd'}): ...\n"
        "print(json.dumps(Tool(f).manifest))"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(seen) == 1
