"""Approvals: what people are asked, and the answers they sign."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError
from temporalio.service import RPCError, RPCStatusCode

from tenure.approvals.answer import EDIT, GATEWAY, TOKEN_LIMIT, Answer, heard_as, sign
from tenure.approvals.digest import digest, request_digest
from tenure.approvals.request import Request, Verdict
from tenure.client.connected import Connected
from tenure.errors import AnswerRefused, BadInput, NotFound, TemporalUnavailable
from tenure.runtime.store import approvals
from tenure.trust.terms import VIA, Terms
from tenure.wire import Json, JsonObject

VALID = 15 * 60  # seconds a signed answer may take to arrive
POLL = 0.05


@dataclass(frozen=True)
class Approvals:
    """The facet `system.approvals`."""

    system: Connected

    async def pending(self) -> list[Request]:
        """Every open request, the oldest first."""
        return await self.system.require_store().read(approvals.pending)

    async def find(self, part: str) -> Request:
        """The request of that id, or the open one of that run. Raises NotFound, BadInput when several fit."""
        found = await self.system.require_store().read(lambda db: approvals.find_request(db, part))
        opened = [request for request, is_open in found if is_open]
        if len(opened) > 1:
            raise BadInput(
                f"{part!r} fits {len(opened)} open requests: {', '.join(r.id for r in opened)}; write more of the id"
            )
        if opened:
            return opened[0]
        if found:
            raise NotFound(f"request {found[0][0].id} is closed: nothing waits for it any more")
        raise NotFound(f"no request {part!r}: `tenure pending` lists the open ones")

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
        `edit` holds the arguments that are wanted instead. `gateway` is who signs, where that is not the principal.
        """
        if choice not in request.choices:
            raise BadInput(f"{choice!r} is no answer to {request.id}: one of {', '.join(request.choices)}")
        if (choice == EDIT) != (edit is not None):
            raise BadInput(f"{choice!r} with edit={edit!r:.80}: {EDIT!r}, and no other answer, takes other arguments")
        if edit is not None:
            digest(edit)
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

    async def send(self, request: Request, token: str, *, wait: float = 10.0) -> Verdict | None:
        """Send a signed answer and hear what became of it; None when no worker looked at it within `wait` seconds."""
        try:
            await self.system.temporal.get_workflow_handle(request.workflow).signal("answer", token)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                raise NotFound(f"run {request.workflow} is over: nothing waits for this answer") from error
            raise TemporalUnavailable(f"the answer did not reach {request.workflow}: {error.message}") from error
        name = hashlib.sha256(heard_as(token).encode("utf-8", "replace")).hexdigest()
        deadline = time.monotonic() + wait
        store = self.system.require_store()
        while time.monotonic() < deadline:
            verdict = await store.read(lambda db: approvals.recorded(db, name, request.id))
            if verdict is not None:
                return verdict
            await asyncio.sleep(POLL)
        return None


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
