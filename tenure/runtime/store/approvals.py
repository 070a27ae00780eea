"""Requests to people and the answers they gave, accepted or refused.

Rules of this file: a row that cannot be read is no answer, and keeps no other from counting. So what is text in a row of answers is
fetched as bytes: SQLite fails on text that is no UTF-8, and so would whatever looks at the request, again and again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import ValidationError

from tenure.approvals.request import Request, Verdict
from tenure.runtime.store.connection import Connection, Row

DDL = (
    """CREATE TABLE requests (
        id TEXT PRIMARY KEY, workflow TEXT NOT NULL, tenant TEXT NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL,
        opened_at INTEGER NOT NULL, closed_at INTEGER, choice TEXT, principal TEXT) WITHOUT ROWID""",
    "CREATE INDEX requests_by_time ON requests (tenant, opened_at)",
    "CREATE INDEX requests_open ON requests (opened_at) WHERE closed_at IS NULL",
    """CREATE TABLE answers (
        token_hash TEXT NOT NULL, request TEXT NOT NULL, workflow TEXT NOT NULL, jti TEXT NOT NULL, principal TEXT NOT NULL,
        accepted INTEGER NOT NULL, reason TEXT NOT NULL, body TEXT NOT NULL, at INTEGER NOT NULL,
        token TEXT NOT NULL DEFAULT '', spent INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (token_hash, request)) WITHOUT ROWID""",
    "CREATE UNIQUE INDEX answers_once ON answers (jti) WHERE accepted = 1",
    "CREATE INDEX answers_by_request ON answers (request, accepted)",
)


def open_request(db: Connection, request: Request) -> None:
    """A person is asked; asking twice is asking once, and asking again after a reset opens the request again, unanswered.

    A workflow asks one thing at a time: what else it has open was asked by a worker that died before it could say so.
    """
    db.execute(
        "UPDATE requests SET closed_at = ?, choice = 'withdrawn' WHERE workflow = ? AND id <> ? AND closed_at IS NULL",
        (request.opened_at, request.workflow, request.id),
    )
    db.execute(
        "UPDATE answers SET spent = 1 WHERE request = ?1 AND EXISTS"
        " (SELECT 1 FROM requests WHERE id = ?1 AND closed_at IS NOT NULL)",
        (request.id,),
    )
    db.execute(
        "INSERT INTO requests (id, workflow, tenant, kind, body, opened_at) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET closed_at = NULL, choice = NULL, principal = NULL, body = excluded.body,"
        " opened_at = excluded.opened_at",
        (request.id, request.workflow, request.tenant, request.kind, request.model_dump_json(), request.opened_at),
    )


def close_request(db: Connection, request: str, choice: str, principal: str, at: int) -> None:
    """A request ended: answered, timed out, or its run is over."""
    db.execute(
        "UPDATE requests SET closed_at = ?, choice = ?, principal = ? WHERE id = ? AND closed_at IS NULL",
        (at, choice, principal, request),
    )


def close_run(db: Connection, workflow: str, at: int) -> None:
    """A run is over: nobody needs to answer it any more."""
    db.execute(
        "UPDATE requests SET closed_at = ?, choice = 'void' WHERE workflow = ? AND closed_at IS NULL", (at, workflow)
    )


def pending(db: Connection) -> list[Request]:
    """Every open request, the oldest first."""
    rows = db.execute("SELECT body FROM requests WHERE closed_at IS NULL ORDER BY opened_at, id")
    return [request for row in rows if (request := _readable(row[0])) is not None]


def about_budgets(db: Connection, tenant: str) -> list[Request]:
    """What the runs of a tenant ask people about budgets now."""
    rows = db.execute(
        "SELECT body FROM requests WHERE closed_at IS NULL AND kind = 'budget' AND tenant = ? ORDER BY opened_at, id",
        (tenant,),
    )
    return [request for row in rows if (request := _readable(row[0])) is not None]


def find_request(db: Connection, whole: str) -> list[tuple[Request, bool]]:
    """The request of that id, or the one that the workflow of that id asks now, with whether it is still open."""
    rows = db.execute(
        "SELECT body, closed_at IS NULL FROM requests WHERE id = ?1 OR (closed_at IS NULL AND workflow = ?1)", (whole,)
    )
    return _open_or_not(rows)


def named(db: Connection, part: str) -> list[tuple[Request, bool]]:
    """The requests whose id after its `req-` begins or ends so, with whether each is still open."""
    rows = db.execute(
        "SELECT body, closed_at IS NULL FROM requests WHERE substr(id, 5, length(?1)) = ?1"
        " OR substr(id, length(id) - length(?1) + 1) = ?1 ORDER BY id",
        (part,),
    )
    return _open_or_not(rows)


def is_open(db: Connection, request: str) -> bool:
    """Whether the request still waits for an answer."""
    return db.execute("SELECT 1 FROM requests WHERE id = ? AND closed_at IS NULL", (request,)).fetchone() is not None


def approved(db: Connection, request: str) -> Request | None:
    """The request of that id, if it ended with an approval."""
    row = db.execute("SELECT body FROM requests WHERE id = ? AND choice = 'approve'", (request,)).fetchone()
    return None if row is None else _readable(row[0])


def approvals_of(db: Connection, request: str) -> list[str]:
    """The tokens by which a request was approved; whether they are genuine, nobody but a signature says."""
    rows = db.execute(
        "SELECT CAST(token AS BLOB) FROM answers WHERE request = ? AND accepted = 1 AND token <> '' ORDER BY at, token_hash",
        (request,),
    )
    return [row[0].decode("utf-8", "replace") for row in rows]


def is_settled(db: Connection, request: str, quorum: int) -> bool:
    """Whether the answers accepted since it was opened decide the request, even if its run has not followed them yet.

    Those from before count for nothing: after a reset the request is opened again.
    """
    rows = db.execute(
        "SELECT CAST(body AS BLOB) FROM answers WHERE request = ? AND accepted = 1 AND spent = 0", (request,)
    )
    given = _verdicts(rows)
    people = {one.principal for one in given if one.choice == "approve"}
    return len(people) >= quorum or any(one.choice != "approve" for one in given)


def asked_since(db: Connection, tenant: str, at: int, but: str) -> int:
    """How many calls of this tenant's runs people were asked about since `at`, not counting request `but`."""
    row = db.execute(
        "SELECT count(*) FROM requests WHERE tenant = ? AND kind = 'tool_call' AND opened_at > ? AND id <> ?",
        (tenant, at, but),
    )
    return row.fetchone()[0]


