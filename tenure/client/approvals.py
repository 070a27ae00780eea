"""Approvals: what people are asked, and the answers they sign."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import secrets
import time
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError
from temporalio.service import RPCError, RPCStatusCode

from tenure.approvals.answer import EDIT, GATEWAY, TOKEN_LIMIT, Answer, sign, unlike
from tenure.approvals.digest import digest, request_digest
from tenure.approvals.request import Kind, Request, Verdict
from tenure.client import ids
from tenure.client.connected import Connected
from tenure.client.runs import Runs
from tenure.errors import AnswerRefused, BadInput, ConfigError, NotFound, TemporalUnavailable
from tenure.optimize import money
from tenure.runtime.store import approvals, runs
from tenure.trust.terms import VIA, Terms
from tenure.wire import Json, JsonObject

VALID = 15 * 60  # seconds a signed answer may take to arrive
POLL = 0.05
WAIT = 30.0  # seconds in which an answer is heard, or is not
ABOUT = {
    Kind.IN_DOUBT: "an effect that may have happened",
    Kind.ANSWER: "a final answer",
    Kind.PARKED: "the run as a whole",
    Kind.ESCALATION: "a step up in trust",
    Kind.DEPLOYMENT: "what was learned",
    Kind.BUDGET: "an amount that an older worker has fixed: deny it, set another with `tenure cost cap`, or start the run again",
}
AGAIN = (1.0, 2.0, 4.0)  # seconds after which it is sent again; the last again and again


@dataclass(frozen=True)
class Approvals:
    """The facet `system.approvals`."""

    system: Connected

    async def pending(self) -> list[Request]:
        """Every open request, the oldest first."""
        return await self.system.require_store().read(approvals.pending)

    async def find(self, part: str) -> Request:
        """The request of that id, or what the run of that id asks now. Raises NotFound.

        Raises BadInput for what is too short to name one, and for what several fit: what is found is signed.
        """
        ids.check_text("request", part)
        store = self.system.require_store()
        found = await store.read(lambda db: approvals.find_request(db, part))
        if not found:
            found = await self._named(part) if ":" not in part else await self._asked_by(part)
        if len(found) > 1:
            raise ids.several("request", part, len(found), [request.id for request, _ in found[:3]])
        request, is_open = found[0]
        if not is_open:
            raise NotFound(f"request {request.id} is closed: nothing waits for it any more")
        return request

    async def _named(self, part: str) -> list[tuple[Request, bool]]:
        """The requests whose id begins or ends so, or what the run asks whose does. Raises BadInput, NotFound."""
        ids.check_part("request", part)
        store, told = self.system.require_store(), part.removeprefix(ids.REQUEST)
        found, (count, some) = await store.read(lambda db: (approvals.named(db, told), runs.named(db, part)))
        if found and count:  # part of a request's id and of a run's: nobody knows which is meant
            raise ids.several("request", part, len(found) + count, [*(request.id for request, _ in found), *some][:3])
        if not found and part.startswith(ids.REQUEST):
            raise NotFound(f"no request {part!r}: `tenure pending` lists the open ones")
        return found or await self._asked_by(part)

    async def _asked_by(self, part: str) -> list[tuple[Request, bool]]:
        """What the run of that name asks now. Raises BadInput, NotFound."""
        try:
            run = (await Runs(self.system).find(part)).id
        except NotFound as error:
            raise NotFound(f"no request and no run {part!r}: `tenure pending` lists what is asked") from error
        found = await self.system.require_store().read(lambda db: approvals.find_request(db, run))
        if not found:
            raise NotFound(f"run {run} asks nothing now: `tenure pending` lists what is asked")
        return found

    def sign(
        self,
        request: Request,
        choice: str,
        principal: str,
        key: Ed25519PrivateKey,
        note: str = "",
        *,
        edit: JsonObject | None = None,
        gateway: str = "",
    ) -> str:
        """The token that answers `request`; it can be pasted into the Temporal UI. Raises AnswerRefused, BadInput.

        The digest is computed again from what is shown, so that nobody signs something else than they read. With the choice `edit`,
        `edit` holds the arguments that are wanted instead, all of them: `edited` makes them of those that change. `gateway` is who
        signs, where that is not the principal.
        """
        if choice not in request.choices:
            raise BadInput(f"{choice!r} is no answer to {request.id}: one of {', '.join(request.choices)}")
        if (choice == EDIT) != (edit is not None):
            raise BadInput(f"{choice!r} with edit={edit!r:.80}: {EDIT!r}, and no other answer, takes other arguments")
        if edit is not None and digest(edit) == digest(request.editable):
            raise BadInput(
                f"edit={edit!r:.80}: nothing is changed, {request.id} asks for just that: approve it instead"
            )
        claims: dict[str, Json] = {
            "request": request.id,
            "digest": shown_digest(request),
            "verdict": choice,
            "principal": principal,
            "jti": secrets.token_hex(16),
            "exp": int(time.time()) + VALID,
            "via": GATEWAY if gateway else "cli",
            "note": note,
            "edit": edit,
        }
        return _token(claims, key, gateway)

    async def send(self, request: Request, token: str, *, wait: float = WAIT) -> Verdict | None:
        """Send a signed answer and hear what became of it; None when no worker looked at it within `wait` seconds.

        It is sent again, at growing intervals, until it is heard: whoever is sent more answers than there is room for drops some.
        """
        if why := unlike(token):
            return Verdict(accepted=False, reason=why)
        deadline, pauses = time.monotonic() + wait, itertools.chain(AGAIN, itertools.repeat(AGAIN[-1]))
        await self._signal(request, token)
        while True:
            verdict = await self._heard(request, token, min(time.monotonic() + next(pauses), deadline))
            if verdict is not None or time.monotonic() >= deadline:
                return verdict
            try:
                await self._signal(request, token)
            except NotFound:
                verdict = await self._heard(request, token, deadline=0)
                if verdict is None:
                    raise
                return verdict  # it was what the run waited for to end

    async def _signal(self, request: Request, token: str) -> None:
        try:
            await self.system.temporal.get_workflow_handle(request.workflow).signal("answer", token)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                raise NotFound(f"run {request.workflow} is over: nothing waits for this answer") from error
            raise TemporalUnavailable(f"the answer did not reach {request.workflow}: {error.message}") from error

    async def _heard(self, request: Request, token: str, deadline: float) -> Verdict | None:
        """The verdict on a token, as soon as the store has one."""
        name, store = hashlib.sha256(token.encode()).hexdigest(), self.system.require_store()
        while True:
            verdict = await store.read(lambda db: approvals.recorded(db, name, request.id))
            if verdict is not None or time.monotonic() >= deadline:
                return verdict
            await asyncio.sleep(POLL)


def edited(request: Request, changes: JsonObject) -> JsonObject:
    """What is asked about with `changes` in the place of its own: the arguments of a call, or `{"add": DOLLARS}` to a budget.

    Raises BadInput where nothing can be edited, or not that.
    """
    if EDIT not in request.choices:
        told = f"answer it with {' or '.join(request.choices)}"
        raise BadInput(
            f"{request.id} cannot be edited, because it asks about {ABOUT.get(request.kind, 'several calls')}: {told}"
        )
    if request.kind is Kind.BUDGET:
        changes = {**changes, **({"add": _dollars(changes["add"])} if "add" in changes else {})}
        if changes.keys() != {"add"}:
            raise BadInput(f'edit={changes!r:.80}: of a budget only what is added can be changed, as in {{"add": 5}}')
    return {**request.editable, **changes}


def _dollars(told: Json) -> str:
    try:
        return money.shown(money.read("add", told.removeprefix("$") if isinstance(told, str) else told))
    except ConfigError as error:
        raise BadInput(str(error)) from error


def shown_digest(request: Request) -> str:
    """The digest of what the request shows. Raises AnswerRefused when it binds something else."""
    shown = request_digest(request.tenant, request.workflow, request.seq, request.kind, request.payload, request.epoch)
    if shown != request.digest:
        raise AnswerRefused(f"request {request.id} was altered: what it shows is not what its digest binds")
    try:
        bound = Terms.model_validate(request.payload.get("terms", {}))
    except ValidationError as error:
        raise AnswerRefused(f"request {request.id} was altered: its terms cannot be read") from error
    told = (request.quorum, request.roles, request.on_timeout, request.via or list(VIA))
    if told != (bound.quorum, bound.roles, bound.on_timeout, bound.via):
        raise AnswerRefused(f"request {request.id} was altered: it shows other terms than its digest binds")
    return shown


def _token(claims: dict[str, Json], key: Ed25519PrivateKey, gateway: str) -> str:
    try:
        token = sign(Answer.model_validate(claims), key, gateway)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise BadInput(f"{first['loc'][0]}={first['input']!r:.80}: {first['msg']}") from error
    except ValueError as error:  # text that has no encoding
        raise BadInput(f"the answer cannot be written down: {error}") from error
    if len(token) > TOKEN_LIMIT:
        raise BadInput(f"an answer of {len(token):,} characters, at most {TOKEN_LIMIT:,}: shorten the note or the edit")
    return token
