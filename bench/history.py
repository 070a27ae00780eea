"""Linear history: how many bytes a run writes into Temporal's history for the content it holds, and how that grows.

`python -m bench.history [--iterations 200] [--size 4096]`: one run of so many iterations and one of twice as many; a
conversation of 200,000 tokens with 100 tool calls; and, as the floor, a bare loop of two activities by reference in plain
Temporal that returns the same results.

Every content string is unique and longer than 80 characters: the run's story (the summary of a call, the last 40 steps
that continue-as-new carries) repeats the first 80 of what was said and asked, which `growth` and `ratio` count.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from dataclasses import dataclass
from typing import Any

from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

from bench import work
from bench.measure import Contestant, contestant, emit, stage
from tenure.runtime.history import events_of

RATIO_GOAL, GROWTH_GOAL, TOKENS_GOAL = 1.45, 2.05, 2 * 1024 * 1024
TOKENS, BYTES_A_TOKEN, CALLS = 200_000, 4, 100


@dataclass(frozen=True)
class Written:
    """The history of one run, against the content that went through it."""

    events: list[HistoryEvent]
    turns: list[list[dict[str, Any]]]
    results: list[str]
    message: str
    answer: str

    @property
    def size(self) -> int:
        """Bytes of the serialised events, through all continuations."""
        return sum(event.ByteSize() for event in self.events)

    @property
    def content(self) -> int:
        """Bytes of the content as JSON: what the tools returned and what Claude said, with the arguments in it."""
        return sum(len(json.dumps(value)) for value in (*self.results, *self.turns))

    @property
    def continuations(self) -> int:
        """How often the run continued as new."""
        return sum(event.HasField("workflow_execution_started_event_attributes") for event in self.events) - 1

    def found(self) -> dict[str, dict[int, int]]:
        """How often each content string stands in the raw events: {times found: number of strings}, by kind."""
        raw = b"\n".join(event.SerializeToString() for event in self.events)
        calls = len(self.results)
        kinds = {
            "results": self.results,
            "said": [work.said(number) for number in range(calls)],
            "arguments": [work.query(number) for number in range(calls)],
        }
        return {kind: _tally(raw, texts) for kind, texts in kinds.items()}

    def answer_found(self) -> int:
        """How often the final answer stands there: in the last turn and in the workflow's result, by design."""
        return b"\n".join(event.SerializeToString() for event in self.events).count(self.answer.encode())

    def report(self) -> dict[str, Any]:
        """The figures."""
        return {
            "events": len(self.events),
            "history_bytes": self.size,
            "content_bytes": self.content,
            "ratio": round(self.size / self.content, 3),
            "continuations": self.continuations,
            "times_found": self.found(),
            "answer_found": self.answer_found(),
        }

    def once(self) -> bool:
        """Whether each content string stands there exactly once."""
        return all(list(times) == [1] for times in self.found().values())


def _tally(raw: bytes, texts: list[str]) -> dict[int, int]:
    times = [raw.count(text.encode()) for text in texts]
    return {number: times.count(number) for number in sorted(set(times))}


async def run(one: Contestant, client: Client, calls: int, size: int) -> Written:
    """Make one run and read what it wrote. Raises RuntimeError when its answer is wrong."""
    message = work.fetch(calls, size)
    await one.batch(1, message)
    if one.answer != work.answer(calls):
        raise RuntimeError(f"{one.name} answered {one.answer!r} instead of {work.answer(calls)!r}")
    events = [event async for event in events_of(client, one.workflow)]
    results = [work.result(number, size) for number in range(calls)]
    return Written(
        events, [_turn(number, size, calls) for number in range(calls + 1)], results, message, work.answer(calls)
    )


def _turn(number: int, size: int, calls: int) -> list[dict[str, Any]]:
    """A turn as the stand-in sends it, but for the ids of its calls, which count as overhead."""
    if number == calls:
        return [{"type": "text", "text": work.answer(calls)}]
    given = {"number": number, "size": size, "query": work.query(number)}
    return [{"type": "text", "text": work.said(number)}, {"type": "tool_use", "name": "fetch", "input": given}]


async def measure(iterations: int, size: int) -> None:
    """Make the runs and print what they wrote."""
    long_size = TOKENS * BYTES_A_TOKEN // CALLS
    async with (
        stage() as at,
        contestant("tenure", at, "-m", "bench.our_own") as ours,
        contestant("raw", at, "-m", "bench.raw_temporal", "reference-in-history") as raw,
    ):
        single = await run(ours, at.client, iterations, size)
        double = await run(ours, at.client, 2 * iterations, size)
        whole = ours.results == [work.result(number, size) for number in range(2 * iterations)]
        long = await run(ours, at.client, CALLS, long_size)
        floor = await run(raw, at.client, iterations, size)
    ratio, growth = single.size / single.content, double.size / single.size
    kept = whole and double.continuations > 0 and all(written.once() for written in (single, double, long))
    emit({
        "bench": "history",
        "iterations": iterations,
        "result_bytes": size,
        "single": single.report(),
        "double": {**double.report(), "transcript_whole_and_right": whole},
        "growth": round(growth, 3),
        "conversation_of_200k_tokens": {**long.report(), "calls": CALLS, "result_bytes": long_size},
        "floor_raw_two_activities": floor.report(),
        "over_floor": round(ratio / (floor.size / floor.content), 3),
        "goal": {"ratio": RATIO_GOAL, "growth": GROWTH_GOAL, "each_content_string": 1, "long_bytes": TOKENS_GOAL},
        "holds": ratio <= RATIO_GOAL and growth <= GROWTH_GOAL and kept and long.size < TOKENS_GOAL,
    })  # fmt: skip


def main() -> None:
    """Read the parameters."""
    parser = argparse.ArgumentParser(prog="python -m bench.history", description=__doc__)
    parser.add_argument("--iterations", type=int, default=200)
    parser.add_argument("--size", type=int, default=4096, help="bytes of each result")
    options = parser.parse_args()
    asyncio.run(measure(options.iterations, options.size))


if __name__ == "__main__":
    main()
