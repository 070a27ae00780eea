"""Drafting: for which runs Claude is asked to write a program, with which of them, and whether what it wrote will do.

Rules of this file: what is held out stays so. Claude hears of the runs that it was shown alone, however often it is corrected.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from tenure.learn import written
from tenure.learn.card import described
from tenure.learn.recording import Recording
from tenure.learn.stubs import stubs_of
from tenure.learn.trigger import Trigger
from tenure.learn.wording import family, form, known
from tenure.learn.written import LEAST, Unusable, Written
from tenure.runtime import validating
from tenure.runtime.monty import Sandbox, signature_of
from tenure.runtime.store import Connection, writings
from tenure.runtime.store.writings import Draft, Family, Writing
from tenure.spec import AgentSpec

NO_FORM = "Claude was not asked either: without one form of the requests it could write what is done, not when"


def wanted(db: Connection, tenant: str, agent: AgentSpec, runs: Sequence[Recording]) -> tuple[bool, str]:
    """Whether Claude is to be asked now to write of these runs, which are of one kind; and what there is to say of it."""
    if agent.learning is None or not agent.learning.capabilities.auto_generate:
        return False, ""
    needed = max(2 * LEAST, agent.learning.patterns.min_occurrences)
    if len(sound(runs)) < needed:
        return False, ""
    before = writings.last(db, _family(tenant, agent, runs))
    if before is None or before.outcome == "open":
        return True, ""
    newer = sum(run.at > before.newest for run in runs)
    told = f"{before.why}; it is asked again when {before.runs} more runs have come, {newer} have"
    return newer >= before.runs, told


def sound(runs: Sequence[Recording]) -> list[Recording]:
    """The runs all of whose changes succeeded."""
    return [run for run in runs if all(step.ok for step in run.changes)]


def begun(db: Connection, of: Family, runs: Sequence[Recording], readable: Sequence[Recording], at: int) -> Writing:
    """The writing that is under way, or a new one; those that Claude is shown of the `readable` ones are drawn once.

    `at` in milliseconds.
    """
    before = writings.last(db, of)
    if before is not None and before.outcome == "open":
        if set(before.shown) <= {run.run for run in readable}:
            return before
        writings.end(db, of, before.number, "refused", "runs that Claude was shown are of no use any more")
    shown = [run.run for run in written.picked(readable)]
    digest = hashlib.sha256(json.dumps(sorted(run.run for run in runs)).encode()).hexdigest()
    number = 1 if before is None else before.number + 1
    newest = max(run.at for run in runs)
    return writings.begin(db, of, Writing(number, len(runs), newest, digest, shown, at))


def stubs(agent: AgentSpec, trigger: Trigger) -> str:
    """What a program may call, and its inputs."""
    return stubs_of([signature_of(tool) for tool in agent.tools], validating.shapes(trigger))


async def judge(
    sandbox: Sandbox,
    agent: AgentSpec,
    draft: Draft,
    trigger: Trigger,
    kind: Sequence[Recording],
    shown: Sequence[Recording],
) -> Written:
    """The proposal that the draft makes, once nothing can be said against it. Raises Unusable."""
    program = written.plain(written.program_in(draft.text, draft.stop))
    effects = {tool.name: str(tool.effect) for tool in agent.tools}
    made = written.proposed(program, trigger, written.tools_of(effects), kind, shown, draft.model)
    if (long := len(described(made.capability).model_dump_json())) > written.CARD_LONGEST:
        told = f"with all that people are shown of it, it has {long:,} characters, and a card holds {written.CARD_LONGEST:,}"
        raise Unusable(f"the program is too long: {told}. Write a shorter one")
    if problems := await validating.objections(sandbox, agent, made, shown):
        raise Unusable(*problems)
    return made


def trigger_of(kind: Sequence[Recording], every: Sequence[Recording]) -> Trigger | None:
    """The trigger that is written for; None where the requests follow no one form, or too few of them do."""
    found = form(kind, every)
    return found if found is not None and written.picked(known(found, kind)) else None


def _family(tenant: str, agent: AgentSpec, runs: Sequence[Recording]) -> Family:
    return Family(tenant, agent.name, agent.fingerprint, family(runs[0]))
