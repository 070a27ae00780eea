"""Who may answer: statements signed by one root key, so that a database row alone makes no approver."""

from __future__ import annotations

import base64
import re

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, ValidationError

from tenure.errors import AnswerRefused, ConfigError

TYPE = "tenure-approver+jws"
PRINCIPAL = re.compile(r"[a-z0-9][a-z0-9_.@-]{0,62}")


class Approver(BaseModel):
    """A principal, the tenants it may answer for (`*`: all), and its public key (32 bytes, base64url)."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    principal: str
    key: str
    tenant: str = "*"
    roles: list[str] = []


def encode_key(key: Ed25519PublicKey) -> str:
    """The raw public key as unpadded base64url."""
    return base64.urlsafe_b64encode(key.public_bytes_raw()).rstrip(b"=").decode()


def decode_key(text: str) -> Ed25519PublicKey:
    """The key that `encode_key` wrote. Raises ConfigError."""
    try:
        return Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except ValueError as error:
        raise ConfigError(f"{text!r} is no Ed25519 public key: 32 bytes in base64url are wanted") from error


def vouch(approver: Approver, root: Ed25519PrivateKey) -> str:
    """The statement by which the root key makes `approver` an approver."""
    if not PRINCIPAL.fullmatch(approver.principal):
        raise ConfigError(f"principal {approver.principal!r}: must match {PRINCIPAL.pattern}")
    return jwt.api_jws.encode(approver.model_dump_json().encode(), root, algorithm="EdDSA", headers={"typ": TYPE})


def vouched(statement: str, root: Ed25519PublicKey) -> Approver:
    """The approver a statement makes. Raises AnswerRefused when the root did not sign it."""
    try:
        if jwt.get_unverified_header(statement).get("typ") != TYPE:
            raise AnswerRefused("the registry entry is no approver statement")
        return Approver.model_validate_json(jwt.api_jws.decode(statement, root, algorithms=["EdDSA"]))
    except (jwt.PyJWTError, ValueError, ValidationError) as error:
        raise AnswerRefused("the registry entry is not signed by the root key of this worker") from error
