"""Agent: the declaration of an agent together with the ways to run it."""

from __future__ import annotations

import asyncio
from typing import Unpack

from tenure.client import RunHandle, Tenure
from tenure.client.runs import RunOptions
from tenure.response import Response
from tenure.spec import AgentSpec


class Agent(AgentSpec):
    """An agent users declare, workers serve, and clients run by name. Raises ConfigError when it cannot work as written.

    The three ways to run it take `tenant`, `user`, `role`, `state`, `context` and `idempotency_key` (see `RunOptions`), and
    `client` where the default connection is not the one that is meant.
    """

    async def run(self, message: str, *, client: Tenure | None = None, **options: Unpack[RunOptions]) -> Response:
        """Start a run and wait for its Response, through every crash in between."""
        handle = await self.start(message, client=client, **options)
        return await handle.result()

    async def start(self, message: str, *, client: Tenure | None = None, **options: Unpack[RunOptions]) -> RunHandle:
        """Start a run and return at once. The worker must serve exactly this agent, or the run is refused."""
        system = client or await Tenure.default()
        return await system.runs.start(self.name, message, fingerprint=self.fingerprint, **options)

    def run_sync(self, message: str, *, client: Tenure | None = None, **options: Unpack[RunOptions]) -> Response:
        """`run` for a script that has no event loop."""
        return asyncio.run(self.run(message, client=client, **options))
