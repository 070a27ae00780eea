"""Known: a policy speaks of tools and arguments that the agent has, or somebody would rely on a protection that is not there.

Rules of this file: pure. What grants may name a tool that is not there yet: it grants nothing then. What denies, asks, limits, or
says who approves must name one: misspelt, it would protect nothing. No condition may name an argument that its tool does not take:
what grants by it would never grant, what denies by it would always deny. `*` alone means whatever tools there are.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from tenure.errors import ConfigError
from tenure.trust.grammar import parse
from tenure.trust.paths import dead_end
from tenure.trust.pattern import matches
from tenure.wire import JsonObject

Schemas: TypeAlias = Mapping[str, JsonObject]  # by tool: the JSON schema of its arguments
ALL = "*"
LISTED = 12  # names in a message


def check_tools(where: str, patterns: Iterable[str], tools: Iterable[str]) -> None:
    """Raise ConfigError when none of `patterns` names a tool, with the tool that was probably meant."""
    written, known = list(patterns), sorted(tools)
    if written and ALL not in written and not any(matches(one, tool) for one in written for tool in known):
        told = ", ".join(map(repr, written))
        raise ConfigError(f"{where}: {told} names no tool of this agent{_instead(_nearest(written[0], known), known)}")


def check_grant(where: str, told: str, schemas: Schemas) -> None:
    """Raise ConfigError when the conditions of a permission keep it from ever granting anything to the tools it names."""
    found = [_strange(told, tool, schemas[tool]) for tool in schemas if parse(told).means(tool)]
    if found and all(found):
        raise ConfigError(f"{where}: {told!r}: {found[0]}")


def check_restriction(where: str, told: str, schemas: Schemas) -> None:
    """Raise ConfigError when a permission that restricts names no tool, or one that its conditions cannot be judged of."""
    pattern = parse(told).pattern
    check_tools(where, [pattern], schemas)
    found = [_strange(told, tool, schemas[tool]) for tool in schemas if matches(pattern, tool)]
    if strange := next(filter(None, found), ""):
        some = "" if all(found) else "; it would always apply to that tool: name the tools that are meant"
        raise ConfigError(f"{where}: {told!r}: {strange}{some}")


def defaults(schema: JsonObject) -> JsonObject:
    """What a tool with this schema of arguments gets for each that a call leaves out; without those it must be given."""
    told: JsonObject = schema.get("properties", {})
    required = schema.get("required", [])
    return {name: one["default"] for name, one in told.items() if "default" in one and name not in required}


def _strange(told: str, tool: str, schema: JsonObject) -> str:
    """Which argument that a permission has a condition on the tool does not take; empty: it takes all of them."""
    for condition in parse(told).conditions:
        steps = tuple(condition.argument.split("."))
        if found := dead_end(steps, schema):
            at, places = found
            names = sorted({".".join((*steps[:at], key)) for place in places for key in place.get("properties", {})})
            near = difflib.get_close_matches(".".join(steps[: at + 1]), names, 1)
            inside = f": {'.'.join(steps[:at])!r} has no fields" if at and not names else _instead(near, names)
            return f"{tool} has no argument {condition.argument!r}{inside}"
    return ""


def _nearest(pattern: str, tools: list[str]) -> list[str]:
    """The tool nearest to a pattern; of one that ends in `*` only the beginnings are compared."""
    stem = pattern.rstrip("*")
    begin = {tool: tool[: len(stem)] if pattern.endswith("*") else tool for tool in tools}
    near = difflib.get_close_matches(stem, set(begin.values()), 1)
    return [tool for tool in tools if begin[tool] in near][:1]


def _instead(near: list[str], names: list[str]) -> str:
    hint = f": did you mean {near[0]!r}?" if near else ":"
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return f"{hint} {'It has' if near else 'it has'} {', '.join(names[:LISTED]) or 'none'}{more}"
