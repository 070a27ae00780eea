"""The ledger of trust under every order of events: it rises by people alone, and nothing holds back a fall."""

from __future__ import annotations

import random
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tenure.trust import Rule
from tenure.trust.evidence import Judged, add, fall, speaking
from tenure.trust.ledger import (
    COOL_DOWN,
    HOUR,
    PROPOSAL_LASTS,
    Ledger,
    Policy,
    Proposal,
    announce,
    ask_back,
    begin,
    incident,
    judge,
    propose,
    settle,
    withdraw,
)
from tests.unit.words import BY, DOWN, UP, bad, good, heard, steps, word, words

POLICY = Policy(fingerprint="one", initial=9, rules=steps())
TWO = ["olivia", "omar"]


BATCHES = st.lists(words(st.integers(101, 150)), min_size=1, max_size=60)


@given(BATCHES, st.sampled_from([[], good(*range(60, 90)), good(*range(60, 99)) + bad(70)]), st.randoms())
@settings(max_examples=200)
def test_in_no_order_words_of_one_moment_raise_the_level_and_in_each_they_make_the_fall_that_all_make_together(
    told: list[Judged], known: list[Judged], chance: random.Random
) -> None:
    rules = steps(UP, DOWN, Rule("success_rate", 0.8, "decrement", 0.3))
    policy = POLICY.model_copy(update={"rules": rules, "initial": 8})
    before = judge(begin(policy, 0), policy, known, 0)
    calls = fall(heard(told, before.evidence), rules)
    for _ in range(5):
        after = judge(before, policy, told, 0)
        assert after.level <= before.level - (2 if calls else 0)
        chance.shuffle(told)


@given(st.permutations([*bad(1, 2, 3), "incident", "rebuilt", "capped"]))
def test_in_any_order_the_strictest_of_several_events_counts(events: list[Any]) -> None:
    rebuilt = POLICY.model_copy(update={"fingerprint": "two", "cap": 2})
    ledger, policy = begin(POLICY, 0), POLICY
    for event in events:
        match event:
            case "incident":
                ledger = incident(ledger, "r3", "", 0)
            case "rebuilt" | "capped":
                policy = rebuilt
                ledger = announce(ledger, policy, 0)
            case _:
                ledger = judge(ledger, policy, [event], 0)
    assert (ledger.level, ledger.severe) == (0, True)


@given(st.lists(words(st.integers(1, 120)), max_size=120), st.integers(1, 40))
def test_however_the_words_come_in_batches_it_is_the_same_ledger(told: list[Judged], size: int) -> None:
    whole = judge(begin(POLICY, 0), POLICY, told, 5)
    parts = begin(POLICY, 0)
    for at in range(0, len(told), size):
        parts = judge(parts, POLICY, told[at : at + size], 5)
    assert parts == whole


POLICIES = st.builds(
    Policy,
    fingerprint=st.sampled_from(["one", "two"]),
    initial=st.integers(0, 6),
    cap=st.sampled_from([3, 5, 10, 10, 10, 10]),
    rules=st.sampled_from([
        steps(),
        steps(),
        steps(UP, Rule("success_rate", 0.9, "increment", 0.3), DOWN, Rule("success_rate", 0.8, "decrement", 0.5)),
        steps(Rule("error_rate", 0.2, "increment", 0.2), Rule("success_rate", 0.5, "decrement", 0.1)),
        steps(UP),
        [],
    ]),
    evidence=st.sampled_from(["confident", "confident", "point"]),
)  # fmt: skip


