"""An answer to a request: a compact JWS (RFC 7515) with EdDSA (RFC 8037) that any language can mint."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, cast

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from tenure.approvals.approvers import PRINCIPAL, Approver, is_same
from tenure.approvals.digest import digest
from tenure.approvals.request import Request
from tenure.errors import AnswerRefused, BadInput
from tenure.wire import JsonObject

TYPE = "tenure-answer+jws"
TOKEN_LIMIT = 8 * 1024  # characters: a longer token is not even parsed
GATEWAY = "gateway"  # the `via` of what a gateway signs, and of nothing else
HEADER_LIMIT = (
    512  # characters: ours takes 160, and what fits is parsed alike on every Python, however deep it is nested
)
COMPACT = re.compile(r"[\w-]+\.[\w-]*\.[\w-]*", re.ASCII)  # the form of a compact JWS
EDIT = "edit"  # the verdict that carries other arguments
Name = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Check = tuple[bool, str]  # whether it holds, and the reason to refuse when it does not


class Answer(BaseModel):
    """The signed claims. `exp` is in seconds since the epoch; `jti` makes the answer usable once.

    `principal` is the person who answers; a gateway that signs for them says so in `via`. With the verdict `edit`, `edit` holds the
    arguments the person wants instead, all of them.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    request: Name
    digest: Name
    verdict: Name
    principal: Name
    jti: Name
    exp: int
    via: str = "cli"
    note: Annotated[str, StringConstraints(max_length=2000)] = ""
    edit: JsonObject | None = None


def sign(answer: Answer, key: Ed25519PrivateKey, signer: str = "") -> str:
    """The compact JWS of `answer`; `signer` is whose key it is, where that is not the principal's own."""
    claims = answer.model_dump_json(exclude_none=True).encode()
    return jwt.api_jws.encode(claims, key, algorithm="EdDSA", headers={"typ": TYPE, "kid": signer or answer.principal})


def unlike(sent: object) -> str:
    """Why this can be no answer to anything; empty when it has the form of one. Cheap, the same everywhere, and never raises."""
    if not isinstance(sent, str):
        return f"an answer is text, not {type(sent).__name__}"
    if len(sent) > TOKEN_LIMIT:
        return f"an answer of {len(sent):,} characters: at most {TOKEN_LIMIT:,} are read"
    if not COMPACT.fullmatch(sent):
        return "not a compact JWS: three parts in base64url, with dots between them"
    header = _header(sent.partition(".")[0])
    if header is None:
        return f"not a compact JWS: its header is no JSON object of at most {HEADER_LIMIT} characters"
    typ = header.get("typ")
    return "" if typ == TYPE else f"header typ={typ!r:.80}: must be {TYPE!r}"


def _header(encoded: str) -> JsonObject | None:
    if len(encoded) > HEADER_LIMIT:
        return None
    try:
        header = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except (ValueError, RecursionError):
        return None
    return cast("JsonObject", header) if isinstance(header, dict) else None  # json.loads: keys are strings


def claimed_signer(token: str) -> str:
    """Who the token says signed it; nothing is verified yet. Raises AnswerRefused."""
    if why := unlike(token):
        raise AnswerRefused(why)
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, RecursionError) as error:
        raise AnswerRefused(f"not a compact JWS: {error}") from error
    if header.get("alg") != "EdDSA":
        raise AnswerRefused(f"header alg={header.get('alg')!r:.80}: must be 'EdDSA'")
    signer = header.get("kid")
    if not isinstance(signer, str) or not PRINCIPAL.fullmatch(signer):
        raise AnswerRefused(f"the header's kid must be the principal who signs, {PRINCIPAL.pattern}")
    return signer


def read(token: str, key: Ed25519PublicKey) -> Answer:
    """The claims of a token whose signature holds under `key`. Raises AnswerRefused."""
    try:
        payload = jwt.api_jws.decode(token, key, algorithms=["EdDSA"])
        return Answer.model_validate_json(payload)
    except jwt.InvalidSignatureError as error:
        raise AnswerRefused("the signature does not hold under the principal's key") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the payload"
        raise AnswerRefused(f"malformed answer: {where!r:.80}: {first['msg']}") from error
    except (jwt.PyJWTError, ValueError) as error:
        raise AnswerRefused(f"malformed answer: {str(error).splitlines()[0]}") from error


def check(answer: Answer, request: Request, signer: Approver, at: int) -> None:
    """Raise AnswerRefused unless a genuine `answer`, signed by `signer`, fits `request` at time `at` (milliseconds)."""
    for checks in (_by(answer, request, signer), _about(answer, request), _in_time(answer, request, at)):
        for holds, reason in checks:
            if not holds:
                raise AnswerRefused(reason)
    if answer.edit is not None:
        _usable(answer.edit)


def _by(answer: Answer, request: Request, signer: Approver) -> Iterator[Check]:
    name, gates = signer.principal, signer.gateway
    yield gates or answer.principal == name, f"signed by {name!r} in the name of {answer.principal!r}"
    yield not gates or answer.via == GATEWAY, f"{name!r} is a gateway: it answers via {GATEWAY!r}, not {answer.via!r}"
    yield gates or answer.via != GATEWAY, f"{name!r} is no gateway: it cannot answer via {GATEWAY!r}"
    ways = ", ".join(request.via)
    yield not request.via or answer.via in request.via, f"an answer via {answer.via!r} does not count: only via {ways}"
    yield not is_same(answer.principal, request.user), "nobody approves a run of their own"


def _about(answer: Answer, request: Request) -> Iterator[Check]:
    yield answer.request == request.id, f"meant for request {answer.request!r}, this is {request.id!r}"
    yield answer.digest == request.digest, "the digest differs: what was signed is not what is asked"
    choices = ", ".join(request.choices)
    yield answer.verdict in request.choices, f"{answer.verdict!r} is no choice here: one of {choices}"
    edits = answer.verdict == EDIT
    yield edits or answer.edit is None, f"{answer.verdict!r} with other arguments: only {EDIT!r} takes them"
    yield not edits or answer.edit is not None, f"{EDIT!r} without the arguments that are wanted instead"


def _in_time(answer: Answer, request: Request, at: int) -> Iterator[Check]:
    until = _clock(request.did_not_from)
    yield (
        answer.verdict != "did-not" or at >= request.did_not_from,
        f"too early to say did-not: the attempt may still be running until {until} UTC",
    )
    yield answer.exp * 1000 > at, "the answer has expired"
    yield request.deadline == 0 or at <= request.deadline, "the request's deadline has passed"


def _usable(edit: JsonObject) -> None:
    """An edit that has no canonical form could never be asked about again."""
    try:
        digest(edit)
    except BadInput as error:
        raise AnswerRefused(f"the edit cannot be used: {error}") from error


def _clock(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%H:%M:%S")
