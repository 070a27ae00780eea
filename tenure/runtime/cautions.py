"""Cautions: what an operator should know of an agent before it is left alone."""

from __future__ import annotations

from tenure.optimize.budget import AMOUNTS
from tenure.run import Effect
from tenure.runtime import routing
from tenure.spec import AgentSpec
from tenure.trust import Trust, level


def cautions_for(agent: AgentSpec) -> list[str]:
    """What an operator should know of an agent before it is left alone."""
    told = [f"{agent.name}: {where} {named!r} names no tool of it" for where, named in agent.idle_patterns()]
    told += _of_optimization(agent)
    told += [f"{agent.name}: {note}" for note in (agent.learning.notes if agent.learning else [])]
    if agent.trust is not None:
        return told + _of_trust(agent.name, agent.trust)
    if agent.tools:
        told.append(
            f"{agent.name} has no trust=: its read, write and egress tools run without asking, whoever chose what with"
        )
    asks = [t.name for t in agent.tools if t.effect in (Effect.DESTRUCTIVE, Effect.PRIVILEGED)]
    return [*told, f"{agent.name} asks two people for {', '.join(asks)}"] if asks else told


def _of_optimization(agent: AgentSpec) -> list[str]:
    how, told = agent.optimization, list[str]()
    if how and how.admit == "verified" and agent.evaluate is None and any(rule.kind != "canned" for rule in how.rules):
        told.append(
            f"{agent.name}: nothing verifies its answers, so one is given again only after `tenure feedback RUN good`: give it"
            " evaluate=, or say admit='answered'"
        )
    if how and "budget" in how.model_fields_set and agent.budget.bounds_nothing:
        told.append(f"{agent.name}: budget names no amount ({', '.join(AMOUNTS)}): it counts for operators' caps alone")
    if agent.budget.per_user is not None:
        told.append(
            f"{agent.name}: budget.per_user bounds no run that is started without a user; it counts what a user spends in a day"
            " with all agents of the tenant"
        )
    if agent.learns_answers and (missing := routing.missing()):
        told.append(f"{agent.name}: optimization.patterns: {missing}; until then no answer is learned")
    return told


def _of_trust(name: str, trust: Trust) -> list[str]:
    told = [
        f"{name}: level {level.shown(min(trust.initial, trust.cap))}; `tenure trust compile` shows what that may do"
    ]
    if trust.evidence == "point":
        told.append(
            f"{name}: evidence='point' takes a rule by its letter: a single good run may be enough for a step up; it is meant for"
            " trying things out"
        )
    return told
