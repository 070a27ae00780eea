"""What an agent may do at its level of trust: allowed, asked or denied, and never more than is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tenure import Agent, StopReason, tool
from tenure.cli import main
from tenure.errors import ConfigError
from tenure.testing import embedded
from tenure.testing.scripted_claude import text, tool_use
from tenure.trust import Rule, Trust
from tests.waiting import one_pending

MADE: list[str] = []


@pytest.fixture(autouse=True)
def _nothing_made() -> None:
    MADE.clear()


@tool(effect="read")
async def get_ticket(ticket: str) -> str:
    """Get a ticket."""
    MADE.append(f"get_ticket {ticket}")
    return "open"


@tool(effect="write", idempotent=True)
async def update_ticket(ticket: str, status: str) -> str:
    """Update a ticket."""
    MADE.append(f"update_ticket {ticket} {status}")
    return "updated"


@tool(effect="privileged")
async def refund(amount: int) -> str:
    """Refund."""
    MADE.append(f"refund {amount}")
    return f"refunded {amount}"


@tool(effect="destructive")
async def wipe() -> str:
    """Wipe everything."""
    MADE.append("wipe")
    return "wiped"


@tool(effect="write", idempotent=True)
async def close_task(task: str, refund: int = 0) -> str:
    """Close a task, and pay money back where some is named."""
    MADE.append(f"close_task {task} {refund}")
    return "closed"


CLOSING: dict[str, Any] = {
    "permissions": {0.5: ["close_task(refund <= 500)"]},
    "tool_rules": {"close_task(refund > 500)": "deny"},
    "approvals": {"close_task(refund > 100)": {"quorum": 2, "role": "finance"}},
}
TOOLS = [get_ticket, update_ticket, refund, wipe]
TRUST: dict[str, Any] = {
    "initial": 0.3,
    "permissions": {
        0.1: ["get_*"],
        0.5: ["update_ticket"],
        0.3: ["refund(amount <= 50)"],
        0.9: ["refund(amount <= 500)"],
    },
}


def desk(**trust: Any) -> Agent:
    return Agent(name="desk", tools=TOOLS, trust={**TRUST, **trust})


async def test_what_the_level_allows_is_made_without_asking_whatever_its_effect() -> None:
    agent = desk()
    async with embedded(agent, claude=[tool_use("get_ticket", ticket="t1"), tool_use("refund", amount=50), text("ok")]):
        response = await agent.run("look at t1 and refund 50")
    assert (response.message, MADE) == ("ok", ["get_ticket t1", "refund 50"])


async def test_what_needs_a_higher_level_waits_for_people_who_read_which() -> None:
    agent = desk()
    async with embedded(agent, claude=[tool_use("refund", amount=51), text("ok")]) as system:
        handle = await agent.start("go")
        request = await one_pending(system)
        assert (request.why, request.quorum) == ("refund needs level 0.9, and the agent has 0.3", 2)
        await system.approve(request)
        assert (await handle.result()).message == "ok"
    assert MADE == ["refund 51"]


async def test_what_no_level_allows_is_denied_and_not_even_shown_to_claude() -> None:
    agent = desk()
    script = [[tool_use("wipe"), tool_use("refund", amount=501), tool_use("get_ticket", ticket="t1")], text("ok")]
    async with embedded(agent, claude=script) as system:
        response = await agent.run("go")
        assert system.claude is not None
        shown = [told["name"] for told in system.claude.requests[0].body["tools"]]
    assert shown == ["get_ticket", "update_ticket", "refund"]
    assert [call["result"] for call in response.tool_calls[:2]] == [
        "no level of trust allows wipe",
        "no level of trust allows refund with these arguments",
    ]
    assert MADE == ["get_ticket t1"]


async def test_a_tool_rule_beats_the_level_and_a_denial_beats_an_ask() -> None:
    rules = {"refund(amount > 40)": "ask", "refund(amount > 45)": "deny", "get_ticket": "deny"}
    agent = desk(initial=1.0, tool_rules=rules)
    script = [tool_use("refund", amount=46), tool_use("refund", amount=41), text("ok")]
    async with embedded(agent, claude=script) as system:
        handle = await agent.start("go")
        request = await one_pending(system)
        assert (request.payload["arguments"], request.why) == ({"amount": 41}, "refund(amount > 40) is always asked")
        await system.approve(request)
        response = await handle.result()
        assert system.claude is not None
        assert "get_ticket" not in [told["name"] for told in system.claude.requests[0].body["tools"]]
    assert response.tool_calls[0]["result"] == "refund(amount > 45) is denied; refund(amount > 40) is always asked" or (
        response.tool_calls[0]["result"] == "refund(amount > 45) is denied"
    )
    assert MADE == ["refund 41"]


async def test_a_rule_about_an_argument_with_a_default_judges_the_default_where_it_is_left_out() -> None:
    agent = Agent(name="desk", tools=[close_task], trust={**CLOSING, "initial": 0.5})
    script = [[tool_use("close_task", task="t1"), tool_use("close_task", task="t2", refund=501)], text("ok")]
    async with embedded(agent, claude=script):
        response = await agent.run("close t1 and t2, with 501 for t2")
    told = [call["result"].partition(";")[0] for call in response.tool_calls]
    assert told == ["closed", "close_task(refund > 500) is denied"]
    assert MADE == ["close_task t1 0"]


async def test_and_so_do_the_people_whom_a_default_does_not_concern() -> None:
    agent = Agent(name="desk", tools=[close_task], trust={**CLOSING, "initial": 0.3})
    async with embedded(agent, claude=[tool_use("close_task", task="t1"), text("ok")]) as system:
        handle = await agent.start("close t1")
        request = await one_pending(system)
        assert (request.quorum, request.roles) == (1, [])
        await system.approve(request)
        assert (await handle.result()).message == "ok"
    assert MADE == ["close_task t1 0"]


async def test_the_cap_holds_whatever_the_initial_level_would_allow() -> None:
    with pytest.raises(ConfigError, match=r"initial=0.9 is above cap=0.5"):
        desk(initial=0.9, cap=0.5)


def test_the_fingerprint_changes_with_what_is_permitted() -> None:
    assert desk().fingerprint != desk(permissions={0.1: ["get_*"]}).fingerprint
    assert desk().fingerprint != desk(initial=0.4).fingerprint


def test_trust_may_be_written_as_values_or_as_json_in_either_case() -> None:
    rule = {"metric": "success_rate", "threshold": 0.95, "action": "increment", "amount": 0.1}
    written = Trust(initial=0.3, rules=[Rule("success_rate", 0.95, "increment", 0.1)], tool_rules={"wipe": "deny"})  # type: ignore[arg-type]
    loaded = Trust.model_validate({"initial": 0.3, "rules": [rule], "toolRules": {"wipe": "deny"}})
    assert written == loaded


@pytest.mark.parametrize(
    ("trust", "told"),
    [
        ({"initial": 0.35}, "the nearest is 0.4"),
        ({"initial": 2}, "outside 0 to 1"),
        ({}, "trust.initial"),
        ("high", "must be a Trust"),
        ({"initial": 0.3, "permisions": {}}, "did you mean 'permissions'"),
        ({"initial": 0.3, "permissions": {0.3: ["a", "a"]}}, "'a' is written twice"),
        ({"initial": 0.3, "permissions": {0.3: ["a"], "0.3": ["b"]}}, "level 0.3 is written twice"),
        ({"initial": 0.3, "permissions": {0.3: "get_*"}}, "must be a list"),
        ({"initial": 0.3, "permissions": {0.3: ["get_tickets"]}}, "did you mean 'get_ticket'"),
        ({"initial": 0.3, "permissions": {0.3: ["refund(amount"]}}, "is no permission"),
        ({"initial": 0.3, "tool_rules": {"*": "deny", "wipe": "ask"}}, "never asked"),
        ({"initial": 0.3, "tool_rules": {"wipe": "allow"}}, "'deny' or 'ask'"),
        ({"initial": 0.3, "rules": [{"metric": "succes_rate", "threshold": 1, "action": "increment", "amount": 0.1}]},
         "did you mean 'success_rate'"),
        ({"initial": 0.3, "rules": [{"metric": "error_rate", "threshold": 0.1, "action": "increment", "amount": 0.15}]},
         "the nearest is 0.2"),
    ],
)  # fmt: skip
def test_a_trust_that_cannot_be_is_refused_where_it_is_written(trust: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        Agent(name="desk", tools=TOOLS, trust=trust)


VISION = Path(__file__).parents[3] / "shared" / "vision_configs.json"


@pytest.mark.skipif(not VISION.is_file(), reason="the vision's configurations are not part of the repository")
def test_the_vision_s_trust_loads_as_it_stands() -> None:
    agent = Agent(name="desk", tools=TOOLS, trust=json.loads(VISION.read_text())["trust"])
    assert agent.snapshot().level == 3
    assert ("trust.permissions[0.1]", "Read") in agent.idle_patterns()


async def test_an_agent_whose_trust_denies_everything_still_answers() -> None:
    agent = Agent(name="desk", tools=TOOLS, trust={"initial": 0})
    async with embedded(agent, claude=[text("I may do nothing.")]) as system:
        response = await agent.run("go")
        assert system.claude is not None
        assert "tools" not in system.claude.requests[0].body
    assert response.stop_reason is StopReason.ANSWERED


def test_trust_compile_prints_what_every_level_may_do(tmp_path: Path) -> None:
    module = tmp_path / "trusted.py"
    module.write_text(
        "from tests.scenarios.test_trust import desk\n\nagent = desk(tool_rules={'update_ticket': 'ask'})\n"
    )
    told = CliRunner().invoke(main, ["trust", "compile", f"{module}:agent"], env={"COLUMNS": "80"})
    assert told.exit_code == 0, told.output
    table = {line.split("  ")[0].strip(): line.split()[-11:] for line in told.stdout.splitlines()[2:]}
    assert "".join(table["get_ticket"]) == "?AAAAAAAAAA"
    assert "".join(table["update_ticket"]) == "???????????"
    assert "".join(table["wipe"]) == "–––––––––––"
    conditional = [line.split()[-11:] for line in told.stdout.splitlines() if "amount <= 50)" in line]
    assert "".join(conditional[0]) == "???AAAAAAAA"
    assert "A: is made   ?: a person is asked   –: denied" in told.stdout.splitlines()
    document = json.loads(CliRunner().invoke(main, ["trust", "compile", f"{module}:agent", "--json"]).stdout)[0]
    assert (document["initial"], document["calls"][0]["0.1"]) == ("0.3", "allow")
