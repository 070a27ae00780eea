"""What is answered again is somebody's own, current, and called wrong by nobody: whatever runs, writes, people and clocks do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tenure.runtime import caching
from tenure.runtime.store import cached, epochs, runs
from tenure.turn import Audit, Served, Turn
from tests.unit.answered_runs import MESSAGES, TENANTS, TTL, Runs


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

    @rule(
        tenant=TENANTS,
        message=st.sampled_from(MESSAGES[:3]),
        tools=st.lists(st.sampled_from(["hours", "prices"]), max_size=2),
    )
    def a_run_is_made(self, tenant: str, message: str, tools: list[str]) -> None:
        self.a_run_begins(tenant, message, audited=False)
        workflow = f"{tenant}:run:desk:{self.runs.number}"
        if workflow in self.open:
            self._end(workflow, tools, tainted=False)

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
        self._end(data.draw(st.sampled_from(self.open)), tools, tainted=tainted)

    def _end(self, workflow: str, tools: list[str], *, tainted: bool) -> None:
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
