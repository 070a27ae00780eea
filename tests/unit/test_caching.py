"""What is answered again is somebody's own, current, and called wrong by nobody: whatever runs, writes, people and clocks do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tenure import Agent, tool
from tenure.run import Outcome, Record, RunRequest, Status, StopReason
from tenure.runtime import caching, judging
from tenure.runtime.caching import Asked
from tenure.runtime.store import cached, epochs, runs, transcript
from tenure.transcript import assistant_row, first_row, result_row
from tenure.turn import Audit, Result, Served, Turn
from tests.unit.inside import Memory

TTL = 100  # seconds
TENANTS = st.sampled_from(["acme", "globex"])
MESSAGES = (
    "When do you open?", "Hey, when do you open please?", "Where do you open?", "When don't you open?", "Open at 9?", "Open at 10?",
)  # fmt: skip
WHOSE = {"role": st.sampled_from("ab"), "cap": st.integers(0, 3), "state": st.sampled_from([{}, {"a": 1}])}
PARTS = st.fixed_dictionaries({}, optional=WHOSE)
START = 1_800_000_000_000


@tool(effect="read", output="*")
def hours() -> str:
    """Read the hours."""
    return "nine"


@tool(effect="read", output="*")
def prices() -> str:
    """Read the prices."""
    return "9"


def desk(admit: str = "answered", instructions: str = "") -> Agent:
    told = {"enable_cache": True, "cache_rules": [{"similarity": 0.7, "ttl": TTL}], "admit": admit, "audit": "0.5"}
    return Agent(name="desk", tools=[hours, prices], instructions=instructions, optimization=told)


DESK = desk()


@dataclass
class Answered:
    """A run as the test knows it: who asked what and when, what it read, and what became of it."""

    tenant: str
    message: str
    at: int
    answer: str
    tools: list[str]
    stale: bool = False
    bad: bool = False
    admitted: bool = False


@dataclass
class Runs:
    """Runs of one agent over a real store."""

    agent: Agent = field(default_factory=lambda: DESK)
    store: Memory = field(default_factory=Memory)
    at: int = START
    number: int = 0

    def look(self, tenant: str, message: str, draw: float = 1.0, **more: Any) -> tuple[str, Turn | Audit | None]:
        """Begin a run; its id, and what is known already."""
        self.number += 1
        workflow, level = f"{tenant}:run:desk:{self.number}", more.pop("level", None)
        request = RunRequest(agent="desk", tenant=tenant, message=message, **more)
        snapshot = self.agent.snapshot().model_copy(update={"level": level})

        def write(db: Any) -> Turn | Audit | None:
            runs.observe(db, workflow, request, snapshot, self.at, "first")
            transcript.put(db, workflow, 0, first_row(request))
            return caching.look(db, self.agent, Asked(workflow, request, snapshot, self.at, draw))

        return workflow, self.store.at_once(write)

    def end(self, workflow: str, answer: str, tools: list[str], *, tainted: bool = False) -> None:
        """Claude has called the tools, and answers."""
        calls = [{"type": "tool_use", "id": f"t{n}", "name": name, "input": {}} for n, name in enumerate(tools)]
        tenant = workflow.partition(":")[0]
        outcome = Outcome(status=Status.COMPLETED, stop_reason=StopReason.ANSWERED, message=answer, cost=7)

        def write(db: Any) -> None:
            seq = 1
            for content in ([calls] if calls else []) + [[{"type": "text", "text": answer}]]:
                turn = Turn(content=content, tainted=tainted)
                transcript.put(
                    db, workflow, seq, assistant_row(turn), turn.model_dump(mode="json", exclude={"content"})
                )
                for n, one in enumerate(call for call in content if call["type"] == "tool_use"):
                    transcript.put(db, workflow, seq + 1 + n, result_row(one["id"], Result(value="x")))
                seq += 1 + len(calls)
            runs.finish(db, workflow, Record(outcome=outcome, agent="desk", tenant=tenant, first_run="first"))
            judging.finished(db, runs.get(db, workflow), self.at)  # type: ignore[arg-type]

        self.store.at_once(write)

    def say(self, workflow: str, good: bool) -> None:
        """Somebody judges the run."""
        self.store.at_once(
            lambda db: judging.say(db, runs.get(db, workflow), "client", good, "", self.at)  # type: ignore[arg-type]
        )

    def answer(self, message: str, **more: Any) -> str | None:
        """What a run is answered with; where nothing is known, Claude answers with the message itself."""
        workflow, found = self.look(more.pop("tenant", "acme"), message, **more)
        if isinstance(found, Turn):
            return found.content[0]["text"]
        self.end(workflow, message, [])
        return None


class Answers(RuleBasedStateMachine):
    """Every answer given again is looked at: whose it is, how old, what has changed since, who complained."""

    @initialize()
    def begin(self) -> None:
        self.runs = Runs()
        self.known: dict[str, Answered] = {}
        self.open: list[str] = []
        self.writes: dict[str, tuple[str, str]] = {}
        self.served: dict[str, str] = {}
        self.closed = set[str]()

    @rule(tenant=TENANTS, message=st.sampled_from(MESSAGES), audited=st.booleans())
    def a_run_begins(self, tenant: str, message: str, audited: bool) -> None:
        workflow, found = self.runs.look(tenant, message, 0.1 if audited else 0.9)
        if isinstance(found, Turn):
            assert found.served is not None
            self._check(tenant, message, found.served.source, found.content[0]["text"])
            self._serve(workflow, found.served)
            return
        if isinstance(found, Audit):
            self._check(tenant, message, found.source, found.answer)
        self.known[workflow] = Answered(tenant, message, self.runs.at, f"answer {workflow}".replace(":", " "), [])
        self.open.append(workflow)

    def _serve(self, workflow: str, served: Served) -> None:
        def write(db: Any) -> None:
            run = runs.get(db, workflow)
            assert run is not None
            caching.served(db, run, served, "model", "prices", self.runs.at)

        self.runs.store.at_once(write)
        self.served[workflow] = served.source

    def _check(self, tenant: str, message: str, source: str, answer: str) -> None:
        run = self.known[source]
        assert (run.tenant, run.answer) == (tenant, answer)
        assert {message, run.message} <= set(MESSAGES[:2]) or message == run.message
        assert 0 <= self.runs.at - run.at < TTL * 1000
        assert run.admitted
        assert not run.stale
        assert not run.bad
        assert tenant not in self.closed
        assert not any(whose == tenant and self._names(pattern, run.tools) for whose, pattern in self.writes.values())

    @rule(
        data=st.data(),
        tools=st.lists(st.sampled_from(["hours", "prices"]), max_size=2),
        tainted=st.sampled_from([False, False, True]),
    )
    @precondition(lambda self: self.open)
    def a_run_ends(self, data: st.DataObject, tools: list[str], tainted: bool) -> None:
        workflow = data.draw(st.sampled_from(self.open))
        self.open.remove(workflow)
        run = self.known[workflow]
        run.tools = tools
        run.admitted = not tainted
        # What changed while it ran, or was under way when it began, was noted by tool: only now it is known which it called.
        run.stale = any(tool in self._stale_for(workflow) for tool in tools)
        self.runs.end(workflow, run.answer, tools, tainted=tainted)

    def _stale_for(self, workflow: str) -> set[str]:
        return getattr(self, "changed", {}).get(workflow, set())

    @rule(tenant=TENANTS, pattern=st.sampled_from(["hours", "prices", "*", "h*"]))
    def something_changes(self, tenant: str, pattern: str) -> None:
        self.runs.store.at_once(lambda db: epochs.bump(db, tenant, [pattern]))
        self._change(tenant, pattern)

    @rule(tenant=TENANTS, pattern=st.sampled_from(["hours", "prices", "*"]))
    def a_write_begins(self, tenant: str, pattern: str) -> None:
        name, at = f"w{len(self.writes)}-{self.runs.number}-{self.runs.at}", self.runs.at
        self.runs.store.at_once(lambda db: epochs.begin(db, tenant, name, [pattern], at, at + 10**9))
        self.writes[name] = (tenant, pattern)
        self._change(tenant, pattern)

    @rule(data=st.data())
    @precondition(lambda self: self.writes)
    def a_write_ends(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.writes)))
        tenant, pattern = self.writes.pop(name)
        self._change(tenant, pattern)
        self.runs.store.at_once(lambda db: epochs.end(db, tenant, name, [pattern]))

    def _change(self, tenant: str, pattern: str) -> None:
        self.changed: dict[str, set[str]] = getattr(self, "changed", {})
        named = {tool for tool in ("hours", "prices") if self._names(pattern, [tool])}
        for workflow, run in self.known.items():
            if run.tenant == tenant:
                self.changed.setdefault(workflow, set()).update(named)
                run.stale = run.stale or (workflow not in self.open and bool(named & set(run.tools)))

    @staticmethod
    def _names(pattern: str, tools: list[str]) -> bool:
        return any(tool.startswith(pattern[:-1]) if pattern.endswith("*") else tool == pattern for tool in tools)

    @rule(data=st.data(), good=st.booleans())
    @precondition(lambda self: len(self.known) > len(self.open) or self.served)
    def somebody_judges_a_run(self, data: st.DataObject, good: bool) -> None:
        ended = sorted((set(self.known) - set(self.open)) | set(self.served))
        workflow = data.draw(st.sampled_from(ended))
        self.runs.say(workflow, good)
        if not good:
            self.known[self.served.get(workflow, workflow)].bad = True

    @rule(tenant=TENANTS)
    def a_rule_is_closed_or_opened(self, tenant: str) -> None:
        who, at = (tenant, "desk"), self.runs.at
        if tenant in self.closed:
            self.runs.store.at_once(lambda db: cached.reopen_rule(db, who, "similar 0.7", at))
            self.closed.discard(tenant)
        else:
            self.runs.store.at_once(lambda db: cached.close_rule(db, who, "similar 0.7", "wrong", at))
            self.closed.add(tenant)

    @rule(seconds=st.sampled_from([1, 40, 99, 100, 500, -30, -500]))
    def the_clock_moves(self, seconds: int) -> None:
        self.runs.at += seconds * 1000


Answers.TestCase.settings = settings(max_examples=150, stateful_step_count=40)
TestAnswers = pytest.mark.timeout(300)(Answers.TestCase)

OTHERS: list[dict[str, Any]] = [
    {"tenant": "globex"}, {"role": "admin"}, {"state": {"plan": "gold"}}, {"cap": 3}, {"level": 5},
]  # fmt: skip


@pytest.mark.parametrize("other", OTHERS)
def test_an_answer_is_given_to_nobody_who_may_see_something_else(other: dict[str, Any]) -> None:
    made = Runs()
    assert made.answer(MESSAGES[0]) is None
    assert made.answer(MESSAGES[0], **other) is None
    assert made.answer(MESSAGES[0], user="ann") == MESSAGES[0]
    assert made.answer(MESSAGES[0], **other) == MESSAGES[0]


@given(first=PARTS, second=PARTS, whose=st.tuples(TENANTS, TENANTS))
def test_two_partitions_never_share(first: dict[str, Any], second: dict[str, Any], whose: tuple[str, str]) -> None:
    same = {**{"state": {}}, **first} == {**{"state": {}}, **second} and whose[0] == whose[1]
    assume(not same)
    made = Runs()
    made.answer(MESSAGES[0], tenant=whose[0], **first)
    assert made.answer(MESSAGES[0], tenant=whose[1], **second) is None


def test_another_build_begins_anew() -> None:
    made = Runs()
    made.answer(MESSAGES[0])
    made.agent = desk(instructions="Be brief.")
    assert made.answer(MESSAGES[0]) is None


def test_a_run_that_was_told_more_is_neither_answered_nor_kept() -> None:
    made = Runs()
    made.answer(MESSAGES[0])
    assert made.answer(MESSAGES[0], context=["It is Sunday."]) is None
    assert made.answer(MESSAGES[0], tainted=True) is None
    assert made.look("acme", MESSAGES[0])[1] is not None


def test_what_nobody_called_good_waits_for_somebody_who_does() -> None:
    made = Runs(agent=desk(admit="verified"))
    workflow, _ = made.look("acme", MESSAGES[0])
    made.end(workflow, "Nine.", [])
    assert made.look("acme", MESSAGES[0])[1] is None
    made.say(workflow, good=True)
    assert isinstance(made.look("acme", MESSAGES[0])[1], Turn)


def test_a_row_without_its_meta_is_not_given_again() -> None:
    made = Runs(agent=desk(admit="verified"))
    workflow, _ = made.look("acme", MESSAGES[0])
    made.end(workflow, "Nine.", [])
    made.store.db.execute("UPDATE transcript SET meta = NULL")
    made.say(workflow, good=True)
    assert made.look("acme", MESSAGES[0])[1] is None


def test_what_is_over_is_deleted_as_new_runs_come() -> None:
    made = Runs()
    for n in range(5):
        made.answer(f"Where is box {n}?")
    made.at += TTL * 1000 + 1
    made.answer("Where is box 9?")
    assert made.store.db.execute("SELECT count(*) FROM cached_answers").fetchone()[0] == 1
