"""What `demo-trust` plays: an agent that pays refunds, the shop it works for, and a script in Claude's place.

The agent's `evaluate` does not ask Claude how it went: it compares what was paid with what the shop owed.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

from tenure import Agent, ToolError, tool
from tenure.hooks import Evaluation
from tenure.response import Response
from tenure.testing.messages_api import Json, Turn, turn_of
from tenure.testing.scripted_claude import text, tool_use
from tenure.trust import Rule, Trust

LARGE = "R-9000"  # beyond what the agent may pay alone where it begins
LARGE_OWED = 120.0


@dataclass(frozen=True)
class Order:
    """What the shop's list says of an order."""

    id: str
    total: float


@dataclass
class Shop:
    """The world outside the agent: what was paid for each order, and whether the list shows totals without tax."""

    paid: dict[str, float] = field(default_factory=dict[str, float])
    without_tax: bool = False

    def owed(self, order: str) -> float:
        """The total of an order, as the customer paid it. Raises ToolError."""
        number = re.fullmatch(r"R-(\d{4})", order)
        if not number:
            raise ToolError(f"there is no order {order!r}")
        return LARGE_OWED if order == LARGE else 12.0 + int(number[1]) % 30


SHOP = Shop()


@tool(effect="read", output={"id", "total"})
async def get_order(order: str) -> Order:
    """Look an order up: its id and its total."""
    total = SHOP.owed(order)
    return Order(order, round(total / 1.2, 2) if SHOP.without_tax else total)


@tool(effect="write", idempotent=True)
async def refund(order: str, amount: float) -> str:
    """Pay the total of an order back to its customer."""
    SHOP.paid[order] = amount
    return f"${amount:.2f} paid for {order}"


async def is_right(response: Response) -> Evaluation | None:
    """Whether the customer got what was owed; no verdict where nothing was paid."""
    for call in response.tool_calls:
        if call["tool"] == "refund" and call["ok"]:
            order = str(call["input"]["order"])
            owed, paid = SHOP.owed(order), SHOP.paid.get(order, 0.0)
            return Evaluation(paid == owed, f"{order}: ${paid:.2f} paid, ${owed:.2f} owed")
    return None


refunds = Agent(
    name="refunds",
    instructions="You pay refunds: look the order up, then refund its total.",
    tools=(get_order, refund),
    max_iterations=5,
    trust=Trust(
        initial=0.3,
        rules=[Rule("success_rate", 0.95, "increment", 0.1), Rule("error_rate", 0.10, "decrement", 0.2)],
        permissions={0.1: ["get_order"], 0.3: ["refund(amount <= 50)"], 0.5: ["refund(amount <= 500)"]},
    ),
    evaluate=is_right,
)


def script(body: Json) -> Turn:
    """What the stand-in says: it believes the shop's list, as Claude would."""
    order = re.findall(r"R-\d{4}", json.dumps(body["messages"][0]))[0]
    if turn_of(body) == 0:
        return tool_use("get_order", order=order)
    if turn_of(body) == 1:
        total = re.findall(r"total\W+([\d.]+)", json.dumps(body["messages"][-1]))[0]
        return tool_use("refund", order=order, amount=float(total))
    return text("Your refund is on its way.")
