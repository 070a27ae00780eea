"""Our policies in Cedar (cedarpolicy.com), written from the design and not from `tenure.trust`: the oracle beside our own gate.

Each argument travels with its kind, `{"kind": "number", "value": 5}`, because Cedar cannot ask what kind a value is and an error in
a condition would silently switch its policy off. So every condition says first that the argument is there and of the literal's
kind; no evaluation may end in an error, and one that does counts as a denial.

What Cedar cannot say: an order of texts; numbers that are no 64-bit integers, or decimals with more than four digits after the
point (about ±9.2e14); null, which travels as a kind alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import cedarpy

from tenure.trust.grammar import Condition, Permission
from tenure.wire import Json, JsonObject

NOBODY = cedarpy.Entities.from_json_str("[]")
COMPARED = {"<=": "lessThanOrEqual", "<": "lessThan", ">=": "greaterThanOrEqual", ">": "greaterThan"}


@dataclass(frozen=True)
class Policy:
    """A policy as its parts: permissions by level, rules and denials, and by role the patterns of the tools it may use.

    `exact`: all numbers are integers (Cedar's long); otherwise they are decimals.
    """

    permissions: Mapping[int, Sequence[Permission]] = field(default_factory=dict[int, Sequence[Permission]])
    rules: Sequence[tuple[Permission, str]] = ()
    denied: Sequence[Permission] = ()
    roles: Mapping[str, Sequence[str]] | None = None
    exact: bool = True

    def cedar(self) -> cedarpy.PolicySet:
        """The same as Cedar policies. With `context.strictly` what must be asked is not allowed either."""
        return cedarpy.PolicySet.from_str("\n".join(self._policies()))

    def _policies(self) -> Iterable[str]:
        for level, permissions in self.permissions.items():
            for told in permissions:
                reached = " && ".join(f"context.{bound} >= {level}" for bound in ("level", "parent", "operator"))
                yield _permit(f"(!context.strictly || ({reached})) && {self._allows(told)}")
        for told, decision in self.rules:
            strictly = "" if decision == "deny" else "context.strictly && "
            yield _forbid(f"{strictly}{self._restricts(told)}")
        yield from (_forbid(self._restricts(told)) for told in self.denied)
        if self.roles is not None:
            may = [
                f"(context.role == {text(role)} && {named(pattern)})"
                for role, patterns in self.roles.items()
                for pattern in patterns
            ]
            yield _forbid(f"!({' || '.join(may) or 'false'})")
        yield _forbid("context.halted")
        yield _forbid('context.strictly && (context.doubt || (context.taint && context.effect != "read"))')

    def _allows(self, told: Permission) -> str:
        return " && ".join([named(told.pattern), *(self._is(one, True) for one in told.conditions)])

    def _restricts(self, told: Permission) -> str:
        return " && ".join([named(told.pattern), *(f"!{self._is(one, False)}" for one in told.conditions)])

    def _is(self, told: Condition, truth: bool) -> str:
        """That the condition is true, or that it is false; what cannot be said is neither."""
        found, there = _leaf(told.argument.split("."))
        literals = told.literal if told.op in ("in", "not in") else [told.literal]
        if told.op in COMPARED and _kind(told.literal) != "number":
            return "(false)"
        known = " || ".join(f"{found}.kind == {text(kind)}" for kind in sorted({_kind(one) for one in literals}))
        holds = " || ".join(self._same(found, told.op, one) for one in literals)
        positive = truth == (told.op not in ("!=", "not in"))
        return f"({there} && ({known or 'false'}) && {'' if positive else '!'}({holds or 'false'}))"

    def _same(self, found: str, op: str, literal: Json) -> str:
        kind = _kind(literal)
        is_kind = f"{found}.kind == {text(kind)}"
        if kind == "null":
            return is_kind
        if op in COMPARED and not self.exact:
            return f"({is_kind} && {found}.value.{COMPARED[op]}({self._literal(literal)}))"
        sign = op if op in COMPARED else "=="
        return f"({is_kind} && {found}.value {sign} {self._literal(literal)})"

    def _literal(self, value: Json) -> str:
        if isinstance(value, str):
            return text(value)
        if isinstance(value, bool):
            return "true" if value else "false"
        return str(value) if self.exact else f'decimal("{_decimal(value)}")'

    def value(self, value: Json) -> JsonObject:
        """An argument with its kind."""
        told: JsonObject = {"kind": _kind(value)}
        if told["kind"] == "object":
            return {**told, "value": {name: self.value(one) for name, one in value.items()}}
        if told["kind"] == "number" and not self.exact:
            return {**told, "value": {"__extn": {"fn": "decimal", "arg": _decimal(value)}}}
        return told if told["kind"] in ("null", "list") else {**told, "value": value}

    def request(self, arguments: JsonObject, *, strictly: bool, **context: Any) -> JsonObject:
        """A call, and what is known of the run, as Cedar is asked about it."""
        args = {name: self.value(one) for name, one in arguments.items()}
        return {
            "principal": 'Run::"run"',
            "action": 'Action::"call"',
            "resource": 'Agent::"desk"',
            "context": {**context, "args": args, "strictly": strictly},
        }


def decided(policies: cedarpy.PolicySet, requests: Sequence[JsonObject]) -> list[bool]:
    """Which requests are allowed; one whose policies end in an error is not."""
    answers = cedarpy.is_authorized_batch(list(requests), policies, NOBODY)
    return [answer.allowed and not answer.diagnostics.errors for answer in answers]


def named(pattern: str) -> str:
    """That a pattern names the tool."""
    if pattern.endswith("*"):
        return f'context.tool like {text(pattern[:-1])[:-1]}*"'
    return f"context.tool == {text(pattern)}"


def text(value: str) -> str:
    """A string as Cedar writes it."""
    return '"' + "".join(one if one.isalnum() or one in "_ -" else f"\\u{{{ord(one):x}}}" for one in value) + '"'


def _leaf(path: list[str]) -> tuple[str, str]:
    """Where an argument stands, and that it is there."""
    found, there = f"context.args[{text(path[0])}]", [f"context.args has {text(path[0])}"]
    for name in path[1:]:
        there.append(f'{found}.kind == "object" && {found}.value has {text(name)}')
        found = f"{found}.value[{text(name)}]"
    return found, " && ".join(there)


def _kind(value: Json) -> str:
    kinds = {
        type(None): "null",
        bool: "flag",
        int: "number",
        float: "number",
        str: "text",
        dict: "object",
        list: "list",
    }
    return kinds[type(value)]


def _decimal(value: float) -> str:
    told = format(Decimal(str(value)), "f")
    return told if "." in told else f"{told}.0"


def _permit(condition: str) -> str:
    return f"permit(principal, action, resource) when {{ {condition} }};"


def _forbid(condition: str) -> str:
    return f"forbid(principal, action, resource) when {{ {condition} }};"
