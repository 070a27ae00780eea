"""What anybody may send to a ledger of trust: garbage, floods, answers that nobody gave. It goes on, and no level rises."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tenure import Agent
from tenure.activities.resources import now
from tenure.approvals import answer
from tenure.approvals.answer import Answer
from tenure.approvals.request import Request
from tenure.runtime import judging, keys
from tenure.runtime.store import Connection, approvals, runs
from tenure.testing import Embedded
from tests.desk import (
    GOOD,
    WHO,
    desk,
    has_failed_tasks,
    in_haste,
    is_quiet,
    kinds,
    ran,
    serving,
    that,
    workflow,
)
from tests.waiting import eventually, one_pending

__all__ = ["in_haste"]  # a fixture

pytestmark = pytest.mark.usefixtures("hasty")

GARBAGE: list[list[Any]] = [
    [],
    [None],
    ["restore"],
    ["carry", {"a": [1]}],
    [b"\xff\xfe"],
    [{"x": "y" * 100_000}] * 3,
    ["\ud800"],
    list(range(500)),
]


async def test_garbage_neither_fails_nor_wedges_the_ledger() -> None:
    agent = desk()
    async with serving(agent) as system:
        await ran(agent, system, 1)
        before = await is_quiet(system)
        for name in ("nudge", "ask_back", "answer", "no_such_signal"):
            for payload in GARBAGE:
                try:
                    await workflow(system).signal(name, args=payload)
                except (UnicodeEncodeError, ValueError):  # what no client can send
                    continue
        after = await is_quiet(system)
        assert (after.level, after.ledger) == (before.level, before.ledger)
        await ran(agent, system, 1)
        await that(system, lambda found: len(found.ledger.evidence.judged) == 2)


async def test_long_notes_on_severe_incidents_do_not_wedge_the_ledger() -> None:
    agent = desk(initial=0.5)
    async with serving(agent) as system:
        (run,) = await ran(agent, system, 1)

        def flood(db: Connection) -> None:
            row = runs.get(db, run)
            assert row is not None
            for _ in range(500):
                judging.say(db, row, "client", False, "☃" * 8000, now(), severe=True)

        await system.require_store().transact(flood)
        await judging.nudge(system.require_store(), system.temporal, "tenure", WHO)
        await that(system, lambda found: found.level == 0)
        await asyncio.sleep(1)
        assert not await has_failed_tasks(system)


async def test_a_reason_of_a_megabyte_does_not_wedge_the_ledger() -> None:
    agent = desk(initial=0.5)
    async with serving(agent) as system:
        (run,) = await ran(agent, system, 1)
        await system.feedback.give(run, False, unsafe=True)
        await that(system, lambda found: found.level == 0)
        await workflow(system).signal("ask_back", args=["restore", *["x" * 1000] * 1500])
        await one_pending(system)
        for _ in range(6):
            await workflow(system).signal("nudge")
            await asyncio.sleep(0.4)
        assert not await has_failed_tasks(system)


async def earned(system: Embedded, agent: Agent) -> Request:
    await ran(agent, system, 3)
    return await one_pending(system)


def _forged(system: Embedded, request: Request) -> list[str]:
    """Answers that nobody gave, and one whose time is over."""
    folder = system.settings.home / "keys"
    genuine = {
        "request": request.id, "digest": request.digest, "verdict": "approve", "principal": "operator",
        "jti": "once", "exp": int(time.time()) + 600,
    }  # fmt: skip
    header = {"typ": answer.TYPE, "kid": "operator"}
    late = Answer.model_validate({**genuine, "jti": "late", "exp": int(time.time()) - 600})
    return [
        jwt.encode(genuine, Ed25519PrivateKey.generate(), "EdDSA", header),
        jwt.encode(genuine, "", "none", header),
        jwt.encode({**genuine, "digest": "0" * 64}, keys.load(folder, "operator"), "EdDSA", header),
        answer.sign(late, keys.load(folder, "operator")),
    ]


async def test_a_forged_an_unsigned_and_a_late_answer_raise_nothing() -> None:
    agent = desk()
    async with serving(agent) as system:
        request = await earned(system, agent)
        for token in _forged(system, request):
            verdict = await system.approvals.send(request, token)
            assert verdict is not None
            assert not verdict.accepted
        assert (await is_quiet(system)).level == 3
        await system.approve(request)
        await that(system, lambda found: found.level == 4)


async def test_an_approval_of_a_proposal_that_died_meanwhile_raises_nothing() -> None:
    agent = desk()
    async with serving(agent) as system:
        request = await earned(system, agent)
        token = system.approvals.sign(
            request, "approve", "operator", keys.load(system.settings.home / "keys", "operator")
        )
        GOOD[0] = False
        await ran(agent, system, 1)

        async def died() -> bool:
            return "withdrawn" in await kinds(system)

        await eventually(died)
        await workflow(system).signal("answer", token)
        assert (await is_quiet(system)).level == 3
        assert "rise" not in await kinds(system)
        assert await system.require_store().read(lambda db: approvals.approved_by(db, request.id)) == []
