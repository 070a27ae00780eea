"""The values a run exchanges: what crosses the boundary between client, workflow and activities.

Rules of this file: every value is frozen, grows only by fields with defaults, and ignores what it does not know, so that
a worker can read what an older or newer one wrote. History leaves defaults out, so a default never changes. Only `RunState`
and `OpenTurn` are mutable: they are the workflow's own state. Times are milliseconds since the epoch, money is micro-dollars.
"""

from __future__ import annotations

import enum
from typing import Literal

from pydantic import BaseModel, Field

from tenure.approvals.request import Request
from tenure.wire import BlobRef, Json, JsonObject, Wire

ITERATION_TIMEOUT = "IterationTimeout"  # the type under which `decide` fails when Claude takes too long


class Effect(enum.StrEnum):
    """What a tool does to the world. Everything but READ is written down before it happens."""

    READ = "read"
    WRITE = "write"
    EGRESS = "egress"
    DESTRUCTIVE = "destructive"
    PRIVILEGED = "privileged"


class Status(enum.StrEnum):
    """Where a run stands."""

    RUNNING = "running"
    WAITING = "waiting"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class StopReason(enum.StrEnum):
    """Why a run ended."""

    ANSWERED = "answered"  # Claude gave its final answer
    FINISHED = "finished"  # a tool called `ctx.finish(message)`
    UNTIL = "until"  # the agent's `until` was true
    MAX_ITERATIONS = "max_iterations"
    ERROR_THRESHOLD = "error_threshold"  # that many tool calls failed in a row
    REPEATED_CALL = "repeated_call"  # the same call gave the same result three times
    BUDGET = "budget"
    TIMEOUT = "timeout"  # an iteration took longer than the agent's `timeout`
    REFUSED = "refused"  # Claude declined to go on
    DENIED = "denied"  # a person, or the deadline of a destructive call, said no and the run halts
    CANCELLED = "cancelled"
    IN_DOUBT = "in_doubt"  # nobody could say whether an effect happened
    FAILED = "failed"


STATUS_OF: dict[StopReason, Status] = dict.fromkeys(StopReason, Status.FAILED) | {
    StopReason.ANSWERED: Status.COMPLETED,
    StopReason.FINISHED: Status.COMPLETED,
    StopReason.UNTIL: Status.COMPLETED,
    StopReason.CANCELLED: Status.CANCELLED,
}


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


class ToolFacts(Wire):
    """What the workflow knows of a tool: enough to gate it, nothing of its code."""

    effect: Effect = Effect.WRITE
    idempotent: bool = False
    poll: bool = False
    timeout: float = 60.0  # seconds


class Snapshot(Wire):
    """The agent as a worker announced it, recorded once in the history of every run."""

    agent: str
    fingerprint: str
    model: str
    max_iterations: int = 10
    timeout: float = 60.0  # seconds per iteration
    error_threshold: int = 3
    state: JsonObject = Field(default_factory=dict[str, Json])  # what a run begins with, beside what its caller gives
    tools: dict[str, ToolFacts] = Field(default_factory=dict[str, ToolFacts])


class Observed(Wire):
    """What `observe` found: the agent's snapshot."""

    snapshot: Snapshot


class Decide(Wire):
    """Ask for the assistant turn that becomes transcript row `seq`. `head` is the hash of all rows before it."""

    seq: int
    head: str


class Turn(Wire):
    """An assistant turn: its content blocks as the API gave them, and what was wrong with its tool calls.

    `problems` maps the index of a tool call in this turn to what Claude is told instead of a result.
    `cost` is in micro-dollars.
    """

    content: list[JsonObject] = Field(default_factory=list[JsonObject])
    stop: str = "end_turn"
    problems: dict[int, str] = Field(default_factory=dict[int, str])
    usage: Usage = Usage()
    cost: int = 0
    until: bool = False


class Act(Wire):
    """Run call number `call` of the turn in row `seq`. `digest` binds what was ruled on.

    `resolved` carries a person's word about attempt `generation`, which was in doubt; `state_before` is the row up to which
    state deltas count (calls made in parallel see the same state).
    """

    seq: int
    call: int
    digest: str
    state_before: int
    resolved: Literal["happened", "did-not"] | None = None
    generation: int = 0


