"""What an operator takes away bites at the next effect of runs under way, and comes back as it was."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

import pytest
from click.testing import CliRunner

from tenure import Agent, ToolContext, tool
from tenure.cli import main
from tenure.errors import BadInput, ConfigError, NotFound
from tenure.runtime.store import effects
from tenure.testing import Embedded, embedded
from tenure.testing.scripted_claude import slow, text, tool_use
from tenure.trust.restrictions import Restriction
from tests.waiting import eventually, one_pending

MADE: list[str] = []


@pytest.fixture(autouse=True)
def _nothing_made() -> None:
    MADE.clear()


@tool(effect="read")
async def look(what: str) -> str:
    """Look."""
    MADE.append(f"look {what}")
    return what


@tool(effect="write", idempotent=True)
async def put(what: str) -> str:
    """Put."""
    MADE.append(f"put {what}")
    return what


@tool(effect="privileged")
async def grant(who: str) -> str:
    """Grant."""
    MADE.append(f"grant {who}")
    return who


desk = Agent(name="desk", tools=[look, put, grant])
SLOW = [slow(tool_use("put", what="a"), 0.7), slow(tool_use("put", what="b"), 0.7), text("done")]


async def halt(system: Embedded, tenant: str = "*", agent: str = "desk", **told: Any) -> None:
    await system.restrictions.restrict(tenant, agent, Restriction(**{"kind": "halt", **told}), by="ops")


async def status_is(handle: Any, wanted: str) -> None:
    async def reached() -> bool:
        return (await handle.progress()).status == wanted

    await eventually(reached)


@pytest.mark.parametrize(("tenant", "agent"), [("*", "desk"), ("acme", "*"), ("acme", "desk"), ("*", "*")])
async def test_a_halt_stops_a_run_under_way_and_resume_lets_it_go_on_where_it_was(tenant: str, agent: str) -> None:
    async with embedded(desk, claude=SLOW) as system:
        handle = await desk.start("go", tenant="acme")
        await halt(system, tenant, agent, reason="looking into it")
        await status_is(handle, "waiting")
        assert MADE == []
        run = (await system.runs.list(status=None))[0]
        assert run.status == "waiting"
        lifted, woken = await system.restrictions.lift(tenant, agent, by="ops")
        assert (lifted, woken) == (1, 1)
        assert (await handle.result()).message == "done"
    assert MADE == ["put a", "put b"]


async def test_a_halt_of_somebody_else_stops_nobody() -> None:
    async with embedded(desk, claude=[tool_use("put", what="a"), text("done")]) as system:
        await halt(system, "globex", "desk")
        await halt(system, "*", "other")
        assert (await desk.run("go", tenant="acme")).success


async def test_a_run_that_starts_while_its_agent_is_halted_asks_claude_nothing_before_it_may() -> None:
    async with embedded(desk, claude=[text("done")]) as system:
        await halt(system)
        handle = await desk.start("go")
        await status_is(handle, "waiting")
        assert system.claude is not None
        assert system.claude.requests == []
        metadata = await handle.workflow.query("__temporal_workflow_metadata")
        assert "Parked" in metadata.current_details
        await system.restrictions.lift("*", "desk", by="ops")
        response = await handle.result()
        assert (response.message, response.iterations) == ("done", 1)


async def test_what_was_approved_before_a_halt_is_asked_again_after_it() -> None:
    async with embedded(desk, claude=[tool_use("grant", who="bob"), text("done")]) as system:
        handle = await desk.start("go")
        first = await one_pending(system)
        await system.answer(first, "approve", by="operator")
        await halt(system)
        await system.answer(first, "approve", by="reviewer")
        await status_is(handle, "waiting")
        await system.restrictions.lift("*", "desk", by="ops")
        second = await one_pending(system)
        assert (MADE, second.id != first.id) == ([], True)
        assert first.why == "grant is privileged"
        assert second.why == (
            f"grant is privileged; asked again: trust, restrictions or approvers changed since {first.id} was approved"
        )
        assert second.payload["why"] == second.why, "it is signed"
        await system.approve(second)
        assert (await handle.result()).success
    assert MADE == ["grant bob"]


async def test_a_denied_tool_is_denied_in_runs_under_way_and_claude_is_told() -> None:
    async with embedded(desk, claude=SLOW) as system:
        handle = await desk.start("go")
        await halt(system, kind="deny", value="put(what == 'a')")
        response = await handle.result()
    assert [call["ok"] for call in response.tool_calls] == [False, True]
    assert "denied by an operator" in response.tool_calls[0]["result"]
    assert MADE == ["put b"]


async def test_a_cap_makes_what_needs_more_ask() -> None:
    agent = Agent(name="desk", tools=[put], trust={"initial": 0.9, "permissions": {0.5: ["put"]}})
    async with embedded(agent, claude=[tool_use("put", what="a"), text("done")]) as system:
        await halt(system, kind="cap", value="0.4")
        handle = await agent.start("go")
        request = await one_pending(system)
        assert request.why == "put needs level 0.5, and the agent has 0.4"
        await system.approve(request)
        assert (await handle.result()).success


async def test_an_operators_limit_counts_beside_the_agents_own() -> None:
    async with embedded(desk, claude=[tool_use("put", what="a"), tool_use("put", what="b"), text("done")]) as system:
        await halt(system, kind="limit", value="put=1/hour")
        response = await desk.run("go")
    assert "rate limit" in response.tool_calls[1]["result"]
    assert MADE == ["put a"]


async def test_a_ruling_older_than_a_restriction_goes_back_to_the_gate_once() -> None:
    """The restriction comes between the gate and the effect: the first call waits for a rate limit, so that there is time."""
    agent = Agent(name="desk", tools=[put], rate_limits={"put": "1/2s"})
    script = [[tool_use("put", what="a"), tool_use("put", what="b")], text("done")]
    async with embedded(agent, claude=script) as system:
        handle = await agent.start("go")

        async def first_made() -> bool:
            return MADE == ["put a"]

        await eventually(first_made)
        await halt(system, kind="deny", value="put")
        response = await handle.result()
        made = await system.require_store().read(lambda db: effects.of_run(db, handle.id))
    assert "denied by an operator" in response.tool_calls[1]["result"]
    assert (MADE, len(made)) == (["put a"], 1)


async def test_an_effect_says_by_which_policy_and_ruling_it_was_made() -> None:
    async with embedded(desk, claude=[tool_use("grant", who="bob"), text("done")]) as system:
        await halt(system, kind="cap", value="0.9")
        handle = await desk.start("go")
        request = await one_pending(system)
        await system.approve(request)
        await handle.result()
        (made,) = await system.require_store().read(lambda db: effects.of_run(db, handle.id))
    assert (made["policy"], made["fence"], made["request"]) == (desk.fingerprint, 1, request.id)


async def test_a_child_run_has_no_more_trust_than_its_parent_and_inherits_its_taint() -> None:
    connected: list[Embedded] = []
    child = Agent(name="child", tools=[put], trust={"initial": 1.0, "permissions": {0.5: ["put"]}})

    @tool(effect="read")
    async def delegate(ctx: ToolContext) -> str:
        """Have another agent do it."""
        return (await child.start("put it", idempotency_key=ctx.idempotency_key, client=connected[0])).id

    parent = Agent(name="parent", tools=[delegate], trust={"initial": 0.3, "permissions": {0.1: ["delegate"]}})

    def script(body: dict[str, Any]) -> Any:
        asked = len(body["messages"])
        tools = [told["name"] for told in body["tools"]]
        return text("done") if asked > 1 else tool_use("delegate") if "delegate" in tools else tool_use("put", what="a")

    async with embedded(parent, child, claude=script) as system:
        connected.append(system)
        await parent.run("go", tainted=True)
        request = await one_pending(system)
        assert request.why.startswith("put needs level 0.5, and the agent has 0.3")
        assert "is not found in trusted text" in request.why
        await system.approve(request)

        async def made() -> bool:
            return MADE == ["put a"]

        await eventually(made)


async def test_what_cannot_be_followed_is_refused_where_it_is_written() -> None:
    async with embedded(desk, claude=[text("x")]) as system:
        for kind, value in (("deny", "re*fund"), ("cap", "0.35"), ("limit", "put"), ("limit", "put=often")):
            with pytest.raises((BadInput, ConfigError, ValueError)):
                await halt(system, kind=kind, value=value)
        with pytest.raises(NotFound, match="did you mean 'desk'"):
            await system.restrictions.subject("desc")
        assert await system.restrictions.subject("desk") == ("*", "desk")
        await desk.run("go", tenant="desk")
        with pytest.raises(BadInput, match="an agent and a tenant"):
            await system.restrictions.subject("desk")


async def test_halt_and_resume_on_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    async with embedded(desk, claude=SLOW) as system:
        address = system.temporal.service_client.config.target_host
        for name, value in (("TENURE_HOME", str(system.settings.home)), ("TEMPORAL_ADDRESS", address)):
            monkeypatch.setenv(name, value)

        async def tenure(*words: str) -> Any:
            return await asyncio.to_thread(CliRunner().invoke, main, list(words), env=dict(os.environ))

        assert "nothing is restricted" in (await tenure("halt")).output
        handle = await desk.start("go")
        told = await tenure("halt", "desk", "--reason", "a strange refund")
        assert (told.exit_code, "agent desk halted: a strange refund" in told.output) == (0, True), told.output
        await status_is(handle, "waiting")
        document = json.loads((await tenure("halt", "--json")).stdout)
        assert (document[0]["agent"], document[0]["kind"], document[0]["fence"]) == ("desk", "halt", 1)
        told = await tenure("resume", "desk")
        assert told.output == "agent desk: 1 restriction lifted; 1 waiting run told\n"
        assert (await tenure("resume", "desk")).exit_code == 1
        assert (await handle.result()).success
        assert "did you mean 'desk'" in (await tenure("halt", "desck", "--reason", "x")).output
