"""What the rollout of a capability knows, and how it shows that in the Temporal UI."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import Field
from temporalio import workflow

from tenure.learn import sprt
from tenure.learn.events import Decision
from tenure.learn.reading import Which
from tenure.learn.rollout import Policy, Rollout, serving
from tenure.run import Asking
from tenure.wire import JsonObject, Wire
from tenure.workflows import story
from tenure.workflows.carry import now

What: TypeAlias = Literal["pause", "resume", "roll_back", "retire", "reopen"]
TOLD = 12  # decisions that the UI is shown
SERVES = {"no": "nobody", "shadow": "nobody, it looks on", "canary": "a share", "all": "everybody"}


class Order(Wire):
    """What a person wants of it: pause, resume, roll_back, retire or reopen; who, and why."""

    what: What
    by: str
    why: str = ""


class RolloutState(Asking):
    """Everything the workflow knows. Mutable; carried whole through continue-as-new.

    `deployed` and `promoted` are the requests in which people approved it; `card` is what they are shown. `began` tells what it
    asks apart from what was asked before it set out anew.
    """

    of: Which
    rollout: Rollout
    began: int = 0
    policy: Policy = Policy()
    read_to: int = 0
    nudged: bool = True
    deployed: str = ""
    promoted: str = ""
    orders: list[Order] = Field(default_factory=list[Order])
    card: JsonObject = Field(default_factory=dict[str, object])
    inbox: list[str] = Field(default_factory=list[str])
    jtis: list[str] = Field(default_factory=list[str])
    told: list[str] = Field(default_factory=list[str])  # the newest decisions, a line each


class Start(Wire):
    """Which capability it is. Only the workflow itself carries anything."""

    of: Which
    digest: str
    carried: RolloutState | None = None


class RolloutStory:
    """How a rollout shows where it stands."""

    def __init__(self, state: RolloutState) -> None:
        self._state = state

    def tell(self, what: str, *, ok: bool = True) -> None:
        """Show it anew; what happened is in the decisions."""
        workflow.set_current_details(_details(self._state))

    def waiting(self, waits: bool) -> None:
        """It waits for people, or no longer."""
        story.mark_waiting(waits)


def line(decision: Decision) -> str:
    """A decision as a line: when, what, why."""
    match decision.kind:
        case "moved":
            what = f"{_words(decision.before)} → {_words(decision.after)}"
        case "asked":
            what = f"people are asked to {decision.what} it"
        case "withdrawn":
            what = "people are not asked any more"
        case "held":
            what = "paused"
        case "released":
            what = "resumed"
        case "refused":
            what = "refused"
    return f"{story.moment(now())} **{what}**: {story.one_line(decision.why, 160)}"


def _details(state: RolloutState) -> str:
    rollout, of = state.rollout, state.of
    head = f"**{of.capability}** version {of.version} of {of.agent} · tenant {of.tenant} · **{_words(rollout.stage)}**"
    serves = SERVES[serving(rollout)].replace("a share", f"{state.policy.percent} % of whom it knows")
    held = f"**Paused**: {rollout.held}" if rollout.held else ""
    parts = [head, held, f"makes the turns of: {serves}", _evidence(state), _asked(state)]
    history = "\n".join(f"- {one}" for one in reversed(state.told))
    whole = "\n\n".join(part for part in (*parts, history) if part)
    return whole.encode()[: story.DETAILS_LIMIT].decode(errors="ignore")


def _evidence(state: RolloutState) -> str:
    tally, watched = state.rollout.tally, state.rollout.errors
    need = sprt.clean_runs(state.policy.error_rate)
    return f"{tally.runs} runs count for it, {tally.wrong} of them wrong ({need} clean ones promote it); served {watched.runs}"


def _asked(state: RolloutState) -> str:
    request = state.request
    if request is None:
        return ""
    until = f"Until {story.moment(request.deadline)} UTC."
    return f"**{request.why}** {until} Answer with `tenure approve {request.id}` or `tenure deny {request.id}`"


def _words(stage: str) -> str:
    return stage.replace("_", " ")
