"""On which terms people approve: who, how many, until when, on one card or anew; and when a run asks no more."""

from __future__ import annotations

from typing import Any

import pytest

from tenure import Agent, StopReason, tool
from tenure.approvals.request import Notice, Verdict
from tenure.errors import AnswerRefused, ConfigError
from tenure.runtime.store import approvals
from tenure.testing import Embedded, embedded
from tenure.testing.scripted_claude import text, tool_use
from tenure.trust import Trust, terms
from tenure.trust.terms import Terms
from tenure.workflows import ask
from tests.waiting import eventually, one_pending

MADE: list[str] = []
HEARD: list[Notice] = []


@pytest.fixture(autouse=True)
def _nothing_made() -> None:
    MADE.clear()
    HEARD.clear()


@tool(effect="write", idempotent=True)
async def refund(order: str, amount: int) -> str:
    """Refund."""
    MADE.append(f"{order} {amount}")
    return "refunded"


@tool(effect="read")
async def look(what: str) -> str:
    """Look."""
    return what


def desk(**approvals: Any) -> Agent:
    permissions = {0.1: ["look"], 0.9: ["refund"]}
    return Agent(
        name="desk", tools=[refund, look], trust={"initial": 0.3, "permissions": permissions, "approvals": approvals}
    )


ONE = [tool_use("refund", order="o1", amount=50), text("done")]


async def test_the_strictest_of_the_terms_that_mean_a_call_counts_and_is_signed() -> None:
    agent = desk(**{"*": {"deadline": "2h"}, "refund(amount > 40)": {"quorum": 2, "role": "finance", "via": "cli"}})
    async with embedded(agent, claude=ONE) as system:
        handle = await agent.start("go")
        request = await one_pending(system)
        assert (request.quorum, request.roles, request.via) == (2, ["finance"], ["cli"])
        assert request.deadline - request.opened_at == 3600_000  # the default of the second beats the two hours
        assert request.payload["terms"] == {"quorum": 2, "roles": ["finance"], "via": ["cli"]}
        await system.approve(request)
        assert (await handle.result()).success
    assert MADE == ["o1 50"]


async def test_when_nobody_answers_in_time_the_terms_say_what_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    for what, reason, status in (("deny", StopReason.ANSWERED, "completed"), ("halt", StopReason.DENIED, "failed")):
        agent = desk(refund={"on_timeout": what})
        (rule,) = agent.facts["refund"].approvals
        quick = rule.model_copy(update={"terms": rule.terms.model_copy(update={"deadline": 1})})
        monkeypatch.setitem(agent.facts, "refund", agent.facts["refund"].model_copy(update={"approvals": [quick]}))
        async with embedded(agent, claude=ONE):
            response = await agent.run("go")
        assert (response.stop_reason, response.status, MADE) == (reason, status, [])
        told = response.tool_calls[0]["result"] if response.tool_calls else response.message
        assert "nobody" in told


async def test_people_are_told_when_they_are_asked_and_reminded_while_nobody_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ask, "REMINDERS", (0.0002, 0.0004))
    agent = desk()
    async with embedded(agent, claude=ONE, notify=f"{__name__}:hear,{__name__}:fail") as system:
        handle = await agent.start("go")
        request = await one_pending(system)

        async def reminded() -> bool:
            return len(HEARD) == 3

        await eventually(reminded)
        await system.approve(request)
        assert (await handle.result()).success
    assert [(notice.what, notice.request.id) for notice in HEARD] == [
        ("asked", request.id),
        ("reminder", request.id),
        ("reminder", request.id),
    ]


def hear(notice: Notice) -> None:
    HEARD.append(notice)


async def fail(notice: Notice) -> None:
    raise RuntimeError("no network")


async def test_parallel_calls_that_ask_for_the_same_stand_on_one_card() -> None:
    agent = desk()
    script = [
        [
            tool_use("refund", order="o1", amount=50),
            tool_use("look", what="x"),
            tool_use("refund", order="o2", amount=60),
        ],
        text("done"),
    ]
    async with embedded(agent, claude=script) as system:
        handle = await agent.start("go")
        request = await one_pending(system)
        assert [call["arguments"]["order"] for call in request.payload["calls"]] == ["o1", "o2"]
        assert request.choices == ["approve", "deny"]
        await system.approve(request)
        assert (await handle.result()).success
        asked = await system.require_store().read(lambda db: approvals.of_run(db, handle.id))
    assert (MADE, len(asked)) == (["o1 50", "o2 60"], 1)


