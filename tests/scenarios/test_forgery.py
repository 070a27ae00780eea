"""Forged answers: none of them counts, each is recorded with its reason, and a genuine answer still counts afterwards."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tenure import Agent, RunHandle, ToolContext, tool
from tenure.activities.resources import now
from tenure.approvals import answer, approvers
from tenure.approvals.answer import unlike
from tenure.approvals.approvers import Approver, encode_key, vouch
from tenure.approvals.digest import request_digest
from tenure.approvals.request import Request, Verdict
from tenure.runtime import approving, keys
from tenure.runtime.store import Connection, approvals, effects
from tenure.runtime.store import approvers as registry
from tenure.runtime.temporal import start_server
from tenure.testing import Embedded, embedded
from tenure.testing.scripted_claude import text, tool_use
from tests.waiting import eventually, one_pending

PAID: list[str] = []


@tool(effect="write", idempotent=True)
async def refund(order: str, amount: int) -> str:
    """Pay somebody back."""
    PAID.append(f"{order} {amount}")
    return "refunded"


def desk(limit: str = "", **approval: Any) -> Agent:
    """Every refund of this agent asks."""
    trust = {"initial": 0.3, "permissions": {0.9: ["refund"]}, "approvals": {"refund": approval}}
    return Agent(name="desk", tools=[refund], trust=trust, rate_limits={"refund": limit} if limit else {})


def asks(*orders: str) -> list[Any]:
    """Claude refunds 50 for each order, one after the other."""
    return [*(tool_use("refund", order=order, amount=50) for order in orders), text("done")]


def defect(told: str, *raises: type[Exception]) -> pytest.MarkDecorator:
    """What is wanted, and not so yet: the day it is, the test fails until this mark is gone."""
    return pytest.mark.xfail(strict=True, raises=(AssertionError, *raises), reason=told)


@pytest.fixture(autouse=True)
def _nothing_paid() -> None:
    PAID.clear()


# What a forger has: every private key but those of the root and of the people asked, and every way to write a token


def part(content: bytes) -> str:
    """A segment of a compact JWS."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


@dataclass(frozen=True)
class Forger:
    """Somebody who writes answers to `request` with the keys in `keys`."""

    request: Request
    keys: Mapping[str, Ed25519PrivateKey]

    def claims(self, by: str, **changed: Any) -> bytes:
        """What a genuine answer of `by` claims, changed; a claim changed to `...` is left out."""
        genuine = {
            "request": self.request.id,
            "digest": self.request.digest,
            "verdict": "approve",
            "principal": by,
            "jti": secrets.token_hex(8),
            "exp": int(time.time()) + 600,
        }
        return json.dumps({name: value for name, value in (genuine | changed).items() if value is not ...}).encode()

    def token(self, by: str = "operator", *, key: str = "", kid: str = "", **changed: Any) -> str:
        """A signed one: by `by`, or with the key of somebody else, or in the name of a signer who is not the principal."""
        return self.signed(self.claims(by, **changed), key or kid or by, {"typ": answer.TYPE, "kid": kid or by})

    def signed(self, claims: bytes, key: str, header: dict[str, Any]) -> str:
        """Any claims under any header."""
        return jwt.api_jws.encode(claims, self.keys[key], "EdDSA", header)

    def unsigned(self, by: str = "operator", signature: bytes = b"", **header: Any) -> str:
        """Claims that nobody signed."""
        told = {"typ": answer.TYPE, "alg": "EdDSA", "kid": by} | header
        return f"{part(json.dumps(told).encode())}.{part(self.claims(by))}.{part(signature)}"

    def other_digest(self) -> str:
        """The digest of the same request about more money."""
        asked = self.request
        more = asked.payload | {"arguments": asked.payload["arguments"] | {"amount": 5000}}
        return request_digest(asked.tenant, asked.workflow, asked.seq, asked.kind, more, asked.epoch)

    def swapped(self) -> str:
        """An approval under the signature of a denial."""
        denial, approval = self.token(verdict="deny").split("."), self.token().split(".")
        return ".".join([denial[0], approval[1], denial[2]])


PEOPLE = (
    Approver(principal="clerk", key="", roles=["support"]),
    Approver(principal="globex", key="", roles=["*"], tenant="globex"),
    Approver(principal="eve", key="", roles=["*"]),
    Approver(principal="web", key="", gateway=True),
    Approver(principal="globex-web", key="", gateway=True, tenant="globex"),
)


