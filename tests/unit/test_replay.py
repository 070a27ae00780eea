"""Whether what a program did is what a recording did: effects count, look-ups do not."""

from __future__ import annotations

from typing import Any

from tenure.learn.recording import Recording, Step
from tenure.learn.replay import compare

SCHEMA = {
    "pay": {
        "properties": {
            "euros": {"type": "number"},
            "note": {"type": "string", "default": ""},
            "ids": {"type": "array", "items": {"type": "string"}},
        }
    }
}


def call(tool: str = "pay", result: Any = "ok", *, effect: str = "write", ok: bool = True, **arguments: Any) -> Step:
    return Step(tool=tool, effect=effect, arguments=arguments, result=result, ok=ok)


def told(*steps: Step) -> Recording:
    return Recording(run="r1", agent="desk", fingerprint="ab12", request="pay", steps=list(steps))


def verdict(made: list[Step], recording: Recording, **options: Any) -> tuple[str, str]:
    compared = compare(made, recording, schemas=SCHEMA, **options)
    return compared.verdict, compared.why


def test_the_same_changes_are_clean_whatever_was_looked_up() -> None:
    recording = told(call("look", effect="read", at=1), call(euros=5.0), call("look", effect="read", at=2))
    assert verdict([call(euros=5.0)], recording) == ("clean", "")


def test_arguments_are_compared_as_the_schema_reads_them() -> None:
    assert verdict([call(euros=5)], told(call(euros=5.0, note="")))[0] == "clean"
    assert verdict([call(euros=5, note="x")], told(call(euros=5)))[0] == "wrong"
    assert verdict([call(euros=True)], told(call(euros=1)))[0] == "wrong"


def test_the_first_wrong_change_is_named() -> None:
    recording = told(call(euros=1.0), call(euros=2.0))
    assert verdict([call(euros=1.0), call(euros=3.0)], recording) == ("wrong", "change 2: pay euros 3.0 instead of 2.0")
    assert verdict([call("send")], recording) == ("wrong", "change 1: send instead of pay")
    assert verdict([call(euros=1.0, to="x")], recording) == ("wrong", "change 1: pay has to")


def test_a_change_too_few_or_too_many_is_wrong() -> None:
    recording = told(call(euros=1.0), call(euros=2.0))
    assert verdict([call(euros=1.0)], recording)[1] == "pay was not called (1 of 2 changes were made)"
    assert verdict([call(euros=1.0)], recording, abstained="a check failed")[0] == "wrong"
    assert verdict([call(euros=1.0), call(euros=2.0), call()], recording)[1].startswith("pay was called beyond")


def test_ending_before_the_first_change_is_abstaining_and_not_wrong() -> None:
    assert verdict([], told(call(euros=1.0)), abstained="the ticket is not open") == (
        "abstained",
        "the ticket is not open",
    )
    assert verdict([], told(call(euros=1.0)))[0] == "wrong"
    assert verdict([], told())[0] == "clean"


def test_the_order_of_a_list_counts_unless_the_tool_did_the_same_with_both() -> None:
    recording = told(call(ids=["a", "b"], result={"set": ["a", "b"]}))
    assert verdict([call(ids=["b", "a"], result={"set": ["a", "b"]})], recording)[0] == "clean"
    assert verdict([call(ids=["b", "a"], result={"set": ["b", "a"]})], recording)[0] == "wrong"
    assert verdict([call(ids=["b", "b"], result={"set": ["a", "b"]})], recording)[0] == "wrong"


def test_a_change_that_failed_where_the_recorded_one_did_not_is_wrong() -> None:
    assert verdict([call(euros=1.0, ok=False)], told(call(euros=1.0))) == ("wrong", "change 1: pay failed")
