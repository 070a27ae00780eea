"""Saving: dollars with and without the answer cache on three named streams, and how many of its answers were wrong.

`python -m bench.saving [--scale 1.0] [--seed 1]`: every stream is run twice on the real server, with the cache and without, by the
same deterministic stand-in. `retail`: the recorded tasks of tau-bench's shop, each asked twice; all of them change something, so
none may be answered from a cache. `support`: the example, with greetings, questions about the product and tickets, which is what we
made up. `questions`: requests of banking77, answered by their label, so that an answer given to another label counts as wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import functools
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from bench.measure import ROOT, emit
from bench.processes import say
from bench.tau_retail import DATA, base_of, recorded, script
from examples.retail.agent import retail
from examples.retail.tools import open_office
from examples.support import STEPS, support
from tenure import Agent, Response
from tenure.spec import AgentSpec
from tenure.testing import Embedded, embedded
from tenure.testing.messages_api import turn_of
from tenure.testing.scripted_claude import Turn, text

CACHE: dict[str, Any] = {
    "enable_cache": True,
    "cache_rules": [
        {"pattern": "greeting", "response": "Hello! How can I help?"},
        {"pattern": "thanks", "response": "You are welcome."},
        {"similarity": 0.7, "ttl": 86_400},
    ],
    "admit": "answered",
    "audit": 0,
}  # fmt: skip
BANKING = ROOT.parent / "shared" / "data" / "banking77" / "train.csv"
AT_ONCE = 12
FAQ = {
    "export": (
        "How do I export my invoices?",
        "Hi, could you tell me how to export the invoices please?",
        "how can i export invoices",
    ),
    "plans": ("Which plans are there?", "Please tell me which plans there are.", "which plans are there"),
    "seats": ("What does another seat cost?", "Hello, what does another seat cost", "Tell me what another seat costs"),
    "no-seats": ("Doesn't another seat cost anything?",),
    "cancel": (
        "How do I cancel my subscription?",
        "how can I cancel my subscription?",
        "Tell me how to cancel a subscription",
    ),
    "hundred": ("Is there a limit of 100 reports?",),
    "thousand": ("Is there a limit of 1000 reports?",),
}
SMALL_TALK = ("Hi!", "hello there", "Good morning", "Thanks a lot!", "thank you")


@dataclass(frozen=True)
class Asked:
    """A request of a stream, for whom, and what its answer must begin with."""

    message: str
    tenant: str
    expected: str


@dataclass(frozen=True)
class Stream:
    """Requests, the agent they are for, and the stand-in that answers them. `prepare` comes before each."""

    name: str
    agent: AgentSpec
    claude: Callable[[dict[str, Any]], Turn]
    requests: Sequence[Asked]
    prepare: Callable[[Asked], Any] = lambda asked: None


def tasks_of_retail(scale: float) -> Stream:
    """Each recorded task twice, in an office of its own that is as it was each time."""
    tasks, base = recorded(DATA)[: round(500 * scale)], base_of(DATA)
    asked = [
        Asked(task.message, task.tenant, f"Done: {len(task.calls)} calls for task {task.number}.") for task in tasks
    ]
    return Stream(
        "retail", retail, functools.partial(script, tasks), [*asked, *asked], lambda one: open_office(one.tenant, base)
    )


def requests_of_support(scale: float, draw: random.Random) -> Stream:
    """A quarter small talk, half questions about the product, a quarter tickets."""
    tickets = [
        Asked("Hi, I'm alice@example.com. I have a billing issue that needs to be resolved.", "default", "[ticket]")
    ]
    questions = [Asked(said, "default", f"[{about}]") for about, many in FAQ.items() for said in many]
    talk = [Asked(said, "default", "") for said in SMALL_TALK]
    many = round(400 * scale)
    stream = draw.choices(talk, k=many // 4) + draw.choices(questions, k=many // 2) + tickets * (many // 4)
    draw.shuffle(stream)
    about = {said: topic for topic, many in FAQ.items() for said in many}

    def claude(body: dict[str, Any]) -> Turn:
        said = _first(body)
        if "billing issue" in said:
            return STEPS[turn_of(body)] if turn_of(body) < len(STEPS) else text("[ticket] It is resolved.")
        return text(f"[{about[said]}] This is how it is." if said in about else "Hello! What can I do for you?")

    return Stream("support", support.model_copy(update={"trust": None}), claude, stream)


def questions_of_banking(scale: float, draw: random.Random) -> Stream:
    """Requests of banking77 in random order; Claude answers by label."""
    with BANKING.open(encoding="utf-8") as file:
        label = {row["text"]: row["category"] for row in csv.DictReader(file)}
    told = draw.sample(sorted(label), round(2000 * scale))
    agent = Agent(name="questions", instructions=support.instructions)
    asked = [Asked(one, "default", f"[{label[one]}]") for one in told]
    return Stream("questions", agent, lambda body: text(f"[{label[_first(body)]}] This is what you can do."), asked)


def _first(body: dict[str, Any]) -> str:
    return body["messages"][0]["content"][0]["text"]


async def run(stream: Stream, *, cached: bool) -> list[tuple[Asked, Response]]:
    """The whole stream, a few at once, in order. Without the cache nothing else is different."""
    agent = stream.agent.model_copy(update={"optimization": CACHE if cached else None})
    gate, done = asyncio.Semaphore(AT_ONCE), 0
    async with embedded(agent, claude=stream.claude) as system:

        async def one(asked: Asked) -> tuple[Asked, Response]:
            nonlocal done
            async with gate:
                stream.prepare(asked)
                response = await _made(system, agent, asked)
            done += 1
            if done % 200 == 0:
                say(f"{stream.name}{' with the cache' if cached else ''}: {done} of {len(stream.requests)}")
            return asked, response

        return await asyncio.gather(*map(one, stream.requests))


async def _made(system: Embedded, agent: AgentSpec, asked: Asked) -> Response:
    handle = await system.runs.start(agent.name, asked.message, tenant=asked.tenant)
    return await handle.result()


async def compared(stream: Stream) -> dict[str, Any]:
    """What the cache saved, and what it got wrong; by answered request, and over all."""
    without, made = await run(stream, cached=False), await run(stream, cached=True)
    plain, paid = (sum((one.cost for _, one in runs), Decimal(0)) for runs in (without, made))
    served = [(asked, one) for asked, one in made if one.tier != "model"]
    instead = sum(
        (one.cost for (_, one), (_, other) in zip(without, made, strict=True) if other.tier != "model"), Decimal(0)
    )
    wrong = [asked.message for asked, one in served if not one.message.startswith(asked.expected)]
    return {
        "requests": len(made),
        "failed": sum(not one.success for _, one in made),
        "tiers": dict(Counter(one.tier for _, one in made)),
        "dollars_without": str(plain),
        "dollars_with": str(paid),
        "saved_blended": round(float(1 - paid / plain), 4),
        "saved_per_answered_request": str(round(instead / max(len(served), 1), 6)),
        "counterfactual_told": str(sum((one.saved for _, one in served), Decimal(0))),
        "counterfactual_measured": str(instead),
        "wrong": len(wrong),
        "wrong_of_answered": round(len(wrong) / max(len(served), 1), 4),
        "wrong_examples": wrong[:5],
    }


async def measure(scale: float, seed: int) -> None:
    """All streams, as one line."""
    draw = random.Random(seed)
    streams = [tasks_of_retail(scale), requests_of_support(scale, draw), questions_of_banking(scale, draw)]
    told = {stream.name: await compared(stream) for stream in streams}
    emit({"bench": "saving", "scale": scale, "seed": seed, "streams": told})


def main() -> None:
    """Read the parameters."""
    parser = argparse.ArgumentParser(prog="python -m bench.saving", description=__doc__)
    parser.add_argument(
        "--scale", type=float, default=1.0, help="1.0: 1,000 runs of retail, 400 of support, 2,000 questions"
    )
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    asyncio.run(measure(options.scale, options.seed))


if __name__ == "__main__":
    main()
