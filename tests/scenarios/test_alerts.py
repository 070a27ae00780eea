"""An alert of a real run reaches people: by its webhook, without holding up the run; and `tenure cost` shows what did not."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tenure import Agent
from tenure.cli import main
from tenure.errors import ConfigError
from tenure.runtime.prices import table_version
from tenure.runtime.settings import Settings
from tenure.runtime.store import Connection
from tenure.testing import Embedded, embedded
from tenure.testing.scripted_claude import text
from tests.receiving import SECRET, Receiver, Said, receiving
from tests.waiting import eventually

desk = Agent(name="desk", optimization={"budget": {"daily": 0.1, "alert_threshold": 0.5}})


def done(body: dict[str, Any]) -> Any:
    return text("done")


async def rows(system: Embedded, what: str) -> list[tuple[Any, ...]]:
    return await system.require_store().read(lambda db: [tuple(row) for row in db.execute(what).fetchall()])


async def changed(system: Embedded, what: str) -> None:
    def write(db: Connection) -> None:
        db.execute(what)

    await system.require_store().transact(write)


async def past_half(system: Embedded) -> None:
    """A run after which more than half of the day's ten cents is spent."""
    await desk.run("go")
    await changed(system, "UPDATE totals SET spent = spent + 55000 WHERE scope = 'agent/day'")
    assert (await desk.run("go")).success


async def shown(system: Embedded) -> str:
    env = {"TENURE_HOME": str(system.settings.home), "COLUMNS": "100"}
    told = await asyncio.to_thread(CliRunner(env=env).invoke, main, ["cost"])
    return " ".join(told.stdout.split())


async def arrived(receiver: Receiver, many: int = 1) -> None:
    async def look() -> bool:
        return len(receiver.got) >= many

    await eventually(look)


async def test_an_alert_of_a_run_is_told_to_the_webhook_and_shown_as_plain() -> None:
    with receiving() as receiver:
        async with embedded(desk, claude=done, alert_webhook=receiver.url, alert_secret=SECRET) as system:
            await past_half(system)
            await arrived(receiver)
            told = receiver.got[0].told
            assert (told["type"], told["scope"], told["subject"], told["threshold"], told["cap_dollars"]) == (
                "budget.alert", "agent/day", "default:desk", "0.5", "0.10"
            )  # fmt: skip
            await eventually(lambda: rows(system, "SELECT 1 FROM alerts WHERE delivered_at IS NOT NULL"))
            assert (await shown(system)).endswith("of $0.10; delivered")


async def test_a_receiver_that_does_not_answer_holds_up_no_run_and_what_it_did_not_take_is_shown() -> None:
    with receiving(Said(after=60)) as receiver:
        async with embedded(desk, claude=done, alert_webhook=receiver.url, alert_secret=SECRET) as system:
            await past_half(system)
            await arrived(receiver)
            begun = time.monotonic()
            assert (await desk.run("go")).success
            assert time.monotonic() - begun < 8
            assert "of $0.10; not delivered: no answer yet, 1 attempt" in await shown(system)


async def test_an_alert_that_was_refused_or_given_up_is_shown_with_why() -> None:
    with receiving(*[Said(500)] * 9) as receiver:
        async with embedded(desk, claude=done, alert_webhook=receiver.url, alert_secret=SECRET) as system:
            await past_half(system)
            await eventually(lambda: rows(system, "SELECT 1 FROM alerts WHERE problem != ''"))
            assert "of $0.10; not delivered: HTTP 500, 1 attempt" in await shown(system)
            await changed(system, "UPDATE alerts SET due_at = 0, at = at - 8 * 24 * 3600000")
            await eventually(lambda: rows(system, "SELECT 1 FROM alerts WHERE given_up_at IS NOT NULL"))
            assert "of $0.10; given up: HTTP 500, 1 attempt" in await shown(system)


async def test_without_a_webhook_an_alert_is_shown_and_nothing_is_missed() -> None:
    async with embedded(desk, claude=done) as system:
        await past_half(system)
        assert (await shown(system)).endswith("of $0.10; no webhook is set")


