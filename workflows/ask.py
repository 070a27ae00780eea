"""Every human gate: a request is posted, answers are verified, one decision is consumed once.

Rules of this file: a token is only text until `verify` has accepted it; an accepted one counts for this request only, once;
malformed input never raises, and takes no room from what may be an answer; nothing is turned away without a word. Nothing else is
in flight while a run asks, so it may continue as new at any moment here.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Protocol

from temporalio import workflow

from tenure.approvals.answer import unlike
from tenure.approvals.digest import request_digest
from tenure.approvals.request import Closed, Kind, Notice, Request, Settled, Verdict, Verdicts, Verify
from tenure.run import Asking, RunState
from tenure.trust.terms import Terms
from tenure.wire import JsonObject
from tenure.workflows import story
from tenure.workflows.carry import now, should_move
from tenure.workflows.quick import quick

REMINDERS = (0.5, 0.9)  # of the time people have, when they are reminded
ASK_AGAIN = timedelta(minutes=5)  # when the approvers have been asked too much of late
BATCH = 50  # answers verified by one activity
INBOX_LIMIT = 256 * 1024  # characters of answers that may wait unread: they must fit into what continue-as-new carries
INBOX_MOST = 500  # answers that may: each new one is compared with them
FULL = "more answers wait unread than there is room for: send it again"
REMARK = "[something that can be no answer]"  # one waits in place of all: so they are heard of, and recorded
VERDICTS_KEPT = 100
LATE = 10  # batches of answers that are told they came too late; a flood must not keep a run from ending
NOT_NOW = ""  # what `open_request` says instead of the request's id


class MoveOn(Exception):
    """Raised out of a wait so that the run continues as new and waits on there."""


class Mail(Protocol):
    """What of a workflow's state belongs to its desk: it is carried through continue-as-new."""

    inbox: list[str]
    jtis: list[str]


class Telling(Protocol):
    """How whoever asks shows where it stands."""

    def tell(self, what: str, *, ok: bool = True) -> None:
        """A line for its story; empty: only show anew."""
        ...

    def waiting(self, waits: bool) -> None:
        """It waits for people, or goes on."""
        ...


class Watch(Protocol):
    """What may end a request that nobody has answered: that it is over is found by looking, when somebody says so."""

    def is_woken(self) -> bool:
        """Whether somebody has said so since the last look."""
        ...

    async def look(self) -> Settled | None:
        """How the request ends; None: it stands."""
        ...


