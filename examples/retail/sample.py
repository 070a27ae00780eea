"""A shop of three product types, two users and five orders, invented, so that the example runs by itself."""

from __future__ import annotations

from examples.retail.office import BackOffice
from examples.retail.records import Address, Item, Order, Product, User, Variant


def _product(name: str, product_id: str, *variants: Variant) -> Product:
    return {"name": name, "product_id": product_id, "variants": {each["item_id"]: each for each in variants}}


def _variant(item_id: str, price: float, *, available: bool = True, **options: str) -> Variant:
    return {"item_id": item_id, "options": options, "available": available, "price": price}


MUG = _product(
    "Mug",
    "5000000001",
    _variant("5000000011", 12.5, color="white", material="ceramic"),
    _variant("5000000012", 14.25, color="blue", material="ceramic"),
    _variant("5000000013", 30.1, color="black", material="steel"),
    _variant("5000000014", 9.0, available=False, color="red", material="ceramic"),
)
LAMP = _product(
    "Floor Lamp",
    "5000000002",
    _variant("5000000021", 80.0, color="brass", height="tall"),
    _variant("5000000022", 64.4, color="black", height="short"),
)
RUG = _product("Rug", "5000000003", _variant("5000000031", 210.75, size="large", fiber="wool"))

HARBOR: Address = {
    "address1": "7 Harbor Lane",
    "address2": "Apt 2",
    "city": "Portland",
    "state": "ME",
    "country": "USA",
    "zip": "04101",
}
MILL: Address = {**HARBOR, "address1": "31 Mill Road", "address2": "", "zip": "04103"}

NORA: User = {
    "name": {"first_name": "Nora", "last_name": "Lind"},
    "address": HARBOR,
    "email": "nora.lind@example.com",
    "payment_methods": {
        "credit_card_1000001": {
            "source": "credit_card",
            "brand": "visa",
            "last_four": "0042",
            "id": "credit_card_1000001",
        },
        "gift_card_1000002": {"source": "gift_card", "balance": 20, "id": "gift_card_1000002"},
        "paypal_1000003": {"source": "paypal", "id": "paypal_1000003"},
    },
    "orders": ["#W1000001", "#W1000002", "#W1000003", "#W1000004"],
}
TARIQ: User = {
    "name": {"first_name": "Tariq", "last_name": "Said"},
    "address": MILL,
    "email": "tariq.said@example.com",
    "payment_methods": {"paypal_2000001": {"source": "paypal", "id": "paypal_2000001"}},
    "orders": ["#W2000001"],
}


def _item(product: Product, item_id: str) -> Item:
    variant = product["variants"][item_id]
    return {
        "name": product["name"],
        "product_id": product["product_id"],
        "item_id": item_id,
        "price": variant["price"],
        "options": variant["options"],
    }


def _order(order_id: str, user_id: str, status: str, method_id: str, *items: Item) -> Order:
    paid = round(sum(item["price"] for item in items), 2)
    return {
        "order_id": order_id,
        "user_id": user_id,
        "address": USERS[user_id]["address"],
        "items": list(items),
        "fulfillments": [],
        "status": status,
        "payment_history": [{"transaction_type": "payment", "amount": paid, "payment_method_id": method_id}],
    }


USERS = {"nora_lind_1001": NORA, "tariq_said_2001": TARIQ}
WHITE_MUG, RED_MUG = _item(MUG, "5000000011"), _item(MUG, "5000000014")
TALL_LAMP, SHORT_LAMP = _item(LAMP, "5000000021"), _item(LAMP, "5000000022")
ORDERS = [
    _order("#W1000001", "nora_lind_1001", "delivered", "credit_card_1000001", WHITE_MUG, WHITE_MUG, TALL_LAMP),
    _order("#W1000002", "nora_lind_1001", "pending", "gift_card_1000002", RED_MUG),
    _order("#W1000003", "nora_lind_1001", "pending", "credit_card_1000001", WHITE_MUG, SHORT_LAMP),
    _order("#W1000004", "nora_lind_1001", "processed", "paypal_1000003", _item(RUG, "5000000031")),
    _order("#W2000001", "tariq_said_2001", "pending", "paypal_2000001", WHITE_MUG),
]
SAMPLE = BackOffice(
    users=USERS,
    orders={order["order_id"]: order for order in ORDERS},
    products={product["product_id"]: product for product in (MUG, LAMP, RUG)},
)
