"""Hostile programs: what a program that wants out of the sandbox, or wants its worker dead, would try. 200 and more, by kind.

Each is Python as Monty may meet it; none was refused by reading it first. `{folder}`, `{port}` and `{secret}` are the bench's
canaries: a folder and a port that must stay untouched, the name of a variable of the host whose value must not come back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.hostile_texts import BOUNDED, KILLED, MODULES, NAMED, NO, TEXTS, USES
from tenure.learn.recording import Step


@dataclass(frozen=True)
class Hostile:
    """One program. `ends`: how it may end, as names of kinds of stops, `called` and `finished`; empty is anyhow."""

    kind: str
    program: str
    ends: frozenset[str] = frozenset()
    inputs: dict[str, Any] = field(default_factory=dict[str, Any])
    journal: Sequence[Step] = ()
    killed: bool = False  # by us, from outside, while it runs


def hostile(folder: str, port: int, secret: str) -> list[Hostile]:
    """All of them, in a fixed order."""
    places = {"{folder}": folder, "{port}": str(port), "{secret}": secret}
    return [
        *(Hostile(kind, _placed(text, places), ends) for kind, ends, texts in TEXTS for text in texts),
        *_imports(places),
        *_values(),
        *_journals(),
        *(Hostile("killed from outside", text, frozenset({"crashed"}), killed=True) for text in KILLED),
    ]


def _placed(text: str, places: dict[str, str]) -> str:
    for name, value in places.items():
        text = text.replace(name, value)
    return text


STRANGE = (
    "b'x'",
    "{1: 2}",
    "float('nan')",
    "(1, 2)",
    "{1, 2}",
    "1j",
    "...",
    "print",
    "get_order",
    "str",
    "10**5000",
    "-(2**200)",
)


def _imports(places: dict[str, str]) -> Iterator[Hostile]:
    ends = NO | BOUNDED
    for module in MODULES:
        for use in USES:
            yield Hostile("imports", _placed(use.format(module), places), ends)
    for text in NAMED:
        yield Hostile("named modules", _placed(text, places), ends | {"finished"})


def _values() -> Iterator[Hostile]:
    """Arguments and answers that are no JSON, or not what they look like."""
    for shape in ("[x]", "{'a': x}", "(x,)", "{'a': [x, x]}"):
        program = f"x = 'x'\nfor _ in range(10**5): x = {shape}\nget_order(order_id=x)"
        yield Hostile("deep arguments", program, NO | BOUNDED)
    for value in STRANGE:
        yield Hostile("strange arguments", f"get_order(order_id={value})", NO)
        yield Hostile("strange answers", value, NO)
    # Monty hands these out as text that says what they were. It is the same text each time, and the type check sees them.
    for value in ("range(3)", "lambda: 1", "sorted"):
        yield Hostile("values told as text", f"get_order(order_id={value})", frozenset({"called", "refused"}))
        yield Hostile("values told as text", value, frozenset({"finished", "refused"}))
    deep: Any = "x"
    for _ in range(2_000):
        deep = [deep]
    yield Hostile("inputs", "str(data)", inputs={"data": deep})
    yield Hostile("inputs", "data", inputs={"data": "x" * 30_000_000}, ends=BOUNDED)
    yield Hostile("inputs", "data", inputs={"data": "\ud800"}, ends=NO)
    yield Hostile("inputs", "'x'", inputs={"import os": 1}, ends=NO)


def _journals() -> Iterator[Hostile]:
    """A journal that is not this program's."""
    made = Step(tool="get_order", effect="read", arguments={"order_id": "7"}, result={"status": "open"})
    ends = frozenset({"diverged"})
    for program in (
        "get_order(order_id='8')",
        "get_order(order_id=7)",
        "get_order(order_id='7', extra=None)",
        "other(order_id='7')",
        "'no call at all'",
        "assert False, 'before the call'",
        "1 / 0",
    ):
        yield Hostile("another journal", program, ends, journal=[made])
    yield Hostile("another journal", "get_order(order_id='7')\n'x'", ends, journal=[made, made])
    deep: Any = "x"
    for _ in range(900):
        deep = [deep]
    for result in (deep, "x" * 30_000_000, "\ud800", {"__class__": "x"}, [float("inf")], 2**10_000):
        yield Hostile(
            "evil results", "str(get_order(order_id='7'))", journal=[made.model_copy(update={"result": result})]
        )
    for result in ("x" * 10_000_000, {"exc_type": "SystemExit"}, None, "\x00", deep):
        failed = made.model_copy(update={"result": result, "ok": False})
        yield Hostile("evil failures", "get_order(order_id='7')", journal=[failed], ends=NO | BOUNDED)
