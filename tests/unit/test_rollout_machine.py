"""The rollout under every order of events, beside a small model that counts anew from all that was told."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from pydantic import TypeAdapter

from tenure.learn.events import Asked, Decision, Event, Moved, Refused
from tenure.learn.rollout import Policy, Rollout, advance, begin, serving
from tests.unit.rolling import HOUR, Capability, moves

EVENTS: TypeAdapter[Event] = TypeAdapter(Event)
DECISIONS: TypeAdapter[list[Decision]] = TypeAdapter(list[Decision])
POLICIES = st.builds(
    Policy,
    require_approval=st.sampled_from([True, True, False]),
    coverage=st.sampled_from([Decimal("0.9"), Decimal(1), Decimal("0.5")]),
    strategy=st.sampled_from(["canary", "canary", "shadow"]),
    error_rate=st.sampled_from([Decimal("0.01"), Decimal("0.1"), Decimal("0.3")]),
)
FINAL = ("rejected", "rolled_back", "retired")
LIVE = ("shadow", "canary", "promoted")


def richest(runs: list[bool], tolerated: float) -> float:
    """The best of all bets, each from its start: what the watch keeps by one number. A good run makes none better."""
    best = 0.0
    if not runs or not runs[-1]:
        return best
    for times, share in ((2, 0.2), (10, 0.6), (50, 0.2)):
        bad = min(times * tolerated, (1 + tolerated) / 2)
        won = 0.0
        for start in range(len(runs), 0, -1):
            won += math.log(bad / tolerated) if runs[start - 1] else math.log((1 - bad) / (1 - tolerated))
            doubling = start.bit_length() - 1
            best = max(best, share * math.exp(won) / (2**doubling * (doubling + 1) * (doubling + 2)))
    return best


class Model:
    """The rules once more, from lists of what was told, in floats and without haste. Mutable."""

    def __init__(self, policy: Policy) -> None:
        self.policy, self.stage, self.held, self.asked, self.since = policy, "mined", False, "", 0
        self.evidence: list[bool] = []  # wrong?
        self.served: list[bool] = []  # failed?
        self.left: list[bool] = []  # left to the model?

    def go(self, stage: str, at: int) -> None:
        self.stage, self.asked, self.since = stage, "", at
        self.held = self.held and stage not in ("rejected", "rolled_back", "retired")

    def ends(self, at: int) -> None:
        self.go("rejected" if self.stage in ("mined", "validated") else "rolled_back", at)

    def deploys(self, at: int) -> None:
        self.go("validated", at)
        if self.policy.require_approval:
            self.asked = "deploy"
        else:
            self.go("shadow", at)

    def ratio(self) -> tuple[float, float]:
        """Wald's, in steps of a clean run, and where it promotes: whole steps."""
        good = float(self.policy.error_rate)
        bad = min(5 * good, (1 + good) / 2)
        step, wrong = math.log((1 - good) / (1 - bad)), sum(self.evidence)
        found = (wrong * math.log(bad / good) - (len(self.evidence) - wrong) * step) / step
        return found, math.log(19) / step

    def looks(self, at: int) -> None:
        if richest(self.served, float(self.policy.error_rate)) >= 20:
            return self.ends(at)
        if self.stage != "promoted":
            self.tests(at)
        tolerated = max(1 - float(self.policy.coverage), 0.01)
        if self.stage in LIVE and not self.held and richest(self.left, tolerated) >= 20:
            self.held = True
        return None

    def tests(self, at: int) -> None:
        found, bound = self.ratio()
        promotes = found <= -math.floor(bound) + 1e-6
        if not promotes and found >= bound:
            return self.ends(at)
        if not promotes and len(self.evidence) >= 4 * math.floor(bound):
            return self.go("inconclusive", at)
        if self.stage == "shadow" and self.policy.strategy == "canary":
            if 2 * found <= -math.floor(bound) + 1e-6:
                self.go("canary", at)
        elif not promotes:
            self.asked = ""
        elif not self.policy.require_approval:
            self.go("promoted", at)
        else:
            self.asked = "promote"
        return None


