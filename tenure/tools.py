"""Tools: a typed function, what it does to the world, and what Claude is told about it."""

from __future__ import annotations

import functools
import inspect
import json
import re
import typing
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Literal, overload

import docstring_parser
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model
from pydantic.errors import PydanticSchemaGenerationError
from pydantic_core import to_jsonable_python

from tenure.errors import BadInput, ConfigError
from tenure.run import Effect, ToolFacts
from tenure.transcript import clean
from tenure.wire import STATE_LIMIT, Json, JsonObject

Function = Callable[..., Any]  # what a tool takes and returns is the user's business
NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")  # what the Messages API accepts


class State(MutableMapping[str, Json]):
    """The run's state as a tool sees it: reads see what earlier calls left, writes are kept as this call's delta."""

    def __init__(self, before: JsonObject) -> None:
        self._before = before
        self.delta: JsonObject = {}

    def __getitem__(self, key: str) -> Json:
        return self.delta[key] if key in self.delta else self._before[key]

    def __setitem__(self, key: str, value: Json) -> None:
        self.delta[key] = value

    def __delitem__(self, key: str) -> None:
        raise BadInput(f"state[{key!r}] cannot be deleted: set it to None, so that the change is recorded")

    def __iter__(self) -> Iterator[str]:
        return iter({**self._before, **self.delta})

    def __len__(self) -> int:
        return len({**self._before, **self.delta})


@dataclass
class ToolContext:
    """What a tool may know of its run. Declare a first parameter of this type to receive it.

    `idempotency_key` is the same for every attempt of one call: hand it to the service the tool calls. `heartbeat()`
    raises `tenure.errors.Cancelled` once the run was cancelled or the attempt was given up. A sync tool runs in a thread that
    nobody can stop: call `heartbeat()` in its loops and right before what it does to the world, or make the tool async.
    """

    run_id: str
    tenant: str
    user: str | None
    idempotency_key: str
    state: State
    heartbeat: Callable[[], None]
    finished: str | None = field(default=None, init=False)

    def finish(self, message: str) -> None:
        """End the run successfully after this call, with `message` as its answer."""
        self.finished = str(message)


@dataclass(frozen=True)
class Tool:
    """A function Claude may call.

    `effect` says what it does to the world; without it the tool counts as a write that is not idempotent. `timeout` is in
    seconds and defaults to the agent's. `retries` is how often a failed attempt of a read or an idempotent tool is made
    again. `poll=True` says that asking again for the same thing is meant. Raises ConfigError.
    """

    function: Function
    name: str = ""
    description: str = ""
    effect: Effect = Effect.WRITE
    idempotent: bool = False
    timeout: float | None = None
    retries: int = 2
    poll: bool = False

    def __post_init__(self) -> None:
        name = self.name or self.function.__name__
        described = self.description or (docstring_parser.parse(self.function.__doc__ or "").description or "")
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "description", described)
        object.__setattr__(self, "effect", _effect(name, self.effect))
        if not NAME.fullmatch(name):
            raise ConfigError(f"tool name {name!r}: must match {NAME.pattern}; pass name= to @tool")
        if self.timeout is not None and not 0 < self.timeout < float("inf"):
            raise ConfigError(f"tool {name!r}: timeout={self.timeout!r} must be a positive number of seconds")
        if self.retries < 0:
            raise ConfigError(f"tool {name!r}: retries={self.retries!r} must be 0 or more")
        self.parameters  # noqa: B018  # fails here, where the author reads it, and not in a run

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # Any: the tool stays callable as the function it was
        """Call the function itself."""
        return self.function(*args, **kwargs)

    @property
    def is_async(self) -> bool:
        """Whether the function is a coroutine function; others run in a thread."""
        return inspect.iscoroutinefunction(self.function)

    @functools.cached_property
    def takes_context(self) -> bool:
        """Whether the function's first parameter is the ToolContext."""
        first = next(iter(inspect.signature(self.function).parameters.values()), None)
        return first is not None and _hints(self).get(first.name) is ToolContext

    @functools.cached_property
    def parameters(self) -> type[BaseModel]:
        """The arguments as a pydantic model: one field a parameter, nothing else accepted."""
        return _parameters(self)

    @functools.cached_property
    def manifest(self) -> JsonObject:
        """What Claude is told: name, description, input_schema."""
        schema = self.parameters.model_json_schema()
        schema.pop("title", None)
        for described in schema.get("properties", {}).values():
            described.pop("title", None)
        return {"name": self.name, "description": self.description, "input_schema": schema}

    @functools.cached_property
    def returns(self) -> TypeAdapter[Any] | None:  # Any: the tool's own return type
        """The return type, or None where the function declares none."""
        hint = _hints(self).get("return", Any)
        return None if hint is Any else TypeAdapter(hint)

    def facts(self, default_timeout: float) -> ToolFacts:
        """What the workflow must know of this tool."""
        return ToolFacts(
            effect=self.effect, idempotent=self.idempotent, poll=self.poll, timeout=self.timeout or default_timeout
        )

    def arguments(self, raw: Json) -> dict[str, Any]:  # Any: typed by the tool's own signature
        """`raw` as keyword arguments of the function. Raises BadInput naming every field that does not fit."""
        if not isinstance(raw, dict):
            raise BadInput(f"the arguments must be a JSON object, not {type(raw).__name__}")
        try:
            model = self.parameters.model_validate_json(json.dumps(raw), strict=True)
        except ValidationError as error:
            raise BadInput(_first_errors(error)) from error
        return {name: getattr(model, name) for name in type(model).model_fields}

    def result(self, value: Any) -> Json:  # Any: whatever the user's function returned
        """`value` as JSON, checked against the return type. Raises BadInput saying what is not as declared."""
        try:
            checked = value if self.returns is None else self.returns.validate_python(value)
            return clean(json.loads(json.dumps(checked, default=_jsonable, allow_nan=False)))
        except ValidationError as error:
            raise BadInput(f"{self.name} returned something else than it declares: {_first_errors(error)}") from error
        except (TypeError, ValueError, RecursionError) as error:
            raise BadInput(f"{self.name} returned what JSON cannot hold: {error}") from error


