"""The way in: one connected Tenure, with a facet for each thing one does with it."""

from __future__ import annotations

import asyncio
import contextvars
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from weakref import WeakKeyDictionary

from tenure.client.approvals import Approvals
from tenure.client.connected import Connected
from tenure.client.cost import Cost
from tenure.client.feedback import Feedback
from tenure.client.learn import Learn
from tenure.client.restrictions import Restrictions
from tenure.client.runs import Runs
from tenure.client.trust import TrustOf
from tenure.errors import StoreUnavailable
from tenure.runtime import running
from tenure.runtime.blobs import Blobs
from tenure.runtime.settings import Settings
from tenure.runtime.store import Store
from tenure.runtime.temporal import connect

current: contextvars.ContextVar[Tenure | None] = contextvars.ContextVar("tenure_current", default=None)
_connected: WeakKeyDictionary[asyncio.AbstractEventLoop, Tenure] = WeakKeyDictionary()


@dataclass(frozen=True)
class Tenure(Connected):
    """A connection to Temporal and, where there is one, to the store.

    Facets: `.runs`, `.approvals`, `.restrictions`, `.trust`, `.feedback`, `.cost`, `.learn`.
    """

    @classmethod
    async def connect(cls, settings: Settings | None = None, env: Mapping[str, str] = os.environ) -> Tenure:
        """Connect by the environment, else to the `tenure dev` that runs in this folder.

        Without a store that can be opened, what needs only Temporal still works.
        """
        settings = settings or Settings.load(env)
        here = running.read(settings.home)
        temporal = await connect(here.address if here else None)
        return cls(temporal, settings, _store(settings), Blobs(settings.blob_url) if settings.home.is_dir() else None)

    @classmethod
    async def default(cls) -> Tenure:
        """The one in whose block we are (`embedded`), else one connection per event loop."""
        found = current.get()
        if found is not None:
            return found
        loop = asyncio.get_running_loop()
        if loop not in _connected:
            _connected[loop] = await cls.connect()
        return _connected[loop]

    @cached_property
    def runs(self) -> Runs:
        """Start runs, find them, list them."""
        return Runs(self)

    @cached_property
    def approvals(self) -> Approvals:
        """See what people are asked, and answer."""
        return Approvals(self)

    @cached_property
    def restrictions(self) -> Restrictions:
        """Halt agents and tenants, take tools away, and give both back."""
        return Restrictions(self)

    @cached_property
    def learn(self) -> Learn:
        """What was learned from runs, and how far it has come."""
        return Learn(self)

    @cached_property
    def trust(self) -> TrustOf:
        """Where agents stand, what that rests on, and what is missing for the next step."""
        return TrustOf(self)

    @cached_property
    def cost(self) -> Cost:
        """What was paid for, and which budgets ran low."""
        return Cost(self)

    @cached_property
    def feedback(self) -> Feedback:
        """Judge finished runs, and see how they were judged."""
        return Feedback(self)


def _store(settings: Settings) -> Store | None:
    """The store if a worker has made one: a client reads and writes a store, it never creates one."""
    try:
        return Store.open(settings.database_url, create=False)
    except StoreUnavailable:
        return None
