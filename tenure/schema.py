"""A function's signature and docstring as a pydantic model and as the JSON schema Claude gets.

Rules of this file: everything that can be known when a tool is made fails there, as a ConfigError that names the tool. The
schema says all that pydantic checks; strict mode is only claimed for a schema it can hold whole. What Claude gives beyond the
parameters is refused and not dropped; as pydantic has it, dataclasses and typed dicts inside inherit that, while a BaseModel
has its own word (`extra="forbid"`).
"""

from __future__ import annotations

import difflib
import functools
import inspect
import json
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple, NoReturn, TypeAlias

import docstring_parser
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, create_model
from pydantic.errors import PydanticErrorMixin, PydanticInvalidForJsonSchema
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import PydanticSerializationError

from tenure.errors import ConfigError
from tenure.transcript import canonical, clean
from tenure.wire import Json, JsonObject

Function: TypeAlias = Callable[..., Any]  # what a tool takes and returns is the user's business
Hints: TypeAlias = dict[str, Any]  # annotations are arbitrary objects
Described: TypeAlias = tuple[inspect.Parameter, Any]  # a parameter and its hint

KEY = re.compile(r"[a-zA-Z0-9_.-]{1,64}")  # property names the Messages API accepts
_OBJECT: type[Json] = dict
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_FIRST = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True)
class Signature:
    """What a function takes. `names` maps the model's fields to the function's parameters: some names pydantic keeps to itself."""

    model: type[BaseModel]
    schema: JsonObject
    names: Mapping[str, str]
    takes_context: bool


def name_of(function: Function) -> str:
    """The function's own name. Raises ConfigError if it has none, as a functools.partial."""
    name = getattr(function, "__name__", None)
    if not isinstance(name, str):
        raise ConfigError(f"{function!r:.80} has no name of its own to be called by: pass name=")
    return name


def is_async(function: Function) -> bool:
    """Whether calling it gives a coroutine, also for an object whose `__call__` is async."""
    if under := _partial(function):
        return is_async(under.func)
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def description(function: Function) -> str:
    """Summary and body of the docstring, without what it says of parameters, results and errors."""
    return _documented(function)[0]


def read_signature(name: str, function: Function, context: type) -> Signature:
    """The parameters of tool `name`; a first one of type `context` is not Claude's to give. Raises ConfigError."""
    hints = _hints(name, function)
    listed = _parameters(name, function)
    takes_context = bool(listed) and _is(hints.get(listed[0].name), context) and listed[0].kind in _FIRST
    own = listed[1:] if takes_context else listed
    for parameter in own:
        _check_parameter(name, parameter, hints, context)
    told, names = _told(name, function, own), _fields([parameter.name for parameter in own])
    fields = {field: (parameter, hints[parameter.name]) for field, parameter in zip(names, own, strict=True)}
    model, schema = _built(name, fields, told)
    return Signature(model, _checked(name, schema, own), names, takes_context)


def return_type(name: str, function: Function) -> TypeAdapter[Any] | None:  # Any: the tool's own return type
    """What the function declares to return, or None where that says nothing. Raises ConfigError for what cannot be checked."""
    hint = _hints(name, function).get("return", Any)
    if hint in (Any, NoReturn, typing.Never):
        return None
    try:
        return TypeAdapter(hint)
    except Exception as error:  # as in _built
        raise ConfigError(f"tool {name!r}: its return type {hint!r} cannot be checked: {_said(error)}") from error


def result_schema(returned: TypeAdapter[Any] | None) -> JsonObject:  # Any: the tool's own return type
    """The JSON schema of a result; `{}`, which is anything, where the type does not say."""
    try:
        return {} if returned is None else returned.json_schema(mode="serialization", schema_generator=_Generator)
    except Exception:  # noqa: BLE001  # as in _built; such a type is still checked when it is returned
        return {}


