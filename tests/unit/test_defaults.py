"""An argument with a default is judged as what the tool would get: by the gate, before the effect, and for who approves."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given

from tenure import Agent, Tool, tool
from tenure.run import Effect, RunRequest, RunState, Snapshot, ToolFacts
from tenure.trust.checks import Case, checks
from tenure.trust.config import ApprovalRule, Permit, ToolRule
from tenure.trust.known import defaults
from tenure.trust.level import MOST
from tenure.trust.restrictions import Standing
from tenure.trust.ruling import Allow, Deny
from tenure.trust.terms import Terms
from tenure.workflows.gate import gate, terms_of
from tests.unit.policies import ARGUMENTS, CASES, TERMS, ruled


@tool(effect="write")
async def close_task(task: str, refund: int = 0) -> str:
    """Close a task."""
    return f"{task} {refund}"


@tool(effect="read")
async def get_task(task: str) -> str:
    """Get a task."""
    return task


def state(facts: ToolFacts, level: int | None = MOST, standing: Standing | None = None) -> RunState:
    snapshot = Snapshot(agent="desk", fingerprint="f", model="m", level=level, tools={"t": facts})
    return RunState(request=RunRequest(agent="desk"), snapshot=snapshot, standing=standing or Standing())


def schema(of: Tool) -> Any:
    return of.manifest["input_schema"]


@given(CASES, ARGUMENTS, TERMS)
def test_a_call_that_leaves_an_argument_with_a_default_out_is_judged_as_if_it_gave_it(
    case: Case, told: dict[str, Any], terms: Terms
) -> None:
    facts = ToolFacts(
        effect=Effect(case.effect),
        permits=list(case.permits),
        rules=list(case.rules),
        approvals=[ApprovalRule(permission=one.permission, terms=terms) for one in case.rules],
        defaults=told,
    )
    run, whole = state(facts, case.level, case.standing), {**told, **case.arguments}
    assert gate(run, "t", case.arguments) == gate(run, "t", whole)
    assert terms_of(facts, case.arguments) == terms_of(facts, whole)


@given(CASES, ARGUMENTS)
def test_a_default_never_makes_a_call_stricter(case: Case, told: dict[str, Any]) -> None:
    """Without it the argument would be missing: that allows nothing, and every denial applies."""
    filled = dataclasses.replace(case, arguments={**told, **case.arguments})
    assert ruled(checks(filled)) <= ruled(checks(case))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [({}, Allow), ({"b": 3}, Allow), ({"b": 4}, Deny), ({"b": None}, Deny), ({"b": "0"}, Deny)],
)
def test_what_is_given_is_judged_and_not_the_default(arguments: dict[str, Any], expected: type) -> None:
    told = "t(b > 3)"
    facts = ToolFacts(
        permits=[Permit(level=0, permission="t")],
        rules=[ToolRule(decision="deny", permission=told)],
        approvals=[ApprovalRule(permission=told, terms=Terms(quorum=3))],
        defaults={"b": 0},
    )
    assert isinstance(gate(state(facts), "t", arguments).decision, expected)
    assert terms_of(facts, arguments).quorum == (1 if expected is Allow else 3)


@pytest.mark.parametrize(("denied", "expected"), [("t(b > 3)", Allow), ("t(b >= 0)", Deny)])
def test_an_operators_denial_judges_the_default_as_well(denied: str, expected: type) -> None:
    facts = ToolFacts(permits=[Permit(level=0, permission="t")], defaults={"b": 0})
    assert isinstance(gate(state(facts, standing=Standing(denied=[denied])), "t", {}).decision, expected)


def test_the_defaults_of_a_tool_are_those_of_its_schema() -> None:
    @tool(effect="read")
    async def find(name: str, limit: int = 3, tags: list[str] = [], country: str | None = None) -> str:  # noqa: B006  # as users write it
        """Find."""
        return f"{name} {limit} {tags} {country}"

    assert defaults(schema(find)) == {"limit": 3, "tags": [], "country": None}
    assert (defaults(schema(get_task)), defaults({})) == ({}, {})


def test_an_argument_that_must_be_given_has_no_default_whatever_its_schema_says() -> None:
    told = {"properties": {"a": {"type": "integer", "default": 1}}, "required": ["a"]}
    assert defaults(told) == {}


def test_defaults_stand_in_the_snapshot_and_change_no_fingerprint_beside_the_schema() -> None:
    agent = Agent(name="desk", tools=[close_task, get_task])
    assert agent.snapshot().tools["close_task"].defaults == {"refund": 0}
    assert "defaults" not in json.dumps(agent.manifest)
    assert "defaults" not in agent.facts["get_task"].model_dump(exclude_unset=True)
