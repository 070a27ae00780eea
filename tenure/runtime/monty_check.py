"""A program's types, checked against the stubs of its tools by the checker inside the sandbox's own process.

Nothing of the program is run: the checked text begins with a call that only the stubs know, and there the session is dropped.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tenure.learn.program import Problem, Signatures, Slots
from tenure.learn.stubs import stubs_of
from tenure.learn.subset import is_wordless, parsed
from tenure.runtime.monty_values import shortened
from tenure.wire import JsonObject

if TYPE_CHECKING:
    from pydantic_monty import AsyncMontySession

START = "start_of_the_program"  # the function that the program stops at, before its first line
ANSWER = "answer_of_the_program"

_FIXES = {
    "unresolved-reference": "a program has its inputs, {tools} and plain built-in functions",
    "unknown-argument": "use the tool's own names of arguments",
    "missing-argument": "give every required argument",
    "too-many-positional-arguments": "name the arguments: tool(name=value)",
    "positional-only-parameter-as-kwarg": "name the arguments as the tool does",
    "invalid-argument-type": "give a value of the type that the tool's schema declares",
    "invalid-assignment": "the answer is text, a variable what it is declared to be",
    "invalid-key": "use a field that the tool declares to return",
}


def options(tools: Signatures, slots: Slots) -> dict[str, Any]:  # Any: options of AsyncMonty.checkout
    """How a session that checks is checked out."""
    stubs = f"{stubs_of(tools, slots)}def {START}() -> None: ...\n"
    return {"type_check": True, "type_check_stubs": stubs, "type_check_format": "json"}


async def problems(session: AsyncMontySession, program: str, tools: Sequence[str]) -> list[Problem]:
    """What the types say against `program`, which `subset` has nothing against; first lines first."""
    from pydantic_monty import MontyCrashedError, MontyError, MontyTypingError

    try:
        await session.feed_start(f"{START}()\n{_answering_text(program)}")
    except MontyTypingError as error:
        told: list[JsonObject] = json.loads(error.display())
        return sorted((_problem(one, tools) for one in told), key=lambda problem: problem.line)
    except MontyError as error:
        if isinstance(error, MontyCrashedError) or isinstance(error.exception(), MemoryError | TimeoutError):
            why = f"cannot be type-checked: {shortened(str(error))}; write it plainer"
            return [Problem(line=1, rule="too-complex", message=why)]
        # What Monty's own parser does not take.
        return [Problem(line=_line(error), rule="unsupported-syntax", message=shortened(str(error)))]
    return []


def _answering_text(program: str) -> str:
    """The same lines, the last expression assigned to a variable of type `str`."""
    tree = parsed(program)
    last = tree.body[-1] if isinstance(tree, ast.Module) else None
    if not isinstance(last, ast.Expr) or is_wordless(program):
        return program
    lines = program.encode().split(b"\n")
    end = (last.end_lineno or last.lineno) - 1
    lines[end] = lines[end][: last.end_col_offset] + b")" + lines[end][last.end_col_offset :]
    first = last.lineno - 1
    lines[first] = lines[first][: last.col_offset] + f"{ANSWER}: str = (".encode() + lines[first][last.col_offset :]
    return b"\n".join(lines).decode()


def _problem(told: JsonObject, tools: Sequence[str]) -> Problem:
    rule, said = str(told["code"]), shortened(str(told["message"]))
    line = max(int(told["location"]["row"]) - 1, 1)  # the call of START stands above
    fix = _FIXES.get(rule, "").format(tools=", ".join(tools) or "no tools")
    return Problem(line=line, rule=rule, message=f"{said}: {fix}" if fix else said)


def _line(error: Exception) -> int:
    from pydantic_monty import MontyRuntimeError, MontySyntaxError

    frames = error.traceback() if isinstance(error, MontyRuntimeError | MontySyntaxError) else []
    return max(next((frame.line for frame in frames), 2) - 1, 1)
