"""verify: is this answer genuine, and is it an answer to this request? And the request's own place in the store.

Rules of this file: everything is refused that is not proven; what was found about an answer is recorded, accepted or not,
and a second look at the same answer to the same request finds the same.
"""

from __future__ import annotations

import hashlib
import sqlite3
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from temporalio import activity

from tenure.activities.resources import Resources
from tenure.approvals import answer as answers
from tenure.approvals.request import Closed, Kind, Notice, Request, Verdict, Verdicts, Verify
from tenure.errors import AnswerRefused, BadInput, ConfigError, StoreUnavailable
from tenure.optimize import money
from tenure.runtime import approving, notify
from tenure.runtime import telemetry as otel
from tenure.runtime.store import Connection, approvals, runs
from tenure.transcript import canonical
from tenure.trust.terms import ASKS_PER_APPROVER_HOUR, HOUR
from tenure.wire import JsonObject

REASON_LIMIT = 500  # characters


@dataclass(frozen=True)
class Verifying:
    """The activities `open_request`, `remind`, `verify` and `close_request`."""

    to: Resources

    @activity.defn(name="open_request")
    async def open_request(self, request: Request) -> str:
        """A person is asked: from now on `tenure pending` shows it. Returns its id, so that history names it.

        Empty when the people who could answer are asked so much that one more would only be waved through.
        """

        def write(db: Connection) -> bool:
            opens = not self._too_many(db, request)
            if opens:
                approvals.open_request(db, request)
            runs.waiting(db, request.workflow, waits=True)
            return opens

        if not await self.to.store.transact(write):
            return ""
        await notify.tell(self.to.notifiers, Notice(what="asked", request=request, at=request.opened_at))
        return request.id

    @activity.defn(name="remind")
    async def remind(self, notice: Notice) -> None:
        """Nobody has answered yet: whoever is told of requests is told of this one again."""
        await notify.tell(self.to.notifiers, notice)

    def _too_many(self, db: Connection, request: Request) -> bool:
        if request.kind is not Kind.TOOL_CALL:
            return False
        asked = approvals.asked_since(db, request.tenant, request.opened_at - HOUR * 1000, request.id)
        people = approving.eligible(db, self.to.root, request.tenant, request.roles)
        return asked >= ASKS_PER_APPROVER_HOUR * max(len(people), 1)

    @activity.defn(name="verify")
    async def verify(self, ask: Verify) -> Verdicts:
        """A verdict for each token, in order."""

        def look(db: Connection) -> list[Verdict]:
            return [self._verdict(db, ask.request, token, ask.at) for token in ask.tokens]

        return Verdicts(verdicts=await self.to.store.transact(look))

    @activity.defn(name="close_request")
    async def close_request(self, closed: Closed) -> None:
        """The request has its end: it leaves the list and becomes a span."""
        request, settled = closed.request, closed.settled

        def write(db: Connection) -> dict[str, str]:
            approvals.close_request(db, request.id, settled.choice, settled.principal, closed.at)
            runs.waiting(db, request.workflow, waits=False)
            run = runs.get(db, request.workflow)
            return run.carrier if run else {}

        carrier = await self.to.store.transact(write)
        attributes = {otel.REQUEST: request.id, otel.CHOICE: settled.choice, otel.AGENT: request.agent}
        otel.past("wait_for_person", request.workflow, carrier, (request.opened_at, closed.at), attributes)

    def _verdict(self, db: Connection, request: Request, token: str, at: int) -> Verdict:
        name = hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
        known = approvals.recorded(db, name, request.id)
        if known is not None and not known.accepted:
            return known
        try:
            # What is recorded as accepted is looked at again: a row is no signature. It is not refused for its own sake.
            verdict = _accept(db, self.to.root, request, token, at, again=known is not None)
            self._check_edit(request, verdict.edit)
        except AnswerRefused as error:
            verdict = Verdict(accepted=False, reason=_writable(str(error)))
        except (sqlite3.Error, StoreUnavailable):
            raise
        except Exception as error:  # noqa: BLE001  # what is not proven is refused, however it fails to be
            verdict = Verdict(accepted=False, reason=f"unreadable: {type(error).__name__}")
        if known is None:
            approvals.record_answer(db, name, request, verdict, at, token if verdict.accepted else "")
        return verdict

    def _check_edit(self, request: Request, edit: JsonObject | None) -> None:
        """Raise AnswerRefused for arguments that the tool would not take, where this worker knows it, and for what is no amount."""
        if edit is not None and request.kind is Kind.BUDGET:
            _check_amount(request, edit)
            return
        agent = None if edit is None else self.to.registry.agents.get(request.agent)
        tool = agent.tool.get(str(request.payload.get("tool"))) if agent else None
        if edit is None or tool is None:
            return
        try:
            tool.arguments(edit)
        except BadInput as error:
            raise AnswerRefused(f"the edit does not fit {tool.name}: {error}") from error
        if canonical(edit) == canonical(request.payload.get("arguments")):
            raise AnswerRefused("the edit changes nothing: approve the call instead")


def _check_amount(request: Request, edit: JsonObject) -> None:
    try:
        told = money.amount(str(edit.get("add")))
    except ConfigError as error:
        raise AnswerRefused(f"the edit cannot be meant: {error}") from error
    if edit != {"add": money.shown(told)}:
        raise AnswerRefused(
            "of a budget an edit changes what is added, and nothing else, written as the request writes it"
        )
    if edit == request.editable:
        raise AnswerRefused("the edit changes nothing: approve the request instead")


def _first(db: Connection, request: Request, answer: answers.Answer, person: str) -> None:
    """Raise AnswerRefused where something has been answered before."""
    if not approvals.is_open(db, request.id) or approvals.is_settled(db, request.id, request.quorum):
        raise AnswerRefused("the request was answered before")
    if approvals.used(db, answer.jti):
        raise AnswerRefused("this answer was used before")
    if answer.verdict == "approve" and person in approvals.approved_by(db, request.id):
        raise AnswerRefused(f"{person} has approved this already: another person must")


def _writable(reason: str) -> str:
    """A reason may quote what was sent, which may be what no store takes."""
    return reason.encode("utf-8", "replace").decode()[:REASON_LIMIT]


def _accept(
    db: Connection, root: Ed25519PublicKey, request: Request, token: str, at: int, *, again: bool = False
) -> Verdict:
    signer, key = approving.signer(db, root, answers.claimed_signer(token), request.tenant)
    answer = answers.read(token, key)
    answers.check(answer, request, signer, at)
    person = approving.approver(db, root, answer.principal, request.tenant, request.roles).principal
    if not again:
        _first(db, request, answer, person)
    return Verdict(
        accepted=True,
        choice=answer.verdict,
        principal=person,
        jti=answer.jti,
        note=answer.note,
        edit=answer.edit,
        via=answer.via,
        signer=signer.principal,
    )
