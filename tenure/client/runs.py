"""Runs: start them by agent name, find them by id, list them."""

from __future__ import annotations

import difflib
import hashlib
import re
from dataclasses import dataclass
from typing import TypedDict, Unpack

from pydantic import ValidationError
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

from tenure.client import ids
from tenure.client.connected import Connected
from tenure.client.handle import RunHandle
from tenure.errors import BadInput, NotFound, TemporalUnavailable
from tenure.run import RunRequest, Status
from tenure.runtime import lineage
from tenure.runtime import temporal as names
from tenure.runtime.store import Connection, runs, transcript
from tenure.runtime.store.runs import RunRow
from tenure.runtime.telemetry import carrier
from tenure.transcript import canonical, clean, first_row, request_name
from tenure.wire import INLINE_LIMIT, MESSAGE_LIMIT, STATE_LIMIT, BlobRef, JsonObject

NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
MEMO = "TenureRequest"
OTHER_REQUEST = (
    "run {} has this idempotency_key and was started with another message, state, context, user or role: use a new key"
)


class RunOptions(TypedDict, total=False):
    """What may be said of a run beside its message.

    `tenant` (default "default"), `user` and `role` are claims of whoever holds Temporal credentials. `context` is more text
    for the agent, before the message. A second start with the same `idempotency_key` returns the first run, also when Temporal
    has forgotten it. `priority` is 1 (first) to 5, default 3; between runs of one priority tenants take turns. `tainted` says that
    the message itself comes from somebody else than the user. A run that a tool starts takes this over from the tool's own run.
    """

    tenant: str
    user: str | None
    role: str | None
    state: JsonObject | None
    context: str | list[str] | None
    idempotency_key: str | None
    priority: int | None
    tainted: bool


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
        _check_names(options)
        tenant = _name("tenant", options.get("tenant", "default"))
        request = self._request(_name("agent", agent), message, fingerprint, tenant, options)
        key, priority = options.get("idempotency_key"), _priority(options.get("priority"), tenant)
        last = f"k-{_key_hash(tenant, agent, key)}" if key else str(ULID()).lower()
        workflow = f"{tenant}:run:{agent}:{last}"
        if key and await self._ended_before(workflow, request):
            return RunHandle(workflow, self.system)
        return await self._start(workflow, request, message, priority)

    async def _ended_before(self, workflow: str, request: RunRequest) -> bool:
        """Whether the store knows how the run ended; Temporal may have forgotten it. Raises BadInput for another request."""
        if self.system.store is None:
            return False
        run, begun = await self.system.store.read(
            lambda db: (runs.get(db, workflow), transcript.standing(db, workflow, 0))
        )
        if run is None or run.outcome is None or begun is None:
            return False
        same_state = {**run.initial_state, **request.state} == run.initial_state
        if begun[0] != first_row(request) or not same_state or (run.user, run.role) != (request.user, request.role):
            raise BadInput(OTHER_REQUEST.format(workflow))
        return True

    def _request(
        self, agent: str, message: str, fingerprint: str | None, tenant: str, options: RunOptions
    ) -> RunRequest:
        context, (text, blob) = options.get("context"), self._message(message)
        parent = lineage.current()
        try:
            return RunRequest(
                message=text,
                message_blob=blob,
                agent=agent,
                fingerprint=fingerprint,
                tenant=tenant,
                user=options.get("user") or parent.user,
                role=options.get("role"),
                state=_state(options.get("state") or {}),
                context=_context([context] if isinstance(context, str) else list(context or [])),
                trace=carrier(),
                tainted=parent.tainted or options.get("tainted", False),
                cap=parent.cap,
            )
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise BadInput(f"{'.'.join(map(str, first['loc']))}={first['input']!r:.80}: {first['msg']}") from error

    async def find(self, run: str) -> RunHandle:
        """The run of that id, or the only one whose id's last part begins or ends so. Raises NotFound.

        Raises BadInput for what is too short to name one, and for what several fit.
        """
        ids.check_text("run", run)
        is_whole = ids.WHOLE_RUN.fullmatch(run) is not None
        if is_whole and self.system.store is None:
            return RunHandle(run, self.system)
        store = self.system.require_store()
        count, some = await store.read(lambda db: _named(db, run))
        if count == 1 and (run in some or ":" not in run):
            return RunHandle(some[0], self.system)
        if count:
            raise ids.several("run", run, count, some)
        if is_whole:  # no worker has taken it yet, or the store is another one: Temporal may know it
            return RunHandle(run, self.system)
        raise NotFound(f"no run {run!r} in {store.where}: `tenure runs` lists them")

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
        asked = request_name(request)
        try:
            await self.system.temporal.start_workflow(
                "AgentRun",
                request,
                id=workflow,
                task_queue=self.system.settings.task_queue,
                task_timeout=names.WORKFLOW_TASK,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                search_attributes=TypedSearchAttributes(attributes),
                priority=priority,
                memo={MEMO: asked},
                static_summary=f"{request.agent}: {' '.join(message.split())[:120]}",
            )
        except WorkflowAlreadyStartedError:  # the same idempotency key: the run that stands is the answer
            described = await self.system.temporal.get_workflow_handle(workflow).describe()
            if await described.memo_value(MEMO, asked, type_hint=str) != asked:
                raise BadInput(OTHER_REQUEST.format(workflow)) from None
        except RPCError as error:
            if error.status is RPCStatusCode.INVALID_ARGUMENT:
                raise BadInput(f"Temporal refuses the start of {workflow}: {error.message}") from error
            raise TemporalUnavailable(f"Temporal did not start {workflow}: {error.message}") from error
        return RunHandle(workflow, self.system)


def _named(db: Connection, run: str) -> tuple[int, list[str]]:
    """How many runs `run` fits, and some of them; a whole id fits only its own. Raises BadInput."""
    if runs.get(db, run) is not None:
        return 1, [run]
    if ":" not in run:
        ids.check_part("run", run)
    return runs.named(db, run)


def _check_names(options: RunOptions) -> None:
    for name in options.keys() - RunOptions.__annotations__.keys():
        near = difflib.get_close_matches(name, RunOptions.__annotations__, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(RunOptions.__annotations__)}"
        raise BadInput(f"a run has no option {name!r}: {hint}")


def _name(what: str, name: object) -> str:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise BadInput(f"{what} {name!r}: must match {NAME.pattern} (it becomes part of workflow ids)")
    return name


def _priority(key: int | None, tenant: str) -> Priority:
    """The run's place in the queue: its activities inherit it."""
    if key is not None and (isinstance(key, bool) or key not in range(1, 6)):
        raise BadInput(f"priority={key!r}: must be 1 (first) to 5 (last); without it a run has 3")
    return Priority(priority_key=key, fairness_key=tenant)


def _context(given: list[str]) -> list[str]:
    texts = [text for text in given if text.strip()]  # the Messages API takes no empty text
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
