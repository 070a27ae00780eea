"""What the tables keep, and what they answer: in SQLite and in Postgres the same."""

from __future__ import annotations

from typing import Any

import pytest

from tenure.approvals.request import Kind, Request, Verdict
from tenure.optimize.budget import Scope
from tenure.run import Outcome, Record, RunRequest, Snapshot, Status, StopReason
from tenure.runtime.store import (
    Connection,
    accounts,
    agents,
    approvals,
    charges,
    effects,
    ledgers,
    outcomes,
    restrictions,
    runs,
    statistics,
    summaries,
    transcript,
    uses,
)
from tenure.runtime.store.charges import Call, Settled
from tenure.runtime.store.effects import Start
from tenure.runtime.store.summaries import Summary
from tenure.trust.ledger import Change, Ledger
from tenure.trust.limits import RateLimit
from tenure.trust.restrictions import Restriction
from tenure.turn import Usage

NOON = 1_795_262_400_000  # 2026-11-21 12:00 UTC
WHO = "acme", "desk"


def run(db: Connection, last: str, at: int = 10, *, tenant: str = "acme", agent: str = "desk", **more: Any) -> str:
    """A run that was observed."""
    workflow = f"{tenant}:run:{agent}:{last}"
    request = RunRequest(agent=agent, tenant=tenant, user="alice", role="clerk", state={"a": 1}, trace={"t": "x"})
    runs.observe(db, workflow, request, Snapshot(agent=agent, fingerprint="one", model="m"), at, **more)
    return workflow


def ended(db: Connection, workflow: str, at: int, **more: Any) -> None:
    outcome = Outcome(status=Status.COMPLETED, stop_reason=StopReason.ANSWERED, finished_at=at, message="done")
    tenant, _, agent, _ = workflow.split(":")
    runs.finish(db, workflow, Record(outcome=outcome, agent=agent, tenant=tenant, **more))


def request(number: int, workflow: str = "acme:run:desk:1", at: int = 100, **more: Any) -> Request:
    told: dict[str, Any] = {
        "id": f"req-{number}", "kind": Kind.TOOL_CALL, "tenant": "acme", "workflow": workflow, "agent": "desk", "seq": 3,
        "payload": {"tool": "refund"}, "why": "much", "digest": "d" * 64, "user": "alice", "opened_at": at,
    }  # fmt: skip
    return Request.model_validate(told | more)


# Runs


def test_a_run_is_kept_as_it_was_asked_for_and_as_it_ended(db: Connection) -> None:
    workflow = run(db, "1")
    kept = runs.get(db, workflow)
    assert kept is not None
    assert (kept.user, kept.role, kept.status, kept.initial_state, kept.carrier) == (
        "alice", "clerk", "running", {"a": 1}, {"t": "x"},
    )  # fmt: skip
    ended(db, workflow, 50)
    kept = runs.get(db, workflow)
    assert kept is not None
    assert (kept.status, kept.stop_reason, kept.message, kept.finished_at) == ("completed", "answered", "done", 50)
    assert runs.get(db, "acme:run:desk:2") is None


def test_a_run_that_is_observed_again_keeps_how_it_began(db: Connection) -> None:
    workflow = run(db, "1", first_run="first")
    run(db, "1", 99, first_run="second")
    kept = runs.get(db, workflow)
    assert kept is not None
    assert (kept.started_at, kept.first_run) == (10, "second")
    ended(db, workflow, 50, first_run="second")
    run(db, "1", 99, first_run="third")
    told = runs.earlier(db, workflow, "third")
    assert told is not None
    assert told.finished_at == 50
    assert runs.earlier(db, workflow, "second") is None


def test_a_run_is_found_by_the_beginning_of_its_id_or_by_that_or_the_end_of_its_last_part(db: Connection) -> None:
    for at, last in enumerate(["01ab", "01ac", "01AC", "02", "0_"]):
        run(db, last, at)
    run(db, "01ad", 9, tenant="north")
    assert runs.named(db, "01a") == (3, ["north:run:desk:01ad", "acme:run:desk:01ac", "acme:run:desk:01ab"])
    assert runs.named(db, "acme:run:desk:01a")[0] == 2
    assert runs.named(db, "0_") == (1, ["acme:run:desk:0_"])
    assert runs.named(db, "desk") == (0, [])
    assert runs.named(db, "ac") == (1, ["acme:run:desk:01ac"])
    assert runs.named(db, "k:01ac") == (0, [])


