"""Packs: a capability as one signed text, to be taken from one Tenure to another: from staging to production, say.

A pack is a compact JWS (RFC 7515) with EdDSA (RFC 8037). It proves who packed it and nothing else: where it is unpacked, it is
tested on the runs that were recorded there, and people are asked as about any other.

Rules of this file: strict: what is not wholly as it must be is refused, and named.
"""

from __future__ import annotations

import json

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import ValidationError

from tenure.approvals.approvers import PRINCIPAL
from tenure.errors import BadInput
from tenure.learn.capability import Capability
from tenure.wire import Wire

TYPE = "tenure-pack+jws"
LONGEST = 256 * 1024  # characters


class Pack(Wire):
    """What is signed: the capability, who packed it, and when (milliseconds since the epoch)."""

    capability: Capability
    by: str
    at: int


def sign(pack: Pack, key: Ed25519PrivateKey) -> str:
    """The compact JWS."""
    claims = pack.model_dump_json().encode()
    return jwt.api_jws.encode(claims, key, algorithm="EdDSA", headers={"typ": TYPE, "kid": pack.by})


def claimed_packer(token: str) -> str:
    """Who says that they packed it; nothing is verified yet. Raises BadInput."""
    if len(token) > LONGEST:
        raise BadInput(f"a pack of {len(token):,} characters: at most {LONGEST:,} are read")
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, RecursionError) as error:
        raise BadInput(f"this is no pack: {error}") from error
    if (header.get("typ"), header.get("alg")) != (TYPE, "EdDSA"):
        raise BadInput(
            f"this is no pack: typ={header.get('typ')!r:.80}, alg={header.get('alg')!r:.80}: must be {TYPE!r}, 'EdDSA'"
        )
    packer = header.get("kid")
    if not isinstance(packer, str) or not PRINCIPAL.fullmatch(packer):
        raise BadInput(f"this is no pack: its kid={packer!r:.80} must be who packed it, {PRINCIPAL.pattern}")
    return packer


def read(token: str, key: Ed25519PublicKey) -> Pack:
    """What a pack holds whose signature holds under the key of whoever claims to have packed it. Raises BadInput."""
    packer = claimed_packer(token)
    try:
        claims: bytes = jwt.api_jws.decode(token, key, algorithms=["EdDSA"])
        found = Pack.model_validate_json(claims)
    except jwt.InvalidSignatureError as error:
        why = f"the pack's signature does not hold under the key of {packer!r}"
        raise BadInput(f"{why}: it was changed, or signed by another") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise BadInput(f"the pack is malformed: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    except (jwt.PyJWTError, ValueError) as error:
        raise BadInput(f"the pack is malformed: {str(error).splitlines()[0]}") from error
    if json.loads(claims) != found.model_dump(mode="json"):  # a narrower rule of a newer Tenure must not be lost
        raise BadInput(
            "the pack holds what this version of Tenure does not know: pack it with the version that runs here"
        )
    if found.by != packer:
        raise BadInput(f"the pack is signed by {packer!r} in the name of {found.by!r}")
    return found
