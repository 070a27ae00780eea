"""Approvers as tests make them: each with a key of its own, vouched for by one root."""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tenure.approvals.approvers import Approver, encode_key
from tenure.runtime import approving
from tenure.runtime.store import Connection

ROOT = Ed25519PrivateKey.generate()
TRUSTED = ROOT.public_key()
OWN: dict[str, Ed25519PrivateKey] = {}
AT = 1_800_000_000_000


def person(name: str, **more: Any) -> Approver:
    key = OWN.setdefault(name, Ed25519PrivateKey.generate())
    return Approver(**{"principal": name, "key": encode_key(key.public_key()), **more})


def known(db: Connection, name: str, **more: Any) -> Approver:
    """Somebody who is registered."""
    return approving.enter(db, ROOT, person(name, **more), AT, "test", replace=True)
