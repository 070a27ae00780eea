"""What is left out of a long conversation, and that what was decided once stays decided."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tenure.context import Plan, plan
from tenure.transcript import assistant_row, messages, result_row, user_row
from tenure.turn import Fitted, Result, Turn
from tenure.wire import JsonObject

WINDOW = 3_000


@st.composite
def conversations(draw: st.DrawFn) -> list[JsonObject]:
    rows = [user_row(["x" * draw(st.integers(1, 2_000))])]
    for turn in range(draw(st.integers(0, 12))):
        calls = draw(st.integers(0, 3))
        blocks = [{"type": "tool_use", "id": f"t{turn}-{call}", "name": "look", "input": {}} for call in range(calls)]
        said = {"type": "text", "text": "y" * draw(st.integers(1, 3_000))}
        rows.append(assistant_row(Turn(content=[said, *blocks])))
        rows += [result_row(block["id"], Result(value="z" * draw(st.integers(0, 6_000)))) for block in blocks]
        if not calls or draw(st.booleans()):
            rows.append(user_row(["and then?"]))
    return rows


def fitted_through(rows: list[JsonObject]) -> list[Fitted]:
    """The conversation as it grows: what is left out after each turn."""
    ends = [*[seq for seq, row in enumerate(rows) if row["role"] == "assistant"][1:], len(rows)]
    found = [Fitted()]
    for end in ends:
        more = plan(rows[:end], found[-1], WINDOW, known=0, fixed=100)
        now = found[-1]
        if more is not None:
            summary = "s" if more.summarised > now.summarised else now.summary
            now = Fitted(cleared=more.cleared, summarised=more.summarised, summary=summary)
        found.append(now)
    return found


@given(conversations())
def test_what_is_left_out_only_grows(rows: list[JsonObject]) -> None:
    steps = fitted_through(rows)
    for before, after in zip(steps, steps[1:], strict=False):  # noqa: RUF007  # pairs
        assert after.cleared >= before.cleared
        assert after.summarised >= before.summarised


@given(conversations())
def test_the_last_turn_and_what_follows_it_is_always_sent_whole(rows: list[JsonObject]) -> None:
    last = max((seq for seq, row in enumerate(rows) if row["role"] == "assistant"), default=0)
    now = fitted_through(rows)[-1]
    assert now.cleared <= last
    assert now.summarised <= last


@given(conversations())
def test_every_tool_result_that_is_sent_has_its_call_before_it(rows: list[JsonObject]) -> None:
    sent = messages(rows, lambda name: b"", fitted_through(rows)[-1])
    asked: set[str] = set()
    for message in sent:
        for block in message["content"]:
            if block["type"] == "tool_use":
                asked.add(block["id"])
            elif block["type"] == "tool_result":
                assert block["tool_use_id"] in asked
    assert [message["role"] for message in sent[:2]] in (["user"], ["user", "assistant"])


def test_a_conversation_that_fits_is_left_alone() -> None:
    rows = [user_row(["hi"]), assistant_row(Turn(content=[{"type": "text", "text": "hello"}])), user_row(["again"])]
    assert plan(rows, Fitted(), WINDOW, known=2_900, fixed=0) is None


def test_one_long_message_alone_cannot_be_made_to_fit_and_nothing_is_summarised() -> None:
    assert plan([user_row(["x" * 100_000])], Fitted(), WINDOW, known=0, fixed=0) is None


def test_results_go_before_words_do() -> None:
    call = {"type": "tool_use", "id": "a", "name": "look", "input": {}}
    rows = [
        user_row(["hi"]),
        assistant_row(Turn(content=[call])),
        result_row("a", Result(value="z" * 9_000)),
        assistant_row(Turn(content=[{"type": "text", "text": "y"}])),
        user_row(["more"]),
    ]
    assert plan(rows, Fitted(), WINDOW, known=3_200, fixed=0) == Plan(cleared=3, summarised=0)