class Desk:
    """Where answers arrive and requests wait for them."""

    def __init__(self, mail: Mail, telling: Telling) -> None:
        self._mail, self._telling = mail, telling
        self._verdicts: dict[str, Verdict] = {}
        self._closed = False
        self._last: Request | None = None
        self._turned_away, self._why = 0, ""  # since the last look

    def close(self) -> None:
        """Nothing is looked at here any more: whoever waits for a verdict is told so."""
        self._closed = True

    def drop(self, sent: object) -> str | Verdict:
        """An answer arrives. It may be anything; what can be no answer, or finds no room, is counted and refused at once.

        Returns what `verdict_on` wants to know of it.
        """
        why, inbox = unlike(sent), self._mail.inbox
        text = REMARK if why else str(sent)
        if text in inbox:
            self._turned_away += bool(why)
        elif len(inbox) < INBOX_MOST and sum(map(len, inbox)) < INBOX_LIMIT:
            inbox.append(text)
        else:
            self._turned_away, why = self._turned_away + 1, why or FULL
        self._why = why or self._why
        return Verdict(accepted=False, reason=why) if why else text

    async def verdict_on(self, dropped: str | Verdict) -> Verdict:
        """What became of what was dropped, once it was looked at."""
        if isinstance(dropped, Verdict):
            return dropped
        await workflow.wait_condition(lambda: dropped in self._verdicts or self._closed)
        moved = Verdict(
            accepted=False, reason="the run moved on with the answer unread: `tenure show` tells what became of it"
        )
        return self._verdicts.get(dropped, moved)

    async def ask(self, asking: Asking, request: Request, watch: Watch | None = None) -> Settled:
        """Wait until enough people approve, one decides otherwise, nobody answers in time, or `watch` says that it is over.

        Raises MoveOn.
        """
        request = await self.open(asking, request)
        settled = None
        while settled is None:
            if self._mail.inbox or request.deadline <= now():
                settled = await self.look(asking, request)
            elif watch is not None and watch.is_woken():
                settled = await watch.look()
            else:
                await self._wait(asking, request, watch)
                continue
            if settled is None and should_move():
                raise MoveOn
        return await self.end(asking, request, settled)

    async def open(self, asking: Asking, request: Request) -> Request:
        """Ask, unless it was asked before continue-as-new: then the deadline and the approvals stand. Raises MoveOn."""
        if asking.request is not None and asking.request.digest == request.digest:
            return asking.request
        given = request.deadline - request.opened_at
        asking.request, asking.approvals, asking.refused = request, [], 0
        while (await quick("open_request", request, object)) == NOT_NOW:
            asking.request = None
            await self._rest()
            request = request.model_copy(update={"opened_at": now(), "deadline": now() + given})
            asking.request = request
        self._telling.waiting(True)
        self._telling.tell("")
        return request

    async def look(self, asking: Asking, request: Request) -> Settled | None:
        """What the answers that have arrived come to, or the deadline; None when it still waits."""
        if not self._mail.inbox:
            return _expired(request)
        tokens = self._mail.inbox[:BATCH]
        found = await quick("verify", Verify(request=request, tokens=tokens, at=now()), Verdicts)
        del self._mail.inbox[: len(tokens)]  # only now: a move before this point must carry them
        settled = None
        for token, verdict in zip(tokens, found.verdicts, strict=True):
            settled = settled or self._consume(asking, request, verdict)
            self._remember(token, verdict)
        self._count(asking)
        self._telling.tell("")
        return settled or _expired(request)  # what is unread then is too late: a flood must not keep a request open

    async def end(self, asking: Asking, request: Request, settled: Settled) -> Settled:
        """The request has come to its end, whichever."""
        settled = settled.model_copy(update={"request": request.id})
        await quick("close_request", Closed(request=request, settled=settled, at=now()))
        self._last = request
        asking.request, asking.approvals, asking.refused = None, [], 0
        self._telling.waiting(False)
        self._telling.tell(f"{settled.choice} by {settled.principal or 'nobody'} (asked: {request.why})")
        return settled

    async def late(self) -> None:
        """What has arrived after the last request was settled is told that it came too late."""
        for _ in range(LATE):
            if self._last is None or not self._mail.inbox:
                return
            tokens = self._mail.inbox[:BATCH]
            found = await quick("verify", Verify(request=self._last, tokens=tokens, at=now()), Verdicts)
            del self._mail.inbox[: len(tokens)]
            for token, verdict in zip(tokens, found.verdicts, strict=True):
                self._remember(token, verdict)

    def due(self, asking: Asking, request: Request) -> int:
        """When something happens although nobody answers: a reminder, or the deadline."""
        return _moments(request)[(asking.request or request).reminded]

    async def remind(self, asking: Asking, request: Request) -> None:
        """Tell people again, if it is time for that."""
        due = self.due(asking, request)
        if due <= now() and due < request.deadline:
            asking.request = request.model_copy(update={"reminded": (asking.request or request).reminded + 1})
            await quick("remind", Notice(what="reminder", request=request, at=now()))

    async def _rest(self) -> None:
        """The approvers are asked by so many that they cannot read what they approve: this one waits its turn."""
        self._telling.waiting(True)
        self._telling.tell("the approvers here are asked too much at the moment: asking again in 5 minutes", ok=False)
        if should_move():
            raise MoveOn
        await workflow.sleep(ASK_AGAIN, summary="the approvers are asked too much at the moment")

    async def _wait(self, asking: Asking, request: Request, watch: Watch | None) -> None:
        def is_due() -> bool:
            return bool(self._mail.inbox) or (watch is not None and watch.is_woken())

        left = timedelta(milliseconds=max(self.due(asking, request) - now(), 1))
        told = story.amounts_in_words(f"waiting for a person: {story.one_line(request.why)}")
        try:
            await workflow.wait_condition(is_due, timeout=left, timeout_summary=told)
        except TimeoutError:
            await self.remind(asking, request)

    def _consume(self, asking: Asking, request: Request, verdict: Verdict) -> Settled | None:
        if not verdict.accepted:
            asking.refused, asking.refusal = asking.refused + 1, verdict.reason
        if not verdict.accepted or verdict.jti in self._mail.jtis:
            return None
        self._mail.jtis.append(verdict.jti)
        if verdict.choice == "approve":
            if verdict.principal not in asking.approvals:
                asking.approvals.append(verdict.principal)
            if len(asking.approvals) < request.quorum:
                return None
            return Settled(choice="approve", principal=", ".join(asking.approvals), note=verdict.note)
        return Settled(choice=verdict.choice, principal=verdict.principal, note=verdict.note, edit=verdict.edit)

    def _count(self, asking: Asking) -> None:
        """What was turned away since the last look was refused as well."""
        asking.refused, asking.refusal = asking.refused + self._turned_away, self._why or asking.refusal
        self._turned_away, self._why = 0, ""

    def _remember(self, token: str, verdict: Verdict) -> None:
        self._verdicts[token] = verdict
        if len(self._verdicts) > VERDICTS_KEPT:
            del self._verdicts[next(iter(self._verdicts))]


def request_for(
    run: RunState, kind: Kind, seq: int, payload: JsonObject, why: str, terms: Terms, **more: Any
) -> Request:
    """A request about row `seq` of this run, with the digest that an answer must sign."""
    told = {"user": run.request.user, **more}
    return make_request(
        (run.request.tenant, run.request.agent), kind, seq, payload, why, terms, run.standing.fence, **told
    )


def make_request(
    who: tuple[str, str], kind: Kind, seq: int, payload: JsonObject, why: str, terms: Terms, epoch: int, **more: Any
) -> Request:
    """A request of this workflow about `who` (tenant, agent).

    The reason and the terms are part of what is signed: nobody approves for another reason, or with fewer others, than they read.
    """
    workflow_id, at = workflow.info().workflow_id, now()
    payload = {**payload, "why": why, **_unusual(terms)}
    digest = request_digest(who[0], workflow_id, seq, kind, payload, epoch)
    return Request(
        id=f"req-{digest[:16]}",
        kind=kind,
        tenant=who[0],
        workflow=workflow_id,
        agent=who[1],
        seq=seq,
        payload=payload,
        why=why,
        digest=digest,
        epoch=epoch,
        opened_at=at,
        deadline=at + terms.deadline * 1000,
        **terms.model_dump(include={"quorum", "roles", "via", "on_timeout"}),
        **more,
    )


def _expired(request: Request) -> Settled | None:
    return Settled(choice="expired", note="nobody answered in time") if request.deadline <= now() else None


def _unusual(terms: Terms) -> JsonObject:
    told = terms.model_dump(exclude_defaults=True)
    return {"terms": told} if told else {}


def _moments(request: Request) -> list[int]:
    """When something happens while nobody answers: the reminders, then the deadline."""
    given = request.deadline - request.opened_at
    return [*(request.opened_at + round(given * share) for share in REMINDERS), request.deadline]
