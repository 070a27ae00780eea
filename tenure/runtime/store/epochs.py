"""Epochs of data: a number for each thing that tools read, raised whenever somebody says that it has changed.

Rules of this file: what is changed is named by a pattern of tools, as in `invalidates`. Numbers only rise, so whatever was read
under a smaller one is stale.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from tenure.trust.pattern import matches

DDL = (
    """CREATE TABLE data_epochs (
        tenant TEXT NOT NULL, pattern TEXT NOT NULL, epoch INTEGER NOT NULL, PRIMARY KEY (tenant, pattern)) WITHOUT ROWID""",
)


def bump(db: sqlite3.Connection, tenant: str, pattern: str) -> int:
    """What the tools of that pattern read has changed for the tenant; the new number."""
    (epoch,) = db.execute("SELECT coalesce(max(epoch), 0) + 1 FROM data_epochs WHERE tenant = ?", (tenant,)).fetchone()
    db.execute(
        "INSERT INTO data_epochs VALUES (?, ?, ?) ON CONFLICT (tenant, pattern) DO UPDATE SET epoch = excluded.epoch",
        (tenant, pattern, epoch),
    )
    return epoch


def of_tools(db: sqlite3.Connection, tenant: str, tools: Iterable[str]) -> dict[str, int]:
    """The number that counts for each of the tools now; 0: nobody ever said that it has changed."""
    rows = db.execute("SELECT pattern, epoch FROM data_epochs WHERE tenant = ?", (tenant,)).fetchall()
    return {tool: max((row[1] for row in rows if matches(row[0], tool)), default=0) for tool in tools}
