"""People who answer: entered, restricted to roles, withdrawn while runs wait for them, and what they are shown."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tenure import Agent, tool
from tenure.approvals.answer import read
from tenure.approvals.digest import request_digest
from tenure.approvals.request import Kind, Request
from tenure.errors import AnswerRefused, BadInput, ConfigError
from tenure.runtime import keys
from tenure.runtime.store import Store, approvals
from tenure.testing import Embedded, embedded
from tenure.testing.scripted_claude import text, tool_use
from tests.typing_commands import Tenure, at
from tests.waiting import eventually, one_pending

PAID: list[int] = []


@tool(effect="write")
async def refund(amount: int) -> str:
    """Pay somebody back."""
    PAID.append(amount)
    return f"{amount} paid"


@tool(effect="destructive")
async def close_account(account: str) -> str:
    """Close an account for good."""
    PAID.append(0)
    return f"{account} closed"


def desk(**approval: Any) -> Agent:
    trust = {"initial": 0.5, "permissions": {0.9: ["close_account", "refund"]}}
    return Agent(name="desk", tools=[refund, close_account], trust=trust | {"approvals": {"refund": approval}})


REFUND = [tool_use("refund", amount=900), text("It is paid.")]


@pytest.fixture(autouse=True)
def _nothing_paid() -> None:
    PAID.clear()


def beside(system: Embedded) -> Tenure:
    return at(system.settings.home, system.temporal.service_client.config.target_host)


def fits(output: str) -> bool:
    return all(len(line) <= 80 for line in output.splitlines())


async def another_pending(system: Embedded, before: Request) -> Request:
    """The request that takes the place of one that was answered."""

    async def look() -> list[Request]:
        return [one for one in await system.approvals.pending() if one.id != before.id]

    return (await eventually(look))[0]


# While runs wait


async def test_a_role_decides_whose_approval_counts() -> None:
    agent = desk(role="finance")
    async with embedded(agent, claude=REFUND) as system:
        tenure = beside(system)
        assert (await tenure("approvers", "add", "bob")).exit_code == 0
        assert (await tenure("approvers", "add", "carol", "--role", "finance")).exit_code == 0
        handle = await agent.start("refund 900", user="alice")
        request = await one_pending(system)
        listed = (await tenure("pending")).stdout
        assert re.search(r"^  role +finance: whoever answers must be vouched for as that$", listed, re.MULTILINE)
        assert fits(listed)
        refused = await tenure("approve", request.id, "--as", "bob")
        assert refused.exit_code == 1
        assert refused.stderr == "tenure: refused: 'bob' is not vouched for as 'finance'\n"
        assert "carol" in (await tenure("approve", request.id, "--as", "carol")).stdout
        assert ((await handle.result()).message, PAID) == ("It is paid.", [900])


async def test_a_person_answers_through_a_gateway_and_is_the_one_who_is_named() -> None:
    agent = desk(via="gateway")
    with pytest.raises(ConfigError, match=r"wants 1 person via 'gateway', none is registered"):
        async with embedded(agent, claude=REFUND):
            pass
    agent = desk()
    async with embedded(agent, claude=REFUND) as system:
        tenure = beside(system)
        await tenure("approvers", "add", "web", "--gateway")
        await tenure("approvers", "add", "zoe@acme.example", "--no-key")
        handle = await agent.start("refund 900")
        request, web = await one_pending(system), keys.load(system.settings.home / "keys", "web")
        own = system.approvals.sign(request, "approve", "web", web, gateway="web")
        refused = await system.approvals.send(request, own)
        assert refused is not None
        assert "never in its own name" in refused.reason
        token = system.approvals.sign(request, "approve", "zoe@acme.example", web, gateway="web")
        await system.approvals.send(request, token)
        assert (await handle.result()).success
        (asked,) = await system.require_store().read(lambda db: approvals.of_run(db, handle.id))
        assert (asked.choice, asked.principal) == ("approve", "zoe@acme.example")


async def test_an_edit_is_a_new_request_for_the_call_as_it_is_now() -> None:
    agent = desk()
    async with embedded(agent, claude=REFUND) as system:
        tenure = beside(system)
        handle = await agent.start("refund 900")
        first = await one_pending(system)
        assert f"tenure approve {first.id} --edit JSON" in (await tenure("pending")).stdout
        told = (await tenure("approve", first.id, "--edit", '{"amount": 40}')).stdout
        assert "refund(amount=900)" in told
        assert re.search(r"^  instead +refund\(amount=40\)$", told, re.MULTILINE)
        assert told.endswith(
            "edit by operator counts: the changed call is a new request,\n"
            "and must be approved as it is now (`tenure pending`)\n"
        )
        assert fits(told.replace(handle.id, ""))
        second = await another_pending(system, first)
        assert (second.payload["arguments"], PAID) == ({"amount": 40}, [])
        assert "Claude asked for refund(amount=900)" in (await tenure("pending")).stdout
        assert (await tenure("approve", second.id)).exit_code == 0
        assert ((await handle.result()).success, PAID) == (True, [40])


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("{amount: 40}", "--edit '{amount: 40}' is no JSON (Expecting property name"),
        ("[40]", "--edit '[40]': must be a JSON object, as in --edit '{\"amount\": 40}'"),
        ('{"amount": NaN}', "is no JSON (NaN is no number in JSON)"),
        ('{"amount": 1, "amount": 2}', "is no JSON (a name is written twice)"),
        ('{"amount": 1e999}', "has no canonical JSON form"),
        ("@nowhere.json", "--edit '@nowhere.json': No such file or directory"),
        ('{"why": "' + "x" * 9000 + '"}', "shorten the note or the edit"),
    ],
)
async def test_a_mistake_in_an_edit_is_one_line(tmp_path: Path, typed: str, said: str) -> None:
    stored(tmp_path, kind=Kind.TOOL_CALL, payload={"tool": "refund", "arguments": {"amount": 1}})
    told = await at(tmp_path)("approve", "req-1", "--print", "--edit", typed)
    assert (told.exit_code, told.stdout) == (2, "")
    assert said in told.stderr
    assert told.stderr.count("\n") == 1


async def test_an_edit_names_the_arguments_that_change_and_the_whole_call_is_shown(tmp_path: Path) -> None:
    asked = {"to": "bob", "amount": 900, "items": {"a": 1}}
    request = stored(tmp_path, kind=Kind.TOOL_CALL, payload={"tool": "refund", "arguments": asked})
    told = await at(tmp_path)("approve", request.id, "--print", "--edit", '{"amount": 40, "items": {"b": 2}}')
    answer = read(told.stdout.strip(), keys.load(tmp_path / "keys", "operator").public_key())
    assert answer.edit == {"to": "bob", "amount": 40, "items": {"b": 2}}
    assert 'refund(to="bob", amount=40, items={"b": 2})\ninstead of refund(to="bob", amount=900, ' in told.stderr


@pytest.mark.parametrize("typed", ['{"amount": 900}', "{}", '{"to": "bob", "amount": 9e2}'])
async def test_an_edit_that_changes_nothing_is_no_edit(tmp_path: Path, typed: str) -> None:
    asked = {"to": "bob", "amount": 900}
    stored(tmp_path, kind=Kind.TOOL_CALL, payload={"tool": "refund", "arguments": asked})
    told = await at(tmp_path)("approve", "req-1", "--print", "--edit", typed)
    assert (told.exit_code, told.stdout) == (2, "")
    assert told.stderr.endswith("nothing is changed, req-1 asks for just that: approve it instead\n")


async def test_true_is_another_argument_than_one(tmp_path: Path) -> None:
    stored(tmp_path, kind=Kind.TOOL_CALL, payload={"tool": "refund", "arguments": {"amount": 1}})
    assert (await at(tmp_path)("approve", "req-1", "--print", "--edit", '{"amount": true}')).exit_code == 0


async def test_a_printed_token_stands_alone_and_says_beside_it_where_it_goes(tmp_path: Path) -> None:
    request = stored(tmp_path, kind=Kind.TOOL_CALL, payload={"tool": "refund", "arguments": {"to": "bob\x9b2K"}})
    told = await at(tmp_path)("approve", request.id, "--print")
    assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+\n", told.stdout)
    said, when, url, how, quoted = told.stderr.splitlines()
    assert said == r'It says approve to req-1: refund(to="bob\x9b2K")'
    assert when == "Within 15 minutes, paste it in the Temporal UI, on the page of the run:"
    assert url.endswith("/namespaces/default/workflows/acme:run:desk:1")
    assert f"{how} {quoted}".endswith(
        'Send a Signal (or an Update): `answer`, with the "TOKEN" in double quotes as JSON.'
    )
    document = json.loads((await at(tmp_path)("approve", request.id, "--print", "--json")).stdout)
    assert (document["request"], document["url"]) == ("req-1", url)
    assert read(document["token"], keys.load(tmp_path / "keys", "operator").public_key()).verdict == "approve"


async def test_an_edit_may_stand_in_a_file(tmp_path: Path) -> None:
    request = stored(tmp_path, kind=Kind.TOOL_CALL, payload={"tool": "refund", "arguments": {"amount": 1}})
    (tmp_path / "edit.json").write_text('{"amount": 40}')
    told = await at(tmp_path)("approve", request.id, "--print", "--edit", f"@{tmp_path}/edit.json")
    answer = read(told.stdout.strip(), keys.load(tmp_path / "keys", "operator").public_key())
    assert (answer.verdict, answer.edit) == ("edit", {"amount": 40})


async def test_who_is_revoked_after_approving_has_not_approved() -> None:
    agent = desk()
    async with embedded(agent, claude=[tool_use("close_account", account="a1"), text("Closed.")]) as system:
        tenure = beside(system)
        handle = await agent.start("close a1", user="alice")
        first = await one_pending(system)
        await system.answer(first, "approve", by="operator")
        told = await tenure("approvers", "revoke", "operator", "--reason", "left the house")
        assert "operator is revoked" in told.stdout
        await system.answer(first, "approve", by="reviewer")
        second = await another_pending(system, first)
        assert PAID == []
        with pytest.raises(AnswerRefused, match="'operator' is no approver here, or no longer"):
            await system.answer(second, "approve", by="operator")
        await system.answer(second, "approve", by="reviewer")
        assert (await tenure("approvers", "add", "bob")).exit_code == 0
        assert (await tenure("approve", second.id, "--as", "bob")).exit_code == 0
        assert ((await handle.result()).success, PAID) == (True, [0])


async def test_a_card_of_several_calls_has_a_numbered_line_for_each() -> None:
    agent = desk()
    both = [tool_use("refund", amount=900), tool_use("refund", amount=1)]
    async with embedded(agent, claude=[both, text("Paid.")]) as system:
        handle = await agent.start("refund both")
        request = await one_pending(system)
        listed = " ".join((await beside(system)("pending")).stdout.split())
        assert "1. refund(amount=900), effect write: refund needs level 0.9" in listed
        assert "2. refund(amount=1), effect write: refund needs level 0.9" in listed
        assert "--edit" not in listed, "several calls are approved as they are, or not"
        await system.answer(request, "approve")
        assert ((await handle.result()).success, PAID) == (True, [900, 1])


# What people are shown


def stored(home: Path, **told: Any) -> Request:
    """A request that stands in a store, with nobody running."""
    keys.make_local(home / "keys")
    kept: dict[str, Any] = {
        "id": "req-1", "tenant": "acme", "workflow": "acme:run:desk:1", "agent": "desk", "seq": 3, "why": "for a reason",
        "opened_at": 1, "deadline": 4_000_000_000_000, "choices": ["approve", "deny", "edit"], **told,
    }  # fmt: skip
    bound = (kept[name] for name in ("tenant", "workflow", "seq", "kind", "payload"))
    request = Request.model_validate({**kept, "digest": request_digest(*bound, epoch=0)})
    store = Store.open(f"sqlite://{home}/tenure.db")
    store._transact(lambda db: approvals.open_request(db, request))  # pyright: ignore[reportPrivateUsage]  # no loop here
    store.close()
    return request


async def test_what_is_no_tool_call_says_what_it_is(tmp_path: Path) -> None:
    choices = ["continue", "stop"]
    stored(tmp_path, kind=Kind.PARKED, payload={"asks": 20}, choices=choices, on_timeout="halt")
    listed = (await at(tmp_path)("pending")).stdout
    assert re.search(r"^  kind +parked: the run has asked often", listed, re.MULTILINE)
    assert re.search(r"^  what +asks: 20$", listed, re.MULTILINE)
    assert re.search(r"tenure answer req-1 continue +# the run may ask on$", listed, re.MULTILINE)
    assert re.search(r"tenure answer req-1 stop +# end the run$", listed, re.MULTILINE)
    assert fits(listed)
    stored(tmp_path, kind=Kind.ESCALATION, payload={"from": 0.3, "to": 0.4}, quorum=2)
    listed = (await at(tmp_path)("pending")).stdout
    assert re.search(r"^  kind +escalation: a step up in trust$", listed, re.MULTILINE)
    assert re.search(r"^  what +from: 0.3\n +to: 0.4$", listed, re.MULTILINE)


async def test_what_commands_cannot_answer_says_how_it_is_answered(tmp_path: Path) -> None:
    told = {"tool": "refund", "arguments": {}, "terms": {"via": ["gateway"]}}
    stored(tmp_path, kind=Kind.TOOL_CALL, payload=told, via=["gateway"])
    listed = (await at(tmp_path)("pending")).stdout
    assert re.search(r"^  via +gateway only: an answer that comes another way is refused$", listed, re.MULTILINE)
    assert "tenure approve" not in listed


async def test_what_somebody_asks_about_cannot_change_what_people_see(tmp_path: Path) -> None:
    told = {"tool": "refund", "arguments": {"to": "\x9b2Kalice \u202e\u200b"}}
    stored(tmp_path, kind=Kind.TOOL_CALL, payload=told, why="a\x1b[2K\rb", user="eve\x1b[8m")
    listed = (await at(tmp_path)("pending")).stdout
    assert r'refund(to="\x9b2Kalice \u202e\u200b")' in listed
    assert r"a\x1b[2K\rb" in listed
    assert r"for eve\x1b[8m by desk" in listed
    assert all(sign.isprintable() or sign == "\n" for sign in listed)


async def test_terms_that_the_digest_does_not_bind_are_not_signed(tmp_path: Path) -> None:
    stored(tmp_path, kind=Kind.TOOL_CALL, payload={"tool": "refund", "arguments": {}}, quorum=2)
    told = await at(tmp_path)("approve", "req-1", "--print")
    assert (told.exit_code, told.stdout) == (1, "")
    assert "shows other terms than its digest binds" in told.stderr


async def test_a_note_that_is_too_long_is_one_line(tmp_path: Path) -> None:
    stored(tmp_path, kind=Kind.TOOL_CALL, payload={"tool": "refund", "arguments": {}})
    told = await at(tmp_path)("deny", "req-1", "--print", "--note", "x" * 2001)
    assert (told.exit_code, told.stderr.count("\n")) == (2, 1)
    assert "at most 2000 characters" in told.stderr


async def test_an_edit_and_the_word_edit_are_signed_together_only(tmp_path: Path) -> None:
    stored(tmp_path, kind=Kind.TOOL_CALL, payload={"tool": "refund", "arguments": {}})
    told = await at(tmp_path)("answer", "req-1", "edit", "--print")
    assert (told.exit_code, told.stdout) == (2, "")
    assert "'edit' with edit=None" in told.stderr


async def test_what_cannot_be_asked_is_not_served() -> None:
    with pytest.raises(ConfigError, match=r"trust.approvals\['refund'\] wants 3 people, 2 are registered"):
        async with embedded(desk(quorum=3), claude=REFUND):
            pass


async def test_only_choices_of_the_request_are_signed() -> None:
    agent = desk()
    async with embedded(agent, claude=REFUND) as system:
        handle = await agent.start("refund 900")
        request, key = await one_pending(system), keys.load(system.settings.home / "keys", "operator")
        with pytest.raises(BadInput, match="'approve' with edit="):
            system.approvals.sign(request, "approve", "operator", key, edit={"amount": 1})
        await system.answer(request, "deny")
        assert ((await handle.result()).success, PAID) == (True, [])
