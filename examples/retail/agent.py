"""A retail agent over the back office: it looks up users and orders, and cancels, changes, exchanges and takes back.

`python -m examples.retail.agent` runs it on the sample shop, offline.
"""

from __future__ import annotations

import asyncio

from examples.retail import tools
from tenure import Agent
from tenure.testing.scripted_claude import Script, text, tool_use

retail = Agent(
    name="retail",
    instructions="""You are the retail agent of an online shop. You cancel and change pending orders, exchange and take back
delivered ones, change a user's default address, and tell users about their profile, their orders and our products.

Who you serve
- First find the user's id, by e-mail or by name and zip code, even when an id was given. Serve this one user only.
- State only what the user or a tool has said: no guesses, no procedures of your own, no opinions.

Before you change anything
- Look at the order: only a pending one can be cancelled or changed, only a delivered one exchanged or returned.
- List what you are about to do and wait for a clear yes. A request that names every detail and says yes needs no second
  one. Otherwise answer with the list and the question, and change nothing.
- Make one change at a time; look-ups may go side by side.

What the changes are
- Cancel: the reason is 'no longer needed' or 'ordered by mistake'. A gift card is refunded at once, any other payment
  method within 5 to 7 business days.
- Pending orders: address, payment method and the options of items can change, nothing else. Another payment method must
  differ from the one that paid; a gift card must cover the whole amount.
- Swapping items works once for an order and closes it to every other change; so does an exchange or a return of a
  delivered order. Ask whether all items are named before you call the tool.
- A new item is available and of the same product type as the old one. The user names the payment method that settles the
  difference in price; a gift card must cover it.
- Returns are refunded as the order was paid, or to one of the user's gift cards. The user learns by e-mail how to send
  the items back; no new order is needed for an exchange.

Hand the user to a person with transfer_to_human_agents when the request is outside of all this, and only then.
Times are EST on a clock of 24 hours. A product id and an item id are different things.""",
    tools=(
        tools.find_user_id_by_email,
        tools.find_user_id_by_name_zip,
        tools.get_user_details,
        tools.get_order_details,
        tools.get_product_details,
        tools.list_all_product_types,
        tools.calculate,
        tools.think,
        tools.cancel_pending_order,
        tools.modify_pending_order_address,
        tools.modify_pending_order_payment,
        tools.modify_pending_order_items,
        tools.exchange_delivered_order_items,
        tools.return_delivered_order_items,
        tools.modify_user_address,
        tools.transfer_to_human_agents,
    ),
    max_iterations=20,
)

REQUEST = (
    "I'm nora.lind@example.com. Please exchange one white mug of #W1000001 for the blue ceramic one, with the difference on "
    "my gift card, and cancel #W1000002: I no longer need it. That is all of it, and yes, do both."
)

script: Script = [  # what the stand-in for Claude says, turn by turn, when there is no key
    tool_use("find_user_id_by_email", email="nora.lind@example.com"),
    [
        text("I'll look at your profile, both orders and the mugs."),
        tool_use("get_user_details", user_id="nora_lind_1001"),
        tool_use("get_order_details", order_id="#W1000001"),
        tool_use("get_order_details", order_id="#W1000002"),
        tool_use("get_product_details", product_id="5000000001"),
    ],
    [
        text("The blue ceramic mug is available for $14.25; the white one was $12.50."),
        tool_use("calculate", expression="14.25 - 12.50"),
    ],
    [
        text("#W1000001 is delivered, and the $20 on your gift card cover the difference of $1.75."),
        tool_use(
            "exchange_delivered_order_items",
            order_id="#W1000001",
            item_ids=["5000000011"],
            new_item_ids=["5000000012"],
            payment_method_id="gift_card_1000002",
        ),
    ],
    [
        text("#W1000002 is still pending."),
        tool_use("cancel_pending_order", order_id="#W1000002", reason="no longer needed"),
    ],
    "Both are done, Nora. One white mug of #W1000001 will be exchanged for the blue ceramic one; the difference of $1.75 will "
    "be paid from your gift card, and an e-mail tells you how to send the mug back. #W1000002 is cancelled, and its $9.00 are "
    "back on your gift card.",
]


async def main() -> None:
    """Run the agent once with everything embedded: no server, no key."""
    from tenure.testing import embedded

    async with embedded(retail, claude=script):
        print(await retail.run(REQUEST))


if __name__ == "__main__":
    asyncio.run(main())