class Life(RuleBasedStateMachine):
    """Runs finish and are judged, late, twice or not at all; builds, caps and rules change; people answer what they like.

    Everything that goes into the ledger is kept, so that at the end it can all be done again.
    """

    @initialize(policy=POLICIES)
    def begin(self, policy: Policy) -> None:
        self.policy, self.at, self.place = policy, 0, 0
        self.said: list[Judged] = []
        self.proposals: list[Proposal] = []
        self.spoke: set[str] = set()
        self.done: list[tuple[Callable[..., Ledger], tuple[Any, ...]]] = []
        self.ledger = begin(policy, 0)

    def _do(self, function: Callable[..., Ledger], *more: Any) -> None:
        """One event, through JSON as a workflow that continues as new; and what holds of every one."""
        before = Ledger.model_validate_json(self.ledger.model_dump_json())
        policy = Policy.model_validate_json(self.policy.model_dump_json())
        assert before == self.ledger and policy == self.policy
        arguments = more if function in (incident, settle, withdraw) else (policy, *more)
        self.ledger = function(before, *arguments, self.at)
        assert self.ledger == function(self._kept(before), *arguments, self.at)
        self.done.append((function, (*arguments, self.at)))
        if function is not settle:
            assert self.ledger.level <= before.level
        if self.ledger.level > before.level:
            self._check_rise(before, *more)
        if function is judge and self.ledger.level < before.level and len(more[0]) == 1:
            assert must_fall(before.model_copy(update={"evidence": add(before.evidence, more[0][0])}), policy)
        if before.proposal is not None and self.ledger.proposal != before.proposal:
            assert len(self.ledger.changes) > len(before.changes)
        if self.ledger.proposal is not None and self.ledger.proposal != before.proposal:
            self._check_proposal(function, before, self.ledger.proposal)

    def _kept(self, before: Ledger) -> Ledger:
        """The same without the dictionaries' order: JSON does not promise it."""
        told = before.model_dump(mode="json")
        for name in ("judged", "praised", "faults"):
            told["evidence"][name] = dict(sorted(told["evidence"][name].items()))
        return Ledger.model_validate(told)

    def _check_rise(self, before: Ledger, proposal: Proposal, choice: str, by: list[str], _note: str) -> None:
        assert (proposal, choice) == (before.proposal, "approve")
        assert len(set(by)) >= (2 if proposal.to >= 7 or proposal.kind == "restore" else 1)
        assert self.at - proposal.opened_at <= PROPOSAL_LASTS
        assert self.ledger.level == proposal.to
        if proposal.kind == "rise":
            assert all(self.at - change.at >= COOL_DOWN for change in before.changes if change.before != change.after)

    def _check_proposal(self, function: Callable[..., Ledger], before: Ledger, proposal: Proposal) -> None:
        assert proposal.to <= self.policy.cap
        assert (proposal.before, proposal.epoch) == (self.ledger.level, self.ledger.epoch)
        assert proposal not in self.proposals
        self.proposals.append(proposal)
        if proposal.kind == "rise":
            assert function is propose and not before.severe
            spoke = {one.run for one in speaking(self.ledger.evidence) if one.good}
            assert not spoke & self.spoke
            self.spoke |= spoke

    def _says(self, *told: Judged) -> None:
        known = {one.run for one in self.said if not one.good}
        self.said.extend(told)
        self._do(judge, list(told))
        if any(not one.good and one.run not in known for one in told):
            assert self.ledger.proposal is None

    @rule(good=st.booleans(), by=BY)
    def a_run_is_judged(self, good: bool, by: Any) -> None:
        self.place += 1
        self._says(word(self.place, good and by != "census", by))

    @rule(count=st.sampled_from([1, 30, 60]), task=st.sampled_from(["", "", "hello"]))
    def many_runs_are_judged_good(self, count: int, task: str) -> None:
        self.place += count
        self._says(*good(*range(self.place - count + 1, self.place + 1), task=task))

    @rule(hours=st.sampled_from([23, 24, 24, 24]))
    def a_good_day_ends(self, hours: int) -> None:
        self.many_runs_are_judged_good(60, "")
        self.time_passes(hours)
        self.the_ledger_looks()

    @rule(hours=st.sampled_from([1, 24, 24]), people=st.sampled_from([TWO, ["olivia"]]))
    def a_good_day_ends_with_a_yes(self, hours: int, people: list[str]) -> None:
        self.a_good_day_ends(hours)
        if self.ledger.proposal is not None:
            self.people_answer("approve", people)

    @rule()
    def two_of_twenty_runs_fail(self) -> None:
        first = self.place + 1
        self.place += 20
        self._says(*(word(place, place not in (first, first + 11)) for place in range(first, self.place + 1)))

    @rule(count=st.integers(1, 4))
    def several_runs_fail(self, count: int) -> None:
        self.place += count
        self._says(*bad(*range(self.place - count + 1, self.place + 1)))

    @rule()
    def runs_finish_that_nobody_judges(self) -> None:
        self.place += 50

    @precondition(lambda self: self.place > 0)
    @rule(data=st.data(), good=st.booleans(), by=BY)
    def somebody_speaks_late(self, data: st.DataObject, good: bool, by: Any) -> None:
        self._says(word(data.draw(st.integers(max(1, self.place - 150), self.place)), good and by != "census", by))

    @precondition(lambda self: self.said)
    @rule(data=st.data())
    def somebody_says_again_what_he_said(self, data: st.DataObject) -> None:
        before = self.ledger
        self._do(judge, [data.draw(st.sampled_from(self.said))])
        assert self.ledger == before

    @rule(run=st.integers(1, 5))
    def something_severe_happens(self, run: int) -> None:
        before = self.ledger
        self._do(incident, f"r{run}", "")
        assert self.ledger == before if f"r{run}" in before.incidents else self.ledger.severe

    @rule(policy=POLICIES)
    def a_worker_announces(self, policy: Policy) -> None:
        rebuilt = policy.fingerprint != self.ledger.fingerprint
        self.policy = policy
        self._do(announce)
        assert not rebuilt or (self.ledger.level <= policy.initial and not self.ledger.evidence.judged)

    @rule(above=st.integers(-1, 1))
    def the_cap_is_lowered(self, above: int) -> None:
        cap = min(self.policy.cap, max(self.ledger.level + above, 0))
        self.policy = self.policy.model_copy(update={"cap": cap, "initial": min(self.policy.initial, cap)})
        self._do(announce)

    @rule(hours=st.sampled_from([1, 23, 24, 71, 80]))
    def time_passes(self, hours: int) -> None:
        self.at += hours * HOUR

    @rule()
    def the_ledger_looks(self) -> None:
        self._do(propose)

    @precondition(lambda self: self.ledger.proposal)
    @rule(
        choice=st.sampled_from(["approve"] * 4 + ["deny", "expired"]),
        by=st.sampled_from([TWO, TWO, ["olivia"], ["olivia"] * 2]),
    )
    def people_answer(self, choice: str, by: list[str]) -> None:
        self._do(settle, self.ledger.proposal, choice, by, "")

    @precondition(lambda self: self.proposals)
    @rule(data=st.data(), forged=st.sampled_from([{}, {"to": 10}, {"epoch": 0}, {"evidence": ""}]))
    def somebody_answers_what_is_not_asked(self, data: st.DataObject, forged: dict[str, Any]) -> None:
        other = data.draw(st.sampled_from(self.proposals)).model_copy(update=forged)
        if other != self.ledger.proposal:
            before = self.ledger
            self._do(settle, other, "approve", TWO, "")
            assert self.ledger == before

    @rule(kind=st.sampled_from(["restore", "carry"]))
    def somebody_asks_for_what_was_taken(self, kind: str) -> None:
        self._do(ask_back, kind, "")

    @rule()
    def the_proposal_is_taken_back(self) -> None:
        self._do(withdraw, "")

    @invariant()
    def the_level_is_within_its_bounds(self) -> None:
        assert 0 <= self.ledger.level <= self.policy.cap
        assert not (self.ledger.severe and self.ledger.level)

    @invariant()
    def a_proposal_is_for_what_is(self) -> None:
        proposal = self.ledger.proposal
        if proposal is not None:
            assert (proposal.before, proposal.epoch) == (self.ledger.level, self.ledger.epoch)
            assert proposal.to <= self.policy.cap
            assert (proposal.kind == "restore") == self.ledger.severe

    @invariant()
    def nothing_that_makes_a_fall_is_left_standing(self) -> None:
        assert self.ledger.level == 0 or not must_fall(self.ledger, self.policy)

    @invariant()
    def what_was_said_since_the_last_change_is_there(self) -> None:
        """By itself, from all that was said: the newest hundred judged runs since then, and the failures among them."""
        evidence = self.ledger.evidence
        failed = {one.run for one in self.said if not one.good}
        for run, one in evidence.judged.items():
            assert one.place > evidence.since and one.good == (run not in failed)

    @invariant()
    def the_changes_tell_the_level(self) -> None:
        level = self.ledger.changes[0].before
        for change in self.ledger.changes:
            assert change.before == level
            level = change.after
        assert level == self.ledger.level

    def teardown(self) -> None:
        """Done again, it is the same ledger."""
        if hasattr(self, "ledger"):
            first = self.ledger.changes[0]
            ledger = begin(Policy(fingerprint=first.fingerprint, initial=first.after), 0)
            for function, arguments in self.done:
                ledger = function(ledger, *arguments)
            assert ledger == self.ledger


