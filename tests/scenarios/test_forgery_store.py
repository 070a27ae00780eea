"""Somebody who writes to the database but holds no key: what they cannot do, and what they can.

They can lie about what is waited for and about what was done, keep people from being heard, and bring back what an operator took
away. They cannot have anything made that nobody approved, but for what stands under `xfail` here.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import hashlib
import json
from typing import Any

import pytest

from tenure import Agent, RunHandle
from tenure.activities.job import Job
from tenure.activities.permit import permit
from tenure.activities.resources import now
from tenure.approvals.request import Request, Verdict
from tenure.errors import AnswerRefused
from tenure.runtime import approving, keys
from tenure.runtime.store import Connection, agents, ledgers, runs, transcript
from tenure.testing import Embedded, embedded
from tenure.testing.scripted_claude import text, tool_use
from tenure.transcript import calls_made
from tenure.trust import ledger
from tenure.trust.ledger import Policy
from tenure.trust.restrictions import Restriction
from tenure.turn import Act
from tests.scenarios.test_forgery import (
    PAID,
    Forger,
    asks,
    defect,
    desk,
    effects_of,
    meet_people,
    of_run,
    refused,
    sent,
)
from tests.waiting import eventually, one_pending

MORE = {"order": "o1", "amount": 5000}
CARD = [[tool_use("refund", order="o1", amount=50), tool_use("refund", order="o2", amount=50)], text("done")]
SLOWLY = "1/2s"  # the second call of a card waits so long that there is time between its approval and its effect


@pytest.fixture(autouse=True)
def _nothing_paid() -> None:
    PAID.clear()


async def write(system: Embedded, statement: str, *values: Any) -> None:
    """Whatever somebody types into the database."""
    await system.require_store().transact(lambda db: db.execute(statement, values))


async def write_answer(system: Embedded, request: Request, by: str, token: str = "open sesame") -> None:
    """A row like the one of an answer that was accepted."""
    name = hashlib.sha256(token.encode()).hexdigest()
    told = Verdict(accepted=True, choice="approve", principal=by, jti=f"forged {token} {by}")
    row = (name, request.id, request.workflow, told.jti, by, told.model_dump_json(), now(), token)
    await write(system, "INSERT INTO answers VALUES (?, ?, ?, ?, ?, 1, '', ?, ?, ?, 0)", *row)


def altered(request: Request) -> str:
    """The body of a request that shows more money."""
    return request.model_copy(update={"payload": request.payload | {"arguments": MORE}}).model_dump_json()


async def paid_once() -> bool:
    return PAID == ["o1 50"]


# Requests


async def test_a_request_altered_in_the_store_is_not_signed_and_neither_call_is_made() -> None:
    agent = desk()
    async with embedded(agent, claude=asks("o1", "o1")) as system:
        handle, known = await agent.start("go"), await meet_people(system)
        request = await one_pending(system)
        await write(system, "UPDATE requests SET body = ? WHERE id = ?", altered(request), request.id)
        shown = await one_pending(system)
        assert shown.payload["arguments"] == MORE
        with pytest.raises(AnswerRefused, match="was altered"):
            await system.answer(shown, "approve")
        # Somebody signs what the run itself asks: what stands in the store is still another thing than what they approved.
        assert (await sent(system, request, Forger(request, known).token())).accepted
        second = await of_run(system, handle, but=request)
        assert (PAID, await effects_of(system, handle)) == ([], [])
        await system.approve(second)
        response = await handle.result()
    assert "no approval of it stands in the store" in response.tool_calls[0]["result"]
    assert (response.success, PAID) == (True, ["o1 50"])


async def test_a_request_altered_between_its_approval_and_the_effect_approves_nothing() -> None:
    agent = desk(SLOWLY)
    async with embedded(agent, claude=CARD) as system:
        handle = await agent.start("go")
        request = await one_pending(system)
        await system.approve(request)
        await eventually(paid_once)
        calls = [call | {"arguments": MORE} for call in request.payload["calls"]]
        body = request.model_copy(update={"payload": request.payload | {"calls": calls}}).model_dump_json()
        await write(system, "UPDATE requests SET body = ? WHERE id = ?", body, request.id)
        response = await handle.result()
        assert len(await effects_of(system, handle)) == 1
    assert "no approval of it stands in the store" in response.tool_calls[1]["result"]
    assert PAID == ["o1 50"]


async def test_a_call_altered_between_its_approval_and_the_effect_is_not_made_and_the_run_says_why() -> None:
    agent = desk(SLOWLY)
    async with embedded(agent, claude=CARD) as system:
        handle = await agent.start("go")
        request = await one_pending(system)
        await system.approve(request)
        await eventually(paid_once)
        turn = 'UPDATE transcript SET row = replace(row, \'"order":"o2"\', \'"order":"o3"\') WHERE workflow = ? AND seq = ?'
        await write(system, turn, handle.id, request.seq - 1)
        response = await handle.result()
        assert len(await effects_of(system, handle)) == 1
    assert response.status == "failed"
    assert "was not ruled on" in response.message
    assert PAID == ["o1 50"]


async def test_an_approval_written_into_a_request_makes_nothing_and_keeps_the_genuine_one_from_counting() -> None:
    agent = desk()
    async with embedded(agent, claude=asks("o1")) as system:
        handle, known = await agent.start("go"), await meet_people(system)
        forger = Forger(await one_pending(system), known)
        closed = "UPDATE requests SET choice = 'approve', principal = 'operator', closed_at = 1 WHERE id = ?"
        await write(system, closed, forger.request.id)
        await refused(system, forger.request, forger.token(), "answered before")
        assert (PAID, (await handle.progress()).status) == ([], "waiting")
        await write(system, "UPDATE requests SET choice = NULL, closed_at = NULL WHERE id = ?", forger.request.id)
        assert (await sent(system, forger.request, forger.token())).accepted
        assert (await handle.result()).success
    assert PAID == ["o1 50"]


UNREADABLE = [
    pytest.param("{", id="cut off"),
    pytest.param({"answer": "yes"}, id="a payload of another kind"),
    pytest.param({"calls": [1]}, id="calls that are none"),
    pytest.param({"answer": float("nan")}, id="what has no digest"),
]


@pytest.mark.parametrize("written", UNREADABLE)
async def test_a_request_made_unreadable_is_no_approval_and_hides_no_other(written: Any) -> None:
    """What permit raises, Temporal tries again for ever: the run waits for nobody, and nobody sees it wait."""
    agent = desk()
    async with embedded(agent, claude=asks("o1")) as system:
        handles = [await agent.start("go") for _ in range(2)]
        request, other = [await of_run(system, handle) for handle in handles]
        whole = json.loads(request.model_dump_json())
        body = written if written == "{" else json.dumps(whole | {"payload": written})
        await write(system, "UPDATE requests SET body = ?, choice = 'approve' WHERE id = ?", body, request.id)
        store, root = system.require_store(), system.resources.root
        looked = functools.partial(job, agent=agent, handle=handles[0], about=request, request=request.id)
        stale = await store.read(lambda db: permit(db, looked(db), root))
        shown = [one.id for one in await system.approvals.pending()]
    assert stale is not None
    assert other.id in shown


# Answers


async def test_answers_written_into_the_store_approve_nothing_and_keep_the_genuine_ones_from_counting() -> None:
    agent = desk(quorum=2)
    async with embedded(agent, claude=asks("o1")) as system:
        handle, known = await agent.start("go"), await meet_people(system)
        forger = Forger(await one_pending(system), known)
        assert (await sent(system, forger.request, forger.token("operator"))).accepted
        await write_answer(system, forger.request, "reviewer")  # the second of two, so to speak
        assert not (await sent(system, forger.request, forger.token("reviewer"))).accepted
        assert (PAID, (await handle.progress()).status) == ([], "waiting")
        await write(system, "DELETE FROM answers WHERE jti LIKE 'forged%'")
        assert (await sent(system, forger.request, forger.token("reviewer"))).accepted
        assert (await handle.result()).success
    assert PAID == ["o1 50"]


async def test_an_answer_written_into_the_store_and_sent_as_two_words_approves_nothing() -> None:
    agent = desk()
    async with embedded(agent, claude=asks("o1")) as system:
        handle = await agent.start("go")
        request = await one_pending(system)
        await write_answer(system, request, "operator")
        verdict = await handle.workflow.execute_update("answer", "open sesame", result_type=Verdict)
        await handle.cancel()
        await handle.result()
        assert (verdict.accepted, PAID) == (False, [])


# What an operator took away


async def test_a_database_writer_brings_back_a_revoked_approver_but_not_what_they_had_approved() -> None:
    agent = desk(SLOWLY)
    async with embedded(agent, claude=CARD) as system:
        handle, known = await agent.start("go"), await meet_people(system)
        request = await one_pending(system)
        await system.answer(request, "approve", by="operator")
        await eventually(paid_once)
        root = keys.load(system.settings.home / "keys", "root").public_key()
        revoke = lambda db: approving.revoke(db, root, "operator", "left", "ops", now())  # noqa: E731
        await system.require_store().transact(revoke)
        await write(system, "UPDATE approvers SET revoked_at = NULL WHERE principal = 'operator'")
        second = Forger(
            await of_run(system, handle, but=request), known
        )  # asked again all the same: the fence has moved
        assert PAID == ["o1 50"]
        assert (await sent(system, second.request, second.token("operator"))).accepted  # not stopped
        assert (await handle.result()).success


async def test_a_database_writer_lifts_a_halt() -> None:
    """Not stopped, and so stated: restrictions are rows. Who lifted one is not recorded."""
    agent = desk()
    async with embedded(agent, claude=asks("o1")) as system:
        await system.restrictions.restrict("*", "desk", Restriction(kind="halt"), by="ops")
        handle = await agent.start("go")

        async def halted() -> bool:
            return (await handle.progress()).status == "waiting"

        await eventually(halted)
        await write(system, "DELETE FROM restrictions")
        await handle.workflow.signal("resume")
        await system.approve(await one_pending(system))
        assert (await handle.result()).success


@defect("the level is what the row says: nothing binds it to the approvals that raised it")
async def test_a_level_written_into_the_store_lets_nothing_be_made() -> None:
    agent = desk()
    async with embedded(agent, claude=asks("o1")) as system:

        def promote(db: Connection) -> None:
            begun = ledger.begin(Policy.model_validate_json(agents.policy(db, "desk", now()) or ""), now())
            ledgers.keep(db, "default", "desk", begun.model_copy(update={"level": 10}), 0, now())

        await system.require_store().transact(promote)
        handle = await agent.start("go")
        over = asyncio.ensure_future(handle.result())
        await eventually(lambda: _asks_or_ends(system, over))
        await handle.cancel()
        await over
    assert PAID == []


async def _asks_or_ends(system: Embedded, over: asyncio.Future[Any]) -> bool:
    return over.done() or bool(await system.approvals.pending())


# The second look, at what a workflow that is not ours might ask for


def job(db: Connection, agent: Agent, handle: RunHandle, about: Request, **ask: Any) -> Job:
    """An attempt at the one call that `about` asks about, with whatever `ask` claims of it."""
    run, turn = runs.get(db, handle.id), transcript.standing(db, handle.id, about.seq - 1)
    assert run is not None
    assert turn is not None
    return Job(
        ask=Act(seq=about.seq - 1, call=0, digest="", state_before=0, **ask),
        workflow=handle.id,
        seq=about.seq,
        run=run,
        agent=agent,
        tool=agent.tool["refund"],
        block=calls_made(turn[0])[0],
        key="",
        token="",
        state={},
        number=1,
    )


async def test_an_approval_holds_for_what_was_approved_and_for_nothing_else() -> None:
    agent = desk(quorum=2)
    orders = ("o1", "o1", "o2", "o3")
    async with embedded(agent, claude=asks(*orders)) as system:
        x, y = await agent.start("go", user="alice"), await agent.start("go", user="alice")
        approved = await of_run(system, x)
        await system.approve(approved)
        denied = await of_run(system, x, but=approved)
        await system.answer(denied, "deny")
        third = await eventually(lambda: _asked(system, x, "o2"))
        await system.answer(third, "approve")  # one of two
        others = await of_run(system, y)
        await system.approve(others)
        root, store = system.resources.root, system.require_store()

        async def look(call: Request, **claimed: Any) -> str:
            given = {name: claimed.pop(name) for name in ("block", "run") if name in claimed}

            def permitted(db: Connection) -> Any:
                made = job(db, agent, x, call, **claimed)
                run = dataclasses.replace(made.run, **given.get("run", {}))
                return permit(db, dataclasses.replace(made, run=run, block=made.block | given.get("block", {})), root)

            stale = await store.read(permitted)
            return "" if stale is None else stale.why

        assert await look(approved, request=approved.id) == ""
        refusals = {
            "none": await look(approved),
            "one that is not there": await look(approved, request="req-0000000000000000"),
            "one that was denied": await look(denied, request=denied.id),
            "one that waits": await look(third, request=third.id),
            "of another call": await look(third, request=approved.id),
            "of another run": await look(approved, request=others.id),
            "for other arguments": await look(approved, request=approved.id, block={"input": MORE}),
            "from before a restriction": await look(approved, request=approved.id, fence=7),
            "of the run's own user": await look(approved, request=approved.id, run={"user": "operator"}),
            "for another tenant": await look(approved, request=approved.id, run={"tenant": "globex"}),
        }
        assert {name: why for name, why in refusals.items() if "needs level 0.9" not in why} == {}
        for handle in (x, y):
            await handle.cancel()


async def test_an_approval_of_a_call_does_not_hold_for_the_next_one_like_it() -> None:
    agent = desk()
    async with embedded(agent, claude=asks("o1", "o1")) as system:
        handle = await agent.start("go")
        first = await one_pending(system)
        await system.approve(first)
        second = await of_run(system, handle, but=first)
        root = system.resources.root
        look = lambda db: permit(db, job(db, agent, handle, second, request=first.id), root)  # noqa: E731
        stale = await system.require_store().read(look)
        await handle.cancel()
        assert stale is not None


async def _asked(system: Embedded, handle: RunHandle, order: str) -> Any:
    found = [one for one in await system.approvals.pending() if one.workflow == handle.id]
    return next((one for one in found if one.payload["arguments"]["order"] == order), None)
