"""Programs: what a learned capability is made of, and what one step of it comes to.

A program is text in the subset of Python that `subset.py` describes. Its inputs are variables, the agent's tools are functions
called with keyword arguments, and the value of its last expression is the answer; one that ends with a plain `None` knows no words,
and Claude finds them. It abstains by `assert` or any other exception.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

from tenure.wire import Json, JsonObject, Wire

StopKind: TypeAlias = Literal["guard", "error", "limit", "refused", "unknown_tool", "diverged", "crashed"]


class Journalled(Protocol):
    """A call that was made, and what came of it; not `ok`: `result` is what it said went wrong. `recording.Step` is one."""

    @property
    def tool(self) -> str: ...
    @property
    def arguments(self) -> JsonObject: ...
    @property
    def result(self) -> Json: ...
    @property
    def ok(self) -> bool: ...


class Called(Wire):
    """The program has come to a call that is not in the journal yet."""

    tool: str
    arguments: JsonObject


class Finished(Wire):
    """The program has come to its end; `answer` is empty where it knows no words."""

    answer: str


class Stopped(Wire):
    """The program gives no answer. `line` is where it stood, counted from 1; 0 where nobody knows.

    guard: an `assert` failed. error: any other exception, a tool's failure that nobody caught included. limit: time, memory,
    recursion, or too much of something handed out. refused: it asked for what no program gets (a file, the clock, a module), or
    handed out what is no JSON or no text. unknown_tool: the agent has none of that name. diverged: it does not make the calls of
    its journal again. crashed: the sandbox's process died of something else than a limit.
    """

    kind: StopKind
    message: str
    line: int = 0


Progress: TypeAlias = Called | Finished | Stopped


class Problem(Wire):
    """What is wrong with a program before it runs. `rule` is a fixed word; `message` says what, and how to put it right."""

    line: int
    rule: str
    message: str

    def __str__(self) -> str:
        """As one line, for people and for Claude."""
        return f"line {self.line}: {self.message} ({self.rule})"


@dataclass(frozen=True)
class Signature:
    """What a program may know of a tool: JSON schemas of what it takes and gives; `{}` is anything."""

    name: str
    takes: JsonObject = field(default_factory=dict[str, Json])
    gives: JsonObject = field(default_factory=dict[str, Json])


Signatures: TypeAlias = Sequence[Signature]
Slots: TypeAlias = Mapping[str, JsonObject]  # a program's inputs: the JSON schema of each, by name
