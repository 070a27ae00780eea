"""What the Temporal UI shows of a run: amounts that it does not take for mathematics, and times that have a day."""

from __future__ import annotations

from typing import Any

from tenure.approvals.request import Kind, Request
from tenure.run import Parked, RunRequest, RunState, Step
from tenure.workflows import story

NOON = 1_795_262_400_000  # 2026-11-21 12:00 UTC
DAYS = 3 * 86_400_000


def waiting(**told: Any) -> RunState:
    why = "the budget of this run is used up: $0.01 of $0.02 is spent"
    asked = Request(
        id="req-1", kind=Kind.BUDGET, tenant="acme", workflow="w", agent="desk", seq=1, digest="", why=why,
        payload={"cap": "$0.02", "add": "$0.03"}, deadline=NOON + DAYS, **told,
    )  # fmt: skip
    run = RunState(request=RunRequest(agent="desk", tenant="acme"), parked=Parked(why=why, since=NOON, request=asked))
    run.steps.append(Step(at=NOON, what='refund(amount="$5.00", why="not $x$")', took=1, cost=10_900))
    return run


def test_no_two_amounts_in_the_details_are_taken_for_mathematics() -> None:
    shown = story.details(waiting())
    assert "used up: USD 0.01 of USD 0.02 is spent" in shown
    assert '"cap": "USD 0.02", "add": "USD 0.03"' in shown
    assert 'refund(amount="USD 5.00", why="not $x$")' in shown
    assert "| USD 0.0109 |" in shown


def test_a_deadline_and_a_beginning_are_told_with_their_day() -> None:
    run = waiting()
    assert "**Waiting for a person** until 2026-11-24 12:00:00 UTC: " in story.details(run)
    assert run.parked is not None
    run.parked.request = None
    assert "**Parked** since 2026-11-21 12:00:00 UTC: " in story.details(run)
