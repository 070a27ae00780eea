"""Tools: a typed function, what it does to the world, and what Claude is told about it."""

from __future__ import annotations

import difflib
import functools
import hashlib
import json
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, overload

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import to_jsonable_python

from tenure import identity, schema
from tenure.errors import BadInput, ConfigError
from tenure.run import Effect, ToolFacts
from tenure.schema import Function
from tenure.state import State
from tenure.transcript import canonical, clean
from tenure.trust import paths
from tenure.trust.pattern import PATTERN
from tenure.wire import Json, JsonObject

NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")  # what the Messages API accepts
LONGEST = 86_400  # seconds that an attempt, or an iteration, may be given
OPTIONS: dict[str, tuple[type, ...]] = {
    "name": (str,),
    "description": (str,),
    "idempotent": (bool,),
    "retries": (int,),
    "poll": (bool,),
    "cache": (bool, int),
}


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
    role: str | None = None
    finished: str | None = field(default=None, init=False)

    def finish(self, message: str) -> None:
        """End the run successfully after this call, with `message` as its answer."""
        self.finished = str(message)


@dataclass(frozen=True)
class Tool:
    """A function Claude may call.

    `effect` says what it does to the world; without it the tool counts as a write that is not idempotent. `timeout` is in
    seconds and defaults to the agent's. `retries` is how often a failed attempt of a read or an idempotent tool is made
    again. `poll=True` says that asking again for the same thing is meant.

    `output` names the fields of the result that may be trusted, as paths: `"id"`, `"tickets[].id"`, or `"*"` for all of it;
    everything else it returns taints the run. `sinks` names the arguments that must come from trusted text (None: all): for what
    changes the world those that say whom and what it reaches, or a person is asked; for a read those that choose what is read, or
    its `output` is not trusted either.
    `cache=True` lets a read's result be used again in the same run for the same arguments; `cache=60` in every run of the same
    tenant and agent, until it is 60 seconds old. A tool that takes a context only shares with runs of the same user, role and
    state, and nothing if it looks at the run's id or its idempotency key. `invalidates` names, as tool patterns, the cached reads
    that a call of this tool makes stale (None: all): in its own run, and in the tenant's others of whatever agent.

    `output`, `sinks` and `invalidates` are kept as frozensets; one name may be given as a plain str. Raises ConfigError.
    """

    function: Function
    name: str = ""
    description: str = ""
    effect: Effect = Effect.WRITE
    idempotent: bool = False
    timeout: float | None = None
    retries: int = 2
    poll: bool = False
    output: Iterable[str] = ()
    sinks: Iterable[str] | None = None
    cache: bool | int = False
    invalidates: Iterable[str] | None = None

    def __post_init__(self) -> None:
        settle = functools.partial(object.__setattr__, self)
        _check_types(self)
        if isinstance(self.function, Tool) or not callable(self.function):
            kind = type(self.function).__name__
            raise ConfigError(f"function={self.function!r:.80} must be a function, not {kind}; options go by keyword")
        settle("name", self.name or schema.name_of(self.function))
        if not NAME.fullmatch(self.name):
            raise ConfigError(f"tool name {self.name!r}: must match {NAME.pattern}; pass name= to @tool")
        settle("description", self.description or schema.description(self.function))
        settle("effect", _effect(self.name, self.effect))
        for option in ("output", "sinks", "invalidates"):
            settle(option, _names(self.name, option, getattr(self, option)))
        # It fails here, where the author reads it, and not in a run.
        if fault := next(_faults(self), None):
            raise ConfigError(f"tool {self.name!r}: {fault}")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # Any: the tool stays callable as the function it was
        """Call the function itself."""
        return self.function(*args, **kwargs)

    @property
    def is_async(self) -> bool:
        """Whether a call gives a coroutine; other functions run in a thread."""
        return schema.is_async(self.function)

    @property
    def shared(self) -> int:
        """For how many seconds a result may be used again in other runs of the tenant."""
        return 0 if isinstance(self.cache, bool) else self.cache

    @property
    def stale(self) -> list[str]:
        """Patterns of the cached reads that a call of this tool makes stale."""
        if self.effect is Effect.READ:
            return []
        return ["*"] if self.invalidates is None else sorted(self.invalidates)

    @functools.cached_property
    def _signature(self) -> schema.Signature:
        return schema.read_signature(self.name, self.function, ToolContext)

    @property
    def takes_context(self) -> bool:
        """Whether the function's first parameter is the ToolContext."""
        return self._signature.takes_context

    @property
    def parameters(self) -> type[BaseModel]:
        """The arguments as a pydantic model: one field a parameter, nothing else accepted."""
        return self._signature.model

    @functools.cached_property
    def manifest(self) -> JsonObject:
        """What Claude is told: name, description, input_schema."""
        return {"name": self.name, "description": self.description, "input_schema": self._signature.schema}

    @functools.cached_property
    def identity(self) -> str:
        """64 hex digits that change with the tool's declaration and its function's own code; with nothing else of an agent."""
        declared = self.facts(0).model_dump(mode="json", exclude={"timeout"})
        told = [self.manifest, declared, schema.result_schema(self.returns), identity.of_function(self.function)]
        return hashlib.sha256(canonical(told).encode()).hexdigest()

    @functools.cached_property
    def returns(self) -> TypeAdapter[Any] | None:  # Any: the tool's own return type
        """The return type, or None where the function declares none."""
        return schema.return_type(self.name, self.function)

    def facts(self, default_timeout: float) -> ToolFacts:
        """What the workflow must know of this tool. What later releases added is only set where it differs."""
        added: dict[str, Any] = {  # Any: the fields' own types
            "cache": self.cache is True,
            "shared": self.shared,
            "invalidates": None if self.invalidates is None else sorted(self.invalidates),
            "output": sorted(self.output),
            "sinks": None if self.sinks is None else sorted(self.sinks),
        }
        return ToolFacts(
            effect=self.effect,
            idempotent=self.idempotent,
            poll=self.poll,
            timeout=self.timeout or default_timeout,
            **{key: value for key, value in added.items() if value != getattr(_PLAIN, key)},
        )

    def arguments(self, raw: Json) -> dict[str, Any]:  # Any: typed by the tool's own signature
        """`raw` as keyword arguments of the function. Raises BadInput naming every field that does not fit."""
        if not isinstance(raw, dict):
            raise BadInput(f"the arguments must be a JSON object, not {type(raw).__name__}")
        try:
            model = self.parameters.model_validate_json(json.dumps(raw), strict=True)
        except ValidationError as error:
            raise BadInput(_first_errors(error)) from error
        except Exception as error:  # a validator of the tool's types may raise anything; Claude can only be told
            raise BadInput(f"the types of {self.name} raised {type(error).__name__}: {error}") from error
        return {parameter: getattr(model, field) for field, parameter in self._signature.names.items()}

    def result(self, value: Any) -> Json:  # Any: whatever the user's function returned
        """`value` as JSON, checked against the return type. Raises BadInput saying what is not as declared."""
        try:
            checked = value if self.returns is None else self.returns.validate_python(value)
            return clean(json.loads(json.dumps(checked, default=_jsonable, allow_nan=False)))
        except ValidationError as error:
            raise BadInput(f"{self.name} returned something else than it declares: {_first_errors(error)}") from error
        except Exception as error:  # so may a serializer; the effect has happened, whatever comes of its result
            raise BadInput(f"{self.name} returned what JSON cannot hold: {error}") from error


