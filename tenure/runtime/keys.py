"""Keys on this machine: the root that vouches for approvers and the two principals of a laptop."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from tenure.approvals.approvers import Approver, encode_key, vouch
from tenure.errors import NotFound
from tenure.runtime.store import Connection, approvers

LOCAL_PRINCIPALS = ("operator", "reviewer")  # neither is ever the user of a run


def make_local(folder: Path) -> str:
    """Make the root and the two local principals in `folder` where they are missing; returns the root's public key.

    For laptops and tests: whoever can read this folder can approve. In production the root's private key lives elsewhere
    and only TENURE_APPROVER_ROOT, its public half, is set.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in ("root", *LOCAL_PRINCIPALS):
        if not _path(folder, name).exists():
            _write(_path(folder, name), Ed25519PrivateKey.generate())
    public = encode_key(load(folder, "root").public_key())
    (folder / "root.pub").write_text(public + "\n")
    return public


def register_local(db: Connection, folder: Path, at: int) -> None:
    """Enter the local principals in the registry of approvers, vouched for by the local root."""
    root = load(folder, "root")
    for name in LOCAL_PRINCIPALS:
        approver = Approver(principal=name, key=encode_key(load(folder, name).public_key()))
        approvers.add(db, name, vouch(approver, root), at)


def load(folder: Path, name: str) -> Ed25519PrivateKey:
    """The private key of a principal. Raises NotFound naming those there are."""
    path = _path(folder, name)
    if not path.is_file():
        known = sorted(file.stem for file in folder.glob("*.pem") if file.stem != "root")
        raise NotFound(f"no key {name!r} in {folder}: there are {', '.join(known) or 'none (run `tenure dev` once)'}")
    key = load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, Ed25519PrivateKey):
        raise NotFound(f"{path} holds no Ed25519 key")
    return key


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name}.pem"


def _write(path: Path, key: Ed25519PrivateKey) -> None:
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    # O_EXCL: two processes that start at once must not each believe in a key of their own.
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(file, "wb") as out:
        out.write(text)
