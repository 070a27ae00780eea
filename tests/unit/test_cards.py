"""A card: the calls of a turn that people answer for at once, because they ask for the same on the same terms."""

from __future__ import annotations

from typing import Any

import pytest

from tenure.approvals.digest import call_digest
from tenure.approvals.request import Settled
from tenure.run import Grant, OpenTurn, RunRequest, RunState
from tenure.transcript import tool_calls
from tenure.trust.terms import Terms
from tenure.wire import JsonObject
from tenure.workflows.approval import _card, _settled
from tenure.workflows.call import call_of
from tenure.workflows.gate import terms_of
from tests.unit.desk_policy import DESK, TENANT
from tests.unit.inside import Inside

WORKFLOW = "acme:run:desk:1"
ASKS: tuple[str, JsonObject] = ("pay", {"to": "bob", "amount": 51})
TWO_ASK = [ASKS, ("pay", {"to": "carol", "amount": 52})]
GRANTED = call_digest(TENANT, WORKFLOW, 3, *TWO_ASK[1])

CARDS: dict[str, tuple[list[tuple[str, JsonObject]], dict[str, Any], list[int]]] = {
    "the same terms": (TWO_ASK, {}, [0, 1]),
    "other people on the card": ([ASKS, ("pay", {"to": "bob", "amount": 101})], {}, [0]),
    "one that needs nobody": ([ASKS, ("put", {"what": "plain"}), TWO_ASK[1]], {}, [0, 2]),
    "one that is denied": ([ASKS, ("put", {"what": "secret"})], {}, [0]),
    "one that nobody serves": ([ASKS, ("wire", {}), TWO_ASK[1]], {}, [0, 2]),
    "one that cannot be made": (TWO_ASK, {"problems": {1: "no such argument"}}, [0]),
    "one that a hook rejects": (TWO_ASK, {"rejected": {1: "no"}}, [0]),
    "one that was approved": (TWO_ASK, {"grants": {GRANTED: Grant(request="req-1", fence=0)}}, [0]),
    "one that a person edited": (TWO_ASK, {"edited": {1: {"to": "eve", "amount": 52}}}, [0]),
    "the first one was edited": (TWO_ASK, {"edited": {0: {"to": "eve", "amount": 52}}}, [0]),
}


@pytest.mark.parametrize("what", CARDS)
def test_on_one_card_stands(what: str) -> None:
    calls, more, expected = CARDS[what]
    blocks = [
        {"type": "tool_use", "id": f"c{n}", "name": name, "input": given} for n, (name, given) in enumerate(calls)
    ]
    run = RunState(request=RunRequest(agent="desk", tenant=TENANT), snapshot=DESK.snapshot())
    turn = OpenTurn(seq=1, content=blocks, **more)

    async def card() -> list[int]:
        first = call_of(run, turn, tool_calls(turn.content)[0], 0)
        terms: Terms = terms_of(run.agent.tools[first.tool], first.arguments)
        return [call.index for call in _card(run, turn, first, terms)]

    inside = Inside(WORKFLOW, {})
    found = inside.start(card()).result()
    inside.close()
    assert found == expected


DENIED: dict[str, tuple[Settled, str]] = {
    "by somebody who says why": (
        Settled(choice="deny", principal="operator", note="too much"),
        "denied by operator. too much",
    ),
    "by somebody who does not": (Settled(choice="deny", principal="operator"), "denied by operator."),
    "by nobody in time": (Settled(choice="expired", note="nobody answered in time"), "denied: nobody answered in time"),
}


@pytest.mark.parametrize("how", DENIED)
def test_claude_is_told_once_why_a_call_was_denied(how: str) -> None:
    settled, told = DENIED[how]
    run = RunState(request=RunRequest(agent="desk", tenant=TENANT), snapshot=DESK.snapshot())
    block = {"type": "tool_use", "id": "c0", "name": ASKS[0], "input": ASKS[1]}
    turn = OpenTurn(seq=1, content=[block])

    async def denied() -> str:
        card = [call_of(run, turn, block, 0)]
        assert _settled(turn, card, Terms(), settled, 0) is None
        return turn.denied[card[0].digest]

    inside = Inside(WORKFLOW, {})
    found = inside.start(denied()).result()
    inside.close()
    assert found == told
