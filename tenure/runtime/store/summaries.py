"""Summaries of old turns: kept when they are made, so that a turn that is asked for again does not pay for them again."""

from __future__ import annotations

from tenure.runtime.store.connection import Connection
from tenure.turn import Usage
from tenure.wire import Wire

DDL = (
    """CREATE TABLE summaries (
        workflow TEXT NOT NULL, seq INTEGER NOT NULL, head TEXT NOT NULL, made TEXT NOT NULL,
        PRIMARY KEY (workflow, seq, head)) WITHOUT ROWID""",
)


class Summary(Wire):
    """What the model made of old turns (empty when it would not), and what that took."""

    text: str
    usage: Usage


def put(db: Connection, workflow: str, seq: int, head: str, made: Summary) -> None:
    """Keep the summary that was made for the turn in row `seq`, over the rows whose chain ends in `head`."""
    db.execute(
        "INSERT INTO summaries VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (workflow, seq, head, made.model_dump_json()),
    )


def standing(db: Connection, workflow: str, seq: int, head: str) -> Summary | None:
    """The summary that was made for that turn."""
    found = db.execute(
        "SELECT made FROM summaries WHERE workflow = ? AND seq = ? AND head = ?", (workflow, seq, head)
    ).fetchone()
    return None if found is None else Summary.model_validate_json(found[0])
