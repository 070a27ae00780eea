"""Source: a plan as straight-line Python for Monty, readable by the person who approves it.

Rules of this file: pure; text from recordings enters only through `repr`. Only what Monty 1.4 runs is written: assignments,
asserts, list comprehensions, one `if` between alternative look-ups, one `for` over a list slot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tenure.learn.expressions import (
    EACH,
    At,
    Changed,
    Expression,
    Fixed,
    Found,
    Joined,
    Keyed,
    Listed,
    Mapped,
    Name,
    Spelled,
    WordOf,
    describe,
    inputs,
)  # fmt: skip
from tenure.learn.plan import Answer, Call, Check, Plan, Step
from tenure.wire import Json

INDENT = "    "
RESERVED = frozenset(
    {"named", "slot", "entry", EACH, "len", "set", "str", "int", "float"}
)  # names the program uses itself


def source(plan: Plan) -> str:
    """The program's text."""
    writer = _Writer(_read(plan))
    checked = False
    for step in plan.steps:
        if step[0].changes and not checked:
            writer.checks(plan.checks)
            checked = True
        writer.step(step)
    writer.answer(plan.answer)
    return "\n".join(writer.lines) + "\n"


class _Writer:
    """Collects lines; an expression that needs statements writes them before it is used."""

    def __init__(self, read: frozenset[str]) -> None:
        self.read = read
        self.split: dict[str, str] = {}  # texts cut into words already
        self.lines: list[str] = []
        self.indent = ""
        self.count = 0

    def line(self, text: str) -> None:
        self.lines.append(self.indent + text)

    def step(self, step: Step) -> None:
        if len(step) == 1:
            self.call(step[0])
            return
        named = ", ".join(call.needs for call in step)
        self.line(f"named = [slot for slot in [{named}] if slot]")
        self.line(f"assert len(named) == 1, {f'exactly one of {named} is named'!r}")
        for at, call in enumerate(step):
            self.line(f"{'elif' if at else 'if'} {call.needs}:")
            self.indented(lambda call=call: self.call(call))

    def call(self, call: Call) -> None:
        self.split.clear()
        arguments = {name: self.value(expression) for name, expression in call.arguments.items()}
        made = f"{call.tool}({', '.join(f'{name}={value}' for name, value in arguments.items())})"
        self.line(f"{call.name} = {made}" if call.name in self.read else made)

    def checks(self, checks: Iterable[Check]) -> None:
        for check in checks:
            self.line(f"assert {self.value(check.left)} {check.how} {self.value(check.right)}, {check.why!r}")

    def answer(self, answer: Answer) -> None:
        if answer.pieces is None:
            self.line("''")  # the words are left to Claude
            return
        pieces = [piece if isinstance(piece, str) else self.value(piece) for piece in answer.pieces]
        told = [
            repr(text) if isinstance(piece, str) else f"str({text})"
            for piece, text in zip(answer.pieces, pieces, strict=True)
        ]
        self.line(" + ".join(told) or "''")

    def indented(self, write: Callable[[], None]) -> None:
        before, self.indent = self.indent, self.indent + INDENT
        write()
        self.indent = before

    def value(self, expression: Expression) -> str:
        match expression:
            case Name(name=name):
                return name
            case Fixed(value=value):
                return literal(value)
            case Changed() | WordOf() | Listed() | Joined():
                return self.spelled(expression)
            case At(of=of, key=key):
                return f"{self.value(of)}[{key!r}]"
            case Keyed(of=of, key=key):
                return f"{self.value(of)}[{self.value(key)}]"
            case Found():
                return self.found(expression)
            case Mapped():
                return self.mapped(expression)

    def spelled(self, expression: Spelled) -> str:
        match expression:
            case Listed(of=of):
                return f"[{self.value(of)}]"
            case Joined(of=of, sign=sign):
                return f"{sign!r}.join({self.value(of)})"
            case Changed():
                return self.changed(expression)
            case WordOf():
                return self.word(expression)

    def changed(self, expression: Changed) -> str:
        of = self.value(expression.of)
        match expression.how:
            case "lower" | "strip":
                return f"{of}.{expression.how}()"
            case "bare":
                return f"{of}.removeprefix('#')"
            case "int" | "float":
                return f"{expression.how}({_number(of)})"
            case "cents":
                parts = self.fresh("amount")
                self.line(f"{parts} = ({_number(of)} + '.00').split('.')")
                self.line(f"assert len({parts}[1]) == 2, {f'{describe(expression.of)} is an amount'!r}")
                return f"int({parts}[0]) * 100 + int({parts}[1])"

    def word(self, expression: WordOf) -> str:
        of = self.value(expression.of)
        if of not in self.split:
            self.split[of] = words = self.fresh("words")
            why = f"{describe(expression.of)} is {expression.of_words} words"
            self.line(f"{words} = {of}.split()")
            self.line(f"assert len({words}) == {expression.of_words}, {why!r}")
        return f"{self.split[of]}[{expression.index}]"

    def found(self, expression: Found) -> str:
        found, equals = self.fresh("found"), self.value(expression.equals)
        where = self.value(expression.where) + (".values()" if expression.is_keyed else "")
        self.line(f"{found} = [entry for entry in {where} if entry.get({expression.field!r}) == {equals}]")
        why = f"exactly one in {describe(expression.where)} has this {expression.field}"
        self.line(f"assert len({found}) == 1, {why!r}")
        return f"{found}[0][{expression.take!r}]"

    def mapped(self, expression: Mapped) -> str:
        values = self.fresh("values")
        self.line(f"{values} = []")
        self.line(f"for {EACH} in {self.value(expression.over)}:")
        self.indented(lambda: self.line(f"{values}.append({self.value(expression.item)})"))
        why = f"none of {describe(expression.over)} is named twice"
        self.line(f"assert len(set({values})) == len({values}), {why!r}")
        return values

    def fresh(self, word: str) -> str:
        self.count += 1
        return f"{word}_{self.count}"


def literal(value: Json) -> str:
    """A JSON value as Python writes it."""
    return repr(value)


def _number(of: str) -> str:
    return f"{of}.strip().lstrip('$€£ ').replace(',', '')"


def _read(plan: Plan) -> frozenset[str]:
    """The slots and results that something takes."""
    told = plan.answer.pieces or ()
    return plan.uses.union(*(inputs(piece) for piece in told if not isinstance(piece, str)))
