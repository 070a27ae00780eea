"""A desk of tickets that are closed again and again: the agent, its Claude, and what its tools have done."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Any

import pytest

import tenure.worker
from tenure import Agent, Response, ToolError, tool
from tenure.runtime.store import capabilities
from tenure.runtime.store.capabilities import RolloutRow
from tenure.testing import Embedded
from tenure.testing.messages_api import turn_of
from tenure.testing.scripted_claude import Turn, text, tool_use
from tests.waiting import eventually

WHO = "default", "tickets"
CLOSED: dict[str, str] = {}  # ticket → as a duplicate of which; what really happened
BROKEN: list[str] = []  # while there is something in it, nothing can be closed
STATUS: dict[str, str] = {}  # of tickets that are not open
LEARNS: dict[str, Any] = {"deployment": {"rollout_percentage": 50, "success_criteria": {"error_rate": 0.1}}}


@tool(effect="read", output="*")
async def get_ticket(ticket: str) -> dict[str, str]:
    """Get a ticket."""
    return {"ticket": ticket, "status": STATUS.get(ticket, "open"), "queue": "billing"}


@tool(effect="write", idempotent=True, output="*")
async def close_ticket(ticket: str, duplicate_of: str) -> dict[str, str]:
    """Close a ticket as a duplicate of another."""
    if BROKEN:
        raise ToolError(BROKEN[0])
    CLOSED[ticket] = duplicate_of
    return {"ticket": ticket, "status": "closed"}


def desk(learning: dict[str, Any] | None = None, **more: Any) -> Agent:
    told = {"evaluate": lambda response: response.success, "learning": LEARNS if learning is None else learning, **more}
    return Agent(name="tickets", tools=[get_ticket, close_ticket], max_iterations=5, **told)


def request(number: int) -> str:
    return f"Please close ticket T-{number} as a duplicate of T-{number + 5000}."  # numbers of four digits


def claude(body: dict[str, Any]) -> Turn:
    """What Claude makes of such a request: it looks the ticket up, closes it if it is open, and says so."""
    told = body["messages"][0]["content"][0]["text"]
    ticket, other = re.findall(r"T-\d+", told)
    match turn_of(body):
        case 0:
            return tool_use("get_ticket", ticket=ticket)
        case 1 if STATUS.get(ticket, "open") == "open":
            return tool_use("close_ticket", ticket=ticket, duplicate_of=other)
        case 1:
            return text(f"Ticket {ticket} is {STATUS[ticket]} already.")
        case _:
            failed = "is_error" in str(body["messages"][-1])
            return text(
                f"I could not close {ticket}." if failed else f"Ticket {ticket} is closed as a duplicate of {other}."
            )


@pytest.fixture(name="tidy", autouse=True)
def tidied(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is closed, nothing is broken, and rollouts hear of their runs at once."""
    for one in (CLOSED, STATUS, BROKEN):
        one.clear()
    monkeypatch.setattr(tenure.worker, "ANNOUNCE_SECONDS", 0.2)
    monkeypatch.setattr(capabilities, "TOLD_MS", 100)


async def closed(agent: Agent, numbers: Sequence[int], at_once: int = 8) -> list[Response]:
    """Runs that close these tickets."""
    gate = asyncio.Semaphore(at_once)

    async def one(number: int) -> Response:
        async with gate:
            return await agent.run(request(number))

    return await asyncio.gather(*map(one, numbers))


async def rollout(system: Embedded, stage: str, *, within: float = 20.0) -> RolloutRow:
    """The rollout, once it is in that stage."""

    async def look() -> RolloutRow | None:
        found = await system.require_store().read(capabilities.rollouts)
        return next((one for one in found if one.stage == stage), None)

    return await eventually(look, within=within)


async def approve(system: Embedded) -> Any:
    """Approve what is being asked."""
    asked = (await eventually(system.approvals.pending))[0]
    await system.approve(asked)
    return asked