class Result(Wire):
    """What a tool call came to. `ok` is what Claude and the error threshold are told.

    `value` is JSON; above 64 KB it is a BlobRef instead. `outcome` is `unknown` when a non-idempotent tool raised
    something else than ToolError, and `in_doubt` when an attempt died between intent and result.
    """

    ok: bool = True
    value: Json = None
    blob: BlobRef | None = None
    outcome: Literal["known", "unknown", "in_doubt"] = "known"
    state: JsonObject = Field(default_factory=dict[str, Json])
    finish: str | None = None
    generation: int = 0  # of an effect in doubt: which start of it
    since: int = 0  # of an effect in doubt: when that start was made


class Note(Wire):
    """A transcript row that the workflow itself has to say: added context, a denial, a call that was not made."""

    seq: int
    row: JsonObject


class Step(Wire):
    """One line of the run's story."""

    at: int
    what: str
    took: int = 0  # milliseconds
    tokens: int = 0
    cost: int = 0
    ok: bool = True


class RunRequest(Wire):
    """What starts a run. It names an agent and brings no policy: the worker that serves the agent has it."""

    agent: str
    message: str = ""
    message_blob: BlobRef | None = None
    fingerprint: str | None = None
    tenant: str = "default"
    user: str | None = None
    role: str | None = None
    state: JsonObject = Field(default_factory=dict[str, Json])
    context: list[str] = Field(default_factory=list[str])
    trace: dict[str, str] = Field(default_factory=dict[str, str])
    carried: RunState | None = None


class OpenTurn(BaseModel):
    """A turn whose calls are being settled in order. Mutable: part of the workflow's own state.

    `granted` is the digest of a call that people approved and that has not run yet; `resolved` is a person's word about start
    `generation` of the next call, until it was used; `approvals` are the distinct people
    who have approved the open `request` so far.
    """

    seq: int
    content: list[JsonObject]
    problems: dict[int, str] = Field(default_factory=dict[int, str])
    next_call: int = 0
    granted: str = ""
    resolved: Literal["happened", "did-not"] | None = None
    generation: int = 0
    request: Request | None = None
    approvals: list[str] = Field(default_factory=list[str])


class RunState(BaseModel):
    """Everything a run knows of itself. Mutable while the workflow lives; carried whole through continue-as-new."""

    request: RunRequest
    snapshot: Snapshot | None = None
    seq: int = 0  # rows of transcript so far
    head: str = ""
    iteration: int = 0
    errors: int = 0  # failed tool calls in a row
    usage: Usage = Usage()
    cost: int = 0
    started_at: int = 0
    calls: int = 0
    repeats: dict[str, int] = Field(default_factory=dict[str, int])
    unknown: list[str] = Field(default_factory=list[str])  # calls whose outcome nobody knows: made again they ask
    jtis: list[str] = Field(default_factory=list[str])
    inbox: list[str] = Field(default_factory=list[str])
    context: list[str] = Field(default_factory=list[str])
    steps: list[Step] = Field(default_factory=list[Step])
    skipped_steps: int = 0
    turn: OpenTurn | None = None

    @property
    def agent(self) -> Snapshot:
        """The agent's snapshot. Only a run that was not observed yet has none."""
        if self.snapshot is None:
            raise RuntimeError("the run was not observed")
        return self.snapshot

    @property
    def waiting_for(self) -> Request | None:
        """The request a person must answer before the run goes on."""
        return self.turn.request if self.turn else None


class Observe(Wire):
    """Find the agent of a run. `again` when the run has begun and its agent was rebuilt meanwhile."""

    request: RunRequest
    again: bool = False


class Outcome(Wire):
    """How a run ended. `message` is the final answer; calls and state are read from the transcript."""

    status: Status
    stop_reason: StopReason
    message: str = ""
    iterations: int = 0
    calls: int = 0
    usage: Usage = Usage()
    cost: int = 0
    started_at: int = 0
    finished_at: int = 0
    tier: str = "model"
    rows: int = 0
    fingerprint: str = ""


class Record(Wire):
    """Keep how a run ended; who it was for travels along, in case nothing of it was kept before."""

    outcome: Outcome
    agent: str
    tenant: str
    user: str | None = None
    role: str | None = None
    trace: dict[str, str] = Field(default_factory=dict[str, str])


class Recorded(Wire):
    """The tools whose effects are in doubt at the end of a run."""

    in_doubt: list[str] = Field(default_factory=list[str])


class Progress(Wire):
    """A run as the `progress` query tells it."""

    status: Status
    agent: str
    iteration: int
    usage: Usage
    cost: int
    steps: list[Step]
    waiting_for: list[Request] = Field(default_factory=list[Request])
    message: str = ""


RunRequest.model_rebuild()
