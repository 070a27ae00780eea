"""Effect records: written before a tool changes the world, so that no crash can make it happen twice unseen.

Rules of this file: an effect moves intent → done | raised, never back; an intent whose tool says that nothing happened may be
withdrawn, which keeps its record. Only the attempt whose token stands there may move it; `generation` counts how often the effect
was started, and a person's word counts for one generation only.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

from tenure.runtime.store.connection import Connection, Row
from tenure.wire import JsonObject

DDL = (
    """CREATE TABLE effects (
        key TEXT PRIMARY KEY, workflow TEXT NOT NULL, seq INTEGER NOT NULL, tool TEXT NOT NULL, digest TEXT NOT NULL,
        status TEXT NOT NULL CHECK (status IN ('intent', 'withdrawn', 'done', 'raised')), token TEXT NOT NULL,
        generation INTEGER NOT NULL, result TEXT, started_at INTEGER NOT NULL, ended_at INTEGER,
        policy TEXT NOT NULL DEFAULT '', fence INTEGER NOT NULL DEFAULT 0, request TEXT NOT NULL DEFAULT '') WITHOUT ROWID""",
    "CREATE INDEX effects_by_run ON effects (workflow, seq)",
)


@dataclass(frozen=True)
class Start:
    """Which effect an attempt wants to start. `token` is the attempt's own; `at` is now in milliseconds.

    By which ruling: of which `policy` (the agent's fingerprint), with what restricted (`fence`), approved in which `request`.
    """

    key: str
    workflow: str
    seq: int
    tool: str
    digest: str
    token: str
    at: int
    idempotent: bool = False
    most: int = 10  # starts of an idempotent tool
    resolved: Literal["happened", "did-not"] | None = None
    generation: int = 0
    policy: str = ""
    fence: int = 0
    request: str = ""


@dataclass(frozen=True)
class Go:
    """The intent is committed: run the tool."""


@dataclass(frozen=True)
class Stored:
    """The effect ended before: `result` is what it came to."""

    result: str


@dataclass(frozen=True)
class InDoubt:
    """An earlier start left no result and the tool is not idempotent: only a person can tell."""

    generation: int
    since: int


@dataclass(frozen=True)
class Happened:
    """A person says that the earlier start did happen."""


@dataclass(frozen=True)
class Exhausted:
    """The tool is idempotent, but so many starts have vanished that another one would only vanish too."""

    generation: int


Begun: TypeAlias = Go | Stored | InDoubt | Happened | Exhausted


def begin(db: Connection, start: Start) -> Begun:
    """Commit the intent, or say why the tool must not run now."""
    begun = foresee(db, start)
    if isinstance(begun, Go):
        db.execute(
            "INSERT INTO effects (key, workflow, seq, tool, digest, status, token, generation, started_at, policy, fence,"
            " request) VALUES (?, ?, ?, ?, ?, 'intent', ?, 1, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET status = 'intent',"
            " token = excluded.token, generation = effects.generation + 1, started_at = excluded.started_at,"
            " policy = excluded.policy, fence = excluded.fence, request = excluded.request",
            (
                start.key, start.workflow, start.seq, start.tool, start.digest, start.token, start.at, start.policy,
                start.fence, start.request,
            ),
        )  # fmt: skip
    return begun


def foresee(db: Connection, start: Start) -> Begun:
    """What `begin` would say; nothing is written."""
    row = db.execute(
        "SELECT status, result, generation, started_at FROM effects WHERE key = ?", (start.key,)
    ).fetchone()
    if row is None or row["status"] == "withdrawn":
        return Go()
    if row["status"] != "intent":
        return Stored(row["result"])
    told = start.resolved if start.generation == row["generation"] else None
    if told == "happened":
        return Happened()
    if start.idempotent and row["generation"] >= start.most:
        return Exhausted(row["generation"])
    return Go() if start.idempotent or told == "did-not" else InDoubt(row["generation"], row["started_at"])


def end(db: Connection, key: str, token: str, status: Literal["done", "raised"], result: str, at: int) -> bool:
    """Record what the start of `token` came to; False when it is no longer that attempt's to say."""
    moved = db.execute(
        "UPDATE effects SET status = ?, result = ?, ended_at = ? WHERE key = ? AND token = ? AND status = 'intent'",
        (status, result, at, key, token),
    )
    return moved.rowcount == 1


def withdraw(db: Connection, key: str, token: str) -> None:
    """The start of `token` did nothing, by its tool's own word: the next one is no second one."""
    db.execute(
        "UPDATE effects SET status = 'withdrawn' WHERE key = ? AND token = ? AND status = 'intent'", (key, token)
    )


def settle(db: Connection, key: str, generation: int, status: Literal["done", "raised"], result: str, at: int) -> bool:
    """Record what start number `generation` came to by another's word than its own: a person's, or for want of any."""
    moved = db.execute(
        "UPDATE effects SET status = ?, result = ?, ended_at = ? WHERE key = ? AND generation = ? AND status = 'intent'",
        (status, result, at, key, generation),
    )
    return moved.rowcount == 1


def of_run(db: Connection, workflow: str) -> list[Row]:
    """Every effect of a run, in order."""
    return db.execute("SELECT * FROM effects WHERE workflow = ? ORDER BY seq", (workflow,)).fetchall()


def failed(db: Connection, workflow: str) -> list[str]:
    """The tools of a run whose effect failed: nobody knows what it did, or it says itself that it did not succeed."""
    rows = db.execute(
        "SELECT tool, status, result FROM effects WHERE workflow = ? AND status IN ('raised', 'done') ORDER BY tool",
        (workflow,),
    )
    return list(dict.fromkeys(row[0] for row in rows if row[1] == "raised" or _says_it_failed(row[2])))


def _says_it_failed(result: str) -> bool:
    try:
        told = cast(JsonObject, json.loads(result))
        value = told.get("value")
        return told.get("ok") == 0 and isinstance(value, dict) and cast(JsonObject, value).get("success") == 0
    except (ValueError, AttributeError):
        return True  # somebody has written something else there: nobody knows what it did
