"""Tenure makes Claude agents safe to leave alone: durable runs, approvals that cannot be forged, accounts that add up.

Names are resolved on first use, so that importing a part of Tenure (a workflow in its sandbox, the command line) does not
import all of it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tenure.agent import Agent
    from tenure.client import RunHandle, Tenure
    from tenure.errors import TenureError, ToolError
    from tenure.response import Response
    from tenure.run import Effect, Status, StopReason
    from tenure.tools import Tool, ToolContext, tool

__all__ = [
    "Agent", "Effect", "Response", "RunHandle", "Status", "StopReason", "Tenure", "TenureError", "Tool", "ToolContext",
    "ToolError", "tool",
]  # fmt: skip
__version__ = "0.1.0"

_HOME = {
    "Agent": "agent",
    "Effect": "run",
    "Response": "response",
    "RunHandle": "client",
    "Status": "run",
    "StopReason": "run",
    "Tenure": "client",
    "TenureError": "errors",
    "Tool": "tools",
    "ToolContext": "tools",
    "ToolError": "errors",
    "tool": "tools",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'tenure' has no attribute {name!r}")
    return getattr(importlib.import_module(f"tenure.{_HOME[name]}"), name)
