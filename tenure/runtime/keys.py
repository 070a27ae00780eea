"""Keys on this machine: the root that vouches for approvers, the two principals of a laptop, and whoever is made here."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from tenure.approvals.approvers import EVERY, ROOT, Approver, encode_key, vouch
from tenure.errors import BadInput, NotFound
from tenure.runtime.store import Connection, approvers

LOCAL_PRINCIPALS = ("operator", "reviewer")  # neither is ever the user of a run


def make_local(folder: Path) -> str:
    """Make the root and the two local principals in `folder` where they are missing; returns the root's public key.

    For laptops and tests: whoever can read this folder can approve. In production the root's private key lives elsewhere
    and only TENURE_APPROVER_ROOT, its public half, is set.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in (ROOT, *LOCAL_PRINCIPALS):
        if not path_of(folder, name).exists():
            _write(path_of(folder, name), Ed25519PrivateKey.generate())
    public = encode_key(load(folder, ROOT).public_key())
    (folder / "root.pub").write_text(public + "\n")
    return public


def register_local(db: Connection, folder: Path, at: int) -> None:
    """Enter the local principals in the registry of approvers, vouched for by the local root.

    What somebody said of them later stands: a revocation, or a statement with fewer roles.
    """
    root = load(folder, ROOT)
    for name in LOCAL_PRINCIPALS:
        approver = Approver(principal=name, key=encode_key(load(folder, name).public_key()), roles=[EVERY])
        approvers.add(db, name, vouch(approver, root), at)


def make(folder: Path, name: str) -> Ed25519PrivateKey:
    """A new key pair, its private half written to `folder`. Raises BadInput when there is one of that name."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path, key = path_of(folder, name), Ed25519PrivateKey.generate()
    if not _write(path, key):
        raise BadInput(f"{path} is there already: vouch for it with --key-file, or move it away for a new key")
    return key


def load(folder: Path, name: str) -> Ed25519PrivateKey:
    """The private key of a principal. Raises NotFound naming those there are."""
    path = path_of(folder, name)
    if not path.is_file():
        known = sorted(file.stem for file in folder.glob("*.pem") if file.stem != ROOT)
        raise NotFound(f"no key {name!r} in {folder}: there are {', '.join(known) or 'none (run `tenure dev` once)'}")
    return read(path)


def read(path: Path) -> Ed25519PrivateKey:
    """The private key in a PEM file. Raises NotFound."""
    key = _pem(path)
    if not isinstance(key, Ed25519PrivateKey):
        raise NotFound(f"{path} holds a public key: the private one is needed to sign")
    return key


def read_public(path: Path) -> Ed25519PublicKey:
    """The public key in a PEM file, or the public half of the private one there. Raises NotFound."""
    key = _pem(path)
    return key.public_key() if isinstance(key, Ed25519PrivateKey) else key


def path_of(folder: Path, name: str) -> Path:
    """Where the key of a principal lies."""
    return folder / f"{name}.pem"


def _pem(path: Path) -> Ed25519PrivateKey | Ed25519PublicKey:
    try:
        text = path.read_bytes()
        key = load_pem_private_key(text, None) if b"PRIVATE" in text else load_pem_public_key(text)
    except OSError as error:
        raise NotFound(f"no key at {path}: {error.strerror}") from error
    except TypeError as error:  # cryptography's word for a key that wants a password
        raise NotFound(f"{path} is locked with a password: give a file without one") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise NotFound(f"{path} holds no key in PEM") from error
    if not isinstance(key, Ed25519PrivateKey | Ed25519PublicKey):
        raise NotFound(f"{path} holds no Ed25519 key: make one with `openssl genpkey -algorithm ed25519`")
    return key


def _write(path: Path, key: Ed25519PrivateKey) -> bool:
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    # O_EXCL: two processes that start at once must not each believe in a key of their own.
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(file, "wb") as out:
        out.write(text)
    return True
