"""A customer-support agent over a small back office: look up, read tickets, update one, hand over to a person."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Literal

from tenure import Agent, ToolContext, ToolError, tool
from tenure.testing.scripted_claude import Script, text, tool_use

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
HANDED_OVER: dict[str, str] = {}  # idempotency key → case number


@tool(effect="read")
async def lookup_customer(email: str) -> Customer:
    """Find a customer by e-mail address: id, name, plan."""
    if email.lower() not in CUSTOMERS:
        raise ToolError(f"no customer has the address {email!r}: ask for the one on the invoice")
    return CUSTOMERS[email.lower()]


@tool(effect="read")
async def get_tickets(customer_id: str, status: Status = "open") -> list[Ticket]:
    """Get a customer's support tickets of one status, with the notes of earlier colleagues."""
    return [ticket for ticket in TICKETS.values() if (ticket.customer_id, ticket.status) == (customer_id, status)]


@tool(effect="write", idempotent=True)
async def update_ticket(ticket_id: str, status: Status) -> Ticket:
    """Set the status of a support ticket."""
    if ticket_id not in TICKETS:
        raise ToolError(f"there is no ticket {ticket_id!r}")
    await asyncio.sleep(2.5)  # as slow as a far ticket system: long enough for `make demo` to kill the worker meanwhile
    TICKETS[ticket_id] = replace(TICKETS[ticket_id], status=status)
    return TICKETS[ticket_id]


@tool(effect="egress", idempotent=True)
async def escalate_to_human(ctx: ToolContext, ticket_id: str, reason: str) -> str:
    """Hand a ticket over to a person, with the reason in one sentence. Returns the case number."""
    # Every attempt of one call has the same key: a second attempt finds the case that the first one opened.
    return HANDED_OVER.setdefault(ctx.idempotency_key, f"CASE-{700 + len(HANDED_OVER)} for {ticket_id}: {reason}")


support = Agent(
    name="support",
    instructions="""You are the customer-support agent of Northwind Metrics, a subscription analytics product.

- Find the customer first, then their open tickets; look at resolved ones when history could explain the problem.
- Rest every statement on what the tools returned: name ticket and invoice numbers, amounts and dates.
- Resolve a ticket when its notes show that the matter is settled. You cannot move money: what is not settled yet and
  concerns a refund, a legal question or an angry customer goes to a person with escalate_to_human.
- Close with a short answer to the customer: what was wrong, what has been done, what to expect and when.""",
    tools=(lookup_customer, get_tickets, update_ticket, escalate_to_human),
    max_iterations=8,
)

script: Script = [  # what the stand-in for Claude says, turn by turn, when there is no key
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
    "Hi Alice, you were charged twice for October: invoices INV-3319 and INV-3320 cover the same month. Billing refunded "
    "INV-3320 ($49.00) on 2026-11-19; banks usually show it within 5 to 10 business days. I have marked ticket T-2001 as "
    "resolved. If the refund is not there by 2026-12-03, reply here and I'll hand it to our billing team.",
]


async def main() -> None:
    """Run the agent once with everything embedded: no server, no key."""
    from tenure.testing import embedded

    async with embedded(support, claude=script):
        print(await support.run("Hi, I'm alice@example.com. I have a billing issue that needs to be resolved."))


if __name__ == "__main__":
    asyncio.run(main())
