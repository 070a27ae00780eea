"""Restrictions: what an operator has taken away for now, from one agent, one tenant, or everybody.

Rules of this file: pure. A restriction only narrows; what it takes away comes back when it is lifted, and nothing more. `fence`
counts restrictions and never falls: a ruling made before the last one is stale, and is made again before anything is done by it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from tenure.errors import BadInput
from tenure.trust import level
from tenure.trust.grammar import parse
from tenure.trust.limits import RateLimit
from tenure.trust.pattern import matches
from tenure.wire import JsonObject, Wire

EVERY = "*"  # as tenant or agent: all of them


class Restriction(Wire):
    """One of them. `value` is a permission to deny, a level to cap at, or `PATTERN=10/hour`; a halt and a revocation have none.

    A revocation, and a level that fell, restrict nothing by themselves: they move the fence, so that what rests on the approver or
    on the level is looked at again.
    """

    kind: Literal["halt", "deny", "cap", "limit", "revoked", "lowered"]
    value: str = ""
    reason: str = ""


class Standing(Wire):
    """What is restricted now. `cap` is in tenths; `halted` says why nothing at all may be done; `denied` holds permissions.

    `limits` are under the words they were written with: two on the same tools hold side by side.
    """

    fence: int = 0
    halted: str = ""
    denied: list[str] = Field(default_factory=list[str])
    cap: int = level.MOST
    limits: dict[str, RateLimit] = Field(default_factory=dict[str, RateLimit])


FREE = Standing()


def check(restriction: Restriction) -> Restriction:
    """The restriction itself. Raises ConfigError or BadInput when nobody could follow it."""
    match restriction.kind:
        case "deny":
            parse(restriction.value)
        case "cap":
            level.read("cap", restriction.value)
        case "limit":
            _limit(restriction.value)
        case "halt" | "revoked" | "lowered":
            pass
    return restriction


def fold(fence: int, restrictions: Iterable[Restriction]) -> Standing:
    """All of them as one: the lowest cap, every denial, every limit."""
    told = list(restrictions)
    halts = [one.reason or "no reason given" for one in told if one.kind == "halt"]
    return Standing(
        fence=fence,
        halted="; ".join(halts),
        denied=[one.value for one in told if one.kind == "deny"],
        cap=min((level.read("cap", one.value) for one in told if one.kind == "cap"), default=level.MOST),
        limits={one.value: _limit(one.value)[1] for one in told if one.kind == "limit"},
    )


def denies(standing: Standing, tool: str, arguments: JsonObject) -> list[str]:
    """The permissions among the denied ones that mean this call."""
    return [told for told in standing.denied if parse(told).means(tool) and parse(told).restricts(arguments)]


def limits_on(standing: Standing, tool: str) -> list[tuple[str, RateLimit]]:
    """The limits that count calls of `tool`, each with its pattern."""
    told = [(written.partition("=")[0], limit) for written, limit in standing.limits.items()]
    return [(pattern, limit) for pattern, limit in told if matches(pattern, tool)]


def _limit(value: str) -> tuple[str, RateLimit]:
    pattern, sign, limit = value.partition("=")
    if not sign:
        raise BadInput(f"{value!r} is no limit: write a tool pattern, `=` and a rate, as in 'refund*=10/hour'")
    if parse(pattern).conditions:
        raise BadInput(f"{pattern!r}: a limit counts calls of tools, whatever their arguments: leave out the brackets")
    return pattern, RateLimit.model_validate(limit)
