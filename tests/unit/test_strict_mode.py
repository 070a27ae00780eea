"""Which tools are sent in strict mode: those it can hold whole, as many as a request may have."""

from __future__ import annotations

import datetime as dt
import inspect
import json
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, HttpUrl

from tenure import schema
from tenure.tools import Tool, manifests
from tenure.wire import Json
from tests.unit.test_schemas import (
    Closed,
    ClosedNode,
    Color,
    Dog,
    Movie,
    Partial,
    Pet,
    Point,
    meaning,
    resolved,
    s_text,
)


class Allowing(BaseModel):
    model_config = ConfigDict(extra="allow")

    x: int


# fmt: off
def y_plain(x: str, y: int, z: bool = True) -> None: ...
def y_enum(x: Color = Color.RED, y: Literal["a", None] = None, z: Literal[3] = 3) -> None: ...
def y_formats(a: uuid.UUID, b: dt.datetime, c: dt.date, d: dt.time, e: dt.timedelta) -> None: ...
def y_lists(x: list[int], y: tuple[str, ...], z: Annotated[list[int], Field(min_length=1)]) -> None: ...
def y_unions(x: int | None, y: str | list[bool] = "") -> None: ...
def y_closed(x: Closed, y: list[Closed]) -> None: ...
def y_dataclass(x: Point) -> None: ...
def y_typed_dict(x: Movie, y: Partial) -> None: ...
def y_decimal(x: Decimal) -> None: ...
def y_nothing() -> None: ...

def n_ignoring(x: Dog) -> None: ...
def n_allowing(x: Allowing) -> None: ...
def n_recursive(x: ClosedNode) -> None: ...
def n_dict(x: dict[str, int]) -> None: ...
def n_any(x: Any) -> None: ...
def n_list_of_any(x: list[Any]) -> None: ...
def n_tuple(x: tuple[int, str]) -> None: ...
def n_set(x: set[int]) -> None: ...
def n_range(x: Annotated[int, Field(ge=1)]) -> None: ...
def n_multiple(x: Annotated[int, Field(multiple_of=2)]) -> None: ...
def n_length(x: Annotated[str, Field(max_length=3)]) -> None: ...
def n_pattern(x: Annotated[str, Field(pattern="^a$")]) -> None: ...
def n_items(x: Annotated[list[int], Field(min_length=2)]) -> None: ...
def n_most_items(x: Annotated[list[int], Field(max_length=2)]) -> None: ...
def n_decimal(x: Annotated[Decimal, Field(ge=0)]) -> None: ...
def n_path(x: Path) -> None: ...
def n_url(x: HttpUrl) -> None: ...
def n_bytes(x: bytes) -> None: ...
def n_one_of(x: Pet) -> None: ...
def n_examples(x: Annotated[int, Field(examples=[1])]) -> None: ...
def n_one_inside(a: int, x: list[dict[str, str] | None]) -> None: ...
# fmt: on

STRICT = [(one, name[0] == "y") for name, one in list(globals().items()) if name.startswith(("y_", "n_"))]


@pytest.mark.parametrize(("function", "strict"), STRICT, ids=lambda case: getattr(case, "__name__", ""))
def test_strict_mode_is_claimed_for_what_it_can_hold_whole_and_nothing_else(function: Any, strict: bool) -> None:
    made = Tool(function)
    (sent,) = manifests([made])
    assert sent.get("strict", False) is strict
    theirs, ours = sent["input_schema"], made.manifest["input_schema"]
    assert (
        meaning(resolved(theirs, {})) == meaning(resolved(ours, ours.get("$defs", {})))
        if strict
        else sent == made.manifest
    )
    assert "strict" not in made.manifest


def test_a_strict_schema_has_no_references_and_keeps_what_stood_beside_them() -> None:
    def paint(x: Closed, y: Color = Color.BLUE) -> None:
        """Paint.

        Args:
            x: what
            y: how
        """

    sent = json.dumps(manifests([Tool(paint)])[0])
    assert "$ref" not in sent and "$defs" not in sent
    properties = json.loads(sent)["input_schema"]["properties"]
    assert properties["x"]["description"] == "what\n\nTakes nothing unknown."
    assert (properties["y"]["default"], properties["y"]["description"]) == ("blue", "how")
    assert (properties["x"]["properties"]["color"]["description"]) == "which one"


def test_what_the_client_itself_would_send_in_strict_mode_keeps_every_constraint() -> None:
    """The client moves what strict mode lacks into descriptions: of a schema in strict form it has nothing to move but defaults."""
    from anthropic.lib._parse._transform import transform_schema

    for function, strict in STRICT:
        if strict:
            form = schema.strict_form(Tool(function).manifest["input_schema"])
            assert form is not None
            assert meaning(transform_schema(form)) == meaning(without_types_beside_values(form))


def without_types_beside_values(node: Json) -> Json:
    """The client leaves out the type where the values themselves are listed."""
    if isinstance(node, list):
        return [without_types_beside_values(one) for one in node]
    if not isinstance(node, dict):
        return node
    listed = "enum" in node or "const" in node
    return {key: without_types_beside_values(value) for key, value in node.items() if not (listed and key == "type")}


def many(count: int, effect: str, annotation: Any, default: Any = inspect.Parameter.empty) -> list[Tool]:
    made: list[Tool] = []
    for index in range(count):

        def numbered(x: Any) -> None: ...

        numbered.__annotations__["x"] = annotation
        if default is not inspect.Parameter.empty:
            numbered.__defaults__ = (default,)
        made.append(Tool(numbered, name=f"{effect}_{index}", effect=effect))  # pyright: ignore[reportArgumentType]
    return made


@pytest.mark.parametrize(
    ("annotation", "default", "most"),
    [(int, inspect.Parameter.empty, 20), (int, 1, 20), (int | None, inspect.Parameter.empty, 16)],
)
def test_the_limits_of_a_request_hold_and_tools_that_change_the_world_are_served_first(
    annotation: Any, default: Any, most: int
) -> None:
    tools = many(15, "read", annotation, default) + many(10, "write", annotation, default)
    sent = manifests(tools)
    strict = [one["name"] for one in sent if one.get("strict")]
    assert [one["name"] for one in sent] == [one.name for one in tools]
    assert len(strict) == most
    assert {one.name for one in tools if one.name.startswith("write")} <= set(strict)
    assert strict[: most - 10] == [f"read_{index}" for index in range(most - 10)]
    assert manifests(tools) == sent


def test_optional_parameters_are_counted_over_all_tools_and_one_that_is_too_large_leaves_room_for_others() -> None:
    def ten(a: int = 0, b: int = 0, c: int = 0, d: int = 0, e: int = 0, f: int = 0, g: int = 0, h: int = 0) -> None: ...
    def inside(x: Closed) -> None: ...

    assert schema.strict_cost(Tool(ten).manifest["input_schema"]) == (1, 8, 0)
    form = schema.strict_form(Tool(inside).manifest["input_schema"])
    assert form is not None and schema.strict_cost(form) == (1, 2, 1)
    tools = [Tool(ten, name=f"t{index}") for index in range(4)] + [Tool(s_text)]
    assert [bool(one.get("strict")) for one in manifests(tools)] == [True, True, True, False, True]
    assert manifests([]) == []
