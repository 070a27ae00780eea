"""Recordings: what a finished run teaches by. Its request, the calls it made with what came of them, its answer and its cost."""

from __future__ import annotations

from pydantic import Field

from tenure.wire import Json, JsonObject, Wire


class Step(Wire):
    """One call of a recorded run, in the order in which it was made. `effect` is the tool's: read, write, ...

    `result` is what the tool returned, or, where not `ok`, what it said went wrong.
    """

    tool: str
    effect: str
    arguments: JsonObject
    result: Json = None
    ok: bool = True

    @property
    def changes(self) -> bool:
        """Whether the call may have changed something."""
        return self.effect != "read"


class Recording(Wire):
    """A finished run. `run` is its workflow id, `at` when it ended (milliseconds), `cost` what Claude was paid (micro-dollars)."""

    run: str
    agent: str
    fingerprint: str
    request: str
    steps: list[Step] = Field(default_factory=list[Step])
    answer: str = ""
    cost: int = 0
    at: int = 0

    @property
    def changes(self) -> list[Step]:
        """The calls that may have changed something, in order."""
        return [step for step in self.steps if step.changes]
