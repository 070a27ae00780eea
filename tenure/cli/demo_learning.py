"""`demo-learning`: what Claude does again and again becomes a program, which people let in, and which is taken back by itself.

Rules of this file: no rule of learning is changed. What the agent is declared with is said on the screen; a rollout is only told at
once what a worker tells it within seconds.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from tenure.cli import play
from tenure.errors import Unavailable

if TYPE_CHECKING:
    from rich.console import Console

    from tenure.client.learn import Known
    from tenure.response import Response
    from tenure.runtime.store.capabilities import RolloutRow
    from tenure.testing import Embedded

AGENT, LEARNED = "refunds", "refund"
ENOUGH, ROUND, MOST = 10, 9, 120  # runs that make a pattern; at once, later; until something must have happened
SIDE_BY_SIDE = 4
MICRO = 1_000_000  # micro-dollars in a dollar
WIDTH = 80
INTRODUCTION = (
    "A shop's agent pays the same kind of refund all day. A script plays Claude, and",
    "nothing is kept; Temporal, the store, the worker, the runs, the verdicts, the",
    "sandbox and the signatures are real. The agent is declared with",
    '  learning={"patterns": {"minOccurrences": 10},',
    '            "deployment": {"rolloutPercentage": 50,',
    '                           "successCriteria": {"errorRate": 0.02}}}',
    "which takes 34 clean runs to promote what was learned; with errorRate 0.01, the",
    "default, it takes 71. The commands on the right do the same to your own agents.",
)
STYLES = {"canary": "bold green", "promoted": "bold green", "rolled back": "bold red"}


@click.command("demo-learning")
def demo_learning() -> int:
    """See what repeats itself become a program, and be taken back: under a minute, no key needed, nothing left behind.

    Ten similar requests are served by Claude; what it did is learned, tested, approved by people, compared, tried on some customers
    and then serves them all without Claude. When the tool it calls begins to fail, it is rolled back by itself.
    """
    from tenure.cli.local import run_until_stopped

    play.keep_quiet()
    return run_until_stopped(_demo())


@dataclass
class Stage:
    """What the demo is played on, the runs made so far, and the stage that was shown last."""

    system: Embedded
    console: Console
    made: list[Response] = field(default_factory=list["Response"])
    shown: str = "validated"

    async def known(self) -> Known:
        """The capability, and how far it has come."""
        return await self.system.learn.of(LEARNED)

    async def nudge(self) -> None:
        """Tell the rollout now what a worker tells it within seconds."""
        from tenure.runtime import schedules

        known = await self.known()
        if known.rollout is not None:
            await schedules.nudge(self.system.temporal, self.system.require_store(), known.rollout)


async def _demo() -> int:
    from tenure.cli import render
    from tenure.cli.demo_repeats import refunds, script
    from tenure.testing import embedded

    console, began = render.console(), time.monotonic()
    console.print("Tenure demo: what repeats itself is learned", style="bold")
    for line in INTRODUCTION:
        console.print(line)
    async with embedded(refunds, claude=script) as system:
        stage = Stage(system, console)
        await _play(stage)
        await _conclude(stage, time.monotonic() - began)
    return 0


async def _play(stage: Stage) -> None:
    try:
        await _teach(stage)
        await _learn(stage)
        await _look_on(stage)
        await _try(stage)
        await _serve(stage)
        await _fail(stage)
    except asyncio.CancelledError:  # Ctrl-C ends the server as well, and the worker seeks it for a while
        stage.console.print("\nStopping; this takes some seconds.")
        raise


async def _teach(stage: Stage) -> None:
    _title(stage, "1  Claude serves, and each run is judged")
    runs = await _make(stage, ENOUGH)
    calls = [call["tool"] for call in runs[0].tool_calls]
    _say(stage, f"each time it does the same: {', then '.join(calls)}")


async def _learn(stage: Stage) -> None:
    """A pattern, a program, its test, a signature."""
    from tenure.cli import learned, render

    _title(stage, "2  What do they have in common?", f"tenure learn patterns {AGENT}")
    for one in await stage.system.learn.patterns(AGENT, "default", ENOUGH):
        learned.print_pattern(stage.console, one)
    _title(stage, "3  A program is made of it, and tested", f"tenure learn mine {AGENT}")
    mined = await stage.system.learn.mine(AGENT)
    _say(
        stage,
        f"{render.count(mined.read, 'verified run')} looked at: {LEARNED} version {mined.found[0].version} is new",
    )
    _say(stage, "in a sandbox, on runs that it was not learned from: nothing is called")
    await _approve(stage)


async def _look_on(stage: Stage) -> None:
    _title(stage, "4  Shadow: it looks on while Claude serves", f"tenure learn show {LEARNED}")
    await _until(stage, "shadow")
    _say(stage, "it is compared with what Claude does; nothing of it is carried out")
    await _make_until(stage, "canary")


async def _try(stage: Stage) -> None:
    from tenure.approvals.request import Kind

    _title(stage, "5  Canary: it serves half of the customers", f"tenure learn pause {LEARNED}")
    while await play.opened(stage.system, Kind.DEPLOYMENT) is None:
        _must_go_on(stage)
        await _make(stage, ROUND)
        await _settled(stage)
    await _approve(stage)
    await _until(stage, "promoted")


async def _serve(stage: Stage) -> None:
    """What it is good for, and where it steps back."""
    from tenure.cli.demo_repeats import SHOP, request

    _title(stage, "6  Promoted: it serves everybody", "tenure show RUN, tenure cost")
    [run] = await _make(stage, 1)
    _quote(stage, request(len(stage.made) - 1), run)
    _title(stage, "7  An order that is not like the others")
    SHOP.on_its_way.add(f"R-{len(stage.made):04}")
    [run] = await _make(stage, 1)
    _quote(stage, request(len(stage.made) - 1), run)
    _say(stage, "its check failed before it changed anything: Claude took over, unseen")


async def _fail(stage: Stage) -> None:
    from tenure.cli.demo_repeats import DOWN, SHOP, request

    _title(stage, f"8  Something breaks: {DOWN}", f"tenure learn rollback {LEARNED}")
    SHOP.is_down = True
    await _make_until(stage, "rolled back")
    _say(stage, "nobody was asked, and Claude told these customers what had happened")
    SHOP.is_down = False
    [run] = await _make(stage, 1)
    _say(stage, "payments work again. Claude serves as in the beginning:")
    _quote(stage, request(len(stage.made) - 1), run)


async def _make_until(stage: Stage, wanted: str) -> None:
    """Runs, a few at once, until the rollout comes to that stage."""
    while not await _is(stage, wanted):
        _must_go_on(stage)
        await _make(stage, ROUND)
        await _settled(stage)
    await _until(stage, wanted)


async def _is(stage: Stage, wanted: str) -> bool:
    rollout = (await stage.known()).rollout
    return rollout is not None and rollout.stage.replace("_", " ") == wanted


async def _settled(stage: Stage) -> None:
    """Its rollout has read all that came of the runs."""

    from tenure.cli import learned
    from tenure.runtime.store import trials

    async def look() -> bool | None:
        await stage.nudge()
        known = await stage.known()
        who, rollout = (known.kept.tenant, known.kept.agent), known.rollout
        unread = await stage.system.require_store().read(
            lambda db: trials.after(db, who, known.kept.id, known.kept.version, rollout.read_to, 1) if rollout else []
        )
        return None if unread else True

    await play.seen("the rollout reads on", look)
    rollout = (await stage.known()).rollout
    if rollout is not None and rollout.serving != "no":
        _say(stage, learned.evidence(rollout))


async def _make(stage: Stage, count: int) -> list[Response]:
    """Runs, a few side by side, each with a request of its own; who made their turns, and what that cost."""
    from tenure.cli import render

    first = len(stage.made)
    turns, done = asyncio.Semaphore(SIDE_BY_SIDE), itertools.count(1)
    with stage.console.status(f"0 of {count} runs") as status:

        async def one(number: int) -> Response:
            made = await _run(number, turns)
            status.update(f"{next(done)} of {count} runs")
            return made

        made = await asyncio.gather(*(one(number) for number in range(first, first + count)))
    stage.made += made
    by_it = sum(run.tier == "capability" for run in made)
    who = f"{count - by_it} by Claude, {by_it} without" if by_it else "by Claude"
    spent, saved = (round(sum(told) * MICRO) for told in ((run.cost for run in made), (run.saved for run in made)))
    more = f", {render.money(saved)} saved" if saved else ""
    _say(stage, f"{render.count(count, 'run')}, {who}: {render.money(spent)}{more}")
    return made


async def _run(number: int, turns: asyncio.Semaphore) -> Response:
    from tenure.cli.demo_repeats import refunds, request

    async with turns:
        return await refunds.run(request(number), user=f"customer-{number:03}")


def _must_go_on(stage: Stage) -> None:
    """Raise Unavailable when so many runs have led to nothing."""
    if len(stage.made) > MOST:
        raise Unavailable(f"{MOST} runs have not led to the next stage")


async def _approve(stage: Stage) -> None:
    """The card, the second time without what was seen before, and a signature."""
    from tenure.approvals.request import Kind
    from tenure.cli import page, render

    request = await play.seen("people are asked", lambda: play.opened(stage.system, Kind.DEPLOYMENT))
    is_first = request.payload["step"] == "deploy"
    about = page.about(request)
    rows = [
        *page.kind(request),
        *(about if is_first else [row for row in about if row[0] in ("what", "bound to")]),
        ("why", request.why),
        ("who signs", f"one person, until {render.moment(request.deadline)}"),
        ("request", request.id),
        ("elsewhere", f"tenure learn approve {LEARNED} --version 1"),
    ]
    play.print_card(stage.console, rows, page.below(request) if is_first else "")
    await play.sign(stage.system, request)


async def _until(stage: Stage, wanted: str) -> None:
    """Show that the rollout is in that stage, once it is, and why."""
    from tenure.cli import render

    async def look() -> RolloutRow | None:
        return (await stage.known()).rollout if await _is(stage, wanted) else None

    found = await play.seen(f"it is {wanted}", look)
    stage.console.print(f"stage {stage.shown} → {wanted}", style=STYLES.get(wanted, "bold"))
    render.put(stage.console, render.pairs([("", found.why)], indent=0))
    stage.shown = wanted


async def _conclude(stage: Stage, took: float) -> None:
    from tenure.cli import learned

    _title(stage, "What is left of it", f"tenure learn show {LEARNED}")
    learned.print_whole(await stage.known())
    by_it = sum(run.tier == "capability" for run in stage.made)
    stage.console.print(f"\n{len(stage.made)} runs, {by_it} of them without Claude, in {took:.0f} s.")
    stage.console.print("Nothing of this is kept, and no process stays.")


def _title(stage: Stage, told: str, command: str = "") -> None:
    room = max(WIDTH - len(told) - len(command), 2) if command else 0
    stage.console.print(f"\n{told}{' ' * room}{command}", style="bold")


def _quote(stage: Stage, asked: str, run: Response) -> None:
    from tenure.cli import render

    by = "without Claude" if run.tier == "capability" else "by Claude"
    spent = f"{by}: {render.money(round(run.cost * MICRO))}"
    saved = f", {render.money(round(run.saved * MICRO))} saved" if run.saved else ""
    rows = [("customer", asked), ("agent", run.message), ("made", f"{spent}{saved}, {run.latency:.1f} s")]
    render.put(stage.console, render.pairs(rows))


def _say(stage: Stage, told: str) -> None:
    play.say(stage.console, told)