def test_runs_are_listed_the_newest_first_and_by_what_is_asked_of_them(db: Connection) -> None:
    first, second = run(db, "1", 10), run(db, "2", 20, agent="till")
    third = run(db, "3", 30, tenant="north")
    runs.waiting(db, third, waits=True)
    ended(db, first, 40)

    def listed(**only: Any) -> list[str]:
        asked: dict[str, Any] = {"agent": None, "tenant": None, "status": None, "since": 0, "limit": 9}
        return [row.workflow for row in runs.recent(db, **asked | only)]

    assert listed() == [third, second, first]
    assert listed(agent="till") == [second]
    assert listed(tenant="acme", status="completed") == [first]
    assert listed(since=20, limit=1) == [third]
    assert runs.tenants(db) == ["acme", "north"]
    assert runs.waiting_now(db, "*", "desk") == runs.waiting_now(db, "north", "*") == [third]
    assert runs.waiting_now(db, "acme", "*") == []


def test_names_are_in_the_order_of_their_letters_codes_whatever_the_server_s_language(db: Connection) -> None:
    for tenant in ("b", "a_c", "B", "a-b", "ä"):
        run(db, "1", tenant=tenant)
    assert runs.tenants(db) == ["B", "a-b", "a_c", "b", "ä"]


@pytest.mark.parametrize("text", ["\0", "x\0y", "\ufdd0", "\ufdd00\0\ufdd01", "'%s' $1 ? \\ \n"])
def test_text_comes_back_as_it_was_whatever_signs_are_in_it(db: Connection, text: str) -> None:
    runs.observe(db, "w", RunRequest(agent="desk", user=text), Snapshot(agent="desk", fingerprint="", model=""), 1)
    found = runs.get(db, "w")
    assert found is not None
    assert found.user == text


# Transcripts


def test_a_row_of_a_transcript_stands_as_it_was_written_first(db: Connection) -> None:
    assert transcript.put(db, "w", 1, {"a": 1, "state": {"x": 1}}, {"tainted": True})
    assert not transcript.put(db, "w", 1, {"a": 2})
    assert transcript.standing(db, "w", 1) == ({"a": 1, "state": {"x": 1}}, {"tainted": True})
    transcript.put(db, "w", 2, {"b": 1})
    assert transcript.between(db, "w", 1, 3) == [(1, '{"a":1,"state":{"x":1}}'), (2, '{"b":1}')]
    assert transcript.state_before(db, "w", 9) == [{"state": {"x": 1}}]
    transcript.replace(db, "w", [(2, {"b": 2}), (3, {"c": 3, "state": {}})])
    assert transcript.standing(db, "w", 2) == ({"b": 2}, {})
    transcript.cut(db, "w", 2)
    assert [seq for seq, _ in transcript.between(db, "w", 0, transcript.ALL)] == [1]
    assert transcript.standing(db, "w", 3) is None


def test_a_summary_is_made_once(db: Connection) -> None:
    for words in ("first", "second"):
        summaries.put(db, "w", 4, "head", Summary(text=words, usage=Usage(input=5)))
    kept = summaries.standing(db, "w", 4, "head")
    assert kept is not None
    assert (kept.text, kept.usage.input) == ("first", 5)
    assert summaries.standing(db, "w", 4, "other") is None


# Agents


def test_the_build_that_counts_is_the_one_that_came_last_among_those_that_are_served(db: Connection) -> None:
    agents.announce(db, "desk", "one", "w1", '{"v":1}', "trust one", "q1", 1000)
    agents.announce(db, "desk", "two", "w2", '{"v":2}', "trust two", "q2", 2000)
    agents.announce(db, "desk", "two", "w3", '{"v":2}', "trust two", "q3", 1500)
    assert agents.fresh(db, "desk", 2000) == ["two", "one"]
    assert (agents.policy(db, "desk", 2000), agents.queue(db, "desk", 2000)) == ("trust two", "q3")
    assert [tuple(row) for row in agents.announced(db)] == [
        ("desk", "two", '{"v":2}', 2000),
        ("desk", "one", '{"v":1}', 1000),
    ]
    late = 2000 + agents.GRACE_MS
    agents.announce(db, "desk", "one", "w1", '{"v":1}', "trust one", "q1", late)
    assert agents.policy(db, "desk", late) == "trust one"
    agents.withdraw(db, "w1")
    assert agents.fresh(db, "desk", late) == []
    assert (agents.names(db), agents.policy(db, "nobody", late)) == (["desk"], "")


