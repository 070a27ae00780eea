"""Fixtures that every test may ask for."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

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
    ):
        monkeypatch.delenv(name, raising=False)
