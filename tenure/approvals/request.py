"""Requests to people and what becomes of the answers: the values that travel between workflow, activities and client."""

from __future__ import annotations

import enum
from typing import Literal

from pydantic import Field

from tenure.wire import JsonObject, Wire


class Kind(enum.StrEnum):
    """What a person is asked for."""

    TOOL_CALL = "tool_call"
    IN_DOUBT = "in_doubt"
    ANSWER = "answer"  # the final answer, which the agent's `on_response` holds
    PARKED = "parked"  # the run has asked so often that it asks no more before somebody has looked at it
    ESCALATION = "escalation"  # a step up in trust
    DEPLOYMENT = "deployment"  # of a learned capability
    BUDGET = "budget"  # more than was planned


class Request(Wire):
    """A question to a person. `digest` is SHA-256 over RFC 8785 JSON of (tenant, workflow, seq, kind, payload, epoch).

    `roles`, `quorum`, `via` and `on_timeout` are the terms on which answers count; they stand in the payload as well, so that they
    are signed. `deadline`: after it nothing counts.
    """

    id: str
    kind: Kind
    tenant: str
    workflow: str
    agent: str
    seq: int
    payload: JsonObject  # the tool and its arguments in full, or the answer: what the person decides about
    why: str
    digest: str
    epoch: int = 0
    choices: list[str] = Field(default_factory=lambda: ["approve", "deny"])
    user: str | None = None
    quorum: int = 1
    opened_at: int = 0
    deadline: int = 0
    did_not_from: int = 0  # before this time nobody can know that an effect did not happen
    on_timeout: Literal["deny", "halt"] = "deny"
    roles: list[str] = Field(default_factory=list[str])  # an approver must be vouched for as all of them
    via: list[str] = Field(default_factory=list[str])  # the ways an answer may come; empty: any
    reminded: int = 0  # how often people were reminded

    @property
    def editable(self) -> JsonObject:
        """What an edit may change: the arguments of the call, or what is to be added to a budget."""
        return {"add": self.payload["add"]} if self.kind is Kind.BUDGET else self.payload.get("arguments", {})


class Verify(Wire):
    """Check these tokens against that request at this time (milliseconds since the epoch)."""

    request: Request
    tokens: list[str]
    at: int


class Notice(Wire):
    """What people are told of a request: that it was opened, or that it still waits."""

    what: Literal["asked", "reminder"]
    request: Request
    at: int


class Verdict(Wire):
    """What became of one answer. `accepted` answers count; the others say in `reason` why they do not."""

    accepted: bool
    choice: str = ""
    principal: str = ""
    jti: str = ""
    note: str = ""
    reason: str = ""
    edit: JsonObject | None = None  # with the choice `edit`: the arguments the person wants instead
    via: str = ""
    signer: str = ""  # whose key it was: the principal's own, or a gateway's


class Verdicts(Wire):
    """What became of several answers, in their order."""

    verdicts: list[Verdict]


class Settled(Wire):
    """How a request ended: the choice that counts, who made it, and what they wrote. Nobody in time: `expired`."""

    choice: str
    request: str = ""
    principal: str = ""
    note: str = ""
    edit: JsonObject | None = None

    @property
    def refusal(self) -> str:
        """Why what was asked for does not happen, in words: who said no and what they wrote, or that nobody did in time."""
        if self.principal:
            return f"denied by {self.principal}. {self.note}".strip()
        return self.note or "nobody answered in time"


class Closed(Wire):
    """A request that ended, and how."""

    request: Request
    settled: Settled
    at: int
