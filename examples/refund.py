"""A refund in steps: verify the customer, look the order up, check it against policy, pay back, confirm by mail.

No step trusts Claude to have made the one before: the run's state says who was verified and what is refundable. Small refunds
go out at once; large ones wait until two people have approved. `python -m examples.refund` runs a small one.
"""

from __future__ import annotations

import asyncio
import os
import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from tenure import Agent, Response, ToolContext, ToolError, tool
from tenure.hooks import Answer, Evaluation, Hold, Modify, Reject, ToolCall
from tenure.testing.scripted_claude import Script, text, tool_use

WINDOW_DAYS = 30
ALONE_CENTS = 100_00  # of one order the agent pays this much back by itself; more takes two people
LARGE = f"more than {ALONE_CENTS} cents of one order: call issue_large_refund, which two people approve"
PAYING = ("issue_refund", "issue_large_refund")
PROMISE = re.compile(r"\d{4}-\d\d-\d\d|\b(today|tomorrow|within \w+( business)? days?)\b", re.IGNORECASE)

Cents = Annotated[int, Field(gt=0)]


@dataclass(frozen=True)
class Customer:
    """A customer, with what proves that it is them."""

    id: str
    name: str
    postcode: str


@dataclass(frozen=True)
class Order:
    """An order that was delivered."""

    id: str
    customer_id: str
    item: str
    paid_cents: int
    delivered_days_ago: int


@dataclass(frozen=True)
class Refund:
    """Money that went back."""

    order_id: str
    cents: int


CUSTOMERS = {"dana@example.com": Customer("C-31", "Dana Reyes", "10115")}
ORDERS = {
    "O-501": Order("O-501", "C-31", "desk lamp", 49_00, 6),
    "O-502": Order("O-502", "C-31", "standing desk", 649_00, 12),
    "O-503": Order("O-503", "C-31", "office chair", 180_00, 61),
    "O-504": Order("O-504", "C-77", "monitor", 299_00, 3),
}
REFUNDS: list[Refund] = []
MAILS: dict[str, str] = {}  # idempotency key → mail


def _refunded(order_id: str) -> int:
    return sum(refund.cents for refund in REFUNDS if refund.order_id == order_id)


def _order_of_the_verified(ctx: ToolContext, order_id: str) -> Order:
    order = ORDERS.get(order_id)
    if "customer" not in ctx.state:
        raise ToolError("nobody is verified yet: verify_customer comes first")
    if order is None or order.customer_id != ctx.state["customer"]:
        raise ToolError(f"the customer has no order {order_id!r}")
    return order


@tool(effect="read")
async def verify_customer(ctx: ToolContext, email: str, postcode: str) -> str:
    """Check that the customer is who they say they are, by e-mail address and postcode."""
    customer = CUSTOMERS.get(email.lower())
    if customer is None or customer.postcode != postcode:
        raise ToolError("address and postcode do not belong together")  # which one is wrong is not for a stranger
    ctx.state["customer"] = customer.id
    return f"verified: {customer.name}"


@tool(effect="read")
async def look_up_order(ctx: ToolContext, order_id: str) -> Order:
    """Look up an order of the verified customer. Amounts are in cents."""
    return _order_of_the_verified(ctx, order_id)


@tool(effect="read")
async def check_eligibility(ctx: ToolContext, order_id: str) -> str:
    """Check how much of an order may be refunded."""
    order = _order_of_the_verified(ctx, order_id)
    if order.delivered_days_ago > WINDOW_DAYS:
        return f"not refundable: delivered {order.delivered_days_ago} days ago, at most {WINDOW_DAYS} are allowed"
    refundable = order.paid_cents - _refunded(order_id)
    # A key for each order: of reads that run side by side the last word on a key counts.
    ctx.state[f"refundable {order_id}"] = refundable
    return f"refundable: {refundable} cents"


def _pay_back(ctx: ToolContext, order_id: str, cents: int) -> Refund:
    """Pay, when the order was checked and no other run has paid for it meanwhile."""
    order = _order_of_the_verified(ctx, order_id)
    refundable = min(ctx.state.get(f"refundable {order_id}", 0), order.paid_cents - _refunded(order_id))
    if cents > refundable:
        raise ToolError(f"{refundable} cents of {order_id} are refundable, not {cents}")
    REFUNDS.append(Refund(order.id, cents))
    return REFUNDS[-1]