# Requests and answers


def test_a_request_is_open_until_it_is_closed_and_a_run_asks_one_thing_at_a_time(db: Connection) -> None:
    approvals.open_request(db, request(1))
    approvals.open_request(db, request(2, at=200))
    approvals.open_request(db, request(3, "acme:run:desk:2", 300))
    assert [one.id for one in approvals.pending(db)] == ["req-2", "req-3"]
    assert [(one.id, is_open) for one, is_open in approvals.named(db, "")] == [
        ("req-1", False), ("req-2", True), ("req-3", True),
    ]  # fmt: skip
    assert [one.id for one, _ in approvals.find_request(db, "acme:run:desk:2")] == ["req-3"]
    assert approvals.asked_since(db, "acme", 100, "req-3") == 1
    approvals.close_request(db, "req-2", "approve", "olivia", 400)
    approvals.close_run(db, "acme:run:desk:2", 400)
    assert approvals.pending(db) == []
    assert approvals.approved(db, "req-2") == request(2, at=200)
    assert approvals.approved(db, "req-1") is None
    assert [(one.choice, one.principal) for one in approvals.of_run(db, "acme:run:desk:1")] == [
        ("withdrawn", None), ("approve", "olivia"),
    ]  # fmt: skip


def test_an_answer_counts_for_its_request_until_that_is_opened_again(db: Connection) -> None:
    asked = request(1)
    approvals.open_request(db, asked)
    given = Verdict(accepted=True, principal="olivia", choice="approve", jti="j1")
    approvals.record_answer(db, "h1", asked, given, 5, "tok\\x41en")
    approvals.record_answer(db, "h2", asked, Verdict(accepted=False, reason="forged", jti="j1"), 6)
    assert approvals.is_settled(db, "req-1", 1)
    assert not approvals.is_settled(db, "req-1", 2)
    assert approvals.approved_by(db, "req-1") == ["olivia"]
    assert approvals.approvals_of(db, "req-1") == ["tok\\x41en"]
    assert (approvals.used(db, "j1"), approvals.used(db, "j2")) == (True, False)
    assert approvals.recorded(db, "h1", "req-1") == given
    assert [verdict.accepted for verdict in approvals.answers_to(db, asked.workflow)] == [True, False]
    assert [one.at for one in approvals.of_run(db, asked.workflow)[0].answers] == [5, 6]
    approvals.close_request(db, "req-1", "approve", "olivia", 7)
    approvals.open_request(db, asked)
    assert not approvals.is_settled(db, "req-1", 1)


def test_an_answer_replaces_the_row_that_nobody_can_read_and_no_other(db: Connection) -> None:
    asked, given = request(1), Verdict(accepted=True, principal="olivia", choice="approve", jti="j1")
    approvals.record_answer(db, "h1", request(2), given, 5)
    db.execute("UPDATE answers SET body = 'junk'")
    assert not approvals.used(db, "j1")
    approvals.record_answer(db, "h9", asked, given, 6)
    approvals.record_answer(db, "h9", asked, given, 7)
    approvals.record_answer(db, "h8", asked, given.model_copy(update={"jti": "j2"}), 8)
    rows = db.execute("SELECT token_hash, request, at FROM answers ORDER BY at").fetchall()
    assert [tuple(row) for row in rows] == [("h9", "req-1", 7), ("h8", "req-1", 8)]


# Effects