async def test_a_card_that_is_denied_is_denied_whole_and_claude_goes_on() -> None:
    agent = desk()
    script = [[tool_use("refund", order="o1", amount=50), tool_use("refund", order="o2", amount=60)], text("ok")]
    async with embedded(agent, claude=script) as system:
        handle = await agent.start("go")
        await system.answer(await one_pending(system), "deny", note="one at a time")
        response = await handle.result()
    assert [call["result"] for call in response.tool_calls] == ["denied by operator. one at a time"] * 2
    assert (MADE, response.message) == ([], "ok")


async def test_calls_on_different_terms_have_cards_of_their_own() -> None:
    agent = desk(**{"refund(amount > 55)": {"quorum": 2}})
    script = [[tool_use("refund", order="o1", amount=50), tool_use("refund", order="o2", amount=60)], text("ok")]
    async with embedded(agent, claude=script) as system:
        handle = await agent.start("go")
        first = await one_pending(system)
        assert (first.quorum, first.payload["arguments"]["order"]) == (1, "o1")
        await system.approve(first)

        async def another() -> Any:
            return [one for one in await system.approvals.pending() if one.id != first.id]

        (second,) = await eventually(another)
        assert (second.quorum, second.payload["arguments"]["order"]) == (2, "o2")
        await system.approve(second)
        assert (await handle.result()).success


async def test_an_edit_is_another_call_which_is_asked_about_anew() -> None:
    agent = desk()
    async with embedded(agent, claude=ONE) as system:
        handle = await agent.start("go")
        first = await one_pending(system)
        await edit(system, first.id, {"order": "o1", "amount": 20})

        async def another() -> Any:
            return [one for one in await system.approvals.pending() if one.id != first.id]

        (second,) = await eventually(another)
        assert second.payload["arguments"] == {"order": "o1", "amount": 20}
        assert second.payload["asked"] == {"order": "o1", "amount": 50}
        assert "edited" in second.why
        assert MADE == []
        with pytest.raises(AnswerRefused):
            await system.answer(first, "approve")
        await system.approve(second)
        response = await handle.result()
        assert system.claude is not None
        shown = system.claude.requests[-1].body["messages"][-1]["content"][0]["content"]
    assert MADE == ["o1 20"]
    assert "a person had this call made with other input" in shown
    assert (response.tool_calls[0]["input"], response.tool_calls[0]["asked"]) == (
        {"order": "o1", "amount": 20},
        {"order": "o1", "amount": 50},
    )


async def edit(system: Embedded, request: str, arguments: dict[str, Any]) -> None:
    from tenure.runtime import keys

    asked = await system.approvals.find(request)
    key = keys.load(system.settings.home / "keys", "operator")
    verdict = await system.approvals.send(asked, system.approvals.sign(asked, "edit", "operator", key, edit=arguments))
    assert verdict is not None
    assert verdict.accepted, verdict.reason


async def test_a_run_that_asks_on_and_on_is_parked_until_somebody_looks_at_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from tenure.workflows import approval

    monkeypatch.setattr(approval, "ASKS_PER_RUN", 2)
    agent = desk()
    script = [*(tool_use("refund", order=f"o{n}", amount=n + 50) for n in range(3)), text("done")]
    async with embedded(agent, claude=script) as system:
        handle = await agent.start("go")
        for n in range(2):
            request = await eventually(lambda n=n: _asking_for(system, f"o{n}"))  # type: ignore[misc]
            await system.answer(request, "deny")
        parked = await eventually(lambda: _of_kind(system, "parked"))
        assert parked.choices == ["continue", "stop"]
        assert "asked 2 times" in parked.why
        await system.answer(parked, "continue")
        request = await eventually(lambda: _asking_for(system, "o2"))
        await system.answer(request, "approve")
        assert (await handle.result()).success
    assert MADE == ["o2 52"]


async def test_a_parked_run_that_is_stopped_ends_denied(monkeypatch: pytest.MonkeyPatch) -> None:
    from tenure.workflows import approval

    monkeypatch.setattr(approval, "ASKS_PER_RUN", 0)
    agent = desk()
    async with embedded(agent, claude=ONE) as system:
        handle = await agent.start("go")
        await system.answer(await one_pending(system), "stop", note="a loop")
        response = await handle.result()
    assert (response.stop_reason, MADE) == (StopReason.DENIED, [])
    assert response.message.endswith("a loop")


