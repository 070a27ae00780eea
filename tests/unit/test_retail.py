"""The retail back office: what each operation does, what it refuses, and that a refusal changes nothing."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from examples.retail import tools
from examples.retail.agent import retail
from examples.retail.calculator import calculated
from examples.retail.office import BackOffice
from examples.retail.records import Address, state_hash
from examples.retail.sample import SAMPLE
from tenure import Effect, ToolError

NORA, CARD, GIFT, PAYPAL = "nora_lind_1001", "credit_card_1000001", "gift_card_1000002", "paypal_1000003"
DELIVERED, CHEAP, PENDING, PROCESSED, OTHERS = "#W1000001", "#W1000002", "#W1000003", "#W1000004", "#W2000001"
WHITE, BLUE, STEEL, RED, BRASS, BLACK = (
    "5000000011",
    "5000000012",
    "5000000013",
    "5000000014",
    "5000000021",
    "5000000022",
)
ELSEWHERE: Address = {
    "address1": "1 New Street",
    "address2": "",
    "city": "Bath",
    "state": "ME",
    "country": "USA",
    "zip": "04530",
}
Operation = Callable[[BackOffice], object]


@pytest.fixture
def office() -> BackOffice:
    return SAMPLE.copy()


def left_on(office: BackOffice, method: str = GIFT) -> float | None:
    return office.user(NORA)["payment_methods"][method].get("balance")


# ------------------------------------------------------------------------------------------------------------ look-ups


def test_a_user_is_found_by_email_in_whatever_case_it_is_written(office: BackOffice) -> None:
    assert office.find_user_by_email("Nora.Lind@Example.com") == NORA


def test_a_user_is_found_by_name_and_zip_code(office: BackOffice) -> None:
    assert office.find_user_by_name("nora", "LIND", "04101") == NORA
    with pytest.raises(ToolError, match=r"^Error: user not found$"):
        office.find_user_by_name("Nora", "Lind", "04103")


def test_product_types_are_listed_by_name(office: BackOffice) -> None:
    types = office.product_types()
    assert list(types) == ["Floor Lamp", "Mug", "Rug"]
    assert office.product(types["Rug"])["name"] == "Rug"


# ------------------------------------------------------------------------------------------------------ pending orders


def test_cancelling_refunds_a_gift_card_at_once(office: BackOffice) -> None:
    order = office.cancel(CHEAP, "no longer needed")
    assert (order["status"], order.get("cancel_reason")) == ("cancelled", "no longer needed")
    assert order["payment_history"][1:] == [
        {"transaction_type": "refund", "amount": 9.0, "payment_method_id": GIFT},
    ]
    assert left_on(office) == 29.0


def test_cancelling_refunds_what_paid_last_and_nothing_twice(office: BackOffice) -> None:
    office.change_payment(CHEAP, CARD)
    order = office.cancel(CHEAP, "ordered by mistake")
    assert [(entry["transaction_type"], entry["payment_method_id"]) for entry in order["payment_history"]] == [
        ("payment", GIFT),
        ("payment", CARD),
        ("refund", GIFT),
        ("refund", CARD),
    ]
    assert left_on(office) == 29.0


def test_an_order_goes_to_its_new_address_and_the_user_keeps_theirs(office: BackOffice) -> None:
    assert office.change_address(PENDING, ELSEWHERE)["address"] == ELSEWHERE
    assert office.user(NORA)["address"]["city"] == "Portland"


def test_a_new_payment_method_pays_and_the_old_one_is_refunded(office: BackOffice) -> None:
    order = office.change_payment(CHEAP, PAYPAL)
    assert order["status"] == "pending"
    assert order["payment_history"][1:] == [
        {"transaction_type": "payment", "amount": 9.0, "payment_method_id": PAYPAL},
        {"transaction_type": "refund", "amount": 9.0, "payment_method_id": GIFT},
    ]
    back = office.change_payment(CHEAP, GIFT)
    assert (len(back["payment_history"]), left_on(office)) == (5, 20.0)


def test_swapped_items_cost_their_own_price_and_the_difference_is_paid(office: BackOffice) -> None:
    order = office.change_items(PENDING, [WHITE], [BLUE], GIFT)
    assert order["status"] == "pending (item modified)"
    assert [(item["item_id"], item["price"]) for item in order["items"]] == [(BLUE, 14.25), (BLACK, 64.4)]
    assert order["payment_history"][-1] == {
        "transaction_type": "payment",
        "amount": 1.75,
        "payment_method_id": GIFT,
    }
    assert left_on(office) == 18.25


def test_swapping_for_something_cheaper_is_refunded(office: BackOffice) -> None:
    office.orders[PENDING] = {**office.order(PENDING), "items": office.order(DELIVERED)["items"]}
    order = office.change_items(PENDING, [BRASS], [BLACK], GIFT)
    assert order["payment_history"][-1]["transaction_type"] == "refund"
    assert left_on(office) == 35.6


# ---------------------------------------------------------------------------------------------------- delivered orders


def test_an_exchange_is_noted_and_settled_later(office: BackOffice) -> None:
    order = office.exchange(DELIVERED, [WHITE, BRASS], [BLUE, BLACK], GIFT)
    assert order["status"] == "exchange requested"
    assert (order.get("exchange_items"), order.get("exchange_new_items")) == ([WHITE, BRASS], [BLUE, BLACK])
    assert (order.get("exchange_payment_method_id"), order.get("exchange_price_difference")) == (GIFT, -13.85)
    assert order["items"] == SAMPLE.order(DELIVERED)["items"]
    assert left_on(office) == 20


def test_a_return_goes_back_to_what_paid_or_to_a_gift_card(office: BackOffice) -> None:
    for method in (CARD, GIFT):
        order = office.copy().return_items(DELIVERED, [BRASS, WHITE], method)
        assert order["status"] == "return requested"
        assert (order.get("return_items"), order.get("return_payment_method_id")) == ([WHITE, BRASS], method)
    with pytest.raises(ToolError, match="was not paid with paypal"):
        office.return_items(DELIVERED, [WHITE], PAYPAL)


def test_an_item_that_was_bought_twice_may_be_named_twice_but_not_three_times(office: BackOffice) -> None:
    assert office.copy().return_items(DELIVERED, [WHITE, WHITE], CARD).get("return_items") == [WHITE, WHITE]
    with pytest.raises(ToolError, match="not found in"):
        office.return_items(DELIVERED, [WHITE, WHITE, WHITE], CARD)


# ---------------------------------------------------------------------------------------------------- users and people


def test_a_user_s_new_address_is_for_orders_to_come(office: BackOffice) -> None:
    assert office.change_user_address(NORA, ELSEWHERE)["address"] == ELSEWHERE
    assert office.order(PENDING)["address"]["city"] == "Portland"


def test_the_same_case_is_handed_over_once(office: BackOffice) -> None:
    assert office.hand_over("key", "wants a person") == office.hand_over("key", "wants a person")
    assert office.handed_over == {"key": "wants a person"}


# ------------------------------------------------------------------------------------------------------------ refusals

REFUSED: dict[str, tuple[Operation, str]] = {
    "an unknown e-mail address": (lambda o: o.find_user_by_email("x@example.com"), "user not found"),
    "an unknown user": (lambda o: o.user("x"), "user not found"),
    "an unknown order": (lambda o: o.order("#W9"), "order not found"),
    "an order number without its sign": (lambda o: o.cancel("W1000002", "no longer needed"), "order not found"),
    "an unknown product": (lambda o: o.product(WHITE), "product not found"),
    "cancelling what was sent": (lambda o: o.cancel(PROCESSED, "no longer needed"), "must be pending"),
    "readdressing what was delivered": (lambda o: o.change_address(DELIVERED, ELSEWHERE), "must be pending"),
    "paying for what was delivered": (lambda o: o.change_payment(DELIVERED, GIFT), "must be pending"),
    "paying with the same method": (lambda o: o.change_payment(PENDING, CARD), "already paid with"),
    "paying with another user's method": (lambda o: o.change_payment(OTHERS, GIFT), "payment method not found"),
    "a gift card too poor for an order": (
        lambda o: o.change_payment(PENDING, GIFT),
        "insufficient gift card balance to pay for the order",
    ),
    "swapping in what was delivered": (lambda o: o.change_items(DELIVERED, [WHITE], [BLUE], GIFT), "must be pending"),
    "more new items than old": (lambda o: o.change_items(PENDING, [WHITE], [BLUE, BLUE], GIFT), "cannot become 2"),
    "an item that is not in the order": (lambda o: o.change_items(PENDING, [BLUE], [WHITE], GIFT), "not found in"),
    "another product type": (lambda o: o.change_items(PENDING, [WHITE], [BRASS], GIFT), "not found or available"),
    "an item that is sold out": (lambda o: o.change_items(PENDING, [WHITE], [RED], GIFT), "not found or available"),
    "swapping with an unknown method": (lambda o: o.change_items(PENDING, [WHITE], [BLUE], "x"), "method not found"),
    "a gift card too poor for a swap": (
        lambda o: o.change_items(PENDING, [WHITE, BLACK], [STEEL, BRASS], GIFT),
        "insufficient gift card balance to pay for the new item",
    ),
    "exchanging what is pending": (lambda o: o.exchange(PENDING, [WHITE], [BLUE], GIFT), "must be delivered"),
    "a gift card too poor for an exchange": (
        lambda o: o.exchange(DELIVERED, [WHITE, WHITE], [STEEL, STEEL], GIFT),
        "insufficient gift card balance to pay for the price difference",
    ),
    "returning what is pending": (lambda o: o.return_items(PENDING, [WHITE], CARD), "must be delivered"),
    "returning what was not bought": (lambda o: o.return_items(DELIVERED, [BLUE], CARD), "not found in"),
    "an address for nobody": (lambda o: o.change_user_address("x", ELSEWHERE), "user not found"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_refusal_says_why_and_changes_nothing(office: BackOffice, what: str) -> None:
    operation, why = REFUSED[what]
    before = state_hash(office.db)
    with pytest.raises(ToolError, match=f"^Error: .*{why}"):
        operation(office)
    assert state_hash(office.db) == before


def test_an_order_is_swapped_exchanged_or_returned_once(office: BackOffice) -> None:
    office.change_items(PENDING, [WHITE], [BLUE], GIFT)
    office.exchange(DELIVERED, [WHITE], [BLUE], GIFT)
    once_more: list[Operation] = [
        lambda o: o.change_items(PENDING, [BLUE], [WHITE], GIFT),
        lambda o: o.cancel(PENDING, "no longer needed"),
        lambda o: o.exchange(DELIVERED, [WHITE], [BLUE], GIFT),
        lambda o: o.return_items(DELIVERED, [WHITE], CARD),
    ]
    before = state_hash(office.db)
    for operation in once_more:
        with pytest.raises(ToolError, match="the order must be"):
            operation(office)
    assert state_hash(office.db) == before


# ------------------------------------------------------------------------------------------- offices and their records


def test_an_office_s_changes_stay_in_that_office(office: BackOffice) -> None:
    before, records = state_hash(SAMPLE.db), copy.deepcopy(SAMPLE.db)
    office.cancel(CHEAP, "no longer needed")
    office.change_items(PENDING, [WHITE], [BLUE], GIFT)
    office.exchange(DELIVERED, [WHITE], [BLUE], GIFT)
    office.change_user_address(NORA, ELSEWHERE)
    assert state_hash(office.db) != before
    assert (state_hash(SAMPLE.db), SAMPLE.db) == (before, records)


def test_what_was_returned_stays_as_it_was(office: BackOffice) -> None:
    before = office.order(CHEAP)
    office.cancel(CHEAP, "no longer needed")
    assert before["status"] == "pending"


def test_the_hash_does_not_depend_on_the_order_of_keys(office: BackOffice) -> None:
    turned: Any = {name: dict(reversed(list(records.items()))) for name, records in reversed(list(office.db.items()))}
    assert state_hash(turned) == state_hash(office.db)


def test_the_hash_is_that_of_nested_tuples() -> None:
    # sha256("(('a', (1, (('b', None),))),)")
    nested: Any = {"a": [1, {"b": None}]}
    assert state_hash(nested) == "2e16a05e93c1c2300ad22b060fcb4cc1737301ce9c9b49a72ba15f799c874b49"


def test_each_tenant_has_an_office_of_its_own() -> None:
    one, other = tools.open_office("one"), tools.open_office("other")
    one.cancel(CHEAP, "no longer needed")
    assert other.order(CHEAP)["status"] == "pending"
    assert tools.open_office("one").order(CHEAP)["status"] == "pending"


# ---------------------------------------------------------------------------------------------------------- arithmetic


@pytest.mark.parametrize(
    ("expression", "value"),
    [("2 + 2", "4.0"), ("14.25 - 12.50", "1.75"), ("-(1 + 2) * 3 / 4", "-2.25"), ("10 / 3", "3.33"), (" .5*4 ", "2.0")],
)
def test_arithmetic_is_rounded_to_cents(expression: str, value: str) -> None:
    assert calculated(expression) == value


@pytest.mark.parametrize(
    "expression",
    [
        "__import__('os').getcwd()", "abs(1)", "x", "1 if 1 else 2", "9 ** 9", "7 // 2", "7 % 2", "1, 2", "()", "", "(1", "1 2",
        "1 / 0", "1\n+ 1", "'a'", "1e5", "1j", "9" * 301, "9" * 150 + "*" + "9" * 149 + ".0 * 99999999999", "(" * 150 + ")" * 150,
    ],
)  # fmt: skip
def test_what_is_no_arithmetic_is_refused(expression: str) -> None:
    with pytest.raises(ToolError, match=r"^Error: "):
        calculated(expression)


# --------------------------------------------------------------------------------------------------------------- tools


def test_the_agent_has_the_sixteen_tools_and_claude_is_told_what_every_argument_means() -> None:
    assert len(retail.tools) == 16
    for entry in retail.tools:
        schema = entry.manifest["input_schema"]
        assert entry.description
        assert all(told.get("description") for told in schema.get("properties", {}).values()), entry.name


def test_a_reason_to_cancel_is_one_of_two() -> None:
    schema = retail.tool["cancel_pending_order"].manifest["input_schema"]
    assert schema["properties"]["reason"]["enum"] == ["no longer needed", "ordered by mistake"]


def test_every_tool_says_what_it_does_to_the_world() -> None:
    effects = {entry.name: entry.effect for entry in retail.tools}
    changes = {name for name, effect in effects.items() if effect is not Effect.READ}
    assert effects["transfer_to_human_agents"] is Effect.EGRESS
    assert changes == {
        name for name in effects if name.startswith(("cancel", "modify", "exchange", "return", "transfer"))
    }
    assert {entry.name for entry in retail.tools if entry.idempotent} == {
        "modify_pending_order_address", "modify_user_address", "transfer_to_human_agents",
    }  # fmt: skip
