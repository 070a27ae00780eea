"""record and note: what the run itself has to write down, at its end and on its way."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from temporalio import activity

from tenure.activities.resources import Resources, now
from tenure.run import Record, Recorded
from tenure.runtime import caching, judging, learning
from tenure.runtime import telemetry as otel
from tenure.runtime.store import Connection, approvals, effects, runs, transcript
from tenure.transcript import was_made
from tenure.turn import Note


@dataclass(frozen=True)
class Recording:
    """The activities `record` and `note`."""

    to: Resources

    @activity.defn(name="record")
    async def record(self, record: Record) -> Recorded:
        """Keep how the run ended. Names the tools whose last start left no result: they are in doubt."""
        workflow = activity.info().workflow_id or ""

        def write(db: Connection) -> tuple[list[str], str]:
            runs.finish(db, workflow, record)
            approvals.close_run(db, workflow, now())
            run = runs.get(db, workflow)
            by = record.outcome.served
            if run is not None and by is not None:
                serve = learning.served if by.tier == "capability" else caching.served
                serve(db, run, by, record.model, self.to.prices.version, now())
            elif run is not None:  # what was answered without the agent says nothing of it
                judging.finished(db, run, now())
            if run is not None:
                learning.finished(db, run, self.to.registry.serving(run.agent, run.fingerprint), now())
            open_effects = [row["tool"] for row in effects.of_run(db, workflow) if row["status"] == "intent"]
            return open_effects, judging.due(db, (record.tenant, record.agent), now())

        in_doubt, due = await self.to.store.transact(write)
        _tell(workflow, record)
        if due:
            await self.to.nudge((record.tenant, record.agent), due)
        return Recorded(in_doubt=in_doubt)

    @activity.defn(name="note")
    async def note(self, note: Note) -> Note:
        """Write a row the workflow made itself, unless the call it is about was made: then that result stands.

        What stands is returned, so that history holds it once and can restore it.
        """
        return await self.to.store.transact(
            functools.partial(_stands, workflow=activity.info().workflow_id or "", note=note)
        )


def _stands(db: Connection, workflow: str, note: Note) -> Note:
    found = transcript.standing(db, workflow, note.seq)
    if found is not None and "id" in note.row and was_made(found[0], note.row["id"]):
        return Note(seq=note.seq, row=found[0])
    transcript.replace(db, workflow, [(note.seq, note.row)])
    return note


def _tell(workflow: str, record: Record) -> None:
    outcome = record.outcome
    attributes: otel.Attributes = {
        otel.OPERATION: "invoke_agent",
        otel.AGENT: record.agent,
        otel.TENANT: record.tenant,
        otel.CONVERSATION: workflow,
        otel.STATUS: outcome.status,
        otel.STOP: outcome.stop_reason,
        otel.INPUT_TOKENS: outcome.usage.input,
        otel.OUTPUT_TOKENS: outcome.usage.output,
        otel.COST: outcome.cost,
    }
    times = (outcome.started_at, outcome.finished_at)
    otel.root(f"invoke_agent {record.agent}", workflow, record.trace, times, attributes)
