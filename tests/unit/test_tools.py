"""A tool is a typed function: its schema, its arguments, its result, its state."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, NoReturn, get_overloads

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from tenure.errors import BadInput, ConfigError
from tenure.run import Effect, ToolFacts
from tenure.spec import AgentSpec
from tenure.state import State
from tenure.tools import Tool, ToolContext, tool
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


def test_a_variable_that_is_changed_in_place_is_part_of_the_delta() -> None:
    before: dict[str, Any] = {"basket": ["tea"], "open": True, "seen": [1]}
    state = State(before)
    state["basket"].append("rum")
    state["open"] = True
    assert state["seen"] == [1]
    assert state.delta("t") == {"basket": ["tea", "rum"]}
    assert before["basket"] == ["tea"]


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


class Ticket(TypedDict):
    id: int
    text: str


@dataclass
class Found:
    tickets: list[Ticket]
    total: int = 0


class Aliased(BaseModel):
    model_config = ConfigDict(serialize_by_alias=True)

    ticket_id: int = Field(serialization_alias="ticketId")


def find(query: str, limit: int = 3) -> Found:
    """Find."""
    return Found([], len(query) * limit)


# An option, a value that is not its default, and what else it needs.
OPTIONS: dict[str, tuple[Any, dict[str, Any]]] = {
    "name": ("search", {}),
    "description": ("Search.", {}),
    "effect": ("egress", {}),
    "idempotent": (True, {}),
    "timeout": (7, {}),
    "retries": (5, {}),
    "poll": (True, {}),
    "output": ({"tickets[].id", "total"}, {}),
    "sinks": (["query"], {}),
    "cache": (True, {"effect": "read"}),
    "invalidates": (("find", "get_*"), {}),
}


def told(made: Tool) -> dict[str, Any]:
    return {**made.manifest, **made.facts(60).model_dump(), "retries": made.retries}


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_is_kept_and_has_an_effect_on_what_is_told_of_the_tool(option: str) -> None:
    value, besides = OPTIONS[option]
    plain, made = tool(**besides)(find), tool(**besides, **{option: value})(find)
    kept = getattr(made, option)
    assert kept == (frozenset(value) if isinstance(kept, frozenset) else value)
    shown, before = told(made)[option], told(plain)[option]
    assert shown == (sorted(value) if isinstance(shown, list) else value)
    assert shown != before
    assert {key: one for key, one in told(made).items() if key != option} == {
        key: one for key, one in told(plain).items() if key != option
    }


def test_the_decorator_takes_the_options_that_a_tool_has_in_their_order() -> None:
    fields = {one.name: one.default for one in dataclasses.fields(Tool)}
    assert list(fields) == [
        "function", "name", "description", "effect", "idempotent", "timeout", "retries", "poll", "output", "sinks", "cache",
        "invalidates",
    ]  # fmt: skip
    (_, typed) = get_overloads(tool)
    taken = {key: one.default for key, one in inspect.signature(typed).parameters.items()}
    assert taken == {key: default for key, default in fields.items() if key != "function"}
    assert set(OPTIONS) == set(taken)


def test_options_beside_a_function_are_not_lost() -> None:
    assert tool(find, effect="read", cache=True).cache  # type: ignore[call-overload]  # pyright: ignore


def test_facts_set_only_what_differs_so_that_recorded_histories_keep_their_shape() -> None:
    assert tool(find).facts(60).model_dump(exclude_unset=True) == {
        "effect": Effect.WRITE,
        "idempotent": False,
        "poll": False,
        "timeout": 60,
    }
    facts = tool(sinks=(), invalidates=())(find).facts(60)
    assert (facts.sinks, facts.invalidates) == ([], [])  # none at all is not the same as all
    assert {"sinks", "invalidates"} <= facts.model_fields_set
    assert ToolFacts.model_validate(facts.model_dump(exclude_unset=True)) == facts


def test_a_cache_in_seconds_is_shared_and_true_is_the_run_s_own() -> None:
    own, others = (tool(effect="read", cache=cache)(find).facts(60) for cache in (True, 60))
    assert (own.cache, own.shared, others.cache, others.shared) == (True, 0, False, 60)
    assert "shared" not in own.model_fields_set


@pytest.mark.parametrize("several", [["total"], ("total",), {"total"}, frozenset({"total"}), iter(["total"]), "total"])
def test_several_names_may_come_in_any_collection_and_one_as_a_plain_str(several: Iterable[str]) -> None:
    made = Tool(find, output=several)
    assert made.output == frozenset({"total"})
    assert isinstance(hash(made), int)
    assert dataclasses.replace(made, name="other").output == made.output


def test_output_paths_are_checked_against_the_declared_result_as_it_is_sent() -> None:
    def rename() -> Aliased: ...  # pyright: ignore
    def listed() -> list[Aliased] | None: ...
    def text() -> str: ...  # pyright: ignore
    def free() -> dict[str, Any]: ...  # pyright: ignore
    def silent(): ...  # type: ignore[no-untyped-def]

    for function, fine, wrong in (
        (rename, ["ticketId", "*"], "ticket_id"),
        (listed, ["[].ticketId", "[]"], "ticketId"),
        (text, ["*"], "[]"),
        (free, ["a.b[].c", "a"], "[]"),
        (silent, ["a", "[].b", "*"], "a..b"),
    ):
        assert Tool(function, output=fine).output == frozenset(fine)
        with pytest.raises(ConfigError, match=r"tool '\w+': output='"):
            Tool(function, output=wrong)


def test_a_result_is_checked_against_the_declared_type_and_one_that_cannot_be_is_refused() -> None:
    def broken() -> Found: ...  # pyright: ignore
    def never() -> NoReturn: ...  # pyright: ignore

    assert Tool(broken).result({"tickets": [{"id": 1, "text": "a"}]}) == {
        "tickets": [{"id": 1, "text": "a"}],
        "total": 0,
    }
    with pytest.raises(BadInput, match=r"broken returned something else than it declares: tickets\.0\.id"):
        Tool(broken).result({"tickets": [{"id": "a", "text": "b"}]})
    assert Tool(never).returns is None
    for value in (float("inf"), b"raw", {1, 2}.__iter__, {(1, 2): 3}):
        with pytest.raises(BadInput, match="never returned what JSON cannot hold"):
            Tool(never).result(value)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"sinks": "qery"}, "tool 'find': sinks='qery' is no argument: did you mean 'query'?"),
        ({"sinks": ["zzz"]}, "sinks='zzz' is no argument: there are: query, limit"),
        ({"sinks": 3}, "sinks=3 must be a str or several, not int"),
        ({"sinks": [b"query"]}, r"sinks=\[b'query'\] must be a str or several, not bytes"),
        ({"output": None}, "output=None must be a str or several, not NoneType"),
        ({"output": True}, "output=True must be a str or several, not bool"),
        ({"output": "totl"}, "tool 'find': output='totl': the result has no 'totl': did you mean 'total'?"),
        ({"output": "tickets[].txt"}, r"output='tickets\[\].txt': an element of `tickets` has no 'txt': .*'text'"),
        ({"output": "tickets.0"}, "`tickets` has no fields, so no '0': write `\\[\\]` before the key"),
        ({"output": ""}, "output='' is no path into a result"),
        ({"cache": True}, "tool 'find': cache=True with effect='write': only a read may be answered .*; drop cache"),
        ({"cache": 60}, "tool 'find': cache=60 with effect='write': only a read may be answered .*; drop cache"),
        ({"cache": 0, "effect": "read"}, r"cache=0 must be True \(in the same run\), or 1 to 86,400 seconds"),
        ({"cache": -1, "effect": "read"}, "cache=-1 must be True"),
        ({"cache": 86_401, "effect": "read"}, "cache=86401 must be True"),
        ({"cache": 60, "effect": "read", "poll": True}, "cache=60 with poll=True: .*; drop one of them"),
        ({"cache": True, "effect": "read", "poll": True}, "cache=True with poll=True: .*; drop one of them"),
        ({"invalidates": "a*b"}, "tool 'find': invalidates='a\\*b' is no tool pattern: write a name, or a prefix"),
        ({"invalidates": [""]}, "invalidates='' is no tool pattern"),
        ({"invalidates": (), "effect": "read"}, r"invalidates=\[\] with effect='read': .*; drop invalidates"),
    ],
)
def test_trust_and_cache_options_that_cannot_be_are_refused_by_name(options: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match.replace("?", r"\?")):
        tool(**options)(find)


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
    assert (dict(state), state.delta("t"), len(state)) == ({"a": 1, "b": 3, "c": [1]}, {"b": 3, "c": [1]}, 3)
    with pytest.raises(BadInput, match="set it to None"):
        del state["a"]
    with pytest.raises(KeyError):
        state["z"]


def test_a_state_that_is_not_json_or_too_large_is_refused() -> None:
    for value, match in ((object(), "not JSON"), (float("nan"), "not JSON"), ("x" * STATE_LIMIT, "at most 65,536")):
        state = State({})
        state["a"] = value
        with pytest.raises(BadInput, match=match):
            state.delta("t")


def test_a_large_variable_may_be_changed_as_long_as_the_state_stays_within_its_limit() -> None:
    state = State({"page": "x" * 40_000})
    state["page"] = "y" * 40_000
    assert state.delta("t") == {"page": "y" * 40_000}
    state["more"] = "z" * 30_000
    with pytest.raises(BadInput, match="t grows the run's state to 70,"):
        state.delta("t")


def test_true_is_another_value_than_one() -> None:
    state = State({"flag": 1})
    state["flag"] = True
    assert state.delta("t") == {"flag": True}


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"idempotent": "no"}, "idempotent='no' must be bool"),
        ({"cache": "no"}, "cache='no' must be bool or int, not str"),
        ({"cache": 1.5}, "cache=1.5 must be bool or int, not float"),
        ({"poll": 1}, "poll=1 must be bool"),
        ({"retries": 1.5}, "retries=1.5 must be int"),
        ({"retries": None}, "retries=None must be int"),
        ({"timeout": "5"}, "timeout='5' must be a number"),
        ({"timeout": True}, "timeout=True must be a number"),
        ({"timeout": 1e15}, "at most 86,400"),
        ({"name": 5}, "name=5 must be str"),
        ({"description": 5}, "description=5 must be str"),
        ({"cash": True}, "no option 'cash': did you mean 'cache'"),
    ],
)
def test_options_of_the_wrong_kind_are_refused_by_name(wrong: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        tool(**wrong)(ship.function)


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
