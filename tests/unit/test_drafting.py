"""For which runs Claude is asked, and when again: it costs money, and what it has seen is not to be tested on."""

from __future__ import annotations

from tenure.learn.recording import Recording
from tenure.learn.trigger import Trigger
from tenure.learn.wording import known
from tenure.runtime import drafting
from tenure.runtime.store import Connection, writings
from tenure.runtime.store.writings import Family, Writing
from tests.swaps import recording, shop

AGENT = shop()
OF = Family("acme", "shop", AGENT.fingerprint, "swap_item")


def runs(first: int, many: int) -> list[Recording]:
    return [recording(AGENT, "acme", number, at=number) for number in range(first, first + many)]


def form(kind: list[Recording]) -> Trigger:
    found = drafting.trigger_of(kind, kind)
    assert found is not None
    return found


def begun(db: Connection, kind: list[Recording]) -> Writing:
    return drafting.begun(db, OF, kind, known(form(kind), kind), 7)


def wanted(db: Connection, kind: list[Recording]) -> bool:
    return drafting.wanted(db, "acme", AGENT, kind)[0]


def test_ten_runs_are_needed_so_that_five_can_be_held_out(db: Connection) -> None:
    assert not wanted(db, runs(100, 9))
    assert wanted(db, runs(100, 10))


def test_what_was_begun_goes_on_with_the_runs_it_was_begun_with(db: Connection) -> None:
    first = begun(db, runs(100, 12))
    assert len(first.shown) == 6
    assert wanted(db, runs(100, 13))
    assert begun(db, runs(100, 20)) == first


def test_it_begins_anew_when_a_run_that_was_shown_is_not_there_any_more(db: Connection) -> None:
    first, kind = begun(db, runs(100, 12)), runs(100, 12)
    left = [run for run in kind if run.run != first.shown[0]]
    second = begun(db, left)
    assert (second.number, set(second.shown) <= {run.run for run in left}) == (2, True)


def test_after_an_end_it_takes_as_many_new_runs_as_there_were(db: Connection) -> None:
    writings.end(db, OF, begun(db, runs(100, 12)).number, "refused", "it loops")
    assert [wanted(db, runs(first, many)) for first, many in ((100, 12), (100, 23), (100, 24), (112, 12))] == [
        False, False, True, True,
    ]  # fmt: skip
    assert drafting.wanted(db, "acme", AGENT, runs(100, 13))[1].startswith(
        "it loops; it is asked again when 12 more runs"
    )
    assert drafting.wanted(db, "globex", AGENT, runs(100, 12)) == (True, "")


def test_an_agent_that_may_not_be_written_for_never_wants_it(db: Connection) -> None:
    silent = AGENT.model_copy(update={"learning": shop(auto_generate=False).learning})
    assert not drafting.wanted(db, "acme", silent, runs(100, 12))[0]
    assert not drafting.wanted(db, "acme", AGENT.model_copy(update={"learning": None}), runs(100, 12))[0]
