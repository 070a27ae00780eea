"""`demo`: one agent run that stops for a person, whose worker is killed meanwhile, and what became of it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import ExitStack, aclosing, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import click

from tenure.cli.dev import EXAMPLE, example_is_here
from tenure.errors import AnswerRefused, ConfigError, Unavailable

if TYPE_CHECKING:
    from rich.console import Console

    from tenure.approvals.request import Request
    from tenure.cli.follow import Look, Tree
    from tenure.cli.local import Local
    from tenure.client import RunHandle
    from tenure.response import Response

LATENCY = 0.4  # seconds the stand-in takes for a turn, so that one can watch
PATIENCE = 30.0  # seconds a worker may take to look at something
LOOK = 0.2  # seconds between two looks
NOTE = 2000  # characters that an answer's note may have


@click.command()
def demo() -> int:
    """See an approval survive kill -9: under half a minute, no key needed, no process left behind.

    An agent with little trust stops before it changes a ticket. While it waits its worker is killed and started again. On a
    terminal you decide; without one the second local key approves.
    """
    from tenure.cli.local import run_until_stopped

    if not example_is_here():
        raise ConfigError(
            f"{EXAMPLE} cannot be imported here: run `tenure demo` in the top folder of a checkout of Tenure"
        )
    return run_until_stopped(_demo())


@dataclass(frozen=True)
class Stage:
    """What the demo is played on: the set-up, the run, the terminal, and the steps shown so far."""

    here: Local
    handle: RunHandle
    console: Console
    shown: Tree

    async def is_closed(self, request: Request) -> bool:
        """Whether the request was answered; one that nobody has written down yet was not."""
        from tenure.runtime.store import approvals

        found = await self.here.system.require_store().read(lambda db: approvals.find_request(db, request.id))
        return any(one.id == request.id and not is_open for one, is_open in found)


async def _demo() -> int:
    from examples.support import script
    from tenure.cli import render
    from tenure.cli.local import local
    from tenure.testing.scripted_claude import ScriptedClaude

    console = render.console()
    with ExitStack() as stack:
        env: dict[str, str] = {}
        scripted = not os.environ.get("ANTHROPIC_API_KEY")
        if scripted:
            claude = stack.enter_context(ScriptedClaude(script, latency=LATENCY))
            env = {"ANTHROPIC_BASE_URL": claude.base_url, "ANTHROPIC_API_KEY": "scripted"}
        _introduce(console, scripted=scripted)
        async with local("demo", [EXAMPLE], env, lambda line: None) as here:
            stage = await _begin(here, console)
            killed = await _play(stage)
            response = await stage.handle.result()
            await _conclude(stage, response, killed=killed)
    return 0 if response.success else 1


async def _begin(here: Local, console: Console) -> Stage:
    from examples.support import REQUEST, support
    from tenure.cli import render
    from tenure.cli.follow import Tree

    handle = await support.start(REQUEST, user="alice", client=here.system)
    rows = [
        ("UI", here.system.settings.ui_url),
        ("worker", f"pid {here.worker.pid}"),
        ("run", handle.id),
        ("message", REQUEST),
        *(("note", note) for note in here.notes),
    ]
    render.put(console, render.pairs(rows))
    console.print()
    return Stage(here, handle, console, Tree(console))


async def _play(stage: Stage) -> bool:
    """Follow the run to its end, and have people decide what it asks. Whether a worker was killed meanwhile."""
    from tenure.cli.demo_card import print_card
    from tenure.cli.follow import follow

    met: set[str] = set()
    async with aclosing(follow(stage.handle)) as looks:
        while (look := await _until_asked(stage, looks, met)) is not None:
            request = look.waiting_for[0]
            await print_card(stage.console, stage.here.system, request, look.progress)
            if not met:
                await _kill(stage, request)
            met.add(request.id)
            await _decide(stage, request)
    return bool(met)


async def _until_asked(stage: Stage, looks: AsyncGenerator[Look], met: set[str]) -> Look | None:
    """Show what happens until somebody is asked something new; None when the run is over."""
    with _live(stage):
        async for look in looks:
            stage.shown.show(replace(look, waiting_for=[]))  # the card tells of it instead
            if any(request.id not in met for request in look.waiting_for):
                return look
    return None


@contextmanager
def _live(stage: Stage) -> Generator[None]:
    """What is in flight moves below the steps, on a terminal; not while a question stands there."""
    from rich.live import Live

    if not stage.console.is_terminal:
        yield
        return
    with Live(stage.shown, console=stage.console, refresh_per_second=8, transient=True):
        yield


async def _kill(stage: Stage, request: Request) -> None:
    """SIGKILL the worker, start another, and hear from that one what it knows of the request."""
    worker, shown = stage.here.worker, stage.shown
    worker.kill()
    shown.event(f"worker killed (SIGKILL, pid {worker.pid}) while the request is pending", "bold red")
    await worker.ended()
    await stage.here.start_worker()
    shown.event(f"worker started again (pid {worker.pid})", "bold green")
    found = await _known_to_the_worker(stage)
    if found is None or found.id != request.id:
        shown.event("the request was answered meanwhile, from elsewhere")
        return
    shown.event(f"still pending, says the new worker: {found.id}", "bold green")


async def _known_to_the_worker(stage: Stage) -> Request | None:
    """What the run waits for, as a worker rebuilds it from history. Raises Unavailable."""
    from temporalio.service import RPCError

    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            waiting = (await asyncio.wait_for(stage.handle.progress(), PATIENCE)).waiting_for
            return waiting[0] if waiting else None
        except (RPCError, TimeoutError):  # the dead worker's own queue is tried first
            await asyncio.sleep(LOOK)
    raise Unavailable(f"the new worker did not say within {PATIENCE:g} s what the run waits for")


async def _decide(stage: Stage, request: Request) -> None:
    """A person decides where there is a terminal, else the second local key approves."""
    from tenure.cli.question import attended
    from tenure.runtime.keys import LOCAL_PRINCIPALS

    if await stage.is_closed(request):
        return
    if attended():
        told = await _told(stage, request)
        if told is not None:
            await _answer(stage, request, *told, LOCAL_PRINCIPALS)
        return
    second, choice = LOCAL_PRINCIPALS[::-1], request.choices[0]
    stage.console.print(f"There is no terminal to ask on: the second local key, `{second[0]}`, says {choice}.")
    await _answer(stage, request, choice, "", second)


async def _told(stage: Stage, request: Request) -> tuple[str, str] | None:
    """The choice and the note that somebody types; None when it was answered from elsewhere first."""
    asked, closed = asyncio.create_task(_ask(stage, request)), asyncio.create_task(_closed(stage, request))
    try:
        await asyncio.wait({asked, closed}, return_when=asyncio.FIRST_COMPLETED)
        return (asked if asked.done() else closed).result()
    except asyncio.CancelledError:
        _leave(stage, request)
        raise
    except EOFError as error:
        _leave(stage, request)
        raise click.Abort from error
    finally:
        asked.cancel()
        closed.cancel()
        await asyncio.gather(asked, closed, return_exceptions=True)


def _leave(stage: Stage, request: Request) -> None:
    stage.console.print("\nNobody answered, so the run waits on. `make dev` brings it back; from another terminal")
    stage.console.print(f"`tenure approve {request.id}` answers it then.")


async def _ask(stage: Stage, request: Request) -> tuple[str, str]:
    from tenure.cli import render
    from tenure.cli.question import ask

    # Where stdout is a file the question must not go there: nobody would see what is waited for.
    console = stage.console if stage.console.is_terminal else render.console(stderr=True)
    yes, no = (request.choices[0], "deny" if "deny" in request.choices else request.choices[-1])
    while True:
        typed = (await ask(console, f"{yes.capitalize()}? y or n: ")).lower()
        if typed in ("y", "yes"):
            return yes, ""
        if typed in ("n", "no"):
            return no, (await ask(console, "Why? Claude reads it: "))[:NOTE]


async def _closed(stage: Stage, request: Request) -> None:
    while not await stage.is_closed(request):  # noqa: ASYNC110  # another process closes it: there is no event to wait for
        await asyncio.sleep(LOOK)
    stage.console.print("\nIt was answered from elsewhere.")


async def _answer(stage: Stage, request: Request, choice: str, note: str, signers: Sequence[str]) -> None:
    """Answer with as many local keys as are wanted. Raises AnswerRefused, Unavailable when no worker looks at it."""
    from tenure.runtime import keys

    system = stage.here.system
    for principal in signers[: request.quorum]:
        token = system.approvals.sign(
            request, choice, principal, keys.load(system.settings.home / "keys", principal), note
        )
        verdict = await system.approvals.send(request, token, wait=PATIENCE)
        if verdict is None:
            raise Unavailable(f"no worker looked at the answer within {PATIENCE:g} s")
        if not verdict.accepted and not await stage.is_closed(request):
            raise AnswerRefused(f"the answer of {principal!r} does not count: {verdict.reason}")


def _introduce(console: Console, *, scripted: bool) -> None:
    console.print("Tenure demo: an approval that survives kill -9", style="bold")
    if scripted:
        console.print("There is no ANTHROPIC_API_KEY: a scripted stand-in answers in Claude's place.")
        console.print("Everything else is real: Temporal, the store, the worker, the tools.")
    else:
        console.print(f"Claude answers, with your ANTHROPIC_API_KEY{_at()}. This costs a few cents.")
    console.print()


def _at() -> str:
    url = os.environ.get("ANTHROPIC_BASE_URL")
    return f" at {url}" if url else ""


async def _conclude(stage: Stage, response: Response, *, killed: bool) -> None:
    from tenure.cli import render
    from tenure.cli.connection import link
    from tenure.cli.demo_card import print_proof

    console, system = stage.console, stage.here.system
    spent = f"{response.tokens_used:,} tokens, ${response.cost:.4f}, {response.latency:.1f} s"
    turns = f"{render.count(response.iterations, 'turn')}, {render.count(len(response.tool_calls), 'tool call')}"
    console.print(f"\nResponse ({response.status}: {turns}, {spent})", style="bold")
    render.put(console, response.message or str(response.stop_reason))
    console.print("\nWhat the store says", style="bold")
    await print_proof(console, system, response.id)
    if not killed:
        render.put(console, "Claude made no call that a person had to look at, so no worker was killed. Try again.")
    console.print("\nThe run in the Temporal UI", style="bold")
    console.print(link(system, response.id), soft_wrap=True)
    render.put(console, "The UI ends with this demo. `make dev` (or `tenure dev`) brings it back, with the run in it.")
    if not os.environ.get("ANTHROPIC_API_KEY"):
        console.print("\nWith Claude itself", style="bold")
        console.print("ANTHROPIC_API_KEY=sk-ant-... make demo")
