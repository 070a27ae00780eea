"""Verdicts in the store: one word for each run and source, and what they add up to."""

from __future__ import annotations

import sqlite3

import pytest

from tenure.run import Outcome, Record, Status, StopReason
from tenure.runtime.store import Connection, outcomes, runs
from tenure.runtime.store.verdicts import RunVerdict, Tally, of_run, person, put, tallies, tally


def finished(db: Connection, number: int, *, agent: str = "support", tenant: str = "default") -> str:
    """A run that ended at `number` milliseconds."""
    workflow = f"{tenant}:run:{agent}:{number}"
    outcome = Outcome(status=Status.COMPLETED, stop_reason=StopReason.ANSWERED, finished_at=number)
    runs.finish(db, workflow, Record(outcome=outcome, agent=agent, tenant=tenant))
    return workflow


def test_a_later_word_of_the_same_source_replaces_its_earlier_one(db: Connection) -> None:
    put(db, "w", person("alice"), True, "at first sight", 5)
    put(db, "w", person("alice"), False, "it was the wrong invoice", 9)
    assert of_run(db, "w") == [RunVerdict("w", "person:alice", False, "it was the wrong invoice", 9)]


def test_a_word_is_unsafe_as_long_as_its_source_says_no_other(db: Connection) -> None:
    put(db, "w", person("alice"), False, "mailed a stranger", 5)
    outcomes.judged(db, ("default", "support"), "w", person("alice"), False, True, "mailed a stranger", 5)
    put(db, "w", person("bob"), False, "", 5)
    assert [(one.source, one.word) for one in of_run(db, "w")] == [("person:alice", "unsafe"), ("person:bob", "bad")]
    put(db, "w", person("alice"), True, "it was a test address", 9)
    assert [one.word for one in of_run(db, "w")] == ["bad", "good"]


def test_several_sources_stay_side_by_side_the_oldest_first(db: Connection) -> None:
    put(db, "w", "client", False, "", 7)
    put(db, "w", "evaluate", True, "", 5)
    put(db, "other", "client", True, "", 6)
    assert [(one.source, one.good) for one in of_run(db, "w")] == [("evaluate", True), ("client", False)]


def test_an_agent_nobody_judged_is_counted_all_the_same(db: Connection) -> None:
    for number in range(1, 4):
        finished(db, number)
    counted = tally(db, "support")
    assert (counted.finished, counted.judged) == (3, 0)
    assert tally(db, "nobody") == Tally("nobody", None)


def test_a_run_is_bad_as_soon_as_one_source_says_so(db: Connection) -> None:
    both, good, _unjudged = (finished(db, number) for number in (1, 2, 3))
    put(db, both, "evaluate", True, "", 4)
    put(db, both, "client", False, "", 4)
    put(db, good, "client", True, "", 4)
    assert tally(db, "support", "default") == Tally("support", "default", good=1, bad=1, finished=3)


def test_a_run_that_is_not_over_counts_nowhere(db: Connection) -> None:
    workflow = finished(db, 1)
    put(db, workflow, "client", True, "", 2)
    db.execute("UPDATE runs SET finished_at = NULL")
    assert tally(db, "support") == Tally("support", None)


def test_a_tally_is_of_one_tenant_or_of_all_and_since_a_moment(db: Connection) -> None:
    for number, tenant in ((1, "acme"), (2, "acme"), (3, "north")):
        put(db, finished(db, number, tenant=tenant), "client", True, "", 9)
    assert tally(db, "support").good == 3
    assert tally(db, "support", "acme").good == 2
    assert tally(db, "support", since=2) == Tally("support", None, good=2, finished=2)


def test_tallies_name_every_agent_and_tenant_that_has_finished_runs(db: Connection) -> None:
    finished(db, 1, agent="support", tenant="north")
    finished(db, 2, agent="clerk")
    finished(db, 3, agent="support")
    assert [(t.agent, t.tenant) for t in tallies(db)] == [
        ("clerk", "default"),
        ("support", "default"),
        ("support", "north"),
    ]
    assert [t.agent for t in tallies(db, "clerk")] == ["clerk"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_tally_reads_no_run_in_full(db: sqlite3.Connection) -> None:
    asked: list[str] = []
    db.set_trace_callback(asked.append)
    tally(db, "support", "default", 5)
    db.set_trace_callback(None)
    plan = " ".join(row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {asked[-1]}"))
    assert "SEARCH runs USING COVERING INDEX runs_by_agent (agent=? AND tenant=? AND finished_at>?)" in plan