async def meet_people(system: Embedded) -> dict[str, Ed25519PrivateKey]:
    """Enter PEOPLE, revoke eve, and write rows that the root did not sign; everybody's keys."""
    folder = system.settings.home / "keys"
    known = {name: keys.load(folder, name) for name in ("root", *keys.LOCAL_PRINCIPALS)}
    known |= {name: Ed25519PrivateKey.generate() for name in ("mallory", "nobody", *(one.principal for one in PEOPLE))}
    root = known["root"]

    def enter(db: Connection) -> None:
        for one in PEOPLE:
            public = encode_key(known[one.principal].public_key())
            approving.enter(db, root, one.model_copy(update={"key": public}), now(), "a test")
        zoe = Approver(principal="zoe", key="", roles=["finance"])  # answers through a gateway only
        approving.enter(db, root, zoe, now(), "a test")
        approving.revoke(db, root.public_key(), "eve", "left", "a test", now())
        mallory = Approver(principal="mallory", key=encode_key(known["mallory"].public_key()), roles=["*"])
        registry.add(db, "mallory", vouch(mallory, known["nobody"]), now())
        borrowed = registry.find(db, "operator")
        assert borrowed is not None
        registry.add(db, "mallet", borrowed.statement, now())

    await system.require_store().transact(enter)
    return known


FORGERIES: dict[str, tuple[str, Callable[[Forger], str]]] = {
    # nobody signed it, or somebody else did
    "no signature, alg none": ("alg='none'", lambda f: f.unsigned(alg="none")),
    "no signature, alg EdDSA": ("signature does not hold", lambda f: f.unsigned()),
    "a signature of zeros": ("signature does not hold", lambda f: f.unsigned(signature=bytes(64))),
    "an HMAC under the public key": ("alg='HS256'", lambda f: f.unsigned(alg="HS256", signature=bytes(32))),
    "no header worth the name": ("not a compact JWS", lambda f: f"{part(b'[]')}.{part(f.claims('operator'))}.AAAA"),
    "the wrong key": ("signature does not hold", lambda f: f.token(key="mallory")),
    "another approver's key": ("signature does not hold", lambda f: f.token(key="reviewer")),
    "a denial's signature": ("signature does not hold", lambda f: f.swapped()),
    "extensions that must be understood": ("not a compact JWS", lambda f: f.unsigned(crit=["x"])),
    # somebody signed it who is no approver here
    "a name nobody has": ("no approver here", lambda f: f.token("nobody")),
    "a revoked key": ("no longer", lambda f: f.token("eve")),
    "the root key itself": ("no approver here", lambda f: f.token("root")),
    "an approver of another tenant": ("may not answer for tenant", lambda f: f.token("globex")),
    "a row that another root signed": ("not signed by the root key", lambda f: f.token("mallory")),
    "a row with another's statement": ("the statement about 'operator'", lambda f: f.token("mallet", key="operator")),
    "a role too few": ("not vouched for as 'finance'", lambda f: f.token("clerk")),
    "a registry statement as an answer": (
        "header typ",
        lambda f: f.signed(f.claims("operator"), "operator", {"typ": approvers.TYPE, "kid": "operator"}),
    ),
    # an approver signed it in another's name
    "in another's name": ("in the name of 'reviewer'", lambda f: f.token(principal="reviewer")),
    "a run of one's own": ("of their own", lambda f: f.token("reviewer")),
    "a run of one's own, through a gateway": ("of their own", lambda f: f.token("reviewer", kid="web", via="gateway")),
    # gateways
    "a gateway nobody registered": ("no approver here", lambda f: f.token(kid="nobody", via="gateway")),
    "a gateway of another tenant": ("may not answer for tenant", lambda f: f.token(kid="globex-web", via="gateway")),
    "a person who says via=gateway": ("is no gateway", lambda f: f.token(via="gateway")),
    "a gateway in its own name": ("never in its own name", lambda f: f.token("web", via="gateway")),
    "a gateway that hides": ("is a gateway: it answers via", lambda f: f.token("zoe", kid="web")),
    "a gateway for nobody": ("no approver here", lambda f: f.token("nobody", kid="web", via="gateway")),
    "a gateway for a role too few": ("not vouched for", lambda f: f.token("clerk", kid="web", via="gateway")),
    "a person without a key": ("through a gateway only", lambda f: f.token("zoe", key="mallory")),
    # an approver signed something else
    "another digest": ("the digest differs", lambda f: f.token(digest="0" * 64)),
    "the digest of other arguments": ("the digest differs", lambda f: f.token(digest=f.other_digest())),
    "another request": ("meant for request", lambda f: f.token(request="req-0123456789abcdef")),
    "a choice that is not offered": ("is no choice here", lambda f: f.token(verdict="continue")),
    "an approval with other arguments": ("only 'edit' takes them", lambda f: f.token(edit={"amount": 5000})),
    "too late": ("has expired", lambda f: f.token(exp=int(time.time()) - 1)),
    # what is signed is no answer
    "without an id": ("malformed answer", lambda f: f.token(jti=...)),
    "without an end": ("malformed answer", lambda f: f.token(exp=...)),
    "a true end": ("malformed answer", lambda f: f.token(exp=True)),
    "the end of time": ("malformed answer", lambda f: f.token(exp="9999999999")),
    "an id of a page": ("malformed answer", lambda f: f.token(jti="x" * 300)),
    "a list of answers": (
        "malformed answer",
        lambda f: f.signed(b"[" + f.claims("operator") + b"]", "operator", {"typ": answer.TYPE, "kid": "operator"}),
    ),
}


