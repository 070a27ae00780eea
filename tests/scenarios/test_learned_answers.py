"""Learned answers: asked in new words, what many have asked before has its answer, and what is like it but is not, has none."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tenure import Agent, Response
from tenure.learn.reading import Found
from tenure.learn.recording import Recording
from tenure.runtime.store import Connection, cached, recordings, verdicts
from tenure.testing import Embedded, embedded
from tests.waiting import eventually

PATTERNS: dict[str, Any] = {"patterns": {"auto_detect": True, "min_frequency": 10, "confidence": 0.9}, "audit": 0}
OPENINGS = ("", "Hi, ", "Hello there, ", "Quick question: ", "Sorry, ", "One thing: ", "Please, ", "Good morning, ")
ENDS = (
    "?",
    " please?",
    ", do you know?",
    " at the moment?",
    " these days?",
    ", thanks?",
    " in general?",
    " by the way?",
)
ASKED = {
    "We are open from nine to five.": ("when are you open", "what are your opening hours", "until when are you open"),
    "Parking is behind the house.": ("where can I park", "is there parking at yours", "where do I leave my car"),
    "We take cards and cash.": ("can I pay by card", "how can I pay", "which ways to pay do you take"),
}
OTHERS = (
    "can you recommend a good book on {}", "my order of {} never came", "I want to complain about {}", "do you sell {}",
    "who wrote the manual for {}", "what does {} weigh",
)  # fmt: skip
THINGS = ("garden chairs", "a violin", "sailing boats", "the blue lamp", "winter tyres", "old maps", "a tent", "honey")


def said() -> list[tuple[str, str]]:
    """What was asked, and what Claude has answered."""
    known = [
        (f"{opening}{stem}{end}", answer)
        for answer, stems in ASKED.items()
        for stem, opening, end in itertools.product(stems, OPENINGS, ENDS)
    ]
    others = [
        (f"{stem.format(thing)}?", f"About {thing}: ask {n}.")
        for n, (stem, thing) in enumerate(itertools.product(OTHERS, THINGS))
    ]
    return known + others


def desk(**more: Any) -> Agent:
    return Agent(name="desk", optimization={**PATTERNS, **more})


async def told(system: Embedded, agent: Agent, *, good: bool = True) -> None:
    """All of it was said in runs before, and somebody has judged each."""

    def write(db: Connection) -> None:
        for number, (request, answer) in enumerate(said()):
            run = f"default:run:desk:{number}"
            made = Recording(
                run=run, agent="desk", fingerprint=agent.fingerprint, request=request, answer=answer, cost=900, at=2**42
            )
            recordings.put(db, "default", made, teaches=True, plain=True)
            verdicts.put(db, run, "evaluate", good, "", 2**42)

    await system.require_store().transact(write)


async def learned(system: Embedded) -> Found:
    """What came of looking at it."""
    return (await system.learn.mine("desk")).found[-1]


async def test_a_question_in_new_words_has_the_answer_that_all_before_it_had() -> None:
    agent = desk()
    async with embedded(agent, claude=lambda body: "[Claude]") as system:
        await told(system, agent)
        found = await learned(system)
        assert (found.what, found.version) == ("answers", 3)
        asked = await agent.run("Hello, where can I leave my car please?")
        assert (asked.message, asked.tier, asked.cost) == ("Parking is behind the house.", "pattern", 0)
        assert asked.saved > 0
        assert await tiers(
            agent, "do you sell honey?", "where can I park 3 cars?", "I cannot park, can I?", "bonjour"
        ) == {"model"}


async def tiers(agent: Agent, *requests: str) -> set[str]:
    return {(await agent.run(request)).tier for request in requests}


async def test_who_has_a_role_a_state_or_something_to_add_is_answered_by_claude() -> None:
    agent = desk()
    async with embedded(agent, claude=lambda body: "[Claude]") as system:
        await told(system, agent)
        await learned(system)

        async def ask(**more: Any) -> Response:
            return await agent.run("where can I park?", **more)

        assert (await ask()).tier == "pattern"
        assert (await ask(state={"premium": True})).tier == "model"
        assert (await ask(context=["It is for a bus."])).tier == "model"
        assert (await ask(tenant="globex")).tier == "model", "another tenant has learned nothing"


@pytest.mark.parametrize("said_of_it", ["bad", "nothing"])
async def test_what_nobody_called_good_teaches_nothing(said_of_it: str) -> None:
    agent = desk()
    async with embedded(agent, claude=lambda body: "[Claude]") as system:
        await told(system, agent, good=False)
        if said_of_it == "nothing":
            await system.require_store().transact(lambda db: db.execute("DELETE FROM verdicts"))
        found = await learned(system)
        assert (found.what, found.why) == ("refused", "no answer was given 10 times, word for word")


async def test_audits_that_find_it_wrong_too_often_close_it() -> None:
    agent = desk(audit=1)
    async with embedded(agent, claude=lambda body: "different") as system:
        await told(system, agent)
        await learned(system)
        assert (await agent.run("where can I park?")).tier == "model", "every one is audited"

        async def closed() -> bool:
            found = await system.require_store().read(lambda db: cached.closed(db, ("default", "desk")))
            return "patterns" in found

        await eventually(closed)


async def test_too_little_proves_nothing_and_says_so() -> None:
    agent = desk()
    async with embedded(agent, claude=lambda body: "[Claude]") as system:
        await told(system, agent)
        await system.require_store().transact(
            lambda db: db.execute("DELETE FROM recordings WHERE workflow LIKE '%:desk:%0'")
        )
        await system.require_store().transact(
            lambda db: db.execute("DELETE FROM recordings WHERE workflow > 'default:run:desk:2'")
        )
        found = await learned(system)
        assert found.what == "refused"
        assert "might be wrong" in found.why or "are the least" in found.why
