"""Events: a run as it happens, read from Temporal's history, so that none is missed and no worker is asked."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Literal, TypeVar

from temporalio.api.common.v1 import Payloads
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

from tenure.run import Outcome, RunRequest, Status, StopReason
from tenure.runtime import history
from tenure.runtime import temporal as names
from tenure.transcript import answer_text, as_text, tool_calls
from tenure.turn import Act, Note, Result, Turn

T = TypeVar("T")
SHOWN = 2_000  # characters of a result; `Response.tool_calls` has all of it
ENDS: dict[EventType.ValueType, tuple[StopReason, str]] = {
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED: (StopReason.CANCELLED, "cancelled"),
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED: (StopReason.FAILED, "terminated"),
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT: (StopReason.FAILED, "timed out"),
}


@dataclass(frozen=True)
class Event:
    """Something that happened in a run. `at` is milliseconds since the epoch.

    | kind | |
    |---|---|
    | `started` | the run began; `text` is the message |
    | `decided` | Claude's turn; `text` is what it said, `tools` whom it calls, with `tokens` and `cost` (int micro-dollars) |
    | `tool_started` | a call of `tool` is on its way |
    | `tool_finished` | it came to `text`, cut to 2,000 characters; `ok` says whether it succeeded; refused calls only finish |
    | `waiting` · `resumed` | a person must answer `request` (`await system.approvals.find(...)` has it) · the run goes on |
    | `finished` | the run ended as `status` and `stop_reason`; `text` is the final message |
    """

    kind: Literal["started", "decided", "tool_started", "tool_finished", "waiting", "resumed", "finished"]
    at: int
    text: str = ""
    tool: str = ""
    tools: tuple[str, ...] = ()
    request: str = ""
    ok: bool = True
    tokens: int = 0
    cost: int = 0
    status: Status | None = None
    stop_reason: StopReason | None = None


class _Reader:
    """Turns history events into ours; keeps what later ones refer back to."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._scheduled: dict[int, tuple[str, Payloads]] = {}
        self._tools: dict[int, str] = {}  # row of a result → the tool's name
        self._waits = False
        self._request = ""  # the id of the one that was opened last

    async def read(self, event: HistoryEvent) -> list[Event]:
        at = event.event_time.ToMilliseconds()
        match event.event_type:
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
                self._scheduled = {}  # event ids begin again with every continuation
                return await self._started(event.workflow_execution_started_event_attributes.input, at)
            case EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
                told = event.activity_task_scheduled_event_attributes
                self._scheduled[event.event_id] = (told.activity_type.name, told.input)
                name = told.activity_type.name
                return [Event("tool_started", at, tool=name.removeprefix("tool."))] if name.startswith("tool.") else []
            case EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
                done = event.activity_task_completed_event_attributes
                return await self._completed(*self._scheduled[done.scheduled_event_id], done.result, at)
            case EventType.EVENT_TYPE_MARKER_RECORDED:
                return await self._marker(event, at)
            case EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES:
                return list(self._marked(event, at))
            case _:
                return await self._ended(event, at)

    async def _started(self, given: Payloads, at: int) -> list[Event]:
        request = await self._value(given, RunRequest)
        return [] if request.carried else [Event("started", at, request.message)]

    async def _completed(self, activity: str, given: Payloads, result: Payloads, at: int) -> list[Event]:
        if activity == "note":
            return await self._noted(result, at)
        if activity == "open_request":  # as an ordinary activity, after an outage of the store
            self._request = _opened(result)
        if activity == "decide":
            seq = json.loads(given.payloads[0].data)["seq"]
            return self._decided(seq, await self._value(result, Turn), at)
        if not activity.startswith("tool."):
            return []
        act, came = await self._value(given, Act), await self._value(result, Result)
        return [self._finished(act.seq + 1 + act.call, came, at)] if came.settles else []

    def _decided(self, seq: int, turn: Turn, at: int) -> list[Event]:
        if turn.until or turn.halted or turn.parked:
            return []
        calls = tool_calls(turn.content)
        self._tools |= {seq + 1 + index: block["name"] for index, block in enumerate(calls)}
        said = Event(
            "decided",
            at,
            answer_text(turn.content),
            tools=tuple(block["name"] for block in calls),
            tokens=turn.usage.total,
            cost=turn.cost,
        )
        refused = {**turn.problems, **turn.rejected}
        return [
            said,
            *(Event("tool_finished", at, why, calls[index]["name"], ok=False) for index, why in refused.items()),
        ]

    async def _marker(self, event: HistoryEvent, at: int) -> list[Event]:
        activity, result = history.local_result(event)
        if activity == "open_request":
            self._request = _opened(result)
        return await self._noted(result, at) if activity == "note" else []

    async def _noted(self, result: Payloads, at: int) -> list[Event]:
        """A call that was refused, or whose result stood already; added context is no event."""
        note = await self._value(result, Note)
        return [self._finished(note.seq, Result.model_validate(note.row), at)] if note.row["role"] == "tool" else []

    def _finished(self, row: int, result: Result, at: int) -> Event:
        told = (
            "as before"
            if result.same_as is not None
            else f"{result.blob.size:,} bytes"
            if result.blob
            else as_text(result.value)
        )
        return Event("tool_finished", at, told[:SHOWN], self._tools.get(row, ""), ok=result.ok)

    def _marked(self, event: HistoryEvent, at: int) -> Iterator[Event]:
        fields = event.upsert_workflow_search_attributes_event_attributes.search_attributes.indexed_fields
        if names.PENDING.name in fields:
            waits = json.loads(fields[names.PENDING.name].data or b"0") > 0
            if waits != self._waits:
                yield Event("waiting" if waits else "resumed", at, request=self._request)
            self._waits = waits
            self._request = self._request if waits else ""

    async def _ended(self, event: HistoryEvent, at: int) -> list[Event]:
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
            return [_end(await self._value(event.workflow_execution_completed_event_attributes.result, Outcome), at)]
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:
            failure = event.workflow_execution_failed_event_attributes.failure
            details = failure.application_failure_info.details
            if details.payloads:
                return [_end(await self._value(details, Outcome), at)]
            return [_end(_outcome(StopReason.FAILED, failure.message), at)]
        ended = ENDS.get(event.event_type)
        return [] if ended is None else [_end(_outcome(*ended), at)]

    async def _value(self, payloads: Payloads, kind: type[T]) -> T:
        return (await self._client.data_converter.decode(payloads.payloads, [kind]))[0]


async def events(client: Client, workflow: str) -> AsyncIterator[Event]:
    """What happened in the run so far, then what happens, to its end."""
    reader = _Reader(client)
    async for event in history.events_of(client, workflow, wait=True):
        for told in await reader.read(event):
            yield told


def _opened(result: Payloads) -> str:
    return json.loads(result.payloads[0].data or b"null") or "" if result.payloads else ""


def _outcome(reason: StopReason, message: str) -> Outcome:
    status = Status.CANCELLED if reason is StopReason.CANCELLED else Status.FAILED
    return Outcome(status=status, stop_reason=reason, message=message)


def _end(outcome: Outcome, at: int) -> Event:
    return Event(
        "finished",
        at,
        outcome.message,
        ok=outcome.status is Status.COMPLETED,
        tokens=outcome.usage.total,
        cost=outcome.cost,
        status=outcome.status,
        stop_reason=outcome.stop_reason,
    )
