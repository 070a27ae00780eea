"""Alerting: the one place where alerts are raised, and where everybody is told of them who should be.

An alert is kept in the transaction that makes it due; then OpenTelemetry is told, once, and the webhook, from what is kept, until
it has taken it. So a worker that dies right after its transaction loses the event, never the alert.

Rules of this file: nobody is told of what is not committed, and nobody is waited for with anything held.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from tenure.optimize.budget import Budget, Spender, scopes
from tenure.runtime import telemetry as otel
from tenure.runtime import webhook
from tenure.runtime.store import Connection, Store, alerts
from tenure.runtime.store.alerts import Alert
from tenure.runtime.store.charges import Short
from tenure.runtime.webhook import Webhook

if TYPE_CHECKING:
    from httpx2 import AsyncClient

EVENT = "tenure.budget.alert"
T = TypeVar("T")


def due(db: Connection, budget: Budget, who: Spender, held_at: int, at: int) -> list[Alert]:
    """Raise what is due now that `who` has spent what was held at `held_at` (milliseconds): it counts in that day and month."""
    return alerts.raise_due(db, scopes(budget, who, held_at), budget.alert_threshold, at)


async def exhausted(store: Store, short: Short, at: int) -> None:
    """A call does not fit in that scope, and is not made: raised once in its period. Raises StoreUnavailable."""
    if not await store.read(lambda db: alerts.is_known_exhausted(db, short.scope)):
        await transact(store, lambda db: (None, alerts.exhausted(db, short, at)))


async def transact(store: Store, work: Callable[[Connection], tuple[T, list[Alert]]]) -> T:
    """What `work` comes to in one transaction; of the alerts that it raised is told once they stand. Raises StoreUnavailable."""
    done, raised = await store.transact(work)
    for one in raised:
        otel.event(EVENT, {"scope": one.scope, "subject": one.subject, "threshold": one.threshold})
    return done


async def deliver(store: Store, to: Webhook, client: AsyncClient, now: Callable[[], int]) -> None:
    """Tell the webhook of the alerts that it has not taken yet, all at once. Raises StoreUnavailable."""
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
    told = f"{problem} (attempt {alert.attempts}, the next one in {wait / 1000:.0f} s)"
    sys.stderr.write(f"tenure worker: {to.host} did not take {key}: {told}\n")
