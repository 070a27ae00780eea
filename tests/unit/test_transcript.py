"""Rows, the chain over them, and the messages Claude is sent."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from tenure.transcript import (
    EMPTY_HEAD,
    assistant_row,
    canonical,
    extend,
    extend_text,
    messages,
    result_of,
    result_row,
    state_of,
    user_row,
)
from tenure.turn import Result, Turn
from tenure.wire import BlobRef

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
RESULTS = st.builds(
    Result,
    ok=st.booleans(),
    value=VALUES,
    outcome=st.sampled_from(["known", "unknown"]),
    state=st.dictionaries(st.text(max_size=3), VALUES, max_size=2),
    finish=st.none() | st.text(max_size=4),
)


@given(RESULTS)
def test_a_result_can_be_read_back_from_its_row(result: Result) -> None:
    row = json.loads(canonical(result_row("id", result)))
    assert result_of(row) == result
    assert canonical(result_row("id", result_of(row))) == canonical(row)


@given(st.lists(RESULTS, min_size=1, max_size=5), st.data())
def test_the_head_changes_with_any_row(results: list[Result], data: st.DataObject) -> None:
    rows = [result_row(f"id{number}", result) for number, result in enumerate(results)]
    head = EMPTY_HEAD
    for row in rows:
        head = extend(head, row)
    which = data.draw(st.integers(0, len(rows) - 1))
    other = EMPTY_HEAD
    for number, row in enumerate(rows):
        changed = {**row, "value": "something else entirely"} if number == which else row
        other = extend_text(other, canonical(changed))
    assert head != other


def test_rows_of_one_role_become_one_message_and_results_come_first() -> None:
    call = {"type": "tool_use", "id": "t1", "name": "look", "input": {}}
    rows = [
        user_row(["context", "hello"]),
        assistant_row(Turn(content=[{"type": "text", "text": "hm"}, call])),
        result_row("t1", Result(ok=False, value="closed")),
        user_row(["and hurry"]),
    ]
    assert messages(rows, lambda name: b"") == [
        {"role": "user", "content": [{"type": "text", "text": "context"}, {"type": "text", "text": "hello"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "hm"}, call]},
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": "closed", "is_error": True},
                {"type": "text", "text": "and hurry"},
            ],
        },
    ]


def test_large_content_is_fetched_by_its_name() -> None:
    rows = [user_row([], BlobRef(blob="abc", size=3)), result_row("t", Result(blob=BlobRef(blob="def", size=3)))]
    [message] = messages(rows, lambda name: f"<{name}>".encode())
    assert [message["content"][0]["text"], message["content"][1]["content"]] == ["<abc>", "<def>"]


def test_state_is_the_initial_one_with_the_deltas_in_order() -> None:
    rows = [
        {"role": "tool", "state": {"a": 1, "b": 1}},
        {"role": "user", "texts": []},
        {"role": "tool", "state": {"b": 2}},
    ]
    assert state_of(rows, {"a": 0, "c": 0}) == {"a": 1, "b": 2, "c": 0}
