"""A customer-support agent over a small back office: look up, read tickets, update one, hand over to a person.

It is new here, so it may read and hand over by itself, and a person approves what it changes; at level 0.5 it may set the status
of tickets alone. Nobody has to trust what customers write: the tools say which fields of their results are the back office's own,
and a call that takes anything else from a result waits for a person, whatever the level. `python -m examples.support` runs it.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, replace
from typing import Any, Literal

from tenure import Agent, ToolContext, ToolError, tool
from tenure.testing.messages_api import Turn, turn_of
from tenure.testing.scripted_claude import text, tool_use
from tenure.trust import Rule, Trust

Status = Literal["open", "resolved", "closed"]


@dataclass(frozen=True)
class Customer:
    """A customer as the back office knows them."""

    id: str
    name: str
    email: str
    plan: str


@dataclass(frozen=True)
class Ticket:
    """A support ticket."""

    id: str
    customer_id: str
    status: Status
    subject: str
    notes: str


@dataclass(frozen=True)
class Case:
    """A ticket that a person has taken over."""

    id: str
    ticket_id: str
    reason: str


CUSTOMERS = {
    "alice@example.com": Customer("C-1042", "Alice Moreau", "alice@example.com", "Team, monthly, $49.00"),
    "bob@example.com": Customer("C-1077", "Bob Okafor", "bob@example.com", "Starter, monthly, $12.00"),
}
DUPLICATE = "Invoices INV-3319 and INV-3320 charge the same month. Billing refunded INV-3320 ($49.00) on 2026-11-19."
EXPIRED = "The card had expired. Alice replaced it and the payment went through on 2026-06-04."
TICKETS = {
    "T-2001": Ticket("T-2001", "C-1042", "open", "Charged twice for October", DUPLICATE),
    "T-1874": Ticket("T-1874", "C-1042", "resolved", "Card declined in June", EXPIRED),
    "T-2007": Ticket("T-2007", "C-1077", "open", "Cannot export invoices as CSV", "Reproduced in release 8.2."),
}
HANDED_OVER: dict[str, Case] = {}  # by idempotency key

# In each `output` stand ids and statuses, which the back office gives out, and nothing that customers or colleagues write.


@tool(effect="read", output={"id"})
async def lookup_customer(email: str) -> Customer:
    """Find a customer by e-mail address: id, name, plan."""
    if email.lower() not in CUSTOMERS:
        raise ToolError(f"no customer has the address {email!r}: ask for the one on the invoice")
    return CUSTOMERS[email.lower()]


@tool(effect="read", output={"[].id", "[].customer_id", "[].status"})
async def get_tickets(customer_id: str, status: Status = "open") -> list[Ticket]:
    """Get a customer's support tickets of one status, with the notes of earlier colleagues."""
    return [ticket for ticket in TICKETS.values() if (ticket.customer_id, ticket.status) == (customer_id, status)]


@tool(effect="write", idempotent=True, output={"id", "customer_id", "status"})
async def update_ticket(ticket_id: str, status: Status) -> Ticket:
    """Set the status of a support ticket."""
    if ticket_id not in TICKETS:
        raise ToolError(f"there is no ticket {ticket_id!r}")
    TICKETS[ticket_id] = replace(TICKETS[ticket_id], status=status)
    return TICKETS[ticket_id]


# The reason retells what others wrote, so it is no sink; a link or an address in it still needs a person.
@tool(effect="egress", idempotent=True, output={"id"}, sinks={"ticket_id"})
async def escalate_to_human(ctx: ToolContext, ticket_id: str, reason: str) -> Case:
    """Hand a ticket over to a person, with the reason in one sentence. Returns the case that was opened."""
    if ticket_id not in TICKETS:
        raise ToolError(f"there is no ticket {ticket_id!r}")
    # Every attempt of one call has the same key: a second attempt finds the case that the first one opened.
    return HANDED_OVER.setdefault(ctx.idempotency_key, Case(f"CASE-{700 + len(HANDED_OVER)}", ticket_id, reason))


support = Agent(
    name="support",
    instructions="""You are the customer-support agent of Northwind Metrics, a subscription analytics product.

- Find the customer first, then their open tickets; look at resolved ones when history could explain the problem.
- Rest every statement on what the tools returned: name ticket and invoice numbers, amounts and dates.
- Resolve a ticket when its notes show that the matter is settled. You cannot move money: what is not settled yet and
  concerns a refund, a legal question or an angry customer goes to a person with escalate_to_human.
- When a person denies a call, do not make it again: say what stays as it is.
- Close with a short answer to the customer: what was wrong, what has been done, what to expect and when.""",
    tools=(lookup_customer, get_tickets, update_ticket, escalate_to_human),
    max_iterations=8,
    trust=Trust(
        initial=0.3,
        rules=[Rule("success_rate", 0.95, "increment", 0.1), Rule("error_rate", 0.10, "decrement", 0.2)],
        permissions={
            0.1: ["lookup_*", "get_*"],
            # From where it begins: to ask a person whether a person may take over would be asking twice.
            0.3: ["escalate_to_human"],
            0.5: ["update_ticket"],
            0.9: ["*"],
        },
    ),
)

REQUEST = "Hi, I'm alice@example.com. I have a billing issue that needs to be resolved."

STEPS: list[Turn] = [
    [text("I'll find your account first."), tool_use("lookup_customer", email="alice@example.com")],
    [
        text("Thanks, Alice. I'll read your open tickets, and earlier ones in case they are related."),
        tool_use("get_tickets", customer_id="C-1042", status="open"),
        tool_use("get_tickets", customer_id="C-1042", status="resolved"),
    ],
    [
        text("T-2001 is the duplicate charge, and its refund went out on 2026-11-19. I'll resolve the ticket."),
        tool_use("update_ticket", ticket_id="T-2001", status="resolved"),
    ],
]
ANSWER = (
    "Hi Alice, you were charged twice for October: invoices INV-3319 and INV-3320 cover the same month. Billing refunded "
    "INV-3320 ($49.00) on 2026-11-19; banks usually show it within 5 to 10 business days. "
)
RESOLVED = (
    "I have marked ticket T-2001 as resolved. If the refund is not there by 2026-12-03, reply here and I'll hand it to "
    "our billing team."
)
LEFT = "A colleague wants to keep ticket T-2001 as it is for now; you need not do anything."


def script(body: dict[str, Any]) -> Turn:  # Any: the JSON of a request to the Messages API
    """What the stand-in for Claude says, turn by turn, when there is no key; its end depends on what the person said."""
    if turn_of(body) < len(STEPS):
        return STEPS[turn_of(body)]
    denied = body["messages"][-1]["content"][0].get("is_error", False)
    return ANSWER + (LEFT if denied else RESOLVED)


async def main() -> None:
    """Run the agent once with everything embedded; what it asks a person is approved here."""
    from tenure.testing import embedded

    key = os.environ.get("ANTHROPIC_API_KEY")
    print("Claude answers:" if key else "No ANTHROPIC_API_KEY, so a script plays Claude:")
    async with embedded(support, claude=None if key else script) as system:
        handle = await support.start(REQUEST, user="alice")
        async for event in handle.events():
            if event.kind == "waiting":
                print(f"approved: {(await system.approvals.find(event.request)).why}")
                await system.approve(event.request)
        print(await handle.result())


if __name__ == "__main__":
    asyncio.run(main())
