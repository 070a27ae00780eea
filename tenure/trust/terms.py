"""Terms: on what conditions people's approval counts, for a call or for any other thing they are asked.

Rules of this file: pure. Where several terms apply, the strictest of each counts; a policy never asks for less than the default.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic.alias_generators import to_camel

from tenure.trust.limits import SECONDS
from tenure.wire import Wire

HOUR = 3600
ASKS_PER_RUN = 20  # then the run parks: whoever is asked on and on stops reading
ASKS_PER_APPROVER_HOUR = 30
MANY = 7  # escalations to this level (tenths) and above need two people
VIA = ("cli", "gateway")


class Terms(Wire):
    """Who must answer, how many, within how many seconds, by which way, and what silence means."""

    roles: list[str] = Field(default_factory=list[str])  # an approver needs all of them
    quorum: int = 1
    deadline: int = HOUR
    on_timeout: Literal["deny", "halt"] = "deny"
    via: list[str] = Field(default_factory=lambda: list(VIA))


DEFAULTS = {
    "tool_call": Terms(),
    "answer": Terms(),
    "in_doubt": Terms(deadline=72 * HOUR, on_timeout="halt"),
    "escalation": Terms(deadline=72 * HOUR),
    "deployment": Terms(deadline=72 * HOUR),
    "budget": Terms(deadline=72 * HOUR),
    "parked": Terms(deadline=72 * HOUR, on_timeout="halt"),
}


class Approval(BaseModel):
    """What approving a call takes: `trust.approvals` maps permissions to these.

    `role` (or several) is what an approver must be vouched for as; `quorum` is how many different people must approve; `deadline`
    is written "30m", "4h" or "3d"; `on_timeout` says what follows when nobody answers; `via` names the ways an answer may come.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    role: tuple[str, ...] = ()
    quorum: int = Field(default=1, ge=1, le=10)
    deadline: int | None = Field(default=None, ge=60, le=30 * 24 * HOUR)
    on_timeout: Literal["deny", "halt"] = "deny"
    via: tuple[Literal["cli", "gateway"], ...] = Field(default=VIA, min_length=1)

    @field_validator("role", "via", mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:  # Any: not yet validated
        return (value,) if isinstance(value, str) else value

    @field_validator("deadline", mode="before")
    @classmethod
    def _duration(cls, value: Any) -> Any:  # Any: not yet validated
        if not isinstance(value, str):
            return value
        number, unit = value[:-1].strip(), SECONDS.get(value[-1:], 0)
        if not number.isdecimal() or not unit:
            raise ValueError("write a time as in '30m', '4h' or '3d'")
        return int(number) * unit

    @property
    def terms(self) -> Terms:
        """As terms; without a deadline of its own, the default's."""
        return Terms(
            roles=list(self.role),
            quorum=self.quorum,
            deadline=self.deadline or DEFAULTS["tool_call"].deadline,
            on_timeout=self.on_timeout,
            via=list(self.via),
        )


def for_call(effect: str, applying: Iterable[Terms]) -> Terms:
    """The terms of a call with this effect: its effect's own, and whatever the policy adds."""
    many = 2 if effect in ("destructive", "privileged") else 1
    halts = "halt" if effect == "destructive" else "deny"
    own = Terms(quorum=many, on_timeout=halts)
    told = list(applying)
    # A policy may give people more time than the default: among the deadlines it writes, the shortest counts.
    deadline = min((one.deadline for one in told), default=own.deadline)
    return strictest([own.model_copy(update={"deadline": deadline}), *told])


def for_escalation(to: int) -> Terms:
    """The terms of a step up to level `to` (tenths)."""
    return DEFAULTS["escalation"].model_copy(update={"quorum": 2 if to >= MANY else 1})


def strictest(terms: Iterable[Terms]) -> Terms:
    """The strictest of each: all roles, the most people, the least time, the fewest ways. An empty `via` means nobody can."""
    told = list(terms)
    return Terms(
        roles=sorted({role for one in told for role in one.roles}),
        quorum=max(one.quorum for one in told),
        deadline=min(one.deadline for one in told),
        on_timeout="halt" if any(one.on_timeout == "halt" for one in told) else "deny",
        via=[way for way in VIA if all(way in one.via for one in told)],
    )
