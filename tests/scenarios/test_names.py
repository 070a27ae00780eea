"""Naming: a command does something to the one run or request that was meant, and to nothing where that is not certain."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator

import pytest

from tenure import Agent, tool
from tenure.approvals.request import Request
from tenure.errors import BadInput, NotFound
from tenure.runtime.store import approvals
from tenure.testing import Embedded, embedded
from tenure.testing.scripted_claude import text, tool_use
from tests.typing_commands import Tenure, at
from tests.waiting import one_pending


@tool(effect="privileged")
async def grant(who: str) -> str:
    """Give somebody power."""
    return who


desk = Agent(name="desk", tools=[grant])


@pytest.fixture(scope="module")
async def system() -> AsyncGenerator[Embedded]:
    """One run that asks, two that are over: the newest of them is the one that asks."""
    async with embedded(
        desk, claude=lambda body: tool_use("grant", who="eve") if "give" in str(body) else text("Ok.")
    ) as made:
        for _ in range(2):
            await desk.run("hello", client=made)
        await desk.start("give", client=made)
        await one_pending(made)
        yield made


@pytest.fixture
async def asked(system: Embedded) -> Request:
    return await one_pending(system)


@pytest.fixture
def tenure(system: Embedded) -> Tenure:
    return at(system.settings.home, system.temporal.service_client.config.target_host)


NOTHING = ["", " ", "r", "req-", "req-1", "01", "*", "******", "??????", "[a-z]*", "\udcffabcdefg"]
REQUEST_RULE = (
    "write its whole id, at least 6 characters that it begins or ends with after `req-`, or the run that asks"
)
RUN_RULE = (
    "write its whole id, or at least 6 characters that its last part begins or ends with; `tenure runs` lists them"
)


@pytest.mark.parametrize("part", [*NOTHING, "req-12345"])
@pytest.mark.parametrize("words", ["approve", "approve --print", "deny", "answer {} approve"])
async def test_what_is_too_little_to_name_a_request_is_never_signed(tenure: Tenure, words: str, part: str) -> None:
    told = await tenure(
        *(part if word == "{}" else word for word in (words if "{}" in words else f"{words} {{}}").split())
    )
    assert (told.exit_code, told.stdout) == (2, "")
    assert told.stderr.startswith(f"tenure: {part!r} names no request: {REQUEST_RULE}")


@pytest.mark.parametrize("part", NOTHING)
@pytest.mark.parametrize("words", ["show", "cancel", "feedback"])
async def test_what_is_too_little_to_name_a_run_does_nothing_to_any(tenure: Tenure, words: str, part: str) -> None:
    told = await tenure(words, part)
    assert (told.exit_code, told.stdout) == (2, "")
    assert told.stderr == f"tenure: {part!r} names no run: {RUN_RULE}\n"


async def test_a_request_is_named_by_its_id_by_six_characters_of_it_or_by_the_run_that_asks(
    system: Embedded, asked: Request
) -> None:
    last = asked.workflow.rpartition(":")[2]
    own = asked.id.removeprefix("req-")
    for part in (
        asked.id,
        asked.id[:10],
        own,
        own[:6],
        own[-6:],
        f"req-{own[-6:]}",
        asked.workflow,
        last,
        last[:-3],
        last[-6:],
    ):
        assert (await system.approvals.find(part)).id == asked.id


async def test_a_run_is_named_by_its_id_or_by_six_characters_of_its_last_part(system: Embedded, asked: Request) -> None:
    last = asked.workflow.rpartition(":")[2]
    for part in (asked.workflow, last, last[:-3], last[-6:]):
        assert (await system.runs.find(part)).id == asked.workflow


async def test_what_several_runs_fit_is_refused_also_where_only_one_of_them_asks(
    system: Embedded, tenure: Tenure, asked: Request
) -> None:
    """The first six characters of a ULID are the quarter of an hour in which the run began."""
    part = asked.workflow.rpartition(":")[2][:6]
    for words in (("approve", part), ("cancel", part), ("show", "default:run:desk"), ("approve", "default:run:desk:")):
        told = await tenure(*words)
        assert (told.exit_code, told.stdout) == (2, "")
        assert re.match(rf"tenure: 3 runs match '{words[1]}' \(default:run:desk:.*\): {RUN_RULE}\n", told.stderr)
    assert await system.approvals.pending() == [asked]


async def test_what_fits_a_request_and_a_run_names_neither(system: Embedded, asked: Request) -> None:
    last = asked.workflow.rpartition(":")[2]
    other = asked.model_copy(update={"id": f"req-0123456789{last[-6:]}", "workflow": "acme:run:desk:1"})
    store = system.require_store()
    await store.transact(lambda db: approvals.open_request(db, other))
    try:
        with pytest.raises(BadInput, match=f"2 requests match '{last[-6:]}'"):
            await system.approvals.find(last[-6:])
        assert (await system.approvals.find(f"req-{last[-6:]}")).id == other.id
    finally:
        await store.transact(lambda db: db.execute("DELETE FROM requests WHERE id = ?", (other.id,)))


async def test_the_beginning_of_a_whole_id_is_no_whole_id(system: Embedded, asked: Request) -> None:
    with pytest.raises(BadInput, match="1 run matches"):
        await system.runs.find(asked.workflow[:-3])


async def test_what_several_requests_fit_is_refused_also_where_only_one_is_open(
    system: Embedded, asked: Request
) -> None:
    other = asked.model_copy(update={"id": f"{asked.id[:12]}00000000", "workflow": "acme:run:desk:1"})
    store = system.require_store()
    await store.transact(lambda db: approvals.open_request(db, other))
    await store.transact(lambda db: approvals.close_request(db, other.id, "deny", "alice", 1))
    with pytest.raises(BadInput, match=f"2 requests match '{asked.id[:11]}'"):
        await system.approvals.find(asked.id[:11])
    assert (await system.approvals.find(asked.id[:14])).id == asked.id
    with pytest.raises(NotFound, match=f"request {other.id} is closed"):
        await system.approvals.find(other.id)


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("req-0f0f0f", "no request 'req-0f0f0f': `tenure pending` lists the open ones"),
        ("nothing-like-it", "no request and no run 'nothing-like-it'"),
        ("default:trust:desk", "no request and no run 'default:trust:desk'"),
        ("default:run:desk:never", "run default:run:desk:never asks nothing now"),
    ],
)
async def test_a_name_of_nothing_says_where_the_names_are(system: Embedded, part: str, said: str) -> None:
    with pytest.raises(NotFound, match=re.escape(said)):
        await system.approvals.find(part)


@pytest.mark.parametrize("part", ["nothing-like-it", "default:trust:desk", "acme:run:desk"])
async def test_what_is_no_run_is_not_cancelled(tenure: Tenure, part: str) -> None:
    told = await tenure("cancel", part)
    assert (told.exit_code, told.stderr.partition(" in ")[0]) == (2, f"tenure: no run {part!r}")
