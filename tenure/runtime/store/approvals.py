"""Requests to people and the answers they gave, accepted or refused."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from pydantic import ValidationError

from tenure.approvals.request import Request, Verdict

DDL = (
    """CREATE TABLE requests (
        id TEXT PRIMARY KEY, workflow TEXT NOT NULL, tenant TEXT NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL,
        opened_at INTEGER NOT NULL, closed_at INTEGER, choice TEXT, principal TEXT) WITHOUT ROWID""",
    "CREATE INDEX requests_by_time ON requests (tenant, opened_at)",
    "CREATE INDEX requests_open ON requests (opened_at) WHERE closed_at IS NULL",
    """CREATE TABLE answers (
        token_hash TEXT NOT NULL, request TEXT NOT NULL, workflow TEXT NOT NULL, jti TEXT NOT NULL, principal TEXT NOT NULL,
        accepted INTEGER NOT NULL, reason TEXT NOT NULL, body TEXT NOT NULL, at INTEGER NOT NULL,
        token TEXT NOT NULL DEFAULT '', PRIMARY KEY (token_hash, request)) WITHOUT ROWID""",
    "CREATE UNIQUE INDEX answers_once ON answers (jti) WHERE accepted = 1",
    "CREATE INDEX answers_by_request ON answers (request, accepted)",
)


def open_request(db: sqlite3.Connection, request: Request) -> None:
    """A person is asked; asking twice is asking once, and asking again after a reset opens the request again."""
    db.execute(
        "INSERT INTO requests (id, workflow, tenant, kind, body, opened_at) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET closed_at = NULL, choice = NULL, principal = NULL, body = excluded.body,"
        " opened_at = excluded.opened_at",
        (request.id, request.workflow, request.tenant, request.kind, request.model_dump_json(), request.opened_at),
    )


def close_request(db: sqlite3.Connection, request: str, choice: str, principal: str, at: int) -> None:
    """A request ended: answered, timed out, or its run is over."""
    db.execute(
        "UPDATE requests SET closed_at = ?, choice = ?, principal = ? WHERE id = ? AND closed_at IS NULL",
        (at, choice, principal, request),
    )


def close_run(db: sqlite3.Connection, workflow: str, at: int) -> None:
    """A run is over: nobody needs to answer it any more."""
    db.execute(
        "UPDATE requests SET closed_at = ?, choice = 'void' WHERE workflow = ? AND closed_at IS NULL", (at, workflow)
    )


def pending(db: sqlite3.Connection) -> list[Request]:
    """Every open request, the oldest first."""
    rows = db.execute("SELECT body FROM requests WHERE closed_at IS NULL ORDER BY opened_at, id")
    return [request for row in rows if (request := _readable(row[0])) is not None]


def find_request(db: sqlite3.Connection, part: str) -> list[tuple[Request, bool]]:
    """Requests whose id begins with `part`, or that belong to the run `part`, with whether each is still open."""
    rows = db.execute(
        "SELECT body, closed_at IS NULL FROM requests WHERE substr(id, 1, length(?1)) = ?1"
        " OR (closed_at IS NULL AND (workflow = ?1 OR workflow GLOB '*:run:*:' || ?1 || '*')) LIMIT 10",
        (part,),
    )
    return [(request, bool(row[1])) for row in rows if (request := _readable(row[0])) is not None]


def is_open(db: sqlite3.Connection, request: str) -> bool:
    """Whether the request still waits for an answer."""
    return db.execute("SELECT 1 FROM requests WHERE id = ? AND closed_at IS NULL", (request,)).fetchone() is not None


def approved(db: sqlite3.Connection, request: str) -> Request | None:
    """The request of that id, if it ended with an approval."""
    row = db.execute("SELECT body FROM requests WHERE id = ? AND choice = 'approve'", (request,)).fetchone()
    return None if row is None else _readable(row[0])


def approvals_of(db: sqlite3.Connection, request: str) -> list[str]:
    """The tokens by which a request was approved; whether they are genuine, nobody but a signature says."""
    rows = db.execute(
        "SELECT token FROM answers WHERE request = ? AND accepted = 1 AND token <> '' ORDER BY at, token_hash",
        (request,),
    )
    return [row[0] for row in rows]


def is_settled(db: sqlite3.Connection, request: str, quorum: int) -> bool:
    """Whether the answers accepted since it was opened decide the request, even if its run has not followed them yet.

    Those from before count for nothing: after a reset the request is opened again.
    """
    rows = db.execute(
        "SELECT answers.principal, json_extract(answers.body, '$.choice') FROM answers JOIN requests ON requests.id = request"
        " WHERE request = ? AND accepted = 1 AND answers.at >= requests.opened_at",
        (request,),
    ).fetchall()
    return len({row[0] for row in rows if row[1] == "approve"}) >= quorum or any(row[1] != "approve" for row in rows)


def asked_since(db: sqlite3.Connection, tenant: str, at: int, but: str) -> int:
    """How many calls of this tenant's runs people were asked about since `at`, not counting request `but`."""
    row = db.execute(
        "SELECT count(*) FROM requests WHERE tenant = ? AND kind = 'tool_call' AND opened_at > ? AND id <> ?",
        (tenant, at, but),
    )
    return row.fetchone()[0]


def recorded(db: sqlite3.Connection, token_hash: str, request: str) -> Verdict | None:
    """What an earlier look at the same answer to the same request found."""
    row = db.execute("SELECT body FROM answers WHERE token_hash = ? AND request = ?", (token_hash, request)).fetchone()
    return None if row is None else Verdict.model_validate_json(row[0])


def used(db: sqlite3.Connection, jti: str) -> bool:
    """Whether an accepted answer had this id."""
    return db.execute("SELECT 1 FROM answers WHERE jti = ? AND accepted = 1", (jti,)).fetchone() is not None


def record_answer(
    db: sqlite3.Connection, token_hash: str, request: Request, verdict: Verdict, at: int, token: str = ""
) -> None:
    """Keep what became of an answer, and the `token` of one that counts: it proves itself."""
    db.execute(
        "INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
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


def of_run(db: sqlite3.Connection, workflow: str) -> list[Asked]:
    """Every request of a run, in order."""
    rows = db.execute("SELECT * FROM requests WHERE workflow = ? ORDER BY opened_at, id", (workflow,))
    return [
        Asked(request, row["closed_at"], row["choice"], row["principal"], _given(db, row["id"]))
        for row in rows
        if (request := _readable(row["body"])) is not None
    ]


def approved_by(db: sqlite3.Connection, request: str) -> list[str]:
    """The different people who have approved a request, in order."""
    rows = db.execute(
        "SELECT principal FROM answers WHERE request = ? AND accepted = 1 AND json_extract(body, '$.choice') = 'approve'"
        " ORDER BY at",
        (request,),
    )
    return list(dict.fromkeys(row[0] for row in rows))


def _given(db: sqlite3.Connection, request: str) -> list[Answered]:
    rows = db.execute("SELECT at, body FROM answers WHERE request = ? ORDER BY at", (request,))
    return [Answered(row["at"], Verdict.model_validate_json(row["body"])) for row in rows]


def answers_to(db: sqlite3.Connection, workflow: str) -> list[Verdict]:
    """Every answer a run was given, in the order of arrival."""
    rows = db.execute("SELECT body FROM answers WHERE workflow = ? ORDER BY at", (workflow,))
    return [Verdict.model_validate_json(row[0]) for row in rows]


def _readable(body: str) -> Request | None:
    """The request, unless somebody has written something else there: what cannot be read hides no other."""
    try:
        return Request.model_validate_json(body)
    except ValidationError:
        return None
