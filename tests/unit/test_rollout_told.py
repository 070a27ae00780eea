"""What people are told of a rollout: all that follows from their answer, and what became of it in numbers and names."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest

from tenure.learn import sprt
from tenure.learn.rollout import Policy, leads_to
from tests.unit.rolling import Capability, canaried, in_service


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        (Policy(), "after 36 clean runs, WITHOUT asking again, it makes the turns of 10 % of the users"),
        (Policy(percent=50, error_rate=Decimal("0.1")), "turns of 50 % of the users, changes and all; after 5 in all"),
        (Policy(strategy="shadow"), "it looks on, and changes nothing; after 71 clean runs people are asked whether"),
    ],
)
def test_who_deploys_is_told_all_that_follows_from_it(policy: Policy, told: str) -> None:
    assert told in leads_to("deploy", policy)
    assert "in Claude's place" in leads_to("promote", policy)


@pytest.mark.parametrize("choice", ["approved", "denied"])
def test_what_people_say_with_their_answer_is_kept(choice: str) -> None:
    made = Capability()
    made.validated()
    made.answered(choice, by=["ann"], note="the weeks are wrong")
    assert made.state.why == f"{choice} by ann: the weeks are wrong"


def test_a_run_that_is_called_unsafe_is_the_end_of_it() -> None:
    made = canaried()
    made.breach("unsafe")
    assert (made.state.stage, "called it unsafe" in made.state.why) == ("rolled_back", True)


def test_what_failed_is_told_in_numbers() -> None:
    made = in_service()
    made.served("ok", times=4)
    while made.state.stage == "promoted":
        made.served("failed")
    bad = made.state.errors.bad
    assert re.fullmatch(rf"{bad} of the {39 + bad} runs given to it failed: \d+ to 1 against .*", made.state.why)
    assert made.state.needs == sprt.clean_runs(Decimal("0.01")) == 71


@pytest.mark.parametrize("what", ["roll_back", "retire"])
def test_what_has_ended_is_not_paused_any_more(what: str) -> None:
    made = canaried()
    made.ordered("pause", "holiday")
    made.ordered(what, "no use")
    assert (made.state.held, made.state.why) == ("", "olivia: no use")
