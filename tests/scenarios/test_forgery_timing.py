"""Answers at the worst moment: two at once, one before its author is revoked, two hundred while runs continue as new."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from temporalio.api.enums.v1 import WorkflowTaskFailedCause
from temporalio.client import Client

from tenure import RunHandle
from tenure.activities.resources import now
from tenure.approvals.approvers import Approver, encode_key
from tenure.client import Tenure
from tenure.runtime import approving, keys
from tenure.runtime.history import events_of
from tenure.runtime.store import Connection, approvals
from tenure.runtime.temporal import start_server
from tenure.testing import Embedded, embedded
from tenure.testing.scripted_claude import text, tool_use
from tenure.trust.restrictions import Restriction
from tests.scenarios.test_forgery import PAID, Forger, asks, desk, effects_of, meet_people, of_run, refused
from tests.waiting import eventually, one_pending

CARD = [[tool_use("refund", order="o1", amount=50), tool_use("refund", order="o2", amount=50)], text("done")]
SLOWLY = "1/2s"  # the second call of a card waits so long that there is time between its approval and its effect
RUNS, PEOPLE = 20, 10  # each run asks once and needs an answer of each of these people


@pytest.fixture(autouse=True)
def _nothing_paid() -> None:
    PAID.clear()


# Two at once


async def ended_as(system: Embedded, handle: RunHandle) -> tuple[bool, str | None, int]:
    """What became of a run's one call: for the run, in the list of requests, and in the world."""
    made = (await handle.result()).tool_calls[0]["ok"]
    (asked,) = await system.require_store().read(lambda db: approvals.of_run(db, handle.id))
    return made, asked.choice, len(await effects_of(system, handle))


async def test_an_approval_and_a_denial_sent_at_once_come_to_one_decision_everywhere() -> None:
    agent = desk()
    async with embedded(agent, claude=asks("o1")) as system:
        known = await meet_people(system)
        handles = [await agent.start("go") for _ in range(8)]
        for number, handle in enumerate(handles):
            forger = Forger(await of_run(system, handle), known)
            both = [forger.token("operator"), forger.token("reviewer", verdict="deny")]
            both = both[:: 1 if number % 2 else -1]
            await asyncio.gather(*(handle.workflow.signal("answer", token) for token in both))
        found = [await ended_as(system, handle) for handle in handles]
    assert set(found) <= {(True, "approve", 1), (False, "deny", 0)}
    assert len(PAID) == sum(made for made, _, _ in found)


@pytest.mark.parametrize("verdicts", [("approve", "deny"), ("deny", "approve")])
async def test_of_two_answers_at_once_the_one_that_is_not_followed_is_not_accepted(verdicts: tuple[str, str]) -> None:
    agent = desk()
    async with embedded(agent, claude=asks("o1")) as system:
        handle, known = await agent.start("go"), await meet_people(system)
        forger = Forger(await one_pending(system), known)
        tokens = [forger.token(by, verdict=said) for by, said in zip(keys.LOCAL_PRINCIPALS, verdicts, strict=True)]
        await handle.workflow.signal("answer", args=tokens)
        await handle.result()
        recorded = await system.require_store().read(lambda db: approvals.answers_to(db, handle.id))
    assert [(verdict.choice, verdict.reason) for verdict in recorded if verdict.accepted] == [(verdicts[0], "")]


async def test_an_answer_that_comes_a_moment_too_late_hears_so() -> None:
    agent = desk()
    async with embedded(agent, claude=asks("o1")) as system:
        handle, known = await agent.start("go"), await meet_people(system)
        forger = Forger(await one_pending(system), known)
        tokens = [forger.token(by) for by in keys.LOCAL_PRINCIPALS * 5]
        for token in tokens:  # one after the other: the first one settles it
            await handle.workflow.signal("answer", token)
        await handle.result()
        assert await unheard(system, tokens) == []


async def unheard(system: Embedded, tokens: list[str]) -> list[str]:
    """The tokens of which no verdict is recorded."""
    known = await system.require_store().read(
        lambda db: {row[0] for row in db.execute("SELECT token_hash FROM answers")}
    )
    return [token for token in tokens if hashlib.sha256(token.encode()).hexdigest() not in known]


# Between approving and the effect

ROOT = Callable[[Connection, Ed25519PrivateKey, Approver], Any]
ENDS: dict[str, tuple[str, ROOT]] = {
    "revoked": (
        "no longer",
        lambda db, root, one: approving.revoke(db, root.public_key(), "dora", "left", "ops", now()),
    ),
    "moved to another tenant": (
        "may not answer for tenant",
        lambda db, root, one: approving.enter(db, root, one.model_copy(update={"tenant": "globex"}), now(), "ops"),
    ),
    "without the role": (
        "not vouched for",
        lambda db, root, one: approving.enter(db, root, one.model_copy(update={"roles": []}), now(), "ops"),
    ),
    "with another key": (
        "signature does not hold",
        lambda db, root, one: approving.enter(
            db,
            root,
            one.model_copy(update={"key": encode_key(Ed25519PrivateKey.generate().public_key())}),
            now(),
            "ops",
            replace=True,
        ),
    ),
}


