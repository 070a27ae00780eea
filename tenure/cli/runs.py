"""Runs: `run`, `runs`, `show`, `cancel`."""

from __future__ import annotations

import asyncio
import json
import re
import time
from datetime import datetime
from typing import TYPE_CHECKING

import click

from tenure.errors import BadInput

if TYPE_CHECKING:
    from tenure.client import RunHandle, Tenure
    from tenure.response import Response
    from tenure.runtime.store.restrictions import Restricted
    from tenure.runtime.store.runs import RunRow
    from tenure.wire import JsonObject

STATUSES = ("running", "waiting", "completed", "failed", "cancelled")
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
PATIENCE = 5.0  # seconds without a worker before we say so


@click.command()
@click.argument("agent")
@click.argument("message")
@click.option("--tenant", default="default", show_default=True, help="On whose behalf.")
@click.option("--user", help="Who asks; never an approver of the run.")
@click.option("--role", help="In which role, for an agent that has roles.")
@click.option("--priority", type=click.IntRange(1, 5), help="1 is first, 5 is last; 3 without it.")
@click.option("--state", metavar="JSON", help="The state the run begins with: a JSON object.")
@click.option("--key", metavar="TEXT", help="Idempotency key: a second start with it is the first run again.")
@click.option("--no-wait", is_flag=True, help="Print the run's id and return at once.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def run(
    agent: str,
    message: str,
    tenant: str,
    user: str | None,
    role: str | None,
    priority: int | None,
    state: str | None,
    key: str | None,
    no_wait: bool,
    as_json: bool,
) -> int:
    """Run AGENT on MESSAGE and follow it to its end.

    Steps go to stderr, the answer to stdout. Ctrl-C stops following, not the run.
    """
    from tenure.cli.connection import perform

    initial = _state(state)

    async def work() -> int:
        from tenure.cli.connection import connected

        async with connected() as system:
            handle = await system.runs.start(
                agent,
                message,
                tenant=tenant,
                user=user,
                role=role,
                priority=priority,
                state=initial,
                idempotency_key=key,
            )
            return _tell_started(system, handle, as_json) if no_wait else await _follow(system, handle, as_json)

    return perform(work())


@click.command()
@click.option("--agent", help="Only runs of this agent.")
@click.option("--tenant", help="Only runs of this tenant.")
@click.option("--status", type=click.Choice(STATUSES), help="Only runs that stand so.")
@click.option("--since", metavar="WHEN", help="Only runs begun since: 30m, 1h, 2d, or 2026-11-21 (local time).")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def runs(
    agent: str | None, tenant: str | None, status: str | None, since: str | None, limit: int, as_json: bool
) -> None:
    """List runs, the newest first."""
    from tenure.cli.connection import perform

    begun = _since(since)

    async def work() -> None:
        from tenure.cli.connection import connected
        from tenure.run import Status

        wanted = Status(status) if status else None
        async with connected(server=False) as system:
            found = await system.runs.list(agent=agent, tenant=tenant, status=wanted, since=begun, limit=limit)
            in_force = await system.restrictions.in_force()
        _print_runs(found, in_force, as_json)

    perform(work())


@click.command()
@click.argument("run")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, nothing cut.")
def show(run: str, as_json: bool) -> None:
    """Tell the story of RUN: steps, tool calls with results, effects, requests and answers."""
    from tenure.cli.connection import perform

    async def work() -> None:
        from tenure.cli import render, restricted
        from tenure.cli.connection import connected, link
        from tenure.cli.page import print_story
        from tenure.cli.story import as_document, collect

        async with connected(server=False) as system:
            handle = await system.runs.find(run)
            story = await collect(system, handle.id)
            halts, url = _halts(story.run, await system.restrictions.in_force()), link(system, handle.id)
        if as_json:
            render.document({**as_document(story, url), "halted": restricted.reasons(halts)})
        else:
            print_story(story, url, halts)

    perform(work())


@click.command()
@click.argument("run")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def cancel(run: str, as_json: bool) -> None:
    """Ask RUN to stop: running tools are told, effects in flight are recorded."""
    from tenure.cli.connection import perform

    async def work() -> None:
        from tenure.cli import render
        from tenure.cli.connection import connected

        async with connected() as system:
            handle = await system.runs.find(run)
            await _must_run(handle)
            await handle.cancel()
        if as_json:
            render.document({"id": handle.id, "asked_to_stop": True})
        else:
            click.echo(f"asked {handle.id} to stop; `tenure show {_last(handle.id)}` tells when it has")

    perform(work())


async def _must_run(handle: RunHandle) -> None:
    from temporalio.client import WorkflowExecutionStatus

    status = (await handle.workflow.describe()).status
    if status is not WorkflowExecutionStatus.RUNNING:
        ended = status.name.lower() if status else "closed"
        raise BadInput(f"run {handle.id} is {ended} already: there is nothing to cancel")


def _state(text: str | None) -> JsonObject:
    if text is None:
        return {}
    try:
        value = json.loads(text)
    except ValueError as error:
        raise BadInput(f'--state {text!r} is no JSON ({error}): write it as \'{{"name": "value"}}\'') from error
    if not isinstance(value, dict):
        raise BadInput(f'--state {text!r}: must be a JSON object like \'{{"name": "value"}}\'')
    return value  # pyright: ignore[reportUnknownVariableType]  # JSON


