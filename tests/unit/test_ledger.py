"""The ledger of trust, event by event: what raises a level, what lowers it, and what people are asked."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tenure.trust import Rule
from tenure.trust.ledger import (
    COOL_DOWN,
    HOUR,
    PROPOSAL_LASTS,
    Change,
    Ledger,
    Policy,
    Proposal,
    announce,
    ask_back,
    begin,
    incident,
    judge,
    level_for,
    propose,
    settle,
    terms_of,
    withdraw,
)
from tests.unit.words import DOWN, UP, bad, good, steps, word

POLICY = Policy(fingerprint="one", initial=3, rules=steps())
DAY = COOL_DOWN
TWO = ["olivia", "omar"]


def earned(start: int = 1, at: int = DAY, ledger: Ledger | None = None, policy: Policy = POLICY) -> Ledger:
    """A ledger with a step up proposed, after 29 good runs."""
    ledger = judge(ledger or begin(policy, 0), policy, good(*range(start, start + 29)), at)
    return propose(ledger, policy, at)


def at_level(level: int) -> Ledger:
    return begin(POLICY.model_copy(update={"initial": level}), 0)


def opened(ledger: Ledger) -> Proposal:
    assert ledger.proposal is not None
    return ledger.proposal


def kinds(ledger: Ledger) -> list[str]:
    return [change.kind for change in ledger.changes]


def test_an_agent_without_history_begins_at_the_initial_level_and_never_above_its_cap() -> None:
    assert begin(POLICY, 5).level == 3
    assert begin(POLICY.model_copy(update={"cap": 2}), 5).level == 2
    assert begin(POLICY, 5).changes == [
        Change(at=5, kind="began", before=3, after=3, why="an agent without history", fingerprint="one", epoch=1)
    ]


def test_a_step_up_takes_evidence_a_proposal_and_people() -> None:
    ledger = earned()
    assert (ledger.level, opened(ledger).to) == (3, 4)
    risen = settle(ledger, opened(ledger), "approve", ["olivia"], "well done", DAY)
    assert (risen.level, risen.proposal, kinds(risen)) == (4, None, ["began", "rise"])
    assert risen.changes[-1].by == ["olivia"]
    assert "0 of 29 judged runs speak against it" in risen.changes[-1].why
    assert not risen.evidence.judged


def test_nothing_is_proposed_within_a_day_of_a_change() -> None:
    assert earned(at=DAY - 1).proposal is None
    assert earned(at=DAY).proposal is not None


def test_nor_within_a_day_of_an_answer_that_was_no() -> None:
    denied = settle(earned(), opened(earned()), "deny", ["olivia"], "not yet", DAY)
    assert (denied.level, kinds(denied)) == (3, ["began", "denied"])
    assert earned(100, 2 * DAY - 1, denied).proposal is None
    assert earned(100, 2 * DAY, denied).proposal is not None


def test_an_answer_to_another_proposal_settles_nothing() -> None:
    ledger = earned()
    for other in (
        {"to": 5},
        {"epoch": 9},
        {"opened_at": 0},
        {"evidence": "x"},
        {"kind": "carry"},
        {"before": 2},
        {"number": 2},
    ):
        forged = opened(ledger).model_copy(update=other)
        assert settle(ledger, forged, "approve", TWO, "", DAY) == ledger
    settled = settle(ledger, opened(ledger), "approve", TWO, "", DAY)
    assert settle(settled, opened(ledger), "approve", TWO, "", DAY) == settled


def test_a_proposal_that_came_back_is_another_one() -> None:
    first = earned()
    second = earned(100, 2 * DAY, withdraw(first, "", DAY))
    assert settle(second, opened(first), "approve", TWO, "", 2 * DAY) == second
    assert settle(second, opened(second), "approve", TWO, "", 2 * DAY).level == 4


def test_two_proposals_of_one_moment_are_not_the_same() -> None:
    two = POLICY.model_copy(update={"fingerprint": "two"})
    first = ask_back(announce(at_level(8), two, 2), two, "carry", "replayed", 3)
    second = ask_back(withdraw(first, "", 3), two, "carry", "replayed", 3)
    assert settle(second, opened(first), "approve", TWO, "", 4) == second
    assert settle(second, opened(second), "approve", TWO, "", 4).level == 8


@pytest.mark.parametrize(("initial", "needed"), [(3, 1), (5, 1), (6, 2), (9, 2)])
def test_a_step_to_seven_or_above_takes_two_different_people(initial: int, needed: int) -> None:
    ledger = earned(ledger=at_level(initial))
    assert terms_of(opened(ledger)).quorum == needed
    assert settle(ledger, opened(ledger), "approve", TWO, "", DAY).level == initial + 1
    alone = settle(ledger, opened(ledger), "approve", ["olivia", "olivia"], "", DAY)
    assert alone.level == initial + (needed == 1)
    assert needed == 1 or kinds(alone) == ["began", "withdrawn"]


def test_an_answer_after_three_days_comes_too_late() -> None:
    ledger = earned()
    assert settle(ledger, opened(ledger), "approve", TWO, "", DAY + PROPOSAL_LASTS).level == 4
    late = settle(ledger, opened(ledger), "approve", TWO, "", DAY + PROPOSAL_LASTS + 1)
    assert (late.level, kinds(late)) == (3, ["began", "expired"])


def test_a_proposal_that_nobody_settled_ends_after_three_days() -> None:
    assert opened(propose(earned(), POLICY, DAY + PROPOSAL_LASTS))
    ended = propose(earned(), POLICY, DAY + PROPOSAL_LASTS + 1)
    assert (ended.proposal, kinds(ended)) == (None, ["began", "expired"])


ENDS: list[Callable[[Ledger], Ledger]] = [
    lambda ledger: judge(ledger, POLICY, bad(30), DAY),
    lambda ledger: judge(ledger, POLICY, bad(30, by="unasked"), DAY),
    lambda ledger: judge(ledger, POLICY, bad(30, by="census"), DAY),
    lambda ledger: judge(ledger, POLICY, bad(7), DAY),
    lambda ledger: judge(ledger, POLICY, bad(7, by="unasked"), DAY),
    lambda ledger: incident(ledger, "r30", "paid twice", DAY),
    lambda ledger: announce(ledger, POLICY.model_copy(update={"fingerprint": "two"}), DAY),
    lambda ledger: announce(ledger, POLICY.model_copy(update={"cap": 3}), DAY),
    lambda ledger: announce(ledger, POLICY.model_copy(update={"cap": 2}), DAY),
]


@pytest.mark.parametrize("ends", ENDS)
def test_a_failure_an_incident_another_build_and_a_lower_cap_each_end_a_proposal(
    ends: Callable[[Ledger], Ledger],
) -> None:
    before = earned()
    after = ends(before)
    assert after.proposal is None
    assert "withdrawn" in kinds(after)
    assert settle(after, opened(before), "approve", TWO, "", DAY) == after
    assert propose(after, POLICY, DAY + HOUR).proposal is None


def test_what_is_said_of_a_run_again_ends_no_proposal() -> None:
    failed = judge(begin(POLICY, 0), POLICY, bad(1) + bad(2, by="unasked"), 0)
    ledger = propose(judge(failed, POLICY, good(*range(3, 75)), DAY), POLICY, DAY)
    assert opened(ledger)
    assert judge(ledger, POLICY, [*bad(1), *bad(2, by="unasked"), *good(1, 30)], DAY) == ledger
    for confirmed in (word(2), word(2, good=False), word(1, good=False, by="census")):
        assert judge(ledger, POLICY, [confirmed], DAY).proposal == ledger.proposal


def test_an_announcement_that_changes_nothing_ends_no_proposal() -> None:
    assert announce(earned(), POLICY, DAY) == earned()
    assert opened(announce(earned(), POLICY.model_copy(update={"cap": 4}), DAY))


@pytest.mark.parametrize("level", [10, 5, 2, 1])
def test_a_fall_is_one_step_and_never_below_nothing(level: int) -> None:
    fallen = judge(at_level(level), POLICY, bad(1, 2, 3), 0)
    assert (fallen.level, kinds(fallen)) == (max(level - 2, 0), ["began", "fall"])
    assert fallen.epoch == 2


def test_at_level_0_failures_change_nothing_and_stand_against_the_next_step() -> None:
    bottom = judge(at_level(0), POLICY, bad(*range(1, 31)), 0)
    assert (bottom.level, kinds(bottom)) == (0, ["began"])
    better = judge(bottom, POLICY, good(*range(31, 127)), DAY)
    assert propose(better, POLICY, DAY).proposal is None
    best = judge(better, POLICY, good(*range(127, 131)), DAY)
    assert opened(propose(best, POLICY, DAY)).to == 1


def test_at_level_0_nothing_is_proposed_while_a_rule_says_fall() -> None:
    """Three failures in a row make a fall, whatever the rate of all others."""
    ledger = judge(at_level(0), POLICY, good(*range(1, 98)) + bad(98, 99, 100), DAY)
    assert propose(ledger, POLICY, DAY).proposal is None


def test_falls_come_before_anything_that_waits() -> None:
    waiting = earned()
    assert opened(waiting)
    for ledger in (waiting, settle(waiting, opened(waiting), "approve", TWO, "", DAY)):
        fallen = judge(ledger, POLICY, bad(30, 31, 32), DAY)
        assert fallen.level == ledger.level - 2


def test_each_failure_makes_one_fall() -> None:
    """Five failures are one fall and two failures of the next: the first three have counted."""
    assert judge(at_level(9), POLICY, bad(1, 2, 3, 4, 5), 0).level == 7
    assert judge(at_level(9), POLICY, bad(1, 2, 3, 4, 5, 6), 0).level == 5
    said_again = judge(at_level(9), POLICY, bad(1, 2, 3) * 4, 0)
    assert said_again.level == 7


def test_each_complaint_counts_for_one_fall() -> None:
    ledger = judge(at_level(9), POLICY, bad(*range(901, 1_000, 10), by="unasked"), 0, finished=1_000)
    assert ledger.level == 7
    for place in (905, 915, 925, 901):
        ledger = judge(ledger, POLICY, bad(place, by="unasked"), 0)
    assert ledger.level == 7


def test_several_rules_fall_by_the_largest() -> None:
    rules = steps(DOWN, Rule("success_rate", 0.5, "decrement", 0.4))
    policy = POLICY.model_copy(update={"rules": rules})
    assert judge(begin(policy, 0), policy, bad(1, 2, 3), 0).level == 0
    spread = [word(place, place not in (1, 12)) for place in range(1, 21)]
    assert judge(begin(policy, 0), policy, spread, 0).level == 1


def test_without_rules_only_people_caps_and_incidents_move_the_level() -> None:
    policy = POLICY.model_copy(update={"rules": []})
    ledger = judge(begin(policy, 0), policy, bad(*range(1, 50)) + good(*range(50, 150)), DAY)
    assert (ledger.level, propose(ledger, policy, DAY).proposal) == (3, None)
    assert incident(ledger, "r1", "", DAY).level == 0


def test_stricter_rules_bite_when_they_are_announced() -> None:
    ledger = judge(begin(POLICY, 0), POLICY, bad(1) + good(*range(2, 21)), 0)
    assert ledger.level == 3
    strict = POLICY.model_copy(update={"rules": steps(UP, Rule("error_rate", 0.05, "decrement", 0.1))})
    assert announce(ledger, strict, 0).level == 2
    assert announce(announce(ledger, strict, 0), strict, 0).level == 2
    asked = propose(judge(ledger, POLICY, good(*range(21, 47)), DAY), POLICY, DAY)
    assert opened(asked)
    strictest = POLICY.model_copy(update={"rules": steps(UP, Rule("error_rate", 0.02, "decrement", 0.1))})
    assert (announce(asked, strictest, DAY).level, announce(asked, strictest, DAY).proposal) == (2, None)


def test_a_step_never_goes_above_the_cap() -> None:
    wide = POLICY.model_copy(update={"rules": steps(Rule("success_rate", 0.95, "increment", 0.5)), "cap": 5})
    assert opened(earned(policy=wide)).to == 5
    assert earned(policy=wide.model_copy(update={"cap": 3})).proposal is None


def test_a_cap_that_is_lowered_lowers_the_level_and_one_that_is_raised_does_not_raise_it() -> None:
    low = announce(at_level(9), POLICY.model_copy(update={"cap": 4}), 7)
    assert (low.level, kinds(low)) == (4, ["began", "fall"])
    assert announce(low, POLICY, 8).level == 4


def test_a_severe_incident_takes_everything_until_two_people_restore_it() -> None:
    ledger = incident(at_level(6), "r9", "paid twice", 5)
    assert (ledger.level, ledger.severe) == (0, True)
    judged = judge(ledger, POLICY, good(*range(1, 101)), 9 * DAY)
    assert propose(judged, POLICY, 9 * DAY).proposal is None
    asked = ask_back(judged, POLICY, "restore", "the tool was fixed", 9 * DAY)
    assert (opened(asked).to, terms_of(opened(asked)).quorum) == (6, 2)
    assert settle(asked, opened(asked), "approve", ["olivia"], "", 9 * DAY).level == 0
    restored = settle(asked, opened(asked), "approve", TWO, "", 9 * DAY)
    assert (restored.level, restored.severe) == (6, False)
    assert ask_back(restored, POLICY, "restore", "", 9 * DAY) == restored


def test_one_person_s_approval_leaves_what_is_severe_as_it_was() -> None:
    asked = ask_back(incident(at_level(3), "r9", "", 5), POLICY, "restore", "", 6)
    alone = settle(asked, opened(asked), "approve", ["olivia", "olivia"], "", 7)
    assert (alone.level, alone.severe, alone.proposal) == (0, True, None)
    again = ask_back(alone, POLICY, "restore", "", 8)
    assert settle(again, opened(again), "approve", TWO, "", 8).level == 3


def test_an_agent_at_level_0_is_restored_to_level_0() -> None:
    asked = ask_back(incident(at_level(0), "r9", "", 5), POLICY, "restore", "", 6)
    restored = settle(asked, opened(asked), "approve", TWO, "", 7)
    assert (restored.level, restored.severe) == (0, False)


def test_incidents_add_up_to_one_restoration_and_are_heard_once() -> None:
    twice = incident(incident(at_level(6), "r1", "", 1), "r2", "", 2)
    assert incident(twice, "r1", "again", 3) == twice
    asked = ask_back(twice, POLICY, "restore", "", 4)
    assert incident(asked, "r3", "", 5).proposal is None
    restored = settle(asked, opened(asked), "approve", TWO, "", 5)
    assert (restored.level, incident(restored, "r2", "", 6)) == (6, restored)


def test_another_build_has_the_initial_level_at_most_and_no_evidence() -> None:
    two = POLICY.model_copy(update={"fingerprint": "two"})
    rebuilt = announce(judge(at_level(8), POLICY, good(1, 2), 1), two, 2)
    assert (rebuilt.level, rebuilt.earned, rebuilt.evidence.judged) == (3, 8, {})
    assert announce(at_level(1), two, 2).level == 1
    assert announce(rebuilt, two, 3) == rebuilt


def test_an_approver_may_carry_a_level_over_to_another_build() -> None:
    two = POLICY.model_copy(update={"fingerprint": "two", "cap": 7})
    rebuilt = announce(at_level(8), two, 2)
    assert ask_back(rebuilt, two, "restore", "", 3) == rebuilt
    asked = ask_back(rebuilt, two, "carry", "500 of 500 replays agree", 3)
    assert (opened(asked).to, terms_of(opened(asked)).quorum) == (7, 2)
    carried = settle(asked, opened(asked), "approve", TWO, "", 4)
    assert (carried.level, carried.earned) == (7, 0)
    assert ask_back(carried, two, "carry", "", 5) == carried


def test_a_build_that_failed_has_nothing_to_carry_over() -> None:
    two = POLICY.model_copy(update={"fingerprint": "two"})
    fallen = judge(announce(at_level(8), two, 2), two, bad(1, 2, 3), 3)
    assert ask_back(fallen, two, "carry", "", 4) == fallen
    none = two.model_copy(update={"initial": 0})
    bottom = judge(announce(at_level(8), none, 2), none, bad(1, 2, 3), 3)
    assert (bottom.earned, ask_back(bottom, none, "carry", "", 4)) == (8, bottom)


def test_another_build_lifts_no_incident_and_restores_no_more_than_the_initial_level() -> None:
    two = POLICY.model_copy(update={"fingerprint": "two"})
    rebuilt = announce(incident(at_level(8), "r1", "", 1), two, 2)
    assert (rebuilt.level, rebuilt.severe) == (0, True)
    assert ask_back(rebuilt, two, "carry", "", 3) == rebuilt
    assert opened(ask_back(rebuilt, two, "restore", "", 3)).to == 3


def test_nothing_is_asked_back_while_people_are_asked_something_else() -> None:
    two = POLICY.model_copy(update={"fingerprint": "two"})
    asked = earned(ledger=announce(at_level(8), two, 0), policy=two)
    assert opened(asked).kind == "rise"
    assert ask_back(asked, two, "carry", "", DAY) == asked


def test_evidence_that_people_turned_down_is_not_shown_to_them_again() -> None:
    denied = settle(earned(), opened(earned()), "deny", TWO, "", DAY)
    later = judge(denied, POLICY, good(*range(30, 58)), 9 * DAY)
    assert propose(later, POLICY, 9 * DAY).proposal is None
    assert opened(propose(judge(later, POLICY, good(58), 9 * DAY), POLICY, 9 * DAY))


def test_failures_before_an_answer_count_for_a_fall_after_it() -> None:
    ledger = judge(begin(POLICY, 0), POLICY, bad(1) + good(*range(2, 46)) + bad(46), 0)
    asked = propose(judge(ledger, POLICY, good(*range(47, 62)), DAY), POLICY, DAY)
    denied = settle(asked, opened(asked), "deny", TWO, "", DAY)
    assert judge(denied, POLICY, bad(62, 63), DAY).level == 3
    assert judge(denied, POLICY, bad(62, 63, 64), DAY).level == 1


def test_the_level_of_a_run_is_that_of_its_build() -> None:
    assert level_for(8, "one", "one", 3) == 8
    assert level_for(8, "one", "two", 3) == 3
    assert level_for(1, "one", "two", 3) == 1
