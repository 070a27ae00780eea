"""Shared reads under every order of reads, writes, crashes and clocks: what is found is what the world holds now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tenure.runtime.store import epochs, results
from tenure.runtime.store.results import KEPT, Found, Read, Sought
from tenure.trust.pattern import any_matches
from tests.unit.inside import Memory

TENANTS, TOOLS = ("acme", "globex"), ("get_price", "find")
PATTERNS = (["*"], ["get_*"], ["get_price"], ["find", "other"])
LASTS = 100
tenants, tools = st.sampled_from(["acme", "acme", "acme", "globex"]), st.sampled_from(TOOLS)
moments = st.integers(1, 40)


def read_of(tenant: str, tool: str) -> Read:
    """The key does not tell tenants apart: the store has to."""
    return Read(tenant, tool, tool, LASTS)


@dataclass
class Write:
    """A write under way. `deadline` is until when it may have its effect, killed or not; mutable."""

    tenant: str
    patterns: list[str]
    deadline: int
    killed: bool = False


class Sharing(RuleBasedStateMachine):
    """Two tenants over one store. `real` is the time, which only passes; the clock is `real + skew`.

    Each tool of a tenant has a version of the world behind it, which writes that name it move at any moment between their begin and
    their end; killed, until their deadline. A read sees the version of one moment while it is made.
    """

    @initialize()
    def begin(self) -> None:
        self.store = Memory()
        self.real, self.skew, self.count = 1_000, 0, 0
        self.set_back = self.set_ahead = False
        self.world = {(tenant, tool): 0 for tenant in TENANTS for tool in TOOLS}
        self.ended = dict(self.world)  # the version when a write that names it last ended
        self.reading: list[tuple[Sought, int, list[int]]] = []  # with when it began, and what it saw
        self.writing: dict[str, Write] = {}
        self.kept: dict[tuple[str, str], int] = {}  # when the read that was kept last began, in real time

    @property
    def clock(self) -> int:
        return self.real + self.skew

    # ------------------------------------------------------------------------------------------------------------ reads

    @rule(tenant=tenants, tool=tools)
    def a_read_begins(self, tenant: str, tool: str) -> None:
        read = read_of(tenant, tool)
        said = self.store.at_once(lambda db: results.seek(db, read, self.clock))
        match said:
            case Found():
                self._judge(read, said)
            case Sought():
                self.kept.pop((tenant, tool), None)
                self.reading.append((said, self.real, []))

    def _judge(self, read: Read, found: Found) -> None:
        tenant, tool, version = found.value.split("/")
        assert (tenant, tool) == (read.tenant, read.tool)
        assert int(version) >= self.ended[tenant, tool], "a write that names it has ended since"
        if not self.set_ahead:  # a clock that was set ahead counts a write that lives as dead
            assert int(version) == self.world[tenant, tool]
        assert 0 <= self.clock - found.at <= LASTS
        assert (tenant, tool) in self.kept, "what was not found once is never found again"
        if not self.set_back:
            assert self.real - self.kept[tenant, tool] <= LASTS

    @rule(data=st.data())
    def a_read_sees_the_world(self, data: st.DataObject) -> None:
        if self.reading:
            sought, _, saw = data.draw(st.sampled_from(self.reading))
            saw.append(self.world[sought.read.tenant, sought.read.tool])

    @rule(data=st.data(), how=st.sampled_from(["ends", "ends", "ends", "is killed", "is rolled back"]))
    def a_read_ends(self, data: st.DataObject, how: str) -> None:
        ready = [one for one in self.reading if one[2]]
        if not ready:
            return
        one = data.draw(st.sampled_from(ready))
        self.reading.remove(one)
        sought, began, saw = one
        who = (sought.read.tenant, sought.read.tool)
        value = "/".join([*who, str(saw[0])])
        if how == "is killed":
            return
        kept = self.store.at_once(
            lambda db: results.keep(db, sought, "run", value, self.clock), keep=how != "is rolled back"
        )
        if kept and how == "ends":
            self.kept[who] = began

    @rule(tenant=tenants, tool=tools)
    def a_read_is_made_at_once(self, tenant: str, tool: str) -> None:
        self.a_read_begins(tenant, tool)
        if self.reading and (one := self.reading[-1])[0].read == read_of(tenant, tool) and not one[2]:
            one[2].append(self.world[tenant, tool])
            self.reading.pop()
            value = f"{tenant}/{tool}/{one[2][0]}"
            if self.store.at_once(lambda db: results.keep(db, one[0], "run", value, self.clock)):
                self.kept[tenant, tool] = one[1]

    # ----------------------------------------------------------------------------------------------------------- writes

    @rule(tenant=tenants, patterns=st.sampled_from(PATTERNS), lasts=st.integers(30, 90))
    def a_write_begins(self, tenant: str, patterns: list[str], lasts: int) -> None:
        self.count += 1
        token, until = f"w{self.count}", self.clock + lasts
        self.store.at_once(lambda db: epochs.begin(db, tenant, token, patterns, self.clock, until))
        self.writing[token] = Write(tenant, patterns, self.real + lasts)

    @rule(data=st.data())
    def a_write_has_its_effect(self, data: st.DataObject) -> None:
        living = [token for token, write in self.writing.items() if self.real <= write.deadline]
        if living:
            write = self.writing[data.draw(st.sampled_from(living))]
            for tool in TOOLS:
                self.world[write.tenant, tool] += any_matches(write.patterns, tool)

    @rule(data=st.data())
    def a_write_is_killed(self, data: st.DataObject) -> None:
        if self.writing:
            self.writing[data.draw(st.sampled_from(sorted(self.writing)))].killed = True

    @rule(data=st.data())
    def a_write_ends_or_somebody_says_what_became_of_it(self, data: st.DataObject) -> None:
        speakers = [
            token
            for token, write in self.writing.items()
            if (self.real > write.deadline if write.killed else self.real <= write.deadline)
        ]
        if not speakers:
            return
        token = data.draw(st.sampled_from(speakers))
        write = self.writing.pop(token)
        said_by = f"after {token}" if write.killed else token  # another attempt than the one that began it
        self.store.at_once(lambda db: epochs.end(db, write.tenant, said_by, write.patterns))
        for tool in TOOLS:
            if any_matches(write.patterns, tool):
                self.ended[write.tenant, tool] = self.world[write.tenant, tool]

    @rule(tenant=tenants, patterns=st.sampled_from(PATTERNS))
    def a_write_is_made_at_once(self, tenant: str, patterns: list[str]) -> None:
        self.count += 1
        token, clock = f"w{self.count}", self.clock
        self.store.at_once(lambda db: epochs.begin(db, tenant, token, patterns, clock, clock + LASTS))
        self.store.at_once(lambda db: epochs.end(db, tenant, token, patterns))
        for tool in TOOLS:
            if any_matches(patterns, tool):
                self.world[tenant, tool] += 1
                self.ended[tenant, tool] = self.world[tenant, tool]

    # ------------------------------------------------------------------------------------------------------------- time

    @rule(moment=moments)
    def time_passes(self, moment: int) -> None:
        self.real += moment

    @rule(moment=moments)
    def the_clock_is_set_back(self, moment: int) -> None:
        self.skew -= moment
        self.set_back = True

    @rule(moment=st.integers(30, 200))
    def the_clock_is_set_ahead(self, moment: int) -> None:
        self.skew += moment
        self.set_ahead = True


class Steady(Sharing):
    """The same where no clock is set: everything holds to the letter."""

    @rule()
    def the_clock_is_set_back(self) -> None:
        """Not here."""

    @rule()
    def the_clock_is_set_ahead(self) -> None:
        """Nor here."""


Sharing.TestCase.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)
Steady.TestCase.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)
TestSharing, TestSteady = Sharing.TestCase, Steady.TestCase


# ------------------------------------------------------------------------------------------- what the machine is too slow for


def made(store: Memory, read: Read, at: int, value: str = "x") -> bool:
    """A read that began and ended at once."""
    sought = results.seek(store.db, read, at)
    return isinstance(sought, Sought) and results.keep(store.db, sought, "run", value, at)


def rows(store: Memory, table: str = "results") -> int:
    return store.db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def test_a_tenant_keeps_so_many_results_and_the_newest_ones() -> None:
    store = Memory()
    for number in range(KEPT + 50):
        made(store, Read("acme", "find", f"k{number}", 10**9), number)
    assert made(store, Read("globex", "find", "k", 10**9), 0)
    assert rows(store) == KEPT + 1
    assert isinstance(results.seek(store.db, Read("acme", "find", "k49", 10**9), 5_000), Sought)
    assert isinstance(results.seek(store.db, Read("acme", "find", "k50", 10**9), 5_000), Found)


@pytest.mark.parametrize(("at", "why"), [(10_000, "it is over"), (-10_000, "it is from the future")])
def test_what_nobody_can_be_answered_from_goes_as_others_come_and_never_much_at_once(at: int, why: str) -> None:
    store = Memory()
    for number in range(100):
        made(store, Read("acme", "find", f"k{number}", LASTS), number % 10)
    before = rows(store)
    made(store, Read("acme", "find", "other", LASTS), at)
    assert 0 < before + 1 - rows(store) <= results.SWEPT, why
    for number in range(20):
        made(store, Read("acme", "find", f"other{number}", LASTS), at)
    assert rows(store) == 21, why


def test_writes_whose_attempts_were_killed_are_forgotten_once_they_can_have_no_effect() -> None:
    store = Memory()
    for number in range(50):
        epochs.begin(store.db, "acme", f"w{number}", ["get_*"], number, number + 10)
    for number in range(5):
        epochs.begin(store.db, "globex", f"v{number}", ["get_*"], 1_000, 1_010)
    assert rows(store, "data_writes") == 5
    assert rows(store, "data_changes") == 2, "one row for each pattern, however many writes"


def test_a_read_that_a_write_came_into_is_not_kept() -> None:
    store, read = Memory(), read_of("acme", "get_price")
    before: Any = results.seek(store.db, read, 0)
    epochs.begin(store.db, "acme", "w", ["get_*"], 1, 50)
    meanwhile: Any = results.seek(store.db, read, 2)
    assert not results.keep(store.db, before, "run", "x", 3)
    epochs.end(store.db, "acme", "w", ["get_*"])
    assert not results.keep(store.db, before, "run", "x", 4)
    assert not results.keep(store.db, meanwhile, "run", "x", 4)
    assert rows(store) == 0
    assert made(store, read, 5)


def test_of_two_writes_under_way_the_second_keeps_reads_from_being_kept_when_the_first_ends() -> None:
    store, read = Memory(), read_of("acme", "get_price")
    for token in ("w1", "w2"):
        epochs.begin(store.db, "acme", token, ["get_price"], 0, 50)
    epochs.end(store.db, "acme", "w1", ["get_price"])
    assert not made(store, read, 1)
    epochs.end(store.db, "acme", "w2", ["get_price"])
    assert made(store, read, 2)


def test_a_write_whose_attempt_was_killed_holds_back_what_it_names_until_it_can_have_no_effect() -> None:
    store, read = Memory(), read_of("acme", "get_price")
    epochs.begin(store.db, "acme", "w", ["get_price"], 0, 50)
    assert not made(store, read, 50)
    assert made(store, read, 51)
    assert made(store, read_of("acme", "find"), 1)
    assert made(store, read_of("globex", "get_price"), 1)


def test_the_end_of_a_write_that_a_wrong_clock_took_for_dead_makes_stale_what_was_kept_meanwhile() -> None:
    store, read = Memory(), read_of("acme", "get_price")
    epochs.begin(store.db, "acme", "w", ["get_price"], 0, 50)
    assert made(store, read, 60)
    epochs.end(store.db, "acme", "w", ["get_price"])
    assert isinstance(results.seek(store.db, read, 61), Sought)


def test_a_result_is_as_old_as_the_begin_of_its_read() -> None:
    store, read = Memory(), Read("acme", "find", "k", LASTS)
    sought: Any = results.seek(store.db, read, 0)
    assert results.keep(store.db, sought, "run", "x", 90)
    assert results.seek(store.db, read, LASTS) == Found("x", "run", 0)
    assert isinstance(results.seek(store.db, read, LASTS + 1), Sought)
