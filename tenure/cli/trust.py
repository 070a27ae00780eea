"""`trust`: what an agent's levels of trust allow, as a table to review before anybody relies on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import click

from tenure.cli.trust_of import carry, restore, show, stats
from tenure.errors import BadInput

if TYPE_CHECKING:
    from tenure.spec import AgentSpec
    from tenure.trust import Trust
    from tenure.trust.config import Permit, ToolRule
    from tenure.trust.terms import Terms
    from tenure.wire import JsonObject

T = TypeVar("T", "Permit", "ToolRule")
MARKS = {"allow": "A", "ask": "?", "deny": "–"}
LEGEND = "A: is made   ?: a person is asked   –: denied"


class Trusts(click.Group):
    """Commands about trust; a word that names none of them is an agent to show."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command, and what is left for it."""
        known = not args or args[0] in self.commands or args[0].startswith("-")
        return super().resolve_command(ctx, args if known else ["show", *args])


@click.group(cls=Trusts, invoke_without_command=True)
@click.pass_context
def trust(context: click.Context) -> None:
    """What agents may do, by their level of trust: `tenure trust AGENT` shows where one stands."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for command in (show, stats, restore, carry):
    trust.add_command(command)


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
    click.echo(LEGEND)
    for line in _notes(agent.trust):
        click.echo(line)


def _notes(trust: Trust) -> list[str]:
    """What the table cannot show: on which terms people approve, and that where arguments come from counts as well."""
    told = [f"{written} is approved by {_terms(approval.terms)}" for written, approval in trust.approvals.items()]
    return [*told, "In a run that has read untrusted text, A is ? where an argument is not found in trusted text."]


def _terms(terms: Terms) -> str:
    who = f"{terms.quorum} {'person' if terms.quorum == 1 else 'people'}"
    who += f" as {' and '.join(terms.roles)}" if terms.roles else ""
    hours = f"{terms.deadline / 3600:g} h"
    via = f", by {terms.via[0]} only" if len(terms.via) == 1 else ""
    return f"{who} within {hours}{via}; nobody: {'the run halts' if terms.on_timeout == 'halt' else 'denied'}"


def _document(agent: AgentSpec) -> JsonObject:
    from tenure.trust import level

    if agent.trust is None:
        return {"agent": agent.name, "trust": None}
    return {
        "agent": agent.name,
        "initial": level.shown(agent.trust.initial),
        "cap": level.shown(agent.trust.cap),
        "approvals": {written: one.terms.model_dump() for written, one in agent.trust.approvals.items()},
        "calls": [
            {"call": line["call"], **{level.shown(at): told for at, told in enumerate(line["levels"])}}
            for line in lines(agent)
        ],
    }


def lines(agent: AgentSpec) -> list[JsonObject]:
    """For each tool, and for each condition on its arguments, what every level from 0 to 1 makes of the call."""
    found: list[JsonObject] = []
    for name, facts in agent.snapshot().tools.items():
        permits, narrow = _parted(facts.permits)
        rules, special = _parted(facts.rules)
        found.append(_line(name, name, permits, rules))
        found += [_line(name, f"  {told.permission}", [*permits, told], rules) for told in narrow]
        # Of a call that a rule with conditions means, any permit may hold: what the rule leaves of it at most.
        found += [_line(name, f"  {told.permission}", facts.permits, [*rules, told]) for told in special]
    return found


def _line(tool: str, call: str, permits: list[Permit], rules: list[ToolRule]) -> JsonObject:
    from tenure.trust import level
    from tenure.trust.checks import by_level, by_rules
    from tenure.trust.ruling import rule

    rulings = [rule([*by_rules(rules), by_level(tool, permits, has)]) for has in range(level.MOST + 1)]
    return {"call": call, "levels": [type(ruling.decision).__name__.lower() for ruling in rulings]}


def _parted(told: list[T]) -> tuple[list[T], list[T]]:
    """Those without conditions, and those with."""
    from tenure.trust.grammar import parse

    plain = [one for one in told if not parse(one.permission).conditions]
    return plain, [one for one in told if one not in plain]
