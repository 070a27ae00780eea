"""The closed set of answers to "may this call be made?", and how several checks become one.

Rules of this file: pure. Deny beats Ask beats Allow; every check is evaluated and every reason is kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Allow:
    """The call is made."""


@dataclass(frozen=True)
class Ask:
    """The call is made once a person approves it."""

    reason: str


@dataclass(frozen=True)
class Deny:
    """The call is not made; Claude is told the reason."""

    reason: str


Decision: TypeAlias = Allow | Ask | Deny


@dataclass(frozen=True)
class Ruling:
    """The most restrictive of all checks, with the reason of each that restricts."""

    decision: Decision
    reasons: tuple[str, ...] = ()


def rule(checks: Iterable[Decision]) -> Ruling:
    """Fold independent checks into one ruling. No checks at all is a Deny: unknown is refused."""
    found = list(checks)
    denials = [check.reason for check in found if isinstance(check, Deny)]
    asks = [check.reason for check in found if isinstance(check, Ask)]
    reasons = (*denials, *asks)
    if denials:
        return Ruling(Deny("; ".join(denials)), reasons)
    if asks:
        return Ruling(Ask("; ".join(asks)), reasons)
    return Ruling(Allow()) if found else Ruling(Deny("no check allowed this call"))
