"""Which tool definitions Claude's API refuses, in its words: of any tool, and of one whose calls it guarantees.

With `strict: true` a schema is compiled to a grammar; that takes a subset of JSON Schema, and so much in one request.
Source: https://docs.claude.com/en/docs/build-with-claude/structured-outputs, "JSON Schema limitations" and "Schema
complexity limits". The installed client (anthropic 2.11.0, lib/_parse/_transform.py) confirms the types, the formats,
minItems 0 and 1, additionalProperties false, $ref and $defs, anyOf, allOf, enum and const of scalars, title and
description. It makes anyOf of oneOf and turns all else into description: bounds and lengths, and also `default` and
`pattern`, which the documentation allows. The limits in number it does not know.

Not known, so decided here: only the properties of the schema itself have to match the pattern; what stands in $defs
counts once, however often it is used; annotations that constrain nothing pass.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any, cast

Json = dict[str, Any]  # Any: a schema is JSON of whatever shape its author chose

NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_KEY = re.compile(r"[a-zA-Z0-9_.-]{1,64}")
_STRICT_TOOLS, _OPTIONAL, _UNIONS = 20, 24, 16


def complaints(tools: Sequence[Json]) -> Iterator[str]:
    """What the API has against these tools, its own among them (which it takes unread); the first is its answer."""
    custom = {index: tool for index, tool in enumerate(tools) if tool.get("type") in (None, "custom")}
    for index, tool in custom.items():
        yield from (f"tools.{index}.custom{complaint}" for part in _PARTS for complaint in part(tool))
    names = [str(tool["name"]) for tool in tools if tool.get("name")]
    if len(set(names)) < len(names):
        yield "tools: Tool names must be unique."
    yield from _of_number([_named(tool.get("input_schema")) for tool in custom.values() if tool.get("strict") is True])


def _of_name(tool: Json) -> Iterator[str]:
    match tool.get("name"):
        case None:
            yield ".name: Field required"
        case str(name) if not NAME.fullmatch(name):
            yield f".name: String should match pattern '^{NAME.pattern}$'"
        case str():
            pass
        case _:
            yield ".name: Input should be a valid string"


def _of_shape(tool: Json) -> Iterator[str]:
    match tool.get("input_schema"):
        case None:
            yield ".input_schema: Field required"
        case {"type": "object"}:
            pass
        case {"type": str()}:
            yield ".input_schema.type: Input should be 'object'"
        case {"type": kind} if kind is not None:
            yield ".input_schema.type: Input should be a valid string"
        case dict():
            yield ".input_schema.type: Field required"
        case _:
            yield ".input_schema: Input should be a valid dictionary"


def _of_schema(tool: Json) -> Iterator[str]:
    schema = _named(tool.get("input_schema"))
    if schema.keys() & {"oneOf", "allOf", "anyOf"}:
        yield ".input_schema: input_schema does not support oneOf, allOf, or anyOf at the top level"
    if not all(_KEY.fullmatch(key) for key in _named(schema.get("properties"))):
        yield f".input_schema.properties: Property keys should match pattern '^{_KEY.pattern}$'"
    if tool.get("strict") is True:
        yield from (f": {complaint}" for complaint in _of_references(schema))
        yield from (f": {complaint}" for node in _nodes(schema) for complaint in _of_node(node))


_PARTS = (_of_name, _of_shape, _of_schema)


def _of_number(schemas: Sequence[Json]) -> Iterator[str]:
    if len(schemas) > _STRICT_TOOLS:
        yield f"Too many strict tools ({len(schemas)}). The maximum number of strict tools supported is {_STRICT_TOOLS}."
    nodes = [node for schema in schemas for node in _nodes(schema)]
    if (optional := sum(map(_optional, nodes))) > _OPTIONAL:
        yield (
            f"Schemas contains too many optional parameters ({optional}), which would make grammar compilation "
            f"inefficient. Reduce the number of optional parameters in your tool schemas (limit: {_OPTIONAL})."
        )
    if (unions := sum("anyOf" in node or len(_types(node)) > 1 for node in nodes)) > _UNIONS:
        yield (
            f"Schemas contains too many parameters with union types ({unions} parameters with type arrays or anyOf). "
            "This causes exponential compilation cost. Reduce the number of nullable or union-typed parameters "
            f"(limit: {_UNIONS} parameters with unions)."
        )


def _optional(node: Json) -> int:
    return sum(name not in _listed(node.get("required")) for name in _named(node.get("properties")))


# ------------------------------------------------------------------------------------------------------- schemas as trees


def _nodes(schema: Json) -> list[Json]:
    """The schema and all that it is made of. A list that grows, not a recursion: its depth is the sender's choice."""
    nodes = [schema]
    for node in nodes:
        nodes.extend(_children(node))
    return nodes


def _children(node: Json) -> Iterator[Json]:
    inside = [child for word in ("properties", "$defs", "definitions") for child in _named(node.get(word)).values()]
    either = [child for word in ("anyOf", "allOf") for child in _listed(node.get(word))]
    items = [node["items"]] if "items" in node else []
    yield from (_named(child) for child in (*inside, *either, *items))


