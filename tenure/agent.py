"""Agent: the declaration of an agent together with the ways to run it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Unpack

from tenure.client import RunHandle, Tenure
from tenure.client.runs import RunOptions
from tenure.errors import BadInput
from tenure.learn import Learning
from tenure.optimize import Optimization
from tenure.response import Response
from tenure.spec import DEFAULT_MODEL, AgentSpec, Hook
from tenure.tools import Function, Tool
from tenure.trust import Trust
from tenure.trust.limits import RateLimit
from tenure.wire import Json


class Agent(AgentSpec):
    """An agent users declare, workers serve, and clients run by name. Raises ConfigError when it cannot work as written.

    The three ways to run it take `tenant`, `user`, `role`, `state`, `context` and `idempotency_key` (see `RunOptions`), and
    `client` where the default connection is not the one that is meant.
    """

    if TYPE_CHECKING:  # what may be written is wider than what is kept

        def __init__(
            self,
            *,
            name: str,
            model: str = DEFAULT_MODEL,
            instructions: str = "",
            tools: Iterable[Tool | Function] = (),
            max_iterations: int = 10,
            max_tokens: int = 4096,
            timeout: float = 60.0,
            error_threshold: int = 3,
            temperature: float | None = None,
            effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None,
            context_window: int | None = None,
            state: Mapping[str, Json] = ...,
            required_state: Iterable[str] | Mapping[str, Hook | None] = (),
            roles: Mapping[str, Iterable[str]] = ...,
            rate_limits: Mapping[str, RateLimit | str] = ...,
            trust: Trust | Mapping[str, Any] | None = None,  # Any: the JSON of a Trust
            optimization: Optimization | Mapping[str, Any] | None = None,  # Any: the JSON of an Optimization
            learning: Learning | Mapping[str, Any] | None = None,  # Any: the JSON of a Learning
            until: Hook | None = None,
            on_iteration: Hook | None = None,
            on_tool_call: Hook | None = None,
            on_error: Hook | None = None,
            on_response: Hook | None = None,
            evaluate: Hook | None = None,
        ) -> None: ...

    async def run(self, message: str, *, client: Tenure | None = None, **options: Unpack[RunOptions]) -> Response:
        """Start a run and wait for its Response, through every crash in between."""
        handle = await self.start(message, client=client, **options)
        return await handle.result()

    async def start(self, message: str, *, client: Tenure | None = None, **options: Unpack[RunOptions]) -> RunHandle:
        """Start a run and return at once. The worker must serve exactly this agent, or the run is refused."""
        system = client or await Tenure.default()
        return await system.runs.start(self.name, message, fingerprint=self.fingerprint, **options)

    def run_sync(self, message: str, *, client: Tenure | None = None, **options: Unpack[RunOptions]) -> Response:
        """`run` for a script that has no event loop. Raises BadInput where there is one."""
        if _has_loop():
            raise BadInput("run_sync() inside a running event loop: write `await agent.run(...)`")
        return asyncio.run(self.run(message, client=client, **options))


def _has_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