@pytest.mark.parametrize(
    ("status", "result", "failed"),
    [
        ("raised", "whatever", True),
        ("done", '{"ok":false,"value":{"success":false}}', True),
        ("done", '{"ok":false,"value":{"success":true}}', False),
        ("done", '{"ok":false,"value":"no"}', False),
        ("done", '{"ok":true,"value":{"success":false}}', False),
        ("done", '{"ok":false,"value":{"success":false,"why":"\\u0000"}}', True),
        ("done", "junk", True),
        ("done", "[]", True),
    ],
)
def test_an_effect_has_failed_when_its_tool_says_so_or_nobody_knows(
    db: Connection, status: Any, result: str, failed: bool
) -> None:
    effects.begin(db, Start("k", "w", 2, "pay", "d", "t", 5))
    effects.end(db, "k", "t", status, result, 6)
    assert effects.failed(db, "w") == (["pay"] if failed else [])


def test_an_effect_that_did_nothing_is_withdrawn_and_its_record_stays(db: Connection) -> None:
    effects.begin(db, Start("k", "w", 2, "pay", "d", "t", 5))
    effects.withdraw(db, "k", "t")
    effects.begin(db, Start("k2", "w", 1, "look", "d", "t", 5))
    rows = effects.of_run(db, "w")
    assert [(row["tool"], row["status"]) for row in rows] == [("look", "intent"), ("pay", "withdrawn")]
    assert set(rows[0].keys()) >= {"key", "generation", "token"}


# Outcomes and ledgers


def test_outcomes_are_numbered_in_order_and_a_run_finishes_once(db: Connection) -> None:
    assert outcomes.finished(db, WHO, "r1", 5)
    assert not outcomes.finished(db, WHO, "r1", 6)
    outcomes.finished(db, WHO, "r2", 7)
    outcomes.judged(db, WHO, "r1", "client", False, True, "leaked", 8)
    outcomes.judged(db, WHO, "unknown", "client", True, False, "", 9)
    told = outcomes.after(db, WHO, 0, 9)
    assert [(one.workflow, one.kind, one.place) for one in told] == [
        ("r1", "finished", 1), ("r2", "finished", 2), ("r1", "severe", 1), ("unknown", "judged", 0),
    ]  # fmt: skip
    assert [one.seq for one in told] == sorted({one.seq for one in told})
    assert outcomes.after(db, WHO, told[1].seq, 1) == told[2:3]
    assert outcomes.last(db) == told[-1].seq
    assert outcomes.is_of_the_agent(db, "r1")
    assert not outcomes.is_of_the_agent(db, "unknown")


def test_a_ledger_is_told_at_most_so_often_and_one_that_has_not_read_is_found(db: Connection) -> None:
    outcomes.finished(db, WHO, "r1", 5)
    assert outcomes.take_nudge(db, WHO, 1000)
    assert not outcomes.take_nudge(db, WHO, 1001)
    assert outcomes.take_nudge(db, WHO, 1000 + outcomes.EVERY_MS)
    assert outcomes.take_nudge(db, WHO, 500), "the clock went back"
    assert outcomes.unread(db, ["till", "desk"], 501) == [WHO]
    ledgers.keep(db, *WHO, Ledger(fingerprint="one", level=3, initial=3), outcomes.last(db), 5)
    assert outcomes.unread(db, ["till", "desk"], 501) == []
    outcomes.drop_nudge(db, WHO)
    assert outcomes.take_nudge(db, WHO, outcomes.EVERY_MS)


def test_the_later_ledger_stands_unless_the_other_one_gives_less(db: Connection) -> None:
    change = Change(at=5, kind="began", before=3, after=3, why="new", by=["olivia"], fingerprint="one", epoch=1)
    first = Ledger(fingerprint="one", level=3, initial=3, epoch=2, changes=[change])
    assert ledgers.keep(db, *WHO, first, 10, 5) == [change]
    assert ledgers.keep(db, *WHO, first, 10, 6) == []
    ledgers.keep(db, *WHO, first.model_copy(update={"epoch": 1, "level": 5}), 99, 7)
    assert ledgers.level(db, *WHO) == (3, "one")
    ledgers.keep(db, *WHO, first.model_copy(update={"epoch": 1, "level": 1}), 4, 8)
    kept = ledgers.get(db, *WHO)
    assert kept is not None
    assert (kept.level, kept.read_to, kept.at) == (1, 4, 8)
    assert [one.tenant for one in ledgers.of_agent(db, "desk")] == ["acme"]
    assert [(one.kind, one.by) for one in ledgers.changes(db, *WHO)] == [("began", ["olivia"])]


