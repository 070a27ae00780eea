"""Judging: every word about a finished run, kept beside the run and told to the ledger of its agent's trust.

A source is `evaluate` (the agent's own function), `effects` (what it did failed), `denial:NAME` (a person would not have it done),
`person:NAME` or `client`.
"""

from __future__ import annotations

from typing import Literal

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import WorkflowIDConflictPolicy as Conflict
from temporalio.common import WorkflowIDReusePolicy
from temporalio.service import RPCError

from tenure.approvals.request import Kind
from tenure.run import StopReason
from tenure.runtime import caching, learning
from tenure.runtime.store import Connection, Store, agents, approvals, effects, outcomes, verdicts
from tenure.runtime.store.runs import RunRow
from tenure.runtime.temporal import WORKFLOW_TASK
from tenure.wire import Wire

EFFECTS, DENIAL = "effects", "denial:"
SAYS_NOTHING = (StopReason.CANCELLED, StopReason.FAILED, StopReason.TIMEOUT)
LEDGER = "TrustLedger"
# Whether a no, or an edit, says that what the agent itself would have done was wrong.
SPEAKS_AGAINST: dict[Kind, bool] = {
    Kind.TOOL_CALL: True,  # its call
    Kind.ANSWER: True,  # its words
    Kind.IN_DOUBT: False,  # a worker died: what is said is what happened, not whether it should have
    Kind.PARKED: False,  # it has asked often, which is what it should do where it may not
    Kind.BUDGET: False,  # what may be spent is the operator's affair, whatever the run was like
    Kind.ESCALATION: False,  # asked by the ledger, about runs that were judged already
    Kind.DEPLOYMENT: False,  # about what was learned, not about a run
}


class Watch(Wire):
    """Whose trust a ledger keeps."""

    tenant: str
    agent: str


def kind_of(source: str) -> Literal["sample", "census", "unasked"]:
    """How the source looks: at runs without knowing how they went, at every run but speaking of failures only, or when it likes."""
    if source == verdicts.EVALUATE:
        return "sample"
    return "census" if source == EFFECTS or source.startswith(DENIAL) else "unasked"


def ledger_id(tenant: str, agent: str) -> str:
    """The workflow that keeps the trust of an agent of a tenant."""
    return f"{tenant}:trust:{agent}"


def say(db: Connection, run: RunRow, source: str, good: bool, note: str, at: int, *, severe: bool = False) -> None:
    """Keep one source's word about a run; the same word again changes nothing."""
    known = {one.source: one for one in verdicts.of_run(db, run.workflow)}.get(source)
    if known is not None and (known.good, known.note) == (good, note) and not severe:
        return
    verdicts.put(db, run.workflow, source, good, note, at)
    caching.finished(db, run, at)
    learning.judged(db, run.workflow, good, severe, note, at)
    outcomes.judged(db, (run.tenant, run.agent), run.workflow, source, good, severe, note, at)


def finished(db: Connection, run: RunRow, at: int) -> None:
    """A run has ended: what it did and what people would not have it do speak for themselves.

    Of one that was cancelled, or that an outage ended, nothing else is said: it is none of the runs that the agent is judged by.
    """
    told = _of_itself(db, run)
    caching.finished(db, run, at)
    if run.stop_reason in SAYS_NOTHING and not told:
        return
    if outcomes.finished(db, (run.tenant, run.agent), run.workflow, at):
        for source, note in told:
            say(db, run, source, False, note, at)


def _of_itself(db: Connection, run: RunRow) -> list[tuple[str, str]]:
    """What speaks against a run without anybody judging it: the source, and what it says."""
    failed = effects.failed(db, run.workflow)
    told = [(EFFECTS, f"{', '.join(failed)} failed")] if failed else []
    for asked in approvals.of_run(db, run.workflow):
        if asked.choice in ("deny", "edit") and asked.principal and SPEAKS_AGAINST[asked.request.kind]:
            note = "; ".join(one.verdict.note for one in asked.answers if one.verdict.accepted and one.verdict.note)
            told.append((f"{DENIAL}{asked.principal}", note or f"{asked.choice}: {asked.request.why}"))
    return told


def due(db: Connection, who: tuple[str, str], at: int, *, urgent: bool = False) -> str:
    """The task queue on which the ledger of `who` should be told now that there is something to read; empty: not now.

    Only agents with `trust` have one. It is the queue of the workers that serve the agent, whatever that of the caller is.
    """
    if not agents.policy(db, who[1], at):
        return ""
    taken = outcomes.take_nudge(db, who, at)
    return agents.queue(db, who[1], at) if taken or urgent else ""


async def nudge(
    store: Store, client: Client, task_queue: str, who: tuple[str, str], *, urgent: bool = False, late: bool = False
) -> None:
    """Tell the ledger of `who`, and start it if it rests. Whoever is not reached is told later: see `outcomes.unread`.

    `urgent`: something severe was said, and is read at once. `late`: it has not read what it was told of; if it lives where its
    agent was served before, it begins anew where that is served now, from what was kept of it.
    """
    try:
        moves = late and await _lives_elsewhere(client, ledger_id(*who), task_queue)
        await client.start_workflow(
            LEDGER,
            Watch(tenant=who[0], agent=who[1]),
            id=ledger_id(*who),
            task_queue=task_queue,
            start_signal="nudge",
            start_signal_args=["urgent"] if urgent else [],
            task_timeout=WORKFLOW_TASK,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=Conflict.TERMINATE_EXISTING if moves else Conflict.USE_EXISTING,
            static_summary=f"the trust of {who[1]} for tenant {who[0]}",
        )
    except (RPCError, RuntimeError):  # RuntimeError: a lazy client that cannot connect
        await store.transact(lambda db: outcomes.drop_nudge(db, who))


async def _lives_elsewhere(client: Client, workflow: str, task_queue: str) -> bool:
    try:
        found = await client.get_workflow_handle(workflow).describe()
    except RPCError:  # it rests, and starts where it should
        return False
    return found.status is WorkflowExecutionStatus.RUNNING and found.task_queue != task_queue
