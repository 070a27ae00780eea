"""Alerts reach a webhook: signed, at least once, in bounded time, by one worker at a time, and given up after a week."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import pytest

from tenure.errors import ConfigError
from tenure.optimize.budget import Scope
from tenure.runtime import alerting, webhook
from tenure.runtime.store import Connection, Store, alerts
from tenure.runtime.store.alerts import GIVEN_UP_MS, TAKEN_MS, Alert
from tenure.runtime.webhook import Webhook
from tests.receiving import SECRET, Got, Receiver, Said, receiving

NOON = 1_795_262_400_000  # 2026-11-21 12:00 UTC
HOUR = 3_600_000
KEY = base64.b64decode(SECRET.removeprefix("whsec_"))


@dataclass
class Worker:
    """One worker's side of it, on a clock that the test turns."""

    store: Store
    to: Webhook
    at: int = NOON
    said: list[str] = field(default_factory=list[str])

    async def beat(self, later: int = 0, times: int = 1) -> None:
        """What a worker does every two seconds, that much later."""
        async with self.to.client() as client:
            for _ in range(times):
                self.at += later
                await alerting.deliver(self.store, self.to, client, lambda: self.at)

    async def alerts(self) -> list[Alert]:
        return await self.store.read(lambda db: alerts.since(db, 0))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncGenerator[Store]:
    """A store in which one alert has been raised at noon."""
    made = Store.open(f"sqlite://{tmp_path}/tenure.db")
    scope = Scope("agent/day", "acme:desk", "2026-11-21", 500_000)

    def spend(db: Connection) -> None:
        told = ("agent/day", "acme:desk", "2026-11-21", 412_345)
        db.execute("INSERT INTO totals (scope, subject, period, spent) VALUES (?, ?, ?, ?)", told)
        alerts.raise_due(db, [scope], [Decimal("0.8")], NOON)

    await made.transact(spend)
    yield made
    made.close()


@pytest.fixture
def receiver(request: pytest.FixtureRequest) -> Generator[Receiver]:
    """Answers as `@pytest.mark.parametrize("receiver", ...)` says, and else takes everything."""
    with receiving(*getattr(request, "param", ())) as made:
        yield made


def worker(store: Store, receiver: Receiver, timeout: float = 10.0) -> Worker:
    return Worker(store, Webhook(receiver.url, KEY, timeout))


def signature_of(got: Got) -> str:
    """As a receiver computes it, by the specification."""
    signed = f"{got.headers['webhook-id']}.{got.headers['webhook-timestamp']}.".encode() + got.body
    return "v1," + base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()


def answers(*said: Said) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("receiver", [said], indirect=True)


# ---------------------------------------------------------------------------------------------------------- what is sent


async def test_an_alert_is_sent_as_one_json_document_with_amounts_in_micro_dollars_and_in_dollars(
    store: Store, receiver: Receiver
) -> None:
    await worker(store, receiver).beat()
    (got,) = receiver.got
    assert (got.path, got.headers["content-type"]) == ("/alerts", "application/json")
    assert got.told == {
        "type": "budget.alert", "id": got.headers["webhook-id"], "scope": "agent/day", "subject": "acme:desk",
        "period": "2026-11-21", "threshold": "0.8", "operator_cap": False, "cap": 500_000, "cap_dollars": "0.50", "spent": 412_345,
        "spent_dollars": "0.412345", "at": NOON,
    }  # fmt: skip


