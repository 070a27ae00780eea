"""The retail example as it ships: on its sample shop and its script, without a key and without a network."""

from __future__ import annotations

import pytest

from examples.retail import tools
from examples.retail.agent import REQUEST, retail, script
from tenure import StopReason
from tenure.testing import embedded
from tenure.testing.scripted_claude import text, tool_use

CHEAP = "#W1000002"


@pytest.fixture(autouse=True)
def _closed_offices() -> None:
    tools.offices.clear()


async def test_the_agent_does_what_its_user_asked_and_nothing_else() -> None:
    async with embedded(retail, claude=script):
        response = await retail.run(REQUEST, tenant="acme")
    assert response.stop_reason is StopReason.ANSWERED
    assert [call["tool"] for call in response.tool_calls] == [
        "find_user_id_by_email", "get_user_details", "get_order_details", "get_order_details", "get_product_details",
        "calculate", "exchange_delivered_order_items", "cancel_pending_order",
    ]  # fmt: skip
    assert all(call["ok"] for call in response.tool_calls)
    found, profile, *_, sum_, exchanged, cancelled = (call["result"] for call in response.tool_calls)
    assert (found, profile["email"], sum_) == ("nora_lind_1001", "nora.lind@example.com", "1.75")
    assert exchanged["exchange_price_difference"] == 1.75
    office = tools.offices["acme"]
    assert [office.order("#W1000001"), office.order(CHEAP)] == [exchanged, cancelled]
    assert office.user("nora_lind_1001")["payment_methods"]["gift_card_1000002"].get("balance") == 29.0


async def test_a_refusal_reaches_claude_in_the_office_s_own_words() -> None:
    refused = [
        tool_use("modify_pending_order_payment", order_id="#W1000003", payment_method_id="gift_card_1000002"),
        text("The gift card does not cover it."),
    ]
    async with embedded(retail, claude=refused) as system:
        response = await retail.run("Pay #W1000003 with my gift card. Yes, do it.", tenant="acme")
        assert system.claude is not None
        shown = system.claude.requests[-1].body["messages"][-1]["content"][0]
    (call,) = response.tool_calls
    words = "Error: insufficient gift card balance to pay for the order"
    assert (call["ok"], call["result"]) == (False, words)
    assert (shown["is_error"], words in str(shown["content"])) == (True, True)


async def test_every_tenant_s_runs_change_that_tenant_s_office_only() -> None:
    cancel = [tool_use("cancel_pending_order", order_id=CHEAP, reason="no longer needed"), text("Cancelled.")]
    async with embedded(retail, claude=cancel):
        for tenant in ("one", "other"):
            (call,) = (await retail.run("Cancel it. Yes.", tenant=tenant)).tool_calls
            assert call["result"]["status"] == "cancelled"  # the second is not refused: its office is another one


async def test_a_case_is_handed_over_once_under_the_key_of_its_call() -> None:
    handed = [tool_use("transfer_to_human_agents", summary="wants a person"), text("A colleague will take over.")]
    async with embedded(retail, claude=handed):
        response = await retail.run("I want to talk to a person.", tenant="acme")
    (call,) = response.tool_calls
    assert (call["ok"], call["result"]) == (True, "Transfer successful")
    assert list(tools.offices["acme"].handed_over.values()) == ["wants a person"]
