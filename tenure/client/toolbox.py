"""Toolboxes: the tools that agents were announced with, so that what is taken away is something that somebody has."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence

from tenure.errors import ConfigError
from tenure.runtime.store import Connection, agents
from tenure.trust.grammar import parse
from tenure.trust.known import Schemas, check_restriction, check_tools
from tenure.trust.pattern import matches
from tenure.trust.restrictions import EVERY, Restriction


def toolboxes(db: Connection, agent: str) -> list[Schemas]:
    """The tools of each announced build of `agent` (`*`: of all agents), the newest first; none where nobody has announced any."""
    rows = [row for row in agents.announced(db) if agent in (EVERY, row["name"])]
    found = [{told["name"]: told["input_schema"] for told in json.loads(row["manifest"])["tools"]} for row in rows]
    return [tools for tools in found if tools]


def doubt(db: Connection, pattern: str) -> str:
    """Why a pattern may name no tool of anybody; empty: it names one, or all of them."""
    known = sorted({tool for tools in toolboxes(db, EVERY) for tool in tools})
    if pattern == EVERY or any(matches(pattern, tool) for tool in known):
        return ""
    if not known:
        return f"no tools are announced now: nobody has looked whether {pattern!r} names one"
    near = difflib.get_close_matches(pattern.rstrip("*"), known, 1)
    return f"no announced agent has a tool {pattern!r}" + (f": did you mean {near[0]!r}?" if near else "")


def check_named(agent: str, restriction: Restriction, builds: Sequence[Schemas]) -> None:
    """Raise ConfigError when no build has a tool, or an argument of one, that is named: nothing would be taken away."""
    if not builds or restriction.kind not in ("deny", "limit") or any(_fits(restriction, tools) for tools in builds):
        return
    whose = "all agents" if agent == EVERY else f"agent {agent!r}"
    _check(whose, restriction, {name: schema for tools in reversed(builds) for name, schema in tools.items()})


def _fits(restriction: Restriction, tools: Schemas) -> bool:
    try:
        _check("", restriction, tools)
    except ConfigError:
        return False
    return True


def _check(whose: str, restriction: Restriction, tools: Schemas) -> None:
    if restriction.kind == "deny":
        check_restriction(f"--deny for {whose}", restriction.value, tools)
    else:
        check_tools(f"--limit for {whose}", [parse(restriction.value.partition("=")[0]).pattern], tools)
