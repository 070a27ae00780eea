"""Where answers arrive: what can be none takes no room, what finds none is told so, and neither keeps a request from its end."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.approvals.answer import HEADER_LIMIT, TOKEN_LIMIT, TYPE, claimed_signer, unlike
from tenure.approvals.approvers import TYPE as APPROVER
from tenure.approvals.request import Settled, Verdict, Verdicts, Verify
from tenure.errors import AnswerRefused
from tenure.run import OpenTurn, RunRequest, RunState
from tenure.workflows import story
from tenure.workflows.ask import FULL, INBOX_LIMIT, INBOX_MOST, REMARK, Desk
from tests.unit.desk_policy import DESK, TENANT, token
from tests.unit.inside import Inside
from tests.unit.test_answered_once import WORKFLOW, request


def part(content: bytes) -> str:
    """A part of a compact JWS."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def nearly(number: int, size: int = 1000) -> str:
    """What has the form of an answer, and is none."""
    return f"{part(json.dumps({'typ': TYPE, 'kid': 'mallory'}).encode())}.{number}{'x' * size}.x"


DEEP = b'{"typ":' + b"[" * 170 + b"]" * 170 + b"}"
NONE: dict[str, Any] = {
    "nothing": None,
    "a number": 7,
    "an object": {"a": [[[]]]},
    "bytes": b"a.b.c",
    "words": "open sesame",
    "two parts": "eyJhIjoxfQ.b",
    "a line too many": nearly(1) + "\n",
    "too long": nearly(1, TOKEN_LIMIT),
    "a header that is no base64url": f"{'a' * 5}.b.c",
    "a header that is no JSON": f"{part(b'{')}.b.c",
    "a header that is no object": f"{part(b'[]')}.b.c",
    "a header of another kind": f"{part(b'{}')}.b.c",
    "a header of another token": f"{part(json.dumps({'typ': APPROVER, 'alg': 'EdDSA', 'kid': 'operator'}).encode())}.b.c",
    "a header of depth": f"{part(DEEP)}.b.c",
    "a header of length": f"{part(json.dumps({'typ': TYPE, 'x': 'y' * HEADER_LIMIT}).encode())}.b.c",
    "half of a surrogate pair": "\ud800.b.c",
}


@pytest.mark.parametrize("what", NONE)
def test_what_can_be_no_answer_is_known_by_its_form(what: str) -> None:
    assert unlike(NONE[what])


@pytest.mark.parametrize("what", [what for what, sent in NONE.items() if isinstance(sent, str)])
def test_nobody_is_taken_for_the_signer_of_what_can_be_no_answer(what: str) -> None:
    """Whatever a workflow hands to `verify`: the form is looked at there as well."""
    with pytest.raises(AnswerRefused, match=re.escape(unlike(NONE[what]))):
        claimed_signer(NONE[what])


def test_what_is_signed_by_somebody_may_be_an_answer() -> None:
    assert unlike(token(request(), "operator", "cli", 0, "j1", verdict="approve")) == ""
    assert unlike(nearly(1)) == ""


@given(
    st.text() | st.from_regex(r"[\w-]*\.[\w-]*\.[\w-]*", fullmatch=True) | st.binary().map(lambda it: f"{part(it)}.a.b")
)
def test_looking_at_the_form_never_raises_and_refuses_nothing_that_could_be_read(sent: str) -> None:
    try:
        claimed_signer(sent)
    except AnswerRefused as refused:
        assert not unlike(sent) or unlike(sent) == str(refused)
    else:
        assert unlike(sent) == ""


class Asked:
    """A run that asks, and whose answers are all refused as soon as `reads` is set."""

    def __init__(self) -> None:
        self.reads, self.sent = asyncio.Event(), list[str]()
        activities = {"verify": self._verify, "open_request": self._noted, "close_request": self._noted}
        self.inside = Inside(WORKFLOW, activities)
        self.run = RunState(request=RunRequest(agent="desk", tenant=TENANT), snapshot=DESK.snapshot())
        self.run.turn = self.turn = OpenTurn(seq=1, content=[])
        self.desk = Desk(self.run, story.RunStory(self.run))
        self.asked = request(deadline=self.inside.at + 1000, opened_at=self.inside.at)
        self.task = self.inside.start(self.desk.ask(self.turn, self.asked))

    async def _verify(self, ask: Verify) -> Verdicts:
        await self.reads.wait()
        self.sent += ask.tokens
        return Verdicts(verdicts=[Verdict(accepted=False, reason="forged") for _ in ask.tokens])

    async def _noted(self, value: Any) -> Any:
        return "req-1"

    def read(self) -> None:
        """A worker looks at all that has arrived."""
        self.reads.set()
        self.inside.go_on()

    def verdict(self, sent: object) -> Verdict | None:
        """What whoever sends that is told at once, if anything."""
        task = self.inside.start(self.desk.verdict_on(self.desk.drop(sent)))
        self.inside.go_on()
        return task.result() if task.done() else None


@pytest.fixture
def asked() -> Iterator[Asked]:
    made = Asked()
    yield made
    made.inside.close()


@pytest.mark.parametrize("what", NONE)
def test_what_can_be_no_answer_is_refused_at_once_and_takes_no_room(what: str, asked: Asked) -> None:
    for _ in range(3 * INBOX_MOST):
        asked.desk.drop(NONE[what])
    assert asked.run.inbox == [REMARK]
    verdict = asked.verdict(NONE[what])
    assert verdict == Verdict(accepted=False, reason=unlike(NONE[what]))
    asked.read()
    assert (asked.turn.refused, asked.turn.refusal) == (3 * INBOX_MOST + 1, unlike(NONE[what]))
    assert (asked.sent, asked.run.inbox) == ([REMARK], [])
    assert f"{3 * INBOX_MOST + 1} refused, the last: {unlike(NONE[what])[:40]}" in story.details(asked.run)


@pytest.mark.parametrize(("size", "last"), [(1, "forged"), (7000, FULL)], ids=["many", "long"])
def test_what_finds_no_room_is_refused_at_once_and_may_be_sent_again(size: int, last: str, asked: Asked) -> None:
    flood = [nearly(number, size) for number in range(2 * INBOX_MOST)]
    for sent in flood:
        asked.desk.drop(sent)
    assert len(asked.run.inbox) <= INBOX_MOST
    assert sum(map(len, asked.run.inbox)) <= INBOX_LIMIT + TOKEN_LIMIT
    late = nearly(-1)
    assert asked.verdict(late) == Verdict(accepted=False, reason=FULL)
    asked.read()
    assert (asked.turn.refused, asked.turn.refusal, asked.run.inbox) == (len(flood) + 1, last, [])
    assert f"{len(flood) + 1} refused, the last: {last}" in story.details(asked.run)
    assert asked.verdict(late) == Verdict(accepted=False, reason="forged")


def test_an_answer_that_is_sent_twice_takes_room_once_and_both_are_told(asked: Asked) -> None:
    for _ in range(5):
        asked.desk.drop(nearly(1))
    assert asked.run.inbox == [nearly(1)]
    asked.read()
    assert asked.turn.refused == 1


def test_a_flood_does_not_keep_a_request_open_beyond_its_deadline(asked: Asked) -> None:
    for number in range(INBOX_MOST):
        asked.desk.drop(nearly(number))
    asked.inside.at = asked.asked.deadline
    asked.read()
    assert asked.task.result() == Settled(choice="expired", request="req-1", note="nobody answered in time")
    assert asked.run.inbox  # not all of it was read
