"""Paths into a tool's result, naming its trusted fields: `id`, `customer.id`, `tickets[].id`, `[].name`, `*` for all of it.

Rules of this file: pure. A path to an object or a list means everything inside it. `[]` is each element of a list. A key that
holds a dot, a bracket or a star cannot be named, so that a path never means more than its author wrote.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterator
from typing import TypeAlias

from tenure.errors import ConfigError
from tenure.wire import Json, JsonObject

EACH = "[]"  # the step to every element of a list; no key can be spelled like it
Steps: TypeAlias = tuple[str, ...]  # keys and EACH, from the outside in; empty for the whole result

_KEY = r"[^\s.\[\]*](?:[^.\[\]*\n]*[^\s.\[\]*])?"
_PATH = re.compile(rf"(?:{_KEY}|\[\])(?:\[\])*(?:\.{_KEY}(?:\[\])*)*")
_STEP = re.compile(r"\[\]|[^.\[\]]+")
_ANY: JsonObject = {}  # the schema of whatever JSON
_OBJECT: type[Json] = dict
_LIST: type[Json] = list


@functools.cache
def parse(path: str) -> Steps:
    """The steps of `path`. Raises ConfigError for what is no path."""
    if path == "*":
        return ()
    if not _PATH.fullmatch(path):
        raise ConfigError(
            f"{path!r} is no path into a result: write keys joined by dots, `[]` for each element of a list "
            "(tickets[].id), or `*` alone for all of it"
        )
    return tuple(_STEP.findall(path))


def select(value: Json, path: str) -> list[Json]:
    """The values `path` leads to, in order; none where `value` has nothing there. Raises ConfigError for what is no path."""
    found = [value]
    for step in parse(path):
        found = [inner for outer in found for inner in _inside(outer, step)]
    return found


def check(path: str, schema: JsonObject) -> None:
    """Raise ConfigError unless a value of this JSON schema can have something at `path`; where it is free, all can be."""
    steps = parse(path)
    if found := dead_end(steps, schema):
        at, places = found
        before = "the result"
        for step in steps[:at]:
            before = f"`{step}`" if step != EACH else f"an element of {before}"
        raise ConfigError(f"{path!r}: {before} {_told(steps[at], places)}")


def dead_end(steps: Steps, schema: JsonObject) -> tuple[int, list[JsonObject]] | None:
    """Which of the steps leads nowhere in a value of this JSON schema, and the plain schemas that have no such step."""
    defs: JsonObject = schema.get("$defs", {})
    places: list[Json] = [schema]
    for at, step in enumerate(steps):
        plain = [one for place in places for one in _alternatives(place, defs)]
        places = [below for place in plain for below in _below(place, step)]
        if not places:
            return at, plain
    return None


def _inside(value: Json, step: str) -> list[Json]:
    if step == EACH:
        return list(value) if isinstance(value, _LIST) else []
    return [value[step]] if isinstance(value, _OBJECT) and step in value else []


def _alternatives(schema: Json, defs: JsonObject) -> Iterator[JsonObject]:
    """The schema itself, or the plain ones it is made of."""
    if not isinstance(schema, _OBJECT):
        yield from [_ANY] if schema else []  # JSON Schema's `true` is anything, `false` nothing
    elif "$ref" in schema:
        yield from _alternatives(defs.get(schema["$ref"].removeprefix("#/$defs/"), _ANY), defs)
    elif inner := [*schema.get("anyOf", []), *schema.get("oneOf", []), *schema.get("allOf", [])]:
        for one in inner:
            yield from _alternatives(one, defs)
    else:
        yield schema


def _below(schema: JsonObject, step: str) -> list[Json]:
    """The schemas one step further in."""
    if not {"type", "enum", "const"} & schema.keys():
        return [_ANY]
    if step == EACH:
        return _elements(schema) if schema.get("type") == "array" else []
    if schema.get("type") != "object":
        return []
    if step in schema.get("properties", {}):
        return [schema["properties"][step]]
    free = [
        *schema.get("patternProperties", {}).values(),
        schema.get("additionalProperties", "properties" not in schema),
    ]
    return [below for below in free if below is not False]


def _elements(schema: JsonObject) -> list[Json]:
    return [*schema.get("prefixItems", []), *([schema["items"]] if schema.get("items") else [])] or [_ANY]


def _told(step: str, places: list[JsonObject]) -> str:
    if step == EACH:
        return "is no list: leave out `[]`"
    keys = [key for place in places for key in place.get("properties", {})]
    if not keys:
        hint = ": write `[]` before the key" if any(place.get("type") == "array" for place in places) else ""
        return f"has no fields, so no {step!r}{hint}"
    near = difflib.get_close_matches(step, keys, 1)
    return f"has no {step!r}: " + (f"did you mean {near[0]!r}?" if near else f"it has {', '.join(sorted(set(keys)))}")
