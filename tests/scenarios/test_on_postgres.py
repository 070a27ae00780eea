"""A Tenure whose store is a Postgres: a run from start to end, with a person and a budget in it, and the commands beside it."""

from __future__ import annotations

import asyncio
import json

from tenure import Agent, tool
from tenure.runtime.store import accounts, approvals, effects, runs
from tenure.testing import embedded
from tenure.testing.scripted_claude import text, tool_use
from tests.postgres import Postgres
from tests.scenarios.test_doctor import beside, checks
from tests.waiting import one_pending

PAID: list[int] = []


@tool(effect="destructive")
async def refund(amount: int) -> dict[str, int]:
    """Pay money back."""
    PAID.append(amount)
    return {"paid": amount}


desk = Agent(name="desk", tools=[refund], optimization={"budget": {"daily": 1}})


async def test_a_run_with_an_approval_and_a_budget_lives_on_postgres(postgres: Postgres) -> None:
    script = [tool_use("refund", amount=7), text("done")]
    async with embedded(desk, claude=script, database_url=postgres.url()) as system:
        handle = await desk.start("refund 7", user="alice")
        asked = await one_pending(system)
        store = system.require_store()
        assert [row and row.status for row in await store.read(lambda db: [runs.get(db, handle.id)])] == ["waiting"]
        await system.approve(asked)
        response = await asyncio.wait_for(handle.result(), 30)
        assert (response.message, PAID) == ("done", [7])
        assert await store.read(lambda db: approvals.approved_by(db, asked.id)) == ["operator", "reviewer"]
        (effect,) = await store.read(lambda db: effects.of_run(db, handle.id))
        assert (effect["status"], json.loads(effect["result"])["value"]) == ("done", {"paid": 7})
        (account,) = await store.read(lambda db: accounts.by(db, "agent", 0))
        assert (account.calls, account.unknown, account.held) == (2, 0, 0)
        assert account.cost == round(response.cost * 1_000_000) > 0


async def test_doctor_looks_at_a_postgres_and_tells_no_password(postgres: Postgres) -> None:
    url = postgres.url()
    async with embedded(desk, claude=[], database_url=url) as system:
        secret = url.replace("postgres@", "postgres:s3cret@")
        told = await beside(system, "--json", TENURE_DATABASE_URL=secret)
        assert "s3cret" not in told.stdout + told.stderr
        found = checks(told)
        assert (found["store"]["status"], found["installation"]["status"]) == ("ok", "ok")
        assert f"id {system.require_store().id}" in found["store"]["told"]
        assert (
            "read only"
            in checks(await beside(system, "--json", TENURE_DATABASE_URL=f"{secret}&mode=ro"))["store"]["told"]
        )
        empty = checks(await beside(system, "--json", TENURE_DATABASE_URL=postgres.url()))
        assert empty["store"]["told"].startswith("none at postgresql://")
        away = await beside(system, "--json", TENURE_DATABASE_URL="postgresql://u:s3cret@127.0.0.1:1/db")
        assert "s3cret" not in away.stdout + away.stderr
        assert checks(away)["store"]["status"] == "failed"
        assert "postgresql://u@127.0.0.1:1/db?mode=ro cannot be used" in checks(away)["store"]["told"]
