"""The agent that `test_served_kills.py` serves from a process of its own: what its tools do is written to files."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from tenure import Agent, ToolContext, tool
from tests.tickets import SOON

HELD = "T-1300"  # the ticket whose closing, or look-up, waits for its gate


def folder() -> Path:
    """Where the world outside is."""
    return Path(os.environ["BENCH_FOLDER"])


async def _hold(place: str) -> None:
    """Say that it came to `place`, and wait until its gate stands open."""
    (folder() / f"reached-{place}").touch()
    while not (folder() / f"gate-{place}").exists():  # noqa: ASYNC110  # another process opens it: there is no event to wait for
        await asyncio.sleep(0.02)


@tool(effect="read", output="*")
async def get_ticket(ticket: str) -> dict[str, str]:
    """Get a ticket."""
    if ticket == HELD:
        await _hold("read")
    return {"ticket": ticket, "status": "open"}


@tool(effect="write", idempotent=True, output="*")
async def close_ticket(ctx: ToolContext, ticket: str, duplicate_of: str) -> dict[str, str]:
    """Close a ticket as a duplicate of another."""
    if ticket == HELD:
        await _hold("write")
    with (folder() / "closed").open("a") as out:
        out.write(f"{ticket} {duplicate_of}\n")
    return {"ticket": ticket, "status": "closed"}


closing = Agent(
    name="tickets", tools=[get_ticket, close_ticket], max_iterations=5, learning=SOON, evaluate=lambda run: run.success
)
