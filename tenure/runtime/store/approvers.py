"""The registry of approvers: statements signed by the root key. A row without a good signature makes nobody."""

from __future__ import annotations

import sqlite3

DDL = (
    """CREATE TABLE approvers (
        principal TEXT PRIMARY KEY, statement TEXT NOT NULL, added_at INTEGER NOT NULL, revoked_at INTEGER) WITHOUT ROWID""",
)


def add(db: sqlite3.Connection, principal: str, statement: str, at: int) -> None:
    """Register a principal, or replace its statement. The statement that was revoked does not come back by being added."""
    db.execute(
        "INSERT INTO approvers (principal, statement, added_at) VALUES (?, ?, ?)"
        " ON CONFLICT DO UPDATE SET statement = excluded.statement, revoked_at = NULL"
        " WHERE excluded.statement <> approvers.statement",
        (principal, statement, at),
    )


def revoke(db: sqlite3.Connection, principal: str, at: int) -> bool:
    """Withdraw a principal; True when there was one to withdraw."""
    done = db.execute("UPDATE approvers SET revoked_at = ? WHERE principal = ? AND revoked_at IS NULL", (at, principal))
    return done.rowcount == 1


def registered(db: sqlite3.Connection) -> dict[str, str]:
    """The statements of all principals that are not revoked."""
    return dict(db.execute("SELECT principal, statement FROM approvers WHERE revoked_at IS NULL ORDER BY principal"))


def statement(db: sqlite3.Connection, principal: str) -> str | None:
    """The statement of a principal that is registered and not revoked."""
    row = db.execute(
        "SELECT statement FROM approvers WHERE principal = ? AND revoked_at IS NULL", (principal,)
    ).fetchone()
    return None if row is None else row[0]
