"""`demo`: one agent run whose worker is killed in the middle, and what became of it."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from tenure.cli.dev import EXAMPLE, example_is_here
from tenure.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from tenure.cli.follow import InFlight, Look, Tree
    from tenure.cli.local import Local
    from tenure.response import Response
    from tenure.testing.scripted_claude import ScriptedClaude

MESSAGE = "Hi, I'm alice@example.com. I have a billing issue that needs to be resolved."
VICTIM = "tool.update_ticket"
RUNNING_FOR = 1.0  # seconds the call has run when its worker is killed
LATE = 4  # a real Claude may never make that call: then the worker dies while Claude thinks about this turn
LATENCY = 0.4  # seconds the stand-in takes for a turn, so that one can watch


@click.command()
def demo() -> int:
    """See a run survive kill -9: under half a minute, no key needed, no process left behind."""
    from tenure.cli.local import run_until_stopped

    if not example_is_here():
        raise ConfigError(
            f"{EXAMPLE} cannot be imported here: run `tenure demo` in the top folder of a checkout of Tenure"
        )
    return run_until_stopped(_demo())


class Accident:
    """The worker is killed once, at a good moment, and started again at once; `back_at` is when the call was begun again."""

    def __init__(self, here: Local, shown: Tree, *, scripted: bool) -> None:
        self._here, self._shown, self._scripted = here, shown, scripted
        self._restart: asyncio.Task[None] | None = None
        self.victim: InFlight | None = None
        self.pids: list[int] = [here.worker.pid]
        self.at = self.back_at = 0.0  # seconds since the epoch

    @property
    def took(self) -> float:
        """Seconds from the kill until a worker had the call again."""
        return self.back_at - self.at

    def watch(self, look: Look) -> None:
        """Strike when it is time; afterwards note who is back."""
        if self.victim is None:
            self.victim = self._chosen(look)
            if self.victim is not None:
                self._strike(self.victim)
            return
        for one in look.flying:
            if one.name == self.victim.name and one.started and one.attempt > self.victim.attempt:
                self._back(one)

    async def over(self) -> None:
        """Wait until the new worker serves, in case the run ended first. Raises what kept it from serving."""
        if self._restart is not None:
            await self._restart

    def _chosen(self, look: Look) -> InFlight | None:
        turn = look.progress.iteration if look.progress else 0
        for one in look.flying:
            if one.started and one.name == VICTIM and time.time() - one.since > RUNNING_FOR:
                return one
            if one.started and one.name == "decide" and turn >= LATE and not self._scripted:
                return one
        return None

    def _strike(self, victim: InFlight) -> None:
        self._here.worker.kill()
        self.at = time.time()
        self._shown.event(f"worker killed (SIGKILL, pid {self.pids[0]}) while {victim.short} was running", "bold red")
        self._shown.note = "Temporal notices within 5 s that no heartbeat comes, and gives the call to the next worker"
        self._restart = asyncio.create_task(self._start_again())

    def _back(self, again: InFlight) -> None:
        if not self.back_at:
            self.back_at = again.since
            self._shown.note = ""
            told = f"{again.short} begun again (attempt {again.attempt}), {self.took:.1f} s after the kill"
            self._shown.event(told, "bold green")

    async def _start_again(self) -> None:
        await self._here.worker.ended()
        await self._here.start_worker()
        self.pids.append(self._here.worker.pid)
        self._shown.event(f"worker started again (pid {self._here.worker.pid})", "bold green")


async def _demo() -> int:
    from examples.support import script
    from tenure.cli import render
    from tenure.cli.local import local
    from tenure.testing.scripted_claude import ScriptedClaude

    console = render.console()
    with ExitStack() as stack:
        claude = None if os.environ.get("ANTHROPIC_API_KEY") else ScriptedClaude(script, latency=LATENCY)
        env: dict[str, str] = {}
        if claude is not None:
            stack.enter_context(claude)
            env = {"ANTHROPIC_BASE_URL": claude.base_url, "ANTHROPIC_API_KEY": "scripted"}
        _introduce(console, scripted=claude is not None)
        async with local("demo", [EXAMPLE], env, lambda line: None) as here:
            response, accident = await _run(console, here, scripted=claude is not None)
            _print_response(console, response)
            await _print_accident(console, here, response, accident, claude)
            _print_ways_on(console, here, response)
    return 0 if response.success else 1


async def _run(console: Console, here: Local, *, scripted: bool) -> tuple[Response, Accident]:
    from examples.support import support
    from tenure.cli import render
    from tenure.cli.follow import follow, tree

    handle = await support.start(MESSAGE, user="alice", client=here.system)
    rows = [
        ("UI", here.system.settings.ui_url),
        ("worker", f"pid {here.worker.pid}"),
        ("run", handle.id),
        ("asked", MESSAGE),
        *(("note", note) for note in here.notes),
    ]
    render.put(console, render.pairs(rows))
    console.print()
    with tree(console) as shown:
        accident = Accident(here, shown, scripted=scripted)
        async for look in follow(handle):
            shown.show(look)
            accident.watch(look)
        await accident.over()
    return await handle.result(), accident


def _introduce(console: Console, *, scripted: bool) -> None:
    console.print("Tenure demo: a run that survives kill -9", style="bold")
    if scripted:
        console.print("There is no ANTHROPIC_API_KEY: a scripted stand-in answers in Claude's place.")
        console.print("Everything else is real: Temporal, the store, the worker, the tools.")
    else:
        console.print(f"Claude answers, with your ANTHROPIC_API_KEY{_at()}. This costs a few cents.")
    console.print()


def _at() -> str:
    url = os.environ.get("ANTHROPIC_BASE_URL")
    return f" at {url}" if url else ""


def _print_response(console: Console, response: Response) -> None:
    from tenure.cli import render

    spent = f"{response.tokens_used:,} tokens, ${response.cost:.4f}, {response.latency:.1f} s"
    turns = f"{render.count(response.iterations, 'turn')}, {render.count(len(response.tool_calls), 'tool call')}"
    console.print(f"\nResponse ({response.status}: {turns}, {spent})", style="bold")
    console.print(response.message or str(response.stop_reason))


async def _print_accident(
    console: Console, here: Local, response: Response, accident: Accident, claude: ScriptedClaude | None
) -> None:
    from tenure.cli import render

    console.print("\nWhat the kill did", style="bold")
    victim = accident.victim
    if victim is None:
        console.print("Nothing: no call ran long enough to be killed in the middle of it. Try again.")
        return
    rows = [
        ("in flight", f"{victim.short}, on worker {accident.pids[0]}"),
        ("done once", await _proof(here, response, victim)),
    ]
    if claude is not None:
        asked, turns = len(claude.requests), render.count(response.iterations, "turn")
        rows.append(("asked once", f"{render.count(asked, 'request')} to the stand-in for {turns}"))
    if accident.back_at:
        rows.append(("recovery", f"{accident.took:.1f} s from SIGKILL until worker {accident.pids[-1]} had the call"))
    render.put(console, render.pairs(rows))


async def _proof(here: Local, response: Response, victim: InFlight) -> str:
    """What the store says of the call that was in flight."""
    from tenure.runtime.store import effects

    if victim.name == "decide":
        return "the turn stands in the transcript once"
    records = await here.system.require_store().read(lambda db: effects.of_run(db, response.id))
    (record,) = [row for row in records if f"tool.{row['tool']}" == victim.name][:1]
    return (
        f"started {record['generation']} times under one idempotency key, result recorded once "
        f"(effect {record['key'][:8]}…: {record['status']})"
    )


def _print_ways_on(console: Console, here: Local, response: Response) -> None:
    from tenure.cli.connection import link

    console.print("\nThe run in the Temporal UI", style="bold")
    console.print(link(here.system, response.id), soft_wrap=True)
    console.print("The UI ends with this demo. `make dev` (or `tenure dev`) brings it back, with the run in it.")
    if not os.environ.get("ANTHROPIC_API_KEY"):
        console.print("\nWith Claude itself", style="bold")
        console.print("ANTHROPIC_API_KEY=sk-ant-... make demo")
