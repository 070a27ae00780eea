"""The back office: look-ups, and the changes its clerks may make to orders and users.

Rules of this file: nobody changes a record. A change checks everything first and then puts new records in the place of old
ones; so a refusal changes nothing, offices may share the records they begin with, and what was returned stays as it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from examples.retail.records import Address, Database, Item, Order, PaymentMethod, Product, Transaction, User, Variant
from tenure import ToolError

Reason = Literal["no longer needed", "ordered by mistake"]
Swap = tuple[int, Variant]  # the place of an item in its order, and what takes that place
T = TypeVar("T")


@dataclass
class BackOffice:
    """One shop's records by id, and the cases that were handed to people. Every operation raises ToolError to refuse."""

    users: dict[str, User]
    orders: dict[str, Order]
    products: dict[str, Product]
    handed_over: dict[str, str] = field(default_factory=dict[str, str])

    def copy(self) -> BackOffice:
        """Another office that begins with the same records."""
        return BackOffice(dict(self.users), dict(self.orders), dict(self.products))

    @property
    def db(self) -> Database:
        """All records."""
        return {"orders": self.orders, "products": self.products, "users": self.users}

    # ------------------------------------------------------------------------------------------------------ look-ups

    def find_user_by_email(self, email: str) -> str:
        """The id of the user with that address, in whatever case it is written."""
        return _first(id for id, user in self.users.items() if user["email"].lower() == email.lower())

    def find_user_by_name(self, first_name: str, last_name: str, zip: str) -> str:
        """The id of the user of that name who lives there."""
        wanted = (first_name.lower(), last_name.lower(), zip)
        return _first(id for id, user in self.users.items() if _name_and_zip(user) == wanted)

    def user(self, user_id: str) -> User:
        """The user of that id."""
        return _found(self.users, user_id, "user")

    def order(self, order_id: str) -> Order:
        """The order of that number, which begins with #."""
        return _found(self.orders, order_id, "order")

    def product(self, product_id: str) -> Product:
        """The product type of that id."""
        return _found(self.products, product_id, "product")

    def product_types(self) -> dict[str, str]:
        """The ids of all product types by name, in alphabetical order."""
        return dict(sorted((product["name"], id) for id, product in self.products.items()))

    # ------------------------------------------------------------------------------------------------ pending orders

    def cancel(self, order_id: str, reason: Reason) -> Order:
        """Cancel the order and refund what was paid."""
        order = self._in_status("pending", order_id)
        paid = _standing_payment(order)
        refund = _transaction(-paid["amount"], paid["payment_method_id"])
        cancelled: Order = {
            **order,
            "status": "cancelled",
            "cancel_reason": reason,
            "payment_history": [*order["payment_history"], refund],
        }
        return self._put(cancelled, _charged(self.user(order["user_id"]), refund["payment_method_id"], -paid["amount"]))

    def change_address(self, order_id: str, address: Address) -> Order:
        """Send the order somewhere else."""
        return self._put({**self._in_status("pending", order_id), "address": address})

    def change_payment(self, order_id: str, method_id: str) -> Order:
        """Let another method pay for the whole order, and refund the one that has."""
        order = self._in_status("pending", order_id)
        paid, user = _standing_payment(order), self.user(order["user_id"])
        if paid["payment_method_id"] == method_id:
            raise _refused(f"{order_id} is already paid with {method_id}")
        _must_afford(user, method_id, paid["amount"], "the order")
        moved = [_transaction(paid["amount"], method_id), _transaction(-paid["amount"], paid["payment_method_id"])]
        for each, amount in ((method_id, paid["amount"]), (paid["payment_method_id"], -paid["amount"])):
            user = _charged(user, each, amount)
        return self._put({**order, "payment_history": [*order["payment_history"], *moved]}, user)

    def change_items(self, order_id: str, item_ids: Sequence[str], new_ids: Sequence[str], method_id: str) -> Order:
        """Swap items for others of the same product type and settle the difference in price. Once for each order."""
        order = self._in_status("pending", order_id)
        swaps, user = self._swaps(order, item_ids, new_ids), self.user(order["user_id"])
        difference = _price_difference(order, swaps)
        _must_afford(user, method_id, difference, "the new item")
        changed: Order = {
            **order,
            "status": "pending (item modified)",
            "items": _swapped(order, swaps),
            "payment_history": [*order["payment_history"], _transaction(difference, method_id)],
        }
        return self._put(changed, _charged(user, method_id, difference))

    # ---------------------------------------------------------------------------------------------- delivered orders

    def exchange(self, order_id: str, item_ids: Sequence[str], new_ids: Sequence[str], method_id: str) -> Order:
        """Note that items will be exchanged; the difference in price is settled when they arrive."""
        order = self._in_status("delivered", order_id)
        difference = round(_price_difference(order, self._swaps(order, item_ids, new_ids)), 2)
        _must_afford(self.user(order["user_id"]), method_id, difference, "the price difference")
        return self._put({
            **order,
            "status": "exchange requested",
            "exchange_items": sorted(item_ids),
            "exchange_new_items": sorted(new_ids),
            "exchange_payment_method_id": method_id,
            "exchange_price_difference": difference,
        })  # fmt: skip

    def return_items(self, order_id: str, item_ids: Sequence[str], method_id: str) -> Order:
        """Note that items will come back; they are refunded, when they arrive, as they were paid or to a gift card."""
        order = self._in_status("delivered", order_id)
        _places(order, item_ids)
        method = _method(self.user(order["user_id"]), method_id)
        if method["source"] != "gift_card" and method_id != _standing_payment(order)["payment_method_id"]:
            raise _refused(f"{order_id} was not paid with {method_id}: refund it as it was paid, or to a gift card")
        return self._put({
            **order,
            "status": "return requested",
            "return_items": sorted(item_ids),
            "return_payment_method_id": method_id,
        })  # fmt: skip

    # --------------------------------------------------------------------------------------------- users and people

    def change_user_address(self, user_id: str, address: Address) -> User:
        """Set the user's default address; orders that stand keep theirs."""
        self.users[user_id] = {**self.user(user_id), "address": address}
        return self.users[user_id]

    def hand_over(self, key: str, summary: str) -> str:
        """Put the case into the queue of the people; the same key again is the same case."""
        self.handed_over.setdefault(key, summary)
        return "Transfer successful"

    def _in_status(self, status: str, order_id: str) -> Order:
        order = self.order(order_id)
        if order["status"] != status:
            raise _refused(f"the order must be {status}, and {order_id} is {order['status']}")
        return order

    def _swaps(self, order: Order, item_ids: Sequence[str], new_ids: Sequence[str]) -> list[Swap]:
        if len(item_ids) != len(new_ids):
            raise _refused(f"{len(item_ids)} items cannot become {len(new_ids)}: name a new one for each")
        places = _places(order, item_ids)
        return [
            (place, self._on_sale(order["items"][place]["product_id"], new))
            for place, new in zip(places, new_ids, strict=True)
        ]

    def _on_sale(self, product_id: str, item_id: str) -> Variant:
        variant = self.product(product_id)["variants"].get(item_id)
        if variant is None or not variant["available"]:
            raise _refused(f"new item {item_id} not found or available")
        return variant

    def _put(self, order: Order, user: User | None = None) -> Order:
        if user is not None:
            self.users[order["user_id"]] = user
        self.orders[order["order_id"]] = order
        return order


