"""The one retry map: which failures of Claude and of the way to it are worth another attempt, and when.

The Anthropic client itself never retries (`max_retries=0`): Temporal owns retries, so that every attempt is in history.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cache

from tenure.errors import ClaudeUnavailable

PASSING = {"overloaded_error", "api_error", "rate_limit_error", "timeout_error"}
LONGEST_WAIT = 86_400.0  # seconds: a `retry-after` beyond a day is not meant for a retry


class Posture(enum.Enum):
    """What to do about a class of failures."""

    RETRY = "retry"
    STOP = "stop"


@dataclass(frozen=True)
class Advice:
    """`posture`, and after how many seconds to try again where the server said so."""

    posture: Posture
    after: float | None = None


def advise(error: BaseException) -> Advice:
    """What to do about `error`: the class decides, `x-should-retry` overrules it, `retry-after` times it.

    A spend limit is never retried, whatever its headers say: time does not heal it.
    """
    posture = posture_of(type(error))
    if getattr(error, "status_code", None) == 200:  # an error event in the middle of a stream that began well
        posture = Posture.RETRY if getattr(error, "type", None) in PASSING else Posture.STOP
    headers: Mapping[str, str] = getattr(getattr(error, "response", None), "headers", {})
    told = headers.get("x-should-retry")
    if told in ("true", "false") and type(error) not in _final():
        posture = Posture.RETRY if told == "true" else Posture.STOP
    return Advice(posture, _wait(headers) if posture is Posture.RETRY else None)


def was_refused(error: BaseException) -> bool:
    """Whether the API answered that it has not done what it was asked: then it bills nothing.

    An error event in the middle of a stream comes with status 200, and after an answer that was lost nobody knows.
    """
    return int(getattr(error, "status_code", None) or 0) >= 400


def posture_of(kind: type[BaseException]) -> Posture:
    """The posture of the nearest class in `kind`'s own order of resolution; what nobody foresaw stops."""
    table = postures()
    return next((table[base] for base in kind.__mro__ if base in table), Posture.STOP)


def _wait(headers: Mapping[str, str]) -> float | None:
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        wait = _seconds(headers.get(name), headers.get("date"))
        if wait is not None and 0 <= wait * scale <= LONGEST_WAIT:
            return wait * scale
    return None


def _seconds(told: str | None, now: str | None) -> float | None:
    """A `retry-after` is a number, or an HTTP date (RFC 9110 section 10.2.3) that is read against the answer's own date."""
    if told is None:
        return None
    try:
        return float(told)
    except ValueError:
        pass
    try:
        return (parsedate_to_datetime(told) - parsedate_to_datetime(now or "")).total_seconds()
    except (ValueError, TypeError):
        return None


@cache
def _final() -> frozenset[type[BaseException]]:
    import anthropic as a

    return frozenset(
        {a.EnforcedSpendLimitReachedError, a.ContractSpendLimitReachedError, a.LinkedOrganizationSpendLimitReachedError}
    )


@cache
def postures() -> dict[type[BaseException], Posture]:
    """The map. Both libraries are imported here, lazily, because `anthropic` takes seconds to import."""
    import anthropic as a
    import httpx2 as h
    from anthropic.lib.credentials import WorkloadIdentityError

    retry: tuple[type[BaseException], ...] = (
        a.APIConnectionError, a.APITimeoutError, a.APIResponseValidationError, a.RetryableError,
        a.RequestTimeoutError, a.ConflictError, a.RateLimitError, a.RampLimitExceededError,
        a.InternalServerError, a.ServiceUnavailableError, a.GatewayTimeoutError, a.OverloadedError, a.DeadlineExceededError,
        h.TimeoutException, h.NetworkError, h.ProxyError, h.RemoteProtocolError, h.SSEError, h.DecodingError, h.StreamClosed,
        ClaudeUnavailable, ConnectionError, TimeoutError,
    )  # fmt: skip
    stop: tuple[type[BaseException], ...] = (
        a.AnthropicError, a.APIError, a.APIStatusError, a.APIWebhookValidationError,
        a.BadRequestError, a.AuthenticationError, a.PaymentRequiredError, a.PermissionDeniedError, a.NotFoundError,
        a.PreconditionFailedError, a.ContentTooLargeError, a.UnprocessableEntityError, a.RequestTooLargeError,
        a.RequestHeaderFieldsTooLargeError, a.ClientClosedRequestError, a.HTTPNotImplementedError,
        a.EnforcedSpendLimitReachedError, a.ContractSpendLimitReachedError, a.CredentialsError,
        a.LinkedOrganizationSpendLimitReachedError, a.OrganizationOnHoldError, WorkloadIdentityError,
        h.HTTPError, h.RequestError, h.TransportError, h.ProtocolError, h.LocalProtocolError, h.UnsupportedProtocol,
        h.TooManyRedirects, h.HTTPStatusError, h.InvalidURL, h.CookieConflict, h.StreamError,
    )  # fmt: skip
    return {**dict.fromkeys(stop, Posture.STOP), **dict.fromkeys(retry, Posture.RETRY)}
