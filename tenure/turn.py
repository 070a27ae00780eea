"""The values of one turn: what the workflow asks its activities for, and what they made of it.

Rules of this file: as in `tenure.run`: frozen, growing only by fields with defaults, ignoring what it does not know.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tenure.optimize.budget import ScopeName
from tenure.trust.restrictions import Standing
from tenure.wire import BlobRef, Json, JsonObject, Wire

ITERATION_TIMEOUT = "IterationTimeout"  # the type under which `decide` fails when Claude takes too long


class Usage(Wire):
    """Tokens of one or more model calls, as the Messages API counts them."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            input=self.input + other.input,
            output=self.output + other.output,
            cache_read=self.cache_read + other.cache_read,
            cache_write=self.cache_write + other.cache_write,
        )

    @property
    def total(self) -> int:
        """All tokens billed, cached or not."""
        return self.input + self.output + self.cache_read + self.cache_write

    @property
    def cache_hits(self) -> float:
        """The share of the input tokens that was read from the prompt cache, 0 to 1."""
        return self.cache_read / max(self.total - self.output, 1)


class Learned(Wire):
    """A learned capability that makes a run's turns in place of Claude: which version, bound by its digest (hex).

    `saved` is what the runs that it was learned from cost on average, in micro-dollars.
    """

    id: str
    version: int
    digest: str
    saved: int = 0


class Decide(Wire):
    """Ask for the assistant turn that becomes transcript row `seq`. `head` is the hash of all rows before it.

    `iteration` counts from 1. `tokens` is what the last call of the model took, prompt and answer; 0 when it is not known.
    `untrusted`: the run's message itself comes from elsewhere than its user. `learned` makes the turn, if it can.
    """

    seq: int
    head: str
    iteration: int = 0
    tokens: int = 0
    untrusted: bool = False
    learned: Learned | None = None


class Fitted(Wire):
    """How a conversation was made to fit: what is not sent any more, from the turn that records it on.

    Results of tools in rows before `cleared` are named but not shown; rows from 1 to before `summarised` are `summary` instead.
    """

    cleared: int = 0
    summarised: int = 0
    summary: str = ""


class Served(Wire):
    """An answer that was given without Claude: by which tier and rule, from which run (`source`), and what that saved."""

    tier: str
    rule: str = ""
    source: str = ""
    saved: int = 0  # micro-dollars: what the answer cost the run that it comes from


class Audit(Wire):
    """An answer that would have been given again, and is compared with what Claude says instead."""

    rule: str
    source: str
    answer: str


class Shortage(Wire):
    """The budget does not allow the next call of the model: in which scope, and what follows (`on`). Micro-dollars.

    `cap` is what may be spent there with what people have added, `spent` what is, `needed` what the call may cost. `until` is when
    the day or month is over (milliseconds; 0: the budget does not come back). `operator` is the number of the operator's cap
    that is used up; 0: it is the agent's own budget. `add` is what people are asked to add: no less than the call lacks (0: a
    worker of old did not say).
    """

    scope: ScopeName = "run"
    subject: str = ""
    period: str = ""
    cap: int = 0
    spent: int = 0
    needed: int = 0
    until: int = 0
    on: Literal["fallback", "pause", "stop"] = "stop"
    why: str = ""
    operator: int = 0
    add: int = 0


