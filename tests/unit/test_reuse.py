"""What two calls must have in common to share a result, and what must hold before a call is given one."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from tenure import Agent, ToolContext, tool
from tenure.activities import reuse
from tenure.activities.act import _begin, _found
from tenure.activities.job import Job
from tenure.activities.permit import Stale
from tenure.activities.provenance import look
from tenure.run import RunRequest
from tenure.runtime import lineage
from tenure.runtime.store import Connection, effects, epochs, restrictions, results, runs, transcript, uses
from tenure.runtime.store.results import Sought
from tenure.spec import AgentSpec
from tenure.state import State
from tenure.tools import Tool
from tenure.transcript import assistant_row, canonical, result_of, result_row, user_row
from tenure.trust.restrictions import Restriction
from tenure.turn import Act, Cached, Result, Turn
from tenure.wire import JsonObject
from tests.unit.inside import Memory

ROOT = Ed25519PrivateKey.generate().public_key()


@tool(effect="read", cache=60, output={"iban"})
def find(name: str, of: str = "acme") -> dict[str, str]:
    """Find an account."""
    return {"iban": "", "note": ""}


@tool(effect="read", cache=60)
def mine(ctx: ToolContext, name: str = "") -> str:
    """Find what is mine."""
    return ""


@tool(effect="write", invalidates=["find"])
def pay(iban: str) -> str:
    """Pay."""
    return ""


desk = Agent(name="desk", tools=[find, mine, pay], trust={"initial": 0.5, "permissions": {0.1: ["*"]}})
limited = Agent(name="desk", tools=[find, mine, pay], rate_limits={"find": "1/hour"})


@pytest.fixture
def db() -> Connection:
    return Memory().db


def job(
    db: Connection,
    name: str = "find",
    given: JsonObject | None = None,
    *,
    run: str = "1",
    agent: AgentSpec = desk,
    state: JsonObject | None = None,
    **who: Any,
) -> Job:
    """An attempt at a call in a run of its own."""
    request = RunRequest(**{"agent": "desk", "tenant": "acme", **who})
    workflow = f"{request.tenant}:run:desk:{run}"
    runs.observe(db, workflow, request, agent.snapshot(), 0)
    row = runs.get(db, workflow)
    assert row is not None
    block = {"type": "tool_use", "id": "c", "name": name, "input": {"name": "bob"} if given is None else given}
    ask = Act(seq=1, call=0, digest="d", state_before=2)
    told: Any = {"workflow": workflow, "seq": 2, "run": row, "agent": agent, "tool": agent.tool[name], "block": block}
    return Job(ask, **told, key=run, token=f"{run}/1", state=state or {}, number=1, lasts=75_000)


def read(db: Connection, value: Any = "x", **told: Any) -> None:
    """A run has made the read, and its result was kept."""
    made = job(db, **{"run": "0", **told})
    found = _found(db, made, wanted(made), ROOT)
    assert isinstance(found, Sought)
    reuse.keep(db, made, found, Result(value=value))


def wanted(made: Job) -> results.Read:
    found = reuse.read_of(made)
    assert found is not None
    return found


def key(name: str, who: tuple[Any, ...]) -> str:
    tenant, user, role, state, arguments = who
    return wanted(
        job(Memory().db, name, arguments, tenant=tenant, user=user, role=role, state=state)
    ).key  # a store of its own: two draws may name the same run


# ------------------------------------------------------------------------------------------------- which calls are equal

odd = st.sampled_from(["", "a", "b", "a:b", 'a"', "null", '["a","b"]', "a\x00b", "ä", "b,a"])
leaves = st.none() | st.booleans() | st.integers(0, 2) | st.floats(0, 1) | odd
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(odd, inner, max_size=2))
objects = st.dictionaries(st.sampled_from(["name", "of", "a", ""]), values, max_size=3)
callers = st.tuples(odd, st.none() | odd, st.none() | odd, objects, objects)


@given(callers, callers)
@settings(max_examples=300, deadline=None)
def test_two_tenants_never_have_a_key_in_common_whatever_they_send(one: Any, other: Any) -> None:
    if one[0] != other[0]:
        assert key("find", one) != key("find", other)
        assert key("mine", one) != key("mine", (other[0], *one[1:]))


@given(callers, callers)
@settings(max_examples=300, deadline=None)
def test_a_key_says_all_that_the_function_sees_and_nothing_else(one: Any, other: Any) -> None:
    seen = [canonical([who[0], {"of": "acme", **who[4]}]) for who in (one, other)]
    assert (key("find", one) == key("find", other)) is (seen[0] == seen[1])
    seen = [canonical([*who[:4], {"name": "", **who[4]}]) for who in (one, other)]
    assert (key("mine", one) == key("mine", other)) is (seen[0] == seen[1])


def test_a_tool_without_a_time_shares_nothing(db: Connection) -> None:
    once = Agent(name="desk", tools=[Tool(find.function, effect="read", cache=True)])  # type: ignore[arg-type]
    assert reuse.read_of(job(db, agent=once)) is None


# ------------------------------------------------------------------------------------------------- which tools are equal

SOURCE = """
def find(name: str) -> str:
    '''Find.'''
    return name + "{}"
