"""The faults the stand-in can have, as the real Anthropic client meets them."""

import asyncio
import time

import anthropic
import httpx2
import pytest
from anthropic import APIStatusError, AsyncAnthropic

from tenure.testing.scripted_claude import (
    Reply,
    ScriptedClaude,
    api_error,
    cut,
    overloaded,
    rate_limited,
    server_error,
    slow,
    spend_limit,
    text,
    tool_use,
)
from tests.unit.asking import ASK, Ask, Json, created, dumped, streamed

pytestmark = pytest.mark.filterwarnings("error")

# ------------------------------------------------------------------------------------------------------------ faults

ERRORS: list[tuple[Reply, type[APIStatusError], str]] = [
    (overloaded(), anthropic.OverloadedError, "overloaded_error"),
    (rate_limited(), anthropic.RateLimitError, "rate_limit_error"),
    (spend_limit(), anthropic.EnforcedSpendLimitReachedError, "rate_limit_error"),
    (spend_limit(contract=True), anthropic.ContractSpendLimitReachedError, "rate_limit_error"),
    (server_error(), anthropic.InternalServerError, "api_error"),
    (api_error(504, "timeout_error", "Timed out"), anthropic.GatewayTimeoutError, "timeout_error"),
    (api_error(413, "request_too_large", "Too large"), anthropic.ContentTooLargeError, "request_too_large"),
    (api_error(402, "billing_error", "No credit"), anthropic.PaymentRequiredError, "billing_error"),
]


@pytest.mark.parametrize(("fault", "error", "kind"), ERRORS, ids=[error.__name__ for _, error, _ in ERRORS])
async def test_a_fault_is_the_error_class_that_the_real_client_raises(
    client: AsyncAnthropic, ask: Ask, fault: Reply, error: type[APIStatusError], kind: str
) -> None:
    with ScriptedClaude(["Hi."]) as claude:
        claude.interrupt(fault)
        with pytest.raises(APIStatusError) as caught:
            await ask(client, claude)
    assert type(caught.value) is error
    assert (caught.value.type, caught.value.request_id) == (kind, claude.requests[0].id)
    assert set(caught.value.response.json()) == {"type", "error", "request_id"}


async def test_faults_come_in_order_and_before_the_script(client: AsyncAnthropic, ask: Ask) -> None:
    with ScriptedClaude(["Hi."]) as claude:
        claude.interrupt(rate_limited(), server_error())
        for error in (anthropic.RateLimitError, anthropic.InternalServerError):
            with pytest.raises(error):
                await ask(client, claude)
        assert dumped(await ask(client, claude)) == [text("Hi.")]


async def test_an_error_carries_the_hints_it_was_given(client: AsyncAnthropic, ask: Ask) -> None:
    with ScriptedClaude(["Hi."]) as claude:
        claude.interrupt(rate_limited(retry_after=2, retry_after_ms=1500, should_retry=True), overloaded())
        with pytest.raises(anthropic.RateLimitError) as hinted:
            await ask(client, claude)
        with pytest.raises(anthropic.OverloadedError) as bare:
            await ask(client, claude)
    names = ("retry-after", "retry-after-ms", "x-should-retry")
    assert [hinted.value.response.headers.get(name) for name in names] == ["2", "1500", "true"]
    assert [bare.value.response.headers.get(name) for name in names] == [None, None, None]


async def test_the_real_client_obeys_the_hints(client: AsyncAnthropic) -> None:
    retrying = client.with_options(max_retries=1)
    with ScriptedClaude(["Hi."]) as claude:
        claude.interrupt(overloaded(retry_after_ms=1))
        assert dumped(await created(retrying, claude)) == [text("Hi.")]
        claude.interrupt(overloaded(should_retry=False))
        with pytest.raises(anthropic.OverloadedError):
            await created(retrying, claude)
    assert len(claude.requests) == 3