def _named(value: object) -> Json:
    return cast(Json, value) if isinstance(value, dict) else {}


def _listed(value: object) -> list[Any]:  # Any: elements of a JSON list
    return cast(list[Any], value) if isinstance(value, list) else []


def _types(node: Json) -> list[str]:
    given = node.get("type")
    return [str(name) for name in _listed(given) or [given] if name is not None]


# ------------------------------------------------------------------------------------------------------ the strict subset

_SCHEMA_WORDS = ("oneOf", "not", "if")
_SOURCES = frozenset({"type", "enum", "const", "anyOf", "allOf", "$ref"})
_ANYWHERE = _SOURCES | {"$defs", "definitions", "default", "description", "title"}
_ANNOTATIONS = frozenset({"$schema", "$id", "$comment", "examples", "deprecated"})
_OF_TYPE: Mapping[str, frozenset[str]] = {
    "object": frozenset({"properties", "required", "additionalProperties"}),
    "array": frozenset({"items", "minItems"}),
    "string": frozenset({"format", "pattern"}),
    **dict.fromkeys(("integer", "number", "boolean", "null"), frozenset[str]()),
}
_FORMATS = ("date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid")
_BEYOND_REGULAR = re.compile(r"\(\?[=!<]|\\[1-9bB]")  # look-around, back-references, word boundaries


def _of_node(node: Json) -> Iterator[str]:
    types = _types(node)
    for word in (*(name for name in types if name not in _OF_TYPE), *(word for word in _SCHEMA_WORDS if word in node)):
        yield f"Schema type '{word}' is not supported"
    if not node.keys() & _SOURCES:
        yield "Schema must have a 'type', '$ref', 'anyOf' or 'allOf' field, or a 'const' or 'enum'"
    if "object" in types and "additionalProperties" not in node:
        yield "For 'object' type, 'additionalProperties' must be explicitly set to false"
    yield from _of_words(node, types)
    yield from (
        wording(node[word]) for word, (fits, wording) in _VALUES.items() if word in node and not fits(node[word])
    )


def _of_words(node: Json, types: Sequence[str]) -> Iterator[str]:
    known = _ANYWHERE | _ANNOTATIONS | frozenset(_SCHEMA_WORDS).union(*(_OF_TYPE.get(name, ()) for name in types))
    label = " | ".join(types) or "any"
    match sorted(node.keys() - known):
        case []:
            pass
        case [word]:
            yield f"For '{label}' type, property '{word}' is not supported"
        case words:
            yield f"For '{label}' type, properties {', '.join(words)} are not supported"


def _is_scalar(value: object) -> bool:
    return value is None or isinstance(value, str | int | float)


_VALUES: Mapping[str, tuple[Callable[[Any], bool], Callable[[Any], str]]] = {  # Any: the value of a keyword
    "additionalProperties": (
        lambda value: value is False,
        lambda value: (
            f"For 'object' type, 'additionalProperties: {'object' if isinstance(value, dict) else str(value).lower()}' "
            "is not supported. Please set 'additionalProperties' to false"
        ),
    ),
    "minItems": (
        lambda value: value in (0, 1),
        lambda value: f"For 'array' type, 'minItems' values other than 0 or 1 are not supported (got: {value})",
    ),
    "format": (
        lambda value: value in _FORMATS,
        lambda value: f"For 'string' type, 'format' {value!r} is not supported: one of {', '.join(_FORMATS)}",
    ),
    "pattern": (
        lambda value: not _BEYOND_REGULAR.search(str(value)),
        lambda value: f"For 'string' type, 'pattern' {value!r} is not supported: it is not a simple expression",
    ),
    "enum": (
        lambda value: bool(_listed(value)) and all(map(_is_scalar, _listed(value))),
        lambda value: f"'enum' must hold strings, numbers, booleans or null (got: {value!r})",
    ),
    "const": (_is_scalar, lambda value: f"'const' must be a string, number, boolean or null (got: {value!r})"),
    "allOf": (
        lambda value: not any("$ref" in _named(part) for part in _listed(value)),
        lambda value: "'allOf' with '$ref' is not supported",
    ),
}


def _of_references(schema: Json) -> Iterator[str]:
    homes = {
        f"#/{word}/{name}": home for word in ("$defs", "definitions") for name, home in _named(schema.get(word)).items()
    }
    graph = {name: _references(_named(home)) for name, home in {"#": schema, **homes}.items()}
    for reference in graph["#"]:
        if not reference.startswith("#"):
            yield f"External references are not supported: {reference!r}"
        elif reference not in graph:
            yield f"Invalid schema: Reference to non-existent definition: {reference}"
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle = " -> ".join(name.rpartition("/")[2] for name in reversed(error.args[1]))
        yield (
            f"Circular reference detected in schema definitions: {circle}. Self-referencing or mutually-referencing "
            "definitions are not supported."
        )


def _references(schema: Json) -> list[str]:
    return [str(node["$ref"]) for node in _nodes(schema) if "$ref" in node]
