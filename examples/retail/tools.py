"""The 16 tools of the retail agent: what Claude is told of each operation, and what it does to the world.

A change that sets what it sets is idempotent. One that is refused the second time (a cancelled order is not pending any
more) is not: made again after a lost answer it would say that nothing happened.
"""

from __future__ import annotations

from examples.retail.calculator import calculated
from examples.retail.office import BackOffice, Reason
from examples.retail.records import Address, Order, Product, User
from examples.retail.sample import SAMPLE
from tenure import ToolContext, tool

offices: dict[str, BackOffice] = {}  # by tenant


def open_office(tenant: str, base: BackOffice = SAMPLE) -> BackOffice:
    """Give the tenant an office of its own, which begins with the records of `base`."""
    offices[tenant] = base.copy()
    return offices[tenant]


def office_of(ctx: ToolContext) -> BackOffice:
    """The office of the run's tenant; one that has none gets the sample."""
    return offices.get(ctx.tenant) or open_office(ctx.tenant)


# ------------------------------------------------------------------------------------------------------------ look-ups


@tool(effect="read")
async def find_user_id_by_email(ctx: ToolContext, email: str) -> str:
    """Find a user's id by e-mail address. Refuses when there is no such user.

    Args:
        email: the address, such as 'something@example.com'
    """
    return office_of(ctx).find_user_by_email(email)


@tool(effect="read")
async def find_user_id_by_name_zip(ctx: ToolContext, first_name: str, last_name: str, zip: str) -> str:
    """Find a user's id by name and zip code: when the e-mail address leads nowhere or is not remembered.

    Args:
        first_name: the first name, such as 'John'
        last_name: the last name, such as 'Doe'
        zip: the zip code of the default address, such as '12345'
    """
    return office_of(ctx).find_user_by_name(first_name, last_name, zip)


@tool(effect="read")
async def get_user_details(ctx: ToolContext, user_id: str) -> User:
    """Get a user's profile: name, address, payment methods and order numbers.

    Args:
        user_id: the id, such as 'sara_doe_496'
    """
    return office_of(ctx).user(user_id)


@tool(effect="read")
async def get_order_details(ctx: ToolContext, order_id: str) -> Order:
    """Get an order: its status, items, address and payments.

    Args:
        order_id: the order number with its '#', such as '#W0000000'
    """
    return office_of(ctx).order(order_id)


@tool(effect="read")
async def get_product_details(ctx: ToolContext, product_id: str) -> Product:
    """Get what there is of a product type: its items with options, price and whether they are available.

    Args:
        product_id: the id of the product type, such as '6086499569'; an item's id is another thing
    """
    return office_of(ctx).product(product_id)


@tool(effect="read")
async def list_all_product_types(ctx: ToolContext) -> dict[str, str]:
    """List the names of all product types with their product ids. Each has many items, told apart by their options."""
    return office_of(ctx).product_types()


@tool(effect="read")
async def calculate(expression: str) -> str:
    """Calculate an arithmetic expression; the value is rounded to two digits after the point.

    Args:
        expression: numbers, + - * /, parentheses and spaces, such as '2 + 2'
    """
    return calculated(expression)


@tool(effect="read")
async def think(thought: str) -> str:
    """Write a thought down, where the way to go needs working out. Finds nothing out and changes nothing.

    Args:
        thought: what to keep in mind
    """
    return ""  # the thought stands in the transcript already: as the input of this call


# ------------------------------------------------------------------------------------------------------ pending orders


@tool(effect="write")
async def cancel_pending_order(ctx: ToolContext, order_id: str, reason: Reason) -> Order:
    """Cancel an order that is still pending, after the user was told what follows and has said yes.

    The payment is refunded: to a gift card at once, to other methods within 5 to 7 business days. Returns the order.

    Args:
        order_id: the order number with its '#', such as '#W0000000'
        reason: why, in one of these words
    """
    return office_of(ctx).cancel(order_id, reason)


