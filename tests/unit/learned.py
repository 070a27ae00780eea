"""What tests of learned programs share: a back office of three tools, and journals of calls to them."""

from __future__ import annotations

from typing import Any, Literal

from typing_extensions import TypedDict

from tenure import tool
from tenure.learn.recording import Step
from tenure.wire import JsonObject


class Part(TypedDict):
    """A part may be made of parts."""

    sku: str
    parts: list[Part]


class Order(TypedDict):
    """What `get_order` gives."""

    id: str
    status: Literal["open", "closed"]
    note: str | None
    items: list[Part]


@tool(effect="read")
async def get_order(order_id: str, full: bool = False) -> Order:  # pyright: ignore[reportUnusedParameter]
    """Get an order."""
    raise NotImplementedError


@tool(effect="write")
async def cancel_order(
    order_id: str, reason: Literal["late", "damaged"], tags: list[str] | None = None
) -> dict[str, Any]:
    """Cancel an order."""
    raise NotImplementedError


@tool(effect="egress")
async def send_mail(to: str, amount: float = 0.0) -> dict[str, Any]:
    """Send mail."""
    raise NotImplementedError


OFFICE = [get_order, cancel_order, send_mail]
NAMES = frozenset(each.name for each in OFFICE)
TEXT: JsonObject = {"type": "string"}
TEXTS: JsonObject = {"type": "array", "items": {"type": "string"}}

CANCEL = """order = get_order(order_id=order_id)
assert order["status"] == "open", "only open orders can be cancelled"
done = cancel_order(order_id=order["id"], reason="late")
f"Order {order['id']} is {done['status']}."
"""


def made(tool: str, result: Any = None, *, ok: bool = True, **arguments: Any) -> Step:
    """A call of `tool` that was made."""
    return Step(tool=tool, effect="read", arguments=arguments, result=result, ok=ok)


READ = made("get_order", {"id": "7", "status": "open"}, order_id="7")
WRITTEN = made("cancel_order", {"status": "cancelled"}, order_id="7", reason="late")
