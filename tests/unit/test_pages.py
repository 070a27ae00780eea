"""What an operator is told of a request: what is true of that kind of request."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tenure.approvals.request import Kind, Request
from tenure.cli import page

SILENCE: list[tuple[dict[str, Any], str]] = [
    ({"kind": Kind.TOOL_CALL}, "it counts as denied, and the run goes on"),
    ({"kind": Kind.TOOL_CALL, "on_timeout": "halt"}, "the run ends"),
    ({"kind": Kind.ANSWER}, "it counts as denied, and the run ends"),
    ({"kind": Kind.IN_DOUBT, "on_timeout": "halt", "choices": ["happened", "did-not", "stop"]}, "the run ends"),
    ({"kind": Kind.PARKED, "on_timeout": "halt", "choices": ["continue", "stop"]}, "the run ends"),
    ({"kind": Kind.ESCALATION}, "it counts as denied, and the level stays as it is"),
    (
        {"kind": Kind.DEPLOYMENT, "payload": {"step": "deploy"}},
        "it serves nobody, and may be reopened (`tenure learn reopen`)",
    ),
    (
        {"kind": Kind.DEPLOYMENT, "payload": {"step": "promote"}},
        "it serves nobody any more, and may be reopened (`tenure learn reopen`)",
    ),
    ({"kind": Kind.BUDGET}, "it counts as denied, and the run ends"),
]
NIGHT = 1_795_305_600_000  # 2026-11-22 00:00 UTC
MONEY = {"scope": "agent/day", "subject": "acme:desk", "period": "2026-11-21", "cap": "$0.10", "add": "$0.20"}


def request(**asked: Any) -> Request:
    told = {
        "id": "req-1",
        "tenant": "t",
        "workflow": "w",
        "agent": "a",
        "seq": 1,
        "payload": {},
        "why": "",
        "digest": "",
    }
    return Request(**{**told, **asked})


@pytest.mark.parametrize(("asked", "expected"), SILENCE, ids=[str(asked["kind"]) for asked, _ in SILENCE])
def test_what_silence_leads_to_depends_on_what_is_asked(asked: dict[str, Any], expected: str) -> None:
    assert page.afterwards(request(**asked)) == expected


def test_every_kind_of_request_is_looked_at() -> None:
    assert {asked["kind"] for asked, _ in SILENCE} == set(Kind)


@pytest.mark.parametrize(
    ("scope", "period", "deadline", "expected"),
    [
        ("agent/day", "2026-11-21", NIGHT + 1, "the day is over, and the run tries again"),
        ("tenant/month", "2026-11", NIGHT + 10 * 86_400_000, "the month is over, and the run tries again"),
        ("tenant/month", "2026-11", NIGHT, "it counts as denied, and the run ends"),
        ("run", "", NIGHT, "it counts as denied, and the run ends"),
    ],
)
def test_a_run_without_money_tries_again_when_the_day_or_month_is_over(
    scope: str, period: str, deadline: int, expected: str
) -> None:
    asked = request(kind=Kind.BUDGET, payload={**MONEY, "scope": scope, "period": period}, deadline=deadline)
    assert page.afterwards(asked) == expected


def test_until_when_people_may_add_to_a_budget_is_said_in_the_time_that_its_days_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert page.until(request(kind=Kind.BUDGET, payload=MONEY, deadline=NIGHT)) == "2026-11-22 00:00:00 UTC"
        assert page.until(request(kind=Kind.TOOL_CALL, deadline=NIGHT)) == "2026-11-22 09:00:00"
    finally:
        monkeypatch.undo()
        time.tzset()
