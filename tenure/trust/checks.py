"""The checks that an agent's `trust` makes of a call: for the gate, and for the table that people review.

Rules of this file: pure. Which permits and rules hold for a call is the caller's to say; what follows from them is said here, once.
"""

from __future__ import annotations

from collections.abc import Iterable

from tenure.trust import level
from tenure.trust.config import Permit, ToolRule
from tenure.trust.ruling import Allow, Ask, Decision, Deny


def by_rules(rules: Iterable[ToolRule]) -> list[Decision]:
    """What the tool rules that apply to a call make of it, whatever the level."""
    return [
        Deny(f"{told.permission} is denied") if told.decision == "deny" else Ask(f"{told.permission} is always asked")
        for told in rules
    ]


def by_level(tool: str, permits: Iterable[Permit], has: int) -> Decision:
    """What the permits that hold for a call of `tool` make of it at level `has`: none at all denies it."""
    levels = [permit.level for permit in permits]
    if not levels:
        return Deny(f"no level of trust allows {tool}")
    needed = min(levels)
    if needed <= has:
        return Allow()
    return Ask(f"{tool} needs level {level.shown(needed)}, and the agent has {level.shown(has)}")
