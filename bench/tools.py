"""The tools of the benchmarks as plain functions: every contestant wraps these same ones in its own way."""

from __future__ import annotations

import hashlib
from typing import Any, Literal


async def lookup_customer(email: str) -> dict[str, Any]:
    """Find a customer by e-mail address."""
    return {"id": "cus_1", "email": email, "plan": "pro"}


async def get_tickets(customer_id: str) -> dict[str, Any]:
    """Get a customer's support tickets."""
    return {"customer": customer_id, "tickets": [{"id": "t1", "status": "open", "text": "I was charged twice."}]}


async def update_ticket(ticket_id: str, status: Literal["open", "resolved", "closed"]) -> dict[str, Any]:
    """Update a ticket's status."""
    return {"id": ticket_id, "status": status}


async def fetch(number: int, size: int, query: str) -> str:
    """Fetch one page of a report."""
    blocks = (hashlib.sha256(f"{number}/{n}".encode()).hexdigest() for n in range(size // 64 + 1))
    return (f"result {number:05d} " + "".join(blocks))[:size]


SUPPORT = (lookup_customer, get_tickets, update_ticket)
ALL = (*SUPPORT, fetch)
