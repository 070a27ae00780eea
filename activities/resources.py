"""What the activities of one worker share: store, blobs, Claude, agents, approvers' root, prices, who is told, sandbox."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from tenure.activities.recall import Recall
from tenure.errors import Refused, Unavailable
from tenure.runtime import judging
from tenure.runtime.answers import Answers
from tenure.runtime.blobs import Blobs
from tenure.runtime.claude import Claude
from tenure.runtime.monty import Sandbox
from tenure.runtime.notify import Notify
from tenure.runtime.prices import Prices
from tenure.runtime.registry import Registry
from tenure.runtime.store import Store
from tenure.runtime.webhook import Webhook
from tenure.spec import AgentSpec


@dataclass(frozen=True)
class Resources:
    """Made once by the composition root (worker.py) and handed to every group of activities."""

    store: Store
    blobs: Blobs
    claude: Claude
    registry: Registry
    root: Ed25519PublicKey
    patience: float = 3600.0
    notifiers: tuple[Notify, ...] = ()
    prices: Prices = field(default_factory=Prices)
    webhook: Webhook | None = None
    recall: Recall = field(default_factory=Recall)
    sandbox: Sandbox = field(default_factory=Sandbox)
    answers: Answers = field(default_factory=Answers)

    def agent(self, name: str) -> AgentSpec:
        """The agent as this worker serves it, for work that belongs to no run. Raises Unavailable: another worker may serve it."""
        found = self.registry.agents.get(name)
        if found is None:
            raise Unavailable(f"this worker does not serve {name}: waiting for one that does")
        return found

    async def nudge(self, who: tuple[str, str], task_queue: str) -> None:
        """Tell the ledger of `who` (tenant, agent) that something is known of a run; from within an activity."""
        await judging.nudge(self.store, activity.client(), task_queue, who)


def now() -> int:
    """Wall-clock time in milliseconds since the epoch."""
    return round(time.time() * 1000)


def refuse(error: Refused | Exception, kind: str | None = None) -> ApplicationError:
    """`error` as a failure that no retry heals; `kind` is what the workflow tells refusals apart by."""
    # BENIGN: a refusal is an answer; the SDK would log it as a failure of the worker, with a traceback.
    benign = ApplicationErrorCategory.BENIGN
    return ApplicationError(str(error), type=kind or type(error).__name__, non_retryable=True, category=benign)
