"""Fixtures that every test may ask for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tenure.runtime.store import Connection, Store
from tests.postgres import Postgres, served
from tests.waiting import eventually

__all__ = ["eventually"]

# The machine is shared: how long an example takes says nothing about the code.
settings.register_profile("tenure", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tenure")


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test sees no key, no server and no store but those it makes itself."""
    for name in (
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_AUTH_TOKEN",
        "ANTHROPIC_BASE_URL",
        "TENURE_HOME",
        "TENURE_DATABASE_URL",
        "TENURE_ALERT_WEBHOOK",
        "TENURE_ALERT_WEBHOOK_SECRET",
        "TENURE_PRICES",
        "TENURE_SIMILARITY_FLOOR",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server for all tests of this process."""
    try:
        running = served()
        server = running.__enter__()
    except Exception as error:
        pytest.skip(f"no PostgreSQL starts here: {error}")
    yield server
    running.__exit__(None, None, None)


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store that nobody has opened yet, in every database that Tenure knows."""
    return f"sqlite://{tmp_path}/tenure.db" if request.param == "sqlite" else request.getfixturevalue("postgres").url()


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    """That store, open."""
    made = Store.open(database_url)
    yield made
    made.close()


@pytest.fixture
def db(store: Store, database_url: str) -> Iterator[Connection]:
    """A connection to the same store, for the test's own thread."""
    made = Store.open(database_url)
    yield made._connection
    made.close()
