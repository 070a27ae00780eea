"""An answer counts once, for one request, while it is open; and so does a person, whatever the other half of Tenure has found."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tenure.activities.verify import Verifying
from tenure.approvals.approvers import vouch
from tenure.approvals.request import Kind, Request, Settled, Verdict, Verdicts, Verify
from tenure.run import OpenTurn, RunRequest, RunState
from tenure.runtime.store import approvals, approvers
from tenure.workflows import story
from tenure.workflows.ask import Desk
from tests.unit.desk_policy import DESK, PEOPLE, ROOT, TENANT, USER, token
from tests.unit.inside import Inside, Memory

WORKFLOW = "acme:run:desk:1"
AT = 1_800_000_000_000


def request(number: int = 1, **more: Any) -> Request:
    told: dict[str, Any] = {
        "tenant": TENANT,
        "workflow": WORKFLOW,
        "agent": "desk",
        "seq": 2,
        "user": USER,
        "why": "why",
    }
    payload = {"tool": "pay", "arguments": {"to": "bob", "amount": 51}}
    told |= {"id": f"req-{number}", "digest": f"{number}" * 64, "payload": payload, "kind": Kind.TOOL_CALL, "quorum": 2}
    return Request.model_validate(told | more)


# ------------------------------------------------------------------------------------------------ as the worker sees it


class Counter:
    """The activity `verify` over a store with everybody registered."""

    def __init__(self) -> None:
        self.memory = Memory()
        self.db = self.memory.db
        for name, person in PEOPLE.items():
            approvers.add(self.db, name, vouch(person.statement(), ROOT), 1000)
        to: Any = SimpleNamespace(
            store=self.memory, root=ROOT.public_key(), registry=SimpleNamespace(agents={"desk": DESK})
        )
        self._verify = Verifying(to).verify

    async def found(self, asked: Request, by: str, jti: str, verdict: str = "approve") -> str:
        """Why the answer does not count; empty when it does."""
        sent = token(asked, by, "cli", AT, jti, verdict=verdict)
        (told,) = (await self._verify(Verify(request=asked, tokens=[sent], at=AT))).verdicts
        assert told.accepted == (not told.reason)
        return told.reason


@pytest.fixture
def counter() -> Counter:
    return Counter()


@pytest.mark.parametrize("choice", ["void", "expired", "approve", "deny"])
async def test_nothing_counts_for_a_request_that_was_closed(choice: str, counter: Counter) -> None:
    approvals.open_request(counter.db, request())
    approvals.close_request(counter.db, "req-1", choice, "", 1)
    assert await counter.found(request(), "operator", "j1") == "the request was answered before"


async def test_nothing_counts_once_enough_people_have_answered_although_the_run_has_not_followed_yet(
    counter: Counter,
) -> None:
    for number, answers in enumerate(([("operator", "approve"), ("reviewer", "approve")], [("operator", "deny")])):
        asked = request(number)
        approvals.open_request(counter.db, asked)
        for by, verdict in answers:
            assert await counter.found(asked, by, f"{number}{by}", verdict) == ""
        assert await counter.found(asked, "carol", f"{number}c") == "the request was answered before"


async def test_an_answer_is_used_up_by_the_first_request_that_it_counted_for(counter: Counter) -> None:
    first, second = request(1), request(2, workflow="acme:run:desk:2")
    for asked in (first, second):
        approvals.open_request(counter.db, asked)
    assert await counter.found(first, "operator", "j1") == ""
    assert await counter.found(second, "operator", "j1") == "this answer was used before"
    assert await counter.found(second, "operator", "j2") == ""


async def test_a_person_approves_once(counter: Counter) -> None:
    approvals.open_request(counter.db, request())
    assert await counter.found(request(), "operator", "j1") == ""
    assert "another person must" in await counter.found(request(), "operator", "j2")
    assert await counter.found(request(), "reviewer", "j3") == ""


# --------------------------------------------------------------------------------------------------- as the run sees it


def verdict(by: str, jti: str, **more: Any) -> Verdict:
    return Verdict(**{"accepted": True, "choice": "approve", "principal": by, "jti": jti, **more})


ENOUGH: dict[str, tuple[list[Verdict], str]] = {
    "two people": ([verdict("operator", "1"), verdict("reviewer", "2")], "operator, reviewer"),
    "one person": ([verdict("operator", "1")], ""),
    "one person twice": ([verdict("operator", "1"), verdict("operator", "2")], ""),
    "one answer twice": ([verdict("operator", "1"), verdict("reviewer", "1")], ""),
    "one that was refused": ([verdict("operator", "1"), verdict("reviewer", "2", accepted=False)], ""),
    "one who denies": ([verdict("operator", "1"), verdict("reviewer", "2", choice="deny")], "reviewer"),
}


@pytest.mark.parametrize("what", ENOUGH)
def test_the_run_counts_people_and_answers_by_itself(what: str) -> None:
    """`verify` has refused most of this before; were it wrong, the run would still wait for two different people."""
    verdicts, expected = ENOUGH[what]
    given = iter(verdicts)

    async def verify(ask: Verify) -> Verdicts:
        return Verdicts(verdicts=[next(given) for _ in ask.tokens])

    async def noted(value: Any) -> Any:
        return "req-1"

    inside = Inside(WORKFLOW, {"verify": verify, "open_request": noted, "close_request": noted})
    run = RunState(request=RunRequest(agent="desk", tenant=TENANT), snapshot=DESK.snapshot())
    run.turn = OpenTurn(seq=1, content=[])
    desk = Desk(run, story.RunStory(run))
    asked = request(deadline=inside.at + 1000, opened_at=inside.at)
    task = inside.start(desk.ask(run.turn, asked))
    for number, _ in enumerate(verdicts):
        if not task.done():
            desk.drop(f"token {number}")
            inside.go_on()
    found = task.result() if task.done() else Settled(choice="")
    inside.close()
    assert found.principal == expected
