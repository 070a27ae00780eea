"""Restrictions: what an operator takes away for now, and gives back."""

from __future__ import annotations

import difflib
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from tenure.client import waking
from tenure.client.connected import Connected
from tenure.client.toolbox import check_named, toolboxes
from tenure.errors import BadInput, NotFound
from tenure.runtime.store import Connection, agents, restrictions, runs
from tenure.runtime.store.restrictions import Restricted
from tenure.trust.restrictions import EVERY, Restriction, check


@dataclass(frozen=True)
class Restrictions:
    """The facet `system.restrictions`."""

    system: Connected

    async def restrict(self, tenant: str, agent: str, restriction: Restriction, *more: Restriction, by: str) -> int:
        """Restrict an agent of a tenant (`*`: all of them) from now on, in all of these ways or, where one is wrong, in none.

        Bites at the next call and the next effect of every run. One that restricts the same way as one in force takes its place.
        Returns the fence it moves. Raises BadInput or ConfigError for a restriction that nobody could follow, and for one about a
        tool, or an argument of one, that no announced build has.
        """
        wanted, at = [_checked(one) for one in (restriction, *more)], _now()

        def write(db: Connection) -> int:
            builds = toolboxes(db, agent)
            for one in wanted:
                check_named(agent, one, builds)
            return max(restrictions.restrict(db, (tenant, agent), one, by, at) for one in wanted)

        return await self.system.require_store().transact(write)

    async def doubts(self, tenant: str, agent: str, wanted: Sequence[Restriction]) -> list[str]:
        """What could not be looked up of such restrictions, in words: they hold, but may be about nothing."""
        return await self.system.require_store().read(lambda db: _doubts(db, tenant, agent, wanted))

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

    async def fence(self, tenant: str, agent: str) -> int:
        """The number of the last change of what restricts this agent of this tenant: a ruling made before it is made again."""
        store = self.system.require_store()
        return (await store.read(lambda db: restrictions.standing(db, tenant, agent))).fence

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
        return (await waking.wake(self.system.temporal, waiting)).told


def meaning(in_force: Iterable[Restricted], tenant: str, agent: str) -> list[Restricted]:
    """Those that restrict this agent of this tenant."""
    return [one for one in in_force if one.tenant in (EVERY, tenant) and one.agent in (EVERY, agent)]


def _checked(wanted: Restriction) -> Restriction:
    try:
        return check(wanted)
    except ValidationError as error:
        why = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        raise BadInput(f"{wanted.value!r} is no limit: {why}") from error


def _doubts(db: Connection, tenant: str, agent: str, wanted: Sequence[Restriction]) -> list[str]:
    served, tenants = _known(db)
    found: list[str] = []
    if tenant not in (EVERY, *tenants):
        found.append(f"no run of a tenant {tenant!r} is known here{_near(tenant, tenants)}")
    if agent not in (EVERY, *served):
        found.append(f"no worker has announced an agent {agent!r}{_near(agent, served)}")
    named = [one.value for one in wanted if one.kind in ("deny", "limit")]
    if named and not toolboxes(db, agent):
        found.append(f"no tools are announced now: nobody has looked whether {', '.join(map(repr, named))} names one")
    return found


def _near(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return f": did you mean {near[0]!r}?" if near else ""


def _known(db: Connection) -> tuple[Collection[str], Collection[str]]:
    return agents.names(db), runs.tenants(db)


def _now() -> int:
    return round(time.time() * 1000)
