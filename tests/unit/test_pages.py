"""What an operator is told of a request: what is true of that kind of request."""

from __future__ import annotations

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
    ({"kind": Kind.DEPLOYMENT}, "it counts as denied, and nothing goes into service"),
    ({"kind": Kind.BUDGET}, "it counts as denied"),
]


@pytest.mark.parametrize(("asked", "expected"), SILENCE, ids=[str(asked["kind"]) for asked, _ in SILENCE])
def test_what_silence_leads_to_depends_on_what_is_asked(asked: dict[str, Any], expected: str) -> None:
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
    assert page.afterwards(Request(**told, **asked)) == expected


def test_every_kind_of_request_is_looked_at() -> None:
    assert {asked["kind"] for asked, _ in SILENCE} == set(Kind)
