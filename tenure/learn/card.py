"""The card of a learned capability: what people are shown when they are asked about it, and sign."""

from __future__ import annotations

from pydantic import Field

from tenure.learn.capability import Capability
from tenure.learn.trigger import shown
from tenure.wire import Wire


class Described(Wire):
    """A capability in words. Nothing of it is cut: what people sign is what it does.

    `requests` is the form of those that it answers, `slots` what varies in them, `checks` what must hold before the first change.
    """

    changes: list[str]
    requests: str
    slots: dict[str, str]
    checks: list[str]
    answer: str
    tools: list[str]
    program: str
    learned_from: int


class Card(Described):
    """The same with what speaks for it: `examples` of the requests, the test's `report`, and what to know (`notes`)."""

    written_by: str = ""  # the model that wrote the program, where it was not induced
    examples: list[str] = Field(default_factory=list[str])
    report: list[str] = Field(default_factory=list[str])
    notes: list[str] = Field(default_factory=list[str])
    report_digest: str = ""


class Asked(Card):
    """What a request says: which step of which version is asked for, and what it leads to; `digest` is that of the capability."""

    step: str
    leads_to: str = ""
    capability: str
    version: int
    digest: str


def described(capability: Capability) -> Described:
    """What it does."""
    return Described(
        changes=capability.changes,
        requests=shown(capability.trigger.parts),
        slots=capability.slots,
        checks=capability.guards,
        answer=capability.answer,
        tools=capability.tools,
        program=capability.program,
        learned_from=len(capability.provenance),
    )