# Restrictions and limits


def test_a_restriction_holds_for_whom_it_names_until_it_is_lifted_and_the_fence_never_falls(db: Connection) -> None:
    first = restrictions.restrict(db, ("*", "desk"), Restriction(kind="deny", value="pay", reason="audit"), "omar", 5)
    again = restrictions.restrict(db, ("*", "desk"), Restriction(kind="deny", value="pay", reason="theft"), "omar", 6)
    halted = restrictions.restrict(db, WHO, Restriction(kind="halt", reason="odd"), "omar", 7)
    assert first < again < halted
    standing = restrictions.standing(db, *WHO)
    assert (standing.fence, standing.halted, standing.denied) == (halted, "odd", ["pay"])
    assert restrictions.standing(db, "north", "desk").halted == ""
    assert [one.restriction.reason for one in restrictions.in_force(db)] == ["theft", "odd"]
    assert restrictions.lift(db, WHO, None, None, "olivia", 8) == 1
    assert restrictions.standing(db, *WHO).fence == halted


@pytest.mark.parametrize(("pattern", "counts"), [("*", 3), ("get_*", 2), ("get_a", 1), ("get_", 0), ("GET_*", 0)])
def test_a_limit_counts_the_calls_that_its_pattern_names(db: Connection, pattern: str, counts: int) -> None:
    for number, tool in enumerate(["get_a", "get_b", "put"]):
        assert uses.take(db, f"k{number}", WHO, tool, [("none", RateLimit(limit=1, per=60))], 1000 + number) is None
    for most in range(1, 5):
        held = uses.take(db, "new", WHO, "get_a", [(pattern, RateLimit(limit=most, per=60))], 2000)
        assert (held is not None) == (counts >= most)
        db.execute("DELETE FROM uses WHERE key = 'new'")


# What was paid


def test_accounts_add_up_by_whatever_they_are_asked_for(db: Connection) -> None:
    late = NOON + 24 * 3600_000
    for key, model, at in (("a", "big", NOON), ("b", "small", NOON), ("c", "big", late), ("d", "big", late)):
        call = Call(key, "w", "acme", "desk", "alice", model, "model", 4, "1", 400, at, at + 60_000)
        assert charges.hold(db, call, [Scope("run", "w", "run", None)]) is None
        if key == "a":
            charges.settle(db, key, Settled(30, 50, Usage(input=7, output=3, cache_read=2, cache_write=1), NOON))
    told = [(one.name, one.calls, one.unknown, one.cost, one.held) for one in accounts.by(db, "model", NOON)]
    assert told == [("small", 1, 1, 400, 0), ("big", 3, 0, 30, 800)]
    assert [one.name for one in accounts.by(db, "day", 0, "acme")] == ["2026-11-21", "2026-11-22"]
    (agent,) = accounts.by(db, "agent", 0)
    assert (agent.name, agent.calls, agent.cost, agent.counterfactual, agent.input, agent.output) == (
        "desk",
        4,
        430,
        450,
        7,
        3,
    )
    assert accounts.by(db, "tenant", 0, "nobody") == accounts.by(db, "tier", late + 1) == []
    assert charges.tokens_at(db, "w", 4) == {"big": 13}


def test_statistics_count_what_became_of_runs_and_of_their_requests(db: Connection) -> None:
    first, other = run(db, "1"), run(db, "2", agent="till")
    transcript.put(
        db, first, 2, {"content": [{"type": "tool_use", "id": "1", "name": "pay", "input": {}}]}, {"tainted": True}
    )
    approvals.open_request(db, request(1, first))
    approvals.open_request(db, request(2, other, agent="till"))
    approvals.close_request(db, "req-1", "approve", "olivia", 150)
    ended(db, first, 200)
    assert statistics.stops(db, None, "desk", 0) == {"answered": 1}
    (asked,) = statistics.asked(db, "acme", "desk", 0)
    assert (asked.request.id, asked.choice, asked.principal, asked.took) == ("req-1", "approve", "olivia", 50)
    used = statistics.used(db, None, "desk", 0)
    assert (used.runs, used.tainted, used.calls) == (1, 1, {"pay": 1})
    assert statistics.stops(db, "north", "desk", 0) == {}
