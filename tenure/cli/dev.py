"""`dev`: a whole Tenure that stays up. `worker`: the worker alone, for a Temporal that runs elsewhere."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import sys
import time
from typing import TYPE_CHECKING

import click

from tenure.errors import ConfigError, TenureError

if TYPE_CHECKING:
    from tenure.cli.local import Local
    from tenure.testing.scripted_claude import Script

EXAMPLE = "examples.support"
WAYS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL")  # to reach Claude
LONGEST_PAUSE = 30.0  # seconds between two tries to start a worker that does not start


@click.command()
@click.option("--agents", "-a", multiple=True, metavar="MODULE[:ATTR]", help="Modules or files with Agents to serve.")
@click.argument("more", nargs=-1, metavar="")
def dev(agents: tuple[str, ...], more: tuple[str, ...]) -> int:
    """Run Temporal with its UI, a store and a worker until Ctrl-C.

    Without --agents it serves examples.support where that can be imported. Without a key a stand-in plays Claude by the module's
    `script`, if it has one. Runs are kept in `.tenure/`.
    """
    from tenure.cli.local import run_until_stopped

    code = run_until_stopped(_dev([*agents, *more] or _example()))
    return 0 if code > 128 else code  # being stopped is how it ends


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="--agents MODULE[:ATTR] ... [--task-queue NAME]")
def worker(arguments: tuple[str, ...]) -> int:
    """Serve agents to a Temporal that runs elsewhere, until SIGTERM or Ctrl-C: the same as worker.py."""
    from tenure.cli.connection import settings_found
    from tenure.worker import main

    with settings_found():
        return main(arguments)


def example_is_here() -> bool:
    """Whether the example can be imported: in a checkout, from its top folder."""
    if os.getcwd() not in sys.path:  # noqa: PTH109  # sys.path holds text
        sys.path.insert(0, os.getcwd())  # noqa: PTH109
    try:
        return importlib.util.find_spec(EXAMPLE) is not None
    except ModuleNotFoundError:
        return False


def _example() -> list[str]:
    if not example_is_here():
        raise ConfigError(
            "no agents to serve: name them with `tenure dev --agents MODULE[:ATTR]`, your own module with an Agent"
        )
    return [EXAMPLE]


async def _dev(agents: list[str]) -> int:
    from contextlib import ExitStack

    from tenure.cli.local import local
    from tenure.testing.scripted_claude import ScriptedClaude

    with ExitStack() as stack:
        env: dict[str, str] = {}
        script = None if any(os.environ.get(name) for name in WAYS) else _script(agents)
        if script is not None:
            claude = stack.enter_context(ScriptedClaude(script, record=False))
            env = {"ANTHROPIC_BASE_URL": claude.base_url, "ANTHROPIC_API_KEY": "scripted"}
        click.echo("starting Temporal, the store and a worker")
        async with local("dev", agents, env, _worker_says) as here:
            try:
                await _greet(here, scripted=bool(env), example=agents == [EXAMPLE])
                await _keep_up(here)
            finally:
                click.echo("stopping; runs under way go on with the next worker")
    return 0


def _script(agents: list[str]) -> Script | None:
    """What a stand-in may say without a key: the `script` of the one module that has one. Raises ConfigError where two have."""
    from tenure.runtime.registry import import_module

    modules = dict.fromkeys(one.partition(":")[0] for one in agents)
    found = {name: script for name in modules if (script := getattr(import_module(name), "script", None)) is not None}
    if len(found) > 1:
        told = "a stand-in plays one: serve one of these modules, or set ANTHROPIC_API_KEY for Claude"
        raise ConfigError(f"there is no key, and {' and '.join(found)} each have a `script`: {told}")
    return next(iter(found.values()), None)


def _worker_says(line: str) -> None:
    click.echo(f"  worker | {line}")


async def _greet(here: Local, *, scripted: bool, example: bool) -> None:
    from tenure.cli import render
    from tenure.runtime.store import shown

    settings = here.system.settings
    stand_in = "a scripted stand-in: what the module's script says, whatever you ask; set ANTHROPIC_API_KEY for Claude"
    rows = [
        ("UI", settings.ui_url),
        ("Temporal", here.address),
        ("store", shown(settings.database_url)),
        ("answers", stand_in if scripted else os.environ.get("ANTHROPIC_BASE_URL", "Claude")),
        ("approve", "as operator or as reviewer: two local principals, keys in .tenure/keys"),
        *(("note", note) for note in here.notes),
    ]
    console = render.console()
    console.print("\nTenure is up, until Ctrl-C.", style="bold")
    render.put(console, render.pairs(rows))
    console.print("From another terminal, in this folder:", style="bold")
    for agent in await _served(here) or ["AGENT"]:
        click.echo(f'  tenure run {agent} "{"I am alice@example.com and have a billing issue." if example else "..."}"')
    click.echo("  tenure runs | show RUN | cancel RUN | pending | approve REQUEST --as operator | learn\n")


async def _served(here: Local) -> list[str]:
    from tenure.runtime.store import Connection, agents

    def look(db: Connection) -> list[str]:
        return [name for name in agents.names(db) if agents.fresh(db, name, round(time.time() * 1000))]

    return await here.system.require_store().read(look)


async def _keep_up(here: Local) -> None:
    """Start the worker again whenever it ends, at ever longer intervals while it cannot start."""
    pause = 1.0
    while True:
        code = await here.worker.ended()
        click.echo(f"  worker {here.worker.pid} ended (exit code {code}): it is started again in {pause:g} s")
        await asyncio.sleep(pause)
        try:
            await here.start_worker()
            pause = 1.0
        except TenureError as error:
            click.echo(f"  {error}")
            pause = min(pause * 2, LONGEST_PAUSE)
