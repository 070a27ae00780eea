"""Agent: the declaration of an agent together with the ways to run it."""

from __future__ import annotations

import asyncio

from tenure.client import RunHandle, Tenure
from tenure.response import Response
from tenure.spec import AgentSpec
from tenure.wire import JsonObject


class Agent(AgentSpec):
    """An agent users declare, workers serve, and clients run by name. Raises ConfigError when it cannot work as written."""

    async def run(
        self,
        message: str,
        *,
        tenant: str = "default",
        user: str | None = None,
        role: str | None = None,
        state: JsonObject | None = None,
        context: str | list[str] | None = None,
        idempotency_key: str | None = None,
        client: Tenure | None = None,
    ) -> Response:
        """Start a run and wait for its Response, through every crash in between."""
        handle = await self.start(
            message,
            tenant=tenant,
            user=user,
            role=role,
            state=state,
            context=context,
            idempotency_key=idempotency_key,
            client=client,
        )
        return await handle.result()

    async def start(
        self,
        message: str,
        *,
        tenant: str = "default",
        user: str | None = None,
        role: str | None = None,
        state: JsonObject | None = None,
        context: str | list[str] | None = None,
        idempotency_key: str | None = None,
        client: Tenure | None = None,
    ) -> RunHandle:
        """Start a run and return at once. The worker must serve exactly this agent, or the run is refused.

        `tenant`, `user` and `role` are claims of whoever holds Temporal credentials. `context` is more text for the agent,
        before the message. A second start with the same `idempotency_key` returns the first run.
        """
        system = client or await Tenure.default()
        return await system.runs.start(
            self.name,
            message,
            fingerprint=self.fingerprint,
            tenant=tenant,
            user=user,
            role=role,
            state=state,
            context=context,
            idempotency_key=idempotency_key,
        )

    def run_sync(
        self,
        message: str,
        *,
        tenant: str = "default",
        user: str | None = None,
        role: str | None = None,
        state: JsonObject | None = None,
        context: str | list[str] | None = None,
        idempotency_key: str | None = None,
        client: Tenure | None = None,
    ) -> Response:
        """`run` for a script that has no event loop."""
        return asyncio.run(
            self.run(
                message,
                tenant=tenant,
                user=user,
                role=role,
                state=state,
                context=context,
                idempotency_key=idempotency_key,
                client=client,
            )
        )
