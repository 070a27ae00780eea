"""Hooks: what an agent's own functions are told at the edges of a turn, and what they may decide.

Rules of this file: plain values. Hooks run inside activities, at least once, for at most 10 s (or the agent's `timeout`, when
that is shorter); what they decide is recorded and then stands. They get copies. A hook that raises, hangs or returns something
else ends the run by its name; `evaluate` comes after the end and can only leave the run without a verdict.

| parameter | is given | may return |
|---|---|---|
| `on_iteration` | Iteration | anything; it only watches |
| `on_tool_call` | ToolCall | None or Allow(), Modify(input), Reject(reason) |
| `on_error` | ToolFailure | None or Tell(), Retry(), Stop(reason) |
| `on_response` | Answer | None or Approve(), Rewrite(message), Hold(reason) |
| `until` | the state | bool, or None for False |
| `required_state` | Missing | the value |
| `evaluate` | the Response | None, bool or Evaluation(good, note) |
| `optimization.route` | FirstTurn | None, a model, or Choice(model, confidence) |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tenure.run import Outcome, Status, StopReason
from tenure.wire import JsonObject, Wire

CONFIDENT = 0.8  # of a Choice
SECONDS = 10.0  # that all hooks of one kind may take in one turn: they decide; what takes longer belongs into a tool
HOOKS = ("until", "on_iteration", "on_tool_call", "on_error", "on_response", "evaluate")


@dataclass(frozen=True)
class RunInfo:
    """Whose run it is. `id` is the workflow id."""

    id: str
    agent: str
    tenant: str
    user: str | None = None
    role: str | None = None


@dataclass(frozen=True)
class FirstTurn:
    """A run before Claude has been asked anything: the message and the context it was given, and its state."""

    run: RunInfo
    texts: list[str]
    state: JsonObject


@dataclass(frozen=True)
class Choice:
    """The model for the first turn, and how sure `route` is that it can do it, from 0 to 1. Below 0.8 the agent's own is asked."""

    model: str
    confidence: float = 1.0


@dataclass(frozen=True)
class Iteration:
    """An iteration that ended: its number from 1, where the run stands, and its calls.

    Each of `tool_calls` is a dict with `tool`, `input`, `result` and `ok`. `status` is the run's final one after the last
    iteration, else running.
    """

    run: RunInfo
    number: int
    status: Status
    tool_calls: list[JsonObject]
    state: JsonObject


@dataclass(frozen=True)
class ToolCall:
    """A call that Claude asks for and that fits the tool's schema; the gate has not ruled on it yet.

    All calls of a turn are asked about before the first of them is made, so `state` is the one before the turn: a limit that
    several calls could share belongs into the tool.
    """

    run: RunInfo
    tool: str
    input: JsonObject
    state: JsonObject


@dataclass(frozen=True)
class ToolFailure:
    """An attempt of a call that failed.

    `kind`: the tool said that nothing happened (`declined`), returned `{"success": False}` (`unsuccessful`), raised or took too
    long (`raised`), or returned something else than it declares (`unexpected`). `attempt` counts from 1. `safe` says whether
    another attempt cannot double an effect: only then is Retry() heeded.
    """

    run: RunInfo
    tool: str
    input: JsonObject
    error: str
    kind: Literal["declined", "unsuccessful", "raised", "unexpected"]
    attempt: int
    safe: bool


@dataclass(frozen=True)
class Missing:
    """A variable that `required_state` names and the state has not: return its value."""

    run: RunInfo
    name: str
    state: JsonObject


@dataclass(frozen=True)
class Answer:
    """The final answer, before anybody has seen it; `tool_calls` are all calls of the run, as in Iteration."""

    run: RunInfo
    message: str
    tool_calls: list[JsonObject]
    state: JsonObject


@dataclass(frozen=True)
class Allow:
    """Go on to the gate with the call as it is."""


@dataclass(frozen=True)
class Modify:
    """Go on to the gate with this input instead; Claude is told. It must fit the tool's schema."""

    input: JsonObject


@dataclass(frozen=True)
class Reject:
    """Do not make the call; Claude is told the reason. It counts as no error of the tool."""

    reason: str


@dataclass(frozen=True)
class Tell:
    """Let Claude know of the error, without another attempt."""


@dataclass(frozen=True)
class Retry:
    """Make another attempt, up to ten in all."""


@dataclass(frozen=True)
class Stop:
    """End the run as failed."""

    reason: str


@dataclass(frozen=True)
class Approve:
    """The answer may go out."""


@dataclass(frozen=True)
class Rewrite:
    """This message goes out instead."""

    message: str


@dataclass(frozen=True)
class Hold:
    """A person must approve the answer before it goes out."""

    reason: str


@dataclass(frozen=True)
class Evaluation:
    """A verdict on the run, from outside the agent: evidence for the level of trust."""

    good: bool
    note: str = ""


ON_TOOL_CALL = (Allow, Modify, Reject)
ON_ERROR = (Tell, Retry, Stop)
ON_RESPONSE = (Approve, Rewrite, Hold)


class Respond(Wire):
    """Ask the agent's own functions about how the run ends. `reason` and `message` are the end as it stands; `iteration` is the
    last one, or 0 when `on_iteration` has heard of it already."""

    seq: int
    head: str
    iteration: int
    reason: StopReason
    message: str = ""


class Responded(Wire):
    """What company policy says of the final answer: it stands, `rewritten` replaces it, or it is `held` for a person."""

    rewritten: str | None = None
    held: str = ""
    broken: str = ""


class Evaluate(Wire):
    """Ask the agent's `evaluate` for a verdict on the run that ended so."""

    seq: int
    head: str
    outcome: Outcome


class Evaluated(Wire):
    """The verdict: good, not good, or none (`why` says why not, or what was noted)."""

    good: bool | None = None
    why: str = ""
