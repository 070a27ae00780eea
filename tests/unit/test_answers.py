"""Whose answers count: roles, ways, gateways and edits, as the activity `verify` sees them."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tenure.activities.verify import Verifying
from tenure.approvals.answer import TOKEN_LIMIT, Answer, sign
from tenure.approvals.approvers import vouch
from tenure.approvals.request import Kind, Request, Verdict, Verify
from tenure.runtime import approving
from tenure.runtime.registry import Registry
from tenure.runtime.store import Connection, Store, approvals, approvers
from tests.unit.vouching import AT, OWN, ROOT, TRUSTED, known, person

_numbers = itertools.count()


def request(**more: Any) -> Request:
    told: dict[str, Any] = {
        "id": "req-1", "kind": Kind.TOOL_CALL, "tenant": "acme", "workflow": "acme:run:desk:1", "agent": "desk", "seq": 3,
        "payload": {"tool": "refund", "arguments": {"amount": 900}}, "why": "much", "digest": "d" * 64,
        "choices": ["approve", "deny", "edit"], "user": "alice",
    }  # fmt: skip
    return Request.model_validate(told | more)


def token(by: str, signer: str = "", **changed: Any) -> str:
    """An answer that counts, unless something about it is changed."""
    claims: dict[str, Any] = {
        "request": "req-1", "digest": "d" * 64, "verdict": "approve", "principal": by, "jti": f"j{next(_numbers)}",
        "exp": AT // 1000 + 60,
    } | ({"via": "gateway"} if signer else {})  # fmt: skip
    return sign(Answer.model_validate(claims | changed), OWN[signer or by], signer)


async def verdict(store: Store, asked: Request, sent: str) -> Verdict:
    """What the activity `verify` finds."""
    await store.transact(lambda db: approvals.open_request(db, asked))
    verifying = Verifying(SimpleNamespace(store=store, root=TRUSTED, registry=Registry([])))  # type: ignore[arg-type]  # all that it looks at
    return (await verifying.verify(Verify(request=asked, tokens=[sent], at=AT))).verdicts[0]


async def refusal(store: Store, asked: Request, sent: str) -> str:
    found = await verdict(store, asked, sent)
    assert not found.accepted
    return found.reason


# Roles and ways


async def test_an_approver_needs_every_role_that_is_asked_for(store: Store, db: Connection) -> None:
    known(db, "bob", roles=["finance"])
    known(db, "carol", roles=["legal", "finance"])
    known(db, "olga", roles=["*"])
    both = request(roles=["finance", "legal"], quorum=9)
    assert await refusal(store, both, token("bob")) == "'bob' is not vouched for as 'legal'"
    assert (await verdict(store, both, token("carol"))).accepted
    assert (await verdict(store, both, token("olga"))).accepted
    assert (await verdict(store, request(id="req-1", roles=["finance"], quorum=9), token("bob"))).accepted


async def test_only_the_ways_that_a_request_names_count(store: Store, db: Connection) -> None:
    known(db, "bob")
    known(db, "web", gateway=True)
    only = request(via=["gateway"], quorum=9)
    assert await refusal(store, only, token("bob")) == "an answer via 'cli' does not count: only via gateway"
    assert (await verdict(store, only, token("bob", "web"))).accepted
    assert "via 'pigeon'" in await refusal(store, request(via=["cli", "gateway"]), token("bob", via="pigeon"))
    assert (await verdict(store, request(quorum=9), token("bob", via="pigeon", verdict="deny"))).accepted


# Gateways


async def test_a_gateway_answers_for_people_it_authenticated_and_they_are_who_counts(
    store: Store, db: Connection
) -> None:
    known(db, "web", gateway=True)
    known(db, "bob")
    known(db, "zoe", key="")
    twice = request(quorum=2)
    first = await verdict(store, twice, token("bob", "web"))
    assert (first.accepted, first.principal) == (True, "bob")
    assert "bob has approved this already" in await refusal(store, twice, token("bob"))
    assert (await verdict(store, twice, token("zoe", "web"))).principal == "zoe"
    again = request(id="req-2", quorum=2)
    assert (await verdict(store, again, token("bob", request="req-2"))).accepted
    assert "bob has approved this already" in await refusal(store, again, token("bob", "web", request="req-2"))


GATEWAY_REFUSALS: dict[str, tuple[str, dict[str, Any]]] = {
    "'web' is a gateway: it signs for people, never in its own name": ("web", {"signer": "web"}),
    "'hub' is a gateway: it signs for people, never in its own name": ("hub", {"signer": "web"}),
    "'stranger' is no approver here, or no longer": ("stranger", {"signer": "web"}),
    "'../../x\\x00' is no approver here, or no longer": ("../../x\x00", {"signer": "web"}),
    "'gone' is no approver here, or no longer": ("gone", {"signer": "web"}),
    "'north' may not answer for tenant 'acme'": ("north", {"signer": "web"}),
    "'guest' is not vouched for as 'finance'": ("guest", {"signer": "web"}),
    "'web' is a gateway: it answers via 'gateway', not 'cli'": ("bob", {"signer": "web", "via": "cli"}),
    "'bob' is no gateway: it cannot answer via 'gateway'": ("bob", {"via": "gateway"}),
    "signed by 'bob' in the name of 'carol'": ("carol", {"signer": "bob"}),
    "nobody approves a run of their own": ("alice", {"signer": "web"}),
    "'zoe' has no key here: they answer through a gateway only": ("zoe", {}),
    "'far' may not answer for tenant 'acme'": ("bob", {"signer": "far"}),
    "'old' is no approver here, or no longer": ("bob", {"signer": "old"}),
}


@pytest.mark.parametrize("reason", GATEWAY_REFUSALS)
async def test_what_a_gateway_may_not_do_and_what_only_it_may(store: Store, db: Connection, reason: str) -> None:
    for name in ("bob", "carol", "alice", "gone"):
        known(db, name, roles=["finance"])
    known(db, "guest")
    known(db, "zoe", key="", roles=["finance"])
    known(db, "north", tenant="north", roles=["finance"])
    for name, tenant in {"web": "*", "hub": "*", "old": "*", "far": "far"}.items():
        known(db, name, gateway=True, tenant=tenant)
    for name in ("gone", "old"):
        approving.revoke(db, TRUSTED, name, "", "test", AT)
    by, how = GATEWAY_REFUSALS[reason]
    assert await refusal(store, request(roles=["finance"]), token(by, **how)) == reason


async def test_nobody_approves_a_run_of_their_own_in_capitals_either(store: Store, db: Connection) -> None:
    known(db, "alice")
    assert "of their own" in await refusal(store, request(user=" Alice"), token("alice"))


# Edits


async def test_an_edit_travels_with_the_verdict_whole(store: Store, db: Connection) -> None:
    known(db, "bob")
    wanted = {"amount": 40, "to": None, "lines": [{"cents": 2**60}]}
    found = await verdict(store, request(), token("bob", verdict="edit", edit=wanted))
    assert (found.accepted, found.choice, found.edit) == (True, "edit", wanted)
    plain = await verdict(store, request(), token("bob"))
    assert plain.edit is None


EDIT_REFUSALS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "'approve' with other arguments: only 'edit' takes them": ({"edit": {"amount": 1}}, {}),
    "'deny' with other arguments: only 'edit' takes them": ({"verdict": "deny", "edit": {}}, {}),
    "'edit' without the arguments that are wanted instead": ({"verdict": "edit"}, {}),
    "'edit' is no choice here: one of approve, deny": (
        {"verdict": "edit", "edit": {}},
        {"choices": ["approve", "deny"]},
    ),
}


@pytest.mark.parametrize("reason", EDIT_REFUSALS)
async def test_an_edit_and_its_verdict_come_together_or_not_at_all(store: Store, db: Connection, reason: str) -> None:
    known(db, "bob")
    claims, asked = EDIT_REFUSALS[reason]
    assert await refusal(store, request(**asked), token("bob", **claims)) == reason


def raw(edit: str) -> str:
    """A genuine signature over claims that no client of ours writes."""
    claims = f'{{"request":"req-1","digest":"{"d" * 64}","verdict":"edit","principal":"bob","jti":"j","exp":{AT},"edit":{edit}}}'
    return jwt.api_jws.encode(claims.encode(), OWN["bob"], "EdDSA", {"typ": "tenure-answer+jws", "kid": "bob"})


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        ("[1]", "malformed answer: 'edit': Input should be an object"),
        ('"amount"', "malformed answer: 'edit': Input should be an object"),
        ('{"amount": NaN}', "the edit cannot be used: "),
        ('{"amount": 1e999}', "the edit cannot be used: "),
        ('{"amount": "\\ud800"}', "malformed answer: "),
        ('{"a":' * 300 + "1" + "}" * 300, "malformed answer: "),
        ('{"a": "' + "x" * TOKEN_LIMIT + '"}', "an answer of "),
    ],
)
async def test_an_edit_that_cannot_be_used_is_refused_with_a_reason(
    store: Store, db: Connection, edit: str, reason: str
) -> None:
    known(db, "bob")
    assert (await refusal(store, request(), raw(edit))).startswith(reason)


async def test_a_row_makes_nobody_without_the_root_s_word_on_that_very_name(store: Store, db: Connection) -> None:
    mallory = Ed25519PrivateKey.generate()
    OWN["mallory"] = mallory
    approvers.add(db, "mallory", vouch(person("mallory"), mallory), AT)
    assert "not signed by the root key" in await refusal(store, request(), token("mallory"))
    approvers.forget(db, "mallory")
    approvers.add(db, "mallory", vouch(person("bob"), ROOT), AT)
    assert "is the statement about 'bob'" in await refusal(store, request(), token("mallory"))
    for junk in ("", "x", "a.b.c", "é", "[" * 9000):
        db.execute("UPDATE approvers SET statement = ?", (junk,))
        assert "the registry entry is" in await refusal(store, request(), token("mallory"))
        assert approving.eligible(db, TRUSTED, "acme", []) == []
