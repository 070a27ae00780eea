"""A shop that swaps items of orders: which one is meant hangs on two options at once, which no induced expression says."""

from __future__ import annotations

import json
import re
import time
import zlib
from collections.abc import Callable
from typing import Any

from tenure import Agent, Response, tool
from tenure.learn.briefing import SYSTEM
from tenure.learn.recording import Recording, Step
from tenure.runtime.store import Connection, recordings, verdicts
from tenure.spec import AgentSpec
from tenure.testing import Embedded
from tenure.testing.messages_api import Turn, turn_of
from tenure.testing.scripted_claude import text, tool_use

RUNS = 12
COLORS, SIZES, NAMES = ("red", "blue", "green"), ("small", "large"), ("kettle", "lamp")
ASKED = re.compile(r"swap the (\w+) (\w+) in order (O-\d+) for a (\w+) one in size (\w+)")
SWAPPED: dict[str, tuple[str, str]] = {}  # order → what was swapped for what; what really happened

# The inputs are named by the form: swap {swap} in order {order_id} for a {order} one in size {size}
GOOD = """
color, name = swap.split()
found = get_order(order=order_id)
assert found["status"] == "delivered", "only delivered orders"
# the item that is meant
old = [one for one in found["items"] if one["name"] == name and one["color"] == color]
assert len(old) == 1, "exactly one such item"
product = get_product(product=old[0]["product"])
new = [one for one in product["variants"] if one["color"] == order and one["size"] == size]
assert len(new) == 1, "exactly one such variant"
done = swap_item(order=order_id, item=old[0]["item"], new_item=new[0]["item"])
f"The order {done['order']} is swapped."
"""


def variant(name: str, color: str, size: str) -> str:
    """The number of an item; it says nothing of what it is of."""
    return str(1000 + zlib.crc32(f"{name} {color} {size}".encode()) % 9000)


@tool(effect="read", output="*")
async def get_order(order: str) -> dict[str, Any]:
    """Get an order with its items."""
    return an_order(order)


@tool(effect="read", output="*")
async def get_product(product: str) -> dict[str, Any]:
    """Get what there is of a product."""
    return a_product(product)


@tool(effect="write", idempotent=True, output="*")
async def swap_item(order: str, item: str, new_item: str) -> dict[str, str]:
    """Swap an item of a delivered order for another."""
    SWAPPED[order] = item, new_item
    return {"order": order, "status": "swap requested"}


@tool(effect="destructive")
async def delete_order(order: str) -> str:
    """Delete an order for good."""
    raise AssertionError(f"{order} must stay")


def an_order(order: str) -> dict[str, Any]:
    items = [
        {"item": variant(name, color, "small"), "name": name, "color": color, "product": f"P-{name}"}
        for name in NAMES
        for color in COLORS
    ]
    return {"order": order, "status": "delivered", "items": items}


def a_product(product: str) -> dict[str, Any]:
    name = product.removeprefix("P-")
    found = [{"item": variant(name, color, size), "color": color, "size": size} for color in COLORS for size in SIZES]
    return {"product": product, "variants": found}


def went_well(response: Response) -> bool:
    """What the run says of itself is good enough here."""
    return response.success


def shop(**capabilities: Any) -> Agent:
    """The agent; `capabilities` are its settings of that name, `optimization` is its own."""
    more = {name: capabilities.pop(name) for name in ("optimization",) if name in capabilities}
    learning = {"capabilities": capabilities} if capabilities else {}
    tools = [get_order, get_product, swap_item, delete_order]
    return Agent(name="shop", tools=tools, evaluate=went_well, learning=learning, **more)


def request(number: int) -> str:
    """Request `number`: no two of twelve want the same."""
    color, name = COLORS[number % 3], NAMES[number // 3 % 2]
    new, size = COLORS[(number + 1) % 3], SIZES[number // 6 % 2]
    return f"Please swap the {color} {name} in order O-{number} for a {new} one in size {size}."


def calls(number: int) -> list[tuple[str, dict[str, Any], Any]]:
    """What is done for it: tool, arguments, result."""
    found = ASKED.search(request(number))
    assert found is not None
    color, name, order, new, size = found.groups()
    item, new_item = variant(name, color, "small"), variant(name, new, size)
    done = {"order": order, "status": "swap requested"}
    return [
        ("get_order", {"order": order}, an_order(order)),
        ("get_product", {"product": f"P-{name}"}, a_product(f"P-{name}")),
        ("swap_item", {"order": order, "item": item, "new_item": new_item}, done),
    ]


class Writer:
    """Claude: it does what it is asked in runs, and writes what `answers` says when it is to write a program.

    `answers` is given the briefing and the number of the round, from 0.
    """

    def __init__(self, answers: Callable[[str, int], Turn]) -> None:
        self.answers, self.asked = answers, list[dict[str, Any]]()

    def __call__(self, body: dict[str, Any]) -> Turn:
        """The next turn."""
        if body.get("system", [{}])[0].get("text") == SYSTEM:
            self.asked.append(body)
            return self.answers(body["messages"][0]["content"][0]["text"], turn_of(body))
        number = int(body["messages"][0]["content"][0]["text"].partition("O-")[2].partition(" ")[0])
        made = calls(number)
        turn = turn_of(body)
        if turn < len(made):
            return tool_use(made[turn][0], **made[turn][1])
        return text(f"The order O-{number} is swapped.")


def written(program: str) -> Turn:
    """As Claude answers."""
    return text(json.dumps({"program": program}))


def recording(agent: AgentSpec, tenant: str, number: int, at: int, asked: Callable[[int], str] = request) -> Recording:
    """The run that made request `number`."""
    steps = [
        Step(tool=tool, effect=str(agent.tool[tool].effect), arguments=told, result=came)
        for tool, told, came in calls(number)
    ]
    return Recording(
        run=f"{tenant}:run:shop:{number}", agent="shop", fingerprint=agent.fingerprint, request=asked(number), steps=steps,
        answer=f"The order O-{number} is swapped.", cost=40_000, at=at,
    )  # fmt: skip


async def teach(
    system: Embedded,
    tenant: str = "default",
    first: int = 100,
    runs: int = RUNS,
    asked: Callable[[int], str] = request,
) -> None:
    """Verified runs of the tenant, as if they had been made."""
    agent = system.resources.registry.agents["shop"]
    at = round(time.time() * 1000)

    def write(db: Connection) -> None:
        for number in range(first, first + runs):
            made = recording(agent, tenant, number, at + number - first, asked)
            recordings.put(db, tenant, made, teaches=True)
            verdicts.put(db, made.run, "evaluate", True, "", at)

    await system.require_store().transact(write)
