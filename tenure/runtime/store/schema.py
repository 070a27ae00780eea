"""The store's schema: collected from the table families, versioned, and never older than what wrote the file."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from tenure.errors import StoreMismatch, StoreUnavailable
from tenure.runtime.store import (
    agents,
    alerts,
    approvals,
    approvers,
    cached,
    capabilities,
    caps,
    charges,
    effects,
    epochs,
    ledgers,
    outcomes,
    recordings,
    restrictions,
    results,
    routers,
    runs,
    summaries,
    transcript,
    trials,
    uses,
    verdicts,
    writings,
)
from tenure.runtime.store.connection import Connection

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
        *recordings.DDL,
        *capabilities.DDL,
        *trials.DDL,
        *routers.DDL,
        *writings.DDL,
    )
}


@dataclass(frozen=True)
class Keeping:
    """How a database begins a transaction and is `alone` in it, and keeps the version of the schema (0: there is none)."""

    begin: str
    found: Callable[[Connection], int]
    keep: str
    alone: str = ""


# SQLite keeps a number in the head of the file for this.
SQLITE = Keeping(
    "BEGIN IMMEDIATE", lambda db: db.execute("PRAGMA user_version").fetchone()[0], "PRAGMA user_version={}"
)


def bring_up(connection: Connection, where: object, read_only: bool, keeping: Keeping = SQLITE) -> None:
    """Create or migrate the schema. Raises StoreMismatch for a newer one, StoreUnavailable for an empty store to read."""
    found = keeping.found(connection)
    if found > VERSION:
        raise StoreMismatch(
            f"the store {where} has schema {found}, this Tenure knows {VERSION}: install the Tenure that wrote it or a newer one"
        )
    if found == VERSION:
        return
    if read_only:
        raise StoreUnavailable(
            f"the store {where} has schema {found}, {VERSION} is needed: open it once without mode=ro"
        )
    connection.execute(keeping.begin)
    if keeping.alone:
        connection.execute(keeping.alone)
    for version in range(
        keeping.found(connection) + 1, VERSION + 1
    ):  # again: another process may have migrated meanwhile
        for statement in MIGRATIONS[version]:
            connection.execute(statement)
        connection.execute(keeping.keep.format(version))
    connection.execute("INSERT INTO meta VALUES ('store_id', ?) ON CONFLICT DO NOTHING", (secrets.token_hex(8),))
    connection.execute("COMMIT")


def store_id(connection: Connection) -> str:
    """What tells this store from every other."""
    return connection.execute("SELECT value FROM meta WHERE key='store_id'").fetchone()[0]
