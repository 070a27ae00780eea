"""Uses of rate-limited tools: counted in the transaction that writes the effect, once for all attempts of a call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tenure.runtime.store.connection import Connection
from tenure.trust.limits import RateLimit

DDL = (
    """CREATE TABLE uses (
        key TEXT PRIMARY KEY, tenant TEXT NOT NULL, agent TEXT NOT NULL, tool TEXT NOT NULL, at INTEGER NOT NULL
        ) WITHOUT ROWID""",
    "CREATE INDEX uses_by_time ON uses (tenant, agent, at)",
)
KEPT_MS = 366 * 24 * 3600_000  # beyond the longest window anybody would write


@dataclass(frozen=True)
class Limited:
    """No call is allowed before `until` (milliseconds since the epoch): `limit` on `pattern` is used up."""

    pattern: str
    limit: RateLimit
    until: int

    def __str__(self) -> str:
        return f"rate limit of {self.pattern!r}: {self.limit}"


def take(
    db: Connection, key: str, who: tuple[str, str], tool: str, limits: Sequence[tuple[str, RateLimit]], at: int
) -> Limited | None:
    """Count a call of `tool` by `who` (tenant, agent), or say which limit it must wait for; then nothing is counted."""
    if not limits or _counted(db, key):
        return None
    found = held(db, key, who, tool, limits, at)
    if found is not None:
        return found
    db.execute("INSERT INTO uses VALUES (?, ?, ?, ?, ?)", (key, *who, tool, at))
    db.execute("DELETE FROM uses WHERE tenant = ? AND agent = ? AND at < ?", (*who, at - KEPT_MS))
    return None


def held(
    db: Connection, key: str, who: tuple[str, str], tool: str, limits: Sequence[tuple[str, RateLimit]], at: int
) -> Limited | None:
    """Which limit the call would have to wait for; nothing is counted, and what was counted before waits for none."""
    if _counted(db, key):
        return None
    found = [one for pattern, limit in limits if (one := _held(db, who, pattern, limit, at))]
    return max(found, key=lambda one: one.until) if found else None


def _counted(db: Connection, key: str) -> bool:
    return db.execute("SELECT 1 FROM uses WHERE key = ?", (key,)).fetchone() is not None


def _held(db: Connection, who: tuple[str, str], pattern: str, limit: RateLimit, at: int) -> Limited | None:
    """The use that must leave the window first is the oldest of the newest `limit` ones. A star is a pattern's last sign."""
    fits = "substr(tool, 1, length(?3)) = ?3" if pattern.endswith("*") else "tool = ?3"
    oldest = db.execute(
        f"SELECT at FROM uses WHERE tenant = ?1 AND agent = ?2 AND {fits} AND at > ?4 ORDER BY at DESC LIMIT 1 OFFSET ?5",
        (*who, pattern.removesuffix("*"), at - limit.per * 1000, limit.limit - 1),
    ).fetchone()
    return None if oldest is None else Limited(pattern, limit, oldest[0] + limit.per * 1000 + 1)
