"""Restrictions: what an operator takes away for now, and gives back."""

from __future__ import annotations

import asyncio
import difflib
import time
from collections.abc import Collection
from dataclasses import dataclass

from temporalio.service import RPCError

from tenure.client.connected import Connected
from tenure.errors import BadInput, NotFound
from tenure.runtime.store import Connection, agents, restrictions, runs
from tenure.runtime.store.restrictions import Restricted
from tenure.trust.restrictions import EVERY, Restriction, check

WAKING = 20  # runs that are woken at once


@dataclass(frozen=True)
class Restrictions:
    """The facet `system.restrictions`."""

    system: Connected

    async def restrict(self, tenant: str, agent: str, restriction: Restriction, *, by: str) -> int:
        """Restrict an agent of a tenant (`*`: all of them) from now on. Bites at the next call and the next effect of every run.

        Returns the fence it moves. Raises BadInput or ConfigError for a restriction that nobody could follow.
        """
        told, at = check(restriction), _now()
        store = self.system.require_store()
        return await store.transact(lambda db: restrictions.restrict(db, (tenant, agent), told, by, at))

    async def lift(
        self, tenant: str, agent: str, *, by: str, kind: str | None = None, value: str | None = None
    ) -> tuple[int, int]:
        """Lift what was set for exactly these, and wake the runs that wait; how many were lifted, how many runs were told."""
        store, at = self.system.require_store(), _now()
        lifted = await store.transact(lambda db: restrictions.lift(db, (tenant, agent), kind, value, by, at))
        return lifted, await self._wake(tenant, agent)

    async def in_force(self) -> list[Restricted]:
        """Every restriction that is not lifted, the oldest first."""
        return await self.system.require_store().read(restrictions.in_force)

    async def subject(self, name: str) -> tuple[str, str]:
        """The tenant and the agent (one of them `*`) that `name` means. Raises NotFound, and BadInput when it means both."""
        served, tenants = await self.system.require_store().read(_known)
        if name in served and name in tenants:
            raise BadInput(f"{name!r} is an agent and a tenant: write --agent {name} or --tenant {name}")
        if name in served:
            return EVERY, name
        if name in tenants:
            return name, EVERY
        near = difflib.get_close_matches(name, [*served, *tenants], 1)
        hint = f"did you mean {near[0]!r}?" if near else "write --agent or --tenant to mean one not seen yet"
        raise NotFound(f"no agent and no tenant {name!r} is known here: {hint}")

    async def _wake(self, tenant: str, agent: str) -> int:
        """Tell the runs that wait. Who is not reached looks by itself every ten minutes."""
        # From the store: a run says there that it waits in the transaction in which it reads what restricts it.
        waiting = await self.system.require_store().read(lambda db: runs.waiting_now(db, tenant, agent))
        limit = asyncio.Semaphore(WAKING)

        async def wake(run: str) -> bool:
            async with limit:
                try:
                    await self.system.temporal.get_workflow_handle(run).signal("resume")
                except RPCError:
                    return False  # it ended meanwhile
                return True

        return sum(await asyncio.gather(*(wake(run) for run in waiting)))


def _known(db: Connection) -> tuple[Collection[str], Collection[str]]:
    return agents.names(db), runs.tenants(db)


def _now() -> int:
    return round(time.time() * 1000)
