"""A policy may speak of tools and arguments that the agent has: what would protect nothing is refused, with what was meant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pydantic import BaseModel

from tenure import Agent, tool
from tenure.cli import main
from tenure.errors import ConfigError


class Payee(BaseModel):
    """Where money goes."""

    country: str
    name: str = "?"


@dataclass
class Line:
    """A line of an order."""

    item: str


@tool(effect="write")
async def close_task(task: str, refund: int = 0) -> str:
    """Close a task."""
    return f"{task} {refund}"


@tool(effect="write")
async def pay(to: Payee | None, lines: list[Line], free: dict[str, Any], amount: float = 1.5) -> str:
    """Pay."""
    return f"{to} {lines} {free} {amount}"


@tool(effect="read")
async def get_task(task: str) -> str:
    """Get a task."""
    return task


def desk(**policy: Any) -> Agent:
    return Agent(name="desk", tools=[close_task, pay, get_task], **policy)


def trusting(**trust: Any) -> Agent:
    return desk(trust={"initial": 0.3, **trust})


PROTECTING: dict[str, dict[str, Any]] = {
    "a denial": {"trust": {"initial": 0.3, "tool_rules": {"clse*": "deny"}}},
    "a rule that asks": {"trust": {"initial": 0.3, "tool_rules": {"clse*": "ask"}}},
    "terms of approval": {"trust": {"initial": 0.3, "approvals": {"clse*": {"quorum": 2}}}},
    "a rate limit": {"rate_limits": {"clse*": "1/hour"}},
    "all that a role may use": {"roles": {"clerk": ["clse*"]}},
}


@pytest.mark.parametrize("what", PROTECTING)
def test_what_would_protect_nothing_is_refused_with_the_tool_that_was_meant(what: str) -> None:
    with pytest.raises(ConfigError, match=r"'clse\*' names no tool of this agent: did you mean 'close_task'\?"):
        desk(**PROTECTING[what])


def test_a_name_that_is_far_from_all_tools_is_refused_with_all_of_them() -> None:
    with pytest.raises(
        ConfigError, match="tool_rules: 'zz' names no tool of this agent: it has close_task, get_task, pay"
    ):
        trusting(tool_rules={"zz": "deny"})


def test_a_grant_may_name_what_is_not_there_yet_and_the_worker_says_so() -> None:
    agent = desk(
        trust={"initial": 0.3, "permissions": {0.5: ["mcp__*(amount < 3)"]}}, roles={"clerk": ["get_*", "mcp__*"]}
    )
    assert agent.idle_patterns() == [("roles['clerk']", "mcp__*"), ("trust.permissions[0.5]", "mcp__*")]


def test_a_star_means_whatever_tools_there_are_and_an_empty_role_is_meant() -> None:
    star = {"trust": {"initial": 0, "tool_rules": {"*": "ask"}}, "rate_limits": {"*": "1/s"}}
    Agent(name="empty", roles={"boss": ["*"], "guest": []}, **star)  # type: ignore[arg-type]


WRITTEN: dict[str, Callable[[str], dict[str, Any]]] = {
    "a permission": lambda told: {"permissions": {0.5: [told]}},
    "a tool rule": lambda told: {"tool_rules": {told: "deny"}},
    "terms of approval": lambda told: {"approvals": {told: {"quorum": 2}}},
}


@pytest.mark.parametrize("where", WRITTEN)
@pytest.mark.parametrize(
    ("told", "said"),
    [
        ("close_task(amount < 3)", "close_task has no argument 'amount': it has refund, task"),
        ("close_task(refnd > 3)", r"close_task has no argument 'refnd': did you mean 'refund'\? It has refund, task"),
        ("close_task(task == 'x', refnd > 3)", "no argument 'refnd'"),
        ("close*(refnd > 3)", "close_task has no argument 'refnd'"),
        ("pay(to.contry == 'CH')", r"no argument 'to.contry': did you mean 'to.country'\? It has to.country, to.name"),
        ("pay(amount.cents > 3)", "no argument 'amount.cents': 'amount' has no fields"),
        ("pay(lines.item == 'x')", "no argument 'lines.item': 'lines' has no fields"),
        ("get_task(refund > 3)", "get_task has no argument 'refund': it has task"),
    ],
)
def test_a_condition_on_an_argument_that_the_tool_does_not_take_is_refused(where: str, told: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        trusting(**WRITTEN[where](told))


@pytest.mark.parametrize("where", WRITTEN)
@pytest.mark.parametrize(
    "told",
    ["close_task(refund > 3)", "pay(to.country == 'CH')", "pay(free.whatever == 1)", "pay(amount > 3, to == null)"],
)
def test_a_condition_may_name_what_the_tool_takes_also_inside(where: str, told: str) -> None:
    trusting(**WRITTEN[where](told))


def test_what_grants_to_many_tools_grants_to_those_that_take_the_argument() -> None:
    agent = trusting(permissions={0.5: ["*(refund <= 3)"]})
    assert [bool(agent.facts[name].permits) for name in ("close_task", "get_task")] == [True, True]
    with pytest.raises(ConfigError, match=r"'\*\(refnd <= 3\)': close_task has no argument 'refnd'"):
        trusting(permissions={0.5: ["*(refnd <= 3)"]})


def test_what_denies_many_tools_must_be_about_each_of_them() -> None:
    """Where the argument is always missing the condition would always apply."""
    with pytest.raises(ConfigError, match=r"pay has no argument 'refund': .*; it would always apply"):
        trusting(tool_rules={"*(refund > 3)": "deny"})


def test_trust_compile_shows_no_table_of_a_policy_that_cannot_be_meant(tmp_path: Path) -> None:
    module = tmp_path / "trusted.py"
    module.write_text(
        "from tests.unit.test_known import trusting\n\nagent = trusting(permissions={0.3: ['close_task(amount < 3)']})\n"
    )
    told = CliRunner().invoke(main, ["trust", "compile", f"{module}:agent"])
    assert (told.exit_code != 0, told.stdout) == (True, "")
    assert "close_task has no argument 'amount'" in f"{told.output}{told.exception}"


@pytest.mark.parametrize(
    "name", ["tool_rules", "toolRules", "approvals", "permissions", "rules", "evidence", "initial", "cap"]
)
def test_what_belongs_inside_trust_is_sent_there(name: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"no parameter '{name}': write trust=Trust\({name}=\.\.\.\), with `from tenure.trust"
    ):
        desk(**{name: {}})
