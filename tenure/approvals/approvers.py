"""Who may answer: statements signed by one root key, so that a database row alone makes no approver."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, ValidationError

from tenure.errors import AnswerRefused, ConfigError

TYPE = "tenure-approver+jws"
STATEMENT_LIMIT = 8 * 1024  # characters
PRINCIPAL = re.compile(r"[a-z0-9][a-z0-9_.@-]{0,62}")
TENANT = re.compile(r"\*|[a-z0-9][a-z0-9_.-]{0,62}")
ROOT = "root"  # the root key's own name: nobody else's
EVERY = "*"  # as a tenant: all of them; among the roles: every one


def is_same(principal: str, user: str | None) -> bool:
    """Whether an approver and the user of a run are one person: people write their name in capitals as well."""
    return principal == (user or "").strip().casefold()


class Approver(BaseModel):
    """A principal, the tenants it may answer for (`*`: all), its public key (32 bytes, base64url) and its roles (`*`: every one).

    A gateway signs for people it has authenticated and never for itself; somebody who answers only through one has the key "".
    `issued` (seconds since the epoch) orders the statements about one principal.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    principal: str
    key: str
    tenant: str = EVERY
    roles: list[str] = []
    gateway: bool = False
    issued: int = 0

    def lacks(self, roles: Iterable[str]) -> list[str]:
        """Those of `roles` that it is not vouched for."""
        return [] if EVERY in self.roles else [role for role in roles if role not in self.roles]

    def answers_for(self, tenant: str) -> bool:
        """Whether its answers count for this tenant."""
        return self.tenant in (EVERY, tenant)


def encode_key(key: Ed25519PublicKey) -> str:
    """The raw public key as unpadded base64url."""
    return base64.urlsafe_b64encode(key.public_bytes_raw()).rstrip(b"=").decode()


def decode_key(text: str) -> Ed25519PublicKey:
    """The key that `encode_key` wrote. Raises ConfigError."""
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if encode_key(key) != text.rstrip("="):  # what is not of the alphabet would be passed over
            raise ValueError("another way to write a key")
    except ValueError as error:
        raise ConfigError(f"{text!r:.80} is no Ed25519 public key: 32 bytes in base64url are wanted") from error
    return key


def checked(approver: Approver) -> Approver:
    """The approver itself. Raises ConfigError when nobody should vouch for such a one."""
    name = approver.principal
    if not PRINCIPAL.fullmatch(name) or name == ROOT:
        raise ConfigError(
            f"principal {name!r:.80}: must match {PRINCIPAL.pattern}, and {ROOT!r} is the root key's own name"
        )
    if not TENANT.fullmatch(approver.tenant):
        raise ConfigError(f"tenant {approver.tenant!r:.80}: must match {TENANT.pattern}")
    wrong = [role for role in approver.roles if not _is_role(role)]
    if wrong:
        raise ConfigError(
            f"role {wrong[0]!r:.80}: must be a word or words, without blanks around it or commas; name several one by one"
        )
    if approver.gateway and not approver.key:
        raise ConfigError(f"gateway {name!r} has no key: it could sign for nobody")
    if approver.key:
        decode_key(approver.key)
    return approver


def _is_role(told: str) -> bool:
    """A comma joins two roles for whoever types it, and would make one that no agent asks for."""
    return bool(told) and told == told.strip() and told.isprintable() and "," not in told


def vouch(approver: Approver, root: Ed25519PrivateKey) -> str:
    """The statement by which the root key makes `approver` an approver. Raises ConfigError."""
    claims = checked(approver).model_dump_json().encode()
    return jwt.api_jws.encode(claims, root, algorithm="EdDSA", headers={"typ": TYPE})


def vouched(statement: str, root: Ed25519PublicKey) -> Approver:
    """The approver a statement makes. Raises AnswerRefused when the root did not sign it."""
    try:
        if len(statement) > STATEMENT_LIMIT or jwt.get_unverified_header(statement).get("typ") != TYPE:
            raise AnswerRefused("the registry entry is no approver statement")
        return Approver.model_validate_json(jwt.api_jws.decode(statement, root, algorithms=["EdDSA"]))
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError, ValidationError) as error:
        raise AnswerRefused("the registry entry is not signed by the root key of this worker") from error


def issued(statement: str) -> int:
    """When a statement says it was made (seconds since the epoch); nothing is verified. 0: it does not say."""
    try:
        claims = jwt.api_jws.decode(statement, options={"verify_signature": False})
        return Approver.model_validate_json(claims).issued
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError, ValidationError):
        return 0
