"""What an operator reads: text from outside is shown as it is, and changes nothing of what stands around it."""

from __future__ import annotations

import io
import time

import pytest

from tenure.approvals.request import Kind, Request, Verdict
from tenure.cli import render
from tenure.cli.follow import InFlight, Look, Tree
from tenure.cli.page import print_story
from tenure.cli.story import Call, Claude, Message, Story
from tenure.run import Step
from tenure.runtime.store.approvals import Answered, Asked
from tenure.runtime.store.runs import RunRow
from tenure.runtime.store.verdicts import RunVerdict

EVIL = "\x1b[1A\x1b[2K\r\x9b2K\u202e\x07\x00ok"
SHOWN = r"\x1b[1A\x1b[2K\r\x9b2K\u202e\x07\x00ok"
ASKED = Request(
    id="req-1", kind=Kind.TOOL_CALL, tenant=EVIL, workflow="w", agent="desk", seq=2, why=EVIL, digest="d", opened_at=1,
    payload={"tool": EVIL, "arguments": {EVIL: EVIL}},
)  # fmt: skip
RUN = RunRow(
    workflow="w", tenant=EVIL, agent="desk", fingerprint="f", user=EVIL, role=EVIL, status="failed", started_at=1,
    finished_at=2, stop_reason="failed", message=EVIL, iterations=1, calls=1, tokens=1, cost=1, state="{}", trace="{}",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """No text is broken into lines, wherever it stands."""
    monkeypatch.setattr(render, "WIDEST", 2000)
    monkeypatch.setenv("COLUMNS", "2000")


def harmless(told: str) -> str:
    """What was printed, after a look that nothing in it moves the cursor or turns the line round."""
    assert all(sign.isprintable() or sign == "\n" for sign in told), told
    return told


def test_a_run_is_followed_with_whatever_its_steps_say(capsys: pytest.CaptureFixture[str]) -> None:
    tree = Tree(render.console())
    tree.show(Look([Step(at=1, what=f"pay({EVIL})")], [], [ASKED], closed=False, silent=0))
    tree.event(EVIL)
    tree.look, tree.note = Look([], [InFlight(f"tool.{EVIL}", 1, True, time.time())], [], False, 0), EVIL
    tree.console.print(tree)
    told = harmless(capsys.readouterr().out)
    assert told.count(SHOWN) == 5


def test_a_run_is_shown_with_whatever_was_said_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    steps = [
        Message(0, EVIL),
        Claude(1, EVIL, 1, 0.0, 1, "tool_use"),
        Call(2, EVIL, {"a": EVIL}, True, {"b": EVIL}, None, asked={"a": EVIL}),
        Call(3, "pay", {}, False, EVIL, None),
    ]
    refused = Verdict(accepted=False, reason=EVIL)
    answers = [Answered(1, refused), Answered(2, Verdict(accepted=True, choice="approve", principal="a", note=EVIL))]
    asked = Asked(ASKED, 3, "approve", EVIL, answers)
    print_story(Story(RUN, EVIL, steps, [asked], [RunVerdict("w", "client", False, EVIL, 1)]), EVIL)
    told = harmless(capsys.readouterr().out)
    assert told.count(SHOWN) > 12


@pytest.mark.parametrize(("is_terminal", "expected"), [(True, SHOWN), (False, EVIL)])
def test_an_answer_is_spelled_out_on_a_terminal_and_handed_on_as_it_is_elsewhere(
    is_terminal: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.StringIO()
    monkeypatch.setattr(written, "isatty", lambda: is_terminal)
    monkeypatch.setattr("sys.stdout", written)
    render.answer(EVIL)
    assert written.getvalue() == f"{expected}\n"