def state_delta(tool: str, state: State, size_before: int) -> JsonObject:
    """What the call changed, as JSON. Raises BadInput above 64 KB for the run's whole state."""
    try:
        delta = clean(json.loads(json.dumps(state.delta, allow_nan=False)))
    except (TypeError, ValueError) as error:
        raise BadInput(f"{tool} left a state that is not JSON: {error}") from error
    size = size_before + len(json.dumps(delta))
    if size > STATE_LIMIT:
        raise BadInput(
            f"{tool} grows the run's state to {size:,} bytes: at most {STATE_LIMIT:,}; keep large values outside"
        )
    return delta


@overload
def tool(function: Function, /) -> Tool: ...
@overload
def tool(
    *,
    effect: Effect | Literal["read", "write", "egress", "destructive", "privileged"] = Effect.WRITE,
    idempotent: bool = False,
    name: str = "",
    description: str = "",
    timeout: float | None = None,
    retries: int = 2,
    poll: bool = False,
) -> Callable[[Function], Tool]: ...
def tool(function: Function | None = None, /, **options: Any) -> Tool | Callable[[Function], Tool]:
    """Make a typed function a Tool: `@tool` or `@tool(effect="read", ...)`; the options are the fields of `Tool`."""
    if function is not None:
        return Tool(function)

    def decorate(decorated: Function) -> Tool:
        return Tool(decorated, **options)

    return decorate


def _effect(name: str, effect: str) -> Effect:
    try:
        return Effect(effect)
    except ValueError:
        raise ConfigError(f"tool {name!r}: effect={effect!r} must be one of {', '.join(Effect)}") from None


def _hints(described: Tool) -> dict[str, Any]:  # Any: annotations are arbitrary objects
    try:
        return typing.get_type_hints(described.function, include_extras=True)
    except (NameError, TypeError) as error:
        raise ConfigError(f"tool {described.name!r}: a type hint cannot be resolved: {error}") from error


def _parameters(described: Tool) -> type[BaseModel]:
    hints = _hints(described)
    doc = docstring_parser.parse(described.function.__doc__ or "")
    told = {entry.arg_name: entry.description for entry in doc.params}
    fields: dict[str, Any] = {}  # Any: create_model's own vocabulary
    for parameter in inspect.signature(described.function).parameters.values():
        if hints.get(parameter.name) is ToolContext:
            continue
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise ConfigError(f"tool {described.name!r}: parameter {parameter} must be a plain named one")
        if parameter.name not in hints:
            raise ConfigError(f"tool {described.name!r}: parameter {parameter.name!r} needs a type hint for its schema")
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (hints[parameter.name], Field(default, description=told.get(parameter.name)))
    try:
        return create_model(described.name, __config__=ConfigDict(extra="forbid"), **fields)
    except (PydanticSchemaGenerationError, NameError) as error:
        raise ConfigError(f"tool {described.name!r}: no schema for its parameters: {error}") from error


def _first_errors(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_context=False)
    told = [
        f"{'.'.join(map(str, item['loc'])) or 'value'}: {item['msg']}, got {item['input']!r:.60}" for item in found[:3]
    ]
    more = f" (+{len(found) - 3} more)" if len(found) > 3 else ""
    return "; ".join(told) + more


def _jsonable(value: Any) -> Json:  # Any: whatever json.dumps does not know
    if isinstance(value, (bytes, bytearray, memoryview)):
        raise TypeError("bytes: decode them, or return base64 text")
    return to_jsonable_python(value)
