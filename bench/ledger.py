"""The outside world of the fault benchmarks: what tools asked of it, and what became of that.

Kept apart from Tenure's store on purpose, and committed with an fsync by the tool itself, so that it knows the truth even
when the process that asked is killed in the next instruction.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_DDL = """
CREATE TABLE IF NOT EXISTS entered (key TEXT, run TEXT, step TEXT, attempt INTEGER, pid INTEGER, at REAL);
CREATE TABLE IF NOT EXISTS requests (key TEXT, run TEXT, step TEXT, pid INTEGER, at REAL, made INTEGER);
CREATE TABLE IF NOT EXISTS effects (key TEXT, run TEXT, step TEXT);
"""


@dataclass(frozen=True)
class Ledger:
    """One SQLite file. `requests` is every call that arrived, `effects` is what changed in the world."""

    path: Path

    def make(self) -> Ledger:
        """Create the file."""
        with self._open() as db:
            db.execute("PRAGMA journal_mode=WAL")
            db.executescript(_DDL)
        return self

    def enter(self, key: str, run: str, step: str, attempt: int) -> None:
        """A tool has begun: it stands between intent and effect from here on."""
        with self._transaction() as db:
            db.execute(
                "INSERT INTO entered VALUES (?, ?, ?, ?, ?, ?)", (key, run, step, attempt, os.getpid(), time.time())
            )

    def ask(self, key: str, run: str, step: str, *, dedupes: bool) -> None:
        """Make the effect. A service that `dedupes` makes it once for each idempotency key, others whenever asked."""
        with self._transaction() as db:
            known = dedupes and db.execute("SELECT 1 FROM effects WHERE key = ?", (key,)).fetchone() is not None
            if not known:
                db.execute("INSERT INTO effects VALUES (?, ?, ?)", (key, run, step))
            db.execute(
                "INSERT INTO requests VALUES (?, ?, ?, ?, ?, ?)", (key, run, step, os.getpid(), time.time(), not known)
            )

    def effects(self) -> Counter[tuple[str, str]]:
        """How often each (run, step) took effect."""
        with self._open() as db:
            return Counter((row[0], row[1]) for row in db.execute("SELECT run, step FROM effects"))

    def happened(self, run: str, step: str) -> bool:
        """What a person finds who looks the effect up."""
        return self.effects()[run, step] > 0

    def count_entered(self) -> int:
        """How many tools have begun."""
        with self._open() as db:
            return db.execute("SELECT count(*) FROM entered").fetchone()[0]

    def asked_since(self, at: float, pid: int) -> list[tuple[str, bool]]:
        """(step, whether it changed anything) of what process `pid` asked after `at`, in seconds since the epoch."""
        with self._open() as db:
            rows = db.execute("SELECT step, made FROM requests WHERE pid = ? AND at > ?", (pid, at))
            return [(row[0], bool(row[1])) for row in rows]

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        db = sqlite3.connect(self.path, timeout=20, isolation_level=None)
        try:
            db.execute("PRAGMA synchronous=FULL")
            yield db
        finally:
            db.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._open() as db:
            db.execute("BEGIN IMMEDIATE")
            yield db
            db.execute("COMMIT")
