"""An answer to a request: a compact JWS (RFC 7515) with EdDSA (RFC 8037) that any language can mint."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from tenure.approvals.approvers import PRINCIPAL
from tenure.approvals.request import Request
from tenure.errors import AnswerRefused

TYPE = "tenure-answer+jws"
TOKEN_LIMIT = 8 * 1024  # characters: a longer token is not even parsed
Name = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class Answer(BaseModel):
    """The signed claims. `exp` is in seconds since the epoch; `jti` makes the answer usable once."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    request: Name
    digest: Name
    verdict: Name
    principal: Name
    jti: Name
    exp: int
    via: str = "cli"
    note: Annotated[str, StringConstraints(max_length=2000)] = ""


def sign(answer: Answer, key: Ed25519PrivateKey) -> str:
    """The compact JWS of `answer`."""
    return jwt.api_jws.encode(
        answer.model_dump_json().encode(), key, algorithm="EdDSA", headers={"typ": TYPE, "kid": answer.principal}
    )


def claimed_principal(token: str) -> str:
    """Who the token says signed it; nothing is verified yet. Raises AnswerRefused."""
    if len(token) > TOKEN_LIMIT:
        raise AnswerRefused(f"an answer of {len(token):,} characters: at most {TOKEN_LIMIT:,} are read")
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError) as error:
        raise AnswerRefused(f"not a compact JWS: {error}") from error
    if header.get("typ") != TYPE or header.get("alg") != "EdDSA":
        raise AnswerRefused(f"header typ={header.get('typ')!r} alg={header.get('alg')!r}: must be {TYPE!r} and 'EdDSA'")
    principal = header.get("kid")
    if not isinstance(principal, str) or not PRINCIPAL.fullmatch(principal):
        raise AnswerRefused(f"the header's kid must be the principal who signs, {PRINCIPAL.pattern}")
    return principal


def read(token: str, key: Ed25519PublicKey) -> Answer:
    """The claims of a token whose signature holds under `key`. Raises AnswerRefused."""
    try:
        payload = jwt.api_jws.decode(token, key, algorithms=["EdDSA"])
        return Answer.model_validate_json(payload)
    except jwt.InvalidSignatureError as error:
        raise AnswerRefused("the signature does not hold under the principal's key") from error
    except (jwt.PyJWTError, ValueError, ValidationError) as error:
        raise AnswerRefused(f"malformed answer: {str(error).splitlines()[0]}") from error


def check(answer: Answer, request: Request, signer: str, at: int) -> None:
    """Raise AnswerRefused unless a genuine `answer` fits `request` at time `at` (milliseconds)."""
    for holds, reason in (
        (answer.principal == signer, f"signed by {signer!r} in the name of {answer.principal!r}"),
        (answer.request == request.id, f"meant for request {answer.request!r}, this is {request.id!r}"),
        (answer.digest == request.digest, "the digest differs: what was signed is not what is asked"),
        (
            answer.verdict in request.choices,
            f"{answer.verdict!r} is no choice here: one of {', '.join(request.choices)}",
        ),
        (
            answer.verdict != "did-not" or at >= request.did_not_from,
            f"too early to say did-not: the attempt may still be running until {_clock(request.did_not_from)} UTC",
        ),
        (answer.exp * 1000 > at, "the answer has expired"),
        (request.deadline == 0 or at <= request.deadline, "the request's deadline has passed"),
        (request.user is None or answer.principal != request.user, "nobody approves a run of their own"),
    ):
        if not holds:
            raise AnswerRefused(reason)


def _clock(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%H:%M:%S")
