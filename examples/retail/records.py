"""The records of the back office: their shapes, and the hash by which two of them are compared."""

from __future__ import annotations

import hashlib
from typing import Literal, NotRequired, TypeAlias, cast

from typing_extensions import TypedDict  # pydantic refuses typing's own below Python 3.12

Hashable: TypeAlias = str | int | float | bool | tuple["Hashable", ...] | None


class Name(TypedDict):
    """A person's name."""

    first_name: str
    last_name: str


class Address(TypedDict):
    """Where a parcel goes."""

    address1: str
    address2: str
    city: str
    state: str
    country: str
    zip: str


class PaymentMethod(TypedDict):
    """A way to pay. Only a gift card is an account of ours: `balance` is what is left on it, in dollars."""

    source: str
    id: str
    brand: NotRequired[str]
    last_four: NotRequired[str]
    balance: NotRequired[int | float]


class User(TypedDict):
    """A customer; `payment_methods` by their ids, `orders` by number."""

    name: Name
    address: Address
    email: str
    payment_methods: dict[str, PaymentMethod]
    orders: list[str]


class Item(TypedDict):
    """One item of an order at the price it was sold for."""

    name: str
    product_id: str
    item_id: str
    price: float
    options: dict[str, str]


class Fulfillment(TypedDict):
    """A parcel."""

    tracking_id: list[str]
    item_ids: list[str]


class Transaction(TypedDict):
    """Money that moved; `amount` is in dollars and never below zero."""

    transaction_type: Literal["payment", "refund"]
    amount: float
    payment_method_id: str


class Order(TypedDict):
    """An order. What was asked for after the sale stands in the last seven fields."""

    order_id: str
    user_id: str
    address: Address
    items: list[Item]
    fulfillments: list[Fulfillment]
    status: str
    payment_history: list[Transaction]
    cancel_reason: NotRequired[str]
    return_items: NotRequired[list[str]]
    return_payment_method_id: NotRequired[str]
    exchange_items: NotRequired[list[str]]
    exchange_new_items: NotRequired[list[str]]
    exchange_payment_method_id: NotRequired[str]
    exchange_price_difference: NotRequired[float]


class Variant(TypedDict):
    """One item of a product type: an option for each of its properties."""

    item_id: str
    options: dict[str, str]
    available: bool
    price: float


class Product(TypedDict):
    """A product type and its items by their ids."""

    name: str
    product_id: str
    variants: dict[str, Variant]


class Database(TypedDict):
    """Everything an office holds, by id."""

    orders: dict[str, Order]
    products: dict[str, Product]
    users: dict[str, User]


def state_hash(db: Database) -> str:
    """64 hex digits that are equal for equal databases: SHA-256 over the text of nested tuples, as tau-bench takes it."""
    return hashlib.sha256(str(_hashable(db)).encode()).hexdigest()


def _hashable(value: object) -> Hashable:
    if isinstance(value, dict):
        record = cast("dict[str, object]", value)  # JSON
        return tuple((key, _hashable(record[key])) for key in sorted(record))
    if isinstance(value, list):
        return tuple(_hashable(inner) for inner in cast("list[object]", value))  # JSON
    return cast("Hashable", value)  # JSON holds nothing else
