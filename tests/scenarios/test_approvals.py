"""What a person must allow, and what does not count as a person allowing it."""

from __future__ import annotations

import functools
import json
import time

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from temporalio.client import WorkflowUpdateFailedError

from tenure import Agent, RunHandle, tool
from tenure.activities.resources import now
from tenure.approvals.answer import Answer, sign
from tenure.approvals.approvers import Approver, encode_key, vouch
from tenure.approvals.request import Request, Verdict
from tenure.errors import AnswerRefused, BadInput
from tenure.runtime import keys
from tenure.runtime.store import approvals, approvers
from tenure.runtime.temporal import start_server
from tenure.testing import Embedded, embedded
from tenure.testing.scripted_claude import text, tool_use
from tests.waiting import eventually, one_pending

DONE: list[str] = []


@tool(effect="destructive")
async def delete_account(account: str) -> str:
    """Delete an account for good."""
    DONE.append(account)
    return f"{account} deleted"


@tool(effect="privileged", idempotent=True)
async def grant_role(user: str, role: str) -> str:
    """Give somebody a role."""
    DONE.append(f"{user}:{role}")
    return "granted"


admin = Agent(name="admin", tools=[delete_account, grant_role])
SCRIPT = [tool_use("delete_account", account="a1"), text("It is done.")]


@pytest.fixture(autouse=True)
def _nothing_done() -> None:
    DONE.clear()


def mint(system: Embedded, request: Request, by: str = "operator", **changed: object) -> str:
    """A token like the one the CLI makes, with some claims changed."""
    claims: dict[str, object] = {
        "request": request.id,
        "digest": request.digest,
        "verdict": "approve",
        "principal": by,
        "jti": f"jti-{time.monotonic_ns()}",
        "exp": int(time.time()) + 60,
    }
    return sign(Answer.model_validate(claims | changed), keys.load(system.settings.home / "keys", by))


async def verdict_of(system: Embedded, request: Request, token: str) -> Verdict:
    verdict = await system.approvals.send(request, token)
    assert verdict is not None
    return verdict


async def test_a_destructive_call_waits_for_two_different_people() -> None:
    async with embedded(admin, claude=SCRIPT) as system:
        handle = await admin.start("delete a1", user="alice")
        request = await one_pending(system)
        why = "delete_account is destructive"
        assert request.payload == {
            "tool": "delete_account",
            "arguments": {"account": "a1"},
            "effect": "destructive",
            "why": why,
            "terms": {"quorum": 2, "on_timeout": "halt"},
        }
        assert request.quorum == 2
        await system.answer(request, "approve", by="operator")
        with pytest.raises(AnswerRefused, match="operator has approved this already: another person must"):
            await system.answer(request, "approve", by="operator")
        assert (await handle.progress()).status == "waiting"
        assert DONE == []
        await system.answer(request, "approve", by="reviewer")
        response = await handle.result()
        assert (response.message, DONE) == ("It is done.", ["a1"])
        assert await system.approvals.pending() == []


async def test_a_denial_is_told_to_claude_with_the_persons_note() -> None:
    async with embedded(admin, claude=SCRIPT) as system:
        handle = await admin.start("delete a1")
        request = await one_pending(system)
        await system.answer(request, "deny", by="reviewer", note="ask the customer first")
        response = await handle.result()
        assert (response.status, DONE) == ("completed", [])
        assert response.tool_calls[0]["result"] == "denied by reviewer. ask the customer first"
        assert system.claude is not None
        shown = system.claude.requests[-1].body["messages"][-1]["content"][0]
        assert shown["is_error"]
        assert "ask the customer first" in shown["content"]


async def test_a_waiting_run_is_found_by_its_search_attributes() -> None:
    async with embedded(admin, claude=SCRIPT) as system:
        handle = await admin.start("delete a1")
        request = await one_pending(system)

        async def waiting() -> list[str]:
            query = "TenurePending > 0 AND TenureStatus = 'waiting'"
            return [run.id async for run in system.temporal.list_workflows(query)]

        assert await eventually(waiting) == [handle.id]
        metadata = await handle.workflow.query("__temporal_workflow_metadata")
        assert f"tenure answer {request.id} approve" in metadata.current_details
        assert await handle.workflow.query("pending", result_type=list[Request]) == [request]
        await system.approve(request)
        await handle.result()


FORGERIES = {
    "the digest differs": {"digest": "0" * 64},
    "meant for request": {"request": "req-other"},
    "is no choice here": {"verdict": "maybe"},
    "has expired": {"exp": 1},
    "in the name of": {"principal": "reviewer"},
}


async def test_answers_that_do_not_count_are_refused_by_name_and_the_run_goes_on_waiting() -> None:
    async with embedded(admin, claude=SCRIPT) as system:
        handle = await admin.start("delete a1", user="operator2")
        request = await one_pending(system)
        for reason, changed in FORGERIES.items():
            claims = Answer.model_validate(
                {
                    "request": request.id,
                    "digest": request.digest,
                    "verdict": "approve",
                    "principal": "operator",
                    "jti": f"j-{reason}",
                    "exp": int(time.time()) + 60,
                    **changed,
                }
            )
            key = keys.load(system.settings.home / "keys", "operator")
            token = sign(claims, key)
            if changed.get("principal"):  # signed by operator, in reviewer's name
                import jwt

                token = jwt.api_jws.encode(
                    claims.model_dump_json().encode(), key, "EdDSA", {"typ": "tenure-answer+jws", "kid": "operator"}
                )
            verdict = await verdict_of(system, request, token)
            assert not verdict.accepted
            assert reason in verdict.reason
        assert (DONE, (await handle.progress()).status) == ([], "waiting")
        await handle.cancel()
        await handle.result()


