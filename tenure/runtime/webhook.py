"""The webhook: where people have their alerts sent, signed so that whoever receives one knows who wrote it and when.

Source: the Standard Webhooks specification 1.0 (standardwebhooks.com): the headers, `v1` signatures, `whsec_` secrets.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import ipaddress
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from tenure.errors import ConfigError
from tenure.optimize import money
from tenure.runtime.store.alerts import Alert
from tenure.wire import JsonObject

if TYPE_CHECKING:
    from httpx2 import AsyncClient

SETTING, SECRET = "TENURE_ALERT_WEBHOOK", "TENURE_ALERT_WEBHOOK_SECRET"
PREFIX = "whsec_"
SHORTEST, LONGEST = 24, 64  # bytes of a secret, by the specification
FIRST_MS, SLOWEST_MS = 5_000, 3_600_000  # before the second attempt, and between attempts later on
TAKEN = range(200, 300)


@dataclass(frozen=True)
class Webhook:
    """An address that takes alerts, within so many seconds."""

    url: str
    secret: bytes = field(repr=False)
    timeout: float = 10.0

    @classmethod
    def of(cls, url: str, secret: str) -> Webhook | None:
        """The one that the settings name; None where they name none. Raises ConfigError, naming the setting."""
        if not url and not secret:
            return None
        if not url:
            raise ConfigError(f"{SECRET} is set, but {SETTING} is not: set both, or neither")
        _check(url)
        return cls(url, _key(secret))

    @property
    def host(self) -> str:
        """Whom it tells: of the address no more, which may hold a secret."""
        return urlsplit(self.url).netloc

    @asynccontextmanager
    async def client(self) -> AsyncGenerator[AsyncClient]:
        """What to `post` with."""
        import httpx2  # takes its time to import

        # A proxy of the environment is for the world outside: what listens on this machine is not asked through it.
        async with httpx2.AsyncClient(follow_redirects=False, trust_env=self.url.startswith("https:")) as client:
            yield client

    async def post(self, client: AsyncClient, key: str, told: JsonObject, at: int) -> str:
        """Send it once, at that time (milliseconds): empty when it was taken, else what went wrong. Never raises."""
        body = json.dumps(told, separators=(",", ":")).encode()
        headers = {"content-type": "application/json", **signed(self.secret, key, at // 1000, body)}
        try:
            async with asyncio.timeout(self.timeout):  # of the whole: an answer that drips is none
                async with client.stream("POST", self.url, content=body, headers=headers) as answer:
                    return "" if answer.status_code in TAKEN else f"HTTP {answer.status_code}"
        except TimeoutError:
            return f"no answer within {self.timeout:g} s"
        except Exception as error:  # noqa: BLE001  # whatever the transport raises, the alert waits for the next attempt
            return f"{type(error).__name__}: {str(error)[:200]}"


def signed(secret: bytes, key: str, seconds: int, body: bytes) -> dict[str, str]:
    """The headers that say which message this is, when it was sent, and who wrote it."""
    digest = hmac.digest(secret, f"{key}.{seconds}.".encode() + body, hashlib.sha256)
    signature = f"v1,{base64.b64encode(digest).decode()}"
    return {"webhook-id": key, "webhook-timestamp": str(seconds), "webhook-signature": signature}


def document(alert: Alert, key: str) -> JsonObject:
    """What is sent of an alert: amounts in micro-dollars and, as text, in dollars; the time in milliseconds."""
    return {
        "type": "budget.alert",
        "id": key,
        "scope": alert.scope,
        "subject": alert.subject,
        "period": alert.period,
        "threshold": alert.threshold,
        "operator_cap": bool(alert.operator),
        "cap": alert.cap,
        "cap_dollars": money.shown(alert.cap).removeprefix("$"),
        "spent": alert.spent,
        "spent_dollars": money.shown(alert.spent).removeprefix("$"),
        "at": alert.at,
    }


def key_of(alert: Alert, store: str) -> str:
    """The same for every attempt at an alert, and for no other alert of any installation."""
    return f"alert-{store}-{alert.id}"


def pause(attempts: int, luck: float) -> int:
    """Milliseconds until the next attempt after so many: twice as long each time, an hour at most; `luck` (0 to 1) spreads them."""
    return round(min(FIRST_MS * 2 ** min(attempts - 1, 20), SLOWEST_MS) * (0.75 + luck / 2))


def _check(url: str) -> None:
    try:
        found = urlsplit(url)
        problem = _problem(found, found.port)
    except ValueError as error:
        problem = str(error)
    if problem:
        shown = url.partition("?")[0] if "@" not in url else "..."  # what is before an @ may be a password
        raise ConfigError(f"{SETTING}={shown!r:.120}: {problem}: write https://HOST/PATH; http:// only to this machine")


def _problem(url: SplitResult, port: int | None) -> str:
    if url.scheme not in ("https", "http"):
        return "must be an https address"
    if not url.hostname or port == 0:
        return "names no host"
    if url.username is not None or url.password is not None:
        return "must hold no user and no password"
    if url.scheme == "http" and not _is_loopback(url.hostname):
        return "anybody on the way could read and change what is sent over http"
    return ""


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(PREFIX) or not SHORTEST <= len(key) <= LONGEST:
        made = f"printf {PREFIX}; head -c 32 /dev/urandom | base64"
        raise ConfigError(
            f"{SECRET}: must be {PREFIX} and {SHORTEST} to {LONGEST} bytes in base64, as the receiver has it: `{made}` makes one"
        )
    return key
