"""A desk of tickets that are closed again and again: the agent, its Claude, and what its tools have done."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
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
TOLD: list[str] = []  # customers that were told of their ticket
MUTE: list[str] = []  # while there is something in it, no customer can be told
DOORS: dict[str, Door] = {}  # tickets whose look-up waits until somebody opens
SOON: dict[str, Any] = {  # few runs are enough, and there is no canary: most of what can go wrong needs neither
    "patterns": {"min_occurrences": 4},
    "deployment": {"strategy": "shadow", "success_criteria": {"error_rate": 0.4}},
}
LEARNS: dict[str, Any] = {"deployment": {"rollout_percentage": 50, "success_criteria": {"error_rate": 0.1}}}


@dataclass
class Door:
    """Where a tool waits: `reached` once it is there, until `opened`."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)
    opened: asyncio.Event = field(default_factory=asyncio.Event)


@tool(effect="read", output="*")
async def get_ticket(ticket: str) -> dict[str, str]:
    """Get a ticket."""
    if (door := DOORS.get(ticket)) is not None:
        door.reached.set()
        await door.opened.wait()
    if STATUS.get(ticket) == "unknown":
        raise ToolError(f"no ticket {ticket}")
    return {"ticket": ticket, "status": STATUS.get(ticket, "open"), "queue": "billing"}


@tool(effect="write", idempotent=True, output="*")
async def close_ticket(ticket: str, duplicate_of: str) -> dict[str, str]:
    """Close a ticket as a duplicate of another."""
    if BROKEN:
        raise ToolError(BROKEN[0])
    CLOSED[ticket] = duplicate_of
    return {"ticket": ticket, "status": "closed"}


@tool(effect="write", idempotent=True, output="*")
async def tell_customer(ticket: str) -> str:
    """Tell the customer that their ticket is closed."""
    if MUTE:
        raise ToolError(MUTE[0])
    TOLD.append(ticket)
    return "told"


def desk(learning: dict[str, Any] | None = None, **more: Any) -> Agent:
    told = {"evaluate": lambda response: response.success, "learning": LEARNS if learning is None else learning, **more}
    told = {"tools": [get_ticket, close_ticket], "max_iterations": 5, **told}
    return Agent(name="tickets", **told)


def thorough(learning: dict[str, Any] | None = None, **more: Any) -> Agent:
    """The same, and it tells the customer afterwards: two changes."""
    return desk(SOON if learning is None else learning, tools=[get_ticket, close_ticket, tell_customer], **more)


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


def thorough_claude(body: dict[str, Any]) -> Turn:
    """What Claude makes of it where the customer is told as well."""
    ticket, other = re.findall(r"T-\d+", body["messages"][0]["content"][0]["text"])
    match turn_of(body):
        case 2:
            return tool_use("tell_customer", ticket=ticket)
        case 3:
            failed = "is_error" in str(body["messages"][-1])
            return text(f"{ticket} is closed{', but I could not reach you' if failed else f' like {other}'}.")
        case _:
            return claude(body)


@pytest.fixture(name="tidy", autouse=True)
def tidied(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is closed, nothing is broken, and rollouts hear of their runs at once."""
    for one in (CLOSED, STATUS, BROKEN, TOLD, MUTE, DOORS):
        one.clear()
    monkeypatch.setattr(tenure.worker, "ANNOUNCE_SECONDS", 0.2)
    monkeypatch.setattr(capabilities, "TOLD_MS", 100)


async def closed(agent: Agent, numbers: Sequence[int], at_once: int = 8, **whose: Any) -> list[Response]:
    """Runs that close these tickets."""
    gate = asyncio.Semaphore(at_once)

    async def one(number: int) -> Response:
        async with gate:
            return await agent.run(request(number), **whose)

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


async def in_service(agent: Agent, system: Embedded, **whose: Any) -> None:
    """A capability that serves everybody, by the shortest way (`SOON`)."""
    await closed(agent, range(1000, 1006), **whose)
    await system.learn.mine(agent.name)
    await approve(system)
    await rollout(system, "shadow")
    await closed(agent, range(1100, 1106), **whose)
    await approve(system)
    await rollout(system, "promoted")


@asynccontextmanager
async def halfway(ticket: str) -> AsyncGenerator[None]:
    """Inside, a run that looks that ticket up is in the middle of it; at the end it goes on."""
    door = DOORS[ticket]
    await asyncio.wait_for(door.reached.wait(), 30)
    try:
        yield
    finally:
        door.opened.set()
