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
from tenure.trust.config import ApprovalRule, Permit, ToolRule
from tenure.trust.level import MOST
from tenure.trust.restrictions import FREE, Standing
from tenure.turn import Audit, Learned, Served, Shortage, Turn, Usage
from tenure.wire import BlobRef, Json, JsonObject, Wire


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


class ToolFacts(Wire):
    """What the workflow knows of a tool: enough to gate it, nothing of its code.

    `cache` says that a result may be used again in the same run, `shared` for how many seconds in any run of the tenant.
    `invalidates` names the cached reads that a call of this tool makes stale (None: all of them). `output` holds the paths of
    the result's trusted fields, `sinks` the arguments that must be trusted (None: all of them). `permits`, `rules` and
    `approvals` are what the agent's `trust` says of it. `defaults` is what it gets for arguments that a call leaves out.
    """

    effect: Effect = Effect.WRITE
    idempotent: bool = False
    poll: bool = False
    timeout: float = 60.0  # seconds
    cache: bool = False
    invalidates: list[str] | None = None
    output: list[str] = Field(default_factory=list[str])
    sinks: list[str] | None = None
    permits: list[Permit] = Field(default_factory=list[Permit])
    rules: list[ToolRule] = Field(default_factory=list[ToolRule])
    approvals: list[ApprovalRule] = Field(default_factory=list[ApprovalRule])
    defaults: JsonObject = Field(default_factory=dict[str, Json])
    shared: int = 0

    def given(self, arguments: JsonObject) -> JsonObject:
        """What the tool gets from a call with these arguments: policy judges that, and not what the call happens to write out."""
        return {**self.defaults, **arguments}


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
    hooks: list[str] = Field(default_factory=list[str])  # the parameters under which the agent has functions of its own
    level: int | None = None  # tenths; None: the agent has no `trust`
    roles: dict[str, list[str]] = Field(default_factory=dict[str, list[str]])  # role → patterns of the tools it may use


class Step(Wire):
    """One line of the run's story."""

    at: int
    what: str
    took: int = 0  # milliseconds
    tokens: int = 0
    cost: int = 0
    ok: bool = True


class RunRequest(Wire):
    """What starts a run. It names an agent and brings no policy: the worker that serves the agent has it.

    `tainted` and `cap` only narrow: the message comes from elsewhere than the user, and the run has at most that level (tenths).
    """

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
    tainted: bool = False
    cap: int | None = None
    carried: RunState | None = None


class Asking(BaseModel):
    """What may wait for people: `approvals` are the distinct ones who have approved the open `request` so far. Mutable.

    `refused` counts the answers to it that did not count, `refusal` says why the last one did not.
    """

    request: Request | None = None
    approvals: list[str] = Field(default_factory=list[str])
    refused: int = 0
    refusal: str = ""


class Parked(Asking):
    """The run does nothing before somebody lets it: why, and since when."""

    why: str
    since: int = 0


class Raise(Wire):
    """People have answered a request about a budget: what they approved is added to it."""

    request: str


class Grant(Wire):
    """People approved a call: in which request, and what was restricted then."""

    request: str
    fence: int


class OpenTurn(Asking):
    """A turn whose calls are being settled in order. Mutable: part of the workflow's own state.

    By digest, `grants` holds the calls that people approved and that have not run yet, `outdated` the requests of approvals that no
    longer hold, `denied` the calls that people did not approve, with what Claude is told. By index, `taint` says why a call needs
    their look for the origin of its arguments, `edited` holds the input that a person put in place of a call's. `resolved` is a
    person's word about start `generation` of the next call, until it was used. `stale` counts how often the next call was found to
    rest on an old ruling.
    """

    seq: int
    content: list[JsonObject]
    problems: dict[int, str] = Field(default_factory=dict[int, str])
    rejected: dict[int, str] = Field(default_factory=dict[int, str])
    modified: dict[int, JsonObject] = Field(default_factory=dict[int, JsonObject])
    next_call: int = 0
    taint: dict[int, str] = Field(default_factory=dict[int, str])
    edited: dict[int, JsonObject] = Field(default_factory=dict[int, JsonObject])
    grants: dict[str, Grant] = Field(default_factory=dict[str, Grant])
    outdated: dict[str, str] = Field(default_factory=dict[str, str])
    denied: dict[str, str] = Field(default_factory=dict[str, str])
    stale: int = 0
    resolved: Literal["happened", "did-not"] | None = None
    generation: int = 0


