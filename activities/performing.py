"""Performing: the next turn of a run by a learned capability, in place of Claude.

The program is run anew from its start with what its calls came to, up to the call that was not made yet; that call is the turn. It
passes the same gate, and is made once under the same effect record, as if Claude had asked for it.

Rules of this file: what was approved is all that it may do. As long as it has changed nothing, whatever goes wrong leaves the run
to Claude; after that, to a person, unless it went another way because somebody wanted it so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from temporalio import activity

from tenure.activities.resources import Resources, now
from tenure.errors import Unavailable
from tenure.learn.capability import Capability
from tenure.learn.program import Called, Finished, Stopped
from tenure.learn.recording import Step
from tenure.run import Effect
from tenure.runtime import learning
from tenure.runtime.claude import Reply
from tenure.runtime.store.runs import RunRow
from tenure.spec import AgentSpec
from tenure.transcript import tool_calls, was_made
from tenure.turn import Learned, Usage
from tenure.wire import JsonObject

BREACHES = ("diverged", "unknown_tool")  # what a program that was approved as it is cannot come to
ABSTAINS = "guard"
BUSY, TRIES = ("limit", "crashed"), 3  # what may be the machine's fault is tried again


@dataclass(frozen=True)
class Over:
    """The capability makes no turn of the run any more: it is `done`, it abstains (`left`), it failed, or did what it must not."""

    why: str
    kind: Literal["done", "left", "failed", "in_doubt", "breach"] = "left"
    changed: bool = False  # something, before, and nobody else has seen to it
    by_others: bool = False  # people or a hook have taken a hand in the run: Claude knows how to go on from there


async def perform(
    to: Resources, run: RunRow, agent: AgentSpec, rows: list[JsonObject], learned: Learned
) -> Reply | Over:
    """The next turn, or why there is none. What becomes of the capability by that is kept."""
    found = await to.store.read(lambda db: learning.standing(db, to.root, agent, run, learned))
    made = Over(found) if isinstance(found, str) else await _next(to, found, agent, rows)
    if isinstance(made, Reply) or made.kind == "done":
        return made
    wrote = any(_changes(agent, rows))
    changed = wrote and not made.by_others
    kind = "in_doubt" if changed and made.kind != "breach" else made.kind
    await to.store.transact(lambda db: learning.over(db, run.workflow, kind, made.why, now(), wrote=wrote))
    return replace(made, changed=changed, kind=kind)


async def _next(to: Resources, capability: Capability, agent: AgentSpec, rows: list[JsonObject]) -> Reply | Over:
    told, steps = _disturbed(rows), learning.journal(agent, rows)
    if told is not None:
        return told
    slots = capability.inputs(rows[0]["texts"][0])
    if slots is None or steps is None:
        return Over("it does not know the request" if slots is None else "a result is too large for it")
    match await to.sandbox.advance(capability.program, slots, steps, capability.tools):
        case Called(tool=tool, arguments=arguments):
            why = _unapproved(capability, agent, steps, tool)
            return Over(why, "breach") if why else _call(len(rows), tool, arguments)
        case Finished() if not capability.answer:
            return Over("it has done its work, and knows no words for it", "done")
        case Finished(answer=answer):
            return Reply([{"type": "text", "text": answer}], "end_turn", Usage())
        case Stopped(kind=kind, message=message) if kind in BUSY and activity.info().attempt < TRIES:
            raise Unavailable(f"the sandbox is overloaded: {message or kind}")
        case Stopped(kind=kind, message=message):
            return _stopped(kind, message, steps)


def _stopped(kind: str, message: str, steps: list[Step]) -> Over:
    """How it ended. A look-up that fails is as a check that does: what was asked for cannot be done so, and Claude sees to it."""
    last = steps[-1] if steps else None
    if kind == "error" and last is not None and not last.ok and not last.changes:
        return Over(f"{last.tool} failed: {last.result!s:.300}", "left")
    return Over(message or kind, "left" if kind == ABSTAINS else "breach" if kind in BREACHES else "failed")


def _disturbed(rows: list[JsonObject]) -> Over | None:
    """Whether the run went another way than the program alone would have taken it."""
    if sum(len(row.get("texts", [])) for row in rows) != 1:
        return Over("the run was told more than its request", by_others=True)
    if any("modified" in row or "edited" in row for row in rows):
        return Over("a call was made otherwise than it asked", by_others=True)
    refused = next((row for row in rows if row["role"] == "tool" and not row.get("made", True)), None)
    return None if refused is None else Over(f"a call was not made: {refused['value']}", "failed")


def _changes(agent: AgentSpec, rows: list[JsonObject]) -> Iterator[bool]:
    """For each call: whether it has changed something, or may have. One that failed by its tool's own word has not."""
    named = {
        block["id"]: block["name"] for row in rows if row["role"] == "assistant" for block in tool_calls(row["content"])
    }
    for row in rows:
        if row["role"] == "tool" and was_made(row, row["id"]):
            tool = agent.tool.get(named[row["id"]])
            reads = tool is not None and tool.effect is Effect.READ
            yield not reads and (row["ok"] or row.get("outcome", "known") != "known")


def _unapproved(capability: Capability, agent: AgentSpec, steps: list[Step], tool: str) -> str:
    """Why a call goes beyond what was approved; empty where it does not."""
    known = agent.tool.get(tool)
    if known is None or tool not in capability.tools:
        return f"it calls {tool}, which nobody approved"
    wrote = [step.tool for step in steps if step.changes]
    if known.effect is not Effect.READ and [*wrote, tool] != capability.changes[: len(wrote) + 1]:
        return f"it changes more than was approved: {tool} after {', '.join(wrote) or 'nothing'}"
    return ""


def _call(seq: int, tool: str, arguments: JsonObject) -> Reply:
    block: JsonObject = {"type": "tool_use", "id": f"capability_{seq}", "name": tool, "input": arguments}
    return Reply([block], "tool_use", Usage())
