"""Permissions: which calls a line of policy means, as in `refund(amount <= 100, currency in ['EUR', 'USD'])`.

    permission := pattern [ "(" condition { "," condition } ")" ]
    condition  := argument op literal          op := == != <= >= < > in "not in"

`argument` names an argument, or a field inside one by dots; `literal` is a number, a quoted string, true, false, null or, after
`in`, a list of them. Patterns are those of `tenure.trust.pattern`.

Rules of this file: pure. A condition is true, false or, where the argument is missing or of another kind than the literal, neither.
What allows needs every condition to be true; what denies or asks applies unless one is false. So nothing is gained by leaving an
argument out. An argument that has a default is never left out: whoever asks here puts it in (`ToolFacts.given`).
"""

from __future__ import annotations

import ast
import contextlib
import functools
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from tenure.errors import ConfigError
from tenure.trust.pattern import PATTERN, matches
from tenure.wire import Json

WHOLE = re.compile(r"\s*([a-zA-Z0-9_*-]+)\s*(?:\((.*)\))?\s*", re.DOTALL)
CONDITION = re.compile(r"\s*([A-Za-z_][\w.-]*)\s*(==|!=|<=|>=|<|>|not\s+in\b|in\b)\s*(.+?)\s*", re.DOTALL)
COMMA = re.compile(r""",(?=(?:[^'"\[\]]|'[^']*'|"[^"]*"|\[[^\]]*\])*$)""")  # outside quotes and lists
WORDS = {"true": True, "false": False, "null": None}
ORDER: Mapping[str, Callable[[Any, Any], bool]] = {  # Any: two values of one kind
    "==": operator.eq, "!=": operator.ne, "<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt,
}  # fmt: skip


@dataclass(frozen=True)
class Condition:
    """One comparison of an argument with a literal."""

    argument: str
    op: str
    literal: Json

    def holds(self, arguments: Mapping[str, Json]) -> bool | None:
        """Whether it does; None when it cannot be said."""
        found = _find(arguments, self.argument.split("."))
        if found is _MISSING:
            return None
        if self.op in ("in", "not in"):
            same = [_same(found, one) for one in self.literal]
            comparable = any(one is not None for one in same)
            return None if not comparable else (True in same) == (self.op == "in")
        if _kind(found) != _kind(self.literal) or (
            self.op not in ("==", "!=") and _kind(found) not in ("number", "text")
        ):
            return None
        return ORDER[self.op](found, self.literal)


@dataclass(frozen=True)
class Permission:
    """A pattern of tools, and the conditions on a call's arguments."""

    pattern: str
    conditions: tuple[Condition, ...] = ()

    def means(self, tool: str) -> bool:
        """Whether the pattern names `tool`."""
        return matches(self.pattern, tool)

    def allows(self, arguments: Mapping[str, Json]) -> bool:
        """Whether every condition is true."""
        return all(condition.holds(arguments) is True for condition in self.conditions)

    def restricts(self, arguments: Mapping[str, Json]) -> bool:
        """Whether no condition is false."""
        return all(condition.holds(arguments) is not False for condition in self.conditions)


@functools.lru_cache(maxsize=4096)
def parse(text: str) -> Permission:
    """The permission that `text` writes. Raises ConfigError saying where it cannot be read."""
    whole = WHOLE.fullmatch(text)
    if whole is None or not PATTERN.fullmatch(whole[1]):
        raise ConfigError(
            f"{text!r} is no permission: write a tool, or a prefix that ends in `*`, and conditions in brackets"
        )
    if whole[2] is None:
        return Permission(whole[1])
    return Permission(whole[1], tuple(_condition(text, part) for part in COMMA.split(whole[2])))


def _condition(text: str, part: str) -> Condition:
    told = CONDITION.fullmatch(part)
    if told is None:
        raise ConfigError(
            f"{text!r}: {part.strip()!r} is no condition: write `argument op literal`, as in `amount <= 100`"
        )
    op = " ".join(told[2].split())
    literal = _literal(text, told[3])
    if isinstance(literal, list) != (op in ("in", "not in")):
        raise ConfigError(f"{text!r}: {op!r} takes {'a list' if op.endswith('in') else 'one value'}, not {told[3]}")
    return Condition(told[1], op, literal)


def _literal(text: str, written: str) -> Json:
    if written in WORDS:
        return WORDS[written]
    value: Json = _MISSING
    with contextlib.suppress(ValueError, SyntaxError):
        value = ast.literal_eval(written)
    scalars = cast("list[Json]", value if isinstance(value, list) else [value])
    if not all(isinstance(one, bool | int | float | str) or one is None for one in scalars):
        raise ConfigError(
            f"{text!r}: {written} is no literal: a number, a quoted string, true, false, null or a list of them"
        )
    return cast("Json", value)  # pyright narrows it to a list of unknowns


_MISSING = object()


def _find(value: Json, path: list[str]) -> Json:
    for name in path:
        if not isinstance(value, Mapping) or name not in value:
            return _MISSING
        value = value[name]  # pyright: ignore[reportUnknownVariableType]  # JSON
    return value  # pyright: ignore[reportUnknownVariableType]  # JSON


def _same(found: Json, literal: Json) -> bool | None:
    return found == literal if _kind(found) == _kind(literal) else None


def _kind(value: Json) -> str:
    if value is None or isinstance(value, bool):
        return "null" if value is None else "flag"
    return "number" if isinstance(value, int | float) else "text" if isinstance(value, str) else "other"
