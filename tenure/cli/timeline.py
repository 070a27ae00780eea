"""When each step of a run happened, read from Temporal's history: no worker is needed for it, only the server."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

from tenure.runtime import history
from tenure.turn import Act, Decide

if TYPE_CHECKING:
    from temporalio.client import Client

ENDS = {
    EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED: "activity_task_completed_event_attributes",
    EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED: "activity_task_failed_event_attributes",
    EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT: "activity_task_timed_out_event_attributes",
    EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED: "activity_task_canceled_event_attributes",
}


@dataclass(frozen=True)
class Span:
    """One step: when it began, how long it took (both in milliseconds; None while it lasts), in how many attempts."""

    at: int
    took: int | None = None
    attempts: int = 1


class _Reader:
    def __init__(self, client: Client) -> None:
        self._client = client
        self._rows: dict[int, int] = {}  # id of the event that scheduled an activity → transcript row
        self.spans: dict[int, Span] = {}

    async def read(self, event: HistoryEvent) -> None:
        match event.event_type:
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
                self._rows = {}  # event ids begin again with every continuation
                self.spans.setdefault(0, Span(_at(event), 0))
            case EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
                await self._scheduled(event)
            case EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
                started = event.activity_task_started_event_attributes
                self._change(started.scheduled_event_id, attempts=started.attempt)
            case ended if ended in ENDS:
                scheduled = getattr(event, ENDS[ended]).scheduled_event_id
                self._change(scheduled, ended=_at(event))
            case _:
                pass

    async def _scheduled(self, event: HistoryEvent) -> None:
        attributes = event.activity_task_scheduled_event_attributes
        name = attributes.activity_type.name
        kind = Decide if name == "decide" else Act if name.startswith("tool.") else None
        if kind is None:
            return
        (given,) = await self._client.data_converter.decode(attributes.input.payloads, [kind])
        row = given.seq if isinstance(given, Decide) else given.seq + 1 + given.call
        self._rows[event.event_id] = row
        self.spans[row] = Span(_at(event))

    def _change(self, scheduled: int, *, attempts: int | None = None, ended: int | None = None) -> None:
        row = self._rows.get(scheduled)
        if row is None:
            return
        span = self.spans[row]
        self.spans[row] = replace(
            span, attempts=attempts or span.attempts, took=span.took if ended is None else ended - span.at
        )


async def spans(client: Client, workflow: str) -> dict[int, Span]:
    """The time of each transcript row that an activity made, by row number. Raises RPCError, RuntimeError."""
    reader = _Reader(client)
    async for event in history.events_of(client, workflow):
        await reader.read(event)
    return reader.spans


def _at(event: HistoryEvent) -> int:
    return event.event_time.ToMilliseconds()
