"""Synthesis: from runs of one behaviour whose slots are known to the plan that explains all of them, or why there is none.

Rules of this file: pure and deterministic. Calls that all runs made form the plan; where runs made one look-up or another,
depending on what the request named, the plan has alternatives. A look-up that no rule explains is left out, a change that no
rule explains ends it.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tenure.learn import facts
from tenure.learn.alignment import common
from tenure.learn.answers import answer_of
from tenure.learn.expressions import Expression, Fixed, inputs, unverified
from tenure.learn.plan import Call, Check, Plan
from tenure.learn.plan import Step as PlanStep
from tenure.learn.recording import Recording, Step
from tenure.learn.source import RESERVED
from tenure.learn.stubs import is_callable
from tenure.learn.trigger import Captured
from tenure.learn.version_space import Example, cost, explanations
from tenure.wire import Json

BEFORE_KEYS = frozenset({"by", "for", "of", "from", "with", "to", "in"})  # find_user_BY_email


@dataclass(frozen=True)
class Run:
    """A recording, and what its request says in the slots of the trigger."""

    recording: Recording
    slots: Captured


class Unexplained(Exception):
    """No plan; the message says in plain words which value nothing explains."""


def synthesize(runs: Sequence[Run], free: frozenset[str] = frozenset()) -> Plan:
    """The plan that explains every run. Raises Unexplained. `free` slots take any words: none becomes part of a change."""
    ordered = sorted(runs, key=lambda run: (run.recording.request, run.recording.run))
    builder = _Builder(ordered, free)
    for column in _columns([run.recording.steps for run in ordered]):
        builder.add(column)
    return builder.plan()


def _columns(sequences: Sequence[Sequence[Step]]) -> list[list[Step]]:
    """For each place of the plan the call that each run made there; places that some runs have twice or not at all are left out."""
    keys = functools.reduce(common, [[step.tool for step in steps] for steps in sequences])
    rows = [_row(steps, keys) for steps in sequences]
    columns: list[list[Step]] = []
    for at in range(len(keys) + 1):
        gap = [gaps[at] for gaps, _ in rows]
        if all(len(steps) == 1 for steps in gap):
            columns.append([steps[0] for steps in gap])
        if at < len(keys):
            columns.append([anchors[at] for _, anchors in rows])
    return columns


def _row(steps: Sequence[Step], keys: Sequence[str]) -> tuple[list[list[Step]], list[Step]]:
    gaps: list[list[Step]] = [[]]
    anchors: list[Step] = []
    for step in steps:
        if len(anchors) < len(keys) and step.tool == keys[len(anchors)]:
            anchors.append(step)
            gaps.append([])
        else:
            gaps[-1].append(step)
    return gaps, anchors


class _Builder:
    """Grows a plan call by call; what each run knows at that point is kept beside it."""

    def __init__(self, runs: Sequence[Run], free: frozenset[str]) -> None:
        self.runs, self.free = runs, free
        self.results: list[dict[str, Json]] = [{} for _ in runs]
        self.steps: list[PlanStep] = []
        self.checks: list[Check] = []
        self.named = {*runs[0].slots, *RESERVED, *(step.tool for run in runs for step in run.recording.steps)}

    def add(self, column: Sequence[Step]) -> None:
        """Take one more call into the plan, if it can be explained. Raises Unexplained for a change that cannot."""
        changes = any(step.changes for step in column)
        if not changes and not all(step.ok for step in column):
            return
        try:
            made = self._step(column)
        except Unexplained:
            if changes:
                raise
            return
        self.steps.append(made)
        for results, step in zip(self.results, column, strict=True):
            results[made[0].name] = step.result

    def plan(self) -> Plan:
        """The plan with its checks and its answer, without look-ups that nothing needs."""
        before = {call.name for step in self.steps for call in step if not call.changes}
        known = [{name: result for name, result in results.items() if name in before} for results in self.results]
        slots = [run.slots for run in self.runs]
        writes = [call for step in self.steps for call in step if call.changes]
        reads = [step for step in self.steps if not step[0].changes]
        checks = [*self.checks, *facts.mined(reads, writes, slots, known)]
        answers = [run.recording.answer for run in self.runs]
        plan = Plan(tuple(self.steps), tuple(dict.fromkeys(checks)), answer_of(answers, slots, self.results))
        return _pruned(plan)

    def _step(self, column: Sequence[Step]) -> PlanStep:
        tools = sorted({step.tool for step in column})
        rows = {tool: [at for at, step in enumerate(column) if step.tool == tool] for tool in tools}
        name = self._name(tools[0])
        needs = {tool: self._needs(at) for tool, at in rows.items()} if len(tools) > 1 else {}
        return tuple(self._call(column, rows[tool], name, needs.get(tool, "")) for tool in tools)

    def _call(self, column: Sequence[Step], rows: Sequence[int], name: str, needs: str) -> Call:
        first = column[rows[0]]
        if any(column[at].arguments.keys() != first.arguments.keys() for at in rows):
            raise Unexplained(f"{first.tool} is called with other arguments from run to run")
        arguments = {argument: self._explained(column, rows, argument) for argument in sorted(first.arguments)}
        return Call(name, first.tool, arguments, first.changes, needs)

    def _explained(self, column: Sequence[Step], rows: Sequence[int], argument: str) -> Expression:
        examples = [
            Example(_named(self.runs[at].slots), self.results[at], column[at].arguments[argument]) for at in rows
        ]
        found, tool = explanations(examples), column[rows[0]].tool
        if not found:
            raise Unexplained(f"nothing in the request or the look-ups explains {argument} of {tool}")
        if not column[rows[0]].changes:
            return found[0]
        sure = [expression for expression in found if not unverified(expression) & self.free]
        if not sure:
            raise Unexplained(f"{argument} of {tool} is free text of the request: nothing tells where it ends")
        self._agree(sure)
        return sure[0]

    def _agree(self, found: Sequence[Expression]) -> None:
        """Equally cheap explanations were equal in all examples: where they differ, nobody knows which was meant."""
        best, *others = found
        equals = [other for other in others if cost(other) == cost(best) and not isinstance(other, Fixed)]
        self.checks += [Check(best, "==", other) for other in equals]

    def _needs(self, rows: Sequence[int]) -> str:
        """The slot that exactly these runs named: it tells which look-up was made."""
        inside = set(rows)
        for slot in sorted(self.runs[0].slots):
            if {at for at, run in enumerate(self.runs) if run.slots[slot]} == inside:
                return slot
        raise Unexplained("nothing in the request tells which look-up is made")

    def _name(self, tool: str) -> str:
        """A result is named after what its tool gives: `get_ticket` gives a ticket."""
        words = tool.split("_")[1:]
        told = list(itertools.takewhile(lambda word: word not in BEFORE_KEYS, words))
        name = "_".join(told)
        if not is_callable(name):
            name = f"{tool}_result" if tool.isidentifier() else "result"
        numbered = itertools.chain([name], (f"{name}_{at}" for at in itertools.count(2)))
        free = next(name for name in numbered if name not in self.named)
        self.named.add(free)
        return free


def _named(slots: Captured) -> Mapping[str, Json]:
    return {name: value for name, value in slots.items() if value}


def _pruned(plan: Plan) -> Plan:
    """Without look-ups on which no change, no check and no kept look-up depends; the answer keeps its own."""
    told = plan.answer.pieces or ()
    wanted = frozenset[str]().union(*(inputs(piece) for piece in told if not isinstance(piece, str)))
    wanted |= frozenset[str]().union(*(inputs(check.left) | inputs(check.right) for check in plan.checks))
    kept: list[PlanStep] = []
    for step in reversed(plan.steps):
        if step[0].changes or step[0].name in wanted:
            kept.insert(0, step)
            wanted = wanted.union(*(call.reads for call in step))
    return replace(plan, steps=tuple(kept))
