"""One agent for several roles: a viewer reads, a clerk writes notes, an admin also voids invoices, one a day.

Who may use which tool is part of the agent, not of its prompt: Claude is not shown the other tools, and a call of one is
refused all the same. `python -m examples.roles` runs the same request as each of them, and once without a role.
"""

from __future__ import annotations

import asyncio
import os

from tenure import Agent, Response, ToolError, tool
from tenure.testing.scripted_claude import Script, tool_use

INVOICES = {"I-1": 120_00, "I-2": 75_50}  # cents
NOTES: list[str] = []


@tool(effect="read")
async def get_invoice(invoice_id: str) -> str:
    """Get what an invoice amounts to."""
    if invoice_id not in INVOICES:
        raise ToolError(f"there is no invoice {invoice_id!r}")
    return f"{INVOICES[invoice_id]} cents"


@tool(effect="write")
async def add_note(invoice_id: str, note: str) -> str:
    """Add a note to an invoice."""
    NOTES.append(f"{invoice_id}: {note}")
    return "noted"


@tool(effect="write", idempotent=True)
async def void_invoice(invoice_id: str) -> str:
    """Void an invoice: nothing is due any more."""
    INVOICES[invoice_id] = 0
    return "voided"


billing = Agent(
    name="billing",
    instructions="You keep the invoices. Say plainly what you could not do, and why.",
    tools=(get_invoice, add_note, void_invoice),
    roles={"viewer": ("get_*",), "clerk": ("get_*", "add_note"), "admin": ("*",)},
    rate_limits={"void_invoice": "1/day"},  # for each tenant, over all of its runs
)

REQUEST = "Void invoice I-1, with a note that it was a duplicate."

script: Script = [  # what the stand-in for Claude says, turn by turn, when there is no key
    tool_use("get_invoice", invoice_id="I-1"),
    [tool_use("add_note", invoice_id="I-1", note="a duplicate"), tool_use("void_invoice", invoice_id="I-1")],
    "I did of it what I may.",
]


def told(role: str | None, response: Response) -> str:
    """A run in one line: what was done and what was refused."""
    calls = [f"{call['tool']} {'done' if call['ok'] else 'refused'}" for call in response.tool_calls]
    return f"{role}: {', '.join(calls) or response.message}"


async def main() -> None:
    """Run the agent as each role with everything embedded."""
    from tenure.testing import embedded

    key = os.environ.get("ANTHROPIC_API_KEY")
    print("Claude answers:" if key else "No ANTHROPIC_API_KEY, so a script plays Claude:")
    async with embedded(billing, claude=None if key else script):
        for role in ("viewer", "clerk", "admin", None):
            print(told(role, await billing.run(REQUEST, role=role)))


if __name__ == "__main__":
    asyncio.run(main())
