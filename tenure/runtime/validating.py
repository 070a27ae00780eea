"""Validating: what a capability does with runs that it was not learned from, in the sandbox, with the results that were recorded.

Where there are few runs of a kind none can be spared: each fifth of them is left out in turn, the same is learned from the others,
and tried on it (Stone, 1974). So the report is about how it was learned as much as about what came of it; the program itself is
tried on all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tenure.learn.capability import Capability, as_text
from tenure.learn.induction import Induced, induce
from tenure.learn.recording import Recording
from tenure.learn.report import Case, Report
from tenure.learn.trigger import Choice, Part, Repeated, names
from tenure.runtime.monty import Sandbox
from tenure.runtime.replaying import Replayed, replay
from tenure.spec import AgentSpec
from tenure.wire import JsonObject

FOLDS = 5
EXAMPLES = 5  # requests on the card
CARD_LONGEST = 4_000  # characters of one part of it


async def validate(sandbox: Sandbox, agent: AgentSpec, proposal: Induced, recordings: Sequence[Recording]) -> Report:
    """The report on a proposal that was made from these recordings; those of other kinds are among them."""
    capability, kind = proposal.capability, {*proposal.runs, *proposal.unexplained}
    same = [one for one in recordings if one.run in kind]
    others = [one for one in recordings if one.run not in kind]
    shown = [(one, await replay(sandbox, capability, one)) for one in others]
    return Report(
        cases=[case for at in range(FOLDS) for case in await _fold(sandbox, capability.id, same, others, at)],
        others=len(others),
        executed=[_case(one, came) for one, came in shown if came.verdict != "abstained"],
        problems=[*await _problems(sandbox, agent, capability), *await _on_its_own(sandbox, proposal, same)],
    )


async def _fold(
    sandbox: Sandbox, id: str, same: Sequence[Recording], others: Sequence[Recording], at: int
) -> list[Case]:
    """One fifth of the runs, by what the others teach."""
    held_out, rest = same[at::FOLDS], [one for place, one in enumerate(same) if place % FOLDS != at]
    found = await asyncio.to_thread(induce, [*rest, *others], minimum=2)
    learned = next((one.capability for one in found if isinstance(one, Induced) and one.capability.id == id), None)
    if learned is None:
        return [Case(run=one.run, verdict="abstained", why="without it nothing is learned") for one in held_out]
    return [_case(one, await replay(sandbox, learned, one)) for one in held_out]


async def _on_its_own(sandbox: Sandbox, proposal: Induced, same: Sequence[Recording]) -> list[str]:
    """What the program itself gets wrong of what it was learned from: nothing, or it is not what it says."""
    of_it = [one for one in same if one.run in proposal.runs]
    came = [(one, await replay(sandbox, proposal.capability, one)) for one in of_it]
    return [
        f"run {one.run}, which it was learned from: {result.why}" for one, result in came if result.verdict != "clean"
    ]


async def _problems(sandbox: Sandbox, agent: AgentSpec, capability: Capability) -> list[str]:
    tools = [agent.tool[name] for name in capability.tools if name in agent.tool]
    missing = [f"the agent has no tool {name}" for name in capability.tools if name not in agent.tool]
    slots = {name: _schema(part) for name, part in names(capability.trigger.parts).items()}
    return [*missing, *map(str, await sandbox.check(capability.program, tools, slots))]


def card(proposal: Induced, report: Report, recordings: Sequence[Recording]) -> JsonObject:
    """What people are shown when they are asked, and sign: the program, what it was learned from, and how it did."""
    asked = [one.request for one in recordings if one.run in proposal.runs][:EXAMPLES]
    return {
        "program": as_text(proposal.capability)[:CARD_LONGEST],
        "examples": [text[:400] for text in asked],
        "report": report.lines(),
        "notes": proposal.notes,
        "report_digest": report.digest,
    }


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
