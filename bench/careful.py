"""What a careful agent does for a recorded task of the shop: who is it, what are the orders, then the recorded changes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, TypeAlias

from bench.tau_retail import Task
from examples.retail.office import BackOffice

Call: TypeAlias = tuple[str, dict[str, Any]]

PERSON = re.compile(r"name is (\w+) (\w+) and your (?:email is (\S+@\S+?)\.? |zip code is (\d+))")
SWAPS = ("exchange_delivered_order_items", "modify_pending_order_items")  # items for others of the same product
SAID = {
    "cancel_pending_order": "Order {order_id} is cancelled. The refund is on its way.",
    "return_delivered_order_items": "Order {order_id}: the return is noted, the money goes to {payment_method_id}.",
    "exchange_delivered_order_items": "Order {order_id}: the exchange is noted.",
    "modify_pending_order_items": "Order {order_id}: the items are changed.",
}


def calls_of(task: Task, base: BackOffice) -> list[Call]:
    """Its calls. Where items are swapped it looks at what the user pays with, and what else the product comes as."""
    return [*_person(task, base), *_orders(task, base), *((call["tool"], call["input"]) for call in task.calls)]


def answer_of(task: Task) -> str:
    """What it says at the end."""
    return " ".join(SAID.get(c["tool"], "Order {order_id} is changed.").format(**c["input"]) for c in task.calls)


def _person(task: Task, base: BackOffice) -> Iterator[Call]:
    person = PERSON.search(task.instruction)
    if person is None:
        return
    first, last, email, code = person.groups()
    if email:
        yield "find_user_id_by_email", {"email": email}
        user = base.find_user_by_email(email)
    else:
        yield "find_user_id_by_name_zip", {"first_name": first, "last_name": last, "zip": code}
        user = base.find_user_by_name(first, last, code)
    if any(call["tool"] in SWAPS for call in task.calls):
        yield "get_user_details", {"user_id": user}


def _orders(task: Task, base: BackOffice) -> Iterator[Call]:
    swapped = {item for call in task.calls if call["tool"] in SWAPS for item in call["input"]["item_ids"]}
    for order in dict.fromkeys(call["input"]["order_id"] for call in task.calls if "order_id" in call["input"]):
        yield "get_order_details", {"order_id": order}
        items = base.orders[order]["items"] if order in base.orders else []
        products = dict.fromkeys(item["product_id"] for item in items if item["item_id"] in swapped)
        yield from (("get_product_details", {"product_id": product}) for product in products)
