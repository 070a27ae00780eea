"""The rollout of a capability: who is served when, on what evidence, and what ends it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.learn.canary import in_canary
from tenure.learn.events import Held, Refused, Withdrawn
from tenure.learn.rollout import Policy, Rollout, advance, begin, serving
from tests.unit.rolling import Capability, asks, canaried, in_service, in_shadow, moves

ALONE = Policy(require_approval=False)
LIVE = {"shadow": in_shadow, "canary": canaried, "promoted": in_service}


def test_a_capability_reaches_everybody_by_71_clean_runs_and_two_approvals() -> None:
    made = Capability()
    told = made.validated()
    assert moves(told) == [("mined", "validated")] and asks(told) == ["deploy"]
    assert serving(made.state) == "no"
    assert moves(made.answered()) == [("validated", "shadow")]
    assert serving(made.state) == "shadow"
    assert moves(made.compared(times=35)) == []
    assert moves(made.compared()) == [("shadow", "canary")]
    assert serving(made.state) == "canary"
    assert made.served(times=34) == []
    assert asks(made.served()) == ["promote"]
    assert serving(made.state) == "canary"
    assert moves(made.answered()) == [("canary", "promoted")]
    assert serving(made.state) == "all"


def test_where_no_approval_is_required_it_goes_by_the_evidence_alone() -> None:
    assert in_shadow(ALONE).state.stage == "shadow"
    made = canaried(ALONE)
    assert moves(made.served(times=35)) == [("canary", "promoted")]


def test_by_the_strategy_shadow_nobody_is_served_before_everybody_is() -> None:
    made = in_shadow(Policy(strategy="shadow"))
    assert made.compared(times=70) == []
    assert asks(made.compared()) == ["promote"]
    assert serving(made.state) == "shadow"
    assert moves(made.answered()) == [("shadow", "promoted")]


@pytest.mark.parametrize(("coverage", "wrong"), [("0.899", 0), ("1", 1)])
def test_a_gate_that_fails_rejects(coverage: str, wrong: int) -> None:
    made = Capability()
    assert moves(made.validated(coverage, wrong)) == [("mined", "rejected")]


def test_coverage_of_exactly_what_is_asked_is_enough() -> None:
    assert moves(Capability().validated("0.9")) == [("mined", "validated")]


def test_validated_twice_is_refused() -> None:
    made = in_shadow()
    [told] = made.validated("0.1", 5)
    assert isinstance(told, Refused) and made.state.stage == "shadow"


def changed(before: Rollout, after: Rollout) -> set[str]:
    return {name for name in Rollout.model_fields if getattr(before, name) != getattr(after, name)}


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"version": 1}, "version 1, this is version 2"),
        ({"version": 3}, "version 3, this is version 2"),
        ({"digest": "other"}, "about other, this is d2"),
        ({"asked": 7}, "request 7"),
        ({"what": "promote"}, "promote"),
    ],
)
@pytest.mark.parametrize("choice", ["approved", "denied"])
def test_an_answer_to_something_else_is_refused_named_and_changes_nothing(
    other: dict[str, Any], named: str, choice: str
) -> None:
    made = Capability()
    made.validated()
    before = made.state
    [told] = made.answered(choice, **other)
    assert isinstance(told, Refused) and named in told.why
    assert changed(before, made.state) == {"last"}


def test_an_approval_counts_once() -> None:
    made = in_shadow()
    [told] = made.answered(asked=1)
    assert isinstance(told, Refused)
    made.compared(times=36)
    made.served(times=35)
    [told] = made.answered(what="deploy", asked=1)
    assert isinstance(told, Refused) and made.state.stage == "canary"


def test_a_denial_is_the_end_of_the_version() -> None:
    made = Capability()
    made.validated()
    assert moves(made.answered("denied")) == [("validated", "rejected")]
    made = canaried()
    made.served(times=35)
    assert moves(made.answered("denied")) == [("canary", "rejected")]
    assert serving(made.state) == "no"


def test_a_request_that_nobody_answered_is_no_approval_and_no_denial() -> None:
    made = Capability()
    made.validated()
    assert moves(made.answered("expired")) == [("validated", "inconclusive")]


def test_what_fails_while_people_are_asked_takes_the_request_back() -> None:
    made = canaried()
    made.served(times=35)
    told = made.served("failed")
    assert [one.number for one in told if isinstance(one, Withdrawn)] == [2]
    [refused] = made.answered(what="promote", asked=2)
    assert isinstance(refused, Refused) and made.state.stage == "canary"
    assert asks(made.served(times=60)) == ["promote"]
    [refused] = made.answered(asked=2)
    assert isinstance(refused, Refused)
    assert moves(made.answered()) == [("canary", "promoted")]


@pytest.mark.parametrize("stage", LIVE)
@pytest.mark.parametrize("what", ["unexpected_write", "fingerprint", "diverged"])
@pytest.mark.parametrize("held", [False, True])
def test_a_breach_rolls_back_at_once_wherever_it_is_live(stage: str, what: str, held: bool) -> None:
    made = LIVE[stage]()
    if held:
        made.ordered("pause")
    assert moves(made.breach(what)) == [(stage, "rolled_back")]
    assert serving(made.state) == "no"


@pytest.mark.parametrize("stage", LIVE)
def test_so_do_a_wrong_write_a_run_in_doubt_and_a_guard_after_a_write(stage: str) -> None:
    assert moves(LIVE[stage]().compared("wrong_write")) == [(stage, "rolled_back")]
    assert moves(LIVE[stage]().served("in_doubt")) == [(stage, "rolled_back")]
    assert moves(LIVE[stage]().breach("guard", wrote=True)) == [(stage, "rolled_back")]
    assert moves(LIVE[stage]().breach("guard")) == []


def test_another_agent_before_it_is_live_rejects_it_and_takes_the_request_back() -> None:
    made = Capability()
    made.validated()
    told = made.breach("fingerprint")
    assert moves(told) == [("validated", "rejected")]
    assert any(isinstance(one, Withdrawn) for one in told)


def test_a_rollback_is_the_end_of_the_version() -> None:
    made = in_service()
    made.breach("diverged")
    before = made.state
    made.served(times=200)
    for told in (made.answered(asked=2), made.ordered("reopen"), made.ordered("resume"), made.validated()):
        assert moves(told) == []
    assert changed(before, made.state) == {"last"}


def test_what_fails_every_time_is_rolled_back_after_five_runs_even_after_a_thousand_good_ones() -> None:
    made = in_service()
    made.served(times=1_000)
    assert made.served("failed", 4) == []
    assert moves(made.served("failed")) == [("promoted", "rolled_back")]
    assert "to 1 against an error rate of 0.01" in made.state.why


def test_a_canary_that_fails_in_one_run_of_ten_is_turned_away_by_the_test_or_the_watch() -> None:
    made = canaried()
    while made.state.stage == "canary":
        made.served(times=9)
        made.served("failed")
    assert made.state.stage == "rolled_back" and made.state.tally.runs < 150
    assert "wrong" in made.state.why or "failed" in made.state.why


def test_one_failure_is_no_rollback() -> None:
    made = in_service()
    made.served("failed")
    made.served(times=300)
    made.served("failed")
    assert made.state.stage == "promoted"


def test_differences_in_the_shadow_reject_by_the_test() -> None:
    made = in_shadow()
    assert moves(made.compared("differs", 2)) == [("shadow", "rolled_back")]


def test_abstaining_is_no_error_and_no_success_but_too_much_of_it_is_said() -> None:
    made = in_shadow()
    assert made.compared("abstained") == []
    assert (made.state.tally.runs, made.state.abstained.runs) == (0, 1)
    told = made.compared("abstained", 9)
    assert any(isinstance(one, Held) and "0.1 of" in one.why for one in told)
    assert serving(made.state) == "no" and made.state.stage == "shadow"


def test_falling_back_too_often_pauses_it_until_a_person_says_otherwise() -> None:
    made = in_service()
    while not made.state.held:
        made.served("ok")
        made.breach("guard")
        assert made.state.abstained.runs < 200
    assert serving(made.state) == "no" and made.state.stage == "promoted"
    assert made.state.errors.runs == made.state.last - 1 - 1 - 36 - 1 - (made.state.abstained.runs - 71) // 2
    made.ordered("resume")
    assert serving(made.state) == "all"
    assert made.breach("guard") == []


def test_no_traffic_is_no_pass() -> None:
    made = canaried()
    assert made.ticked(30 * 24 - 1) == []
    told = made.ticked(1)
    assert moves(told) == [("canary", "inconclusive")]
    assert "no traffic is no pass" in made.state.why
    assert serving(made.state) == "no"


def test_what_serves_everybody_waits_for_nothing() -> None:
    made = in_service()
    assert made.ticked(400 * 24) == [] and serving(made.state) == "all"


def test_the_time_in_which_it_was_paused_does_not_count() -> None:
    made = canaried()
    made.ticked(10 * 24)
    made.ordered("pause", "stock-taking")
    assert made.ticked(100 * 24) == []
    made.ordered("resume")
    assert made.ticked(20 * 24 - 1) == []
    assert moves(made.ticked(1)) == [("canary", "inconclusive")]


def test_runs_without_a_verdict_end_at_the_horizon() -> None:
    made = canaried()
    for _ in range(3):
        made.served("failed")
        made.served(times=37)
    made.served("failed")
    made.served(times=37)
    made.served("failed")
    assert made.state.stage in ("canary", "inconclusive", "rolled_back")
    while made.state.stage == "canary" and made.state.tally.runs < 283:
        made.served("failed" if made.state.tally.runs % 41 == 0 else "ok")
    assert made.state.stage == "canary"
    made.served()
    assert made.state.stage == "inconclusive"


def test_what_was_inconclusive_may_be_approved_again_and_starts_with_no_evidence_but_its_failures() -> None:
    made = canaried()
    made.served("failed")
    made.ticked(30 * 24)
    errors = made.state.errors
    told = made.ordered("reopen", "the season begins")
    assert moves(told) == [("inconclusive", "validated")] and asks(told) == ["deploy"]
    [refused] = made.answered(what="deploy", asked=1)
    assert isinstance(refused, Refused)
    made.answered()
    assert (made.state.stage, made.state.tally.runs, made.state.errors) == ("shadow", 0, errors)


def test_a_pause_serves_nothing_and_a_resume_goes_on_where_it_was() -> None:
    made = canaried()
    assert [one.kind for one in made.ordered("pause", "audit")] == ["held"]
    assert serving(made.state) == "no"
    assert isinstance(made.ordered("pause")[0], Refused)
    assert [one.kind for one in made.ordered("resume")] == ["released"]
    assert serving(made.state) == "canary"
    assert isinstance(made.ordered("resume")[0], Refused)


@pytest.mark.parametrize(("what", "end"), [("roll_back", "rolled_back"), ("retire", "retired")])
def test_a_person_ends_it(what: str, end: str) -> None:
    made = in_service()
    told = made.ordered(what, "the shop closes")
    assert moves(told) == [("promoted", end)] and made.state.why == "olivia: the shop closes"


def test_another_version_begins_with_nothing() -> None:
    old = canaried()
    new = Capability(version=3, digest="d3")
    new.validated()
    new.answered()
    for event in old.events:
        new.hear(event.model_copy(update={"number": event.number + 100}))
    assert new.state.tally.runs == 0 and new.state.stage == "shadow"
    assert new.state.last == 100 + old.events[-1].number


@given(st.permutations(["clean"] * 20 + ["differs"] + ["abstained"] * 2))
def test_in_the_shadow_the_order_of_the_runs_makes_no_difference_to_the_evidence(outcomes: list[str]) -> None:
    made, sorted_ = in_shadow(), in_shadow()
    for outcome in outcomes:
        made.compared(outcome)
    for outcome in sorted(outcomes):
        sorted_.compared(outcome)
    assert (made.state.tally, made.state.stage) == (sorted_.state.tally, sorted_.state.stage)


@given(st.permutations(list(range(36))))
def test_clean_runs_may_come_in_any_order(order: list[int]) -> None:
    told = canaried().events
    again = in_shadow()
    for place in order:
        event = told[2 + place]
        again.hear(event.model_copy(update={"number": again.state.last + 1}))
    assert again.state == canaried().state


@given(st.lists(st.integers(0, 80), max_size=60))
def test_an_event_that_was_heard_is_not_heard_again(places: list[int]) -> None:
    made = in_service()
    before, events = made.state, made.events
    for place in places:
        assert advance(before, events[place % len(events)], made.policy) == (before, [])


def test_a_rollout_begins_unserved() -> None:
    assert serving(begin("refund", "d1", 1, 5)) == "no"


KEYS = st.text(max_size=20)


@given(KEYS, KEYS, st.integers(0, 100), st.integers(0, 100))
def test_who_is_in_a_small_canary_is_in_a_larger_one(key: str, capability: str, few: int, many: int) -> None:
    few, many = sorted((few, many))
    assert in_canary(key, capability, few) <= in_canary(key, capability, many)
    assert in_canary(key, capability, 100) and not in_canary(key, capability, 0)


@pytest.mark.parametrize("percent", [1, 10, 50, 90])
def test_a_canary_takes_its_share(percent: int) -> None:
    told = sum(in_canary(f"user-{number}", "refund", percent) for number in range(20_000))
    spread = (20_000 * percent * (100 - percent)) ** 0.5 / 100
    assert abs(told - 200 * percent) < 4 * spread


def test_other_capabilities_have_other_canaries() -> None:
    keys = [f"user-{number}" for number in range(10_000)]
    both = sum(in_canary(key, "refund", 10) and in_canary(key, "return", 10) for key in keys)
    assert 50 < both < 150
    assert in_canary("a", "1:b", 50) == in_canary("a", "1:b", 50)


def test_a_policy_without_a_criterion_is_no_policy() -> None:
    with pytest.raises(ValueError, match="error_rate"):
        Policy(error_rate=Decimal(0))
