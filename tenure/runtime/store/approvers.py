"""The registry of approvers: statements signed by the root key. A row without a good signature makes nobody.

Rules of this file: nothing is verified here; a statement never comes back after a later one, or after its principal was revoked.
"""

from __future__ import annotations

from dataclasses import dataclass

from tenure.approvals.approvers import issued
from tenure.runtime.store.connection import Connection, Row

DDL = (
    """CREATE TABLE approvers (
        principal TEXT PRIMARY KEY, statement TEXT NOT NULL, added_at INTEGER NOT NULL, revoked_at INTEGER) WITHOUT ROWID""",
)


@dataclass(frozen=True)
class Registered:
    """A row: since when, and until when, a principal is registered (milliseconds)."""

    principal: str
    statement: str
    added_at: int
    revoked_at: int | None


def add(db: Connection, principal: str, statement: str, at: int) -> bool:
    """Register a principal, or replace its statement; False when a later word stands against it.

    That is a statement issued later, or a revocation: only a statement issued after it brings somebody back.
    """
    stands = find(db, principal)
    if stands is not None and not _follows(statement, stands):
        return False
    db.execute(
        "INSERT INTO approvers (principal, statement, added_at) VALUES (?, ?, ?)"
        " ON CONFLICT (principal) DO UPDATE SET statement = excluded.statement, revoked_at = NULL,"
        " added_at = CASE WHEN approvers.revoked_at IS NULL THEN approvers.added_at ELSE excluded.added_at END",
        (principal, statement, at),
    )
    return True


def forget(db: Connection, principal: str) -> None:
    """Drop a row that makes nobody, so that nothing it claims stands against a genuine statement."""
    db.execute("DELETE FROM approvers WHERE principal = ? AND revoked_at IS NULL", (principal,))


def revoke(db: Connection, principal: str, at: int) -> bool:
    """Withdraw a principal; True when there was one to withdraw."""
    done = db.execute("UPDATE approvers SET revoked_at = ? WHERE principal = ? AND revoked_at IS NULL", (at, principal))
    return done.rowcount == 1


def registered(db: Connection) -> dict[str, str]:
    """The statements of all principals that are not revoked."""
    return dict(db.execute("SELECT principal, statement FROM approvers WHERE revoked_at IS NULL ORDER BY principal"))


def find(db: Connection, principal: str) -> Registered | None:
    """The row of a principal, revoked or not."""
    row = db.execute("SELECT * FROM approvers WHERE principal = ?", (principal,)).fetchone()
    return None if row is None else _registered(row)


def every(db: Connection) -> list[Registered]:
    """All rows, the revoked ones too."""
    return [_registered(row) for row in db.execute("SELECT * FROM approvers ORDER BY principal")]


def _follows(statement: str, stands: Registered) -> bool:
    told, before = issued(statement), issued(stands.statement)
    if stands.revoked_at is None:
        return told >= before
    return told > before and told * 1000 > stands.revoked_at  # both: a clock ahead of ours may have signed


def _registered(row: Row) -> Registered:
    return Registered(row["principal"], row["statement"], row["added_at"], row["revoked_at"])