async def refused(system: Embedded, request: Request, token: str, why: str) -> None:
    """The token is looked at, and refused for that reason."""
    verdict = await system.approvals.send(request, token)
    assert verdict is not None, why
    assert not verdict.accepted, why
    assert why in verdict.reason


async def test_no_forgery_counts_each_is_recorded_and_a_genuine_answer_still_does() -> None:
    agent = desk(role="finance")
    async with embedded(agent, claude=asks("o1")) as system:
        known = await meet_people(system)
        handle = await agent.start("go", user="Reviewer")
        forger = Forger(await one_pending(system), known)
        await asyncio.gather(*(refused(system, forger.request, make(forger), why) for why, make in FORGERIES.values()))
        recorded = await system.require_store().read(lambda db: approvals.answers_to(db, handle.id))
        arrived = [make for _, make in FORGERIES.values() if not unlike(make(forger))]  # the others are not even sent
        assert [verdict.accepted for verdict in recorded] == [False] * len(arrived)
        assert all(verdict.reason for verdict in recorded)
        assert (PAID, (await handle.progress()).status) == ([], "waiting")
        assert await effects_of(system, handle) == []
        genuine = forger.token("zoe", kid="web", via="gateway")
        assert (await sent(system, forger.request, genuine)).accepted
        assert (await handle.result()).success
        assert len(await effects_of(system, handle)) == 1
    assert PAID == ["o1 50"]


async def sent(system: Embedded, request: Request, token: str) -> Verdict:
    """The verdict on a token."""
    verdict = await system.approvals.send(request, token)
    assert verdict is not None
    return verdict


async def effects_of(system: Embedded, handle: RunHandle) -> list[Any]:
    """What the run has changed in the world."""
    return await system.require_store().read(lambda db: effects.of_run(db, handle.id))


async def of_run(system: Embedded, handle: RunHandle, *, but: Request | None = None) -> Request:
    """The request that is open for this run, once there is one beside `but`."""

    async def look() -> list[Request]:
        found = await system.approvals.pending()
        return [one for one in found if one.workflow == handle.id and (but is None or one.id != but.id)]

    return (await eventually(look))[0]


async def test_a_token_counts_once_for_one_request_of_one_run() -> None:
    agent = desk()
    async with embedded(agent, claude=asks("o1", "o2")) as system:
        known = await meet_people(system)
        x, y = await agent.start("go"), await agent.start("go")
        for_x, for_y = Forger(await of_run(system, x), known), Forger(await of_run(system, y), known)
        token = for_x.token(jti="one")
        await refused(system, for_y.request, token, "meant for request")  # of run X, sent to run Y
        assert (await sent(system, for_x.request, token)).accepted
        second = Forger(await of_run(system, x, but=for_x.request), known)
        assert PAID == ["o1 50"]
        await refused(system, second.request, token, "meant for request")  # the same token for the next call
        await refused(system, second.request, second.token(jti="one"), "used before")  # the same id in a new one
        await refused(system, for_y.request, for_y.token(jti="one"), "used before")
        assert PAID == ["o1 50"]
        for request in (second.request, for_y.request):
            await system.approve(request)
        await system.approve(await of_run(system, y, but=for_y.request))
        assert [(await handle.result()).success for handle in (x, y)] == [True, True]
    assert sorted(PAID) == ["o1 50", "o1 50", "o2 50", "o2 50"]


