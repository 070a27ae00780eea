"""What a demo that plays in its own process does: say what happens, wait until it is seen, have a local key sign."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from tenure.errors import AnswerRefused, Unavailable

if TYPE_CHECKING:
    from rich.console import Console

    from tenure.approvals.request import Kind, Request
    from tenure.testing import Embedded

T = TypeVar("T")
PATIENCE = 60.0  # seconds that anything may take here
LOOK = 0.05
SIGNER = "operator"


def keep_quiet() -> None:
    """Ctrl-C reaches the server as well as us: that the worker then misses it is no news."""
    from temporalio.runtime import Runtime, TelemetryConfig

    Runtime.set_default(Runtime(telemetry=TelemetryConfig(logging=None)))


def say(console: Console, told: str) -> None:
    """A line with the time of day."""
    from tenure.cli import render

    render.put(console, render.pairs([(datetime.now().strftime("%H:%M:%S"), told)], indent=0))


def print_card(console: Console, rows: Iterable[tuple[str, str]], below: str = "") -> None:
    """What a person is asked, and that a local key answers it; `below` is shown as it stands."""
    from rich import box
    from rich.console import Group
    from rich.panel import Panel
    from rich.text import Text

    from tenure.cli import render

    pairs = render.pairs(rows, indent=0)
    whole = Group(pairs, Text(f"\n{below}")) if below else pairs
    title, lines = "A person is asked", box.HORIZONTALS
    render.put(console, Panel(whole, box=lines, title=title, title_align="left", border_style="yellow"))
    console.print(f"Nobody can be asked in this demo: the local key `{SIGNER}` approves.")


async def seen(what: str, look: Callable[[], Awaitable[T | None]]) -> T:
    """The first thing that `look` finds. Raises Unavailable when it takes too long."""
    deadline = time.monotonic() + PATIENCE
    while (found := await look()) is None:
        if time.monotonic() > deadline:
            raise Unavailable(f"waited {PATIENCE:g} s in vain: {what}")
        await asyncio.sleep(LOOK)
    return found


async def opened(system: Embedded, kind: Kind) -> Request | None:
    """The request of that kind that is open."""
    return next((request for request in await system.approvals.pending() if request.kind is kind), None)


async def sign(system: Embedded, request: Request, choice: str = "approve", note: str = "") -> None:
    """Answer with the local key. Raises AnswerRefused, Unavailable when no worker looks at it."""
    from tenure.approvals import answer as answers
    from tenure.client.approvals import VALID, shown_digest
    from tenure.runtime import keys

    answer = answers.Answer(
        request=request.id,
        digest=shown_digest(request),
        verdict=choice,
        principal=SIGNER,
        jti=secrets.token_hex(16),
        exp=request.opened_at // 1000 + VALID,  # by the clock of whoever asks, which may be days ahead of ours
        note=note,
    )
    token = answers.sign(answer, keys.load(system.settings.home / "keys", SIGNER))
    verdict = await system.approvals.send(request, token, wait=PATIENCE)
    if verdict is None:
        raise Unavailable(f"no worker looked at the answer within {PATIENCE:g} s")
    if not verdict.accepted:
        raise AnswerRefused(f"the answer of {SIGNER!r} does not count: {verdict.reason}")