class Draft(Asking):
    """A final answer that the agent's `on_response` has yet to pass, or that it holds for a person (`held` says why)."""

    reason: StopReason
    message: str
    held: str = ""


class CachedCall(Wire):
    """A read whose result, in row `seq`, may be reused in this run; `result` is equal for equal results."""

    tool: str
    seq: int
    result: str


class RunState(BaseModel):
    """Everything a run knows of itself. Mutable while the workflow lives; carried whole through continue-as-new."""

    request: RunRequest
    snapshot: Snapshot | None = None
    seq: int = 0  # rows of transcript so far
    head: str = ""
    iteration: int = 0
    heard: int = 0  # iterations that `on_iteration` has been told of
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
    draft: Draft | None = None
    cached: dict[str, CachedCall] = Field(default_factory=dict[str, CachedCall])
    tokens: int = 0  # of the last call of the model, prompt and answer
    tainted: bool = False  # it has seen what came from elsewhere; never unset
    standing: Standing = FREE  # what is restricted, as last heard
    asks: int = 0  # requests about calls so far, since somebody last looked
    parked: Parked | None = None
    woken: bool = False  # somebody says that what it is parked for may be over
    shortage: Shortage | None = None  # the budget does not allow the next call of the model
    ready: Turn | None = None  # what is answered without Claude
    audit: Audit | None = None  # what would have been
    served: Served | None = None  # what was
    learned: Learned | None = None  # what makes the turns, as long as it can
    stuck: str = ""  # why it cannot, after it has changed something
    cheap: bool | None = None  # every turn so far was made by a model that `route` chose; None: there was none
    saved: int = 0
    models: list[str] = Field(default_factory=list[str])  # other than the agent's own, which made turns

    @property
    def agent(self) -> Snapshot:
        """The agent's snapshot. Only a run that was not observed yet has none."""
        if self.snapshot is None:
            raise RuntimeError("the run was not observed")
        return self.snapshot

    @property
    def level(self) -> int | None:
        """The level that counts now, in tenths: the lowest of the agent's, its parent's and an operator's; None without any."""
        operator = None if self.standing.cap == MOST else self.standing.cap
        bounds = [bound for bound in (self.agent.level, self.request.cap, operator) if bound is not None]
        return min(bounds, default=None)

    @property
    def rows(self) -> int:
        """How many rows the chain holds: inside a turn, fewer than it will."""
        return self.seq if self.turn is None else self.turn.seq + 1 + self.turn.next_call

    @property
    def asking(self) -> Asking | None:
        """What may wait for people now."""
        return self.parked or self.draft or self.turn

    @property
    def waiting_for(self) -> Request | None:
        """The request a person must answer before the run goes on."""
        return self.asking.request if self.asking else None


class Observe(Wire):
    """Find the agent of a run. `again` when the run has begun and its agent was rebuilt meanwhile.

    `first_run` is the id of the workflow's first execution: another run of the same workflow id may stand in the store.
    """

    request: RunRequest
    again: bool = False
    first_run: str = ""


class Subject(Wire):
    """Whom a restriction or a level of trust is about."""

    tenant: str
    agent: str


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
    saved: int = 0
    served: Served | None = None
    models: list[str] = Field(default_factory=list[str])  # other than the agent's own, which made turns


class Observed(Wire):
    """What `observe` found: the agent's snapshot; or how an earlier run of this id ended, whose history is gone.

    `ready` is the turn that answers the run without Claude; `audit` is one that would, and Claude is asked all the same. `learned`
    makes the run's turns.
    """

    snapshot: Snapshot | None = None
    ended: Outcome | None = None
    ready: Turn | None = None
    audit: Audit | None = None
    learned: Learned | None = None


class Record(Wire):
    """Keep how a run ended; who it was for travels along, in case nothing of it was kept before."""

    outcome: Outcome
    agent: str
    tenant: str
    user: str | None = None
    role: str | None = None
    trace: dict[str, str] = Field(default_factory=dict[str, str])
    first_run: str = ""
    model: str = ""  # that was not asked, where the run was answered without one


class Recorded(Wire):
    """The tools whose effects are in doubt at the end of a run."""

    in_doubt: list[str] = Field(default_factory=list[str])


class Compare(Wire):
    """Compare the answer that a run was given by Claude with the one that was known. `seq` counts the run's rows."""

    seq: int
    audit: Audit
    request: str
    message: str


class Compared(Wire):
    """Whether they say the same; None: nobody knows."""

    agreed: bool | None = None


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