async def test_approvers_who_are_asked_too_much_are_asked_later(monkeypatch: pytest.MonkeyPatch) -> None:
    from datetime import timedelta

    from tenure.activities import verify

    monkeypatch.setattr(verify, "ASKS_PER_APPROVER_HOUR", 1)  # two approvers: two requests an hour
    monkeypatch.setattr(ask, "ASK_AGAIN", timedelta(seconds=1))
    agent = desk()
    async with embedded(agent, claude=lambda body: ONE[len(body["messages"]) > 1]) as system:
        handles = [await agent.start("go") for _ in range(3)]

        async def two() -> bool:
            return len(await system.approvals.pending()) == 2

        await eventually(two)

        async def told() -> bool:
            steps = [step.what for handle in handles for step in (await handle.progress()).steps]
            return any("asked too much" in step for step in steps)

        await eventually(told)
        monkeypatch.setattr(verify, "ASKS_PER_APPROVER_HOUR", 2)

        async def three() -> bool:
            return len(await system.approvals.pending()) == 3

        await eventually(three)
        for request in await system.approvals.pending():
            await system.approve(request)
        assert all([(await handle.result()).success for handle in handles])


async def _asking_for(system: Embedded, order: str) -> Any:
    return next(
        (one for one in await system.approvals.pending() if one.payload.get("arguments", {}).get("order") == order),
        None,
    )


async def _of_kind(system: Embedded, kind: str) -> Any:
    return next((one for one in await system.approvals.pending() if one.kind == kind), None)


async def test_answers_that_do_not_count_are_shown_where_the_run_is_read() -> None:
    agent = desk()
    async with embedded(agent, claude=ONE) as system:
        handle = await agent.start("go")
        request = await one_pending(system)
        await handle.workflow.signal("answer", "garbage")
        forged = await handle.workflow.execute_update(
            "answer", "eyJ0eXAiOiJ0ZW51cmUtYW5zd2VyK2p3cyJ9.e30.", result_type=Verdict
        )
        assert forged.reason.startswith("header alg=None")
        metadata = await handle.workflow.query("__temporal_workflow_metadata")
        assert "2 refused, the last: " in metadata.current_details
        await system.approve(request)
        assert (await handle.result()).success


def test_two_people_are_the_least_for_what_cannot_be_undone_and_for_a_high_escalation() -> None:
    one = Terms(quorum=1)
    assert [terms.for_call(effect, [one]).quorum for effect in ("write", "destructive", "privileged")] == [1, 2, 2]
    assert [terms.for_escalation(to).quorum for to in (6, 7, 10)] == [1, 2, 2]


@pytest.mark.parametrize(
    ("approval", "told"),
    [
        ({"quorum": 0}, "greater than or equal to 1"),
        ({"deadline": "soon"}, "write a time"),
        ({"via": "pigeon"}, "'cli' or 'gateway'"),
        ({"via": []}, "at least 1"),
        ({"rôle": "x"}, "Extra inputs"),
        ({"on_timeout": "allow"}, "'deny' or 'halt'"),
    ],
)
def test_terms_that_cannot_be_are_refused_where_they_are_written(approval: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        desk(refund=approval)


def test_terms_of_a_tool_nobody_has_are_a_typing_error() -> None:
    with pytest.raises(ConfigError, match="did you mean 'refund'"):
        desk(refunds={"quorum": 2})
    with pytest.raises(ConfigError, match="nobody could approve"):
        desk(**{"refund": {"via": "cli"}, "*": {"via": "gateway"}})


def test_rules_that_can_never_count_are_errors() -> None:
    for permissions, rules, told in (
        ({0.5: ["refund"]}, {"refund": "deny"}, "is never allowed"),
        ({}, {"refund": "deny", "refund(amount > 3)": "ask"}, "never asked"),
        ({}, {"re*": "ask", "refund(amount > 3)": "ask"}, "never asked"),
        ({0.5: ["refund(amount <= 3)", "refund(amount<=3)"]}, {}, "written twice"),
    ):
        with pytest.raises(ConfigError, match=told):
            Trust(initial=0.3, permissions=permissions, tool_rules=rules)  # type: ignore[arg-type]


async def test_an_edit_that_the_tool_would_not_take_is_refused_where_it_is_made() -> None:
    agent = desk()
    async with embedded(agent, claude=ONE) as system:
        handle = await agent.start("go")
        request = await one_pending(system)
        with pytest.raises(AssertionError, match="the edit does not fit refund: amount"):
            await edit(system, request.id, {"order": "o1", "amount": "much"})
        await system.answer(request, "deny")
        await handle.result()
    assert MADE == []
