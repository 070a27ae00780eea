"""Rows of answers that cannot be read: junk is no answer, keeps none from counting, and takes no approval away."""

from __future__ import annotations

import hashlib

import pytest

from tenure.runtime.store import Connection, approvals
from tests.unit.desk_policy import token
from tests.unit.test_answered_once import AT, WORKFLOW, Counter, request
from tests.unit.test_second_look import answered, card, job, looked, opened

JUNK = ["{", "[]", "{}", '{"accepted": 1, "choice": []}', b"\xff", b"\x00"]
OVERWRITTEN = "INSERT OR REPLACE INTO answers VALUES (?, 'req-1', ?, ?, 'operator', ?, '', CAST(? AS TEXT), 1, ?, 0)"


def write_junk(db: Connection, name: str, jti: str, body: str | bytes, accepted: bool = True) -> None:
    """A row of answers as nobody has written it who knows how."""
    db.execute(OVERWRITTEN, (name, WORKFLOW, jti, accepted, body, "x"))


@pytest.mark.parametrize("accepted", [True, False])
@pytest.mark.parametrize("body", JUNK)
async def test_a_row_that_cannot_be_read_is_no_answer_and_keeps_none_from_counting(
    body: str | bytes, accepted: bool
) -> None:
    counter = Counter()
    approvals.open_request(counter.db, request(quorum=1))
    write_junk(counter.db, "another", "j0", body, accepted)
    write_junk(counter.db, "of the same id", "j1", body, accepted)
    sent = token(request(quorum=1), "operator", "cli", AT, "j1", verdict="approve")
    write_junk(counter.db, hashlib.sha256(sent.encode()).hexdigest(), "j2", body, accepted)
    assert await counter.found(request(quorum=1), "operator", "j1") == ""
    assert approvals.approved_by(counter.db, "req-1") == ["operator"]
    assert [one.jti for one in approvals.answers_to(counter.db, WORKFLOW)] == ["j1"]
    (asked,) = approvals.of_run(counter.db, WORKFLOW)
    assert [one.verdict.jti for one in asked.answers] == ["j1"]
    assert await counter.found(request(quorum=1), "reviewer", "j3") == "the request was answered before"


@pytest.mark.parametrize("column", ["body", "token", "principal", "at", "reason"])
@pytest.mark.parametrize("junk", ["{", b"\xff"])
def test_what_cannot_be_read_of_an_answer_approves_nothing_and_takes_no_approval_away(
    column: str, junk: str | bytes
) -> None:
    """Only the token proves an approval: without it there is none, and whatever else was overwritten it still holds."""
    db = opened()
    request = answered(db, card(quorum=2), "operator", "reviewer")
    overwrite = f"UPDATE answers SET {column} = CAST(? AS TEXT) WHERE token_hash = ?"
    db.execute(overwrite, (junk, f"{request}/operator"))
    told = "of its approvals 1 hold and 2 are needed" if column == "token" else ""
    assert looked(db, job(db, request=request)).endswith(told)
    assert bool(looked(db, job(db, request=request))) == bool(told)
