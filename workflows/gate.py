"""The gate: every call is ruled on, from recorded policy, before it is made.

Rules of this file: pure, over recorded values; every check is made and every reason kept. Today's checks: the tool is declared, the
role, what `trust` denies or asks whatever the level, the level it requires (without `trust`: its effect), an outcome left unknown.
"""

from __future__ import annotations

from tenure.run import Effect, RunState, Snapshot, ToolFacts
from tenure.trust.checks import by_level, by_rules
from tenure.trust.grammar import parse
from tenure.trust.pattern import any_matches
from tenure.trust.ruling import Allow, Ask, Decision, Deny, Ruling, rule
from tenure.wire import JsonObject

ASKING = {Effect.DESTRUCTIVE, Effect.PRIVILEGED}


def gate(run: RunState, tool: str, arguments: JsonObject, same_call: str) -> Ruling:
    """The ruling on a call of `tool`; `same_call` names the tool with these arguments, whatever its place in the run."""
    agent = run.agent
    facts = agent.tools.get(tool)
    if facts is None:
        return rule([Deny(f"{agent.agent} has no tool {tool!r}")])
    checks = [_role(agent, run.request.role, tool), _unknown(tool, same_call, run.unknown)]
    if agent.level is None:
        return rule([*checks, _effect(tool, facts)])
    return rule([*checks, *_trust(tool, facts, arguments, agent.level)])


def quorum(facts: ToolFacts) -> int:
    """How many different people must approve a call of this tool."""
    return 2 if facts.effect in ASKING else 1


def _role(agent: Snapshot, role: str | None, tool: str) -> Decision:
    if not agent.roles or any_matches(agent.roles.get(role or "", []), tool):
        return Allow()
    return Deny(f"the role {role!r} may not use {tool}")


def _trust(tool: str, facts: ToolFacts, arguments: JsonObject, has: int) -> list[Decision]:
    rules = [rule for rule in facts.rules if parse(rule.permission).restricts(arguments)]
    permits = [permit for permit in facts.permits if parse(permit.permission).allows(arguments)]
    what = f"{tool} with these arguments" if facts.permits and not permits else tool
    return [*by_rules(rules), by_level(what, permits, has)]


def _effect(tool: str, facts: ToolFacts) -> Decision:
    return Ask(f"{tool} is {facts.effect}") if facts.effect in ASKING else Allow()


def _unknown(tool: str, same_call: str, unknown: list[str]) -> Decision:
    if same_call in unknown:
        return Ask(f"{tool} was called with these arguments before and nobody knows whether it took effect")
    return Allow()
