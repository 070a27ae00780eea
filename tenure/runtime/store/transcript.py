"""Transcript rows: insert-if-absent by (workflow id, seq), so that an attempt that comes late overwrites nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable

from tenure.runtime.store.connection import Connection
from tenure.transcript import canonical
from tenure.wire import JsonObject

DDL = (
    """CREATE TABLE transcript (
        workflow TEXT NOT NULL, seq INTEGER NOT NULL, row TEXT NOT NULL, meta TEXT, state TEXT,
        PRIMARY KEY (workflow, seq)) WITHOUT ROWID""",
    "CREATE INDEX transcript_state ON transcript (workflow, seq) WHERE state IS NOT NULL",
)


ALL = 1_000_000  # more rows than any run has


def put(db: Connection, workflow: str, seq: int, row: JsonObject, meta: JsonObject | None = None) -> bool:
    """Keep `row` unless one stands there already; True when it was kept. `meta` stays outside the chain."""
    text = None if meta is None else canonical(meta)
    kept = db.execute(
        "INSERT INTO transcript VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (workflow, seq, canonical(row), text, _delta(row)),
    )
    return kept.rowcount == 1


def cut(db: Connection, workflow: str, first: int) -> None:
    """Forget the rows from `first` on: history has gone another way."""
    db.execute("DELETE FROM transcript WHERE workflow = ? AND seq >= ?", (workflow, first))


def standing(db: Connection, workflow: str, seq: int) -> tuple[JsonObject, JsonObject] | None:
    """The row that stands there and its meta."""
    found = db.execute("SELECT row, meta FROM transcript WHERE workflow = ? AND seq = ?", (workflow, seq)).fetchone()
    return None if found is None else (json.loads(found[0]), json.loads(found[1] or "{}"))


def between(db: Connection, workflow: str, first: int, end: int) -> list[tuple[int, str]]:
    """(seq, row text) for first ≤ seq < end, in order."""
    rows = db.execute(
        "SELECT seq, row FROM transcript WHERE workflow = ? AND seq >= ? AND seq < ? ORDER BY seq",
        (workflow, first, end),
    )
    return [(row[0], row[1]) for row in rows]


def rows(db: Connection, workflow: str) -> list[JsonObject]:
    """Every row of a run, in order."""
    return [json.loads(text) for _, text in between(db, workflow, 0, ALL)]


def state_before(db: Connection, workflow: str, end: int) -> list[JsonObject]:
    """The rows before `end` that changed the run's state, in order."""
    rows = db.execute(
        "SELECT state FROM transcript WHERE workflow = ? AND seq < ? AND state IS NOT NULL ORDER BY seq",
        (workflow, end),
    )
    return [{"state": json.loads(row[0])} for row in rows]


def replace(db: Connection, workflow: str, rows: Iterable[tuple[int, JsonObject]]) -> None:
    """Put back what history says, over what was lost or altered."""
    db.executemany(
        "INSERT INTO transcript (workflow, seq, row, state) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (workflow, seq) DO UPDATE SET row = excluded.row, state = excluded.state",
        [(workflow, seq, canonical(row), _delta(row)) for seq, row in rows],
    )


def _delta(row: JsonObject) -> str | None:
    return canonical(row["state"]) if "state" in row else None
