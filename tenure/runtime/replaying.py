"""Replaying: what a capability would have done in a run that was recorded, without doing it.

Rules of this file: nothing is called. A look-up has the result that was recorded, a change is only compared; what was not recorded
nobody knows, and the capability abstains.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from tenure.learn.capability import Capability
from tenure.learn.program import Called, Finished
from tenure.learn.recording import Recording, Step
from tenure.runtime.monty import Sandbox
from tenure.transcript import canonical

Verdict: TypeAlias = Literal["clean", "wrong_write", "differs", "abstained"]


@dataclass(frozen=True)
class Replayed:
    """What came of it, and why: `wrong_write` is a change that the run did not make, `differs` one that only the run made."""

    verdict: Verdict
    why: str = ""


async def replay(sandbox: Sandbox, capability: Capability, recording: Recording) -> Replayed:
    """What the program would have done with that request."""
    slots = capability.inputs(recording.request)
    if slots is None:
        return Replayed("abstained", "it does not know the request")
    journal: list[Step] = []
    while True:
        came = await sandbox.advance(capability.program, slots, journal, capability.tools)
        match came:
            case Called(tool=tool, arguments=arguments):
                step = _recorded(recording.steps, journal, tool, canonical(arguments))
                if step is None and tool in capability.changes:
                    return Replayed("wrong_write", f"{tool}({canonical(arguments)}), which the run did not do")
                if step is None or not step.ok:
                    return Replayed("abstained", f"nobody knows what {tool}({canonical(arguments)}) comes to")
                journal.append(step)
            case Finished(answer=answer):
                return _compared(recording, journal, answer)
            case _:
                return Replayed("abstained", came.message)


def _recorded(steps: Sequence[Step], journal: Sequence[Step], tool: str, arguments: str) -> Step | None:
    """The recorded call that this one is. A change is recorded as often as it was made, a look-up for as often as it is asked."""
    left = [step for step in steps if not step.changes or not any(step is made for made in journal)]
    return next((step for step in left if step.tool == tool and canonical(step.arguments) == arguments), None)


def _compared(recording: Recording, journal: Sequence[Step], answer: str) -> Replayed:
    made = [step for step in journal if step.changes]
    left_out = [step.tool for step in recording.changes if not any(step is one for one in made)]
    if left_out:
        return Replayed("differs", f"it leaves out {', '.join(left_out)}")
    if not made and answer.split() != recording.answer.split():
        return Replayed("differs", "it gives another answer")  # where nothing is changed, the answer is all there is
    return Replayed("clean")
