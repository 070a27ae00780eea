"""`demo-trust`: an agent earns two steps of trust by runs that were judged, and loses them by itself when it fails.

Rules of this file: no rule of trust is changed. The cool-down of a day is skipped on the clock of the ledger's workflow, and
whatever differs from the usual for that is said on the screen.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from tenure.cli import play
from tenure.errors import Unavailable

if TYPE_CHECKING:
    from rich.console import Console
    from temporalio.testing import WorkflowEnvironment

    from tenure.approvals.request import Request
    from tenure.client.trust import Trusted
    from tenure.testing import Embedded

STEPS = 2
ENOUGH, FAILED = 29, 3  # runs for a step up; failures of the last 10 for a step down
DAY = timedelta(hours=24, minutes=1)
SOON = timedelta(seconds=15)  # a ledger that was told something looks within this time
SIDE_BY_SIDE = 4  # runs
AWAKE = timedelta(days=7)
INTRODUCTION = (
    "An agent pays refunds. A script plays Claude and nothing is kept; Temporal, the",
    "worker, the runs, the verdicts and the signatures are real. The rules:",
    "  up    +0.1 at success_rate 0.95 of at least 29 judged runs, if people sign it",
    "  down  -0.2 at error_rate 0.10, or as soon as 3 of 10 fail; nobody is asked",
    "Between two steps up a day must pass. That day is skipped: the clock of the",
    "ledger, a workflow, is moved on. A ledger rests after an hour without news, and",
    "would lose what was skipped: here it stays awake. No rule of trust is changed.",
)
AGENT, WHO = "refunds", ("default", "refunds")


@click.command("demo-trust")
def demo_trust() -> int:
    """See trust earned and lost: under half a minute, no key needed, no process left behind.

    An agent that pays refunds climbs from 0.3 to 0.5, by 29 judged runs and a signature for each step; then its tool begins to
    give wrong results, and its level falls by itself.
    """
    from tenure.cli.local import run_until_stopped

    play.keep_quiet()
    return run_until_stopped(_demo())


@dataclass
class Stage:
    """What the demo is played on, and how many runs were made."""

    system: Embedded
    server: WorkflowEnvironment
    console: Console
    made: int = 0

    async def standing(self) -> Trusted:
        """Where the agent stands."""
        return await self.system.trust.standing(AGENT)

    async def nudge(self) -> None:
        """Tell the ledger now what a worker tells it at most every ten seconds."""
        from tenure.runtime import judging

        system = self.system
        await judging.nudge(system.require_store(), system.temporal, system.settings.task_queue, WHO)

    async def skip(self, duration: timedelta) -> None:
        """Move the ledger's clock on. Raises Unavailable."""
        from tenure.runtime import judging

        ledger = self.system.temporal.get_workflow_handle(judging.ledger_id(*WHO))
        if not await asyncio.wait_for(self.server.fast_forward(ledger, duration), play.PATIENCE):
            raise Unavailable("the ledger of trust ended before its clock could be moved")


async def _demo() -> int:
    from tenure.cli import render
    from tenure.cli.demo_refunds import refunds, script
    from tenure.testing import embedded

    console, began = render.console(), time.monotonic()
    _introduce(console)
    with _awake():
        async with _skipping() as server, embedded(refunds, claude=script, server=server) as system:
            stage = Stage(system, server, console)
            await _play(stage)
            await _conclude(stage, time.monotonic() - began)
    return 0


async def _play(stage: Stage) -> None:
    from tenure.cli.demo_refunds import SHOP

    try:
        for _ in range(STEPS):
            await _climb(stage)
        await _pay_alone(stage)
        SHOP.without_tax = True
        await _fall(stage)
        await _be_held(stage)
    except asyncio.CancelledError:  # Ctrl-C ends the server as well, and the worker seeks it for a while
        stage.console.print("\nStopping; this takes some seconds.")
        raise


def _introduce(console: Console) -> None:
    console.print("Tenure demo: trust that is earned, and lost", style="bold")
    for line in INTRODUCTION:
        console.print(line)


@contextmanager
def _awake() -> Generator[None]:
    """Ledgers do not rest: one that comes back begins at the wall clock, and what was skipped would be lost."""
    from tenure.trust import reading

    usual = reading.IDLE
    reading.IDLE = round(AWAKE.total_seconds() * 1000)
    try:
        yield
    finally:
        reading.IDLE = usual


@asynccontextmanager
async def _skipping() -> AsyncGenerator[WorkflowEnvironment]:
    from tenure.runtime.temporal import start_skipping_server

    starting = asyncio.create_task(start_skipping_server())
    try:
        server = await asyncio.shield(starting)
    except asyncio.CancelledError:
        await (await starting).shutdown()  # given up halfway, it would stay behind
        raise
    except RuntimeError as error:
        raise Unavailable(f"the embedded Temporal server did not start: {error}") from error
    try:
        yield server
    finally:
        await server.shutdown()


