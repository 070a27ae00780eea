"""A tool is a typed function: its schema, its arguments, its result, its state."""

from __future__ import annotations

from enum import Enum
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from tenure.errors import BadInput, ConfigError
from tenure.run import Effect
from tenure.spec import AgentSpec
from tenure.tools import State, Tool, ToolContext, state_delta, tool
from tenure.wire import STATE_LIMIT


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


class Address(BaseModel):
    street: str
    number: int = 1


@tool(effect="egress", idempotent=True, timeout=5, retries=1, poll=True)
async def ship(
    ctx: ToolContext, to: Address, size: Size = Size.SMALL, how: Literal["air", "sea"] = "sea"
) -> dict[str, str]:
    """Ship a parcel.

    It goes out today.

    Args:
        to: where it goes
        size: how large it is
    """
    return {"to": to.street, "size": size.value, "how": how}


def test_the_schema_is_read_from_hints_and_docstring() -> None:
    schema = ship.manifest["input_schema"]
    assert ship.manifest["description"].startswith("Ship a parcel.\n\nIt goes out today.")
    assert (schema["type"], schema["required"], schema["additionalProperties"]) == ("object", ["to"], False)
    assert schema["properties"]["how"]["enum"] == ["air", "sea"]
    assert schema["properties"]["to"]["description"] == "where it goes"
    assert "ctx" not in schema["properties"]


def test_arguments_become_typed_values_and_wrong_ones_are_named() -> None:
    given_arguments = ship.arguments({"to": {"street": "Main"}, "size": "large"})
    assert given_arguments == {"to": Address(street="Main"), "size": Size.LARGE, "how": "sea"}
    with pytest.raises(BadInput, match=r"to\.street: Field required.*how: Input should be 'air' or 'sea', got 'rail'"):
        ship.arguments({"to": {}, "how": "rail"})
    with pytest.raises(BadInput, match="must be a JSON object, not list"):
        ship.arguments([1])


@given(st.integers(-(2**70), 2**70) | st.text(max_size=5) | st.booleans() | st.none() | st.floats(allow_nan=False))
def test_an_integer_parameter_takes_integers_and_nothing_that_merely_looks_like_one(value: Any) -> None:
    @tool
    def count(number: int) -> int:
        """Count."""
        return number

    whole = isinstance(value, float) and value.is_integer()
    if (isinstance(value, int) and not isinstance(value, bool)) or whole:
        return  # JSON has one kind of number: 1.0 may pass as 1
    with pytest.raises(BadInput, match="number"):
        count.arguments({"number": value})


def test_options_say_what_the_workflow_must_know() -> None:
    facts = ship.facts(60)
    assert (facts.effect, facts.idempotent, facts.poll, facts.timeout) == (Effect.EGRESS, True, True, 5)
    assert ship.retries == 1
    undeclared = Tool(lambda: None, name="nothing").facts(60)
    assert (undeclared.effect, undeclared.idempotent, undeclared.timeout) == (Effect.WRITE, False, 60)


def test_a_tool_stays_callable_and_can_be_made_from_any_function() -> None:
    def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    made = Tool(name="plus", description="Add two numbers", function=add)
    assert (made(1, 2), made.manifest["name"], made.manifest["description"], made.is_async) == (
        3,
        "plus",
        "Add two numbers",
        False,
    )


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"name": "a b"}, "tool name 'a b'"),
        ({"timeout": 0}, "timeout=0"),
        ({"timeout": float("inf")}, "timeout=inf"),
        ({"retries": -1}, "retries=-1"),
        ({"effect": "harmless"}, "effect='harmless' must be one of read, write"),
    ],
)
def test_options_that_cannot_be_are_refused_by_name(options: dict[str, Any], match: str) -> None:
    def nothing() -> None:
        """Do nothing."""

    with pytest.raises(ConfigError, match=match):
        tool(**options)(nothing)


def test_parameters_that_have_no_schema_are_refused_by_name() -> None:
    def variadic(*names: str) -> None: ...
    def unresolved(x: Nowhere) -> None: ...  # noqa: F821  # pyright: ignore[reportUndefinedVariable, reportUnknownParameterType]

    for function, match in ((variadic, "must be a plain named one"), (unresolved, "cannot be resolved")):
        with pytest.raises(ConfigError, match=match):
            tool(function)  # pyright: ignore[reportUnknownArgumentType]


def test_state_keeps_what_was_there_and_tells_what_changed() -> None:
    state = State({"a": 1, "b": 2})
    state["b"] = 3
    state["c"] = [1]
    assert (dict(state), state.delta, len(state)) == ({"a": 1, "b": 3, "c": [1]}, {"b": 3, "c": [1]}, 3)
    with pytest.raises(BadInput, match="set it to None"):
        del state["a"]
    with pytest.raises(KeyError):
        state["z"]


def test_a_state_that_is_not_json_or_too_large_is_refused() -> None:
    for value, match in ((object(), "not JSON"), (float("nan"), "not JSON"), ("x" * STATE_LIMIT, "at most 65,536")):
        state = State({})
        state["a"] = value
        with pytest.raises(BadInput, match=match):
            state_delta("t", state, 0)


def test_the_fingerprint_changes_with_anything_that_changes_the_agent() -> None:
    base: dict[str, Any] = {"name": "a", "tools": [ship], "instructions": "x"}
    other = tool(effect="read", name="ship")(lambda: None)
    changes: list[dict[str, Any]] = [
        {"name": "b"},
        {"instructions": "y"},
        {"tools": []},
        {"tools": [other]},
        {"model": "claude-haiku-5-5"},
        {"max_iterations": 3},
        {"max_tokens": 100},
        {"timeout": 5},
        {"error_threshold": 9},
        {"temperature": 0.5},
        {"effort": "low"},
        {"state": {"a": 1}},
        {"until": lambda state: True},
    ]
    prints = {AgentSpec(**base).fingerprint, *(AgentSpec(**(base | change)).fingerprint for change in changes)}
    assert len(prints) == len(changes) + 1
    assert AgentSpec(**base).fingerprint == AgentSpec(**base).fingerprint


def test_the_public_names_are_these() -> None:
    import tenure

    expected = {
        "Agent", "Effect", "Response", "RunHandle", "Status", "StopReason", "Tenure", "TenureError", "Tool", "ToolContext",
        "ToolError", "tool",
    }  # fmt: skip
    assert set(tenure.__all__) == expected
    assert all(getattr(tenure, name) is not None for name in expected)
    with pytest.raises(AttributeError):
        tenure.nonsense  # noqa: B018  # pyright: ignore[reportAttributeAccessIssue]