async def test_what_was_spent_by_a_call_that_nobody_settled_raises_an_alert_too() -> None:
    async with embedded(desk, claude=done) as system:
        await desk.run("go")
        await changed(
            system,
            "INSERT INTO charges (key, workflow, tenant, agent, model, tier, seq, prices, held, at, expires_at, outcome)"
            " SELECT 'lost', workflow, tenant, agent, model, tier, seq, prices, 60000, at, 1, 'held' FROM charges",
        )
        await changed(system, "INSERT INTO charge_scopes SELECT 'lost', scope, subject, period FROM charge_scopes")
        await changed(system, "UPDATE totals SET held = 60000")
        await eventually(lambda: rows(system, "SELECT 1 FROM alerts WHERE scope = 'agent/day' AND threshold = '0.5'"))
        assert await rows(system, "SELECT DISTINCT held FROM totals") == [(0,)]


# ------------------------------------------------------------------------------------------------------------- settings


async def refused(said: str, **settings: Any) -> None:
    with pytest.raises(ConfigError, match=said):
        async with embedded(desk, claude=done, **settings):
            pass


async def test_a_webhook_that_cannot_be_meant_is_refused_before_anything_is_served() -> None:
    plain = "http://hooks.example.com/"
    await refused(f"^TENURE_ALERT_WEBHOOK='{plain}': anybody", alert_webhook=plain, alert_secret=SECRET)
    await refused("^TENURE_ALERT_WEBHOOK_SECRET: must be", alert_webhook="https://hooks.example.com/")


def test_its_settings_come_from_the_environment_and_the_secret_is_not_shown(tmp_path: Path) -> None:
    env = {
        "TENURE_ALERT_WEBHOOK": "https://hooks.example.com/a",
        "TENURE_ALERT_WEBHOOK_SECRET": SECRET,
        "TENURE_PRICES": "prices.toml",
    }
    made = Settings.at(tmp_path, env)
    assert (made.alert_webhook, made.alert_secret) == ("https://hooks.example.com/a", SECRET)
    assert made.prices == Path("prices.toml")
    assert SECRET not in repr(made)
    plain = Settings.at(tmp_path, dict.fromkeys(env, ""))
    assert (plain.alert_webhook, plain.alert_secret, plain.prices) == ("", "", None)


async def test_runs_are_charged_by_the_price_file_and_say_so(tmp_path: Path) -> None:
    file = tmp_path / "prices.json"
    file.write_text(json.dumps({"claude-sonnet-5-5": {"input": 1000, "output": 1000}}))
    async with embedded(desk, claude=done) as system:
        cheap = (await desk.run("go")).cost
        assert await rows(system, "SELECT prices FROM charges") == [(table_version(),)]
    dear = Agent(name="desk", optimization={"budget": {"daily": 100}})
    async with embedded(dear, claude=done, prices=file) as system:
        response = await dear.run("go")
        assert response.cost > 50 * cheap
        ((prices, cost),) = await rows(system, "SELECT prices, cost FROM charges")
        assert prices.startswith(f"{table_version()} + file sha256:")
        assert cost == round(response.cost * 1_000_000)


async def test_a_model_that_only_the_file_prices_is_served(tmp_path: Path) -> None:
    own = Agent(name="own", model="our-own-model")
    with pytest.raises(ConfigError, match="write its price in a file that TENURE_PRICES names"):
        async with embedded(own, claude=done):
            pass
    file = tmp_path / "prices.toml"
    file.write_text("[our-own-model]\ninput = 1\noutput = 2\n")
    async with embedded(own, claude=done, prices=file):
        assert (await own.run("go")).success


async def test_a_price_file_that_cannot_be_meant_is_refused_before_anything_is_served(tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text("[claude-sonnet-5-5]\ninput = -1\noutput = 2\n")
    await refused(r"^TENURE_PRICES='.*prices\.toml': claude-sonnet-5-5\.input=-1: must be dollars", prices=file)
