"""Patterns that name tools: `*`, `name`, `prefix*`, `mcp__server__*`. Case-sensitive, full match, `*` only last.

Rules of this file: pure. A pattern is checked where it is declared, so that a typing error never widens what is allowed.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from tenure.errors import ConfigError

PATTERN = re.compile(r"[a-zA-Z0-9_-]{0,128}\*?")


def matches(pattern: str, tool: str) -> bool:
    """Whether `pattern` names `tool`."""
    if pattern.endswith("*"):
        return tool.startswith(pattern[:-1])
    return pattern == tool


def any_matches(patterns: Iterable[str], tool: str) -> bool:
    """Whether one of the patterns names `tool`."""
    return any(matches(pattern, tool) for pattern in patterns)


def check(where: str, patterns: Iterable[str], tools: Iterable[str]) -> None:
    """Raise ConfigError for what is no pattern, and for one that is a letter or two away from a tool it does not name."""
    known = sorted(tools)
    for pattern in patterns:
        if not pattern or not PATTERN.fullmatch(pattern):
            raise ConfigError(f"{where}: {pattern!r} is no tool pattern: write a name, or a prefix that ends in `*`")
        near = difflib.get_close_matches(pattern.rstrip("*"), known, 1, cutoff=0.85)
        if near and not any(matches(pattern, tool) for tool in known):
            raise ConfigError(f"{where}: {pattern!r} names no tool of this agent: did you mean {near[0]!r}?")