async def test_an_old_token_counts_no_second_time_after_continue_as_new() -> None:
    server = await start_server(flags=["--dynamic-config-value", "limit.historyCount.suggestContinueAsNew=15"])
    try:
        agent = desk(quorum=2)
        async with embedded(agent, claude=asks("o1", "o2"), server=server) as system:
            known = await meet_people(system)
            handle = await agent.start("go")
            first = Forger(await of_run(system, handle), known)
            token, before = first.token(), (await handle.workflow.describe()).run_id
            assert (await sent(system, first.request, token)).accepted

            async def moved() -> bool:
                await handle.workflow.signal("answer", f"garbage {time.monotonic_ns()}")
                return (await handle.workflow.describe()).run_id != before

            await eventually(moved)
            await handle.workflow.signal("answer", args=[token, token])
            again = await handle.workflow.execute_update("answer", token, result_type=Verdict)
            assert again.accepted  # the verdict on this token is what it was, and counts no second time
            await refused(system, first.request, first.token(), "another person must")
            assert (PAID, (await handle.progress()).status) == ([], "waiting")
            await system.answer(first.request, "approve", by="reviewer")
            second = Forger(await of_run(system, handle, but=first.request), known)
            await refused(system, second.request, token, "meant for request")
            assert PAID == ["o1 50"]
            await system.approve(second.request)
            assert (await handle.result()).success
        assert PAID == ["o1 50", "o2 50"]
    finally:
        await server.shutdown()


async def test_an_answer_after_the_deadline_is_late_however_genuine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody works while the deadline passes, so that the answer and the time-out are met with at the same moment."""
    agent, server = desk(), await start_server()
    (rule,) = agent.facts["refund"].approvals
    quick = rule.model_copy(update={"terms": rule.terms.model_copy(update={"deadline": 3})})
    monkeypatch.setitem(agent.facts, "refund", agent.facts["refund"].model_copy(update={"approvals": [quick]}))
    try:
        async with embedded(agent, claude=asks("o1"), server=server, home=tmp_path) as system:
            run = (await agent.start("go")).id
            request = await one_pending(system)
            known = await meet_people(system)

        async def passed() -> bool:
            return now() > request.deadline

        await eventually(passed)
        await server.client.get_workflow_handle(run).signal("answer", Forger(request, known).token())
        async with embedded(agent, claude=asks("o1"), server=server, home=tmp_path) as system:
            response = await (await system.runs.find(run)).result()
            (verdict,) = await system.require_store().read(lambda db: approvals.answers_to(db, run))
        assert (verdict.accepted, verdict.reason) == (False, "the request's deadline has passed")
        assert response.tool_calls[0]["result"].startswith("denied: nobody answered in time")
        assert (response.status, PAID) == ("completed", [])
    finally:
        await server.shutdown()


async def test_nobody_approves_what_a_run_of_their_own_has_started() -> None:
    connected: list[Embedded] = []
    agent = desk()

    @tool(effect="read")
    async def delegate(ctx: ToolContext) -> str:
        """Have another agent do it."""
        return (await agent.start("go", idempotency_key=ctx.idempotency_key, client=connected[0])).id

    def claude(body: dict[str, Any]) -> Any:
        delegates = body["tools"][0]["name"] == "delegate"
        return text("done") if len(body["messages"]) > 1 else tool_use("delegate") if delegates else asks("o1")[0]

    boss = Agent(name="boss", tools=[delegate])
    async with embedded(boss, agent, claude=claude) as system:
        connected.append(system)
        await boss.run("go", user="operator")
        request, known = await one_pending(system), await meet_people(system)
        await refused(system, request, Forger(request, known).token("operator"), "of their own")
        await system.answer(request, "approve", by="reviewer")
