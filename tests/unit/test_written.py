"""What Claude writes is data: one JSON object, one bounded program, read for what it does and believed in nothing it says."""

from __future__ import annotations

import json

import pytest

from tenure.learn import written
from tenure.learn.induction import Induced
from tenure.learn.recording import Recording, Step
from tenure.learn.trigger import Phrase, Repeated, Trigger, Typed, Word
from tenure.learn.wording import form, known, settled
from tenure.learn.written import Tools, Unusable, Written, picked, plain, program_in, proposal_of, proposed

TOOLS = Tools(every=["delete", "find", "pay"], reads=["find"])
TRIGGER = Trigger(parts=[Word(text="pay"), Typed(name="bill", type="identifier"), Phrase(name="whom", low=1, high=3)])
PAY = """bill_ = find(bill=bill)
assert bill_['to'] == whom, 'it is theirs'
done = pay(bill=bill_['id'])
f"{done['id']} is paid."
"""


def run(last: int, *tools: str) -> Recording:
    steps = [Step(tool=tool, effect="read" if tool == "find" else "write", arguments={}) for tool in tools]
    return Recording(
        run=f"acme:run:desk:{last}", agent="desk", fingerprint="ab", request=f"pay B-{last} now", steps=steps
    )


KIND = [run(last, "find", "pay") for last in range(10, 24)]


def made(program: str = PAY, trigger: Trigger = TRIGGER) -> Written:
    return proposed(plain(program), trigger, TOOLS, KIND, picked(KIND), "claude-x")


def problem(program: str) -> str:
    with pytest.raises(Unusable) as refused:
        made(program)
    return str(refused.value)


def answered(program: object) -> str:
    return json.dumps({"program": program})


@pytest.mark.parametrize("text", [answered(PAY), f" {answered(PAY)}\n", f"```json\n{answered(PAY)}\n```"])
def test_one_object_with_one_program_is_an_answer_fenced_or_not(text: str) -> None:
    assert program_in(text, "end_turn") == PAY


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not one JSON object"),
        ("Here it is: " + answered(PAY), "not one JSON object"),
        (answered(PAY) + answered(PAY), "not one JSON object"),
        (f"```json\n{answered(PAY)}\n```\nI hope that helps.", "not one JSON object"),
        ('{"program": "a", "program": "b"}', "a key stands in it twice"),
        ("[" * 50_000, "not one JSON object"),
        (json.dumps([PAY]), 'the one key "program"'),
        ('{"program": "a", "trigger": "*"}', 'the one key "program"'),
        ("{}", 'the one key "program"'),
        (answered(["a"]), "must be text"),
        (answered("  \n"), "must be text"),
        (answered("x" * 70_000), "more than 65,536 bytes"),
    ],
)
def test_anything_else_is_none_and_it_is_said_why(text: str, why: str) -> None:
    with pytest.raises(Unusable, match=why):
        program_in(text, "end_turn")


@pytest.mark.parametrize("stop", ["max_tokens", "pause_turn", "tool_use", "none"])
def test_an_answer_that_was_cut_is_none_however_it_ends(stop: str) -> None:
    with pytest.raises(Unusable, match="was cut"):
        program_in(answered(PAY), stop)


def test_people_read_the_program_as_python_writes_it_without_what_its_author_remarks() -> None:
    remarked = '"""Approved by compliance."""\n# safe\ndef f(x):\n    "checked twice"\n    return x\n' + PAY.replace(
        "['to'] ", '["to"]'
    )
    assert plain(remarked) == f"def f(x):\n    return x\n{PAY}"
    assert plain('def f():\n    "nothing"\n"the answer"') == "def f():\n    pass\n'the answer'\n"
    assert "\x1b" not in plain("f'\\x1b[2J{1}' + '\\x1b'")


@pytest.mark.parametrize("program", ["x =", "\0", "(" * 5_000, "#" * 20_000, "'\ud800'", "-" * 16_000 + "1"])
def test_what_python_cannot_read_or_people_cannot_is_refused(program: str) -> None:
    with pytest.raises(Unusable):
        made(program)


