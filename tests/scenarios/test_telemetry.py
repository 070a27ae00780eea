"""A run is one trace: the run, its model calls, its tools and its waiting for people."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tenure import Agent, tool
from tenure.runtime.store import Connection
from tenure.runtime.telemetry import provider
from tenure.testing import embedded
from tenure.testing.scripted_claude import text, tool_use
from tests.waiting import eventually, one_pending


@tool(effect="privileged")
async def grant(user: str) -> str:
    """Give somebody rights."""
    return "granted"


@tool(effect="read", cache=60)
async def get_price(item: str) -> int:
    """Get a price."""
    return 7


@pytest.fixture(scope="module")
def spans_of_all() -> InMemorySpanExporter:
    """A process has one provider, and it is set once."""
    exporter = InMemorySpanExporter()
    trace.set_tracer_provider(provider(SimpleSpanProcessor(exporter)))
    return exporter


@pytest.fixture
def exporter(spans_of_all: InMemorySpanExporter) -> InMemorySpanExporter:
    spans_of_all.clear()
    return spans_of_all


async def test_a_read_that_is_answered_from_the_cache_says_so_on_its_span(exporter: InMemorySpanExporter) -> None:
    agent = Agent(name="shop", tools=[get_price])
    async with embedded(agent, claude=[tool_use("get_price", item="tea"), text("done")]):
        for _ in range(2):
            await agent.run("go")
    found = [dict(span.attributes or {}) for span in exporter.get_finished_spans() if "get_price" in span.name]
    assert [one["tenure.tool.cached"] for one in found] == [False, True]
    assert ["tenure.tool.cached.age_ms" in one for one in found] == [False, True]


async def test_the_spans_of_a_run_form_one_tree_with_the_standard_names(exporter: InMemorySpanExporter) -> None:
    agent = Agent(name="admin", tools=[grant])
    async with embedded(agent, claude=[tool_use("grant", user="bob"), text("done")]) as system:
        handle = await agent.start("go")
        await system.approve(await one_pending(system))
        await handle.result()
    spans: dict[str, ReadableSpan] = {span.name: span for span in exporter.get_finished_spans()}
    root = spans["invoke_agent admin"]
    assert set(spans) == {root.name, "chat claude-sonnet-5-5", "execute_tool grant", "wait_for_person"}
    assert root.context is not None
    assert root.parent is None
    for name, span in spans.items():
        assert span.context is not None
        assert span.context.trace_id == root.context.trace_id
        if name != root.name:
            assert span.parent is not None
            assert span.parent.span_id == root.context.span_id
    attributes = dict(root.attributes or {})
    assert attributes["gen_ai.operation.name"] == "invoke_agent"
    assert attributes["tenure.stop_reason"] == "answered"
    chat = dict(spans["chat claude-sonnet-5-5"].attributes or {})
    assert chat["gen_ai.usage.input_tokens"]
    assert chat["gen_ai.request.model"] == "claude-sonnet-5-5"
    waited = spans["wait_for_person"]
    assert waited.start_time is not None
    assert waited.end_time is not None
    assert waited.end_time > waited.start_time


def alerts_on(exporter: InMemorySpanExporter) -> list[tuple[str, Any]]:
    """Which span each alert stands on, and about which share of the day's budget it is."""
    return [
        (span.name.partition(" ")[0], dict(event.attributes or {}).get("threshold"))
        for span in exporter.get_finished_spans()
        for event in span.events
        if event.name == "tenure.budget.alert"
    ]


async def test_an_alert_is_an_event_whether_a_call_raised_it_or_the_worker_s_upkeep(
    exporter: InMemorySpanExporter,
) -> None:
    agent = Agent(name="desk", optimization={"budget": {"daily": 0.1, "alert_threshold": ["0.001", 0.5]}})
    async with embedded(agent, claude=lambda body: text("done")) as system:
        await agent.run("go")
        assert alerts_on(exporter) == [("chat", "0.001")]
        await system.require_store().transact(lose_a_call)

        async def swept() -> bool:
            return len(alerts_on(exporter)) > 1

        await eventually(swept)
        assert alerts_on(exporter)[1:] == [("tenure.budget.alert", "0.5")]


def lose_a_call(db: Connection) -> None:
    """Another call of the same run was held long ago, and nobody settled it."""
    db.execute(
        "INSERT INTO charges (key, workflow, tenant, agent, model, tier, seq, prices, held, at, expires_at, outcome)"
        " SELECT 'lost', workflow, tenant, agent, model, tier, seq, prices, 60000, at, 1, 'held' FROM charges"
    )
    db.execute("INSERT INTO charge_scopes SELECT 'lost', scope, subject, period FROM charge_scopes")
    db.execute("UPDATE totals SET held = 60000")
