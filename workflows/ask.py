"""Every human gate: a request is posted, answers are verified, one decision is consumed once.

Rules of this file: a token is only text until `verify` has accepted it; an accepted one counts for this request only, once;
malformed input never raises. Nothing else is in flight while a run asks, so it may continue as new at any moment here.
"""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

from tenure.approvals.answer import TOKEN_LIMIT
from tenure.approvals.digest import request_digest
from tenure.approvals.request import Closed, Kind, Request, Settled, Verdict, Verdicts, Verify
from tenure.run import Asking, RunState
from tenure.wire import JsonObject
from tenure.workflows import story
from tenure.workflows.carry import now, should_move, tell
from tenure.workflows.quick import quick

CALL_DEADLINE = 3600_000  # milliseconds a person has to answer
BATCH = 50  # answers verified by one activity
INBOX_LIMIT = 256 * 1024  # characters of answers that may wait unread: they must fit into what continue-as-new carries
VERDICTS_KEPT = 100


class MoveOn(Exception):
    """Raised out of a wait so that the run continues as new and waits on there."""


class Desk:
    """Where answers arrive and requests wait for them."""

    def __init__(self, run: RunState) -> None:
        self._run = run
        self._verdicts: dict[str, Verdict] = {}
        self._closed = False

    def close(self) -> None:
        """Nothing is looked at here any more: whoever waits for a verdict is told so."""
        self._closed = True

    def drop(self, token: object) -> str:
        """An answer arrives. It may be anything; what is too long to be one is kept as a remark. A flood is dropped."""
        text = str(token)
        if len(text) > TOKEN_LIMIT:
            text = f"[{len(text)} characters]"
        if sum(map(len, self._run.inbox)) < INBOX_LIMIT:
            self._run.inbox.append(text)
        return text

    async def verdict_on(self, token: str) -> Verdict:
        """What became of `token`, once it was looked at."""
        await workflow.wait_condition(lambda: token in self._verdicts or self._closed)
        moved = Verdict(
            accepted=False, reason="the run moved on with the answer unread: `tenure show` tells what became of it"
        )
        return self._verdicts.get(token, moved)

    async def ask(self, asking: Asking, request: Request) -> Settled:
        """Wait until enough people approve, one decides otherwise, or nobody answers in time. Raises MoveOn."""
        request = await self._post(asking, request)
        settled = None
        while settled is None:
            settled = await self._next(asking, request)
        await quick("close_request", Closed(request=request, settled=settled, at=now()))
        asking.request, asking.approvals = None, []
        story.mark_waiting(False)
        tell(self._run, f"{settled.choice} by {settled.principal or 'nobody'}: {request.why}")
        story.tell(self._run)
        return settled

    async def _post(self, asking: Asking, request: Request) -> Request:
        if asking.request is not None and asking.request.digest == request.digest:
            return asking.request  # asked before continue-as-new: the deadline and the approvals stand
        asking.request, asking.approvals = request, []
        await quick("open_request", request)
        story.mark_waiting(True)
        story.tell(self._run)
        return request

    async def _next(self, asking: Asking, request: Request) -> Settled | None:
        left = (request.deadline - now()) / 1000
        if not self._run.inbox and left <= 0:
            return Settled(choice="expired", note="nobody answered in time")
        if not self._run.inbox:
            await self._wait(left, request.why)
            return None
        tokens = self._run.inbox[:BATCH]
        found = await quick("verify", Verify(request=request, tokens=tokens, at=now()), Verdicts)
        del self._run.inbox[: len(tokens)]  # only now: a move before this point must carry them
        settled = None
        for token, verdict in zip(tokens, found.verdicts, strict=True):
            settled = settled or self._consume(asking, request, verdict)
            self._remember(token, verdict)
        if settled is None and should_move():
            raise MoveOn
        return settled

    async def _wait(self, left: float, why: str) -> None:
        told = f"waiting for a person: {story.one_line(why)}"
        try:
            await workflow.wait_condition(
                lambda: bool(self._run.inbox), timeout=timedelta(seconds=left), timeout_summary=told
            )
        except TimeoutError:
            return

    def _consume(self, asking: Asking, request: Request, verdict: Verdict) -> Settled | None:
        if not verdict.accepted or verdict.jti in self._run.jtis:
            return None
        self._run.jtis.append(verdict.jti)
        if verdict.choice == "approve":
            if verdict.principal not in asking.approvals:
                asking.approvals.append(verdict.principal)
            if len(asking.approvals) < request.quorum:
                return None
            return Settled(choice="approve", principal=", ".join(asking.approvals), note=verdict.note)
        return Settled(choice=verdict.choice, principal=verdict.principal, note=verdict.note)

    def _remember(self, token: str, verdict: Verdict) -> None:
        self._verdicts[token] = verdict
        if len(self._verdicts) > VERDICTS_KEPT:
            del self._verdicts[next(iter(self._verdicts))]


def request_for(run: RunState, kind: Kind, seq: int, payload: JsonObject, why: str, **more: object) -> Request:
    """A request about row `seq` of this run, with the digest that an answer must sign."""
    workflow_id = workflow.info().workflow_id
    payload = {**payload, "why": why}  # part of what is signed: nobody approves for another reason than they read
    digest = request_digest(run.request.tenant, workflow_id, seq, kind, payload, 0)
    base = Request(
        id=f"req-{digest[:16]}",
        kind=kind,
        tenant=run.request.tenant,
        workflow=workflow_id,
        agent=run.request.agent,
        seq=seq,
        payload=payload,
        why=why,
        digest=digest,
        user=run.request.user,
        opened_at=now(),
        deadline=now() + CALL_DEADLINE,
    )
    return base.model_copy(update=more)
