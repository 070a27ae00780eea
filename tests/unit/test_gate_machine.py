"""Every effect that begins has one ruling, and that ruling holds at the moment it begins, whatever happened on the way.

The turn's own code, the second look (`permit`), the registry, the requests and the restrictions run as they stand, over a store in
memory; rules are what people, operators, workers and time do to them. What people said is counted here on its own.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from temporalio.testing import ActivityEnvironment

from tenure.activities.act import _begin, _held
from tenure.activities.job import Job, job_of
from tenure.activities.permit import Stale
from tenure.activities.record import Recording
from tenure.activities.standing import Watching
from tenure.activities.verify import Verifying
from tenure.approvals.approvers import vouch
from tenure.approvals.digest import call_digest
from tenure.approvals.request import Closed, Kind, Request, Verdict, Verdicts, Verify
from tenure.errors import BadInput
from tenure.run import OpenTurn, RunRequest, RunState
from tenure.runtime import approving
from tenure.runtime.store import approvers, effects, restrictions, runs
from tenure.transcript import assistant_row, tool_calls
from tenure.trust.restrictions import Restriction, Standing
from tenure.turn import Act, Result, Turn
from tenure.workflows import carry, story, turn
from tenure.workflows.ask import Desk, MoveOn
from tests.unit.desk_policy import (
    CALLS,
    DESK,
    OTHER_ROOT,
    PEOPLE,
    RESTRICTIONS,
    ROOT,
    TENANT,
    USER,
    is_denied,
    people_wanted,
    token,
    wanted,
)  # fmt: skip
from tests.unit.inside import Inside, Memory, crossed
from tests.unit.policies import WHO

WORKFLOW = "acme:run:desk:1"
NAMES = st.sampled_from(sorted(PEOPLE))
STATEMENTS = {name: vouch(person.statement(), ROOT) for name, person in PEOPLE.items()}


class Effects(RuleBasedStateMachine):
    """One run of `desk`, turn after turn.

    `valid` is who is an approver now, `cards` what people were shown, by request; `given` who approved it, genuinely and while they
    were approvers.
    """

    @initialize()
    def begin(self) -> None:
        self.memory = Memory()
        self.db = self.memory.db
        registry = SimpleNamespace(agents={"desk": DESK})
        to: Any = SimpleNamespace(store=self.memory, root=ROOT.public_key(), notifiers=(), registry=registry)
        verifying = Verifying(to)
        self._verify, self._open, self._close = verifying.verify, verifying.open_request, verifying.close_request
        activities = {
            "open_request": self._opened,
            "verify": self._verified,
            "close_request": self._closed,
            "remind": verifying.remind,
            "standing": Watching(to).standing,
            "note": Recording(to).note,
            "tool": self._tool,
        }
        self.inside = Inside(WORKFLOW, activities)
        self.valid = {name: person.statement() for name, person in PEOPLE.items()}
        for name, statement in STATEMENTS.items():
            assert approvers.add(self.db, name, statement, 1000)
        self.cards: dict[str, Request] = {}
        self.closed: dict[str, str] = {}
        self.given: dict[str, dict[str, str]] = {}
        self.said: dict[str, tuple[str, str, str, bool, int]] = {}  # by whom, which way, what, if it fits, till when
        self.decided: set[str] = set()
        self.tokens = self.starts = 0
        self.waits = self.told = ""  # what the attempt under way waits for, and what it is told
        request = RunRequest(agent="desk", tenant=TENANT, user=USER)
        runs.observe(self.db, WORKFLOW, request, DESK.snapshot(), 0)
        self.run = crossed(RunState(request=request, snapshot=DESK.snapshot(), seq=1))
        self.desk = Desk(self.run, story.RunStory(self.run))
        self.task: asyncio.Task[Any] | None = None
        self.row = dict[str, Any]()

    def teardown(self) -> None:
        if hasattr(self, "inside"):
            self.inside.close()

    # ------------------------------------------------------------------------------------------------- the run and Claude

    @rule(
        calls=st.lists(st.sampled_from(CALLS), min_size=1, max_size=4),
        tainted=st.sets(st.integers(0, 3), max_size=2),
    )
    @precondition(lambda self: self.task is None or self.task.done())
    def claude_asks_for_calls(self, calls: list[tuple[str, dict[str, Any]]], tainted: set[int]) -> None:
        blocks = [
            {"type": "tool_use", "id": f"c{n}", "name": name, "input": given} for n, (name, given) in enumerate(calls)
        ]
        taint = {n: "it comes from elsewhere" for n in tainted if n < len(calls)}
        decided = crossed(Turn(content=blocks, stop="tool_use", taint=taint, standing=self._standing()))
        self.row = assistant_row(decided)
        self.run.standing = decided.standing or self.run.standing
        self.run.asks, self.run.errors = 0, 0
        self.run.repeats.clear()
        self.run.turn = OpenTurn(seq=self.run.seq, content=decided.content, taint=decided.taint)
        self.run.seq += 1 + len(blocks)
        self.task = self.inside.start(self._live())

    async def _live(self) -> Any:
        while True:
            try:
                stop = await turn.settle(self.run, self.desk)
                self.run.turn = None
                return stop
            except MoveOn:
                self.inside.moves = False
                carried = crossed(carry.pack(self.run)).carried
                assert carried is not None
                self.run = carried
                self.desk = Desk(self.run, story.RunStory(self.run))

    @rule(minutes=st.sampled_from([0, 6, 40, 80]))
    @precondition(lambda self: self.run.waiting_for is not None or self.run.parked is not None)
    def time_passes_or_a_new_build_is_out(self, minutes: int) -> None:
        self.inside.at += minutes * 60_000
        self.inside.moves = not minutes
        self.inside.go_on()

    # ------------------------------------------------------------------------------------------------------- the workers

    @rule()
    @precondition(lambda self: self.waits == "worker")
    def a_worker_takes_the_call(self) -> None:
        self.told = "go"
        self.inside.go_on()

    @rule(how=st.sampled_from(["done", "done", "raised", "dies", "declines"]))
    @precondition(lambda self: self.waits == "end")
    def the_attempt_ends(self, how: str) -> None:
        self.told = how
        self.inside.go_on()

    async def _hears(self, waits: str) -> str:
        self.waits = waits
        await self.inside.until(lambda: bool(self.told))
        told, self.told, self.waits = self.told, "", ""
        return told

    async def _tool(self, ask: Act) -> Result:
        while True:
            await self._hears("worker")
            job = self._job(ask)
            begun = self.memory.at_once(functools.partial(_begin, job=job, root=ROOT.public_key()))
            match begun:
                case Stale():
                    return _held(begun)
                case effects.Stored(result=text):
                    return Result.model_validate_json(text)
                case effects.InDoubt(generation=generation, since=since):
                    return Result(ok=False, outcome="in_doubt", generation=generation, since=since)
                case effects.Happened():
                    effects.settle(self.db, job.key, ask.generation, "done", Result().model_dump_json(), 1)
                    return Result()
                case effects.Exhausted():
                    return Result(ok=False, outcome="unknown")
                case _:
                    self._began(job)
            fate = await self._hears("end")
            if fate == "declines":
                effects.withdraw(self.db, job.key, job.token)
            if fate in ("dies", "declines"):
                continue
            result = Result() if fate == "done" else Result(ok=False, outcome="unknown")
            effects.end(self.db, job.key, job.token, "done" if result.ok else "raised", result.model_dump_json(), 1)
            return result

    def _job(self, ask: Act) -> Job:
        self.starts += 1
        environment = ActivityEnvironment()
        told = {"activity_type": f"tool.{tool_calls(self.row['content'])[ask.call]['name']}", "workflow_id": WORKFLOW}
        environment.info = dataclasses.replace(environment.info, activity_id=str(self.starts), **told)
        run: Any = runs.get(self.db, WORKFLOW)
        return environment.run(job_of, ask, self.row, [], run, DESK)

    # ------------------------------------------------------------------------------------------- people and operators

    @rule(by=NAMES, via=st.sampled_from(["cli", "gateway"]), verdict=st.sampled_from(["approve"] * 6 + ["deny"]))
    @precondition(lambda self: self.run.waiting_for is not None)
    def somebody_answers(self, by: str, via: str, verdict: str) -> None:
        asked = self.run.waiting_for
        assert asked is not None
        if asked.kind is Kind.IN_DOUBT:
            verdict = "happened" if verdict == "deny" else "did-not"
        self._answer(asked, by, via, verdict)

    @rule(people=st.permutations(["operator", "reviewer", "carol"]))
    @precondition(lambda self: self.run.waiting_for is not None)
    def people_answer_one_after_the_other(self, people: list[str]) -> None:
        asked = self.run.waiting_for
        for by in people:
            if self.run.waiting_for == asked:
                self.somebody_answers(by, "cli", "approve")

    @rule(by=st.sampled_from(["operator", "reviewer", "carol"]), given=st.sampled_from(CALLS))
    @precondition(lambda self: self.run.waiting_for is not None and "edit" in self.run.waiting_for.choices)
    def somebody_edits_the_call(self, by: str, given: tuple[str, dict[str, Any]]) -> None:
        asked = self.run.waiting_for
        assert asked is not None
        if asked.payload["tool"] == given[0]:
            fits = not isinstance(given[1].get("amount"), str) and given[1] != asked.payload["arguments"]
            self._answer(asked, by, "cli", "edit", fits, edit=given[1])

    @rule(by=NAMES, flaw=st.sampled_from(["digest", "key", "exp", "request"]))
    @precondition(lambda self: self.run.waiting_for is not None)
    def somebody_forges_an_answer(self, by: str, flaw: str) -> None:
        asked = self.run.waiting_for
        assert asked is not None
        wrong = {"digest": "0" * 64, "exp": 1, "request": "req-another", "key": "mallory"}[flaw]
        changed = {"signer" if flaw == "key" else flaw: wrong}
        self._answer(asked, by, "cli", "approve", False, **changed)

    def _answer(self, asked: Request, by: str, via: str, verdict: str, genuine: bool = True, **changed: Any) -> None:
        self.tokens += 1
        sent = token(asked, by, via, self.inside.at, f"j{self.tokens}", verdict=verdict, **changed)
        self.said[sent] = (by, via, verdict, genuine, self.inside.at + 60_000)
        self.desk.drop(sent)
        self.inside.go_on()

    def _counts(self, asked: Request, sent: str) -> bool:
        """Whether an answer counts when it is looked at: by who is an approver then, and unless another decided before."""
        by, via, verdict, genuine, until = self.said[sent]
        late = self.inside.at >= until or asked.id in self.decided
        again = verdict == "approve" and by in self.given.get(asked.id, ())
        return genuine and not late and not again and self._is_approver(by, asked.roles, via)

    @rule(name=NAMES, how=st.sampled_from(["revoked", "other root", "gone", "back", "back", "less"]))
    def the_registry_changes(self, name: str, how: str) -> None:
        told = PEOPLE[name].statement()
        match how:
            case "revoked":
                if approvers.find(self.db, name) and name in self.valid:
                    approving.revoke(self.db, ROOT.public_key(), name, "left", "root", self._later())
                self.valid.pop(name, None)
            case "other root":
                forged = vouch(told, OTHER_ROOT)
                self.db.execute("UPDATE approvers SET statement = ? WHERE principal = ?", (forged, name))
                self.valid.pop(name, None)
            case "gone":
                self.db.execute("DELETE FROM approvers WHERE principal = ?", (name,))
                self.valid.pop(name, None)
            case _:
                told = told.model_copy(update={"roles": []}) if how == "less" else told
                try:
                    approving.enter(self.db, ROOT, told, self._later(), "root", replace=True)
                except BadInput:
                    return
                self.valid[name] = told

    def _later(self) -> int:
        self.tokens += 1  # a statement counts from the second in which it was made
        return self.inside.at + self.tokens * 2000

    @rule(who=WHO, restriction=st.sampled_from(RESTRICTIONS))
    def an_operator_restricts(self, who: tuple[str, str], restriction: Restriction) -> None:
        restrictions.restrict(self.db, who, restriction, "ops", 1)

    @rule(who=WHO | st.none())
    def an_operator_lifts_what_restricts(self, who: tuple[str, str] | None) -> None:
        everybody = [(held.tenant, held.agent) for held in restrictions.in_force(self.db)]
        for one in everybody if who is None else [who]:
            restrictions.lift(self.db, one, None, None, "ops", 1)
        self.run.woken = True
        self.inside.go_on()

    # -------------------------------------------------------------------------------------- a workflow that is wrong

    @rule(data=st.data(), late=st.booleans(), tainted=st.booleans())
    @precondition(lambda self: self.run.turn is not None)
    def a_workflow_claims_what_was_never_said(self, data: st.DataObject, late: bool, tainted: bool) -> None:
        """It names any request for any of its calls; what it tries is taken back, so that the run goes on unharmed."""
        assert self.run.turn is not None
        blocks = tool_calls(self.run.turn.content)
        index = data.draw(st.integers(0, len(blocks) - 1))
        request = data.draw(st.sampled_from(["", *sorted(self.cards)]))
        seq, block = self.run.turn.seq + 1 + index, blocks[index]
        ask = Act(
            seq=seq - 1 - index,
            call=index,
            digest=call_digest(TENANT, WORKFLOW, seq, block["name"], block["input"]),
            state_before=seq,
            fence=self._standing().fence - late,
            request=request,
            tainted=tainted,
        )
        job = self._job(ask)

        def tried(_: Any) -> None:
            if isinstance(_begin(self.db, job, ROOT.public_key()), effects.Go):
                self._began(job)

        self.memory.at_once(tried, keep=False)

    # -------------------------------------------------------------------------------------------------- what must hold

    def _began(self, job: Job) -> None:
        """An effect begins: by one ruling, of this digest, this policy and this fence, which holds now."""
        (row,) = [row for row in effects.of_run(self.db, WORKFLOW) if row["token"] == job.token]
        standing, (name, given) = self._standing(), (job.tool.name, job.block["input"])
        bound = call_digest(TENANT, WORKFLOW, job.seq, name, given)
        assert (row["digest"], row["policy"]) == (bound, DESK.fingerprint)
        assert row["fence"] == standing.fence
        assert row["request"] == job.ask.request
        assert not standing.halted
        assert not is_denied(name, given, standing.denied)
        decision = wanted(name, given, standing.cap, bool(job.taint) or job.ask.edited is not None)
        assert decision != "deny"
        if decision == "ask":
            self._was_approved(job, row["request"])

    def _was_approved(self, job: Job, request: str) -> None:
        """People were shown this very call, and enough of those who approved it may still do so."""
        name, given, card = job.tool.name, job.block["input"], self.cards[request]
        shown = card.payload.get("calls", [{**card.payload, "row": card.seq}])
        assert (name, given, job.seq) in [(one["tool"], one["arguments"], one["row"]) for one in shown]
        assert (self.closed[request], card.epoch) == ("approve", self._standing().fence)
        quorum, role = people_wanted(name, given)
        people = [
            who for who, via in self.given[request].items() if self._is_approver(who, [role] if role else [], via)
        ]
        assert len(people) >= quorum, (people, self.given[request], quorum)

    def _is_approver(self, who: str, roles: list[str], via: str) -> bool:
        person = self.valid.get(who)
        if person is None or person.gateway or who == USER or person.tenant not in ("*", TENANT):
            return False
        return ("gate" in self.valid if via == "gateway" else bool(person.key)) and not person.lacks(roles)

    def _standing(self) -> Standing:
        return restrictions.standing(self.db, TENANT, "desk")

    async def _opened(self, request: Request) -> str:
        told = await self._open(request)
        self.decided.discard(request.id)
        if told:
            self.cards[request.id] = request
            self.closed.pop(request.id, None)
        return told

    async def _verified(self, ask: Verify) -> Verdicts:
        found = await self._verify(ask)
        for sent, verdict in zip(ask.tokens, found.verdicts, strict=True):
            assert verdict.accepted == self._counts(ask.request, sent), verdict.reason
            if verdict.accepted:
                self._count(ask.request, verdict, self.said[sent][1])
        return found

    def _count(self, asked: Request, verdict: Verdict, via: str) -> None:
        people = self.given.setdefault(asked.id, {})
        if verdict.choice == "approve":
            people[verdict.principal] = via
        if verdict.choice != "approve" or len(people) >= asked.quorum:
            self.decided.add(asked.id)

    async def _closed(self, closed: Closed) -> None:
        self.closed[closed.request.id] = closed.settled.choice
        await self._close(closed)

    @invariant()
    def every_effect_has_a_record_of_its_own(self) -> None:
        if hasattr(self, "db"):
            rows = effects.of_run(self.db, WORKFLOW)
            assert len({(row["seq"], row["digest"]) for row in rows}) == len(rows)

    @invariant()
    def the_run_is_well(self) -> None:
        if (task := getattr(self, "task", None)) is not None and task.done():
            task.result()


Effects.TestCase.settings = settings(max_examples=120, stateful_step_count=40)
TestEffects = pytest.mark.timeout(600)(Effects.TestCase)  # seconds on a quiet machine
