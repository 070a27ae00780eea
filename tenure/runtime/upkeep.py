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

from tenure.runtime import alerting
from tenure.runtime.store import Connection, Store, charges
from tenure.runtime.store.alerts import Alert
from tenure.runtime.webhook import Webhook
from tenure.spec import AgentSpec

EVERY = 2.0  # seconds
AFTER_TROUBLE = 10.0  # seconds until it is tried again when the store did not answer


@asynccontextmanager
async def kept(store: Store, agents: Mapping[str, AgentSpec], to: Webhook | None) -> AsyncGenerator[None]:
    """Holds are settled when they expire, and alerts are delivered, while the block runs."""
    async with AsyncExitStack() as stack:
        tending = [asyncio.create_task(_again(lambda: settle_expired(store, agents, _now())))]
        if to is not None:
            client = await stack.enter_async_context(to.client())
            tending.append(asyncio.create_task(_again(lambda: alerting.deliver(store, to, client, _now))))
        try:
            yield
        finally:
            for task in tending:
                task.cancel()
            await asyncio.gather(*tending, return_exceptions=True)


async def settle_expired(store: Store, agents: Mapping[str, AgentSpec], at: int) -> None:
    """Holds that nobody settled in time become spend, whatever became of their runs. Raises StoreUnavailable."""
    if await store.read(lambda db: charges.is_any_expired(db, at)):
        await alerting.transact(store, lambda db: (None, expire(db, agents, at)))


def expire(db: Connection, agents: Mapping[str, AgentSpec], at: int) -> list[Alert]:
    """Settle them; the alerts that this raises by the budgets of the agents that are served here."""
    raised: list[Alert] = []
    for one in charges.sweep(db, at):
        agent = agents.get(one.who.agent)
        if agent is not None:
            raised += alerting.due(db, agent.budget, one.who, one.at, at)
    return raised


async def _again(work: Callable[[], Awaitable[None]]) -> None:
    while True:
        rest = EVERY
        try:
            await work()
        except Exception as error:  # noqa: BLE001  # one that ends here would leave everything undone, and nobody would know
            sys.stderr.write(f"tenure worker: the upkeep of budgets: {error}\n")
            rest = AFTER_TROUBLE
        await asyncio.sleep(rest * random.uniform(0.8, 1.2))  # workers that began together should not stay together


def _now() -> int:
    return round(time.time() * 1000)
