"""Alerts: a scope had spent a share of its cap, or refused a call. Each is raised once, and told to the webhook until it is taken.

Rules of this file: whoever takes an alert has it to himself for a while; if he dies, the next one takes it. So it is told at least
once, and by two at once only where one was given up for dead. A week later it is given up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from tenure.optimize.budget import Scope, ScopeName
from tenure.runtime.store import caps, charges
from tenure.runtime.store.charges import Short, Total
from tenure.runtime.store.connection import Connection

DDL = (
    """CREATE TABLE alerts (
        id INTEGER PRIMARY KEY AUTOINCREMENT, scope TEXT NOT NULL, subject TEXT NOT NULL, period TEXT NOT NULL,
        threshold TEXT NOT NULL, cap INTEGER NOT NULL, spent INTEGER NOT NULL, at INTEGER NOT NULL, operator INTEGER NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0, due_at INTEGER NOT NULL, problem TEXT NOT NULL DEFAULT '',
        delivered_at INTEGER, given_up_at INTEGER, UNIQUE (scope, subject, period, threshold))""",
    "CREATE INDEX alerts_open ON alerts (due_at) WHERE delivered_at IS NULL AND given_up_at IS NULL",
)
OPEN = "delivered_at IS NULL AND given_up_at IS NULL"
TAKEN_MS = 60_000  # one that was taken is nobody else's for so long: a delivery is over well before
GIVEN_UP_MS = 7 * 24 * 3_600_000
MOST = 10  # taken at once
EXHAUSTED = "exhausted"  # in the place of a share: a call did not fit, although less than the cap may be spent

_COLUMNS = (
    "id, scope, subject, period, threshold, cap, spent, at, operator, attempts, problem, delivered_at, given_up_at"
)


@dataclass(frozen=True)
class Alert:
    """A scope had spent that share of its cap, and what became of telling so: `attempts`, and the `problem` of the last one.

    `threshold` may be EXHAUSTED: a call did not fit. `operator` is the number of the operator's cap that it is; 0: a budget.
    """

    id: int
    scope: ScopeName
    subject: str
    period: str
    threshold: str
    cap: int
    spent: int
    at: int
    operator: int = 0
    attempts: int = 0
    problem: str = ""
    delivered_at: int | None = None
    given_up_at: int | None = None


def raise_due(db: Connection, scopes: Sequence[Scope], shares: Iterable[Decimal], at: int) -> list[Alert]:
    """The alerts that are new: a scope has spent that share of the lowest of its caps, and nobody was told in this period."""
    lowest: dict[str, tuple[Scope, int, Total]] = {}
    for scope in caps.bound(db, scopes):
        found = charges.total(db, scope)
        cap = None if scope.cap is None else scope.cap + found.raised
        if cap is not None and (scope.name not in lowest or cap < lowest[scope.name][1]):
            lowest[scope.name] = scope, cap, found
    told = [lowest[one] for one in dict.fromkeys(scope.name for scope in scopes) if one in lowest]
    due = [(one, share) for one in told for share in shares if one[2].spent >= share * one[1]]
    return [alert for one, share in due if (alert := _raise(db, *one, str(share), at))]


def is_known_exhausted(db: Connection, scope: Scope) -> bool:
    """Whether it was said in this period that a call did not fit."""
    told = (scope.name, scope.subject, scope.period, EXHAUSTED)
    row = db.execute("SELECT 1 FROM alerts WHERE scope = ? AND subject = ? AND period = ? AND threshold = ?", told)
    return row.fetchone() is not None


def exhausted(db: Connection, short: Short, at: int) -> list[Alert]:
    """A call did not fit, and is not made: an alert, the first time in this period."""
    cap = (short.scope.cap or 0) + short.total.raised
    alert = _raise(db, short.scope, cap, short.total, EXHAUSTED, at)
    return [] if alert is None else [alert]


def since(db: Connection, at: int, tenant: str | None = None) -> list[Alert]:
    """The alerts since then (milliseconds), the newest first; of one tenant, its users, agents and runs, or of all."""
    rows = db.execute(f"SELECT {_COLUMNS} FROM alerts WHERE at >= ? ORDER BY id DESC", (at,))
    found = [Alert(*row) for row in rows]
    return [one for one in found if tenant in (None, one.subject.partition(":")[0])]


def is_any_due(db: Connection, at: int) -> bool:
    """Whether `take` would find something to do."""
    return db.execute(f"SELECT 1 FROM alerts WHERE {OPEN} AND due_at <= ? LIMIT 1", (at,)).fetchone() is not None


def take(db: Connection, at: int) -> list[Alert]:
    """Alerts that are to be delivered now, as this attempt at them; nobody else takes them for a minute."""
    db.execute(f"UPDATE alerts SET given_up_at = ? WHERE {OPEN} AND at <= ?", (at, at - GIVEN_UP_MS))
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM alerts WHERE {OPEN} AND due_at <= ? ORDER BY due_at, id LIMIT ?", (at, MOST)
    ).fetchall()
    found = [Alert(*row) for row in rows]
    return [replace(one, attempts=one.attempts + 1) for one in found if _take(db, one, at)]


def delivered(db: Connection, alert: Alert, at: int) -> None:
    """The webhook has taken it."""
    db.execute(
        "UPDATE alerts SET delivered_at = ?, given_up_at = NULL, problem = '' WHERE id = ? AND delivered_at IS NULL",
        (at, alert.id),
    )


def failed(db: Connection, alert: Alert, problem: str, due_at: int) -> None:
    """This attempt has failed; the next one is due then. Nothing happens where somebody has made another one meanwhile."""
    db.execute(
        f"UPDATE alerts SET problem = ?, due_at = ? WHERE id = ? AND attempts = ? AND {OPEN}",
        (problem, due_at, alert.id, alert.attempts),
    )


def _take(db: Connection, alert: Alert, at: int) -> bool:
    done = db.execute(
        f"UPDATE alerts SET attempts = attempts + 1, due_at = ? WHERE id = ? AND attempts = ? AND {OPEN}",
        (at + TAKEN_MS, alert.id, alert.attempts),
    )
    return done.rowcount == 1


def _raise(db: Connection, scope: Scope, cap: int, found: Total, threshold: str, at: int) -> Alert | None:
    told = (scope.name, scope.subject, scope.period, threshold, cap, found.spent, at, scope.operator)
    row = db.execute(
        "INSERT INTO alerts (scope, subject, period, threshold, cap, spent, at, operator, due_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING id",
        (*told, at),
    ).fetchone()
    return None if row is None else Alert(row[0], *told)
