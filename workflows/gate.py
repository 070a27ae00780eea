"""The gate: every call is ruled on, from recorded policy, before it is made.

Rules of this file: pure, over recorded values. Today's checks: the tool is declared, its effect, an outcome left unknown.
"""

from __future__ import annotations

from tenure.run import Effect, Snapshot, ToolFacts
from tenure.trust.ruling import Allow, Ask, Decision, Deny, Ruling, rule

ASKING = {Effect.DESTRUCTIVE, Effect.PRIVILEGED}


def gate(agent: Snapshot, tool: str, same_call: str, unknown: list[str]) -> Ruling:
    """The ruling on a call of `tool`; `same_call` names the tool with these arguments, whatever its place in the run."""
    facts = agent.tools.get(tool)
    if facts is None:
        return rule([Deny(f"{agent.agent} has no tool {tool!r}")])
    return rule([_effect(tool, facts), _unknown(tool, same_call, unknown)])


def quorum(facts: ToolFacts) -> int:
    """How many different people must approve a call of this tool."""
    return 2 if facts.effect in ASKING else 1


def _effect(tool: str, facts: ToolFacts) -> Decision:
    return Ask(f"{tool} is {facts.effect}") if facts.effect in ASKING else Allow()


def _unknown(tool: str, same_call: str, unknown: list[str]) -> Decision:
    if same_call in unknown:
        return Ask(f"{tool} was called with these arguments before and nobody knows whether it took effect")
    return Allow()
