"""Programs: what a capability does, as a plan that can be evaluated here and rendered as the Monty source that runs.

Rules of this file: pure. Tools are called by keyword and are the only outside calls; a failed check, a look-up without exactly
one find, or a tool that raises ends the program: it abstains. Every check stands before the first change. The value of the last
expression is the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, cast

from tenure.learn.expressions import Expression, Fixed, NoValue, Scope, describe, evaluate, inputs, same
from tenure.wire import Json, JsonObject

Tool: TypeAlias = Callable[[str, JsonObject], Json]  # raises NoValue where the call fails or is not known


@dataclass(frozen=True)
class Call:
    """`name = tool(argument=...)`; `needs` is the slot that must be named for it to be made, where there are alternatives."""

    name: str
    tool: str
    arguments: Mapping[str, Expression]
    changes: bool = False
    needs: str = ""

    @property
    def reads(self) -> frozenset[str]:
        """The slots and results that its arguments take."""
        return frozenset[str]().union(*map(inputs, self.arguments.values()), {self.needs} - {""})


How: TypeAlias = Literal["==", "!=", "in", "<="]


@dataclass(frozen=True)
class Check:
    """A fact that held in every example before the first change: equal, unequal, in, or at most."""

    left: Expression
    how: How
    right: Expression

    @property
    def why(self) -> str:
        """The fact in plain words."""
        words = {"==": "is", "!=": "is not", "in": "is one of", "<=": "is at most"}[self.how]
        told = str(self.right.value) if isinstance(self.right, Fixed) else describe(self.right)
        return f"{describe(self.left)} {words} {told}"

    def holds(self, scope: Scope) -> bool:
        """Whether it is so."""
        left, right = evaluate(self.left, scope), evaluate(self.right, scope)
        match self.how:
            case "<=":
                return bool(left <= right)
            case "in":
                return any(same(left, each) for each in right)
            case "==":
                return same(left, right)
            case "!=":
                return not same(left, right)


Step: TypeAlias = tuple[Call, ...]  # one call, or alternatives of which exactly one is made


@dataclass(frozen=True)
class Answer:
    """Text and values in turn; `pieces` is None where the recorded answers follow no template."""

    pieces: tuple[str | Expression, ...] | None

    def text(self, scope: Scope) -> str | None:
        """The answer's text."""
        if self.pieces is None:
            return None
        return "".join(piece if isinstance(piece, str) else str(evaluate(piece, scope)) for piece in self.pieces)


@dataclass(frozen=True)
class Plan:
    """Calls in their order, what must hold before the first change, and the answer."""

    steps: Sequence[Step]
    checks: Sequence[Check] = ()
    answer: Answer = field(default_factory=lambda: Answer(None))

    @property
    def tools(self) -> list[str]:
        """All that it may call, each once, in order."""
        return list(dict.fromkeys(call.tool for step in self.steps for call in step))

    @property
    def changes(self) -> list[str]:
        """The tools that change something, in order."""
        return [call.tool for step in self.steps for call in step if call.changes]

    @property
    def uses(self) -> frozenset[str]:
        """The slots and results that something depends on; the answer is not looked at."""
        told = [call.reads for step in self.steps for call in step]
        checked = [inputs(check.left) | inputs(check.right) for check in self.checks]
        return frozenset[str]().union(*told, *checked)


@dataclass(frozen=True)
class Outcome:
    """The changing calls a program made, in order, and its answer; `abstained` says why it ended early, if it did."""

    calls: tuple[tuple[str, JsonObject], ...]
    answer: str | None = None
    abstained: str = ""


def perform(plan: Plan, slots: Mapping[str, Json], tool: Tool) -> Outcome:
    """Run the plan against `tool`, as the rendered source would run."""
    scope: dict[str, Json] = dict(slots)
    made: list[tuple[str, JsonObject]] = []
    checked = False
    try:
        for step in plan.steps:
            call = _taken(step, scope)
            if call.changes and not checked:
                _check(plan.checks, scope)
                checked = True
            arguments = {name: evaluate(expression, scope) for name, expression in call.arguments.items()}
            if call.changes:
                made.append((call.tool, arguments))
            scope[call.name] = tool(call.tool, arguments)
        return Outcome(tuple(made), plan.answer.text(scope))
    except NoValue as missing:
        return Outcome(tuple(made), abstained=str(missing))


def _taken(step: Step, scope: Scope) -> Call:
    if len(step) == 1:
        return step[0]
    named = [call for call in step if scope.get(call.needs)]
    if len(named) != 1:
        raise NoValue(f"{len(named)} of {' and '.join(call.needs for call in step)} are named, not one")
    return named[0]


def _check(checks: Sequence[Check], scope: Scope) -> None:
    for check in checks:
        if not check.holds(scope):
            raise NoValue(f"{check.why}: this does not hold")


def recorded(results: Sequence[tuple[str, JsonObject, Json]]) -> Tool:
    """A tool that answers as it did in a recording, and knows nothing else. Each entry: tool, arguments, result."""

    def answer(tool: str, arguments: JsonObject) -> Json:
        for name, told, result in results:
            if name == tool and same(cast("Json", told), cast("Json", arguments)):
                return result
        raise NoValue(f"{tool} was not called so")

    return answer
