"""Validating: what a capability does with runs that it was not learned from, in the sandbox, with the results that were recorded.

Where there are few runs of a kind none can be spared: each fifth of them is left out in turn, the same is learned from the others,
and tried on it (Stone, 1974). So the report is about how it was learned as much as about what came of it; the program itself is
tried on all of them.

What Claude has written cannot be learned anew. It was shown some of the runs, and its program is tried on the others: each fifth of
them with the trigger that all the rest have in common, so that the report is about the trigger, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from fractions import Fraction

from tenure.learn import wording
from tenure.learn.capability import Capability
from tenure.learn.card import Card, described
from tenure.learn.induction import SHARE, Induced, induce
from tenure.learn.recording import Recording
from tenure.learn.report import Case, Report
from tenure.learn.trigger import Choice, Part, Repeated, Trigger, names
from tenure.learn.written import Packed, Proposal, Written, names_in
from tenure.runtime.monty import Sandbox
from tenure.runtime.replaying import Replayed, replay
from tenure.spec import AgentSpec
from tenure.wire import JsonObject

FOLDS = 5
EXAMPLES = 5  # requests on the card
EXAMPLE_LONGEST = 400  # characters of each


async def validate(sandbox: Sandbox, agent: AgentSpec, proposal: Proposal, recordings: Sequence[Recording]) -> Report:
    """The report on a proposal that was made from these recordings; those of other kinds are among them."""
    capability, kind = proposal.capability, {*proposal.runs, *proposal.unexplained}
    same = [one for one in recordings if one.run in kind]
    others = [one for one in recordings if one.run not in kind]
    fitting = await asyncio.to_thread(wording.known, capability.trigger, others)  # seconds, in which others wait
    shown = [(one, await replay(sandbox, capability, one)) for one in fitting]
    return Report(
        cases=await _cases(sandbox, proposal, same, others, _share(agent)),
        others=len(others),
        executed=[_case(one, came) for one, came in shown if came.verdict != "abstained"],
        problems=await objections(sandbox, agent, proposal, same),
        is_crossed=not isinstance(proposal, Written | Packed),
    )


def _share(agent: AgentSpec) -> Fraction:
    return Fraction(agent.learning.patterns.confidence_threshold) if agent.learning else SHARE


async def objections(
    sandbox: Sandbox, agent: AgentSpec, proposal: Proposal, recordings: Sequence[Recording]
) -> list[str]:
    """What the type check says, and what the program gets wrong of what it was learned from, as far as that is among these."""
    return [*await _problems(sandbox, agent, proposal.capability), *await _on_its_own(sandbox, proposal, recordings)]


async def _cases(
    sandbox: Sandbox, proposal: Proposal, same: Sequence[Recording], others: Sequence[Recording], share: Fraction
) -> list[Case]:
    """What comes of the runs that it was not learned from: a written one's are fixed, an induced one is learned anew."""
    match proposal:
        case Written():
            return [case for at in range(FOLDS) for case in await _held_out(sandbox, proposal, same, others, at)]
        case Packed():
            return [_case(one, await replay(sandbox, proposal.capability, one)) for one in same]
        case _:
            id = proposal.capability.id
            return [case for at in range(FOLDS) for case in await _fold(sandbox, id, same, others, at, share)]


async def _held_out(
    sandbox: Sandbox, proposal: Written, same: Sequence[Recording], others: Sequence[Recording], at: int
) -> list[Case]:
    """One fifth of the runs that Claude was not shown: its program, with the trigger that the other runs have in common."""
    unseen = [one for one in same if one.run not in proposal.shown][at::FOLDS]
    rest = [one for one in same if one not in unseen]
    trigger = await asyncio.to_thread(wording.form, rest, [*rest, *others])  # it takes seconds, and others wait
    used = names_in(proposal.capability.program)
    if trigger is None or set(names(wording.settled(trigger, used).parts)) != set(proposal.capability.slots):
        return [
            Case(run=one.run, verdict="abstained", why="without it the requests have another form") for one in unseen
        ]
    tried = proposal.capability.model_copy(update={"trigger": wording.settled(trigger, used)})
    return [_case(one, await replay(sandbox, tried, one)) for one in unseen]


async def _fold(
    sandbox: Sandbox, id: str, same: Sequence[Recording], others: Sequence[Recording], at: int, share: Fraction
) -> list[Case]:
    """One fifth of the runs, by what the others teach; of fewer runs no larger share is asked than `SHARE`."""
    held_out, rest = same[at::FOLDS], [one for place, one in enumerate(same) if place % FOLDS != at]
    found = await asyncio.to_thread(induce, [*rest, *others], minimum=2, share=min(share, SHARE))
    learned = next((one.capability for one in found if isinstance(one, Induced) and one.capability.id == id), None)
    if learned is None:
        return [Case(run=one.run, verdict="abstained", why="without it nothing is learned") for one in held_out]
    return [_case(one, await replay(sandbox, learned, one)) for one in held_out]


async def _on_its_own(sandbox: Sandbox, proposal: Proposal, same: Sequence[Recording]) -> list[str]:
    """What the program itself gets wrong of what it was learned from: nothing, or it is not what it says."""
    of_it = [one for one in same if one.run in proposal.runs]
    came = [(one, await replay(sandbox, proposal.capability, one)) for one in of_it]
    return [
        f"run {one.run}, which it was learned from: {result.why}" for one, result in came if result.verdict != "clean"
    ]


async def _problems(sandbox: Sandbox, agent: AgentSpec, capability: Capability) -> list[str]:
    tools = [agent.tool[name] for name in capability.tools if name in agent.tool]
    missing = [f"the agent has no tool {name}" for name in capability.tools if name not in agent.tool]
    return [*missing, *map(str, await sandbox.check(capability.program, tools, shapes(capability.trigger)))]


def shapes(trigger: Trigger) -> dict[str, JsonObject]:
    """The JSON schema of each variable that the trigger's places become."""
    return {name: _schema(part) for name, part in names(trigger.parts).items()}


def card(proposal: Proposal, report: Report, recordings: Sequence[Recording]) -> Card:
    """What people are shown when they are asked."""
    kind = proposal.unexplained if isinstance(proposal, Packed) else proposal.runs
    asked = [one.request for one in recordings if one.run in kind][:EXAMPLES]
    return Card(
        **described(proposal.capability).model_dump(),
        written_by=proposal.model if isinstance(proposal, Written) else "",
        examples=[text[:EXAMPLE_LONGEST] for text in asked],
        report=report.lines(),
        notes=proposal.notes,
        report_digest=report.digest,
    )


def _schema(part: Part) -> JsonObject:
    """The type of the variable that a part of the trigger becomes."""
    match part:
        case Choice(values=values):
            return {"enum": values}
        case Repeated():
            return {"type": "array", "items": {"type": "string"}}
        case _:
            return {"type": "string"}


def _case(one: Recording, came: Replayed) -> Case:
    return Case(run=one.run.rpartition(":")[2], verdict=came.verdict, why=came.why)
