"""A handle on one run: follow it, add to it, cancel it, hear how it ended."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError, CancelledError
from temporalio.service import RPCError, RPCStatusCode

from tenure.client.connected import Connected
from tenure.client.events import Event, events
from tenure.client.story import response_of
from tenure.errors import BadInput, NotFound
from tenure.response import Response
from tenure.run import Outcome, Progress, Status, StopReason
from tenure.runtime import history
from tenure.runtime.store import runs, transcript
from tenure.wire import INLINE_LIMIT, JsonObject


@dataclass(frozen=True)
class RunHandle:
    """One run. `id` is its workflow id; its last part alone is accepted wherever an id is wanted."""

    id: str
    system: Connected

    @property
    def workflow(self) -> WorkflowHandle[object, Outcome]:
        """Temporal's own handle."""
        return self.system.temporal.get_workflow_handle(self.id, result_type=Outcome)

    async def result(self) -> Response:
        """Wait for the end. A run that failed or was cancelled is a Response too; nothing is raised for it.

        A run that ended so long ago that Temporal has forgotten it is answered from the store.
        """
        outcome = await self._ended()
        rows, initial, kept = await self._transcript(outcome.rows)
        if outcome.stop_reason is StopReason.CANCELLED and kept is not None:
            outcome = kept  # Temporal says only that it was cancelled; the store knows how far it came
        return response_of(self.id, outcome, rows, initial, self.system.blobs)

    async def _ended(self) -> Outcome:
        try:
            return await self.workflow.result()
        except WorkflowFailureError as error:
            return _outcome_of(error)
        except RPCError as error:
            forgotten = error.status is RPCStatusCode.NOT_FOUND and self.system.store is not None
            run = await self.system.require_store().read(lambda db: runs.get(db, self.id)) if forgotten else None
            if run is None or run.outcome is None:
                raise _named(error, self.id) from error
            return Outcome.model_validate_json(run.outcome)

    async def progress(self) -> Progress:
        """Where the run stands now. Needs a worker."""
        try:
            return await self.workflow.query("progress", result_type=Progress)
        except RPCError as error:
            raise _named(error, self.id) from error

    async def events(self) -> AsyncIterator[Event]:
        """What happened so far, then what happens, to the end of the run; needs no worker. See `Event` for the kinds."""
        try:
            async for event in events(self.system.temporal, self.id):
                yield event
        except RPCError as error:
            raise _named(error, self.id) from error

    async def cancel(self) -> None:
        """Ask the run to stop: running tools are told, effects in flight are recorded."""
        try:
            await self.workflow.cancel()
        except RPCError as error:
            raise _named(error, self.id) from error

    async def add_context(self, text: str) -> None:
        """Tell the agent something before its next turn. Raises BadInput above 64 KB."""
        size = len(text.encode("utf-8", "replace"))
        if not text.strip():
            raise BadInput("the context is empty: say what the agent shall know")
        if size > INLINE_LIMIT:
            raise BadInput(
                f"context of {size:,} bytes: at most {INLINE_LIMIT:,}; give the agent a tool that reads the rest"
            )
        try:
            await self.workflow.signal("add_context", text)
        except RPCError as error:
            raise _named(error, self.id) from error

    async def _transcript(self, count: int) -> tuple[Sequence[JsonObject], JsonObject, Outcome | None]:
        """The first `count` rows, the initial state and the recorded outcome: from the store if it has them all, or history.

        `count` is 0 where Temporal does not say it, as for a run that was cancelled: then the store does.
        """
        store = self.system.store
        if store is None:
            told = await history.read(self.system.temporal, self.id)
            return list(told.rows.values()), told.initial_state, None
        texts, run = await store.read(
            lambda db: (transcript.between(db, self.id, 0, transcript.ALL), runs.get(db, self.id))
        )
        kept = Outcome.model_validate_json(run.outcome) if run and run.outcome else None
        wanted = count or (kept.rows if kept else len(texts))
        if run is not None and [seq for seq, _ in texts[:wanted]] == list(range(wanted)):
            return [json.loads(text) for _, text in texts[:wanted]], run.initial_state, kept
        told = await history.read(self.system.temporal, self.id)  # rows were lost: Temporal has them, or nobody
        return list(told.rows.values()), told.initial_state, kept


def _outcome_of(error: WorkflowFailureError) -> Outcome:
    cause = error.cause
    if isinstance(cause, ApplicationError) and cause.type == "RunFailed" and cause.details:
        return Outcome.model_validate(cause.details[0])
    if isinstance(cause, CancelledError):
        return Outcome(status=Status.CANCELLED, stop_reason=StopReason.CANCELLED, message="cancelled")
    return Outcome(status=Status.FAILED, stop_reason=StopReason.FAILED, message=str(cause or error))


def _named(error: RPCError, run: str) -> Exception:
    if error.status is RPCStatusCode.NOT_FOUND:
        return NotFound(f"no living run {run!r} in this Temporal namespace ({error.message}): `tenure runs` lists them")
    return error
