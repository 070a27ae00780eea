"""Which callables are tools, and which signatures are refused when the tool is made."""

from __future__ import annotations

import datetime as dt
import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Annotated, Any, ClassVar

import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from tenure.errors import ConfigError
from tenure.tools import Tool, ToolContext, tool
from tests.unit.test_schemas import Cat, Open, s_async, s_constrained, s_text


class Shop:
    """A shop."""

    def __init__(self, name: str) -> None:
        self.name = name

    def order(self, item: str, *, count: int = 1) -> str:
        """Order.

        Args:
            item: what
        """
        return f"{self.name}: {count} {item}"

    @classmethod
    def found(cls, name: str) -> str:
        """Found one."""
        return cls(name).name

    @staticmethod
    def greet(name: str) -> str:
        """Greet."""
        return name

    async def __call__(self, question: str) -> str:
        """Ask.

        Args:
            question: what to ask
        """
        return question


def lookup(ctx: ToolContext, table: str, key: str, unit: str = "c") -> str:
    """Look up.

    Args:
        table: where
        key: what
        unit: in which
    """
    return f"{ctx.tenant} {table} {key} {unit}"


def loud(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


class Counting:
    """A decorator that is an object."""

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self.calls = 0

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        self.calls += 1


def properties_of(made: Tool) -> dict[str, str | None]:
    return {key: one.get("description") for key, one in made.manifest["input_schema"]["properties"].items()}


def test_methods_objects_and_decorated_functions_are_tools() -> None:
    shop = Shop("Acme")
    assert properties_of(Tool(shop.order)) == {"item": "what", "count": None}
    assert Tool(shop.order)(item="nut") == "Acme: 1 nut"
    assert (properties_of(Tool(Shop.found)), properties_of(Tool(shop.greet))) == ({"name": None}, {"name": None})
    asking = Tool(shop, name="ask")
    assert (asking.is_async, asking.description, properties_of(asking)) == (True, "Ask.", {"question": "what to ask"})
    assert properties_of(Tool(Shop.__dict__["greet"])) == {"name": None}
    assert properties_of(Tool(loud(s_constrained))) == {"x": None}
    assert properties_of(Tool(Counting(lookup))) == {"table": "where", "key": "what", "unit": "in which"}
    assert properties_of(Tool(functools.cache(Shop.greet))) == {"name": None}
    assert not Tool(
        loud(s_async)
    ).is_async  # a wrapper that is no coroutine function runs in a thread, whatever it wraps


def test_a_decorator_that_declares_a_signature_of_its_own_is_taken_at_its_word() -> None:
    def inner(connection: object, city: str) -> None: ...

    @functools.wraps(inner)
    def outer(*args: Any, **kwargs: Any) -> None:
        inner(object(), *args, **kwargs)

    outer.__signature__ = inspect.Signature([inspect.Parameter("town", inspect.Parameter.KEYWORD_ONLY)])  # type: ignore[attr-defined]  # pyright: ignore
    outer.__annotations__ = {"town": int}
    assert Tool(outer).manifest["input_schema"]["properties"] == {"town": {"type": "integer"}}


def test_what_a_partial_has_given_is_fixed_and_claude_is_not_told() -> None:
    made = Tool(functools.partial(lookup, unit="f"), name="look")
    assert (made.takes_context, made.description, made.is_async) == (True, "Look up.", False)
    assert properties_of(made) == {"table": "where", "key": "what"}
    twice = Tool(functools.partial(functools.partial(Shop("A").order, "nut"), count=2), name="nuts")
    assert (properties_of(twice), twice()) == ({}, "A: 2 nut")
    assert Tool(functools.partial(s_async, 1), name="later").is_async


@pytest.mark.parametrize(
    ("function", "match"),
    [
        (functools.partial(s_text), r"functools.partial.* has no name of its own to be called by: pass name="),
        (Shop("A"), "has no name of its own to be called by: pass name="),
        (Shop.order, "parameter 'self' needs a type hint .* pass it bound"),
        (Shop, "tool 'Shop': Shop is a class: write a function"),
        (3, "function=3 must be a function, not int"),
        (Tool(s_text), "must be a function, not Tool"),
        (max, r"tool 'max': its signature cannot be read: .*; wrap it in a function"),
        (lambda x: x, "tool name '<lambda>': must match"),  # pyright: ignore[reportUnknownLambdaType]
    ],
)
def test_what_cannot_be_called_as_a_tool_is_refused(function: Any, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        Tool(function)


class Undefined(BaseModel):
    x: Nowhere  # noqa: F821  # pyright: ignore


class Hidden:
    """No schema at all."""


Spaced = TypedDict("Spaced", {"a b": int})


class Deep(TypedDict):
    fine: list[Spaced]


# fmt: off
def r_no_hint(x) -> None: ...  # type: ignore[no-untyped-def]  # pyright: ignore
def r_args(*names: str) -> None: ...
def r_kwargs(**names: str) -> None: ...
def r_positional(x: int, /) -> None: ...
def r_unresolved(x: Nowhere) -> None: ...  # noqa: F821  # pyright: ignore
def r_unresolved_attribute(x: dt.Nowhere) -> None: ...  # pyright: ignore
def r_undefined_inside(a: int, x: Undefined) -> None: ...
def r_no_schema(a: int, x: Hidden) -> None: ...
def r_no_schema_inside(x: list[Hidden | None]) -> None: ...
def r_callable(x: Callable[[int], int]) -> None: ...
def r_callable_choice(x: int | Callable[[int], int]) -> None: ...
def r_iterable(x: Iterable[int]) -> None: ...
def r_class(x: type[int]) -> None: ...
def r_class_var(a: int, x: ClassVar[int]) -> None: ...  # pyright: ignore
def r_constraint(x: Annotated[Hidden, Field(ge=1)]) -> None: ...
def r_pattern(x: Annotated[str, Field(pattern="(?=x)")]) -> None: ...
def r_discriminator(x: Annotated[Cat | Open, Field(discriminator="kind")]) -> None: ...
def r_name(größe: int) -> None: ...  # noqa: PLC2401
def r_name_long(x: Annotated[int, Field(alias="x" * 65)]) -> None: ...
def r_name_inside(x: Deep) -> None: ...
def r_same_alias(x: Annotated[int, Field(alias="y")], y: int) -> None: ...
def r_context_second(x: int, ctx: ToolContext) -> None: ...
def r_context_keyword(*, ctx: ToolContext) -> None: ...
def r_context_twice(ctx: ToolContext, other: ToolContext | None = None) -> None: ...
def r_return() -> Hidden: ...  # pyright: ignore
# fmt: on

REFUSED: dict[Callable[..., Any], str] = {
    r_no_hint: "parameter 'x' needs a type hint",
    r_args: r"parameter \*names: 'str' must be a plain named one",
    r_kwargs: r"parameter \*\*names: 'str' must be a plain named one",
    r_positional: "parameter x: 'int' must be a plain named one",
    r_unresolved: "a type hint cannot be resolved: name 'Nowhere' is not defined",
    r_unresolved_attribute: "a type hint cannot be resolved: .*'Nowhere'",
    r_undefined_inside: "no schema for parameter 'x': .*not fully defined",
    r_no_schema: "no schema for parameter 'x': Unable to generate .*Hidden",
    r_no_schema_inside: "no schema for parameter 'x': Unable to generate .*Hidden",
    r_callable: "no schema for parameter 'x': .*CallableSchema",
    r_callable_choice: "no schema for parameter 'x': .*CallableSchema",
    r_iterable: "no schema for parameter 'x': an Iterable is checked only as it is read",
    r_class: "no schema for parameter 'x': a class cannot be written as JSON",
    r_class_var: "a type hint cannot be resolved: .*ClassVar",
    r_constraint: "no schema for parameter 'x'",
    r_pattern: r"no schema for parameter 'x': [\s\S]*look-around",
    r_discriminator: "no schema for parameter 'x': .*'kind'",
    r_name: "the Messages API refuses the name 'größe': at most 64 of .*alias=",
    r_name_long: "the Messages API refuses the name 'xxxx",
    r_name_inside: "the Messages API refuses the name 'a b'",
    r_same_alias: "its parameters x, y come out as y: two share an alias",
    r_context_second: "parameter 'ctx': ToolContext must be the first parameter",
    r_context_keyword: "parameter 'ctx': ToolContext must be the first parameter, and not keyword-only",
    r_context_twice: "parameter 'other': ToolContext must be the first parameter",
    r_return: "its return type .*Hidden.* cannot be checked: Unable to generate",
}


@pytest.mark.parametrize(("function", "match"), REFUSED.items(), ids=lambda case: getattr(case, "__name__", ""))
def test_what_claude_could_not_be_told_is_refused_when_the_tool_is_made(function: Any, match: str) -> None:
    with pytest.raises(ConfigError, match=f"^tool '{function.__name__}': .*{match}") as raised:
        tool(function)
    assert "errors.pydantic.dev" not in str(raised.value)


def test_a_type_that_pydantic_leaves_out_of_models_is_refused() -> None:
    def counted(a: int, x: int) -> None: ...

    counted.__annotations__ = {"a": int, "x": ClassVar[int]}  # as without postponed evaluation
    with pytest.raises(ConfigError, match=r"tool 'counted': its parameters a, x come out as a: .*ClassVar"):
        Tool(counted)