_PLAIN = ToolFacts()


def manifests(tools: Iterable[Tool]) -> list[JsonObject]:
    """The tools' definitions for one request to the Messages API, in the order given.

    `"strict": true` stands on those whose schema strict mode can hold whole, as long as the request's limits allow: tools
    that change the world are served first, then reads. The others are sent as they are: no constraint is ever dropped.
    """
    listed = list(tools)
    strict = _strict_forms(listed)
    return [
        {**made.manifest, "input_schema": strict[index], "strict": True} if index in strict else made.manifest
        for index, made in enumerate(listed)
    ]


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
    output: Iterable[str] = (),
    sinks: Iterable[str] | None = None,
    cache: bool | int = False,
    invalidates: Iterable[str] | None = None,
) -> Callable[[Function], Tool]: ...
def tool(function: Function | None = None, /, **options: Any) -> Tool | Callable[[Function], Tool]:
    """Make a typed function a Tool: `@tool` or `@tool(effect="read", ...)`; the options are the fields of `Tool`."""
    known = Tool.__dataclass_fields__.keys() - {"function"}
    for option in options.keys() - known:
        near = difflib.get_close_matches(option, known, 1)
        raise ConfigError(f"@tool has no option {option!r}" + (f": did you mean {near[0]!r}?" if near else ""))
    if function is not None:
        return Tool(function, **options)

    def decorate(decorated: Function) -> Tool:
        return Tool(decorated, **options)

    return decorate


