"""Every parameter of Agent and @tool does something, and a test shows what: the table says which."""

from __future__ import annotations

import ast
import dataclasses
import inspect
from pathlib import Path
from typing import Any

import pytest

from tenure import Agent, ToolContext, tool
from tenure.spec import AgentSpec
from tenure.testing import embedded
from tenure.testing.scripted_claude import api_error, slow, text, tool_use
from tenure.tools import Tool

SCENARIOS, UNIT = Path(__file__).parent, Path(__file__).parents[1] / "unit"

AGENT = {
    "name": ("test_run", "test_runs_are_found_by_the_last_part_of_their_id_and_by_search_attributes"),
    "model": ("test_parameters", "test_what_an_agent_says_of_the_model_call_reaches_claude"),
    "instructions": ("test_run", "test_a_run_answers_and_tells_what_it_did"),
    "tools": ("test_run", "test_a_run_answers_and_tells_what_it_did"),
    "max_iterations": ("test_run", "test_the_iterations_are_bounded"),
    "max_tokens": ("test_parameters", "test_what_an_agent_says_of_the_model_call_reaches_claude"),
    "timeout": ("test_run", "test_an_iteration_that_takes_too_long_ends_the_run"),
    "error_threshold": ("test_run", "test_failed_calls_in_a_row_end_the_run"),
    "temperature": ("test_parameters", "test_what_an_agent_says_of_the_model_call_reaches_claude"),
    "effort": ("test_parameters", "test_what_an_agent_says_of_the_model_call_reaches_claude"),
    "context_window": ("test_context", "test_over_context_window_the_oldest_tool_results_are_cleared_first"),
    "state": ("test_parameters", "test_a_run_begins_with_the_agent_s_state_and_the_caller_s_over_it"),
    "required_state": ("test_hooks", "test_a_run_halts_when_required_state_is_missing"),
    "roles": ("test_tool_policy", "test_a_role_is_shown_and_may_use_only_its_tools"),
    "rate_limits": (
        "test_tool_policy",
        "test_a_call_beyond_a_long_limit_is_not_made_and_claude_is_told_when_it_can_be",
    ),
    "trust": ("test_trust", "test_what_needs_a_higher_level_waits_for_people_who_read_which"),
    "optimization": ("test_budget", "test_what_is_left_bounds_the_length_of_the_answer_and_then_the_run_stops"),
    "learning": ("test_learning", "test_ten_similar_requests_become_a_capability_that_serves_everybody"),
    "until": ("test_run", "test_until_is_asked_before_every_model_call"),
    "on_iteration": ("test_hooks", "test_on_iteration_hears_of_every_iteration_with_its_calls"),
    "on_tool_call": ("test_hooks", "test_on_tool_call_may_change_the_input_and_claude_is_told"),
    "on_error": ("test_hooks", "test_on_error_may_stop_the_run"),
    "on_response": ("test_hooks", "test_on_response_may_approve_or_rewrite_the_final_answer"),
    "evaluate": ("test_hooks", "test_evaluate_judges_the_run_after_its_end"),
}
TOOL = {
    "function": ("test_parameters", "test_a_tool_may_be_made_of_any_function_under_another_name"),
    "name": ("test_parameters", "test_a_tool_may_be_made_of_any_function_under_another_name"),
    "description": ("test_parameters", "test_a_tool_may_be_made_of_any_function_under_another_name"),
    "effect": ("test_run", "test_reads_run_side_by_side_and_writes_in_the_order_of_the_turn"),
    "idempotent": ("test_tools_in_runs", "test_an_idempotent_write_is_tried_again_with_the_same_key"),
    "timeout": ("test_parameters", "test_a_tool_has_a_time_out_of_its_own"),
    "retries": ("test_tools_in_runs", "test_a_read_that_fails_is_tried_again"),
    "poll": ("test_run", "test_a_polling_tool_may_ask_the_same_thing_again"),
    "output": ("test_parameters", "test_what_is_trusted_of_a_tool_stands_in_the_run_s_snapshot"),
    "sinks": ("test_parameters", "test_what_is_trusted_of_a_tool_stands_in_the_run_s_snapshot"),
    "cache": ("test_shared_reads", "test_a_read_of_one_run_answers_another_run_of_the_tenant_and_says_so"),
    "invalidates": ("test_tool_policy", "test_invalidates_names_the_only_reads_that_a_call_makes_stale"),
}


@pytest.mark.parametrize(
    ("declared", "shown"),
    [(set(AgentSpec.model_fields), AGENT), ({field.name for field in dataclasses.fields(Tool)}, TOOL)],
    ids=["Agent", "@tool"],
)
def test_each_parameter_is_shown_by_a_test(declared: set[str], shown: dict[str, tuple[str, str]]) -> None:
    assert declared == set(shown)
    for file, name in shown.values():
        assert f"def {name}(" in (SCENARIOS / f"{file}.py").read_text(), (file, name)


