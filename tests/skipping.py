"""A Temporal server whose clock a test can move."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
from temporalio.testing import WorkflowEnvironment

from tenure.runtime.temporal import start_skipping_server


@pytest.fixture(name="skipping")
async def skipped() -> AsyncGenerator[WorkflowEnvironment]:
    """The server; `fast_forward(handle, duration)` moves the clock of a workflow."""
    server = await start_skipping_server()
    yield server
    await server.shutdown()
