"""Every failure of the client and of its transport has a posture, and time heals only what it can."""

from __future__ import annotations

import anthropic
import httpx2
import pytest

from tenure.runtime.retry import Posture, advise, posture_of, postures

ROOTS = {anthropic.AnthropicError, anthropic.APIError, anthropic.APIStatusError, httpx2.HTTPError, httpx2.RequestError}


def error_classes(module: object) -> list[type[Exception]]:
    """What the library itself exports as errors: asked of the library, so that a new one fails this test."""
    found = [value for value in vars(module).values() if isinstance(value, type) and issubclass(value, Exception)]
    return sorted(set(found), key=lambda kind: kind.__name__)


def subclasses(kind: type) -> set[type]:
    return {kind}.union(*(subclasses(sub) for sub in kind.__subclasses__()))


@pytest.mark.parametrize("kind", [*error_classes(anthropic), *error_classes(httpx2)], ids=lambda kind: kind.__name__)
def test_every_exported_error_is_foreseen_by_its_own_class_or_by_its_status(kind: type[Exception]) -> None:
    nearest = next(base for base in kind.__mro__ if base in postures())
    assert nearest is kind or nearest not in ROOTS, f"{kind.__name__} is only foreseen as {nearest.__name__}"


def test_every_error_of_a_status_follows_its_status() -> None:
    for kind in subclasses(anthropic.BadRequestError) | subclasses(anthropic.PermissionDeniedError):
        assert posture_of(kind) is Posture.STOP, kind
    for kind in subclasses(anthropic.ServiceUnavailableError) | subclasses(anthropic.OverloadedError):
        assert posture_of(kind) is Posture.RETRY, kind


def test_what_nobody_foresaw_stops() -> None:
    assert posture_of(KeyError) is Posture.STOP


def status_error(kind: type[anthropic.APIStatusError], status: int, body: object = None, **headers: str) -> Exception:
    request = httpx2.Request("POST", "http://127.0.0.1/v1/messages")
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return kind("said", response=httpx2.Response(status, headers=named, request=request), body=body)


def test_retry_after_is_honoured_in_all_its_forms() -> None:
    limited = anthropic.RateLimitError
    assert advise(status_error(limited, 429, retry_after="7")).after == 7
    assert advise(status_error(limited, 429, retry_after="7", retry_after_ms="1500")).after == 1.5
    dated = status_error(
        limited, 429, retry_after="Sat, 21 Nov 2026 10:00:30 GMT", date="Sat, 21 Nov 2026 10:00:00 GMT"
    )
    assert advise(dated).after == 30
    for nonsense in ("soon", "-5", "nan", "1e9"):
        assert advise(status_error(limited, 429, retry_after=nonsense)).after is None


def test_the_server_may_overrule_the_class_but_not_for_a_spend_limit() -> None:
    assert advise(status_error(anthropic.BadRequestError, 400, x_should_retry="true")).posture is Posture.RETRY
    assert advise(status_error(anthropic.InternalServerError, 500, x_should_retry="false")).posture is Posture.STOP
    for kind in (anthropic.EnforcedSpendLimitReachedError, anthropic.ContractSpendLimitReachedError):
        assert advise(status_error(kind, 429, x_should_retry="true", retry_after="1")).posture is Posture.STOP


def test_an_error_in_the_middle_of_a_stream_is_judged_by_its_type() -> None:
    for kind, posture in (("overloaded_error", Posture.RETRY), ("invalid_request_error", Posture.STOP)):
        error = status_error(anthropic.APIStatusError, 200, {"type": "error", "error": {"type": kind, "message": "x"}})
        assert advise(error).posture is posture
