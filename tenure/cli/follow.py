"""A run while it happens: new steps as they are told, and what is in flight, from the server even when no worker answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from temporalio.api.enums.v1 import PendingActivityState
from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError

from tenure.approvals.request import Request
from tenure.cli import render
from tenure.run import Progress, Step, StopReason

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live
    from temporalio.api.workflow.v1 import PendingActivityInfo
    from temporalio.client import WorkflowExecutionDescription

    from tenure.client import RunHandle

LOOK = 0.2  # seconds between two looks
ANSWER = 1.0  # seconds a worker has to answer a query


@dataclass(frozen=True)
class InFlight:
    """An activity that is not done: its name (`decide`, `tool.<name>`), its attempt, whether a worker has it, and since when."""

    name: str
    attempt: int
    started: bool
    since: float  # seconds since the epoch

    @property
    def short(self) -> str:
        """The tool's name, or that Claude thinks."""
        return "Claude's turn" if self.name == "decide" else self.name.removeprefix("tool.")

    @property
    def told(self) -> str:
        """In words."""
        what = "Claude is thinking" if self.name == "decide" else self.short
        again = f", attempt {self.attempt}" if self.attempt > 1 else ""
        return f"{what}{again}" if self.started else f"{what}: waits for a worker{again}"

    @property
    def lasting(self) -> str:
        """In words, with the seconds so far."""
        return f"{self.told}  {time.time() - self.since:.1f} s"


@dataclass(frozen=True)
class Look:
    """One look at a run. `steps` are those not seen before; `silent` is for how many seconds no worker has answered."""

    steps: list[Step]
    flying: list[InFlight]
    waiting_for: list[Request]
    closed: bool
    silent: float
    progress: Progress | None = None


async def follow(handle: RunHandle) -> AsyncGenerator[Look]:
    """Look until the run is closed. Raises RPCError when the server does not know the run, or goes away."""
    heard, told, progress, length = time.monotonic(), 0, None, -1
    while True:
        description = await handle.workflow.describe()
        closed = description.status is not WorkflowExecutionStatus.RUNNING
        if description.history_length != length:
            found = await _ask(handle)
            if found is not None:
                progress, length, heard = found, description.history_length, time.monotonic()
        elif progress is not None:
            heard = time.monotonic()
        steps = [step for step in progress.steps if step.at > told] if progress else []
        told = max((step.at for step in steps), default=told)
        flying = in_flight(description)
        waiting = [] if closed or progress is None else progress.waiting_for
        yield Look(steps, flying, waiting, closed, time.monotonic() - heard, progress)
        if closed:
            return
        await asyncio.sleep(LOOK)


async def _ask(handle: RunHandle) -> Progress | None:
    try:
        return await asyncio.wait_for(handle.progress(), ANSWER)
    except (RPCError, TimeoutError):
        return None


def in_flight(description: WorkflowExecutionDescription) -> list[InFlight]:
    """The activities of a run that are not done, as the server knows them."""
    return [_one(info) for info in description.raw_description.pending_activities]


def _one(info: PendingActivityInfo) -> InFlight:
    started = info.state == PendingActivityState.PENDING_ACTIVITY_STATE_STARTED
    since = info.last_started_time if started else info.scheduled_time
    return InFlight(info.activity_type.name, info.attempt, started, since.ToMilliseconds() / 1000)


@dataclass
class Tree:
    """The steps as they come, one line each; on a terminal, what is in flight stands below them and moves."""

    console: Console
    live: Live | None = None
    look: Look | None = None
    tokens: int = 0
    cost: int = 0
    note: str = ""
    headed: bool = False
    began: float = field(default_factory=time.monotonic)
    warned: set[str] = field(default_factory=set[str])

    def show(self, look: Look) -> None:
        """Add what is new."""
        self.look = look
        for step in look.steps:
            self._step(step)
        for request in look.waiting_for:
            self.once(request.id, _waits(request))

    def event(self, text: str, style: str = "bold") -> None:
        """A line of our own between the steps."""
        told = render.columns(figures=False)
        told.add_row(render.clock(round(time.time() * 1000)), "!", text, style=style)
        render.put(self.console, told)

    def once(self, key: str, text: str) -> None:
        """An event that is told once."""
        if key not in self.warned:
            self.warned.add(key)
            self.event(text, "yellow")

    def _step(self, step: Step) -> None:
        self.tokens, self.cost = self.tokens + step.tokens, self.cost + step.cost
        guide, text = _told(step.what)
        cells = (guide, text, *render.figures(step.took, step.tokens, step.cost))
        self._row(render.clock(step.at), *cells, style="" if step.ok else "red")

    def _row(self, *cells: str, style: str = "") -> None:
        table = render.columns(header=not self.headed)
        self.headed = True
        table.add_row(*cells, style=style)
        render.put(self.console, table)

    def __rich__(self) -> RenderableType:
        """What stands below the steps: drawn again several times a second."""
        from rich.console import Group
        from rich.spinner import Spinner
        from rich.text import Text

        from tenure.cli.terminal import plain

        flying = self.look.flying if self.look else []
        lines = [Spinner("dots", Text(plain(one.lasting))) for one in flying]  # a spinner's text is its own
        total = f"{time.monotonic() - self.began:.1f} s · {self.tokens:,} tokens · {render.money(self.cost)}"
        return Group(*lines, *([self.note] if self.note else []), total)


def _told(what: str) -> tuple[str, str]:
    """A step as guide and text: Claude's words are cut to a line, calls are not, the end is a word."""
    head, _, rest = what.partition(": ")
    if head == "Claude":
        return "●", render.cut(rest, render.TEXT)
    if head.startswith("Claude ("):  # not the agent's own model
        return "●", f"{render.cut(rest, render.TEXT)} {head.removeprefix('Claude ')}"
    if head in set(StopReason):
        return "■", head if head == StopReason.ANSWERED else what
    return "└", what


def _waits(request: Request) -> str:
    first = request.choices[0]
    command = (
        f"tenure approve {request.id}"
        if first == "approve"
        else f"tenure answer {request.id} {'|'.join(request.choices)}"
    )
    return f"waits for a person: {request.why}; `{command}`"


@contextmanager
def tree(console: Console) -> Generator[Tree]:
    """A tree that is live on a terminal and plain lines elsewhere."""
    from rich.live import Live

    made = Tree(console)
    if not console.is_terminal:
        yield made
        return
    with Live(made, console=console, refresh_per_second=8, transient=True):
        yield made