async def test_it_is_signed_as_standard_webhooks_say(store: Store, receiver: Receiver) -> None:
    await worker(store, receiver).beat()
    (got,) = receiver.got
    assert got.headers["webhook-signature"] == signature_of(got)
    assert got.headers["webhook-timestamp"] == str(NOON // 1000)


def test_the_signature_is_that_of_the_specification_s_own_example() -> None:
    headers = webhook.signed(KEY, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_a_delivered_alert_is_not_sent_again(store: Store, receiver: Receiver) -> None:
    one = worker(store, receiver)
    for later in (0, HOUR, 2 * GIVEN_UP_MS):
        await one.beat(later)
    (told,) = await one.alerts()
    assert (len(receiver.got), told.delivered_at, told.given_up_at, told.attempts) == (1, NOON, None, 1)


# ----------------------------------------------------------------------------------------------------- what may go wrong


@answers(Said(500))
async def test_what_a_receiver_does_not_take_is_sent_again_later_as_the_same_message_signed_anew(
    store: Store, receiver: Receiver
) -> None:
    one = worker(store, receiver)
    await one.beat()
    (told,) = await one.alerts()
    assert (told.delivered_at, told.attempts, told.problem) == (None, 1, "HTTP 500")
    await one.beat(1_000)
    assert len(receiver.got) == 1
    await one.beat(10_000)
    first, second = receiver.got
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert second.headers["webhook-timestamp"] == str((NOON + 11_000) // 1000)
    assert second.headers["webhook-signature"] == signature_of(second) != first.headers["webhook-signature"]
    (told,) = await one.alerts()
    assert (told.delivered_at, told.attempts, told.problem) == (NOON + 11_000, 2, "")


async def test_a_receiver_that_is_down_is_tried_again_when_it_is_up(store: Store) -> None:
    with receiving() as gone:
        port = gone.port
    one = Worker(store, Webhook(f"http://127.0.0.1:{port}/alerts", KEY))
    await one.beat()
    (told,) = await one.alerts()
    assert (told.delivered_at, "ConnectError" in told.problem) == (None, True)
    with receiving(port=port) as back:
        await one.beat(10_000)
        assert len(back.got) == 1


@answers(Said(200, after=30))
async def test_a_slow_receiver_is_given_its_time_and_no_more(store: Store, receiver: Receiver) -> None:
    one = worker(store, receiver, timeout=0.3)
    await asyncio.wait_for(one.beat(), 5)
    (told,) = await one.alerts()
    assert (told.delivered_at, told.problem) == (None, "no answer within 0.3 s")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_not_followed(store: Store, status: int) -> None:
    with receiving() as elsewhere, receiving(Said(status, location=elsewhere.url)) as receiver:
        one = worker(store, receiver)
        await one.beat()
        (told,) = await one.alerts()
        assert (told.delivered_at, told.problem, elsewhere.got) == (None, f"HTTP {status}", [])


def test_the_pauses_between_attempts_grow_to_an_hour() -> None:
    pauses = [webhook.pause(attempts, 0.5) for attempts in range(1, 200)]
    assert pauses[:3] == [5_000, 10_000, 20_000]
    assert pauses == sorted(pauses)
    assert {webhook.pause(one, 0.5) for one in (11, 50, 10**6)} == {HOUR}
    assert webhook.pause(3, 0.0) < webhook.pause(3, 0.99) < 2 * webhook.pause(3, 0.0)


@answers(*[Said(503)] * 400)
async def test_after_a_week_of_failure_an_alert_is_given_up_and_says_so(store: Store, receiver: Receiver) -> None:
    one = worker(store, receiver)
    await one.beat(HOUR + HOUR // 4, times=7 * 24)
    (told,) = await one.alerts()
    assert (told.delivered_at, told.problem) == (None, "HTTP 503")
    assert told.given_up_at is not None
    assert GIVEN_UP_MS <= told.given_up_at - NOON <= GIVEN_UP_MS + 2 * HOUR
    assert 100 < told.attempts == len(receiver.got)


# -------------------------------------------------------------------------------------------------------- several workers


async def test_two_workers_do_not_send_the_same_alert_at_the_same_moment(store: Store, receiver: Receiver) -> None:
    other = Store.open(f"sqlite://{store.where}")
    try:
        await asyncio.gather(worker(store, receiver).beat(), worker(other, receiver).beat())
    finally:
        other.close()
    assert len(receiver.got) == 1


async def test_what_a_worker_had_taken_when_it_died_is_sent_by_another(store: Store, receiver: Receiver) -> None:
    await store.transact(lambda db: alerts.take(db, NOON))  # and then the worker died
    other = worker(store, receiver)
    await other.beat(TAKEN_MS - 1)
    assert receiver.got == []
    await other.beat(1)
    assert len(receiver.got) == 1


async def test_a_late_failure_does_not_undo_what_another_worker_has_delivered(store: Store, receiver: Receiver) -> None:
    (slow,) = await store.transact(lambda db: alerts.take(db, NOON))
    other = worker(store, receiver)
    await other.beat(TAKEN_MS)
    await store.transact(lambda db: alerts.failed(db, slow, "no answer within 10 s", other.at))
    (told,) = await other.alerts()
    assert (told.delivered_at, told.problem) == (NOON + TAKEN_MS, "")


async def test_a_late_failure_does_not_put_off_the_attempt_that_followed_it(store: Store) -> None:
    (slow,) = await store.transact(lambda db: alerts.take(db, NOON))
    await store.transact(lambda db: alerts.take(db, NOON + TAKEN_MS))
    await store.transact(lambda db: alerts.failed(db, slow, "no answer within 10 s", NOON + 100 * HOUR))
    (third,) = await store.transact(lambda db: alerts.take(db, NOON + 2 * TAKEN_MS))
    assert (third.attempts, third.problem) == (3, "")


# ------------------------------------------------------------------------------------------------------------ its settings


def test_without_settings_there_is_no_webhook() -> None:
    assert Webhook.of("", "") is None


@pytest.mark.parametrize(
    "url",
    ["https://hooks.example.com/a?b=c", "http://127.0.0.1:8080/x", "http://localhost/x", "http://[::1]:80/", "http://127.9.9.9"],
)  # fmt: skip
def test_https_goes_anywhere_and_http_to_this_machine(url: str) -> None:
    made = Webhook.of(url, SECRET)
    assert made is not None
    assert (made.url, made.secret) == (url, KEY)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://hooks.example.com/a", "anybody on the way could read"),
        ("http://10.0.0.1/a", "anybody on the way could read"),
        ("http://localhost.example.com/a", "anybody on the way could read"),
        ("http://127.0.0.1.example.com/a", "anybody on the way could read"),
        ("ftp://hooks.example.com/a", "must be an https address"),
        ("file:///etc/passwd", "must be an https address"),
        ("hooks.example.com", "must be an https address"),
        ("https:///a", "names no host"),
        ("https://host:99999/a", "out of range"),
        ("https://[::1/a", "Invalid IPv6"),
        ("https://user:hunter2@hooks.example.com/a", "must hold no user and no password"),
    ],
)
def test_any_other_address_is_refused_at_start_with_the_name_of_its_setting(url: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Webhook.of(url, SECRET)
    assert str(refused.value).startswith("TENURE_ALERT_WEBHOOK=")
    assert said in str(refused.value)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "secret",
    ["", SECRET.removeprefix("whsec_"), "whsec_c2hvcnQ=", "whsec_not base64!", "whsec_" + base64.b64encode(b"x" * 65).decode()],
)  # fmt: skip
def test_a_secret_that_is_none_is_refused_without_being_shown(secret: str) -> None:
    with pytest.raises(
        ConfigError, match=r"^TENURE_ALERT_WEBHOOK_SECRET: must be whsec_ and 24 to 64 bytes"
    ) as refused:
        Webhook.of("https://hooks.example.com/a", secret)
    assert not secret or secret not in str(refused.value)


def test_a_secret_without_an_address_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match="TENURE_ALERT_WEBHOOK is not: set both"):
        Webhook.of("", SECRET)


def test_a_webhook_does_not_show_its_secret() -> None:
    assert repr(KEY) not in repr(Webhook.of("https://hooks.example.com/a", SECRET))
