"""The work every contestant is given: a scripted Claude that asks for tools, and what those tools return.

The stand-in reads the work from the user's message, so one process serves every benchmark: `support` is 4 model calls and
3 tool calls; `QUESTION` is answered at once; `fetch calls=100 size=4096` is 100 calls that return unique text of that many bytes.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from tenure.testing.scripted_claude import Turn, text, tool_use

QUESTION, KNOWN = "When do you open?", "We open at nine, every day but Sunday."
SUPPORT = "Hi, I'm alice@example.com. I have a billing issue."
INSTRUCTIONS = "You are a customer support agent. Look the customer up before you act, and change as little as you can."
_FETCH = re.compile(r"fetch calls=(\d+) size=(\d+)")


def fetch(calls: int, size: int) -> str:
    """The message that asks for so many calls with results of so many bytes."""
    return f"fetch calls={calls} size={size}"


def result(number: int, size: int) -> str:
    """A result of `size` bytes that no other call returns, and that no compression makes small."""
    head = f"result {number:05d} "
    blocks = (hashlib.sha256(f"{number}/{n}".encode()).hexdigest() for n in range(size // 64 + 1))
    return (head + "".join(blocks))[:size]


def said(number: int) -> str:
    """What Claude says beside call `number`: longer than a line of the run's story, which repeats how it begins."""
    return (
        f"I am going to read page {number:05d} of the report: {hashlib.sha512(f'said {number}'.encode()).hexdigest()}"
    )


def query(number: int) -> str:
    """The argument of call `number`: longer than the line that the Temporal UI shows of it."""
    return f"page {number:05d} of the report, and the words {hashlib.sha512(f'query {number}'.encode()).hexdigest()}"


def answer(calls: int) -> str:
    """The final answer."""
    return f"All {calls} pages are read: {hashlib.sha256(f'answer {calls}'.encode()).hexdigest()}"


def reply(body: dict[str, Any]) -> Turn:
    """The stand-in's script: the next turn of the conversation in `body`."""
    turn = sum(message["role"] == "assistant" for message in body["messages"])
    if QUESTION in json.dumps(body["messages"][0]):
        return text(KNOWN)
    asked = _FETCH.search(json.dumps(body["messages"][0]))
    if asked is None:
        return _support(turn)
    calls, size = int(asked[1]), int(asked[2])
    if turn == calls:
        return text(answer(calls))
    return [text(said(turn)), tool_use("fetch", number=turn, size=size, query=query(turn))]


def _support(turn: int) -> Turn:
    match turn:
        case 0:
            return tool_use("lookup_customer", email="alice@example.com")
        case 1:
            return tool_use("get_tickets", customer_id="cus_1")
        case 2:
            return tool_use("update_ticket", ticket_id="t1", status="closed")
        case _:
            return text("I closed your billing ticket t1: the duplicate charge of $20 is refunded.")
