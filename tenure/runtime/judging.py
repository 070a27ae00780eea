"""Judging: every word about a finished run, kept beside the run and told to the ledger of its agent's trust.

A source is `evaluate` (the agent's own function), `effects` (what it did failed), `denial:NAME` (a person would not have it done),
`person:NAME` or `client`.
"""

from __future__ import annotations

from typing import Literal

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError

from tenure.runtime.store import Connection, Store, agents, approvals, effects, outcomes, verdicts
from tenure.runtime.store.runs import RunRow
from tenure.wire import Wire

EFFECTS, DENIAL = "effects", "denial:"
LEDGER = "TrustLedger"


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
    outcomes.judged(db, (run.tenant, run.agent), run.workflow, source, good, severe, note, at)


def finished(db: Connection, run: RunRow, at: int) -> None:
    """A run has ended: what it did and what people would not have it do speak for themselves."""
    if not outcomes.finished(db, (run.tenant, run.agent), run.workflow, at):
        return
    failed = effects.failed(db, run.workflow)
    if failed:
        say(db, run, EFFECTS, False, f"{', '.join(failed)} failed", at)
    for asked in approvals.of_run(db, run.workflow):
        if asked.choice in ("deny", "edit") and asked.principal:
            note = "; ".join(one.verdict.note for one in asked.answers if one.verdict.accepted and one.verdict.note)
            say(db, run, f"{DENIAL}{asked.principal}", False, note or f"{asked.choice}: {asked.request.why}", at)


def is_due(db: Connection, who: tuple[str, str], at: int) -> bool:
    """Whether the ledger of `who` should be told now that there is something to read; only agents with `trust` have one."""
    return bool(agents.policy(db, who[1], at)) and outcomes.take_nudge(db, who, at)


async def nudge(store: Store, client: Client, task_queue: str, who: tuple[str, str]) -> None:
    """Tell the ledger of `who`, and start it if it rests. Whoever is not reached is told later: see `outcomes.unread`."""
    try:
        await client.start_workflow(
            LEDGER,
            Watch(tenant=who[0], agent=who[1]),
            id=ledger_id(*who),
            task_queue=task_queue,
            start_signal="nudge",
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            static_summary=f"the trust of {who[1]} for tenant {who[0]}",
        )
    except (RPCError, RuntimeError):  # RuntimeError: a lazy client that cannot connect
        await store.transact(lambda db: outcomes.drop_nudge(db, who))
