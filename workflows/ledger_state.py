"""What a ledger of trust knows, and how it shows that in the Temporal UI."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import Field
from temporalio import workflow

from tenure.approvals.request import Request
from tenure.run import Asking
from tenure.trust import ledger as trust
from tenure.trust import level
from tenure.trust.ledger import Change, Ledger, Policy
from tenure.wire import Wire
from tenure.workflows import story

TOLD = 8  # changes that the UI is shown


class LedgerState(Asking):
    """Everything the workflow knows. Mutable; carried whole through continue-as-new."""

    tenant: str
    agent: str
    ledger: Ledger | None = None
    policy: Policy | None = None
    read_to: int = 0
    read_at: int = 0
    heard_at: int = 0
    nudged: bool = True
    urgent: bool = False
    more: bool = False
    wanted: list[tuple[str, str]] = Field(default_factory=list[tuple[str, str]])  # what people want back, and why
    inbox: list[str] = Field(default_factory=list[str])
    jtis: list[str] = Field(default_factory=list[str])
    told: list[str] = Field(default_factory=list[str])  # the newest changes, a line each


class Start(Wire):
    """Whose trust it is. Only the workflow itself carries anything."""

    tenant: str
    agent: str
    carried: LedgerState | None = None


class LedgerStory:
    """How a ledger shows where it stands."""

    def __init__(self, state: LedgerState) -> None:
        self._state = state

    def tell(self, what: str, *, ok: bool = True) -> None:
        """Show it anew; what happened is in the changes."""
        workflow.set_current_details(_details(self._state))

    def waiting(self, waits: bool) -> None:
        """A step up waits for people, or no longer."""
        story.mark_waiting(waits)


def told(change: Change) -> str:
    """A change as a line: when, what, why."""
    why = f": {story.one_line(change.why, 160)}" if change.why else ""
    return f"{_time(change.at)} **{trust.shown(change)}**{why}"


def _details(state: LedgerState) -> str:
    ledger = state.ledger
    if ledger is None:
        return ""
    told = f"**{state.agent}** · tenant {state.tenant} · level **{level.shown(ledger.level)}** · build {ledger.fingerprint[:8]}"
    parts = [told, _evidence(ledger), _asked(state.request, ledger) if state.request else _taken(state.agent, ledger)]
    history = "\n".join(f"- {line}" for line in reversed(state.told))
    whole = "\n\n".join(part for part in (*parts, history) if part)
    return whole.encode()[: story.DETAILS_LIMIT].decode(errors="ignore")


def _evidence(ledger: Ledger) -> str:
    judged = list(ledger.evidence.judged.values())
    failed = sum(not one.good for one in judged)
    return f"{len(judged)} judged runs since the last change, {failed} of them not good"


def _asked(request: Request, ledger: Ledger) -> str:
    to = f"**Proposed: {level.shown(ledger.proposal.to)}**. " if ledger.proposal else ""
    people = "a person" if request.quorum == 1 else f"{request.quorum} people"
    until = f"It takes {people}, until {_time(request.deadline)}."
    return f"{to}{request.why}\n\n{until} Answer with `tenure approve {request.id}` or `tenure deny {request.id}`"


def _taken(agent: str, ledger: Ledger) -> str:
    if not ledger.severe:
        return ""
    back = f"`tenure trust restore {agent} --reason ...` asks {trust.RESTORERS} people to give back {level.shown(ledger.earned)}"
    return f"**A severe incident stands.** {back}"


def _time(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
