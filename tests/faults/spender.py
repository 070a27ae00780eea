"""The agent of `test_money`: any call takes it past its first alert."""

from __future__ import annotations

from tenure import Agent

spender = Agent(name="spender", optimization={"budget": {"daily": 1, "alert_threshold": ["0.00001"]}})