async def test_a_cut_answer_is_a_connection_error_of_the_client(client: AsyncAnthropic) -> None:
    with ScriptedClaude(["Hi."]) as claude:
        claude.interrupt(cut())
        with pytest.raises(anthropic.APIConnectionError) as caught:
            await created(client, claude)
    assert isinstance(caught.value.__cause__, httpx2.RemoteProtocolError)


async def test_a_cut_stream_is_an_error_of_the_transport_after_some_events(client: AsyncAnthropic) -> None:
    seen = list[str]()
    with ScriptedClaude([cut("Never whole", after=4)]) as claude:
        stream = await client.with_options(base_url=claude.base_url).messages.create(**ASK, stream=True)
        with pytest.raises(httpx2.RemoteProtocolError):
            async for event in stream:
                seen.append(event.type)
    assert seen == ["message_start", "content_block_start", "content_block_delta"]


async def test_a_cut_before_the_first_byte_is_a_connection_error(client: AsyncAnthropic, ask: Ask) -> None:
    with ScriptedClaude([cut(after=0)]) as claude, pytest.raises(anthropic.APIConnectionError) as caught:
        await ask(client, claude)
    assert "without sending a response" in str(caught.value.__cause__)


async def test_an_error_in_the_middle_of_a_stream_has_status_200_and_its_own_type(
    client: AsyncAnthropic,
) -> None:
    with ScriptedClaude([cut(overloaded())]) as claude, pytest.raises(APIStatusError) as caught:
        await streamed(client, claude)
    assert type(caught.value) is APIStatusError
    assert (caught.value.status_code, caught.value.type) == (200, "overloaded_error")


async def test_silence_in_the_middle_ends_by_the_read_timeout(client: AsyncAnthropic) -> None:
    impatient = client.with_options(timeout=0.1)
    with ScriptedClaude([cut(ending="stalled")]) as claude:
        with pytest.raises(anthropic.APITimeoutError):
            await created(impatient, claude)
        with pytest.raises(httpx2.ReadTimeout):
            await streamed(impatient, claude)


async def test_a_stream_that_ends_too_early_as_if_complete_has_no_stop_reason_and_raises_nothing(
    client: AsyncAnthropic,
) -> None:
    half_a_call = cut(tool_use("delete", prefix="a", dry_run=True), after=4, ending="complete")
    with ScriptedClaude([half_a_call]) as claude:
        message = await streamed(client, claude)
        with pytest.raises(ValueError, match="line 1 column"):
            await created(client, claude)
    assert message.stop_reason is None
    assert dumped(message)[0]["input"] != {"prefix": "a", "dry_run": True}


async def test_a_slow_turn_comes_late_and_times_out_an_impatient_client(client: AsyncAnthropic, ask: Ask) -> None:
    with ScriptedClaude([slow("Hi.", 0.05)], latency=0.05) as claude:
        message = await ask(client, claude)
        assert time.monotonic() - claude.requests[0].at >= 0.1
        with pytest.raises(anthropic.APITimeoutError):
            await ask(client.with_options(timeout=0.05), claude)
    assert dumped(message) == [text("Hi.")]


async def test_an_outage_is_a_stop_and_a_start(client: AsyncAnthropic, ask: Ask) -> None:
    with ScriptedClaude(["Hi."]) as claude:
        url = claude.base_url
        claude.stop()
        with pytest.raises(RuntimeError, match="not running"):
            _ = claude.base_url
        with pytest.raises(anthropic.APIConnectionError):
            await client.with_options(base_url=url).messages.create(**ASK)
        assert claude.start().base_url == url
        assert dumped(await ask(client, claude)) == [text("Hi.")]


async def test_stopping_does_not_wait_for_a_slow_turn(client: AsyncAnthropic) -> None:
    arrived = asyncio.Event()
    loop = asyncio.get_running_loop()

    def script(body: Json) -> Reply:
        loop.call_soon_threadsafe(arrived.set)
        return slow("Too late.", 600)

    with ScriptedClaude(script) as claude:
        asking = asyncio.create_task(created(client, claude))
        await arrived.wait()
    with pytest.raises(anthropic.APIConnectionError):
        await asking