def _since(text: str | None) -> int:
    """Milliseconds since the epoch."""
    if text is None:
        return 0
    told = re.fullmatch(r"(\d{1,6})([smhdw])", text)
    if told:
        return round((time.time() - int(told[1]) * UNITS[told[2]]) * 1000)
    try:
        return round(datetime.fromisoformat(text).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise BadInput(f"--since {text!r}: write a duration (30m, 1h, 2d, 1w) or a date (2026-11-21)") from None


def _tell_started(system: Tenure, handle: RunHandle, as_json: bool) -> int:
    from tenure.cli import render
    from tenure.cli.connection import link

    url = link(system, handle.id)
    if as_json:
        render.document({"id": handle.id, "url": url})
    else:
        click.echo(handle.id)
        click.echo(f"{url}\n`tenure show {_last(handle.id)}` tells how it goes", err=True)
    return 0


async def _follow(system: Tenure, handle: RunHandle, as_json: bool) -> int:
    from tenure.cli import render
    from tenure.cli.connection import link
    from tenure.cli.follow import follow, tree

    click.echo(f"{handle.id}\n{link(system, handle.id)}", err=True)
    try:
        with tree(render.console(stderr=True)) as shown:
            async for look in follow(handle):
                shown.show(look)
                if look.silent > PATIENCE:
                    shown.once("silent", "no worker answers: is one running? (`tenure dev`); the run waits for it")
    except asyncio.CancelledError:
        last = _last(handle.id)
        click.echo(f"the run goes on: `tenure show {last}` tells how, `tenure cancel {last}` stops it", err=True)
        raise
    response = await handle.result()
    if as_json:
        render.document(_response(response, link(system, handle.id)))
    else:
        render.answer(response.message)
    click.echo(_summary(response), err=True)
    return 0 if response.success else 1


def _summary(response: Response) -> str:
    from tenure.cli import render

    cached = f" ({response.cache_hits:.0%} of the input cached)" if response.cache_hits else ""
    known = "" if response.tier == "model" else f", {response.tier}"
    known += f", by {', '.join(response.models)}" if response.models else ""
    return (
        f"{response.status} ({response.stop_reason}{known}): {render.count(response.iterations, 'turn')}, "
        f"{render.count(len(response.tool_calls), 'call')}, {response.tokens_used:,} tokens{cached}, "
        f"${response.cost:.4f}, {response.latency:.1f} s"
    )


def _response(response: Response, url: str) -> JsonObject:
    return {
        "id": response.id,
        "url": url,
        "status": response.status,
        "stop_reason": response.stop_reason,
        "success": response.success,
        "message": response.message,
        "iterations": response.iterations,
        "tool_calls": response.tool_calls,
        "state": response.state,
        "tokens": response.tokens_used,
        "cache_hits": round(response.cache_hits, 4),
        "cost_usd": str(response.cost),
        "saved_usd": str(response.saved),
        "tier": response.tier,
        "models": response.models,
        "latency_s": response.latency,
    }


def _halts(row: RunRow, in_force: list[Restricted]) -> list[Restricted]:
    """What stops the run now; nothing stops one that is over."""
    from tenure.cli import restricted

    return [] if row.finished_at else restricted.halts(in_force, row.tenant, row.agent)


def _print_runs(found: list[RunRow], in_force: list[Restricted], as_json: bool) -> None:
    from tenure.cli import render, restricted

    told = [(row, _halts(row, in_force)) for row in found]
    if as_json:
        render.document([{**_run_document(row), "halted": restricted.reasons(halts)} for row, halts in told])
    elif not found:
        click.echo("no runs match; `tenure run AGENT MESSAGE` starts one")
    else:
        names = ("run", "status", "began", "took", "cost", "agent")
        cells = [_run_cells(row, bool(halts)) for row, halts in told]
        render.put(render.console(), render.listing(names, cells, right=(3, 4), cut=(1, 5)))
        stopping = {one.epoch: one for _, halts in told for one in halts}
        if stopping:
            render.put(render.console(), render.pairs(restricted.rows(stopping.values()), indent=0))


def _run_cells(row: RunRow, is_halted: bool) -> tuple[str, ...]:
    from tenure.cli import render

    reason = row.stop_reason if row.stop_reason and row.status != "completed" else None
    took = row.finished_at - row.started_at if row.finished_at else None
    return (
        _last(row.workflow),
        f"{row.status}{', halted' if is_halted else ''}" if reason in (None, row.status) else f"{row.status}: {reason}",
        render.ago(row.started_at),
        render.seconds(took),
        render.money(row.cost) if row.finished_at else "",
        row.agent if row.tenant == "default" else f"{row.agent} ({row.tenant})",
    )


def _run_document(row: RunRow) -> JsonObject:
    from tenure.cli.story import dollars

    kept = (
        "tenant",
        "agent",
        "fingerprint",
        "user",
        "role",
        "status",
        "stop_reason",
        "message",
        "iterations",
        "calls",
        "tokens",
    )
    told = {name: getattr(row, name) for name in kept}
    return {
        "id": row.workflow,
        **told,
        "cost_usd": dollars(row.cost),
        "started_at": row.started_at,
        "finished_at": row.finished_at,
    }


def _last(workflow: str) -> str:
    return workflow.rpartition(":")[2]
