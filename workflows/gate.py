"""The gate: every call is ruled on, from recorded policy, before it is made.

Rules of this file: pure, over recorded values; the checks themselves are in `tenure.trust.checks`, because `act` makes them again
from what it knows itself.
"""

from __future__ import annotations

from tenure.run import OpenTurn, RunState, ToolFacts
from tenure.trust.checks import Case, checks
from tenure.trust.grammar import parse
from tenure.trust.ruling import Deny, Ruling, rule
from tenure.trust.terms import Terms, for_call
from tenure.wire import JsonObject


def gate(run: RunState, tool: str, arguments: JsonObject, *, taint: str = "", doubt: str = "") -> Ruling:
    """The ruling on a call of `tool`; `taint` and `doubt` say why a person must look at it whatever the level."""
    facts = run.agent.tools.get(tool)
    if facts is None:
        return rule([Deny(f"{run.agent.agent} has no tool {tool!r}")])
    return rule(checks(case_of(run, tool, facts, arguments, taint, doubt)))


def case_of(run: RunState, tool: str, facts: ToolFacts, arguments: JsonObject, taint: str, doubt: str) -> Case:
    """The call, and what the run knows that bears on it."""
    agent, request = run.agent, run.request
    more = {} if request.cap is None else {"cap": request.cap}
    return Case(
        tool=tool,
        arguments=facts.given(arguments),
        effect=facts.effect,
        level=agent.level,
        permits=facts.permits,
        rules=facts.rules,
        role=request.role,
        role_may=agent.roles.get(request.role or "", []) if agent.roles else None,
        standing=run.standing,
        taint=taint,
        doubt=doubt,
        **more,
    )


def terms_of(facts: ToolFacts, arguments: JsonObject) -> Terms:
    """On which terms people approve a call."""
    applying = [told.terms for told in facts.approvals if parse(told.permission).restricts(facts.given(arguments))]
    return for_call(facts.effect, applying)


def doubt_of(run: RunState, turn: OpenTurn, index: int, tool: str, same_call: str) -> str:
    """Why a person must look at the call itself; `same_call` names the tool with these arguments."""
    if same_call in run.unknown:
        return f"{tool} was called with these arguments before and nobody knows whether it took effect"
    return "a person has edited this call" if index in turn.edited else ""