def _refused(why: str) -> ToolError:
    return ToolError(f"Error: {why}")


def _found(records: Mapping[str, T], id: str, what: str) -> T:
    if id not in records:
        raise _refused(f"{what} not found")
    return records[id]


def _first(user_ids: Iterable[str]) -> str:
    for user_id in user_ids:
        return user_id
    raise _refused("user not found")


def _name_and_zip(user: User) -> tuple[str, str, str]:
    return user["name"]["first_name"].lower(), user["name"]["last_name"].lower(), user["address"]["zip"]


def _places(order: Order, item_ids: Sequence[str]) -> list[int]:
    """Where in the order the items stand: one that is named twice must be there twice."""
    left: list[str | None] = [item["item_id"] for item in order["items"]]
    places: list[int] = []
    for item_id in item_ids:
        if item_id not in left:
            raise _refused(f"item {item_id} not found in {order['order_id']}")
        places.append(left.index(item_id))
        left[places[-1]] = None
    return places


def _swapped(order: Order, swaps: Sequence[Swap]) -> list[Item]:
    items = list(order["items"])
    for place, new in swaps:
        sold_for: Item = {**items[place], "item_id": new["item_id"], "price": new["price"], "options": new["options"]}
        items[place] = sold_for
    return items


def _price_difference(order: Order, swaps: Sequence[Swap]) -> float:
    """What the new items cost more than the old ones, in dollars; unrounded, as the recorded offices book it."""
    return sum((new["price"] - order["items"][place]["price"] for place, new in swaps), 0.0)


def _standing_payment(order: Order) -> Transaction:
    """An order is paid by one method at a time: by the one that paid last."""
    return next(entry for entry in reversed(order["payment_history"]) if entry["transaction_type"] == "payment")


def _transaction(amount: float, method_id: str) -> Transaction:
    """A payment, or a refund when `amount` is not above zero."""
    kind = "payment" if amount > 0 else "refund"
    return {"transaction_type": kind, "amount": abs(amount), "payment_method_id": method_id}


def _method(user: User, method_id: str) -> PaymentMethod:
    return _found(user["payment_methods"], method_id, "payment method")


def _must_afford(user: User, method_id: str, amount: float, what: str) -> None:
    if _method(user, method_id).get("balance", amount) < amount:
        raise _refused(f"insufficient gift card balance to pay for {what}")


def _charged(user: User, method_id: str, amount: float) -> User:
    """The user after paying `amount`, or after being paid when it is below zero. Cards and PayPal keep their own books."""
    method = _method(user, method_id)
    if "balance" not in method:
        return user
    charged: PaymentMethod = {**method, "balance": round(method["balance"] - amount, 2)}
    return {**user, "payment_methods": {**user["payment_methods"], method_id: charged}}
