"""Rollouts in few words: a capability that hears numbered events, and what was decided because of each."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tenure.learn.events import (
    Answered,
    Asked,
    Breach,
    Compared,
    Decision,
    Event,
    Moved,
    Ordered,
    Served,
    Ticked,
    Validated,
)
from tenure.learn.rollout import Policy, Rollout, advance, begin

HOUR = 3600_000


class Capability:
    """One version of a capability and its rollout. Mutable."""

    def __init__(self, policy: Policy | None = None, version: int = 2, digest: str = "d2") -> None:
        self.policy = policy or Policy()
        self.state: Rollout = begin("refund", digest, version, 0)
        self.at = 0
        self.events: list[Event] = []

    def hear(self, event: Event) -> list[Decision]:
        self.events.append(event)
        self.state, told = advance(self.state, event, self.policy)
        return told

    def known(self, **other: Any) -> dict[str, Any]:
        return {"number": self.state.last + 1, "at": self.at, "version": self.state.version, **other}

    def validated(self, coverage: str = "0.95", wrong_writes: int = 0) -> list[Decision]:
        return self.hear(
            Validated(**self.known(), report="report", coverage=Decimal(coverage), wrong_writes=wrong_writes)
        )

    def answered(self, choice: Any = "approved", **other: Any) -> list[Decision]:
        """The open request is answered, as far as `other` does not say otherwise."""
        asked = self.state.asked
        told = {"what": asked.what, "asked": asked.number} if asked else {"what": "deploy", "asked": 1}
        mine = {"digest": self.state.digest, "by": ["olivia"], "choice": choice}
        return self.hear(Answered(**{**self.known(), **told, **mine, **other}))

    def compared(self, outcome: Any = "clean", times: int = 1) -> list[Decision]:
        return [
            one
            for _ in range(times)
            for one in self.hear(Compared(**self.known(), run=f"r{self.state.last}", outcome=outcome))
        ]

    def served(self, outcome: Any = "ok", times: int = 1) -> list[Decision]:
        return [
            one
            for _ in range(times)
            for one in self.hear(Served(**self.known(), run=f"r{self.state.last}", outcome=outcome))
        ]

    def breach(self, what: Any, wrote: bool = False) -> list[Decision]:
        return self.hear(Breach(**self.known(), run=f"r{self.state.last}", what=what, wrote=wrote))

    def ordered(self, what: Any, why: str = "") -> list[Decision]:
        return self.hear(Ordered(**self.known(), what=what, by="olivia", why=why))

    def ticked(self, hours: int) -> list[Decision]:
        self.at += hours * HOUR
        return self.hear(Ticked(**self.known()))


def in_shadow(policy: Policy | None = None) -> Capability:
    """A capability that people have let into the shadow."""
    made = Capability(policy)
    made.validated()
    if made.state.asked:
        made.answered()
    return made


def canaried(policy: Policy | None = None) -> Capability:
    """One that serves the first requests."""
    made = in_shadow(policy)
    made.compared(times=36)
    return made


def in_service(policy: Policy | None = None) -> Capability:
    """One that serves everybody."""
    made = canaried(policy)
    made.served(times=35)
    if made.state.asked:
        made.answered()
    return made


def moves(told: list[Decision]) -> list[tuple[str, str]]:
    return [(one.before, one.after) for one in told if isinstance(one, Moved)]


def asks(told: list[Decision]) -> list[str]:
    return [one.what for one in told if isinstance(one, Asked)]
