"""What the demo shows of an approval: the card that a person decides by, and afterwards what the store says of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tenure.approvals.request import Request
from tenure.cli import page, render
from tenure.run import Status
from tenure.runtime.store import Connection, Row, approvals, effects

if TYPE_CHECKING:
    from rich.console import Console

    from tenure.client import Tenure
    from tenure.run import Progress
    from tenure.runtime.store.approvals import Asked

MOST = 10_000  # runs that are counted


async def print_card(console: Console, system: Tenure, request: Request, progress: Progress | None) -> None:
    """Everything there is to decide by."""
    from rich import box
    from rich.panel import Panel

    whom = f" for {request.user}" if request.user else ""
    rows = [
        *page.kind(request),
        ("what", page.what(request.payload)),
        ("why held", request.why),
        ("asks", f"{request.agent}{whom}, tenant {request.tenant}"),
        ("record", await _record(system, request)),
        ("so far", _so_far(progress)),
        ("until", f"{page.until(request)}, in {_left(request)}; then {page.afterwards(request)}"),
        *page.needs(request),
        ("request", request.id),
        *(("elsewhere", line) if not at else ("", line) for at, line in enumerate(_commands(request))),
    ]
    lines, title = box.HORIZONTALS, "A person is asked"  # no line at the sides: the commands are there to be copied
    card = Panel(render.pairs(rows, indent=0), box=lines, title=title, title_align="left", border_style="yellow")
    render.put(console, card)


async def print_proof(console: Console, system: Tenure, run: str) -> None:
    """Who decided what, and what was done: each effect once."""

    def look(db: Connection) -> tuple[list[Asked], list[Row]]:
        return approvals.of_run(db, run), effects.of_run(db, run)

    asked, done = await system.require_store().read(look)
    rows = [("asked", _settled(one)) for one in asked] or [("asked", "nothing")]
    rows += [("effect", _effect(row)) for row in done] or [("effect", "none: nothing was started")]
    render.put(console, render.pairs(rows))


async def _record(system: Tenure, request: Request) -> str:
    (tally, *_) = [*await system.feedback.summary(agent=request.agent, tenant=request.tenant), None]
    if tally is None:
        return "its first run in this store; no runs judged yet"
    good = await system.runs.list(agent=request.agent, tenant=request.tenant, status=Status.COMPLETED, limit=MOST)
    runs = f"{render.count(tally.finished, 'run')} in this store, {len(good):,} ended well"
    if not tally.judged:
        return f"{runs}; no runs judged yet"
    return f"{runs}; {tally.good:,} judged good, {tally.bad:,} bad"


def _so_far(progress: Progress | None) -> str:
    if progress is None:
        return "not known: no worker answers"
    return f"{render.count(progress.iteration, 'turn')}, {progress.usage.total:,} tokens, {render.money(progress.cost)}"


def _left(request: Request) -> str:
    return render.seconds(max(0, request.deadline - round(time.time() * 1000)))


def _commands(request: Request) -> list[str]:
    """How it is answered from another terminal."""
    if "approve" not in request.choices:
        return [f"tenure answer {request.id} {choice}" for choice in request.choices]
    return [f"tenure approve {request.id}", f"tenure deny {request.id} --note WHY"]


def _settled(asked: Asked) -> str:
    """Who decided, over what."""
    if asked.closed_at is None:
        return f"{asked.request.id} is still open"
    by = f" by {asked.principal}" if asked.principal else ""
    notes = [answer.verdict.note for answer in asked.answers if answer.verdict.accepted and answer.verdict.note]
    told = f"{asked.request.id}: {asked.choice}{by} at {render.clock(asked.closed_at)}, by its digest"
    return "\n".join([told, asked.request.digest, *(f"“{note}”" for note in notes)])


def _effect(row: Row) -> str:
    times = "once" if row["generation"] == 1 else f"{row['generation']} times"
    approved = f"\napproved in {row['request']}" if row["request"] else "\nnobody had to be asked"
    return f"{row['tool']}: started {times}, {row['status']} (effect {row['key'][:8]}…){approved}"
