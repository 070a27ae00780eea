"""The programs with which the stand-in of `bench.writing` plays Claude: ours, from what the briefing says, as a model writes them.

The inputs have the names that the form gives them: {name}, {email}, {code_number}, {you_id} for the order, {via_id} for the
payment, and the list of items.
"""

from __future__ import annotations

# Every item by its name and options in the order, the new one by its options in the product; what is not named stays.
GOOD = """
def options(text):
    told = {{}}
    if text == "{{}}":
        return told
    assert text.startswith("{{'") and text.endswith("'}}"), "options can be read"
    for pair in text[2:-2].split("', '"):
        parts = pair.split("': '")
        assert len(parts) == 2 and "'" not in parts[0] and "'" not in parts[1], "options can be read"
        assert parts[0] not in told, "no option is named twice"
        told[parts[0]] = parts[1]
    return told

if email:
    user_id = find_user_id_by_email(email=email)
else:
    words = name.split()
    assert len(words) == 2, "a first and a last name"
    user_id = find_user_id_by_name_zip(first_name=words[0], last_name=words[1], zip=code_number)
user = get_user_details(user_id=user_id)
assert f"{{user['name']['first_name']}} {{user['name']['last_name']}}" == name, "the user is who they say"
order = get_order_details(order_id=you_id)
assert order["user_id"] == user_id, "the order is the user's"
assert order["status"] == "{status}", "the order is {status}"
assert via_id in user["payment_methods"], "the payment method is the user's"
item_ids = []
new_item_ids = []
for entry in {items}:
    kind, brace, rest = entry.partition(" {{")
    had, to, change = ("{{" + rest).partition("}} to {{")
    assert brace and to, "an item is named with its options, and others"
    old_options = options(had + "}}")
    wanted = options(had + "}}")
    for key, value in options("{{" + change).items():
        assert key in wanted, "the product has such an option"
        wanted[key] = value
    meant = [one for one in order["items"] if one["name"] == kind and one["options"] == old_options]
    ids = [one["item_id"] for one in meant]
    assert len(set(ids)) == 1, "one item of the order is meant"
    product = get_product_details(product_id=meant[0]["product_id"])
    found = [one for one in product["variants"].values() if one["options"] == wanted]
    assert len(found) == 1, "one item of the product is meant"
    assert found[0]["available"] or found[0]["item_id"] == ids[0], "the new item is available"
    assert item_ids.count(ids[0]) < len(ids), "no item is named more often than it is there"
    item_ids.append(ids[0])
    new_item_ids.append(found[0]["item_id"])
done = {tool}(order_id=you_id, item_ids=item_ids, new_item_ids=new_item_ids, payment_method_id=via_id)
f"Order {{done['order_id']}}: {said}"
"""

# What is not named may be anything: the first item of the product that has what is named.
CARELESS = GOOD.replace(
    'if one["options"] == wanted]\n    assert len(found) == 1',
    'if all(one["options"].get(key) == wanted[key] for key in options("{{" + change))]\n    assert len(found) >= 1',
)
# What is already as it is wanted is left out: right unless somebody "changes" an item into itself.
EAGER = GOOD.replace(
    "    item_ids.append(ids[0])\n",
    '    if found[0]["item_id"] == ids[0] and len({items}) > 1:\n        continue\n    item_ids.append(ids[0])\n',
)


def program(told: str, tool: str) -> str:
    """The program for exchanges or for changes of items."""
    status, items, said = {
        "exchange_delivered_order_items": ("delivered", "exchange_list", "the exchange is noted."),
        "modify_pending_order_items": ("pending", "modify_list", "the items are changed."),
    }[tool]
    return told.format(tool=tool, items=items, status=status, said=said)
