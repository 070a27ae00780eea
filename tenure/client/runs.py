"""Runs: start them by agent name, find them by id, list them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TypedDict, Unpack

from temporalio.common import (
    Priority,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode
from ulid import ULID

from tenure.client.connected import Connected
from tenure.client.handle import RunHandle
from tenure.errors import BadInput, NotFound, TemporalUnavailable
from tenure.run import RunRequest, Status
from tenure.runtime import temporal as names
from tenure.runtime.store import runs
from tenure.runtime.store.runs import RunRow
from tenure.runtime.telemetry import carrier
from tenure.transcript import canonical, clean
from tenure.wire import INLINE_LIMIT, MESSAGE_LIMIT, STATE_LIMIT, BlobRef, JsonObject

NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
WORKFLOW_TASK = timedelta(seconds=6)  # a killed worker holds a workflow task at most this long


class RunOptions(TypedDict, total=False):
    """What may be said of a run beside its message.

    `tenant` (default "default"), `user` and `role` are claims of whoever holds Temporal credentials. `context` is more text
    for the agent, before the message. A second start with the same `idempotency_key` returns the first run, also when Temporal
    has forgotten it. `priority` is 1 (first) to 5, default 3; between runs of one priority tenants take turns.
    """

    tenant: str
    user: str | None
    role: str | None
    state: JsonObject | None
    context: str | list[str] | None
    idempotency_key: str | None
    priority: int | None


@dataclass(frozen=True)
class Runs:
    """The facet `system.runs`."""

    system: Connected

    async def start(
        self, agent: str, message: str, *, fingerprint: str | None = None, **options: Unpack[RunOptions]
    ) -> RunHandle:
        """Start a run of `agent`. With an `idempotency_key`, a second start is the first run again.

        Raises BadInput for a name, message or state that cannot be, TemporalUnavailable when nobody answers.
        """
        tenant, context = options.get("tenant", "default"), options.get("context")
        text, blob = self._message(message)
        request = RunRequest(
            message=text,
            message_blob=blob,
            agent=_name("agent", agent),
            fingerprint=fingerprint,
            tenant=_name("tenant", tenant),
            user=options.get("user"),
            role=options.get("role"),
            state=_state(options.get("state") or {}),
            context=_context([context] if isinstance(context, str) else list(context or [])),
            trace=carrier(),
        )
        key = options.get("idempotency_key")
        last = f"k-{_key_hash(tenant, agent, key)}" if key else str(ULID()).lower()
        priority = _priority(options.get("priority"), tenant)
        return await self._start(f"{tenant}:run:{agent}:{last}", request, message, priority)

    async def find(self, run: str) -> RunHandle:
        """The run of that id, or whose id ends in it. Raises NotFound, and BadInput when several do."""
        if ":" in run:
            return RunHandle(run, self.system)
        store = self.system.require_store()
        found = await store.read(lambda db: runs.ending_in(db, run))
        if not found:
            raise NotFound(f"no run {run!r} in {store.where}: `tenure runs` lists them")
        if len(found) > 1:
            raise BadInput(f"{run!r} fits {len(found)} runs: {', '.join(found[:3])}…; write more of the id")
        return RunHandle(found[0], self.system)

    async def list(
        self,
        *,
        agent: str | None = None,
        tenant: str | None = None,
        status: Status | None = None,
        since: int = 0,
        limit: int = 50,
    ) -> list[RunRow]:
        """Runs in the store that match, the newest first; `since` in milliseconds since the epoch."""
        store = self.system.require_store()
        return await store.read(
            lambda db: runs.recent(db, agent=agent, tenant=tenant, status=status, since=since, limit=limit)
        )

    def _message(self, message: str) -> tuple[str, BlobRef | None]:
        content = message.encode("utf-8", "replace")
        if not content.strip():
            raise BadInput("the message is empty: say what the agent shall do")
        if len(content) <= INLINE_LIMIT or (self.system.blobs is None and len(content) <= MESSAGE_LIMIT):
            return content.decode(), None
        if self.system.blobs is None:
            raise BadInput(
                f"a message of {len(content):,} bytes: above {MESSAGE_LIMIT:,} it travels through the blob store, and this "
                "client has none: set TENURE_HOME or TENURE_BLOB_URL to the worker's, or send less"
            )
        return "", self.system.blobs.put(content)

    async def _start(self, workflow: str, request: RunRequest, message: str, priority: Priority) -> RunHandle:
        attributes = [
            SearchAttributePair(names.AGENT, request.agent),
            SearchAttributePair(names.TENANT, request.tenant),
            SearchAttributePair(names.STATUS, Status.RUNNING),
            SearchAttributePair(names.PENDING, 0),
        ]
        if request.fingerprint:
            attributes.append(SearchAttributePair(names.FINGERPRINT, request.fingerprint))
        try:
            await self.system.temporal.start_workflow(
                "AgentRun",
                request,
                id=workflow,
                task_queue=self.system.settings.task_queue,
                task_timeout=WORKFLOW_TASK,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                search_attributes=TypedSearchAttributes(attributes),
                priority=priority,
                static_summary=f"{request.agent}: {' '.join(message.split())[:120]}",
            )
        except WorkflowAlreadyStartedError:
            pass  # the same idempotency key: the run that stands is the answer
        except RPCError as error:
            if error.status is RPCStatusCode.INVALID_ARGUMENT:
                raise BadInput(f"Temporal refuses the start of {workflow}: {error.message}") from error
            raise TemporalUnavailable(f"Temporal did not start {workflow}: {error.message}") from error
        return RunHandle(workflow, self.system)


def _name(what: str, name: str) -> str:
    if not NAME.fullmatch(name):
        raise BadInput(f"{what} {name!r}: must match {NAME.pattern} (it becomes part of workflow ids)")
    return name


def _priority(key: int | None, tenant: str) -> Priority:
    """The run's place in the queue: its activities inherit it."""
    if key is not None and (isinstance(key, bool) or key not in range(1, 6)):
        raise BadInput(f"priority={key!r}: must be 1 (first) to 5 (last); without it a run has 3")
    return Priority(priority_key=key, fairness_key=tenant)


def _context(texts: list[str]) -> list[str]:
    size = sum(len(text.encode("utf-8", "replace")) for text in texts)
    if size > INLINE_LIMIT:
        raise BadInput(
            f"context of {size:,} bytes: at most {INLINE_LIMIT:,}; put it into the message, or give a tool for it"
        )
    return texts


def _state(state: JsonObject) -> JsonObject:
    try:
        size = len(canonical(state))
        cleaned = clean(state)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadInput(f"the initial state is not JSON: {error}") from error
    if size > STATE_LIMIT:
        raise BadInput(f"the initial state takes {size:,} bytes: at most {STATE_LIMIT:,}")
    return cleaned


def _key_hash(tenant: str, agent: str, key: str) -> str:
    return hashlib.sha256(canonical([tenant, agent, key]).encode()).hexdigest()[:32]
