"""What a run knows of itself, and how it takes all of it through continue-as-new."""

from __future__ import annotations

from dataclasses import dataclass, field

from temporalio import workflow

from tenure.run import (
    STATUS_OF,
    Carried,
    JsonObject,
    OpenTurn,
    Outcome,
    Request,
    RunRequest,
    Snapshot,
    Step,
    StopReason,
    Usage,
)
from tenure.transcript import EMPTY_HEAD, extend

STEPS_KEPT = 40  # lines of story that a run carries; the rest is counted
REPEATS_KEPT = 200  # different calls with their results that are remembered to notice a run going in circles
JTIS_KEPT = 1000


@dataclass(frozen=True)
class Stop:
    """A terminal condition: why the run ends, and the message it ends with."""

    reason: StopReason
    message: str = ""


@dataclass
class Turn:
    """A turn whose calls are being settled, in order. `granted` is the digest of a call that people have approved."""

    seq: int
    content: list[JsonObject]
    problems: dict[int, str]
    next_call: int = 0
    granted: str = ""
    request: Request | None = None
    approvals: list[str] = field(default_factory=list[str])


@dataclass
class Run:
    """The state of one run: all of it is carried, nothing of it is derived from anywhere else."""

    request: RunRequest
    snapshot: Snapshot | None = None
    seq: int = 0  # rows of transcript so far
    head: str = EMPTY_HEAD
    iteration: int = 0
    errors: int = 0  # failed tool calls in a row
    usage: Usage = Usage()
    cost: int = 0
    started_at: int = 0
    calls: int = 0
    repeats: dict[str, int] = field(default_factory=dict[str, int])
    unknown: list[str] = field(default_factory=list[str])  # calls whose outcome nobody knows: made again they ask
    jtis: list[str] = field(default_factory=list[str])
    inbox: list[str] = field(default_factory=list[str])
    context: list[str] = field(default_factory=list[str])
    steps: list[Step] = field(default_factory=list[Step])
    skipped_steps: int = 0
    turn: Turn | None = None

    @property
    def agent(self) -> Snapshot:
        """The agent's snapshot; a run that has none was not observed yet."""
        if self.snapshot is None:
            raise RuntimeError("the run was not observed")
        return self.snapshot

    @property
    def waiting_for(self) -> Request | None:
        """The request a person must answer before the run goes on."""
        return self.turn.request if self.turn else None

    def append(self, row: JsonObject) -> None:
        """A transcript row stands: the chain grows."""
        self.head = extend(self.head, row)

    def tell(self, what: str, **figures: int) -> None:
        """Add a line to the story."""
        self.steps.append(Step(at=now(), what=what, **figures))
        if len(self.steps) > STEPS_KEPT:
            self.steps.pop(0)
            self.skipped_steps += 1

    def outcome(self, stop: Stop) -> Outcome:
        """How the run ends."""
        return Outcome(
            status=STATUS_OF[stop.reason],
            stop_reason=stop.reason,
            message=stop.message,
            iterations=self.iteration,
            calls=self.calls,
            usage=self.usage,
            cost=self.cost,
            started_at=self.started_at,
            finished_at=now(),
            tier="model",
            rows=self.seq,
            fingerprint=self.snapshot.fingerprint if self.snapshot else "",
        )


def now() -> int:
    """Workflow time in milliseconds since the epoch."""
    return round(workflow.time() * 1000)


def should_move() -> bool:
    """Whether the run should continue as new: its history grows long, or a newer build of the worker is current."""
    info = workflow.info()
    return info.is_continue_as_new_suggested() or info.is_target_worker_deployment_version_changed()


def begin(request: RunRequest) -> Run:
    """A run from its request: a fresh one, or one that continues."""
    carried = request.carried
    if carried is None:
        return Run(request, started_at=now(), context=[])
    kept = {name: getattr(carried, name) for name in Carried.model_fields if name != "turn"}
    kept = {name: value.copy() if isinstance(value, (list, dict)) else value for name, value in kept.items()}
    run = Run(request.model_copy(update={"carried": None}), **kept)
    if carried.turn is not None:
        run.turn = Turn(**{name: getattr(carried.turn, name) for name in OpenTurn.model_fields})
        run.turn.approvals = list(carried.turn.approvals)
    return run


def pack(run: Run) -> RunRequest:
    """The request with which the run continues as new. The message is left out: it stands in the transcript."""
    turn = None if run.turn is None else OpenTurn(**vars(run.turn))
    limited = {"repeats": dict(list(run.repeats.items())[-REPEATS_KEPT:]), "jtis": run.jtis[-JTIS_KEPT:]}
    values = {name: getattr(run, name) for name in Carried.model_fields} | limited | {"turn": turn}
    return run.request.model_copy(
        update={"message": "", "message_blob": None, "context": [], "carried": Carried(**values)}
    )
