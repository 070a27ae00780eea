"""A request for money that was asked before the run continued as new stands as it was asked."""

from __future__ import annotations

from typing import Any

from tenure.approvals.request import Kind, Request, Verdict, Verdicts, Verify
from tenure.run import Parked, Raise, RunRequest, RunState
from tenure.turn import Shortage
from tenure.workflows import budget, story
from tenure.workflows.ask import Desk
from tests.unit.desk_policy import DESK, TENANT
from tests.unit.inside import Inside

WORKFLOW = "acme:run:desk:1"
SHORT = Shortage(
    scope="agent/day", subject="acme:desk", period="2026-11-21", cap=100_000, spent=99_000, needed=250_000, on="pause",
    why="too little", add=250_000,
)  # fmt: skip


def asked(at: int) -> Request:
    """As an older worker has worded it: as much again."""
    payload = {"scope": "agent/day", "subject": "acme:desk", "period": "2026-11-21", "cap": "$0.10", "add": "$0.10"}
    told: dict[str, Any] = {"tenant": TENANT, "workflow": WORKFLOW, "agent": "desk", "seq": 1, "digest": "d", "why": ""}
    return Request(id="req-before", kind=Kind.BUDGET, payload=payload, opened_at=at, deadline=at + 9_000, **told)


def test_what_was_asked_before_is_not_asked_anew_in_other_words_and_is_what_people_add() -> None:
    opened, raised = list[Any](), list[str]()

    async def verify(ask: Verify) -> Verdicts:
        return Verdicts(verdicts=[Verdict(accepted=True, choice="approve", principal="operator", jti="j1")])

    async def opens(request: Request) -> str:
        opened.append(request)
        return request.id

    async def adds(told: Raise) -> None:
        raised.append(told.request)

    async def closes(closed: Any) -> None:
        """It is closed."""

    inside = Inside(WORKFLOW, {"verify": verify, "open_request": opens, "raise_budget": adds, "close_request": closes})
    run = RunState(request=RunRequest(agent="desk", tenant=TENANT), snapshot=DESK.snapshot(), shortage=SHORT)
    run.parked = Parked(why="too little", since=inside.at, request=asked(inside.at))
    desk = Desk(run, story.RunStory(run))
    task = inside.start(budget.exhausted(run, desk, SHORT))
    run.inbox.append("a.b.c")
    inside.go_on()
    assert task.result() is None
    inside.close()
    assert (opened, raised, run.parked, run.shortage) == ([], ["req-before"], None, None)
    assert run.steps[-1].what == "operator added $0.10 to the budget of agent desk for today"