# Not idempotent, because the bank would pay twice: Tenure never makes such a call a second time by itself.
@tool(effect="write")
async def issue_refund(ctx: ToolContext, order_id: str, cents: Cents) -> Refund:
    """Pay back up to 10000 cents of an order."""
    # refund_policy sees all calls of a turn before the first is made: two halves of a large refund would pass it.
    if _refunded(order_id) + cents > ALONE_CENTS:
        raise ToolError(LARGE)
    return _pay_back(ctx, order_id, cents)


@tool(effect="privileged")
async def issue_large_refund(ctx: ToolContext, order_id: str, cents: Cents, reason: str) -> Refund:
    """Pay back more than 10000 cents of an order. Two people must approve it; give them the reason in one sentence."""
    return _pay_back(ctx, order_id, cents)


@tool(effect="egress", idempotent=True)
async def send_mail(ctx: ToolContext, subject: str, body: str) -> str:
    """Send the verified customer an e-mail."""
    if "customer" not in ctx.state:
        raise ToolError("nobody is verified yet: verify_customer comes first")
    # Every attempt of one call has the same key: a second attempt finds the mail that the first one sent.
    MAILS.setdefault(ctx.idempotency_key, f"to {ctx.state['customer']}: {subject}\n{body}")
    return "sent"


def refund_policy(call: ToolCall) -> Modify | Reject | None:
    """No refund before the check, none above what is refundable, no large one without people. Claude is told at once."""
    if call.tool not in PAYING:
        return None
    refundable = call.state.get(f"refundable {call.input['order_id']}")
    if not refundable:
        return Reject("the order is not known to be refundable: verify_customer and check_eligibility come first")
    cents = min(call.input["cents"], refundable)
    if call.tool == "issue_refund" and cents > ALONE_CENTS:
        return Reject(LARGE)
    return Modify({**call.input, "cents": cents}) if cents != call.input["cents"] else None


def answer_policy(answer: Answer) -> Hold | None:
    """We never promise a date: the bank sets it. An answer that does waits for a person."""
    promised = PROMISE.search(answer.message)
    return Hold(f"it promises a date: {promised[0]!r}") if promised else None


def judge(response: Response) -> Evaluation | None:
    """Good when as many mails went out as refunds. A run without a refund is not judged."""
    made = [call["tool"] for call in response.tool_calls if call["ok"]]
    refunds, mails = sum(tool in PAYING for tool in made), made.count("send_mail")
    return Evaluation(good=refunds == mails, note=f"refunds: {refunds}, mails: {mails}") if refunds else None


refund = Agent(
    name="refund",
    instructions="""You handle refunds of an online shop for furniture.

- Verify the customer, look the order up, check that it is refundable, pay back, and confirm each refund by mail.
- Refuse kindly what is not refundable. Never promise when the money arrives: the bank decides that.""",
    tools=(verify_customer, look_up_order, check_eligibility, issue_refund, issue_large_refund, send_mail),
    on_tool_call=refund_policy,
    on_response=answer_policy,
    evaluate=judge,
)

REQUEST = "I'm dana@example.com, postcode 10115. The desk lamp of order O-501 flickers. Please refund it."

script: Script = [  # what the stand-in for Claude says, turn by turn, when there is no key
    tool_use("verify_customer", email="dana@example.com", postcode="10115"),
    [tool_use("look_up_order", order_id="O-501"), tool_use("check_eligibility", order_id="O-501")],
    [text("The lamp is refundable in full."), tool_use("issue_refund", order_id="O-501", cents=49_00)],
    tool_use("send_mail", subject="Your refund", body="We have refunded $49.00 for the desk lamp of order O-501."),
    "I have refunded $49.00 for the desk lamp, Dana. Your bank decides when it shows; a mail confirms it.",
]


async def main() -> None:
    """Run the agent once with everything embedded."""
    from tenure.testing import embedded

    key = os.environ.get("ANTHROPIC_API_KEY")
    print("Claude answers:" if key else "No ANTHROPIC_API_KEY, so a script plays Claude:")
    async with embedded(refund, claude=None if key else script):
        print(await refund.run(REQUEST, user="dana"))
    print(f"paid back: {REFUNDS}")


if __name__ == "__main__":
    asyncio.run(main())
