"""Taint never falls: not by a turn, a summary, a restart or a child run, whatever came between.

The workflow's own code decides and settles turns over `decide` as the worker would do it, without Claude; each call that is made
says what it takes from its run. `outside` is what is counted here: whether anything from elsewhere has been seen in the chain.
"""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tenure.activities.provenance import look
from tenure.client.runs import Runs
from tenure.run import RunRequest, RunState
from tenure.runtime import lineage
from tenure.transcript import assistant_row, first_row, result_row
from tenure.turn import Act, Decide, Fitted, Note, Result, Turn
from tenure.wire import Json, JsonObject
from tenure.workflows import carry, turn
from tenure.workflows.ask import Desk
from tenure.workflows.observe import take_context
from tenure.workflows.story import RunStory
from tests.unit.inside import Inside, crossed
from tests.unit.test_provenance import AGENT, EVIL, block, no_blob

WORKFLOW = "default:run:bank:1"
RESULTS: dict[str, Json] = {
    "read_mail": EVIL,
    "find_account": {"iban": "GB-BOB", "owner": "Bob", "note": ""},
    "manual": {"text": "how to pay"},
    "handbook": "how to pay",
    "send_money": {"success": True},
}
CALLS = st.sampled_from(
    [
        block("read_mail", {}),
        block("find_account", {"owner": "Bob"}),
        block("manual", {}),
        block("handbook", {}),
        block("send_money", {"to": "GB-FRIEND", "amount": 50}),
        block("send_money", {"to": "US-EVIL", "amount": 900}),
    ]
)


class Chain(RuleBasedStateMachine):
    """A run, and the runs that its tools start, one inside the other."""

    @initialize(tainted=st.sampled_from([False, False, True]))
    def begin(self, tainted: bool) -> None:
        activities = {"decide": self._decide, "tool": self._tool, "note": self._note}
        self.inside = Inside(WORKFLOW, activities)
        self.outside = tainted
        self.turn, self.forgets, self.made = Turn(), False, list[Act]()
        self._start(RunRequest(agent="bank", message="Pay 50 to GB-FRIEND", tainted=tainted))

    def teardown(self) -> None:
        if hasattr(self, "inside"):
            self.inside.close()

    def _start(self, request: RunRequest) -> None:
        run = RunState(request=crossed(request))
        run.snapshot, run.seq = AGENT.snapshot(), 1
        self.rows: dict[int, JsonObject] = {0: first_row(request)}
        carry.append(run, self.rows[0])
        self._take(run)

    def _take(self, run: RunState) -> None:
        self.run, self.was = run, False
        self.desk = Desk(run, RunStory(run))

    # ---------------------------------------------------------------------------------------------------------- rules

    @rule(calls=st.lists(CALLS, min_size=1, max_size=3), summary=st.booleans(), forgets=st.sampled_from([0, 0, 1]))
    def a_turn_is_decided_and_made(self, calls: list[JsonObject], summary: bool, forgets: int) -> None:
        """`forgets`: what is recorded of an earlier turn does not say that the run was tainted."""
        numbered = [{**call, "id": f"t{self.run.seq}-{n}"} for n, call in enumerate(calls)]
        fitted = Fitted(cleared=self.run.seq, summarised=self.run.seq, summary="all is well") if summary else None
        self.turn, self.forgets = Turn(content=numbered, stop="tool_use", fitted=fitted), bool(forgets)
        self._go(self._one_turn())

    @rule(text=st.sampled_from([EVIL, "hurry up"]))
    def somebody_adds_context(self, text: str) -> None:
        self.run.context.append(text)
        self.outside = True

    @rule()
    def the_run_continues_as_new(self) -> None:
        carried = crossed(carry.pack(self.run)).carried
        assert carried is not None
        was = self.was
        self._take(carried)
        self.was = was

    @rule()
    def a_tool_of_the_run_starts_another_run(self) -> None:
        if not self.made:
            return
        ask, runs = self.made[-1], Runs(SimpleNamespace(blobs=None))  # type: ignore[arg-type]
        with lineage.of(tainted=ask.tainted, cap=ask.cap, user=None):
            request = runs._request("bank", "Pay 50 to GB-FRIEND", None, "default", {})
        self.made.clear()
        self._start(request)
        self.outside = ask.tainted  # what the tool itself had from elsewhere, its author must say

    # ---------------------------------------------------------------------------------------------------- the workers

    def _go(self, work: Any) -> None:
        task: asyncio.Task[Any] = self.inside.start(work)
        assert task.done()
        task.result()

    async def _one_turn(self) -> None:
        await take_context(self.run)
        await turn.decide(self.run)
        await turn.settle(self.run, self.desk)
        self.run.repeats.clear()

    async def _decide(self, ask: Decide) -> Turn:
        rows = [self.rows[seq] for seq in range(ask.seq)]
        told = look(AGENT, rows, self.turn.content, {}, no_blob, message_trusted=not ask.untrusted)
        self.seen = self.outside  # the calls of a turn are decided together, before any of them has a result
        assert told.tainted >= self.seen
        decided = self.turn.model_copy(update={"tainted": told.tainted and not self.forgets, "taint": told.asks})
        self.rows[ask.seq] = assistant_row(decided)
        return decided

    async def _tool(self, ask: Act) -> Result:
        name = self.turn.content[ask.call]["name"]
        self.made.append(ask)
        assert ask.tainted >= (self.run.tainted or (self.seen and not self.forgets))
        result = Result(value=RESULTS[name])
        self.outside = self.outside or name == "read_mail"
        self.rows[ask.seq + 1 + ask.call] = result_row(self.turn.content[ask.call]["id"], result)
        return result

    async def _note(self, note: Note) -> Note:
        self.rows[note.seq] = note.row
        return note

    # --------------------------------------------------------------------------------------------------- what must hold

    @invariant()
    def taint_never_falls(self) -> None:
        if hasattr(self, "run"):
            assert self.run.tainted >= self.was
            self.was = self.run.tainted


Chain.TestCase.settings = settings(max_examples=80, stateful_step_count=12)
TestChain = pytest.mark.timeout(600)(Chain.TestCase)  # seconds on a quiet machine


def test_what_a_tainted_run_hands_over_as_state_is_no_trusted_source() -> None:
    rows, call = (
        [first_row(RunRequest(agent="bank", message="Pay"))],
        block("send_money", {"to": "US-EVIL", "amount": 900}),
    )
    told = look(AGENT, rows, [call], {"to": "US-EVIL", "amount": 900}, no_blob, message_trusted=False)
    assert 0 in told.asks


@pytest.mark.parametrize("cap", [None, 0, 3])
def test_a_run_that_a_tool_starts_belongs_to_whom_its_parent_does_and_has_no_more_trust(cap: int | None) -> None:
    runs = Runs(SimpleNamespace(blobs=None))  # type: ignore[arg-type]
    with lineage.of(tainted=True, cap=cap, user="alice"):
        child = runs._request("bank", "Pay", None, "default", {})
    alone = runs._request("bank", "Pay", None, "default", {})
    assert (child.user, child.cap, child.tainted) == ("alice", cap, True)
    assert (alone.user, alone.cap, alone.tainted) == (None, None, False)
