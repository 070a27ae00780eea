"""Schedules: what Temporal starts by itself for each agent that learns; and how what was learned hears of its runs."""

from __future__ import annotations

from datetime import timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    WorkflowExecutionStatus,
)
from temporalio.service import RPCError, RPCStatusCode

from tenure.learn.reading import Mine
from tenure.learn.rollout import ENDS
from tenure.runtime.store import Store, capabilities
from tenure.runtime.store.capabilities import LOST, RolloutRow
from tenure.runtime.temporal import WORKFLOW_TASK

EVERY = timedelta(hours=1)
MINER = "PatternMiner"


def schedule_id(agent: str) -> str:
    """The schedule on which the runs of an agent are mined."""
    return f"tenure:patterns:{agent}"


async def keep_mining(client: Client, agent: str, task_queue: str) -> None:
    """Have the runs of the agent mined every hour. What stands already stays as an operator has left it."""
    action = ScheduleActionStartWorkflow(
        MINER,
        Mine(agent=agent),
        id=schedule_id(agent),
        task_queue=task_queue,
        task_timeout=WORKFLOW_TASK,
        static_summary=f"patterns in the runs of {agent}",
    )
    spec = ScheduleSpec(intervals=[ScheduleIntervalSpec(every=EVERY)])
    policy = SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=EVERY)
    try:
        await client.create_schedule(schedule_id(agent), Schedule(action=action, spec=spec, policy=policy))
    except ScheduleAlreadyRunningError:
        return


async def nudge(client: Client, store: Store, row: RolloutRow) -> None:
    """Tell a rollout that something came of its runs. Where its workflow is gone, nobody would take it back: it serves no more."""
    try:
        await client.get_workflow_handle(f"{row.tenant}:capability:{row.agent}:{row.id}").signal("nudge")
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            await _lose(store, row)


async def watch(client: Client, store: Store, tenant: str, agent: str) -> None:
    """Rollouts that somebody has ended from outside serve no more, and may set out anew."""
    for row in await store.read(lambda db: capabilities.rollouts(db, tenant, agent)):
        if row.stage not in (*ENDS, LOST) and not await _lives(client, row):
            await _lose(store, row)


async def _lives(client: Client, row: RolloutRow) -> bool:
    try:
        told = await client.get_workflow_handle(f"{row.tenant}:capability:{row.agent}:{row.id}").describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return False
        raise
    return told.status is WorkflowExecutionStatus.RUNNING


async def _lose(store: Store, row: RolloutRow) -> None:
    why = "its rollout was ended from outside: `tenure learn mine` lets it set out anew"
    if row.stage not in (*ENDS, LOST):
        await store.transact(lambda db: capabilities.lose(db, row, why))