class Life(RuleBasedStateMachine):
    """Anything happens to one version. Everything that was told is kept, so that at the end it can all be told again."""

    @initialize(policy=POLICIES, good=st.sampled_from([True, True, True, False]))
    def begin(self, policy: Policy, good: bool) -> None:
        self.made, self.model = Capability(policy), Model(policy)
        self.decided: list[Decision] = []
        self.approved: set[str] = set()
        self.quick = False
        if good:
            self.its_gate_is_told("1", 0)
            if self.made.state.asked:
                self.the_open_request_is_answered("approved")

    def _tell(self, event: Any, model: Any) -> list[Decision]:
        """One event, through JSON, and what holds of every one. `model` says what the model makes of it, if it is heard."""
        before = self.made.state
        if not self.quick:
            before = Rollout.model_validate_json(self.made.state.model_dump_json())
            assert before == self.made.state
            event = EVENTS.validate_json(EVENTS.dump_json(event))
        told = self.made.hear(event)
        if told:
            assert DECISIONS.validate_json(DECISIONS.dump_json(told)) == told
            assert all(one.why for one in told)
        self.decided += told
        for heard in self.made.events[-1:] if self.quick else self.made.events[-3:]:
            assert advance(self.made.state, heard, self.made.policy) == (self.made.state, [])
        if before.stage in FINAL:
            assert (self.made.state.stage, moves(told)) == (before.stage, [])
        elif model is not None:
            model()
        if any(isinstance(one, Refused) for one in told):
            assert self.made.state == before.model_copy(
                update={"last": event.number, "at": self.made.at, "needs": self.made.state.needs}
            )
        for one in told:
            if isinstance(one, Moved) and one.after == "promoted" and self.made.policy.require_approval:
                assert self.approved == {"deploy", "promote"}
            if isinstance(one, Asked):
                self.approved.discard(one.what)
        return told

    def _known(self, kind: str, **more: Any) -> Any:
        return EVENTS.validate_python({**self.made.known(), "kind": kind, **more})

    @rule(coverage=st.sampled_from(["1", "0.9", "0.5", "0.49"]), wrong=st.sampled_from([0, 0, 0, 1]))
    def its_gate_is_told(self, coverage: str, wrong: int) -> None:
        def model() -> None:
            if self.model.stage == "mined":
                bad = wrong or Decimal(coverage) < self.made.policy.coverage
                self.model.go("rejected", self.made.at) if bad else self.model.deploys(self.made.at)

        self._tell(self._known("validated", report="r", coverage=coverage, wrong_writes=wrong), model)

    @precondition(lambda self: self.made.state.asked)
    @rule(choice=st.sampled_from(["approved"] * 6 + ["denied", "expired"]))
    def the_open_request_is_answered(self, choice: str) -> None:
        asked = self.made.state.asked
        assert asked is not None
        if choice == "approved":
            self.approved.add(asked.what)
        after = {"approved": {"deploy": "shadow", "promote": "promoted"}[asked.what], "denied": "rejected"}
        told = {"what": asked.what, "asked": asked.number, "choice": choice, "digest": "d2"}
        self._tell(
            self._known("answered", **told),
            lambda: self.model.go(after.get(choice, "inconclusive"), self.made.at),
        )

    @rule(
        other=st.sampled_from([{"version": 1}, {"digest": "d1"}, {"asked": 9}, {"what": "another"}]),
        choice=st.sampled_from(["approved", "denied"]),
    )
    def somebody_answers_what_is_not_asked(self, other: dict[str, Any], choice: str) -> None:
        asked = self.made.state.asked
        what, number = (asked.what, asked.number) if asked else ("deploy", 1)
        told: dict[str, Any] = {"what": what, "asked": number, "choice": choice, "digest": "d2", **other}
        if told["what"] == "another":
            told["what"] = "promote" if what == "deploy" else "deploy"
        assert isinstance(self._tell(self._known("answered", **told), None)[0], Refused)

    @rule(outcome=st.sampled_from(["clean"] * 6 + ["differs", "abstained", "abstained", "wrong_write"]))
    def a_run_is_compared(self, outcome: str) -> None:
        def model() -> None:
            one = self.model
            if outcome == "wrong_write":
                one.ends(self.made.at)
            elif one.stage in LIVE:
                shadow = one.stage == "shadow"
                one.left += [outcome == "abstained"] if shadow else []
                one.evidence += (
                    [outcome == "differs"] if outcome == "differs" or (shadow and outcome == "clean") else []
                )
                one.looks(self.made.at)

        self._tell(self._known("compared", run="r", outcome=outcome), model)

    @rule(outcome=st.sampled_from(["ok"] * 6 + ["failed", "fell_back", "fell_back", "in_doubt"]))
    def a_run_is_served(self, outcome: str) -> None:
        self._tell(self._known("served", run="r", outcome=outcome), lambda: self._model_served(outcome))

    def _model_served(self, outcome: str) -> None:
        one = self.model
        if outcome == "in_doubt":
            one.ends(self.made.at)
        elif one.stage in LIVE:
            one.left += [True] if outcome == "fell_back" else [False] if one.stage != "shadow" else []
            if outcome == "failed" or (outcome == "ok" and one.stage != "shadow"):
                one.served.append(outcome == "failed")
            if outcome == "failed" or (outcome == "ok" and one.stage == "canary"):
                one.evidence.append(outcome == "failed")
            one.looks(self.made.at)

    @rule(times=st.sampled_from([3, 12, 36, 36]), failing=st.sampled_from([0, 0, 0, 5, 20]))
    def many_runs_come(self, times: int, failing: int) -> None:
        for number in range(1, times + 1):
            self.quick, wrong = number > 1, failing and number % failing == 0
            if self.made.state.stage == "shadow":
                self.a_run_is_compared("differs" if wrong else "clean")
            else:
                self.a_run_is_served("failed" if wrong else "ok")
        self.quick = False

    @rule()
    def people_say_yes_as_long_as_it_goes_well(self) -> None:
        for _ in range(3):
            if self.made.state.asked:
                self.the_open_request_is_answered("approved")
            self.many_runs_come(36, 0)

    @rule(what=st.sampled_from(["guard"] * 4 + ["unexpected_write", "fingerprint", "diverged"]), wrote=st.booleans())
    def something_is_breached(self, what: str, wrote: bool) -> None:
        falls_back = what == "guard" and not wrote
        self._tell(
            self._known("breach", run="r", what=what, wrote=wrote),
            lambda: self._model_served("fell_back") if falls_back else self.model.ends(self.made.at),
        )

    @rule(what=st.sampled_from(["pause", "resume", "resume", "reopen", "reopen", "roll_back", "retire"]))
    def a_person_acts(self, what: str) -> None:
        def model() -> None:
            one = self.model
            if what == "pause" and not one.held:
                one.held = True
            elif what == "resume" and one.held:
                one.held, one.left = False, []
                one.since += self.made.at - max(self.made.state.held_at, one.since)
            elif what == "reopen" and one.stage == "inconclusive":
                one.evidence, one.left = [], []
                one.deploys(self.made.at)
            elif what == "roll_back":
                one.ends(self.made.at)
            elif what == "retire":
                one.go("retired", self.made.at)

        self._tell(self._known("ordered", what=what, by="olivia"), model)

    @rule(hours=st.sampled_from([1, 24, 24 * 29, 24 * 30]))
    def time_passes(self, hours: int) -> None:
        self.made.at += hours * HOUR

        def model() -> None:
            one = self.model
            waits = one.stage in ("shadow", "canary") and not one.held and not one.asked
            if waits and self.made.at - one.since >= 30 * 24 * HOUR:
                one.go("inconclusive", self.made.at)

        self._tell(self._known("ticked"), model)

    @rule(version=st.sampled_from([1, 3]), kind=st.sampled_from(["served", "compared", "ordered", "breach"]))
    def another_version_is_spoken_of(self, version: int, kind: str) -> None:
        more = {"served": "in_doubt", "compared": "wrong_write"}.get(kind)
        what = {"ordered": "roll_back", "breach": "diverged"}.get(kind)
        event = self._known(kind, version=version, run="r", outcome=more, what=what, by="olivia")
        before = self.made.state
        self._tell(event, None)
        assert self.made.state == before.model_copy(
            update={"last": event.number, "at": self.made.at, "needs": self.made.state.needs}
        )

    @invariant()
    def it_is_where_the_model_is(self) -> None:
        state, model = self.made.state, self.model
        assert (state.stage, bool(state.held)) == (model.stage, model.held)
        assert (state.asked.what if state.asked else "") == model.asked
        assert (state.tally.runs, state.tally.wrong) == (len(model.evidence), sum(model.evidence))
        assert (state.errors.runs, state.abstained.runs) == (len(model.served), len(model.left))

    @invariant()
    def it_serves_only_what_its_stage_allows(self) -> None:
        state = self.made.state
        allowed = {"shadow": "shadow", "canary": "canary", "promoted": "all"}
        assert serving(state) == ("no" if state.held else allowed.get(state.stage, "no"))

    @invariant()
    def the_decisions_tell_the_stage(self) -> None:
        stage = "mined"
        for before, after in moves(self.decided):
            assert before == stage
            stage = after
        assert stage == self.made.state.stage

    def teardown(self) -> None:
        """Told again, and each event twice, it is the same rollout."""
        if not hasattr(self, "made"):
            return
        state = begin("refund", "d2", 2, 0)
        for event in self.made.events:
            state, _ = advance(state, event, self.made.policy)
            state, again = advance(state, event, self.made.policy)
            assert again == []
        assert state == self.made.state


Life.TestCase.settings = settings(max_examples=150, stateful_step_count=20)
TestLife = Life.TestCase
