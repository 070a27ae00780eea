"""The run as a story: what the Temporal UI and `progress` show while it lives."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from temporalio import workflow
from temporalio.common import SearchAttributeUpdate

from tenure.run import Outcome, Progress, RunState, Status
from tenure.runtime import temporal as names
from tenure.turn import Cached
from tenure.wire import JsonObject
from tenure.workflows import carry

ROWS_SHOWN = 20
AMOUNT = re.compile(r"\$(?=\d)")
DETAILS_LIMIT = 3900  # bytes: the UI shows at most 4 kB


def call_summary(tool: str, arguments: JsonObject) -> str:
    """`update_ticket(ticket_id="t1", status="open")`, cut to one readable line."""
    told = ", ".join(f"{name}={json.dumps(value)}" for name, value in arguments.items())
    text = f"{tool}({told})"
    return text if len(text) <= 80 else text[:79] + "…"


def cached(told: Cached) -> str:
    """Behind a call that was answered from an earlier one: how old its result is."""
    return f": from the cache, {told.age / 1000:.0f} s old"


def one_line(text: str, limit: int = 80) -> str:
    """The first line of a text, cut."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def amounts_in_words(text: str) -> str:
    """`USD 0.10` for `$0.10`: what the Temporal UI shows between two dollar signs it sets as mathematics."""
    return AMOUNT.sub("USD ", text)


def money(micro: int) -> str:
    """Micro-dollars as dollars."""
    return f"${micro / 1_000_000:.4f}"


@dataclass(frozen=True)
class RunStory:
    """How a run that asks people shows where it stands."""

    run: RunState

    def tell(self, what: str, *, ok: bool = True) -> None:
        """A line for the story; empty: only show it anew."""
        if what:
            carry.tell(self.run, what, ok=ok)
        tell(self.run)

    def waiting(self, waits: bool) -> None:
        """The run waits for people, or goes on."""
        mark_waiting(waits)


def tell(run: RunState) -> None:
    """Show where the run stands in the UI's current details."""
    workflow.set_current_details(details(run))


def details(run: RunState) -> str:
    """The story as Markdown: what it waits for, then a table of the last steps."""
    rows = [
        f"| {clock(step.at)} | {'' if step.ok else '✗ '}{_cell(step.what)} | {step.took / 1000:.1f} s | {step.tokens or ''} "
        f"| {money(step.cost) if step.cost else ''} |"
        for step in run.steps[-ROWS_SHOWN:]
    ]
    head = f"**{run.request.agent}** · iteration {run.iteration} · {run.usage.total:,} tokens · {money(run.cost)}"
    waiting = _waiting(run)
    earlier = f" · {run.skipped_steps} earlier steps not shown" if run.skipped_steps else ""
    table = "\n".join(["| time | step | took | tokens | cost |", "|---|---|---|---|---|", *rows])
    text = amounts_in_words(f"{head}{earlier}\n\n{waiting}{table}")
    return text if len(text.encode()) <= DETAILS_LIMIT else text.encode()[:DETAILS_LIMIT].decode(errors="ignore")


def progress(run: RunState) -> Progress:
    """What the `progress` query answers."""
    waiting = [run.waiting_for] if run.waiting_for else []
    return Progress(
        status=Status.WAITING if waiting or run.parked else Status.RUNNING,
        agent=run.request.agent,
        iteration=run.iteration,
        usage=run.usage,
        cost=run.cost,
        steps=list(run.steps),
        waiting_for=waiting,
    )


def mark_waiting(waits: bool) -> None:
    """Make the run findable as one that waits for a person."""
    status = Status.WAITING if waits else Status.RUNNING
    _upsert([names.STATUS.value_set(status), names.PENDING.value_set(int(waits))])


def mark_closed(run: RunState, outcome: Outcome) -> None:
    """Make the run findable by how it ended. What it was started with is not said again: each value costs an encoding."""
    known = workflow.info().typed_search_attributes
    wanted = [
        names.AGENT.value_set(run.request.agent),
        names.TENANT.value_set(run.request.tenant),
        names.STATUS.value_set(outcome.status),
        names.STOP_REASON.value_set(outcome.stop_reason),
        names.TIER.value_set(outcome.tier),
        names.FINGERPRINT.value_set(outcome.fingerprint),
        names.PENDING.value_set(0),
        names.COST.value_set(outcome.cost / 1_000_000),
    ]
    _upsert([update for update in wanted if known.get(update.key) != update.value])  # pyright: ignore[reportArgumentType]  # keys of several types


def _upsert(updates: Sequence[SearchAttributeUpdate[Any]]) -> None:  # Any: values of several types
    workflow.upsert_search_attributes(updates)  # pyright: ignore[reportUnknownMemberType]  # the SDK's own union is unknown


def _waiting(run: RunState) -> str:
    request = run.waiting_for
    if request is None:
        return f"**Parked** since {moment(run.parked.since)} UTC: {run.parked.why}\n\n" if run.parked else ""
    choices = " or ".join(f"`tenure answer {request.id} {choice}`" for choice in request.choices if choice != "edit")
    shown = one_line(json.dumps(request.payload), 300)
    until = f"until {moment(request.deadline)} UTC"
    return f"**Waiting for a person** {until}: {request.why}\n\n`{shown}`\n\n{_given(run)}Answer with {choices}\n\n"


def _given(run: RunState) -> str:
    """What was answered so far, and did not settle it."""
    asking = run.asking
    if asking is None:
        return ""
    approved = f"Approved by {', '.join(asking.approvals)}. " if asking.approvals else ""
    refused = f"{asking.refused} refused, the last: {one_line(asking.refusal)}. " if asking.refused else ""
    return f"{approved}{refused}\n\n" if approved or refused else ""


def clock(at: int) -> str:
    """Milliseconds since the epoch as a time of day (UTC)."""
    # By hand: in the sandbox every strftime imports a module anew, which costs more than the rest of the story.
    seconds = at // 1000
    return f"{seconds // 3600 % 24:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def moment(at: int) -> str:
    """Milliseconds since the epoch as a date and a time (UTC)."""
    return datetime.fromtimestamp(at // 1000, UTC).isoformat(" ")[:19]


def _cell(text: str) -> str:
    return one_line(text, 100).replace("|", "\\|")
