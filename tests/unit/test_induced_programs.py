"""What is induced is a program that may run, whatever the agent's tools and their arguments are called."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import pytest

from tenure.learn.induction import Induced, Refused, induce
from tenure.learn.recording import Recording, Step
from tenure.learn.subset import faults
from tests.unit import taught


@pytest.mark.parametrize("desk", [taught.tickets, taught.refunds, taught.baskets, taught.cards])
def test_it_is_written_in_the_subset(desk: Callable[[], list[Recording]]) -> None:
    assert faults_of(desk()) == []


@pytest.mark.parametrize("argument", ["zip", "id", "type", "list", "hash", "close_ticket", "named", "each", "str"])
@pytest.mark.parametrize("tool", ["get_ticket", "get_object", "get_list", "get_id", "ticket"])
def test_it_calls_nothing_as_python_or_a_tool_is_called(argument: str, tool: str) -> None:
    names = {"ticket_id": argument, "get_ticket": tool}
    assert faults_of([renamed(run, names) for run in taught.tickets()]) == []


def faults_of(runs: list[Recording]) -> list[str]:
    """What would keep the program that the runs teach from running."""
    (found,) = induce(runs)
    assert isinstance(found, Induced), found
    return [str(one) for one in faults(found.capability.program, found.capability.tools, found.capability.slots)]


def renamed(run: Recording, names: dict[str, str]) -> Recording:
    """The run with other names for tools and arguments."""
    steps = [
        step.model_copy(
            update={
                "tool": names.get(step.tool, step.tool),
                "arguments": {names.get(name, name): value for name, value in step.arguments.items()},
            }
        )
        for step in run.steps
    ]
    return run.model_copy(update={"steps": steps})


def test_it_explains_as_large_a_share_of_what_did_the_same_as_is_asked_for() -> None:
    odd = taught.ticket(7777, 555, 50).model_copy(update={"request": "T-555 came again, it is T-7777: drop the latter"})
    (found,) = induce([*taught.tickets(), odd])
    assert isinstance(found, Induced)
    assert (len(found.runs), found.agreement) == (12, 12 / 13)
    of_one_form, rest = induce([*taught.tickets(), odd], share=Fraction(19, 20))
    assert isinstance(of_one_form, Induced)
    assert (len(of_one_form.runs), of_one_form.agreement) == (12, 1.0), "as a pattern of its own"
    assert isinstance(rest, Refused)


def test_what_came_again_and_again_does_not_make_its_every_word_one_that_belongs_to_a_kind() -> None:
    other = taught.card("Ada Byron", 303, 3).model_copy(
        update={"request": "who is calm, tired and kind?", "answer": "I"}
    )
    often = [other.model_copy(update={"run": f"again-{at}", "steps": []}) for at in range(9)]
    refunds = [
        one for one in induce([*taught.refunds(), *often]) if isinstance(one, Induced) and one.capability.changes
    ]
    assert [one.agreement for one in refunds] == [1.0], "calm, tired and kind are free to stand in a refund"


def moved(run: Recording, at: int, pair: tuple[str, str]) -> Recording:
    """Things are looked up by the first word of a row; what the braces say, nothing depends on."""
    ids = {name: f"i{at}{place}" for place, name in enumerate(pair)}
    named = pair[: 1 + at % 2]
    things = [{"name": name, "id": id} for name, id in ids.items()]
    steps = [
        Step(tool="get_things", effect="read", arguments={}, result=things),
        Step(tool="move", effect="write", arguments={"ids": [ids[name] for name in named]}),
    ]
    asked = "move: " + " ".join(f"{name} {{red{at}}};" for name in named)
    return run.model_copy(update={"request": asked, "steps": steps})


def test_a_list_of_rows_teaches_nothing_because_a_request_could_hide_in_what_no_expression_reads() -> None:
    pairs = [(person.split()[0], person.split()[1]) for person in taught.PEOPLE]
    (found,) = induce(
        [moved(run, at, pair) for at, (run, pair) in enumerate(zip(taught.tickets(), pairs, strict=True))]
    )
    assert isinstance(found, Refused)
    assert "are rows, of which no expression reads every part" in found.why
