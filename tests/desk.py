"""A desk whose level of trust is earned in seconds: the agent, its Claude, and how its ledger is looked at."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment

import tenure.worker
from tenure import Agent, tool
from tenure.approvals.request import Request
from tenure.runtime import judging, keys
from tenure.runtime.store import ledgers, outcomes
from tenure.runtime.store.ledgers import Kept
from tenure.runtime.temporal import start_server
from tenure.testing import Embedded, embedded
from tenure.testing.scripted_claude import text, tool_use
from tenure.trust import evidence, ledger, reading
from tenure.trust.metrics import Outcome, metric
from tenure.workflows.trust_ledger import TrustLedger
from tests.waiting import eventually

WHO = "default", "desk"
LEDGER = judging.ledger_id(*WHO)
GOOD: list[Any] = [True]  # what `evaluate` says
READS, HELD, GO = threading.Event(), threading.Event(), threading.Event()
STEP, MAY = asyncio.Event(), asyncio.Event()


@metric("slow_reader")
def slow_reader(run: Outcome) -> bool:
    """Runs in the middle of reading, and stands still there when a test wants it to."""
    if READS.is_set():
        HELD.set()
        GO.wait(5)
    return run.good


@tool(effect="write", idempotent=True)
async def hold(what: str) -> str:
    """Stand still until the test goes on."""
    STEP.set()
    await MAY.wait()
    return what


@tool(effect="write", idempotent=True)
async def put(what: str) -> str:
    """Put."""
    return what


RULES = [
    {"metric": "success_rate", "threshold": 0.95, "action": "increment", "amount": 0.1},
    {"metric": "error_rate", "threshold": 0.10, "action": "decrement", "amount": 0.2},
]
SLOW = [{**RULES[0], "metric": "slow_reader"}, RULES[1]]


def desk(evaluate: Callable[[object], Any] | None = lambda run: GOOD[0], **more: Any) -> Agent:
    trust = {"initial": 0.3, "permissions": {0.1: ["hold"], 0.4: ["put"]}, "rules": RULES, **more}
    return Agent(name="desk", tools=[hold, put], trust=trust, evaluate=evaluate, timeout=2)


@pytest.fixture(name="hasty")
def in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, at once: no cool-down, nudges and looks every tenth of a second, few runs are enough."""
    GOOD[0] = True
    for event in (READS, HELD, GO, STEP, MAY):
        event.clear()
    monkeypatch.setattr(ledger, "COOL_DOWN", 0)
    monkeypatch.setattr(outcomes, "EVERY_MS", 100)
    monkeypatch.setattr(reading, "EVERY", 150)
    monkeypatch.setattr(evidence, "LEAST", 3)
    monkeypatch.setattr(evidence, "MARGIN", evidence.Fraction(9, 10))
    monkeypatch.setattr(tenure.worker, "ANNOUNCE_SECONDS", 0.2)


@pytest.fixture(name="server")
async def shared_server() -> AsyncGenerator[WorkflowEnvironment]:
    """One Temporal for several systems."""
    made = await start_server()
    yield made
    await made.shutdown()


def claude(body: dict[str, Any]) -> Any:
    """Two calls in one turn when it is told so, else the answer."""
    if "put it" in str(body["messages"][0]) and len(body["messages"]) == 1:
        return [tool_use("hold", what="a"), tool_use("put", what="b")]
    return text("done")


@asynccontextmanager
async def serving(agent: Agent, **more: Any) -> AsyncGenerator[Embedded]:
    async with embedded(agent, claude=claude, **more) as system:
        yield system


async def kept(system: Embedded, tenant: str = "default") -> Kept | None:
    return await system.require_store().read(lambda db: ledgers.get(db, tenant, "desk"))


async def that(system: Embedded, holds: Callable[[Kept], Any], *, within: float = 20.0) -> Kept:
    """The ledger as it is kept, once that holds of it."""

    async def look() -> Kept | None:
        found = await kept(system)
        return found if found is not None and holds(found) else None

    found = await eventually(look, within=within)
    assert found is not None
    return found


async def ran(agent: Agent, system: Embedded, count: int, **options: Any) -> list[str]:
    return [(await agent.run(f"task {number}", client=system, **options)).id for number in range(count)]


async def kinds(system: Embedded) -> list[str]:
    changes = await system.require_store().read(lambda db: ledgers.changes(db, *WHO))
    return [change.kind for change in changes]


def workflow(system: Embedded) -> WorkflowHandle[Any, Any]:
    return system.temporal.get_workflow_handle(LEDGER)


async def is_quiet(system: Embedded) -> Kept:
    """The ledger once it has read everything, a few more looks at it included."""
    last = await system.require_store().read(lambda db: outcomes.after(db, WHO, 0, 10_000)[-1].seq)
    await that(system, lambda found: found.read_to >= last)
    for _ in range(3):
        await workflow(system).signal("nudge")
        await asyncio.sleep(2 * reading.EVERY / 1000)
    return await that(system, lambda found: True)


async def asked_by(system: Embedded) -> list[Request]:
    """What the ledger itself says that it asks."""
    return await system.temporal.get_workflow_handle_for(TrustLedger.run, LEDGER).query(TrustLedger.pending)


async def approved(system: Embedded, request: Request, by: str) -> None:
    """Approved by one person, however long the ledger takes to look at it."""
    token = system.approvals.sign(request, "approve", by, keys.load(system.settings.home / "keys", by))
    verdict = await system.approvals.send(request, token, wait=30)
    assert verdict is not None
    assert verdict.accepted, verdict.reason


async def has_failed_tasks(system: Embedded) -> bool:
    """Whether a task of the ledger's workflow has failed: it would be tried again for ever."""
    events = [event async for event in workflow(system).fetch_history_events()]
    return any(event.HasField("workflow_task_failed_event_attributes") for event in events)