class _Generator(GenerateJsonSchema):
    """pydantic's own, but what JSON cannot give or hold is no schema, and the same type always gives the same bytes."""

    def generator_schema(self, schema: Any) -> Any:  # Any: pydantic's own types, as below
        # pydantic checks an iterable only while it is read: a wrong element would show up in the middle of an effect.
        raise PydanticInvalidForJsonSchema("an Iterable is checked only as it is read: declare a list or a Sequence")

    def is_subclass_schema(self, schema: Any) -> Any:
        raise PydanticInvalidForJsonSchema("a class cannot be written as JSON")

    def emit_warning(self, kind: str, detail: str) -> None:
        # A default that JSON cannot hold is only left out; a choice without schema would be one that nobody can make.
        if kind == "skipped-choice":
            raise PydanticInvalidForJsonSchema(detail)

    def encode_default(self, dft: Any) -> Any:
        encoded = super().encode_default(dft)
        try:
            json.dumps(encoded, allow_nan=False)
        except ValueError as error:
            raise PydanticSerializationError(str(error)) from error
        # Hashes differ between processes, and with them the order of a set: the agent's fingerprint must not.
        return sorted(encoded, key=canonical) if isinstance(dft, Set) else encoded


def _partial(function: Function) -> functools.partial[Any] | None:
    return typing.cast("functools.partial[Any]", function) if isinstance(function, functools.partial) else None


def _origin(function: Function) -> Function:
    """What carries the annotations and the docstring: under partials and decorators, and `__call__` of an object."""
    if under := _partial(function):
        return _origin(under.func)
    if hasattr(function, "__wrapped__") and not hasattr(function, "__signature__"):
        return _origin(getattr(function, "__wrapped__"))  # noqa: B009  # functions are not declared to have it
    return function if inspect.isroutine(function) else type(function).__call__


def _hints(name: str, function: Function) -> Hints:
    if inspect.isclass(function):
        raise ConfigError(f"tool {name!r}: {function.__name__} is a class: write a function that makes one")
    try:
        return typing.get_type_hints(_origin(function), include_extras=True)
    except Exception as error:  # resolving a hint evaluates it: that may raise anything
        raise ConfigError(
            f"tool {name!r}: a type hint cannot be resolved: {error}; name types its module can see"
        ) from error


def _parameters(name: str, function: Function) -> list[inspect.Parameter]:
    """All parameters but those a functools.partial has given: the author fixed them, Claude must not change them."""
    try:
        listed = inspect.signature(function).parameters.values()
    except (TypeError, ValueError) as error:
        raise ConfigError(f"tool {name!r}: its signature cannot be read: {error}; wrap it in a function") from error
    given: set[str] = set()
    while under := _partial(function):
        given.update(under.keywords)
        function = under.func
    return [parameter for parameter in listed if parameter.name not in given]


def _check_parameter(name: str, parameter: inspect.Parameter, hints: Hints, context: type) -> None:
    told = f"tool {name!r}: parameter {parameter.name!r}"
    if parameter.kind not in _NAMED:
        raise ConfigError(f"tool {name!r}: parameter {parameter} must be a plain named one")
    if parameter.name not in hints:
        bound = "; of a method, pass it bound: Tool(function=thing.method)" if parameter.name in ("self", "cls") else ""
        raise ConfigError(f"{told} needs a type hint for its schema{bound}")
    if _is(hints[parameter.name], context):
        raise ConfigError(f"{told}: {context.__name__} must be the first parameter, and not keyword-only")


