"""What `await agent.run(...)` returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from tenure.run import Status, StopReason
from tenure.turn import Usage
from tenure.wire import Json, JsonObject


@dataclass(frozen=True)
class Response:
    """How a run ended. `cost` and `saved` are US dollars, `latency` is seconds from start to end.

    Each of `tool_calls` is a dict with `tool`, `input`, `result` and `ok`, and `asked` where `on_tool_call` changed what Claude
    had asked for, and `cached` (`run`, and `age` in milliseconds) where the result is one that an earlier call had obtained.
    `models` are those that made turns and are not the agent's own: what it fell back to, or what `route` chose. Printing a
    Response prints its message.
    """

    id: str
    message: str
    status: Status
    stop_reason: StopReason
    iterations: int = 0
    tool_calls: list[JsonObject] = field(default_factory=list[JsonObject])
    state: dict[str, Json] = field(default_factory=dict[str, Json])
    usage: Usage = field(default_factory=Usage)
    cost: Decimal = Decimal(0)
    saved: Decimal = Decimal(0)
    tier: str = "model"
    latency: float = 0.0
    models: list[str] = field(default_factory=list[str])

    @property
    def success(self) -> bool:
        """Whether the run completed: it answered, finished, or its `until` came true."""
        return self.status is Status.COMPLETED

    @property
    def tokens_used(self) -> int:
        """All tokens of all model calls, cached or not."""
        return self.usage.total

    @property
    def cache_hits(self) -> float:
        """The share of the input tokens that was read from the prompt cache, 0 to 1."""
        return self.usage.cache_hits

    def __str__(self) -> str:
        return self.message
