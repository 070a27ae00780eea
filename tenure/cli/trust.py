"""`trust`: what an agent's levels of trust allow, as a table to review before anybody relies on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tenure.errors import BadInput

if TYPE_CHECKING:
    from tenure.spec import AgentSpec
    from tenure.wire import JsonObject

MARKS = {"allow": "A", "ask": "?", "deny": "–"}


@click.group()
def trust() -> None:
    """What agents may do, by their level of trust."""


@trust.command("compile")
@click.argument("agent", metavar="MODULE[:ATTR]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def compile_(agent: str, as_json: bool) -> None:
    """Print what each level allows (A), asks a person (?) and denies (–), tool by tool; nothing is run.

    A line below a tool holds for the arguments it names only.
    """
    from tenure.cli import render
    from tenure.runtime.registry import load

    agents = load(agent)
    if as_json:
        render.document([_document(one) for one in agents])
        return
    for one in agents:
        _print(one)


def _print(agent: AgentSpec) -> None:
    from tenure.cli import render
    from tenure.trust import level

    if agent.trust is None:
        raise BadInput(
            f"{agent.name} has no trust=: read, write and egress tools run, destructive and privileged ones ask"
        )
    begins = min(agent.trust.initial, agent.trust.cap)
    click.echo(f"{agent.name} begins at {level.shown(begins)}, cap {level.shown(agent.trust.cap)}")
    names = ("call", *(level.shown(one) for one in range(level.MOST + 1)))
    cells = [(line["call"], *(MARKS[told] for told in line["levels"])) for line in lines(agent)]
    render.put(render.console(), render.listing(names, cells, cut=(0,)))


def _document(agent: AgentSpec) -> JsonObject:
    from tenure.trust import level

    if agent.trust is None:
        return {"agent": agent.name, "trust": None}
    return {
        "agent": agent.name,
        "initial": level.shown(agent.trust.initial),
        "cap": level.shown(agent.trust.cap),
        "calls": [
            {"call": line["call"], **{level.shown(at): told for at, told in enumerate(line["levels"])}}
            for line in lines(agent)
        ],
    }


def lines(agent: AgentSpec) -> list[JsonObject]:
    """For each tool, and for each condition on its arguments, what every level from 0 to 1 makes of the call."""
    found: list[JsonObject] = []
    for name in agent.tool:
        facts = agent.snapshot().tools[name]
        free = _levels([p.level for p in facts.permits if "(" not in p.permission], _plain(agent, name))
        found.append({"call": name, "levels": free})
        found += [
            {"call": f"  {told.permission}", "levels": _levels([told.level, *_free(agent, name)], _plain(agent, name))}
            for told in facts.permits
            if "(" in told.permission
        ]
        found += [
            {"call": f"  {rule.permission}", "levels": [rule.decision] * 11}
            for rule in facts.rules
            if "(" in rule.permission
        ]
    return found


def _free(agent: AgentSpec, name: str) -> list[int]:
    return [p.level for p in agent.snapshot().tools[name].permits if "(" not in p.permission]


def _plain(agent: AgentSpec, name: str) -> str | None:
    """What the rules without conditions say of the tool: the stricter one."""
    told = [rule.decision for rule in agent.snapshot().tools[name].rules if "(" not in rule.permission]
    return "deny" if "deny" in told else "ask" if told else None


def _levels(allowed: list[int], rule: str | None) -> list[str]:
    if rule == "deny" or not allowed:
        return ["deny"] * 11
    return ["ask" if rule == "ask" or at < min(allowed) else "allow" for at in range(11)]
