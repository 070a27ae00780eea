"""Upkeep of budgets: what a worker does every two seconds beside its runs, so that nothing waits for somebody to make a call.

Rules of this file: it holds up no run. Looking is reading, and only what is due takes the store's lock; the webhook is waited for
with nothing held. Whatever goes wrong here is said, and tried again.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from tenure.optimize.budget import scopes
from tenure.runtime import webhook
from tenure.runtime.store import Connection, Store, alerts, charges
from tenure.runtime.store.alerts import Alert
from tenure.runtime.webhook import Webhook
from tenure.spec import AgentSpec

if TYPE_CHECKING:
    from httpx2 import AsyncClient

EVERY = 2.0  # seconds
AFTER_TROUBLE = 10.0  # seconds until it is tried again when the store did not answer


@asynccontextmanager
async def kept(store: Store, agents: Mapping[str, AgentSpec], to: Webhook | None) -> AsyncGenerator[None]:
    """Holds are settled when they expire, and alerts are delivered, while the block runs."""
    async with AsyncExitStack() as stack:
        tending = [asyncio.create_task(_again(lambda: settle_expired(store, agents, _now())))]
        if to is not None:
            client = await stack.enter_async_context(to.client())
            tending.append(asyncio.create_task(_again(lambda: deliver(store, to, client, _now))))
        try:
            yield
        finally:
            for task in tending:
                task.cancel()
            await asyncio.gather(*tending, return_exceptions=True)


async def settle_expired(store: Store, agents: Mapping[str, AgentSpec], at: int) -> None:
    """Holds that nobody settled in time become spend, whatever became of their runs. Raises StoreUnavailable."""
    if await store.read(lambda db: charges.is_any_expired(db, at)):
        await store.transact(partial(expire, agents=agents, at=at))


def expire(db: Connection, agents: Mapping[str, AgentSpec], at: int) -> None:
    """Settle them, and raise the alerts that are due by the budgets of the agents that are served here."""
    for one in charges.sweep(db, at):
        agent = agents.get(one.who.agent)
        if agent is not None:
            alerts.raise_due(db, scopes(agent.budget, one.who, one.at), agent.budget.alert_threshold, at)


async def deliver(store: Store, to: Webhook, client: AsyncClient, now: Callable[[], int]) -> None:
    """Tell the webhook of the alerts that are due, all at once. Raises StoreUnavailable."""
    at = now()
    if await store.read(lambda db: alerts.is_any_due(db, at)):
        taken = await store.transact(lambda db: alerts.take(db, at))
        await asyncio.gather(*(_deliver(store, to, client, one, now) for one in taken))


async def _deliver(store: Store, to: Webhook, client: AsyncClient, alert: Alert, now: Callable[[], int]) -> None:
    key = webhook.key_of(alert, store.id)
    problem = await to.post(client, key, webhook.document(alert, key), now())
    at = now()
    if not problem:
        await store.transact(lambda db: alerts.delivered(db, alert, at))
        return
    wait = webhook.pause(alert.attempts, random.random())
    await store.transact(lambda db: alerts.failed(db, alert, problem, at + wait))
    _say(f"{to.host} did not take {key}: {problem} (attempt {alert.attempts}, the next one in {wait / 1000:.0f} s)")


async def _again(work: Callable[[], Awaitable[None]]) -> None:
    while True:
        rest = EVERY
        try:
            await work()
        except Exception as error:  # noqa: BLE001  # one that ends here would leave everything undone, and nobody would know
            _say(f"the upkeep of budgets: {error}")
            rest = AFTER_TROUBLE
        await asyncio.sleep(rest * random.uniform(0.8, 1.2))  # workers that began together should not stay together


def _say(line: str) -> None:
    sys.stderr.write(f"tenure worker: {line}\n")


def _now() -> int:
    return round(time.time() * 1000)
