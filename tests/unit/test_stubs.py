"""Stubs: tools and inputs as declarations that the sandbox's type checker reads."""

from __future__ import annotations

import ast
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.learn.program import Signature
from tenure.learn.stubs import HEAD, stubs_of
from tenure.runtime.monty import signature_of
from tests.unit.learned import OFFICE, TEXTS


def test_a_tool_is_a_function_of_keyword_arguments() -> None:
    assert stubs_of([signature_of(tool) for tool in OFFICE], {"ids": TEXTS}) == HEAD + (
        "class _get_order_result(TypedDict):\n"
        "    id: str\n"
        "    status: Literal['open', 'closed']\n"
        "    note: str | None\n"
        "    items: list[_get_order_result_Part]\n"
        "class _get_order_result_Part(TypedDict):\n"
        "    sku: str\n"
        "    parts: list[_get_order_result_Part]\n"
        "def get_order(*, order_id: str, full: bool = ...) -> _get_order_result: ...\n"
        "def cancel_order(*, order_id: str, reason: Literal['late', 'damaged'], tags: list[str] | None = ...)"
        " -> dict[str, Any]: ...\n"
        "def send_mail(*, to: str, amount: float = ...) -> dict[str, Any]: ...\n"
        "ids: list[str]\n"
    )


@pytest.mark.parametrize(
    ("schema", "shape"),
    [
        ({}, "Any"),
        ({"type": "integer"}, "int"),
        ({"type": ["string", "null"]}, "str | None"),
        ({"enum": ["a", 1, None]}, "Literal['a', 1, None]"),
        ({"enum": ["a", 1.5]}, "Literal['a'] | float"),
        ({"const": "a"}, "Literal['a']"),
        ({"anyOf": [{"type": "string"}, {}]}, "Any"),
        ({"type": "array"}, "list[Any]"),
        ({"type": "object"}, "dict[str, Any]"),
        ({"type": "object", "additionalProperties": {"type": "number"}}, "dict[str, float]"),
        ({"type": "object", "properties": {"a-b": {}}}, "dict[str, Any]"),
        ({"type": "object", "properties": {"str": {}}}, "dict[str, Any]"),
        ({"$ref": "#/$defs/Missing"}, "Any"),
        ({"type": "tuple"}, "Any"),
    ],
)
def test_a_schema_is_a_type_or_anything(schema: dict[str, Any], shape: str) -> None:
    assert stubs_of([], {"x": schema}).splitlines()[-1] == f"x: {shape}"


def test_what_is_not_required_may_be_missing() -> None:
    told = stubs_of([], {"x": {"type": "object", "properties": {"a": {"type": "string"}}}})
    assert "    a: NotRequired[str]\n" in told


@pytest.mark.parametrize("name", ["mcp__github__get-issue", "class", "list", "filter", "__import__", "Any"])
def test_a_tool_that_a_program_cannot_call_is_left_out(name: str) -> None:
    assert stubs_of([Signature(name)]) == HEAD


def test_an_argument_that_is_no_name_may_still_be_given() -> None:
    takes = {"properties": {"from": {"type": "string"}, "to": {"type": "string"}}, "required": ["from", "to"]}
    assert stubs_of([Signature("send", takes)]).endswith("def send(*, to: str, **others: Any) -> Any: ...\n")


SCHEMAS = st.recursive(
    st.sampled_from([{}, {"type": "string"}, {"$ref": "#/$defs/A"}, {"const": "'\n)"}, True, {"type": 3}]),
    lambda inner: st.one_of(
        inner.map(lambda one: {"type": "array", "items": one}),
        st.dictionaries(st.text(max_size=3), inner, max_size=3).map(
            lambda some: {"type": "object", "properties": some}
        ),
        st.lists(inner, min_size=1, max_size=3).map(lambda some: {"anyOf": some}),
    ),
)


@given(schema=SCHEMAS, other=SCHEMAS, name=st.text(max_size=5))
def test_stubs_are_python_whatever_the_schema_says(schema: Any, other: Any, name: str) -> None:
    takes = {"type": "object", "properties": {name: schema, "x": other}, "$defs": {"A": other}}
    gives = {**(other if isinstance(other, dict) else {}), "$defs": {"A": schema}}
    signature = Signature("get", takes, gives)
    told = stubs_of([signature])
    assert [type(node).__name__ for node in ast.parse(told).body][-1] == "FunctionDef"
    assert told == stubs_of([signature])