def must_fall(ledger: Ledger, policy: Policy) -> bool:
    """The rules once more, word by word and without haste."""
    falling = [step for step in policy.rules if step.action == "decrement"]
    judged = sorted(ledger.evidence.judged.values(), key=lambda one: one.place)
    faults = list(ledger.evidence.faults.values())
    census = {one.place for one in faults if one.by == "census"}
    finished = min(max(20, ledger.evidence.finished), 100)
    bursts = [
        any(sum(not one.good for one in judged[at : at + 10]) >= 3 for at in range(len(judged))),
        any(len(census.intersection(range(place, place + 10))) >= 3 for place in census),
    ]
    rates = [False]
    for step in falling:
        tolerated = Fraction(step.threshold) if step.metric == "error_rate" else 1 - Fraction(step.threshold)
        failures = sum(not one.good for one in judged)
        rates.append(len(judged) >= 20 and failures > 0 and Fraction(failures, len(judged)) >= tolerated)
        near = max((sum(one.place <= other.place < one.place + 100 for other in faults) for one in faults), default=0)
        rates.append(near > 0 and Fraction(near, finished) >= tolerated)
    return bool(falling) and any(bursts + rates)


Life.TestCase.settings = settings(max_examples=120, stateful_step_count=25)
TestLife = Life.TestCase
