"""A worker that is killed with money held, or with an alert on its way: another one puts both in order, and nobody need call."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bench.processes import Stage, staged, until
from tenure.cli import main
from tenure.testing.scripted_claude import slow, text
from tests.receiving import SECRET, Said, receiving

AGENTS = f"{Path(__file__).with_name('spender.py')}"


def claude(body: dict[str, Any]) -> Any:
    return slow(text("too late"), 60) if "slow" in str(body["messages"][0]) else text("done")


async def rows(stage: Stage, what: str) -> list[tuple[Any, ...]]:
    return await stage.store.read(lambda db: [tuple(row) for row in db.execute(what).fetchall()])


async def changed(stage: Stage, what: str) -> None:
    await stage.store.transact(lambda db: db.execute(what))


async def costs(stage: Stage) -> dict[str, Any]:
    """What `tenure cost --json` says of the one agent."""
    import asyncio

    env = {"TENURE_HOME": str(stage.system.settings.home)}
    told = await asyncio.to_thread(CliRunner(env=env).invoke, main, ["cost", "--json"])
    (account,) = json.loads(told.stdout)["accounts"]
    return account


@pytest.mark.timeout(120)
async def test_a_hold_of_a_killed_worker_whose_run_is_closed_is_settled_soon_after_it_expires_though_nobody_calls():
    async with staged(claude) as stage:
        worker = await stage.start_worker(AGENTS)
        handle = await stage.system.runs.start("spender", "be slow")
        held = await until(
            lambda: rows(stage, "SELECT held FROM charges WHERE outcome = 'held'"), within=60, what="a hold"
        )
        await worker.kill()
        await stage.system.temporal.get_workflow_handle(handle.id).terminate("nobody needs it")
        await (await stage.start_worker(AGENTS)).ready()
        account = await costs(stage)
        assert (account["held"], account["cost"]) == (held[0][0], 0), "the call may still be under way"
        await changed(stage, "UPDATE charges SET expires_at = at")  # as ninety seconds later

        async def is_settled() -> bool:
            return (await costs(stage))["held"] == 0

        await until(is_settled, within=20, what="that nothing stays held")
        account = await costs(stage)
        assert (account["unknown"], account["cost"]) == (1, held[0][0])
        assert await rows(stage, "SELECT DISTINCT held, spent FROM totals") == [(0, held[0][0])]


@pytest.mark.timeout(120)
async def test_an_alert_whose_worker_was_killed_while_it_sent_it_is_sent_by_the_next_one():
    with receiving(Said(after=60)) as receiver:
        env = {"TENURE_ALERT_WEBHOOK": receiver.url, "TENURE_ALERT_WEBHOOK_SECRET": SECRET}
        async with staged(claude, **env) as stage:
            worker = await stage.start_worker(AGENTS)
            await (await stage.system.runs.start("spender", "be quick")).result()

            async def sent(times: int) -> bool:
                return len(receiver.got) == times

            await until(lambda: sent(1), within=20, what="the first attempt")
            await worker.kill()
            await (await stage.start_worker(AGENTS)).ready()
            await changed(stage, "UPDATE alerts SET due_at = 0")  # as a minute later
            await until(lambda: sent(2), within=20, what="the second attempt")
            assert {got.headers["webhook-id"] for got in receiver.got} == {receiver.got[0].told["id"]}
            await until(
                lambda: rows(stage, "SELECT 1 FROM alerts WHERE delivered_at > 0 AND attempts = 2"),
                within=20,
                what="an end",
            )
