"""The checks of a call, and what they come to: for the gate, for the second look before an effect, and for the table people review.

Rules of this file: pure. Every check is made, whatever another one found; the most restrictive counts and every reason is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tenure.trust.config import Permit, ToolRule
from tenure.trust.grammar import parse
from tenure.trust.level import MOST, shown
from tenure.trust.pattern import any_matches
from tenure.trust.restrictions import FREE, Standing, denies
from tenure.trust.ruling import Allow, Ask, Decision, Deny
from tenure.wire import JsonObject

READ = "read"
ASKING = ("destructive", "privileged")  # effects that ask where no `trust` says otherwise


@dataclass(frozen=True)
class Case:
    """A call to be ruled on, and all that bears on it.

    `arguments` are what the tool would get, with its defaults where the call leaves one out (`ToolFacts.given`). `level` (tenths)
    is what the run has, None where the agent has no `trust`; `cap` is the most that its parent leaves it. `role_may` holds the
    patterns of the tools that the run's role may use, None where roles are not used. `taint` says why the origin of an argument
    needs a person's look, `doubt` why the call itself does; empty: it does not.
    """

    tool: str
    arguments: JsonObject
    effect: str
    level: int | None = None
    cap: int = MOST
    permits: Sequence[Permit] = ()
    rules: Sequence[ToolRule] = ()
    role: str | None = None
    role_may: Sequence[str] | None = None
    standing: Standing = FREE
    taint: str = ""
    doubt: str = ""

    @property
    def has(self) -> int | None:
        """The level that counts: the lowest of all that bear on the run."""
        return None if self.level is None else min(self.level, self.cap, self.standing.cap)


def checks(case: Case) -> list[Decision]:
    """What each check makes of the call."""
    found = [*by_standing(case), by_role(case), Ask(case.doubt) if case.doubt else Allow()]
    if case.has is None:
        return [*found, *by_effect(case)]
    rules = [told for told in case.rules if parse(told.permission).restricts(case.arguments)]
    permits = [told for told in case.permits if parse(told.permission).allows(case.arguments)]
    what = f"{case.tool} with these arguments" if case.permits and not permits else case.tool
    return [*found, *by_rules(rules), by_level(what, permits, case.has), by_taint(case)]


def by_standing(case: Case) -> list[Decision]:
    """Whether an operator has halted the agent or taken the tool away."""
    halted = [Deny(f"halted: {case.standing.halted}")] if case.standing.halted else []
    return [
        *halted,
        *(Deny(f"{told} is denied by an operator") for told in denies(case.standing, case.tool, case.arguments)),
    ]


def by_role(case: Case) -> Decision:
    """Whether the run's role may use the tool at all."""
    if case.role_may is None or any_matches(case.role_may, case.tool):
        return Allow()
    return Deny(f"the role {case.role!r} may not use {case.tool}")


def by_effect(case: Case) -> list[Decision]:
    """Without `trust`: what cannot be undone, or gives somebody power, asks; so does every change once the level is bounded."""
    asks: list[Decision] = [Ask(f"{case.tool} is {case.effect}")] if case.effect in ASKING else [Allow()]
    for cap, whose in (
        (case.standing.cap, "an operator's cap"),
        (case.cap, "the level of the run that started this one"),
    ):
        if cap < MOST and case.effect != READ:
            asks.append(Ask(f"{whose} is {shown(cap)}, and without trust= nothing says what that allows"))
    return asks


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
    return Ask(f"{tool} needs level {shown(needed)}, and the agent has {shown(has)}")


def by_taint(case: Case) -> Decision:
    """Whether what it would be called with may come from somebody else than who asks."""
    return Ask(case.taint) if case.taint and case.effect != READ else Allow()
