"""Branching in ordinary code: one agent finds out who asks, Python decides, and one of two others goes on.

Each step has an idempotency key of its own, so the whole of `serve` may be run again, after a crash or by a second delivery:
steps that were made are not made again, and the others are. `python -m examples.branching` serves two requests, one of them twice.
"""

from __future__ import annotations

import asyncio
import os
import re
from typing import Any

from tenure import Agent, Response, StopReason, ToolContext, ToolError, tool
from tenure.testing.scripted_claude import Block, text, tool_use

CUSTOMERS = {"ada@example.com": ("C-1", "premium"), "ben@example.com": ("C-2", "standard")}
CALLS: dict[str, str] = {}  # idempotency key → a call that a person will make
TICKETS: dict[str, str] = {}  # idempotency key → a ticket


@tool(effect="read")
async def identify(ctx: ToolContext, email: str) -> str:
    """Find the customer by e-mail address. It ends your part: a colleague takes over."""
    if email.lower() not in CUSTOMERS:
        raise ToolError(f"no customer has the address {email!r}: ask for the one on the invoice")
    ctx.state["customer"], ctx.state["tier"] = CUSTOMERS[email.lower()]
    ctx.finish("identified")
    return "identified"


@tool(effect="egress", idempotent=True)
async def book_call(ctx: ToolContext, topic: str) -> str:
    """Have a person call the customer."""
    CALLS.setdefault(ctx.idempotency_key, f"{ctx.state['customer']}: {topic}")
    return "A person calls the customer."


@tool(effect="write", idempotent=True)
async def open_ticket(ctx: ToolContext, summary: str) -> str:
    """Open a ticket for the customer."""
    TICKETS.setdefault(ctx.idempotency_key, f"{ctx.state['customer']}: {summary}")
    return "A ticket is open."


front = Agent(
    name="front",
    instructions="Find out who the customer is with identify. If the message names no e-mail address, ask for it.",
    tools=(identify,),
)
premium = Agent(
    name="premium",
    instructions="You serve premium customers. Book them a call, and tell them in one sentence.",
    tools=(book_call,),
    required_state={"customer": None},
)
standard = Agent(
    name="standard",
    instructions="You serve standard customers. Open a ticket, and tell them in one sentence.",
    tools=(open_ticket,),
    required_state={"customer": None},
)
TEAMS = {"premium": premium, "standard": standard}


async def serve(request: str, message: str) -> Response:
    """Answer a message. `request` names it: served again under the same name, nothing happens twice."""
    found = await front.run(message, idempotency_key=f"{request}/front")
    if found.stop_reason is not StopReason.FINISHED:
        return found  # front has a question, or failed
    team = TEAMS[str(found.state["tier"])]
    return await team.run(message, state=found.state, idempotency_key=f"{request}/{team.name}")


def script(body: dict[str, Any]) -> Block:  # Any: the JSON of a request to the Messages API
    """What the stand-in for Claude says when there is no key: which agent asks is seen by its tool."""
    name, asked = body["tools"][0]["name"], body["messages"][0]["content"][0]["text"]
    if body["messages"][-1]["content"][0]["type"] == "tool_result":
        return text("A person will call you." if name == "book_call" else "I have opened a ticket for you.")
    email = re.search(r"\w+@example\.com", asked)
    if email is None:
        return text("Which e-mail address is on your invoice?")
    given = {"identify": {"email": email[0]}, "book_call": {"topic": asked}, "open_ticket": {"summary": asked}}
    return tool_use(name, **given[name])


async def main() -> None:
    """Serve two requests with everything embedded, the first one twice."""
    from tenure.testing import embedded

    key = os.environ.get("ANTHROPIC_API_KEY")
    print("Claude answers:" if key else "No ANTHROPIC_API_KEY, so a script plays Claude:")
    async with embedded(front, premium, standard, claude=None if key else script):
        for request, name in (("r-1", "ada"), ("r-2", "ben"), ("r-1", "ada")):
            response = await serve(request, f"I'm {name}@example.com and my dashboard is empty.")
            print(f"{request}: {response}")
    print(f"calls: {len(CALLS)}, tickets: {len(TICKETS)}")


if __name__ == "__main__":
    asyncio.run(main())