async def test_an_unknown_key_a_self_made_row_and_a_revoked_key_approve_nothing() -> None:
    async with embedded(admin, claude=SCRIPT) as system:
        handle = await admin.start("delete a1")
        request = await one_pending(system)
        store, mallory, own_root = system.require_store(), Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
        claims = {"request": request.id, "digest": request.digest, "verdict": "approve", "exp": int(time.time()) + 60}
        token = sign(Answer.model_validate({**claims, "principal": "mallory", "jti": "m1"}), mallory)
        assert "no approver" in (await verdict_of(system, request, token)).reason
        statement = vouch(Approver(principal="mallory", key=encode_key(mallory.public_key())), own_root)
        await store.transact(lambda db: approvers.add(db, "mallory", statement, now()))
        token = sign(Answer.model_validate({**claims, "principal": "mallory", "jti": "m2"}), mallory)
        assert "not signed by the root key" in (await verdict_of(system, request, token)).reason
        await store.transact(lambda db: approvers.revoke(db, "operator", now()))
        assert "no longer" in (await verdict_of(system, request, mint(system, request))).reason
        assert DONE == []
        await handle.cancel()
        await handle.result()


async def test_an_answer_counts_once_and_nobody_approves_a_run_of_their_own() -> None:
    async with embedded(admin, claude=[*SCRIPT[:1], tool_use("delete_account", account="a2"), text("ok")]) as system:
        handle = await admin.start("delete both", user="reviewer")
        request = await one_pending(system)
        assert "of their own" in (await verdict_of(system, request, mint(system, request, by="reviewer"))).reason
        token = mint(system, request)
        assert (await verdict_of(system, request, token)).accepted
        again = await handle.workflow.execute_update("answer", token, result_type=Verdict)
        assert again.accepted  # the same verdict on the same token, and still one approval of two
        assert (await handle.progress()).status == "waiting"
        await handle.cancel()
        await handle.result()
        assert DONE == []


GARBAGE = [
    "eyJhbGciOiJFZERTQSIsInR5cCI6InRlbnVyZS1hbnN3ZXIrandzIiwia2lkIjoiXHVkODAwIn0.e30.AAAA",  # kid: a lone surrogate
    "",
    "x",
    "a.b.c",
    "é" * 100,
    "A" * 100_000,
    "{}",
    '{"alg":"none"}',
    "eyJhbGciOiJub25lIn0.e30.",
    None,
    5,
    [],
    {"a": 1},
]


async def test_garbage_sent_as_an_answer_neither_fails_nor_wedges_the_run() -> None:
    async with embedded(admin, claude=SCRIPT) as system:
        handle = await admin.start("delete a1")
        request = await one_pending(system)
        for garbage in GARBAGE:
            await handle.workflow.signal("answer", garbage)
        await handle.workflow.signal("answer", args=["a", "b", "c"])
        await handle.workflow.signal("answer")
        update = await handle.workflow.execute_update("answer", "garbage", result_type=Verdict)
        assert (update.accepted, update.reason[:22]) == (False, "not a compact JWS: thr")
        await eventually(functools.partial(_shows, handle, f"{len(GARBAGE) + 4} refused, the last: "))
        await system.approve(request)
        assert (await handle.result()).message == "It is done."
        recorded = await system.require_store().read(lambda db: approvals.answers_to(db, handle.id))
        refused = [verdict.reason[:17] for verdict in recorded if not verdict.accepted]
        # Of what has not even the form of an answer, one stands for all.
        assert sorted(refused) == ["not a compact JWS", "the header's kid "]


async def _shows(handle: RunHandle, told: str) -> bool:
    return told in (await handle.workflow.query("__temporal_workflow_metadata")).current_details


async def test_an_update_is_refused_when_nothing_is_asked() -> None:
    from tenure.testing.scripted_claude import slow

    async with embedded(admin, claude=[slow(text("bye"), 2.0)]):
        handle = await admin.start("hello")
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await handle.workflow.execute_update("answer", "x")
        assert "asks nothing" in str(refused.value.cause)
        await handle.result()


async def test_a_request_altered_in_the_store_cannot_be_signed() -> None:
    async with embedded(admin, claude=SCRIPT) as system:
        handle = await admin.start("delete a1")
        request = await one_pending(system)
        altered = request.model_copy(update={"payload": {**request.payload, "arguments": {"account": "b2"}}})
        with pytest.raises(AnswerRefused, match="was altered"):
            await system.answer(altered, "approve")
        with pytest.raises(BadInput, match="one of approve, deny"):
            await system.answer(request, "perhaps")
        await handle.cancel()
        await handle.result()


async def test_200_genuine_answers_and_a_flood_of_garbage_survive_continue_as_new() -> None:
    """Continue-as-new is suggested all the time: the wait itself is carried, and nothing is lost or counted twice."""
    flags = ["--dynamic-config-value", "limit.historyCount.suggestContinueAsNew=20"]
    server = await start_server(flags=flags)
    try:
        async with embedded(admin, claude=SCRIPT, server=server) as system:
            handle = await admin.start("delete a1")
            request = await one_pending(system)
            tokens = [mint(system, request) for _ in range(100)]
            for token in tokens:
                await handle.workflow.signal("answer", token)
                await handle.workflow.signal("answer", "garbage")
            await system.answer(request, "approve", by="reviewer")
            assert (await handle.result()).success
            recorded = await system.require_store().read(lambda db: approvals.answers_to(db, handle.id))
            assert DONE == ["a1"]
            assert sum(verdict.principal == "operator" for verdict in recorded) >= 1
            first = await system.temporal.get_workflow_handle(handle.id).describe()
            assert json.dumps(first.raw_description.workflow_execution_info.first_run_id) != json.dumps(first.run_id)
    finally:
        await server.shutdown()