class Turn(Wire):
    """An assistant turn: its content blocks as the API gave them, and what became of its tool calls before they are made.

    By the index of a tool call in this turn: `problems` (it cannot be made as written) and `rejected` (`on_tool_call` said no)
    hold what Claude is told instead of a result, `modified` the input with which it is made instead, `taint` why a person must look
    at where its arguments come from. `state` is what recovery hooks set before the turn. `halted`: the run ends instead of asking
    Claude; `broken`: it ends because a hook of the agent failed on the turn; `parked`: Claude was not asked, because an operator
    has halted the agent; `shortage`: because the budget does not allow it; `served`: because the answer was known. `model` made the
    turn, where that is not the agent's own, and `tier` says why. `by` names the learned capability that made it. `left`: why one
    made the turn no more, and Claude did; `stuck`: why it cannot go on, nor Claude without a person, because it has changed
    something already. `tainted`: what the turn rests on holds text from elsewhere.
    `standing` is what was restricted when the turn was recorded. `tokens` is what the call itself took, where the agent has a
    `context_window`; `usage` is all that was used. Micro-dollars: `cost` is what was paid, `saved` what the cache of prompts spared
    (below zero: what filling it cost beyond that).
    """

    content: list[JsonObject] = Field(default_factory=list[JsonObject])
    stop: str = "end_turn"
    problems: dict[int, str] = Field(default_factory=dict[int, str])
    rejected: dict[int, str] = Field(default_factory=dict[int, str])
    modified: dict[int, JsonObject] = Field(default_factory=dict[int, JsonObject])
    state: JsonObject = Field(default_factory=dict[str, Json])
    fitted: Fitted | None = None
    usage: Usage = Usage()
    cost: int = 0
    tokens: int = 0
    until: bool = False
    halted: str = ""
    broken: str = ""
    parked: bool = False
    shortage: Shortage | None = None
    model: str = ""
    tier: Literal["", "cheap", "capability"] = ""
    by: str = ""
    left: str = ""
    stuck: str = ""
    saved: int = 0
    served: Served | None = None
    tainted: bool = False
    taint: dict[int, str] = Field(default_factory=dict[int, str])
    standing: Standing | None = None


class Act(Wire):
    """Run call number `call` of the turn in row `seq`. `digest` binds what was ruled on.

    `resolved` carries a person's word about attempt `generation`, which was in doubt; `state_before` is the row up to which
    state deltas count (calls made in parallel see the same state).

    `fence` is what restricted the agent when the call was ruled on; `request` is the one in which people approved it, `edited` the
    input they put in place of the turn's. `tainted` and `cap` are the run's, for the runs that the tool itself may start.
    """

    seq: int
    call: int
    digest: str
    state_before: int
    resolved: Literal["happened", "did-not"] | None = None
    generation: int = 0
    fence: int = 0
    request: str = ""
    edited: JsonObject | None = None
    tainted: bool = False
    cap: int | None = None
    doubt: str = ""


class Cached(Wire):
    """A result that another call had obtained: in which run, and how long before, in milliseconds."""

    run: str
    age: int


class Result(Wire):
    """What a tool call came to. `ok` is what Claude and the error threshold are told.

    `value` is JSON; above 64 KB it is a BlobRef instead. `outcome` is `unknown` when a non-idempotent tool raised something else
    than ToolError, `in_doubt` when an attempt died between intent and result, `limited` when a rate limit allows no call before
    `since` (`value` is which), and `stale` when the ruling no longer holds: `value` says why, `standing` what is restricted now.
    `same_as` is the row of an earlier result that is this call's as well. `edited` is the input a person had the call made with.
    `stop`: the agent's `on_error` ends the run, and why. `cached`: the tool's function was not run, because an earlier result of
    the tenant's is this call's as well.
    """

    ok: bool = True
    value: Json = None
    blob: BlobRef | None = None
    outcome: Literal["known", "unknown", "in_doubt", "limited", "stale"] = "known"
    state: JsonObject = Field(default_factory=dict[str, Json])
    finish: str | None = None
    generation: int = 0  # of an effect in doubt: which start of it
    since: int = 0  # of an effect in doubt: when that start was made
    same_as: int | None = None
    stop: str | None = None
    standing: Standing | None = None
    edited: JsonObject | None = None
    cached: Cached | None = None

    @property
    def settles(self) -> bool:
        """Whether the call is over: it was made, or tried, and what it came to is known or never will be."""
        return self.outcome in ("known", "unknown")


class Note(Wire):
    """A transcript row that the workflow itself has to say: added context, a denial, a call that was not made."""

    seq: int
    row: JsonObject