def _effect(name: str, effect: str) -> Effect:
    try:
        return Effect(effect)
    except ValueError:
        raise ConfigError(f"tool {name!r}: effect={effect!r} must be one of {', '.join(Effect)}") from None


def _check_types(made: Tool) -> None:
    """A flag that is merely truthy would mean one thing here and another in the workflow, where it is read as JSON."""
    for option, kinds in OPTIONS.items():
        value = getattr(made, option)
        if type(value) not in kinds:
            wanted = " or ".join(kind.__name__ for kind in kinds)
            told = f"{option}={value!r:.80} must be {wanted}, not {type(value).__name__}"
            raise ConfigError(f"tool {made.name or made.function!r}: {told}")
    if made.timeout is not None and type(made.timeout) not in (int, float):
        raise ConfigError(
            f"tool {made.name or made.function!r}: timeout={made.timeout!r:.80} must be a number of seconds"
        )


def _names(tool: str, option: str, given: Iterable[str] | None) -> frozenset[str] | None:
    if given is None and option != "output":
        return None
    names: list[Any] = [given] if isinstance(given, str) else list(given) if isinstance(given, Iterable) else [given]
    for name in names:
        if not isinstance(name, str):
            raise ConfigError(f"tool {tool!r}: {option}={given!r} must be a str or several, not {type(name).__name__}")
    return frozenset(names)


def _faults(made: Tool) -> Iterator[str]:
    yield from _limit_faults(made)
    yield from _cache_faults(made)
    yield from _trust_faults(made)


def _limit_faults(made: Tool) -> Iterator[str]:
    if made.timeout is not None and not 0 < made.timeout <= LONGEST:
        yield f"timeout={made.timeout!r} must be a positive number of seconds, at most {LONGEST:,} (a day)"
    if made.retries < 0:
        yield f"retries={made.retries!r} must be 0 or more"


def _cache_faults(made: Tool) -> Iterator[str]:
    reads = made.effect is Effect.READ
    if not isinstance(made.cache, bool) and not 1 <= made.cache <= LONGEST:
        yield f"cache={made.cache!r} must be True (in the same run), or 1 to {LONGEST:,} seconds (in all runs of a tenant)"
    if made.cache and not reads:
        yield f"cache={made.cache!r} with effect={made.effect.value!r}: only a read may be answered from an earlier one; drop cache"
    if made.cache and made.poll:
        yield f"cache={made.cache!r} with poll=True: a poll wants the present answer; drop one of them"
    if made.invalidates is not None and reads:
        yield f"invalidates={sorted(made.invalidates)!r} with effect='read': a read makes nothing stale; drop invalidates"
    for pattern in sorted(made.invalidates or ()):
        if not pattern or not PATTERN.fullmatch(pattern):
            yield f"invalidates={pattern!r} is no tool pattern: write a name, or a prefix that ends in `*`"


def _trust_faults(made: Tool) -> Iterator[str]:
    arguments = list(made.manifest["input_schema"]["properties"])
    for sink in sorted(set(made.sinks or ()).difference(arguments)):
        near = difflib.get_close_matches(sink, arguments, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(arguments) or 'none'}"
        yield f"sinks={sink!r} is no argument: {hint}"
    result = schema.result_schema(made.returns)
    for path in sorted(made.output):
        try:
            paths.check(path, result)
        except ConfigError as error:
            yield f"output={error}"


def _strict_forms(listed: Sequence[Tool]) -> dict[int, JsonObject]:
    """The strict schemas by position, as many as the limits of a request allow."""
    left, chosen = schema.STRICT_LIMITS, dict[int, JsonObject]()
    for index in sorted(range(len(listed)), key=lambda index: listed[index].effect is Effect.READ):
        form = schema.strict_form(listed[index].manifest["input_schema"])
        if form is None:
            continue
        after = schema.StrictCost(*map(operator.sub, left, schema.strict_cost(form)))
        if min(after) >= 0:
            left, chosen[index] = after, form
    return chosen


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
