"""Workflow history as the source of last resort: every row of a transcript, read back from the events that made it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TypeVar

from temporalio.api.common.v1 import Payloads
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowExecutionStatus

from tenure.run import Observed, RunRequest, Snapshot
from tenure.transcript import assistant_row, first_row, problem_row, result_row, tool_calls
from tenure.turn import Act, Decide, Note, Result, Turn
from tenure.wire import JsonObject

T = TypeVar("T")
LOCAL_MARKER = "core_local_activity"


@dataclass
class _Reader:
    """Collects rows while walking through events in order; results refer back to what was scheduled."""

    client: Client
    rows: dict[int, JsonObject] = field(default_factory=dict[int, JsonObject])
    request: RunRequest | None = None
    snapshot: Snapshot | None = None
    state: JsonObject | None = None  # the agent's, as the run began with it; a rebuilt agent changes nothing of that
    first_run: str = ""
    scheduled: dict[int, tuple[str, Payloads]] = field(default_factory=dict[int, tuple[str, Payloads]])

    async def read(self, event: HistoryEvent) -> None:
        match event.event_type:
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
                told = event.workflow_execution_started_event_attributes
                self.first_run = told.first_execution_run_id
                await self._started(told.input)
            case EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
                attributes = event.activity_task_scheduled_event_attributes
                self.scheduled[event.event_id] = (attributes.activity_type.name, attributes.input)
            case EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
                done = event.activity_task_completed_event_attributes
                await self._completed(*self.scheduled[done.scheduled_event_id], done.result)
            case EventType.EVENT_TYPE_MARKER_RECORDED:
                await self._marker(event)
            case _:
                pass

    async def _started(self, payloads: Payloads) -> None:
        request = await self._value(payloads, RunRequest)
        if request.carried is None:
            self.request = request
            self.rows[0] = first_row(request)

    async def _completed(self, activity: str, given: Payloads, result: Payloads) -> None:
        if activity == "decide":
            await self._decided((await self._value(given, Decide)).seq, await self._value(result, Turn))
        elif activity == "note":
            await self._noted(result)
        elif activity == "observe":
            await self._observed(result)
        elif activity.startswith("tool."):
            await self._acted(await self._value(given, Act), await self._value(result, Result))

    async def _decided(self, seq: int, turn: Turn) -> None:
        if turn.until or turn.halted or turn.parked:
            return
        self.rows[seq] = assistant_row(turn)
        calls = tool_calls(turn.content)
        for index, problem in {**turn.problems, **turn.rejected}.items():
            self.rows[seq + 1 + index] = problem_row(calls[index]["id"], problem)

    async def _acted(self, act: Act, result: Result) -> None:
        if result.settles:
            call = tool_calls(self.rows[act.seq]["content"])[act.call]
            self.rows[act.seq + 1 + act.call] = result_row(call["id"], result)

    async def _noted(self, result: Payloads) -> None:
        note = await self._value(result, Note)
        self.rows[note.seq] = note.row

    async def _marker(self, event: HistoryEvent) -> None:
        activity, result = local_result(event)
        if activity == "note":
            await self._noted(result)
        elif activity == "observe":
            await self._observed(result)

    async def _observed(self, result: Payloads) -> None:
        observed = await self._value(result, Observed)
        self.snapshot = observed.snapshot or self.snapshot
        if observed.ready is not None:
            self.rows[1] = assistant_row(observed.ready)  # what was noted before it could be said stands in its place
        if self.state is None and self.snapshot is not None:
            self.state = self.snapshot.state

    async def _value(self, payloads: Payloads, kind: type[T]) -> T:
        return (await self.client.data_converter.decode(payloads.payloads, [kind]))[0]


@dataclass(frozen=True)
class Told:
    """What history says of a run: its rows by number, the request that began it, and its agent's latest snapshot.

    `initial_state` is what the run began with: the agent's state, and over it the caller's.
    """

    rows: dict[int, JsonObject]
    request: RunRequest | None
    snapshot: Snapshot | None
    initial_state: JsonObject
    first_run: str


def local_result(event: HistoryEvent) -> tuple[str, Payloads]:
    """Which local activity a marker tells of, and its result; an empty name for any other marker, and for a failure."""
    marker = event.marker_recorded_event_attributes
    if marker.marker_name != LOCAL_MARKER or "result" not in marker.details:
        return "", Payloads()
    return json.loads(marker.details["data"].payloads[0].data).get("activity_type", ""), marker.details["result"]


async def read(client: Client, workflow: str) -> Told:
    """Everything the store should know of a run, through all continuations."""
    reader = _Reader(client)
    async for event in events_of(client, workflow):
        await reader.read(event)
    state = {**(reader.state or {}), **(reader.request.state if reader.request else {})}
    return Told(dict(sorted(reader.rows.items())), reader.request, reader.snapshot, state, reader.first_run)


async def events_of(client: Client, workflow: str, *, wait: bool = False) -> AsyncIterator[HistoryEvent]:
    """Every event of a run, from its first execution on through all continuations; with `wait` those to come as well."""
    # Backwards to where it began, because a reset leaves the old branch's continuations behind; then forwards.
    chain: list[str] = [(await client.get_workflow_handle(workflow).describe()).run_id]
    while chain[-1]:
        started = await anext(aiter(client.get_workflow_handle(workflow, run_id=chain[-1]).fetch_history_events()))
        chain.append(started.workflow_execution_started_event_attributes.continued_execution_run_id)
    runs = list(reversed(chain[:-1]))
    told: dict[int, int] = {}  # event id → time, of the last run that was walked through
    for run_id in runs:  # grows while it is walked through, when a run that is waited for goes on in another one
        before, told = told, {}
        handle = client.get_workflow_handle(workflow, run_id=run_id)
        async for event in handle.fetch_history_events(wait_new_event=wait):
            told[event.event_id] = event.event_time.ToNanoseconds()
            further = await _goes_on(client, workflow, event) if wait and run_id == runs[-1] else None
            runs += [further] if further else []
            reset = event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED and further is not None
            if not reset and before.get(event.event_id) != told[event.event_id]:  # a reset run begins with a copy
                yield event


async def _goes_on(client: Client, workflow: str, event: HistoryEvent) -> str | None:
    """The run in which the one that ends with this event goes on: by continue-as-new, or because it was reset."""
    if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW:
        return event.workflow_execution_continued_as_new_event_attributes.new_execution_run_id
    if event.event_type != EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED:
        return None
    now = await client.get_workflow_handle(workflow).describe()
    ended = event.workflow_execution_terminated_event_attributes.reason.lower()
    return now.run_id if now.status is WorkflowExecutionStatus.RUNNING or "reset" in ended else None
