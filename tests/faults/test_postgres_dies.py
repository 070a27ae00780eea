"""The Postgres behind a Tenure is killed: nothing is paid and nothing is done while it is away, and all goes on when it is back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tenure import Agent, tool
from tenure.errors import StoreUnavailable
from tenure.runtime.store import accounts
from tenure.testing import embedded
from tenure.testing.scripted_claude import text, tool_use
from tests.postgres import Postgres, served

DONE: list[str] = []


@tool(effect="write", idempotent=True)
async def note_down(what: str) -> str:
    """Write something down."""
    DONE.append(what)
    return "noted"


clerk = Agent(name="clerk", tools=[note_down], optimization={"budget": {"daily": 1}})


@pytest.fixture
def mortal(postgres: Postgres) -> Iterator[Postgres]:
    """A server of one test; where the shared one cannot start this one cannot either."""
    with served(durable=True) as server:
        yield server


async def test_no_call_is_paid_while_the_store_is_dead_and_the_run_goes_on_when_it_is_back(mortal: Postgres) -> None:
    script = [tool_use("note_down", what="a"), text("done")]
    async with embedded(clerk, claude=script, database_url=mortal.url()) as system:
        store, claude = system.require_store(), system.claude
        assert claude is not None
        await clerk.run("go")
        mortal.die()
        for work in (store.transact, store.read):
            with pytest.raises(StoreUnavailable, match=r"postgresql://.* cannot be used: .*Check that the server runs"):
                await work(lambda db: db.execute("SELECT 1"))
        handle = await clerk.start("again")
        await asyncio.sleep(2)
        assert (len(claude.requests), DONE) == (2, ["a"])
        mortal.rise()
        response = await asyncio.wait_for(handle.result(), 60)
        assert (response.message, DONE, len(claude.requests)) == ("done", ["a", "a"], 4)
        (account,) = await store.read(lambda db: accounts.by(db, "agent", 0))
        assert (account.calls, account.held, account.unknown) == (4, 0, 0)
