"""Announcements: which worker serves which agent, under which fingerprint, and when it last said so."""

from __future__ import annotations

from tenure.runtime.store.connection import Connection, Row

DDL = (
    """CREATE TABLE agents (
        name TEXT NOT NULL, fingerprint TEXT NOT NULL, worker TEXT NOT NULL, manifest TEXT NOT NULL, seen_at INTEGER NOT NULL,
        PRIMARY KEY (name, fingerprint, worker)) WITHOUT ROWID""",
    # When a build was first announced is never forgotten: of two that are served side by side, the one that came later counts.
    """CREATE TABLE builds (
        name TEXT NOT NULL, fingerprint TEXT NOT NULL, trust TEXT NOT NULL, first_at INTEGER NOT NULL, last_at INTEGER NOT NULL,
        queue TEXT NOT NULL, PRIMARY KEY (name, fingerprint)) WITHOUT ROWID""",
)
FRESH_MS = 30_000  # an announcement older than this has no worker behind it any more
GRACE_MS = 120_000  # as long a build counts without a worker: one that restarts is not one that was rolled back
KEPT_MS = 7 * 24 * 3600_000  # after a week without a word a worker is forgotten


def announce(
    db: Connection, name: str, fingerprint: str, worker: str, manifest: str, trust: str, queue: str, at: int
) -> None:
    """A worker serves this agent from task queue `queue` now. `trust` is its policy of trust as JSON, empty where it has none."""
    db.execute(
        "INSERT INTO agents VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (name, fingerprint, worker) DO UPDATE SET seen_at = excluded.seen_at",
        (name, fingerprint, worker, manifest, at),
    )
    db.execute(
        "INSERT INTO builds VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (name, fingerprint) DO UPDATE SET queue = excluded.queue,"
        " last_at = CASE WHEN excluded.last_at > builds.last_at THEN excluded.last_at ELSE builds.last_at END",
        (name, fingerprint, trust, at, at, queue),
    )
    db.execute("DELETE FROM agents WHERE seen_at < ?", (at - KEPT_MS,))


def withdraw(db: Connection, worker: str) -> None:
    """A worker that shuts down serves nothing any longer."""
    db.execute("DELETE FROM agents WHERE worker = ?", (worker,))


def fresh(db: Connection, name: str, at: int) -> list[str]:
    """The fingerprints of `name` that a living worker serves, the newest announcement first."""
    rows = db.execute(
        "SELECT fingerprint FROM agents WHERE name = ? AND seen_at > ? GROUP BY fingerprint ORDER BY max(seen_at) DESC",
        (name, at - FRESH_MS),
    )
    return [row[0] for row in rows]


def policy(db: Connection, name: str, at: int) -> str:
    """The policy of trust (JSON) of the build that counts: among those served of late, else among all, the one that came last.

    Empty when it has none, or nobody has announced the agent.
    """
    return _of_what_counts(db, "trust", name, at)


def queue(db: Connection, name: str, at: int) -> str:
    """The task queue from which the build that counts is served, empty when nobody has announced the agent."""
    return _of_what_counts(db, "queue", name, at)


def _of_what_counts(db: Connection, column: str, name: str, at: int) -> str:
    row = db.execute(
        f"SELECT {column} FROM builds WHERE name = ? ORDER BY last_at > ? DESC, first_at DESC LIMIT 1",
        (name, at - GRACE_MS),
    ).fetchone()
    return "" if row is None else row[0]


def announced(db: Connection) -> list[Row]:
    """name, fingerprint, manifest (JSON) and seen_at of every agent that a worker has announced, by name, the newest first."""
    return db.execute(
        "SELECT name, fingerprint, manifest, seen_at FROM (SELECT name, fingerprint, manifest, seen_at,"
        " row_number() OVER (PARTITION BY name, fingerprint ORDER BY seen_at DESC) AS nth FROM agents) AS told"
        " WHERE nth = 1 ORDER BY name, seen_at DESC"
    ).fetchall()


def names(db: Connection) -> list[str]:
    """Every agent ever announced."""
    # From the builds: an agent whose workers have stopped is halted by its name as well.
    return [row[0] for row in db.execute("SELECT DISTINCT name FROM builds ORDER BY name")]