@pytest.mark.parametrize("how", ENDS)
async def test_what_somebody_approved_is_asked_again_when_they_may_not_approve_it_any_more(how: str) -> None:
    agent, (why, end) = desk(SLOWLY, role="finance"), ENDS[how]
    async with embedded(agent, claude=CARD) as system:
        known = await meet_people(system) | {"dora": Ed25519PrivateKey.generate()}
        dora = Approver(principal="dora", key=encode_key(known["dora"].public_key()), roles=["finance"])
        store, root = system.require_store(), known["root"]
        await store.transact(lambda db: approving.enter(db, root, dora, now(), "ops"))
        handle = await agent.start("go")
        first = Forger(await one_pending(system), known)
        await handle.workflow.signal("answer", first.token("dora"))

        async def one_paid() -> bool:
            return PAID == ["o1 50"]

        await eventually(one_paid)
        await store.transact(lambda db: end(db, root, dora))
        second = Forger(await of_run(system, handle, but=first.request), known)
        assert (PAID, len(await effects_of(system, handle))) == (["o1 50"], 1)
        await refused(system, second.request, second.token("dora"), why)
        await system.approve(second.request)
        assert (await handle.result()).success
    assert PAID == ["o1 50", "o2 50"]


# Between a halt and its end


class Lagging:
    """A Temporal whose lists do not show yet what changed a moment ago: all of them are like that, only not every time."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        """Everything else is as it is."""
        return getattr(self._client, name)

    async def list_workflows(self, query: str) -> AsyncIterator[Any]:
        """Nothing yet."""
        for found in ():
            yield found


async def test_a_run_that_was_parked_a_moment_ago_is_woken_as_well() -> None:
    agent = desk()
    async with embedded(agent, claude=asks("o1")) as system:
        await system.restrictions.restrict("*", "desk", Restriction(kind="halt"), by="ops")
        handle = await agent.start("go")

        async def parked() -> bool:
            return (await handle.progress()).status == "waiting"

        await eventually(parked)
        operator = Tenure(cast("Client", Lagging(system.temporal)), system.settings, system.store, system.blobs)
        await operator.restrictions.lift("*", "desk", by="ops")
        await system.approve(await one_pending(system, within=3))
        assert (await handle.result()).success


# While runs continue as new


async def test_of_200_genuine_answers_at_continue_as_new_none_is_lost_and_none_counts_twice(tmp_path: Path) -> None:
    """Every answer that does not settle its request makes the run continue as new, while the others are on their way.

    Each of the 200 is needed: a run whose answer is lost never ends.
    """
    agent = desk(quorum=PEOPLE)
    server = await start_server(flags=["--dynamic-config-value", "limit.historyCount.suggestContinueAsNew=4"])
    try:
        async with embedded(desk(), claude="", server=server, home=tmp_path) as system:
            known = await crowd(system)
        async with embedded(agent, claude=asks("o1"), server=server, home=tmp_path) as system:
            handles = [await agent.start("go", tenant=f"t{number}") for number in range(RUNS)]
            sent = await asyncio.gather(*(answered(system, handle, known) for handle in handles))
            tokens = list(itertools.chain.from_iterable(sent))
            responses = await asyncio.gather(*(handle.result() for handle in handles))
            rows = await system.require_store().read(lambda db: db.execute("SELECT * FROM answers").fetchall())
            verdicts = Counter(row["token_hash"] for row in rows if row["accepted"])
            assert len(tokens) == 200
            assert verdicts == Counter(hashlib.sha256(token.encode()).hexdigest() for token in tokens)
            assert [response.success for response in responses] == [True] * RUNS
            assert [len(await effects_of(system, handle)) for handle in handles] == [1] * RUNS
            moves, met = await moved(system, handles)
        assert PAID == ["o1 50"] * RUNS
        assert moves >= 2 * RUNS
        assert met > 0
        print(f"{moves} continuations, {met} met by an answer")
    finally:
        await server.shutdown()


async def crowd(system: Embedded) -> dict[str, Ed25519PrivateKey]:
    """Ten approvers and their keys."""
    root, known = (
        keys.load(system.settings.home / "keys", "root"),
        {f"p{n}": Ed25519PrivateKey.generate() for n in range(PEOPLE)},
    )

    def enter(db: Connection) -> None:
        for name, key in known.items():
            person = Approver(principal=name, key=encode_key(key.public_key()))
            approving.enter(db, root, person, now(), "a test")

    await system.require_store().transact(enter)
    return known


async def answered(system: Embedded, handle: RunHandle, known: dict[str, Ed25519PrivateKey]) -> list[str]:
    """Everybody answers, each in the moment in which the run has read the answer before and wants to continue as new."""
    forger = Forger(await of_run(system, handle), known)
    tokens = [forger.token(name) for name in known]
    for token in tokens:
        await handle.workflow.signal("answer", token)
        while await unheard(system, [token]):  # noqa: ASYNC110  # there is no event: what we wait for is a row
            await asyncio.sleep(0.005)
    return tokens


async def moved(system: Embedded, handles: list[RunHandle]) -> tuple[int, int]:
    """How often the runs continued as new, and how often an answer came in the very moment in which one wanted to."""
    moves = met = 0
    for handle in handles:
        async for event in events_of(system.temporal, handle.id):
            moves += event.HasField("workflow_execution_continued_as_new_event_attributes")
            failed = event.workflow_task_failed_event_attributes
            met += failed.cause == WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND
    return moves, met
