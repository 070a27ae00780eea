"""What costs, and what is given again, on every database that Tenure knows: each statement of these tables runs on both."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from tenure.optimize.budget import Scope
from tenure.run import RunRequest, Snapshot
from tenure.runtime.store import Connection, accounts, alerts, cached, caps, charges, epochs, results, runs
from tenure.runtime.store.cached import Entry, Hit
from tenure.runtime.store.results import Found, Read, Sought
from tenure.turn import Served, Usage
from tests.unit.held_calls import NOON, WHO, call

ENTRY = Entry(
    "w1", "acme", "desk", "part", "When?", "|when", "when", {"hours": 1}, verified=False, at=NOON, expires_at=NOON + 9
)


def test_an_answer_is_kept_found_replaced_and_dropped(db: Connection) -> None:
    cached.open_entry(db, ENTRY)
    assert cached.of_request(db, "part", "When?", NOON - 1, NOON) == []
    cached.admit(db, ENTRY, "At nine.", {"hours": 1}, 7)
    (found,) = cached.of_signature(db, "part", "|when", NOON - 1, NOON)
    assert found == replace(ENTRY, answer="At nine.", cost=7)
    later = replace(ENTRY, workflow="w2", at=NOON + 1)
    cached.open_entry(db, later)
    assert cached.opened(db, "w2") == later
    cached.admit(db, later, "At ten.", {}, 8)
    assert [one.workflow for one in cached.of_request(db, "part", "When?", 0, NOON + 1)] == ["w2"]
    cached.drop(db, "w2")
    cached.open_entry(db, replace(ENTRY, workflow="w3", at=NOON + 100, expires_at=NOON + 200))
    assert cached.of_request(db, "part", "When?", 0, NOON + 100) == []


def test_hits_are_counted_audited_and_close_their_rule(db: Connection) -> None:
    hit = Hit("w1", "acme", "desk", "exact", "exact", "w0", audited=True, at=NOON)
    cached.note_hit(db, hit)
    cached.note_hit(db, replace(hit, workflow="w2", audited=False))
    assert cached.hit_of(db, "w1") == hit
    cached.note_audit(db, "w1", agreed=False)
    assert cached.audits(db, ("acme", "desk"), "exact") == (1, 1)
    cached.close_rule(db, ("acme", "desk"), "exact", "wrong", NOON)
    assert cached.closed(db, ("acme", "desk")) == {"exact"}
    (told,) = cached.rule_accounts(db, "acme")
    assert (told.hits, told.complaints, told.audited, told.wrong, told.closed) == (1, 0, 1, 1, "wrong")
    assert cached.rule_accounts(db) == [told]
    cached.reopen_rule(db, ("acme", "desk"), "exact", NOON)
    assert cached.audits(db, ("acme", "desk"), "exact") == (0, 0)


def test_a_complaint_is_about_an_answer_that_was_given(db: Connection) -> None:
    hit = Hit("w1", "acme", "desk", "exact", "exact", "w0", audited=False, at=NOON)
    for one in (hit, replace(hit, workflow="w2"), replace(hit, workflow="w3", audited=True)):
        cached.note_hit(db, one)
    for workflow in ("w1", "w3"):
        cached.note_complaint(db, workflow, complained=True)
    assert cached.complaints(db, ("acme", "desk"), "exact") == (2, 1)
    (told,) = cached.rule_accounts(db)
    assert (told.hits, told.complaints, type(told.complaints)) == (2, 1, int)
    cached.note_complaint(db, "w1", complained=False)
    assert cached.complaints(db, ("acme", "desk"), "exact") == (2, 0)


def test_what_is_over_goes_the_oldest_first_and_so_much_at_a_time(db: Connection) -> None:
    for n in range(cached.SWEPT + 2):
        cached.open_entry(db, replace(ENTRY, workflow=f"w{n}", at=NOON - 10 - n, expires_at=NOON - n))
    cached.open_entry(db, replace(ENTRY, workflow="new", at=NOON, expires_at=NOON + 9))
    left = db.execute("SELECT workflow FROM cached_answers ORDER BY workflow").fetchall()
    assert [row[0] for row in left] == ["new", "w0", "w1"]


def test_an_epoch_moves_with_every_change_and_is_none_while_one_is_under_way(db: Connection) -> None:
    assert epochs.of_tools(db, "acme", ["hours", "prices"], NOON) == {"hours": 0, "prices": 0}
    epochs.bump(db, "acme", ["hour*", "*"])
    assert epochs.of_tools(db, "acme", ["hours", "prices"], NOON) == {"hours": 2, "prices": 1}
    epochs.begin(db, "acme", "w", ["hours"], NOON, NOON + 5)
    assert epochs.of_tools(db, "acme", ["hours", "prices"], NOON) == {"prices": 1}
    epochs.end(db, "acme", "w", ["hours"])
    assert epochs.of_tool(db, "acme", "hours", NOON) == 4
    assert epochs.of_tool(db, "globex", "hours", NOON) == 0
    epochs.begin(db, "acme", "w2", ["x"], NOON + 100, NOON + 105)


def test_a_read_is_kept_for_others_until_it_is_stale(db: Connection) -> None:
    read = Read("acme", "hours", "k", 1000)
    sought = results.seek(db, read, NOON)
    assert isinstance(sought, Sought)
    assert results.keep(db, sought, "w1", "nine", NOON + 1)
    assert results.seek(db, read, NOON + 2) == Found("nine", "w1", NOON)
    epochs.bump(db, "acme", ["hours"])
    assert isinstance(results.seek(db, read, NOON + 3), Sought)


def test_an_operators_cap_is_set_once_for_each_amount_and_bounds_what_is_held(db: Connection) -> None:
    caps.put(db, "acme", "tenant/day", 500, "olivia", NOON)
    caps.put(db, "acme", "tenant/day", 500, "olivia", NOON + 1)
    (cap,) = caps.in_force(db)
    scope = Scope("tenant/day", "acme", "2026-11-21")
    assert charges.hold(db, call("a", 400), [scope]) is None
    short = charges.hold(db, call("b", 200), [scope])
    assert short is not None
    charges.refuse(db, call("b", 200))
    charges.raise_cap(db, "req1", replace(short.scope, operator=cap.id), 300, "olivia", NOON)
    assert charges.hold(db, call("c", 200), [scope]) is None
    caps.put(db, "acme", "tenant/day", None, "olivia", NOON)
    assert caps.in_force(db) == []


def test_an_alert_is_raised_once_and_taken_until_it_is_delivered(db: Connection) -> None:
    scope = Scope("agent/day", "acme:desk", "2026-11-21", cap=100)
    charges.hold(db, call("a", 90), [scope])
    charges.settle(db, "a", charges.Settled(90, 90, Usage(), NOON))
    (alert,) = alerts.raise_due(db, [scope], [Decimal("0.8"), Decimal(1)], NOON)
    assert alerts.raise_due(db, [scope], [Decimal("0.8")], NOON) == []
    assert alerts.is_any_due(db, NOON)
    (taken,) = alerts.take(db, NOON)
    assert (taken.id, taken.attempts) == (alert.id, 1)
    alerts.failed(db, taken, "HTTP 500", NOON + 5)
    (taken,) = alerts.take(db, NOON + 5)
    alerts.delivered(db, taken, NOON + 6)
    assert not alerts.is_any_due(db, NOON + 10**6)
    (told,) = alerts.since(db, 0)
    assert told.delivered_at == NOON + 6


def test_the_accounts_are_whole_numbers(db: Connection) -> None:
    runs.observe(
        db, "run1", RunRequest(agent="desk", tenant="acme"), Snapshot(agent="desk", fingerprint="f", model="m"), NOON
    )
    run = runs.get(db, "run1")
    assert run is not None
    charges.hold(db, call("a", 90), [])
    charges.settle(db, "a", charges.Settled(40, 50, Usage(input=3, output=4), NOON))
    charges.keep_hit(db, run, "m", Served(tier="exact", saved=40), "1", NOON)
    db.execute("UPDATE runs SET cost = 41 WHERE workflow = 'run1'")
    usual = accounts.usual(db, "acme", "desk")
    (told,) = accounts.by(db, "agent", 0, "acme")
    assert (told.calls, told.answered, told.cost, told.saved, usual) == (1, 1, 40, 50, 41)
    numbers = [value for value in (*vars(told).values(), usual) if not isinstance(value, str)]
    assert {type(value) for value in numbers} == {int}
    assert [one.name for one in accounts.by(db, "day", 0)] == ["2026-11-21"]
    assert accounts.of_run(db, WHO.workflow) == told