@tool(effect="write", idempotent=True)
async def modify_pending_order_address(
    ctx: ToolContext, order_id: str, address1: str, address2: str, city: str, state: str, country: str, zip: str
) -> Order:
    """Change where a pending order is sent, after the user was told the change and has said yes.

    Args:
        order_id: the order number with its '#', such as '#W0000000'
        address1: first line, such as '123 Main St'
        address2: second line, such as 'Apt 1', or ''
        city: the city, such as 'San Francisco'
        state: the state, such as 'CA'
        country: the country, such as 'USA'
        zip: the zip code, such as '12345'
    """
    address = Address(address1=address1, address2=address2, city=city, state=state, country=country, zip=zip)
    return office_of(ctx).change_address(order_id, address)


@tool(effect="write")
async def modify_pending_order_payment(ctx: ToolContext, order_id: str, payment_method_id: str) -> Order:
    """Let another payment method pay for a pending order, after the user was told the change and has said yes.

    Args:
        order_id: the order number with its '#', such as '#W0000000'
        payment_method_id: one of the user's, such as 'gift_card_0000000' or 'credit_card_0000000'
    """
    return office_of(ctx).change_payment(order_id, payment_method_id)


@tool(effect="write")
async def modify_pending_order_items(
    ctx: ToolContext, order_id: str, item_ids: list[str], new_item_ids: list[str], payment_method_id: str
) -> Order:
    """Swap items of a pending order for others of the same product type. Works once for an order: name all items.

    The user must have been told the swap and the difference in price, and have said yes.

    Args:
        order_id: the order number with its '#', such as '#W0000000'
        item_ids: the items to swap, each such as '1008292230'; an item that is there twice may be named twice
        new_item_ids: what takes the place of each, in the same order and of the same product type
        payment_method_id: pays or receives the difference, such as 'gift_card_0000000' or 'credit_card_0000000'
    """
    return office_of(ctx).change_items(order_id, item_ids, new_item_ids, payment_method_id)


# ---------------------------------------------------------------------------------------------------- delivered orders


@tool(effect="write")
async def exchange_delivered_order_items(
    ctx: ToolContext, order_id: str, item_ids: list[str], new_item_ids: list[str], payment_method_id: str
) -> Order:
    """Exchange items of a delivered order for others of the same product type. An order is exchanged or returned once.

    The user must have been told the exchange and the difference in price, and have said yes.

    Args:
        order_id: the order number with its '#', such as '#W0000000'
        item_ids: the items to exchange, each such as '1008292230'; an item that is there twice may be named twice
        new_item_ids: what comes in place of each, in the same order and of the same product type
        payment_method_id: pays or receives the difference, such as 'gift_card_0000000' or 'credit_card_0000000'
    """
    return office_of(ctx).exchange(order_id, item_ids, new_item_ids, payment_method_id)


@tool(effect="write")
async def return_delivered_order_items(
    ctx: ToolContext, order_id: str, item_ids: list[str], payment_method_id: str
) -> Order:
    """Take items of a delivered order back: its status becomes 'return requested', and an e-mail tells the user how.

    The user must have been told what is returned and where the money goes, and have said yes.

    Args:
        order_id: the order number with its '#', such as '#W0000000'
        item_ids: the items to return, each such as '1008292230'; an item that is there twice may be named twice
        payment_method_id: receives the refund: the method that paid, or one of the user's gift cards
    """
    return office_of(ctx).return_items(order_id, item_ids, payment_method_id)


# --------------------------------------------------------------------------------------------------- users and people


@tool(effect="write", idempotent=True)
async def modify_user_address(
    ctx: ToolContext, user_id: str, address1: str, address2: str, city: str, state: str, country: str, zip: str
) -> User:
    """Change a user's default address, after the user was told the change and has said yes.

    Args:
        user_id: the id, such as 'sara_doe_496'
        address1: first line, such as '123 Main St'
        address2: second line, such as 'Apt 1', or ''
        city: the city, such as 'San Francisco'
        state: the state, such as 'CA'
        country: the country, such as 'USA'
        zip: the zip code, such as '12345'
    """
    address = Address(address1=address1, address2=address2, city=city, state=state, country=country, zip=zip)
    return office_of(ctx).change_user_address(user_id, address)


@tool(effect="egress", idempotent=True)
async def transfer_to_human_agents(ctx: ToolContext, summary: str) -> str:
    """Hand the user over to a person: when asked for one, or when no tool here can settle the matter.

    Args:
        summary: what the user needs and what has been done so far
    """
    return office_of(ctx).hand_over(ctx.idempotency_key, summary)
