"""The names that users build on, pinned: taking one away, or adding one, is a decision and not an accident."""

from __future__ import annotations

import dataclasses
import inspect

import tenure
import tenure.hooks
import tenure.optimize
import tenure.testing
import tenure.trust
from tenure.client import RunHandle, Tenure
from tenure.client.events import Event
from tenure.client.runs import RunOptions
from tenure.response import Response
from tenure.run import Status, StopReason
from tenure.tools import ToolContext


def public(of: type) -> set[str]:
    """The attributes and methods of a class that are meant for users."""
    names = {name for name, value in inspect.getmembers(of) if not name.startswith("_") and not hasattr(object, name)}
    fields = {field.name for field in dataclasses.fields(of)} if dataclasses.is_dataclass(of) else set()
    return names | fields


def test_the_package_s_own_names() -> None:
    assert set(tenure.__all__) == {
        "Agent", "Effect", "Response", "RunHandle", "Status", "StopReason", "Tenure", "TenureError", "Tool", "ToolContext",
        "ToolError", "tool",
    }  # fmt: skip
    assert all(getattr(tenure, name) is not None for name in tenure.__all__)
    assert set(tenure.trust.__all__) == {"Approval", "Rule", "Trust"}
    assert set(tenure.optimize.__all__) == {"Budget", "CacheRule", "Optimization", "Patterns"}
    assert set(tenure.testing.__all__) == {"Embedded", "ScriptedClaude", "embedded"}


def test_the_values_of_hooks() -> None:
    told = {"Answer", "Iteration", "Missing", "RunInfo", "ToolCall", "ToolFailure"}
    said = {"Allow", "Modify", "Reject", "Tell", "Retry", "Stop", "Approve", "Rewrite", "Hold", "Evaluation"}
    assert all(dataclasses.is_dataclass(getattr(tenure.hooks, name)) for name in told | said)


def test_what_a_response_a_handle_and_a_tool_s_context_have() -> None:
    assert public(Response) == {
        "id", "message", "status", "stop_reason", "iterations", "tool_calls", "state", "usage", "cost", "saved", "tier",
        "models", "latency", "success", "tokens_used", "cache_hits",
    }  # fmt: skip
    assert public(RunHandle) == {
        "id", "system", "workflow", "result", "progress", "events", "cancel", "add_context"
    }  # fmt: skip
    assert public(ToolContext) == {
        "run_id", "tenant", "user", "role", "idempotency_key", "state", "heartbeat", "finish", "finished"
    }  # fmt: skip
    assert public(Event) == {
        "kind", "at", "text", "tool", "tools", "request", "ok", "tokens", "cost", "status", "stop_reason"
    }  # fmt: skip
    assert public(Tenure) == {
        "approvals", "blobs", "close", "connect", "cost", "default", "feedback", "learn", "require_store", "restrictions", "runs",
        "settings", "store", "temporal", "trust",
    }  # fmt: skip


def test_what_may_be_said_of_a_run() -> None:
    assert set(RunOptions.__annotations__) == {
        "tenant", "user", "role", "state", "context", "idempotency_key", "priority", "tainted"
    }  # fmt: skip


def test_how_a_run_may_stand_and_why_it_may_end() -> None:
    assert {str(status) for status in Status} == {"running", "waiting", "completed", "failed", "cancelled"}
    assert {str(reason) for reason in StopReason} == {
        "answered", "finished", "until", "max_iterations", "error_threshold", "repeated_call", "budget", "timeout", "refused",
        "denied", "cancelled", "in_doubt", "failed",
    }  # fmt: skip