async def _climb(stage: Stage) -> None:
    """Good runs, a day, a proposal, a signature."""
    from tenure.approvals.request import Kind
    from tenure.trust import level

    before = (await stage.standing()).level
    stage.console.print(f"\nThe agent works at {level.shown(before)}", style="bold")
    await _make(stage, ENOUGH)
    await stage.nudge()
    play.say(stage.console, "a day passes on the ledger's clock")
    await stage.skip(DAY)
    await stage.nudge()  # as the next run would
    request = await play.seen("a step up is proposed", lambda: play.opened(stage.system, Kind.ESCALATION))
    _print_card(stage, request)
    await play.sign(stage.system, request)
    found = await play.seen("the level rises", lambda: _moved(stage, before))
    _print_level(stage, before, found.level, f"signed by {play.SIGNER}")


async def _fall(stage: Stage) -> None:
    """The shop's list shows totals without tax now, and the agent believes it."""
    before = (await stage.standing()).level
    stage.console.print("\nThe shop's list begins to show totals without tax, and nobody told the agent", style="bold")
    await _make(stage, FAILED)
    await stage.nudge()
    await stage.skip(SOON)
    found = await play.seen("the level falls", lambda: _moved(stage, before))
    _print_level(stage, before, found.level, f"nobody was asked: {found.changes[-1].why}")


async def _make(stage: Stage, count: int) -> None:
    """Runs, a few side by side, each with a request of its own, and how they were judged."""
    before, began = (await stage.standing()).tally, time.monotonic()
    turns = asyncio.Semaphore(SIDE_BY_SIDE)
    with stage.console.status(f"0 of {count} runs") as status:
        done = itertools.count(1)
        async with asyncio.TaskGroup() as group:
            for number in range(stage.made, stage.made + count):
                made = group.create_task(_run(number, turns))
                made.add_done_callback(lambda _: status.update(f"{next(done)} of {count} runs"))
    stage.made += count
    after, took = (await stage.standing()).tally, time.monotonic() - began
    good, bad = after.good - before.good, after.bad - before.bad
    play.say(stage.console, f"{count} runs in {took:.1f} s, judged by evaluate=: {good} good, {bad} not")


async def _run(number: int, turns: asyncio.Semaphore) -> None:
    from tenure.cli.demo_refunds import refunds

    async with turns:
        await refunds.run(f"Please refund my order R-{number:04}.")


async def _pay_alone(stage: Stage) -> None:
    """What the new level is good for: nobody is asked."""
    from tenure.cli.demo_refunds import LARGE, LARGE_OWED, refunds

    await asyncio.wait_for(refunds.run(f"Please refund my order {LARGE}."), play.PATIENCE)
    play.say(
        stage.console, f"a refund of ${LARGE_OWED:.0f}, which it had to ask for at 0.3, is paid, and nobody was asked"
    )


async def _be_held(stage: Stage) -> None:
    """What the fall is good for: the same has to be asked for again."""
    from tenure.approvals.request import Kind
    from tenure.cli.demo_refunds import LARGE, refunds

    handle = await refunds.start(f"Please refund my order {LARGE}.")
    request = await play.seen("a run asks", lambda: play.opened(stage.system, Kind.TOOL_CALL))
    play.say(stage.console, f"the same refund now: {request.why}")
    await play.sign(stage.system, request, "deny", "the amounts are wrong")
    await asyncio.wait_for(handle.result(), play.PATIENCE)
    play.say(stage.console, f"the local key `{play.SIGNER}` denies it: nothing was paid")


def _print_card(stage: Stage, request: Request) -> None:
    """Everything there is to decide by."""
    from tenure.cli import page, render

    payload = request.payload
    many = "one person" if request.quorum == 1 else f"{request.quorum} people"
    rows = [
        *page.kind(request),
        ("from, to", f"{payload['from']} → {payload['to']}, of {request.agent}@{str(payload['build'])[:8]}"),
        ("evidence", request.why),
        ("bound to", str(payload["evidence"])),
        ("who signs", f"{many}, until {render.moment(request.deadline)}"),
        ("request", request.id),
    ]
    play.print_card(stage.console, rows)


async def _moved(stage: Stage, before: int) -> Trusted | None:
    found = await stage.standing()
    return found if found.level != before else None


async def _conclude(stage: Stage, took: float) -> None:
    from tenure.cli import trust_of

    stage.console.print(f"\ntenure trust {AGENT}", style="bold")
    trust_of.print_standing(await stage.standing())
    stage.console.print("\nThe dates run ahead by the days that were skipped.")
    stage.console.print(f"{stage.made + 2} runs in {took:.0f} s. Nothing of this is kept, and no process stays.")


def _print_level(stage: Stage, before: int, after: int, why: str) -> None:
    from tenure.cli import render
    from tenure.trust import level

    style = "bold green" if after > before else "bold red"
    stage.console.print(f"level {level.shown(before)} → {level.shown(after)}", style=style)
    render.put(stage.console, f"  {why}")