def _is(hint: Any, context: type) -> bool:  # Any: a hint
    """Whether the hint is `context`, also when it is optional or annotated."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType, Annotated):
        return any(_is(one, context) for one in typing.get_args(hint))
    return hint is context


def _documented(function: Function) -> tuple[str, dict[str, str]]:
    """The description and what the docstring says of each parameter, in Google, NumPy, Sphinx or epydoc style."""
    text = inspect.cleandoc(_origin(function).__doc__ or "")
    try:
        parsed = docstring_parser.parse(text)
    except (docstring_parser.ParseError, LookupError, ValueError):
        return text.strip(), {}
    known = (docstring_parser.DocstringParam, docstring_parser.DocstringReturns, docstring_parser.DocstringRaises)
    if not any(isinstance(entry, known) for entry in parsed.meta):
        return text.strip(), {}  # prose: what looked like a section was none, or is worth reading
    told = {
        name.strip().lstrip("*\\"): entry.description or ""
        for entry in parsed.params
        for name in entry.arg_name.split(",")
    }
    return (parsed.description or "").strip(), told


def _told(name: str, function: Function, own: Sequence[inspect.Parameter]) -> dict[str, str]:
    """What the docstring says of each parameter. Raises ConfigError for one that is misspelt there."""
    told = _documented(function)[1]
    known = inspect.signature(_origin(function)).parameters.keys()
    silent = [parameter.name for parameter in own if parameter.name not in told]
    for entry in told:
        near = difflib.get_close_matches(entry, silent, 1, cutoff=0.7)
        if entry not in known and near:
            raise ConfigError(f"tool {name!r}: its docstring describes {entry!r}: did you mean {near[0]!r}?")
    return told


def _fields(parameters: Sequence[str]) -> dict[str, str]:
    """A field name for each parameter: its own, unless pydantic has a use for it (`schema`, `model_x`, `_x`)."""
    names: dict[str, str] = {}
    for parameter in parameters:
        field = parameter
        while _is_reserved(field) or (field != parameter and field in parameters):
            field = f"the_{field}"
        names[field] = parameter
    return names


def _is_reserved(field: str) -> bool:
    return field.startswith(("_", "model_")) or hasattr(BaseModel, field)


def _built(name: str, fields: Mapping[str, Described], told: Mapping[str, str]) -> tuple[type[BaseModel], JsonObject]:
    """The model of the parameters, by their fields, and its schema. Raises ConfigError naming the parameter that has none."""
    try:
        made = {field: _defined(field, described, told) for field, described in fields.items()}
        model = create_model(name, __config__=ConfigDict(extra="forbid"), **made)
        return model, clean(model.model_json_schema(schema_generator=_Generator))
    except Exception as error:  # what pydantic and the code of types raise over a type has no common class
        for field, described in fields.items() if len(fields) > 1 else ():
            _built(name, {field: described}, told)  # raises for the one to blame
        blamed = ", ".join(repr(parameter.name) for parameter, _ in fields.values())
        raise ConfigError(f"tool {name!r}: no schema for parameter {blamed}: {_said(error)}") from error


def _defined(field: str, described: Described, told: Mapping[str, str]) -> Any:  # Any: create_model's own vocabulary
    parameter, hint = described
    alias = None if field == parameter.name else parameter.name
    annotated = _annotated(hint, Field(description=told.get(parameter.name) or None, alias=alias))
    return annotated if parameter.default is parameter.empty else (annotated, parameter.default)


def _annotated(hint: Any, ours: Any) -> Any:  # Any: a hint, and what annotates it
    """The hint with our annotation, placed so that what the author wrote there outdoes it."""
    made: Any = Annotated  # Any: as a type expression it could not be put together at run time
    if typing.get_origin(hint) is not Annotated:
        return made[hint, ours]
    base, *theirs = typing.get_args(hint)
    return made[base, ours, *theirs]


def _said(error: Exception) -> str:
    """The message, without pydantic's advice on changing settings that are ours."""
    return error.message.partition("\n")[0] if isinstance(error, PydanticErrorMixin) else str(error)


def _checked(name: str, schema: JsonObject, own: Sequence[inspect.Parameter]) -> JsonObject:
    """The schema as Claude gets it. Raises ConfigError for what the Messages API would refuse on every request."""
    schema.pop("title", None)
    properties = schema["properties"]
    for described in properties.values():
        described.pop("title", None)
    if len(properties) != len(own):
        raise ConfigError(
            f"tool {name!r}: its parameters {', '.join(parameter.name for parameter in own)} come out as "
            f"{', '.join(properties) or 'none'}: two share an alias, or a type (ClassVar) is none"
        )
    for key in (key for part in _parts(schema) for key in part.get("properties", {})):
        if not KEY.fullmatch(key):
            raise ConfigError(
                f"tool {name!r}: the Messages API refuses the name {key!r}: at most 64 of a-z A-Z 0-9 _ . -; "
                "rename it, or give it Field(alias=...)"
            )
    return schema


def _parts(schema: Json) -> Iterator[JsonObject]:
    """The schema and every schema inside it; what it refers to is among its `$defs`."""
    if not isinstance(schema, _OBJECT):
        return  # JSON Schema's `true` and `false`
    yield schema
    inner = [one for key in ("properties", "$defs", "patternProperties") for one in schema.get(key, {}).values()]
    inner += [one for key in ("anyOf", "oneOf", "allOf", "prefixItems") for one in schema.get(key, [])]
    inner += [schema.get(key) for key in ("items", "additionalProperties")]
    for one in inner:
        yield from _parts(one)


