"""The store's schema: collected from the table families, versioned, and never older than what wrote the file."""

from __future__ import annotations

import secrets
import sqlite3
from pathlib import Path

from tenure.errors import StoreMismatch, StoreUnavailable
from tenure.runtime.store import (
    agents,
    alerts,
    approvals,
    approvers,
    cached,
    caps,
    charges,
    effects,
    epochs,
    ledgers,
    outcomes,
    restrictions,
    results,
    runs,
    summaries,
    transcript,
    uses,
    verdicts,
)

VERSION = 1
_META = "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID"
# Each version's statements, in order; a released version is never edited, a new one is added.
MIGRATIONS: dict[int, tuple[str, ...]] = {
    1: (
        _META,
        *agents.DDL,
        *runs.DDL,
        *transcript.DDL,
        *effects.DDL,
        *approvals.DDL,
        *approvers.DDL,
        *summaries.DDL,
        *uses.DDL,
        *verdicts.DDL,
        *restrictions.DDL,
        *outcomes.DDL,
        *ledgers.DDL,
        *charges.DDL,
        *cached.DDL,
        *epochs.DDL,
        *caps.DDL,
        *alerts.DDL,
        *results.DDL,
    )
}


def bring_up(connection: sqlite3.Connection, path: Path, read_only: bool) -> None:
    """Create or migrate the schema. Raises StoreMismatch for a newer one, StoreUnavailable for an empty file to read."""
    found = _version(connection)
    if found > VERSION:
        raise StoreMismatch(
            f"the store {path} has schema {found}, this Tenure knows {VERSION}: install the Tenure that wrote it or a newer one"
        )
    if found == VERSION:
        return
    if read_only:
        raise StoreUnavailable(
            f"the store {path} has schema {found}, {VERSION} is needed: open it once without mode=ro"
        )
    connection.execute("BEGIN IMMEDIATE")
    for version in range(_version(connection) + 1, VERSION + 1):  # again: another process may have migrated meanwhile
        for statement in MIGRATIONS[version]:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version={version}")
    connection.execute("INSERT OR IGNORE INTO meta VALUES ('store_id', ?)", (secrets.token_hex(8),))
    connection.execute("COMMIT")


def store_id(connection: sqlite3.Connection) -> str:
    """What tells this store from every other."""
    return connection.execute("SELECT value FROM meta WHERE key='store_id'").fetchone()[0]


def _version(connection: sqlite3.Connection) -> int:
    return connection.execute("PRAGMA user_version").fetchone()[0]
