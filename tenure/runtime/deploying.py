"""Deploying: whether people have signed that a capability may serve as widely as it does.

Rules of this file: what the store says of a rollout counts for nothing; what counts is who signed for this very program.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tenure.approvals.request import Kind
from tenure.runtime import approving
from tenure.runtime.store import Connection
from tenure.runtime.store.capabilities import RolloutRow


def refusal(db: Connection, root: Ed25519PublicKey, row: RolloutRow) -> str:
    """Why the capability may not serve as the row says; empty where it may."""
    wanted = {"deploy": row.deployed} | ({"promote": row.promoted} if row.serving == "all" else {})
    return next((why for step, request in wanted.items() if (why := _refusal(db, root, row, step, request))), "")


def _refusal(db: Connection, root: Ed25519PublicKey, row: RolloutRow, step: str, request: str) -> str:
    asked = approving.approved(db, request)
    bound = {"step": step, "capability": row.id, "version": row.version, "digest": row.digest}
    workflow = f"{row.tenant}:capability:{row.agent}:{row.id}"
    if (
        asked is None
        or asked.kind is not Kind.DEPLOYMENT
        or asked.workflow != workflow
        or not bound.items() <= asked.payload.items()
    ):
        return f"nobody has approved to {step} {row.id} version {row.version} ({row.digest[:8]})"
    people = approving.who_approved(db, root, asked, asked.roles, None)
    if len(people) < asked.quorum:
        return f"whoever approved to {step} {row.id} version {row.version} is no approver any more"
    return ""
