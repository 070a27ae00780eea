"""Announcements: which worker serves which agent, under which fingerprint, and when it last said so."""

from __future__ import annotations

import sqlite3

DDL = (
    """CREATE TABLE agents (
        name TEXT NOT NULL, fingerprint TEXT NOT NULL, worker TEXT NOT NULL, manifest TEXT NOT NULL, seen_at INTEGER NOT NULL,
        PRIMARY KEY (name, fingerprint, worker)) WITHOUT ROWID""",
    # When a build was first announced is never forgotten: of two that are served side by side, the one that came later counts.
    """CREATE TABLE builds (
        name TEXT NOT NULL, fingerprint TEXT NOT NULL, trust TEXT NOT NULL, first_at INTEGER NOT NULL,
        PRIMARY KEY (name, fingerprint)) WITHOUT ROWID""",
)
FRESH_MS = 30_000  # an announcement older than this has no worker behind it any more
KEPT_MS = 7 * 24 * 3600_000  # after a week without a word a worker is forgotten


def announce(
    db: sqlite3.Connection, name: str, fingerprint: str, worker: str, manifest: str, trust: str, at: int
) -> None:
    """A worker serves this agent now. `trust` is its policy of trust as JSON, empty where it has none."""
    db.execute(
        "INSERT INTO agents VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET seen_at = excluded.seen_at",
        (name, fingerprint, worker, manifest, at),
    )
    db.execute("INSERT OR IGNORE INTO builds VALUES (?, ?, ?, ?)", (name, fingerprint, trust, at))
    db.execute("DELETE FROM agents WHERE seen_at < ?", (at - KEPT_MS,))


def withdraw(db: sqlite3.Connection, worker: str) -> None:
    """A worker that shuts down serves nothing any longer."""
    db.execute("DELETE FROM agents WHERE worker = ?", (worker,))


def fresh(db: sqlite3.Connection, name: str, at: int) -> list[str]:
    """The fingerprints of `name` that a living worker serves, the newest announcement first."""
    rows = db.execute(
        "SELECT fingerprint FROM agents WHERE name = ? AND seen_at > ? GROUP BY fingerprint ORDER BY max(seen_at) DESC",
        (name, at - FRESH_MS),
    )
    return [row[0] for row in rows]


def policy(db: sqlite3.Connection, name: str, at: int) -> str:
    """The policy of trust (JSON) of the build that counts: among those served now, else among all, the one that came last.

    Empty when it has none, or nobody has announced the agent.
    """
    row = db.execute(
        "SELECT trust FROM builds WHERE name = ?1 ORDER BY EXISTS (SELECT 1 FROM agents WHERE agents.name = builds.name"
        " AND agents.fingerprint = builds.fingerprint AND seen_at > ?2) DESC, first_at DESC LIMIT 1",
        (name, at - FRESH_MS),
    ).fetchone()
    return "" if row is None else row[0]


def announced(db: sqlite3.Connection) -> list[sqlite3.Row]:
    """name, fingerprint, manifest (JSON) and seen_at of every agent that a worker has announced, by name, the newest first."""
    return db.execute(
        "SELECT name, fingerprint, manifest, max(seen_at) AS seen_at FROM agents GROUP BY name, fingerprint"
        " ORDER BY name, seen_at DESC"
    ).fetchall()


def names(db: sqlite3.Connection) -> list[str]:
    """Every agent ever announced."""
    return [row[0] for row in db.execute("SELECT DISTINCT name FROM agents ORDER BY name")]
