"""What a client is connected to: Temporal always, a store and its blobs where there are some."""

from __future__ import annotations

from dataclasses import dataclass

from temporalio.client import Client

from tenure.errors import StoreUnavailable
from tenure.runtime.blobs import Blobs
from tenure.runtime.settings import Settings
from tenure.runtime.store import Store, shown


@dataclass(frozen=True)
class Connected:
    """The connections that every facet shares."""

    temporal: Client
    settings: Settings
    store: Store | None = None
    blobs: Blobs | None = None

    def require_store(self) -> Store:
        """The store. Raises StoreUnavailable naming the setting when there is none."""
        if self.store is None:
            raise StoreUnavailable(
                f"no store at {shown(self.settings.database_url)}: run `tenure dev` here, or set TENURE_DATABASE_URL"
                " to the worker's"
            )
        return self.store

    def close(self) -> None:
        """Close the store; the Temporal client needs no closing."""
        if self.store is not None:
            self.store.close()