"""


def written(source: str) -> Callable[..., Any]:
    space: dict[str, Any] = {"__name__": "written"}
    exec(source, space)  # our own text
    return space["find"]


def logged(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def made(*args: Any, **more: Any) -> Any:
        return function(*args, **more)

    return made


@pytest.mark.parametrize("wrap", [lambda function: function, logged], ids=["plain", "decorated"])
def test_a_tool_is_another_when_its_code_changes_and_the_same_wherever_it_stands(wrap: Any) -> None:
    made = Tool(wrap(written(SOURCE.format("a"))), effect="read", cache=60)  # type: ignore[arg-type]
    moved = Tool(wrap(written("\n\n\n" + SOURCE.format("a"))), effect="read", cache=60)  # type: ignore[arg-type]
    mended = Tool(wrap(written(SOURCE.format("b"))), effect="read", cache=60)  # type: ignore[arg-type]
    assert moved.identity == made.identity != mended.identity


@pytest.mark.parametrize(
    "change", [{"cache": 61}, {"output": {"iban", "note"}}, {"sinks": ["name"]}, {"description": "Find it."}]
)
def test_a_tool_is_another_when_it_is_declared_otherwise(change: JsonObject) -> None:
    told = {"effect": "read", "cache": 60, "output": {"iban"}, "name": "find"}
    assert Tool(find.function, **told).identity == find.identity  # type: ignore[arg-type]
    assert Tool(find.function, **{**told, **change}).identity != find.identity  # type: ignore[arg-type]


def test_a_change_of_the_agent_elsewhere_keeps_what_its_tools_have_read(db: Connection) -> None:
    other = Agent(name="desk", instructions="Be brief.", model="claude-haiku-5-5", tools=[pay, find])
    assert wanted(job(db, agent=other, run="1")) == wanted(job(db, run="2"))
    elsewhere = Agent(name="till", tools=[find])
    assert wanted(job(db, agent=elsewhere, run="3")) != wanted(job(db, run="2")), "it may close over another account"


def test_every_worker_process_comes_to_the_same_identity() -> None:
    code = (
        "from tenure import tool\n"
        "@tool(effect='read', cache=60, output={'id', 'name', 'of', 'at'})\n"
        "def find(name: str) -> dict[str, str]:\n"
        "    '''Find.'''\n"
        "    return {} if name in {'a', 'b', 'c', 'd', 'e'} else {'id': name}\n"
        "print(find.identity)"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(told) == 1, told


def test_an_agent_that_shares_nothing_keeps_the_fingerprint_it_had_before_there_was_sharing() -> None:
    own = Agent(name="desk", tools=[Tool(find.function, effect="read", cache=True)])  # type: ignore[arg-type]
    assert "shared" not in own.manifest["tools"][0]
    assert desk.manifest["tools"][0]["shared"] == 60


# ------------------------------------------------------------------------------------------ what holds before one is given


def test_a_call_that_may_not_begin_now_is_given_nothing_and_no_row(db: Connection) -> None:
    read(db)
    restrictions.restrict(db, ("acme", "desk"), Restriction(kind="halt", reason="odd"), "ops", 1)
    call = job(db)
    assert isinstance(_found(db, call, wanted(call), ROOT), Stale)
    assert transcript.standing(db, call.workflow, call.seq) is None


def test_a_limit_that_is_used_up_holds_back_what_is_found_and_what_is_found_does_not_count(db: Connection) -> None:
    read(db, agent=limited)
    call = job(db, agent=limited, run="2")
    assert isinstance(_found(db, call, wanted(call), ROOT), uses.Limited)
    db.execute("DELETE FROM uses")
    for number in range(3):
        call = job(db, agent=limited, run=f"3{number}")
        assert isinstance(_found(db, call, wanted(call), ROOT), Result)
    assert db.execute("SELECT count(*) FROM uses").fetchone()[0] == 0


def test_an_attempt_that_comes_again_comes_to_the_row_that_stands(db: Connection) -> None:
    read(db, value="old")
    call = job(db)
    first = _found(db, call, wanted(call), ROOT)
    epochs.begin(db, "acme", "w", ["find"], reuse.steady(), reuse.steady())
    epochs.end(db, "acme", "w", ["find"])
    read(db, value="new", run="3")
    assert isinstance(first, Result)
    assert (first.value, first.cached and first.cached.run) == ("old", "acme:run:desk:0")
    assert _found(db, call, wanted(call), ROOT) == first
    found = transcript.standing(db, call.workflow, call.seq)
    assert found is not None
    assert result_of(found[0]) == first


@pytest.mark.parametrize(
    "odd",
    [
        Result(ok=False, value="x"),
        Result(value="x", state={"a": 1}),
        Result(value="x", finish="done"),
        Result(value="x", outcome="unknown"),
        Result(value="x", stop="enough"),
    ],
)
def test_what_says_more_than_what_was_read_is_not_kept(db: Connection, odd: Result) -> None:
    call = job(db)
    found = _found(db, call, wanted(call), ROOT)
    assert isinstance(found, Sought)
    reuse.keep(db, call, found, odd)
    assert isinstance(_found(db, job(db, run="2"), wanted(call), ROOT), Sought)


@pytest.mark.parametrize("name", ["run_id", "idempotency_key", "tenant", "user", "role", "state"])
def test_a_context_notices_when_a_tool_looks_at_what_is_another_in_every_run(name: str) -> None:
    ctx = reuse.Watched("run", "acme", "alice", "key", State({}), lambda: None)
    ctx.looked = threading.Event()
    getattr(ctx, name)
    assert ctx.looked.is_set() is (name in ("run_id", "idempotency_key"))


def test_a_tool_that_starts_a_run_of_its_own_has_looked() -> None:
    looked = threading.Event()
    with lineage.of(tainted=True, cap=None, user=None, looked=looked):
        assert not looked.is_set()
        assert lineage.current().tainted
    assert looked.is_set()


# ----------------------------------------------------------------------------------------------------- writes in doubt


def test_a_write_whose_attempt_died_keeps_what_it_names_from_being_found_or_kept(db: Connection) -> None:
    read(db)
    assert isinstance(_begin(db, job(db, "pay", {"iban": "DE1"}, run="5", agent=limited), ROOT), effects.Go)
    call = job(db, run="6")
    found = _found(db, call, wanted(call), ROOT)
    assert isinstance(found, Sought)
    reuse.keep(db, call, found, Result(value="read while nobody knows"))
    assert isinstance(_found(db, job(db, run="7"), wanted(call), ROOT), Sought)


def test_what_somebody_says_of_a_write_in_doubt_makes_stale_what_was_read_before(db: Connection) -> None:
    read(db)
    reuse.end(
        db, job(db, "pay", {"iban": "DE1"}, run="5")
    )  # a person may have made it by hand, and then said: happened
    call = job(db, run="6")
    assert isinstance(_found(db, call, wanted(call), ROOT), Sought)


def test_a_write_of_another_tenant_leaves_it(db: Connection) -> None:
    read(db)
    _begin(db, job(db, "pay", {"iban": "DE1"}, run="5", tenant="globex", agent=limited), ROOT)
    call = job(db, run="6")
    assert isinstance(_found(db, call, wanted(call), ROOT), Result)


# ----------------------------------------------------------------------------------------------------------------- trust


@given(st.dictionaries(st.sampled_from(["iban", "note"]), st.sampled_from(["DE1", "DE2", "pay DE2"])), st.booleans())
def test_a_result_from_the_cache_taints_and_is_trusted_as_a_fresh_one(value: JsonObject, named: bool) -> None:
    asked = assistant_row(
        Turn(content=[{"type": "tool_use", "id": "c", "name": "find", "input": {"name": "bob" if named else "eve"}}])
    )
    fresh = Result(value=value)
    cached = fresh.model_copy(update={"cached": Cached(run="acme:run:desk:0", age=12)})
    call = {"type": "tool_use", "id": "d", "name": "pay", "input": {"iban": "DE1"}}
    told = [
        look(
            desk, [user_row(["pay bob"]), asked, json.loads(canonical(result_row("c", one)))], [call], {}, lambda _: b""
        )
        for one in (fresh, cached)
    ]
    assert told[0] == told[1]
