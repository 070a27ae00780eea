"""The agents of `bench.overshoot`: one whose answers cost about ten cents, one whose answers cost next to nothing."""

from __future__ import annotations

from typing import Any

from tenure import Agent
from tenure.optimize import Budget, Optimization

CAP = 5.0  # dollars a day
SMALL_CAP = 0.5
WORDS = "word " * 7_400  # about ten cents of answer

dear = Agent(
    name="dear",
    max_tokens=10_000,
    timeout=8,
    optimization=Optimization(budget=Budget(daily=CAP, on_exhausted="stop")),
)
cheap = Agent(
    name="cheap",
    max_tokens=8_000,
    timeout=8,
    optimization=Optimization(budget=Budget(daily=SMALL_CAP, on_exhausted="stop")),
)


def claude(body: dict[str, Any]) -> str:
    """Long answers for the one, short ones for the other."""
    return WORDS if body["max_tokens"] == dear.max_tokens or "dear" in str(body["messages"][0]) else "done"