def test_the_typed_constructor_takes_every_parameter() -> None:
    tree = ast.parse(Path(inspect.getfile(Agent)).read_text())
    [written] = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "__init__"]
    assert {argument.arg for argument in written.args.kwonlyargs} == set(AgentSpec.model_fields)


async def test_what_an_agent_says_of_the_model_call_reaches_claude() -> None:
    said = {"model": "claude-opus-5-5", "max_tokens": 777, "temperature": 0.25, "effort": "low"}
    agent = Agent(name="desk", **said)  # type: ignore[arg-type]  # a table of values
    async with embedded(agent, claude=[text("ok")]) as system:
        await agent.run("go")
        assert system.claude is not None
        body = system.claude.requests[0].body
    asked = {name: body[name] for name in ("model", "max_tokens", "temperature")}
    assert {**asked, "effort": body["output_config"]["effort"]} == said


async def test_a_model_that_will_not_have_a_tool_strict_gets_it_without() -> None:
    @tool(effect="read")
    async def look(what: str) -> str:
        """Look."""
        return what

    def refuse_strictness(body: dict[str, Any]) -> Any:
        if any(told.get("strict") for told in body["tools"]):
            return api_error(400, "invalid_request_error", "Schema is too complex for compilation")
        return text("ok") if len(body["messages"]) > 1 else tool_use("look", what="x")

    agent = Agent(name="desk", tools=[look])
    async with embedded(agent, claude=refuse_strictness) as system:
        assert (await agent.run("go")).message == "ok"
        assert system.claude is not None
        assert ["strict" in request.body["tools"][0] for request in system.claude.requests] == [True, False, False]


async def test_a_run_begins_with_the_agent_s_state_and_the_caller_s_over_it() -> None:
    agent = Agent(name="desk", state={"shop": "north", "open": True})
    async with embedded(agent, claude=[text("ok")]):
        response = await agent.run("go", state={"open": False})
    assert response.state == {"shop": "north", "open": False}


async def test_a_tool_may_be_made_of_any_function_under_another_name() -> None:
    def lower(text: str) -> str:
        """Not what Claude is told."""
        return text.lower()

    agent = Agent(name="desk", tools=[Tool(name="quiet", description="Make it quiet.", function=lower, effect="read")])  # type: ignore[arg-type]
    async with embedded(agent, claude=[tool_use("quiet", text="SHOUT"), text("ok")]) as system:
        response = await agent.run("go")
        assert system.claude is not None
        [told] = system.claude.requests[0].body["tools"]
    assert (told["name"], told["description"]) == ("quiet", "Make it quiet.")
    assert response.tool_calls[0]["result"] == "shout"


async def test_a_tool_has_a_time_out_of_its_own() -> None:
    import asyncio

    @tool(effect="read", timeout=0.2, retries=0)
    async def hang() -> str:
        """Hang."""
        await asyncio.Event().wait()
        return "never"

    agent = Agent(name="desk", tools=[hang], timeout=50)
    async with embedded(agent, claude=[tool_use("hang"), text("ok")]):
        response = await agent.run("go")
    assert response.tool_calls[0]["result"] == "hang did not return within 0.2 s"


async def test_what_is_trusted_of_a_tool_stands_in_the_run_s_snapshot() -> None:
    from tenure.runtime import history

    @tool(effect="egress", output={"id", "tickets[].status"}, sinks=["to"])
    async def mail(to: str, body: str) -> dict[str, Any]:
        """Mail."""
        return {"id": to + body}

    agent = Agent(name="desk", tools=[mail])
    async with embedded(agent, claude=[text("ok")]) as system:
        response = await agent.run("go")
        told = await history.read(system.temporal, response.id)
    assert told.snapshot is not None
    facts = told.snapshot.tools["mail"]
    assert (facts.output, facts.sinks) == (["id", "tickets[].status"], ["to"])
    other = Agent(name="desk", tools=[dataclasses.replace(mail, sinks=None)])
    assert other.fingerprint != agent.fingerprint


async def test_a_tool_that_is_told_its_role_and_user_knows_who_asks() -> None:
    @tool(effect="read")
    async def who(ctx: ToolContext) -> list[str | None]:
        """Tell who asks."""
        return [ctx.tenant, ctx.user, ctx.role]

    agent = Agent(name="desk", tools=[who])
    async with embedded(agent, claude=[tool_use("who"), slow("ok", 0.0)]):
        response = await agent.run("go", tenant="acme", user="alice", role="clerk")
    assert response.tool_calls[0]["result"] == ["acme", "alice", "clerk"]
