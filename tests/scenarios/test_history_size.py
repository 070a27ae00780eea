"""What a run writes into Temporal's history: each content once, and no more for the hundredth turn than for the first."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import pytest

from tenure import Agent, tool
from tenure.runtime.history import events_of
from tenure.testing import Embedded, embedded
from tenure.testing.scripted_claude import text, tool_use

SIZE = 4096


def unique(what: str, number: int, size: int) -> str:
    """Text that stands nowhere else and is longer than the line of a run's story that may repeat its beginning."""
    head = f"{what} {number:05d} "
    return (head + "".join(hashlib.sha256(f"{head}{n}".encode()).hexdigest() for n in range(size // 64 + 1)))[:size]


@tool(effect="read")
async def read_page(number: int, words: str) -> str:
    """Read a page."""
    return unique("result", number, SIZE)


def script(body: dict[str, Any]) -> Any:
    """As many calls as the message says, then an answer."""
    turn = sum(message["role"] == "assistant" for message in body["messages"])
    if turn == int(body["messages"][0]["content"][0]["text"]):
        return text("All pages are read.")
    return [text(unique("said", turn, 120)), tool_use("read_page", number=turn, words=unique("asked", turn, 120))]


def content(calls: int) -> tuple[list[str], int]:
    """Every content string of a run of so many calls, and the bytes of all of it as JSON."""
    results = [unique("result", number, SIZE) for number in range(calls)]
    said = [unique("said", number, 120) for number in range(calls)]
    asked = [unique("asked", number, 120) for number in range(calls)]
    turns = [
        [{"type": "text", "text": s}, {"type": "tool_use", "name": "read_page", "input": {"number": n, "words": a}}]
        for n, (s, a) in enumerate(zip(said, asked, strict=True))
    ]
    return [*results, *said, *asked], sum(len(json.dumps(value)) for value in (*results, *turns))


async def written(system: Embedded, reader: Agent, calls: int) -> Sequence[bytes]:
    """The events of a run of so many calls, as they are stored."""
    response = await reader.run(str(calls), client=system)
    assert response.success
    assert [call["result"] for call in response.tool_calls] == [unique("result", n, SIZE) for n in range(calls)]
    return [event.SerializeToString() async for event in events_of(system.temporal, response.id)]


@pytest.mark.timeout(60)
async def test_history_holds_each_content_once_and_grows_with_it_in_a_straight_line() -> None:
    reader = Agent(name="reader", tools=[read_page], max_iterations=100)
    async with embedded(reader, claude=script) as system:
        short, long = [await written(system, reader, calls) for calls in (20, 40)]
    strings, size = content(40)
    raw = b"\n".join(long)
    assert [string for string in strings if raw.count(string.encode()) != 1] == []
    assert sum(map(len, long)) <= 1.5 * size
    assert sum(map(len, long)) <= 2.05 * sum(map(len, short))