def recorded(db: Connection, token_hash: str, request: str) -> Verdict | None:
    """What an earlier look at the same answer to the same request found."""
    rows = db.execute(
        "SELECT CAST(body AS BLOB) FROM answers WHERE token_hash = ? AND request = ?", (token_hash, request)
    )
    return next(iter(_verdicts(rows)), None)


def used(db: Connection, jti: str) -> bool:
    """Whether an accepted answer had this id."""
    return bool(_verdicts(db.execute("SELECT CAST(body AS BLOB) FROM answers WHERE jti = ? AND accepted = 1", (jti,))))


def record_answer(
    db: Connection, token_hash: str, request: Request, verdict: Verdict, at: int, token: str = ""
) -> None:
    """Keep what became of an answer, and the `token` of one that counts: it proves itself.

    Whoever asks `recorded` and `used` before finds every row that can be read: what is replaced here is one that cannot.
    """
    db.execute(
        "DELETE FROM answers WHERE (token_hash = ? AND request = ?) OR (jti = ? AND accepted = 1 AND ? = 1)",
        (token_hash, request.id, verdict.jti, int(verdict.accepted)),
    )
    db.execute(
        "INSERT INTO answers (token_hash, request, workflow, jti, principal, accepted, reason, body, at, token)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            token_hash, request.id, request.workflow, verdict.jti, verdict.principal, int(verdict.accepted),
            verdict.reason, verdict.model_dump_json(), at, token,
        ),
    )  # fmt: skip


@dataclass(frozen=True)
class Answered:
    """An answer somebody gave, when, and what became of it."""

    at: int
    verdict: Verdict


@dataclass(frozen=True)
class Asked:
    """A request with its answers and its end."""

    request: Request
    closed_at: int | None
    choice: str | None
    principal: str | None
    answers: list[Answered]


def of_run(db: Connection, workflow: str) -> list[Asked]:
    """Every request of a run, in order."""
    rows = db.execute("SELECT * FROM requests WHERE workflow = ? ORDER BY opened_at, id", (workflow,))
    return [
        Asked(request, row["closed_at"], row["choice"], row["principal"], _given(db, row["id"]))
        for row in rows
        if (request := _readable(row["body"])) is not None
    ]


def approved_by(db: Connection, request: str) -> list[str]:
    """The different people who have approved a request since it was opened, in order."""
    rows = db.execute(
        "SELECT CAST(body AS BLOB) FROM answers WHERE request = ? AND accepted = 1 AND spent = 0 ORDER BY at",
        (request,),
    )
    return list(dict.fromkeys(one.principal for one in _verdicts(rows) if one.choice == "approve"))


def _given(db: Connection, request: str) -> list[Answered]:
    rows = db.execute(
        "SELECT CAST(body AS BLOB), CAST(at AS INTEGER) FROM answers WHERE request = ? ORDER BY at", (request,)
    )
    return [Answered(row[1], verdict) for row in rows for verdict in _verdicts([row])]


def answers_to(db: Connection, workflow: str) -> list[Verdict]:
    """Every answer a run was given, in the order of arrival."""
    return _verdicts(db.execute("SELECT CAST(body AS BLOB) FROM answers WHERE workflow = ? ORDER BY at", (workflow,)))


def _verdicts(rows: Iterable[Row]) -> list[Verdict]:
    """The verdicts in the first column, without what somebody has written there that is none."""
    found: list[Verdict] = []
    for row in rows:
        try:
            found.append(Verdict.model_validate_json(row[0]))
        except ValidationError:
            continue
    return found


def _open_or_not(rows: Iterable[Row]) -> list[tuple[Request, bool]]:
    return [(request, bool(row[1])) for row in rows if (request := _readable(row[0])) is not None]


def _readable(body: str) -> Request | None:
    """The request, unless somebody has written something else there: what cannot be read hides no other."""
    try:
        return Request.model_validate_json(body)
    except ValidationError:
        return None
