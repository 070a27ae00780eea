"""The examples as they ship: on their own scripts and on worse ones, without a key and without a network."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable
from typing import Any

import pytest

from examples import branching, refund, roles, support, weather
from tenure import StopReason
from tenure.approvals.request import Kind
from tenure.testing import ScriptedClaude, embedded
from tenure.testing.scripted_claude import Script, text, tool_use
from tests.waiting import one_pending

INVOICES, TICKETS = dict(roles.INVOICES), dict(support.TICKETS)


@pytest.fixture(autouse=True)
def _a_new_day() -> None:
    for kept in (refund.REFUNDS, refund.MAILS, branching.CALLS, branching.TICKETS, roles.NOTES, support.HANDED_OVER):
        kept.clear()
    roles.INVOICES.update(INVOICES)
    support.TICKETS.update(TICKETS)


def calls_of(response: Any) -> list[tuple[str, bool]]:
    return [(call["tool"], call["ok"]) for call in response.tool_calls]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("weather", "It is 21 °C and sunny in Lisbon."),
        ("refund", "paid back: [Refund(order_id='O-501', cents=4900)]"),
        ("branching", "calls: 1, tickets: 1"),
        ("roles", "clerk: get_invoice done, add_note done, void_invoice refused"),
        ("support", "approved: update_ticket needs level 0.5, and the agent has 0.3"),
    ],
)
async def test_every_example_runs_without_a_key(name: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    await importlib.import_module(f"examples.{name}").main()
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "No ANTHROPIC_API_KEY, so a script plays Claude:"
    assert said in printed


@pytest.mark.parametrize("name", ["weather", "refund", "roles", "support"])
async def test_with_a_key_it_is_claude_that_answers(
    name: str,
    scripted_claude: Callable[..., ScriptedClaude],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    example = importlib.import_module(f"examples.{name}")
    claude = scripted_claude(example.script)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a real one")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", claude.base_url)
    await example.main()
    assert capsys.readouterr().out.startswith("Claude answers:\n")
    assert {request.headers["authorization"] for request in claude.requests} == {"Bearer a real one"}


# ---------------------------------------------------------------------------------------------------------- weather


async def test_a_city_without_weather_is_said_to_claude() -> None:
    async with embedded(
        weather.weather, claude=[tool_use("get_weather", city="Atlantis"), "I have none for Atlantis."]
    ):
        response = await weather.weather.run("And in Atlantis?")
    (call,) = response.tool_calls
    assert (response.success, call["ok"]) == (True, False)
    assert call["result"] == "no weather for 'Atlantis': there are lisbon, oslo"


# ----------------------------------------------------------------------------------------------------------- refund

VERIFY = tool_use("verify_customer", email="dana@example.com", postcode="10115")


def checked(order_id: str, *then: Any) -> Script:
    """The customer is verified and the order checked before what follows."""
    return [VERIFY, tool_use("check_eligibility", order_id=order_id), *then, text("That is it.")]


async def test_a_small_refund_goes_out_at_once_with_one_mail_and_a_good_verdict() -> None:
    async with embedded(refund.refund, claude=refund.script) as system:
        response = await refund.refund.run(refund.REQUEST, user="dana")
        verdicts = [(verdict.source, verdict.good, verdict.note) for verdict in await system.feedback.of(response.id)]
    assert response.stop_reason is StopReason.ANSWERED
    assert all(ok for _, ok in calls_of(response))
    assert [refund.Refund("O-501", 49_00)] == refund.REFUNDS
    assert [mail.splitlines()[0] for mail in refund.MAILS.values()] == ["to C-31: Your refund"]
    assert response.state == {"customer": "C-31", "refundable O-501": 49_00}
    assert verdicts == [("evaluate", True, "refunds: 1, mails: 1")]


async def test_a_refund_without_a_mail_is_judged_to_be_bad() -> None:
    script = checked("O-501", tool_use("issue_refund", order_id="O-501", cents=10_00))
    async with embedded(refund.refund, claude=script) as system:
        response = await refund.refund.run(refund.REQUEST)
        (verdict,) = await system.feedback.of(response.id)
    assert (verdict.good, verdict.note) == (False, "refunds: 1, mails: 0")


@pytest.mark.parametrize(
    ("before", "tool"),
    [
        ([], tool_use("issue_refund", order_id="O-501", cents=49_00)),
        ([VERIFY], tool_use("issue_refund", order_id="O-501", cents=49_00)),
        ([VERIFY], tool_use("issue_large_refund", order_id="O-502", cents=649_00, reason="it wobbles")),
        ([], tool_use("check_eligibility", order_id="O-501")),
        ([], tool_use("send_mail", subject="Hello", body="Hello")),
        (
            [tool_use("verify_customer", email="dana@example.com", postcode="0")],
            tool_use("look_up_order", order_id="O-501"),
        ),
    ],
)
async def test_no_step_is_made_before_the_one_it_rests_on(before: list[Any], tool: Any) -> None:
    async with embedded(refund.refund, claude=[*before, tool, text("I cannot.")]), asyncio.timeout(20):
        response = await refund.refund.run("Refund me.")  # and waits for nobody: no person is bothered with it
    assert not response.tool_calls[-1]["ok"]
    assert "comes first" in response.tool_calls[-1]["result"] or "come first" in response.tool_calls[-1]["result"]
    assert (refund.REFUNDS, refund.MAILS) == ([], {})


async def test_a_refund_is_cut_to_what_is_refundable() -> None:
    script = checked("O-501", tool_use("issue_refund", order_id="O-501", cents=80_00))
    async with embedded(refund.refund, claude=script):
        response = await refund.refund.run(refund.REQUEST)
    assert response.tool_calls[-1]["input"] == {"order_id": "O-501", "cents": 49_00}
    assert [refund.Refund("O-501", 49_00)] == refund.REFUNDS


async def test_what_was_paid_back_in_another_run_is_not_paid_back_again() -> None:
    script = checked("O-501", tool_use("issue_refund", order_id="O-501", cents=40_00))
    async with embedded(refund.refund, claude=script):
        assert [(await refund.refund.run(refund.REQUEST)).tool_calls[-1]["input"]["cents"] for _ in "ab"] == [
            40_00,
            9_00,
        ]
    assert sum(made.cents for made in refund.REFUNDS) == 49_00


async def test_two_refunds_of_one_turn_do_not_pay_more_than_the_order() -> None:
    both = [tool_use("issue_refund", order_id="O-501", cents=40_00) for _ in "ab"]
    async with embedded(refund.refund, claude=checked("O-501", both)):
        response = await refund.refund.run(refund.REQUEST)
    assert response.tool_calls[-1]["result"] == "900 cents of O-501 are refundable, not 4000"
    assert [refund.Refund("O-501", 40_00)] == refund.REFUNDS


@pytest.mark.parametrize(("order_id", "why"), [("O-503", "delivered 61 days ago"), ("O-504", "has no order 'O-504'")])
async def test_what_is_not_refundable_is_not_refunded(order_id: str, why: str) -> None:
    script = checked(order_id, tool_use("issue_refund", order_id=order_id, cents=10_00))
    async with embedded(refund.refund, claude=script):
        response = await refund.refund.run("Refund me.")
    assert why in response.tool_calls[1]["result"]
    assert (response.tool_calls[2]["ok"], refund.REFUNDS) == (False, [])


async def test_a_large_refund_is_not_made_alone_not_even_in_halves() -> None:
    whole = tool_use("issue_refund", order_id="O-502", cents=649_00)
    halves = [tool_use("issue_refund", order_id="O-502", cents=60_00) for _ in "ab"]
    async with embedded(refund.refund, claude=checked("O-502", whole, halves)):
        response = await refund.refund.run("Refund me.")
    assert [ok for _, ok in calls_of(response)[2:]] == [False, True, False]
    assert [refund.Refund("O-502", 60_00)] == refund.REFUNDS
    assert {call["result"] for call in response.tool_calls[2:] if not call["ok"]} == {
        f"rejected: {refund.LARGE}", refund.LARGE
    }  # fmt: skip


LARGE = checked("O-502", tool_use("issue_large_refund", order_id="O-502", cents=649_00, reason="it wobbles"))


async def test_a_large_refund_waits_for_two_people() -> None:
    async with embedded(refund.refund, claude=LARGE) as system:
        handle = await refund.refund.start("Refund my desk.", user="dana")
        request = await one_pending(system)
        assert (request.kind, request.quorum, request.payload["arguments"]["cents"]) == (Kind.TOOL_CALL, 2, 649_00)
        await system.answer(request, "approve", by="operator")
        assert await system.approvals.pending() != []  # one is not enough
        assert refund.REFUNDS == []
        await system.approve(request)
        assert (await handle.result()).success
    assert [refund.Refund("O-502", 649_00)] == refund.REFUNDS


async def test_a_large_refund_that_a_person_denies_is_not_made() -> None:
    async with embedded(refund.refund, claude=LARGE) as system:
        handle = await refund.refund.start("Refund my desk.", user="dana")
        await system.answer(await one_pending(system), "deny", note="send a new one")
        response = await handle.result()
    assert (response.tool_calls[-1]["ok"], refund.REFUNDS) == (False, [])
    assert "send a new one" in response.tool_calls[-1]["result"]


async def test_an_answer_that_promises_a_date_waits_for_a_person() -> None:
    async with embedded(refund.refund, claude="You have it within 5 business days.") as system:
        handle = await refund.refund.start("Where is my money?")
        request = await one_pending(system)
        assert (request.kind, request.why) == (Kind.ANSWER, "it promises a date: 'within 5 business days'")
        await system.answer(request, "deny", note="we do not know that")
        response = await handle.result()
    assert (response.stop_reason, "5 business days." in response.message) == (StopReason.DENIED, False)


# -------------------------------------------------------------------------------------------------------- branching

AGENTS = (branching.front, branching.premium, branching.standard)


@pytest.mark.parametrize(("name", "team"), [("ada", "premium"), ("ben", "standard")])
async def test_the_tier_decides_who_goes_on_and_nothing_is_doubled_when_it_is_served_again(
    name: str, team: str
) -> None:
    message = f"I'm {name}@example.com and my dashboard is empty."
    async with embedded(*AGENTS, claude=branching.script) as system:
        first = await branching.serve("r-1", message)
        assert system.claude is not None
        asked, effects = len(system.claude.requests), (dict(branching.CALLS), dict(branching.TICKETS))
        again = await branching.serve("r-1", message)
        assert len(system.claude.requests) == asked
    assert first.id.startswith(f"default:run:{team}:")
    assert (again.id, again.message) == (first.id, first.message)
    assert effects == (branching.CALLS, branching.TICKETS)
    assert len(branching.CALLS | branching.TICKETS) == 1


async def test_a_customer_who_is_not_identified_is_asked_and_nobody_goes_on() -> None:
    async with embedded(*AGENTS, claude=branching.script) as system:
        response = await branching.serve("r-1", "My dashboard is empty.")
        assert [run.agent for run in await system.runs.list()] == ["front"]
    assert response.message == "Which e-mail address is on your invoice?"


async def test_a_team_does_not_begin_without_a_customer() -> None:
    async with embedded(*AGENTS, claude=branching.script):
        response = await branching.premium.run("Call me.")
    assert response.stop_reason is StopReason.FAILED
    assert "required_state 'customer' of 'premium' is missing" in response.message


# ------------------------------------------------------------------------------------------------------------ roles


async def test_every_role_does_what_it_may_and_is_refused_the_rest() -> None:
    async with embedded(roles.billing, claude=roles.script):
        done = {role: calls_of(await roles.billing.run(roles.REQUEST, role=role)) for role in roles.billing.roles}
    assert {role: [name for name, ok in calls if ok] for role, calls in done.items()} == {
        "viewer": ["get_invoice"],
        "clerk": ["get_invoice", "add_note"],
        "admin": ["get_invoice", "add_note", "void_invoice"],
    }
    assert (roles.INVOICES["I-1"], len(roles.NOTES)) == (0, 2)


async def test_an_admin_voids_one_invoice_a_day_and_every_tenant_has_its_own_day() -> None:
    script = [[tool_use("void_invoice", invoice_id=id) for id in ("I-1", "I-2")], text("Done.")]
    async with embedded(roles.billing, claude=script):
        mine = await roles.billing.run("Void them.", role="admin", tenant="acme")
        assert roles.INVOICES == {"I-1": 0, "I-2": 75_50}
        other = await roles.billing.run("Void them.", role="admin", tenant="zeta")
    assert [ok for _, ok in calls_of(mine)] == [ok for _, ok in calls_of(other)] == [True, False]
    assert mine.tool_calls[1]["result"].startswith("not made: rate limit of 'void_invoice'")


@pytest.mark.parametrize("role", [None, "boss"])
async def test_a_run_without_a_known_role_is_refused(role: str | None) -> None:
    async with embedded(roles.billing, claude=roles.script) as system:
        response = await roles.billing.run(roles.REQUEST, role=role)
        assert system.claude is not None
        assert system.claude.requests == []
    assert (response.stop_reason, roles.NOTES) == (StopReason.FAILED, [])
    assert response.message.startswith(f"role={role!r}: billing takes runs of the roles")