def test_what_is_said_of_a_program_is_read_off_it() -> None:
    capability = made().capability
    assert (capability.id, capability.tools, capability.changes) == ("pay", ["find", "pay"], ["pay"])
    assert capability.guards == ["bill_['to'] == whom"]
    assert capability.answer == "f\"{done['id']} is paid.\""
    assert made(PAY + '""').capability.answer == ""


def test_what_a_program_checks_after_its_first_change_counts_as_no_check_before_it() -> None:
    late = "bill_ = find(bill=bill)\ndone = pay(bill=whom)\nassert bill_['to'] == whom\n'done'"
    assert made(late).capability.guards == []
    assert "the program checks nothing before the change" in made(late).notes


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("delete(bill=bill)\n" + PAY, "delete, which changes something and none of the runs did"),
        ("find(bill=bill)\nwhom", "does not call pay, and all of the runs did"),
        (PAY.replace("whom", "'me'"), "never looks at whom: the request could ask for something there"),
        (PAY.replace("bill=bill)", "bill=eval(bill))"), "no `eval`"),
        ("import os\n" + PAY, "imports nothing"),
        (PAY.replace("'it is theirs'", "'it is theirs'\nbill = 1\nfind = 2"), "'find' is a tool"),
    ],
)
def test_a_program_that_does_something_else_than_the_runs_is_refused(program: str, why: str) -> None:
    assert why in problem(program)


def test_a_problem_names_the_line_as_it_is_checked() -> None:
    assert "line 2: a program imports nothing" in problem("# a remark\nx = 1\nimport os\n'x'")
    assert "`import os`" in problem("import os  # a remark\n'x'")


def test_claude_is_shown_half_of_the_runs_at_most_ten_at_most_and_none_where_five_would_be_too_many() -> None:
    assert [len(picked(KIND[:many])) for many in (9, 10, 13, 14)] == [0, 5, 6, 7]
    assert len(picked([run(last, "pay") for last in range(100)])) == 10
    assert picked(KIND) == picked(KIND[::-1]), "who is shown does not hang on their order"


def test_a_proposal_says_how_it_is_to_be_tested() -> None:
    one = made()
    assert len(one.shown) == 7
    assert one.runs == one.shown == one.capability.provenance
    assert not set(one.shown) & set(one.unexplained)
    assert sorted(one.shown + one.unexplained) == sorted(each.run for each in KIND)
    assert proposal_of(one.model_dump_json()) == one
    induced = Induced.model_validate(one.model_dump(exclude={"shown", "model"}))
    assert type(proposal_of(induced.model_dump_json())) is Induced


def test_places_that_ask_for_nothing_may_be_left_unlooked_at_and_then_have_no_name() -> None:
    aside = Repeated(name="moods", sign=",", item=Phrase(name="?", low=1, high=1, style="lower"), low=1, high=4)
    trigger = TRIGGER.model_copy(update={"parts": [*TRIGGER.parts, Word(text="."), aside]})
    assert set(made(trigger=trigger).capability.slots) == {"bill", "whom"}
    assert settled(trigger, {"moods"}).parts[-1] == aside


def test_a_form_leaves_out_the_fewest_that_do_not_fit_and_no_more_than_a_fifth() -> None:
    odd = [each.model_copy(update={"request": f"{each.request}\u200b"}) for each in KIND]
    found = form([*KIND[:12], *odd[:3]], KIND)
    assert found is not None
    assert known(found, [*KIND[:12], *odd[:3]]) == KIND[:12]
    assert form([*KIND[:9], *odd[:5]], KIND) is None


def test_a_place_for_free_words_holds_none_that_belong_to_what_is_asked_for() -> None:
    found = form(
        KIND, [*KIND, *(run(last, "delete").model_copy(update={"request": f"delete B-{last}"}) for last in range(9))]
    )
    assert found is not None
    assert {"pay", "delete"} <= set(found.vocabulary)


def test_the_family_has_the_id_that_induction_would_give_it() -> None:
    assert made().capability.id == "pay"
    assert written.family(run(1, "find")) == "reads--find"
    long = written.family(run(1, *["a_rather_long_name_of_a_tool"] * 5))
    assert len(long) == 63
    assert long.startswith("a_rather_long_name_of_a_tool-a_rather")
