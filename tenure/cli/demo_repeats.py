"""What `demo-learning` plays: an agent that pays refunds all day, the shop it works for, and a script in Claude's place."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Literal

from tenure import Agent, ToolError, tool
from tenure.hooks import Evaluation
from tenure.response import Response
from tenure.testing.messages_api import Json, Turn, turn_of
from tenure.testing.scripted_claude import text, tool_use

DOWN = "the payment provider is down"


@dataclass(frozen=True)
class Order:
    """What the shop knows of an order; its total in whole dollars."""

    id: str
    status: Literal["delivered", "on its way"]
    total: int


@dataclass
class Shop:
    """The world outside the agent: what was paid for each order, which orders are on their way, and whether payments fail."""

    paid: dict[str, int] = field(default_factory=dict[str, int])
    on_its_way: set[str] = field(default_factory=set[str])
    is_down: bool = False

    def owed(self, order: str) -> int:
        """The total of an order. Raises ToolError."""
        number = re.fullmatch(r"R-(\d{4})", order)
        if not number:
            raise ToolError(f"there is no order {order!r}")
        return 12 + int(number[1]) * 7 % 90


SHOP = Shop()


@tool(effect="read", output="*")
async def get_order(order: str) -> Order:
    """Look an order up."""
    total = SHOP.owed(order)
    return Order(order, "on its way" if order in SHOP.on_its_way else "delivered", total)


@tool(effect="write", idempotent=True, output="*")
async def refund(order: str, amount: int) -> str:
    """Pay the total of an order back to its customer."""
    if SHOP.is_down:
        raise ToolError(DOWN)
    SHOP.paid[order] = amount
    return f"${amount} paid for {order}"


async def is_right(response: Response) -> Evaluation | None:
    """Whether the customer got what was owed; no verdict where nothing was paid."""
    for call in response.tool_calls:
        if call["tool"] == "refund" and call["ok"]:
            order = str(call["input"]["order"])
            owed, paid = SHOP.owed(order), SHOP.paid.get(order, 0)
            return Evaluation(paid == owed, f"{order}: ${paid} paid, ${owed} owed")
    return None


refunds = Agent(
    name="refunds",
    instructions="You pay refunds: look the order up; if it was delivered, refund its total.",
    tools=(get_order, refund),
    max_iterations=5,
    evaluate=is_right,
    learning={
        "patterns": {"minOccurrences": 10},
        "deployment": {"rolloutPercentage": 50, "successCriteria": {"errorRate": 0.02}},
    },
)


def request(number: int) -> str:
    """What customers write."""
    return f"Please refund my order R-{number:04}."


def script(body: Json) -> Turn:
    """What the stand-in says: it looks, pays where it may, and says so."""
    order = re.findall(r"R-\d{4}", json.dumps(body["messages"][0]))[0]
    last = json.dumps(body["messages"][-1])
    match turn_of(body):
        case 0:
            return tool_use("get_order", order=order)
        case 1 if order in SHOP.on_its_way:
            return text(f"Order {order} is on its way still: we refund it once it has come back.")
        case 1:
            return tool_use("refund", order=order, amount=SHOP.owed(order))
        case _ if DOWN in last:
            return text(f"I could not pay {order} back just now: a colleague will do it by hand.")
        case _:
            return text(f"{SHOP.owed(order)} dollars for {order} are on their way.")