# --------------------------------------------------------------------------------------------------------- strict mode
# With `"strict": true` Claude cannot give arguments that do not fit. It takes a subset of JSON Schema, which the client's
# anthropic/lib/_parse/_transform.py spells out: what is not in this table is not in the subset, or only partly (`pattern`).

_FORMATS = ("date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid")
_TYPES = ("object", "array", "string", "integer", "number", "boolean", "null")
_SCALARS = (str, int, float, bool, type(None))


def _always(_: Json) -> bool:
    return True


_STRICT: Mapping[str, Callable[[Json], bool]] = {
    **dict.fromkeys(("title", "description", "default", "anyOf", "allOf", "properties", "required", "items"), _always),
    "type": lambda value: value in _TYPES,
    "format": lambda value: value in _FORMATS,
    "enum": lambda values: all(isinstance(value, _SCALARS) for value in values),
    "const": lambda value: isinstance(value, _SCALARS),
    "minItems": lambda value: value in (0, 1),
    "additionalProperties": lambda value: value is False,
}
_NEEDS: Mapping[str, set[str]] = {"object": {"properties", "additionalProperties"}, "array": {"items"}}


class StrictCost(NamedTuple):
    """What strict tools take of what one request may hold."""

    tools: int
    optional: int  # properties that are not required
    unions: int  # places with more than one type


STRICT_LIMITS = StrictCost(tools=20, optional=24, unions=16)  # platform.claude.com: structured outputs, limits


class _NotStrict(Exception):
    """Strict mode has no word for it."""


def strict_form(schema: JsonObject) -> JsonObject | None:
    """The same schema in the subset strict mode takes, references written out; None where it would lose its meaning."""
    try:
        return _written_out(schema, schema.get("$defs", {}), ())
    except _NotStrict:
        return None


def strict_cost(form: JsonObject) -> StrictCost:
    """What a schema in strict form takes of STRICT_LIMITS."""
    parts = list(_parts(form))
    optional = sum(len(part.get("properties", ())) - len(part.get("required", ())) for part in parts)
    return StrictCost(1, optional, sum("anyOf" in part for part in parts))


def _written_out(schema: Json, defs: JsonObject, inside: tuple[str, ...]) -> JsonObject:
    if not isinstance(schema, _OBJECT):
        raise _NotStrict
    plain: JsonObject = {key: value for key, value in schema.items() if key != "$defs"}
    if "$ref" in plain:
        return _dereferenced(plain, defs, inside)
    if not _is_strict(plain):
        raise _NotStrict

    def write(key: str, value: Json) -> Json:
        match key:
            case "properties":
                return {name: _written_out(one, defs, inside) for name, one in value.items()}
            case "anyOf" | "allOf":
                return [_written_out(one, defs, inside) for one in value]
            case "items":
                return _written_out(value, defs, inside)
            case _:
                return value

    return {key: write(key, value) for key, value in plain.items()}


def _dereferenced(schema: JsonObject, defs: JsonObject, inside: tuple[str, ...]) -> JsonObject:
    """What is referred to, in place. Whether the API heeds what stands beside a `$ref` is written nowhere."""
    beside = {key: value for key, value in schema.items() if key != "$ref"}
    name = schema["$ref"].removeprefix("#/$defs/")
    if name in inside or name not in defs or not beside.keys() <= {"title", "description", "default"}:
        raise _NotStrict
    target = _written_out(defs[name], defs, (*inside, name))
    both = [one["description"] for one in (beside, target) if "description" in one]
    return {**target, **beside, **({"description": "\n\n".join(both)} if both else {})}


def _is_strict(schema: JsonObject) -> bool:
    known = all(key in _STRICT and _STRICT[key](value) for key, value in schema.items())
    shaped = {"type", "enum", "const", "anyOf", "allOf"} & schema.keys()
    return known and bool(shaped) and _NEEDS.get(str(schema.get("type")), set()) <= schema.keys()
