"""`doctor`: say of everything a Tenure stands on whether it is in order, and how to mend it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import click

from tenure.cli.checks import CHECKS, SERVE, Found, Ground, failed, ok, warning
from tenure.errors import ConfigError, TenureError

if TYPE_CHECKING:
    from rich.console import Console

    from tenure.spec import AgentSpec

SECONDS = 3.0  # for one check
CALL_SECONDS = 30.0  # for a real request to Claude, and the import of its client
LONGEST = 300  # characters of an error
FIXES: dict[int | None, str] = {  # of a request to Claude, by its HTTP status
    None: "see status.anthropic.com, ANTHROPIC_BASE_URL, and the proxy",
    401: "set ANTHROPIC_API_KEY to a key that is valid",
    403: "give the key's workspace the right to use this model",
    404: "correct the agent's model, or ANTHROPIC_BASE_URL",
    429: "raise the limit of the key's workspace, or wait",
}
STYLES = {"ok": "green", "warning": "yellow", "failed": "bold red"}


@click.command()
@click.option("--agents", "-a", multiple=True, metavar="MODULE[:ATTR]", help="Compare these with what workers serve.")
@click.option("--call", is_flag=True, help="Ask Claude for one token: a real request.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def doctor(agents: tuple[str, ...], call: bool, as_json: bool) -> int:
    """Check what Tenure stands on, and say how to mend it.

    Temporal, store, workers, approvers, Claude, prices. Nothing is changed. Exit code 1 when something failed.
    """
    from tenure.cli import render
    from tenure.cli.connection import settings_found

    console, found = render.console(), list[tuple[str, Found]]()

    def tell(check: str, what: Found) -> None:
        found.append((check, what))
        if not as_json:
            _print(console, check, what)

    try:
        with settings_found():
            asyncio.run(_examine(agents, tell, call=call))
    except ConfigError as error:
        tell("settings", failed(str(error), "correct it, or unset it"))
    if as_json:
        render.document([{"check": check, **what._asdict()} for check, what in found])
    else:
        console.print(_summary([what.status for _, what in found]))
    return int(any(what.status == "failed" for _, what in found))


async def _examine(references: tuple[str, ...], tell: Callable[[str, Found], None], *, call: bool) -> None:
    from tenure.runtime.settings import Settings

    ground = Ground(Settings.load(), os.environ)
    for reference in references:
        _load(ground, reference, tell)
    for check, look in CHECKS.items():
        tell(check, await _bounded(look(ground), SECONDS))
    if call:
        tell("call", await _bounded(_call(ground), CALL_SECONDS))
    for agent in ground.loaded:
        tell("agent", _compared(ground, agent))
    if ground.store is not None:
        ground.store.close()
    ground.threads.shutdown(wait=False)


async def _bounded(look: Awaitable[Found], seconds: float) -> Found:
    from temporalio.service import RPCError

    try:
        return await asyncio.wait_for(look, seconds)
    except TimeoutError:
        return failed(f"no answer within {seconds:g} s", "see whether what it asks is up, and the way to it open")
    except RPCError as error:
        return failed(f"Temporal says {error.status.name}: {error.message}", "give this client the right to ask that")
    except TenureError as error:
        return failed(str(error), "correct the setting it names")
    except Exception as error:  # noqa: BLE001  # whatever one check meets, the others must still be made
        return failed(f"{type(error).__name__}: {error}", "not foreseen: please report it")


def _load(ground: Ground, reference: str, tell: Callable[[str, Found], None]) -> None:
    from tenure.runtime.registry import load

    try:
        ground.loaded += load(reference)
    except ConfigError as error:
        tell("agents", failed(str(error), "correct the name or the module"))


async def _call(ground: Ground) -> Found:
    from tenure.runtime.claude import Claude
    from tenure.spec import DEFAULT_MODEL

    claude = Claude(ground.env)
    await ground.aside(claude.open)  # imports the client, which takes seconds
    model = next((one.model for one in ground.announced if one.fresh), DEFAULT_MODEL)
    began = time.monotonic()
    try:
        await claude.client.messages.create(
            model=model, max_tokens=1, messages=[{"role": "user", "content": "Hi"}], timeout=CALL_SECONDS / 2
        )
    except Exception as error:  # noqa: BLE001  # whatever the client or its transport raises is what one wants to know
        told = f"{model}: {type(error).__name__}: {_words(error)}"
        return failed(told[:LONGEST], FIXES.get(getattr(error, "status_code", None), FIXES[None]))
    finally:
        await claude.close()
    return ok(f"{model} answered in {time.monotonic() - began:.1f} s")


def _words(error: Exception) -> str:
    """What the API said, without the document it said it in."""
    match getattr(error, "body", None):
        case {"error": {"message": str(message)}}:
            return message
        case _:
            return str(error)


def _compared(ground: Ground, agent: AgentSpec) -> Found:
    own, fresh = f"{agent.name}@{agent.fingerprint[:8]}", [one for one in ground.announced if one.fresh]
    served = [one for one in fresh if one.name == agent.name]
    if any(one.fingerprint == agent.fingerprint for one in served):
        return ok(f"{own}, exactly as a worker serves it")
    if served:
        told = f"here it is {own}, the worker serves {', '.join(map(str, served))}"
        return failed(told, "restart the worker with this code, or check out the worker's")
    return warning(f"no worker serves {agent.name}", SERVE)


def _summary(statuses: list[str]) -> str:
    failures, warnings = statuses.count("failed"), statuses.count("warning")
    told = [f"{failures} failed"] * bool(failures) + [f"{warnings} to look at"] * bool(warnings)
    return ", ".join(told) or "all is well"


def _print(console: Console, check: str, found: Found) -> None:
    from rich.table import Table

    from tenure.cli import render

    row = Table.grid(padding=(0, 2, 0, 0))
    row.add_column(width=7, no_wrap=True, style=STYLES[found.status])
    row.add_column(width=12, overflow="fold")
    row.add_column(overflow="fold")
    row.add_row(found.status, check, found.told)
    if found.fix:
        row.add_row("", "→ fix", found.fix, style="dim")
    render.put(console, row)
