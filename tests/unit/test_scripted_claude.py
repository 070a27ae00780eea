"""What ScriptedClaude promises, seen through the real Anthropic client and, for what that never sends, raw HTTP."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import pytest
from anthropic import APIStatusError, AsyncAnthropic
from anthropic.types import Message

from tenure.testing.scripted_claude import (
    Block,
    Reply,
    Script,
    ScriptedClaude,
    api_error,
    block,
    cut,
    overloaded,
    pause,
    rate_limited,
    refusal,
    server_error,
    slow,
    spend_limit,
    text,
    thinking,
    tool_use,
)

pytestmark = pytest.mark.filterwarnings("error")

Json = dict[str, Any]  # Any: the tests send and read JSON as it comes
Ask = Callable[..., Awaitable[Message]]
HELLO: Json = {"role": "user", "content": "Hi, I'm alice@example.com."}
ASK: Json = {"model": "claude-sonnet-5-5", "max_tokens": 1024, "messages": [HELLO]}


@pytest.fixture
async def client() -> AsyncIterator[AsyncAnthropic]:
    # verify=False: loading certificates, which plain HTTP never needs, would be most of the time of these tests.
    http = anthropic.DefaultAsyncHttpxClient(verify=False)
    async with AsyncAnthropic(api_key="any", max_retries=0, http_client=http) as client:
        yield client


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(headers={"x-api-key": "any"}, verify=False) as http:
        yield http


async def created(client: AsyncAnthropic, claude: ScriptedClaude, **changes: Any) -> Message:
    return await client.with_options(base_url=claude.base_url).messages.create(**{**ASK, **changes}, stream=False)


async def streamed(client: AsyncAnthropic, claude: ScriptedClaude, **changes: Any) -> Message:
    async with client.with_options(base_url=claude.base_url).messages.stream(**{**ASK, **changes}) as stream:
        return await stream.get_final_message()


@pytest.fixture(params=[created, streamed])
def ask(request: pytest.FixtureRequest) -> Ask:
    """The same question without and with a stream."""
    return request.param  # pyright: ignore[reportUnknownVariableType]  pytest does not say what a param is


def dumped(message: Message) -> list[Json]:
    """The content as an agent keeps it."""
    return [part.model_dump(mode="json", exclude_unset=True) for part in message.content]


def answered(message: Message) -> list[Json]:
    """The assistant message and the results of its tools, as an agent sends them next."""
    content = dumped(message)
    calls = [part["id"] for part in content if part["type"] == "tool_use"]
    results = [{"type": "tool_result", "tool_use_id": call, "content": "ok"} for call in calls]
    return [{"role": "assistant", "content": content}, {"role": "user", "content": results or "And now?"}]


# ------------------------------------------------------------------------------------------------- turns on the wire


async def test_a_text_arrives_whole(client: AsyncAnthropic, ask: Ask) -> None:
    with ScriptedClaude([text("Grüße, 世界 🌍" * 100)]) as claude:
        message = await ask(client, claude)
    assert dumped(message) == [{"type": "text", "text": "Grüße, 世界 🌍" * 100}]
    assert (message.stop_reason, message.role, message.model) == ("end_turn", "assistant", "claude-sonnet-5-5")


async def test_a_tool_call_arrives_with_its_name_its_input_and_an_id(client: AsyncAnthropic, ask: Ask) -> None:
    with ScriptedClaude([tool_use("lookup_customer", name="Ä", id=7, nested={"a": [1, None, True]})]) as claude:
        message = await ask(client, claude)
    [call] = dumped(message)
    assert call["id"].startswith("toolu_")
    assert (call["name"], call["input"]) == (
        "lookup_customer",
        {"name": "Ä", "id": 7, "nested": {"a": [1, None, True]}},
    )
    assert message.stop_reason == "tool_use"


async def test_both_modes_deliver_the_same_message(client: AsyncAnthropic) -> None:
    turn = [thinking("Who is she?", signature="c2ln"), text("Let me look."), tool_use("a", x=1), tool_use("b")]
    with ScriptedClaude([turn]) as claude:
        whole, assembled = await created(client, claude), await streamed(client, claude)
    assert whole.to_dict() == Message.model_validate(assembled.to_dict()).to_dict()
    assert dumped(whole)[0] == {"type": "thinking", "thinking": "Who is she?", "signature": "c2ln"}
    assert len({call["id"] for call in dumped(whole)[2:]}) == 2


async def test_a_stream_has_the_events_of_the_api_in_their_order(client: AsyncAnthropic) -> None:
    with ScriptedClaude([text("Hi")]) as claude:
        stream = await client.with_options(base_url=claude.base_url).messages.create(**ASK, stream=True)
        events = [event async for event in stream]
    assert [event.type for event in events] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


async def test_a_block_of_a_type_yet_unknown_passes_intact(client: AsyncAnthropic, ask: Ask) -> None:
    with ScriptedClaude([[block(type="server_tool_thing", anything={"goes": [1]}), text("Done.")]]) as claude:
        message = await ask(client, claude)
    assert dumped(message)[0] == {"type": "server_tool_thing", "anything": {"goes": [1]}}
    assert message.stop_reason == "end_turn"


async def test_tool_json_cut_off_by_max_tokens_is_streamed_raw_and_empty_otherwise(
    client: AsyncAnthropic,
) -> None:
    with ScriptedClaude([tool_use("update", partial_json='{"a": 1, "b": "unfini')]) as claude:
        whole = await created(client, claude)
        stream = await client.with_options(base_url=claude.base_url).messages.create(**ASK, stream=True)
        events = [event async for event in stream]
    starts = [e.content_block for e in events if e.type == "content_block_start" and e.content_block.type == "tool_use"]
    deltas = [e.delta for e in events if e.type == "content_block_delta"]
    call: Json = {"type": "tool_use", "id": starts[0].id, "name": "update", "input": {}}
    assert (whole.stop_reason, dumped(whole)) == ("max_tokens", [call])
    assert [start.model_dump(exclude_unset=True) for start in starts] == [call]
    assert "".join(d.partial_json for d in deltas if d.type == "input_json_delta") == '{"a": 1, "b": "unfini'


async def test_a_refusal_has_its_stop_reason_and_details(client: AsyncAnthropic, ask: Ask) -> None:
    with ScriptedClaude([refusal(category="cyber", explanation="No.")]) as claude:
        message = await ask(client, claude)
    assert (message.stop_reason, message.content) == ("refusal", [])
    assert message.stop_details and message.stop_details.category == "cyber"


async def test_a_paused_turn_goes_on_when_it_is_sent_back(client: AsyncAnthropic, ask: Ask) -> None:
    with ScriptedClaude([pause("Searching"), "Found it."]) as claude:
        first = await ask(client, claude)
        second = await ask(client, claude, messages=[HELLO, answered(first)[0]])
    assert (first.stop_reason, second.stop_reason) == ("pause_turn", "end_turn")


async def test_a_reply_overrides_what_would_be_derived(client: AsyncAnthropic, ask: Ask) -> None:
    usage = {"input_tokens": 5, "cache_read_input_tokens": 900}
    with ScriptedClaude([Reply("Cut sho", stop_reason="max_tokens", usage=usage, headers={"x-a": "b"})]) as claude:
        message = await ask(client, claude)
    assert message.stop_reason == "max_tokens"
    assert (message.usage.input_tokens, message.usage.cache_read_input_tokens) == (5, 900)
    assert message.usage.output_tokens > 0


# ------------------------------------------------------------------------------------------------------------ tokens


async def test_usage_is_about_four_bytes_per_token_and_the_same_in_both_modes(client: AsyncAnthropic) -> None:
    with ScriptedClaude(["x" * 400]) as claude:
        whole = await created(client, claude, messages=[{"role": "user", "content": "y" * 4000}])
        assembled = await streamed(client, claude, messages=[{"role": "user", "content": "y" * 4000}])
    assert whole.usage.to_dict() == assembled.usage.to_dict()
    assert 1000 <= whole.usage.input_tokens < 1050
    assert 100 <= whole.usage.output_tokens < 120
    assert (whole.usage.cache_read_input_tokens, whole.usage.cache_creation_input_tokens) == (0, 0)


async def test_counting_tokens_gives_the_input_tokens_that_a_call_bills(client: AsyncAnthropic) -> None:
    with ScriptedClaude(["Hi."]) as claude:
        bare = await created(client, claude)
        message = await created(client, claude, system="Be brief.")
        counting = client.with_options(base_url=claude.base_url).messages.count_tokens
        count = await counting(model="claude-sonnet-5-5", system="Be brief.", messages=[{**HELLO}])  # pyright: ignore[reportArgumentType]  plain dicts
    assert count.input_tokens == message.usage.input_tokens > bare.usage.input_tokens
    assert len(claude.requests) == 2


async def test_what_was_billed_is_the_sum_of_all_usage_and_errors_are_free(client: AsyncAnthropic) -> None:
    with ScriptedClaude(["Hi."]) as claude:
        claude.interrupt(overloaded())
        with pytest.raises(anthropic.OverloadedError):
            await created(client, claude)
        usages = [(await created(client, claude)).usage for _ in range(3)]
    assert claude.billed == {
        "input_tokens": sum(usage.input_tokens for usage in usages),
        "output_tokens": sum(usage.output_tokens for usage in usages),
        "cache_read_input_tokens": 0,
        "cache_creation_input_tokens": 0,
    }


# ------------------------------------------------------------------------------------------------------------ script


async def test_a_conversation_gets_the_turn_of_its_number(client: AsyncAnthropic, ask: Ask) -> None:
    script = [
        tool_use("lookup_customer", email="alice@example.com"),
        [text("Let me look."), tool_use("get_tickets", customer_id="c1"), tool_use("get_x")],
        text("All done."),
    ]
    messages, said = [HELLO], list[list[str]]()
    with ScriptedClaude(script) as claude:
        for _ in script:
            message = await ask(client, claude, messages=messages)
            said.append([part["type"] for part in dumped(message)])
            messages += answered(message)
    assert said == [["tool_use"], ["text", "tool_use", "tool_use"], ["text"]]


async def test_a_retry_gets_the_same_turn_with_the_same_ids(client: AsyncAnthropic, ask: Ask) -> None:
    with ScriptedClaude([tool_use("get_x"), "Done."]) as claude:
        assert dumped(await ask(client, claude)) == dumped(await ask(client, claude))


async def test_a_script_at_its_end_says_so_and_is_not_retried(client: AsyncAnthropic, ask: Ask) -> None:
    talk = [HELLO, *[{"role": role, "content": "..."} for _ in range(3) for role in ("assistant", "user")]]
    with ScriptedClaude(["one", "two", "three"]) as claude, pytest.raises(anthropic.BadRequestError) as caught:
        await ask(client.with_options(max_retries=2), claude, messages=talk)
    assert "ScriptedClaude: the script has 3 turns and the conversation asks for a 4th" in str(caught.value.api_message)
    assert (caught.value.type, len(claude.requests)) == ("invalid_request_error", 1)


async def test_fifty_conversations_at_once_do_not_mix(client: AsyncAnthropic) -> None:
    def script(body: Json) -> list[Block] | str:
        turn = sum(message["role"] == "assistant" for message in body["messages"])
        return [tool_use("echo", said=body["messages"][0]["content"], turn=turn)] if turn < 3 else "Done."

    async def converse(number: int) -> list[Json]:
        messages: list[Json] = [{"role": "user", "content": f"I am {number}"}]
        for _ in range(4):
            messages += answered(await created(client, claude, messages=messages))
        return [part for message in messages[1::2] for part in message["content"]]

    with ScriptedClaude(script) as claude:
        conversations = await asyncio.gather(*map(converse, range(50)))
    for number, parts in enumerate(conversations):
        assert [part.get("input") for part in parts] == [
            *({"said": f"I am {number}", "turn": turn} for turn in range(3)),
            None,
        ]
    assert len({part["id"] for parts in conversations for part in parts[:3]}) == 150


async def polite(body: Json) -> str:
    await asyncio.sleep(0)
    return f"You said {len(body['messages'])}"


SCRIPTS: list[Script] = [
    "You said 1",
    text("You said 1"),
    ["You said 1"],
    [[text("You said 1")]],
    [["You said 1"]],
    (Reply("You said 1"),),
    lambda body: f"You said {len(body['messages'])}",
    lambda body: Reply([text(f"You said {len(body['messages'])}")]),
    polite,
]


@pytest.mark.parametrize("script", SCRIPTS)
async def test_a_script_is_turns_in_any_form_or_a_function(client: AsyncAnthropic, script: Script) -> None:
    async with ScriptedClaude(script) as claude:
        assert dumped(await created(client, claude)) == [text("You said 1")]


def failing(body: Json) -> str:
    raise KeyError("customer")


def silent(body: Json) -> None:
    pass


MISTAKES: list[tuple[object, str]] = [
    (failing, "the script raised KeyError('customer')"),
    (silent, "None is no turn"),
    ([tool_use("a", when=object())], "cannot be sent"),
    ([block("text")], "cannot be sent"),
]


@pytest.mark.parametrize(("script", "complaint"), MISTAKES)
async def test_a_mistake_in_a_script_is_named_and_not_retried(
    client: AsyncAnthropic,
    script: Any,  # Any: a mistake has no type
    complaint: str,
) -> None:
    with ScriptedClaude(script) as claude, pytest.raises(anthropic.BadRequestError) as caught:
        await streamed(client.with_options(max_retries=2), claude)
    assert complaint in str(caught.value.api_message)
    assert len(claude.requests) == 1


def test_a_list_that_holds_no_turns_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match="has no type"):
        ScriptedClaude([{"text": "Hi"}])
    with pytest.raises(TypeError, match="7 is no turn"):
        ScriptedClaude([7])  # pyright: ignore[reportArgumentType]  the mistake under test


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


# ------------------------------------------------------------------------------------------------- requests, raw HTTP


async def test_requests_are_recorded_in_order_of_arrival(client: AsyncAnthropic) -> None:
    with ScriptedClaude(["Hi."]) as claude:
        for system in ("first", "second"):
            await created(client, claude, system=system)
    first, second = claude.requests
    assert (first.body["system"], second.body["system"]) == ("first", "second")
    assert first.body["messages"] == [HELLO]
    assert first.headers["authorization"] == "Bearer any"
    assert first.at <= second.at and first.id != second.id


async def test_a_blocked_event_loop_does_not_block_the_server() -> None:
    with ScriptedClaude(["Hi."]) as claude, anthropic.Anthropic(base_url=claude.base_url, api_key="any") as blocking:
        assert dumped(blocking.messages.create(**ASK, stream=False)) == [text("Hi.")]


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"x-api-key": "k"}, 200), ({"Authorization": "Bearer k"}, 200), ({}, 401), ({"x-api-key": ""}, 401)],
)
async def test_either_kind_of_credential_will_do_and_none_will_not(headers: dict[str, str], status: int) -> None:
    async with httpx2.AsyncClient(headers=headers, verify=False) as http:
        with ScriptedClaude(["Hi."]) as claude:
            response = await http.post(claude.url, json=ASK)
    assert response.status_code == status
    assert status == 200 or response.json()["error"]["type"] == "authentication_error"


@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/complete"), ("GET", "/v1/messages"), ("GET", "/")])
async def test_an_unknown_endpoint_is_not_found(http: httpx2.AsyncClient, method: str, path: str) -> None:
    with ScriptedClaude(["Hi."]) as claude:
        response = await http.request(method, claude.base_url + path)
    assert (response.status_code, response.json()["error"]["type"]) == (404, "not_found_error")
    assert response.json()["request_id"] == response.headers["request-id"]


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b"[" * 100_000, b"[]", b'"hello"'])
async def test_a_body_that_is_no_json_object_is_an_invalid_request(http: httpx2.AsyncClient, raw: bytes) -> None:
    with ScriptedClaude(["Hi."]) as claude:
        response = await http.post(claude.url, content=raw)
    assert (response.status_code, response.json()["error"]["type"]) == (400, "invalid_request_error")
    assert claude.requests == []


CALL: Block = {"type": "tool_use", "id": "toolu_1", "name": "get_x", "input": {}}
RESULT: Block = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "ok"}


def talk(*contents: object) -> Json:
    """A conversation whose messages have these contents, the user's first."""
    return {"messages": [{"role": ("user", "assistant")[i % 2], "content": c} for i, c in enumerate(contents)]}


def tool(**changes: object) -> Json:
    return {"tools": [{"name": "get_x", "input_schema": {"type": "object"}, **changes}]}


INVALID: list[tuple[Json, str]] = [
    ({"model": None}, "model: Field required"),
    ({"max_tokens": None}, "max_tokens: Field required"),
    ({"max_tokens": "many"}, "max_tokens: Input should be a valid integer"),
    ({"messages": None}, "messages: Field required"),
    ({"messages": []}, "messages: at least one message is required"),
    ({"messages": "Hi"}, "messages: Input should be a valid list"),
    ({"messages": ["Hi"]}, "messages.0: Input should be a valid dictionary"),
    ({"messages": [{"role": "assistant", "content": "Hi"}]}, 'first message must use the "user" role'),
    ({"messages": [HELLO, {"role": "tool", "content": "Hi"}]}, "messages.1.role: Input should be one of"),
    ({"messages": [{"role": "user"}]}, "messages.0.content: Field required"),
    (talk("Hi", ["text"]), "messages.1.content.0: Input should be a valid dictionary"),
    (talk("Hi", [{"text": "x"}]), "messages.1.content.0.type: Field required"),
    (talk("Hi", [], "Ho"), "all messages must have non-empty content"),
    (talk(""), "all messages must have non-empty content"),
    (talk("Hi", [text("")], "Ho"), "text content blocks must be non-empty"),
    (talk("Hi", [CALL]), "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: toolu"),
    (talk("Hi", [CALL], "ok"), "`tool_use` ids were found without `tool_result` blocks"),
    (talk("Hi", [CALL], [text("First."), RESULT]), "`tool_use` ids were found without `tool_result` blocks"),
    (talk("Hi", [CALL, {**CALL, "id": "toolu_2"}], [RESULT]), "immediately after: toolu_2."),
    (talk("Hi", "Ho", [RESULT]), "messages.2.content.0: unexpected `tool_use_id` found in `tool_result` blocks: toolu"),
    (talk([RESULT]), "messages.0.content.0: unexpected `tool_use_id`"),
    (talk("Hi", [CALL], [RESULT], [CALL], [RESULT]), "messages.3: `tool_use` ids must be unique"),
    (talk("Hi", [CALL, CALL], [RESULT]), "messages.1: `tool_use` ids must be unique"),
    (talk("Hi", [{**CALL, "name": "get x"}], [RESULT]), "messages.1.content.0.tool_use.name: String should match"),
    (talk("Hi", [{**CALL, "input": "{}"}], [RESULT]), "messages.1.content.0.tool_use.input: Input should be a"),
    (tool(name="a" * 129), "tools.0.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'"),
    (tool(name="mcp.get", type="custom"), "tools.0.custom.name: String should match pattern"),
    (tool(input_schema=None), "tools.0.custom.input_schema: Field required"),
    (tool(input_schema={}), "tools.0.custom.input_schema.type: Field required"),
    (tool(input_schema={"type": "array"}), "tools.0.custom.input_schema.type: Input should be 'object'"),
]


@pytest.mark.parametrize(("change", "complaint"), INVALID, ids=[complaint[:60] for _, complaint in INVALID])
async def test_a_request_the_api_would_refuse_is_refused_in_its_words(
    http: httpx2.AsyncClient, change: Json, complaint: str
) -> None:
    with ScriptedClaude(["Hi."]) as claude:
        claude.interrupt(overloaded())
        response = await http.post(claude.url, json={**ASK, **change})
    assert (response.status_code, response.json()["error"]["type"]) == (400, "invalid_request_error")
    assert complaint in response.json()["error"]["message"]
    assert len(claude.requests) == 1


VALID: list[Json] = [
    talk("Hi", [CALL], [RESULT, text("And hurry.")]),
    talk("Hi", [text("One moment."), CALL, {**CALL, "id": "b"}], [{**RESULT, "tool_use_id": "b"}, RESULT]),
    talk("Hi", [block("server_tool_use", id="s", name="web_search", input={}), block("something_new")]),
    talk("Hi", ""),
    {"messages": [HELLO, HELLO, {"role": "system", "content": "Be brief."}]},
    {"tools": [{"type": "web_search_20250305", "name": "web_search"}], "unknown_field": 1},
    tool(type="custom", description="Get x."),
    tool(type=None),
]


@pytest.mark.parametrize("change", VALID)
async def test_a_request_the_api_would_take_is_taken(http: httpx2.AsyncClient, change: Json) -> None:
    with ScriptedClaude(lambda body: "Hi.") as claude:
        response = await http.post(claude.url + "?beta=true", json={**ASK, **change})
    assert response.status_code == 200


async def test_counting_tokens_needs_no_max_tokens_but_valid_messages(http: httpx2.AsyncClient) -> None:
    with ScriptedClaude(["Hi."]) as claude:
        good = await http.post(claude.url + "/count_tokens", json={"model": "m", "messages": [HELLO]})
        bad = await http.post(claude.url + "/count_tokens", json={"model": "m", "messages": []})
    assert (good.status_code, list(good.json())) == (200, ["input_tokens"])
    assert bad.status_code == 400


async def test_one_connection_serves_many_requests_errors_included(http: httpx2.AsyncClient) -> None:
    with ScriptedClaude(["Hi."]) as claude:
        claude.interrupt(overloaded())
        responses = [await http.post(claude.url, json=body) for body in (ASK, {}, ASK, {**ASK, "stream": True})]
    assert [response.status_code for response in responses] == [529, 400, 200, 200]
    assert len({response.extensions["network_stream"].get_extra_info("client_addr") for response in responses}) == 1


async def test_a_body_of_megabytes_is_read_whole(http: httpx2.AsyncClient) -> None:
    with ScriptedClaude(lambda body: str(len(body["messages"][0]["content"]))) as claude:
        response = await http.post(claude.url, json={**ASK, **talk("x" * 5_000_000)})
    assert response.json()["content"][0]["text"] == "5000000"


async def test_a_client_that_waits_for_100_continue_is_told_to_go_on() -> None:
    with ScriptedClaude(["Hi."]) as claude:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(claude.base_url.rpartition(":")[2]))
        writer.write(b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
        writer.write(b"{}")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 401")
        writer.close()


async def test_what_is_not_http_is_hung_up_on_and_harms_nobody_else(
    http: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with ScriptedClaude(["Hi."]) as claude:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(claude.base_url.rpartition(":")[2]))
        writer.write(b"EHLO example.com\r\n\r\n")
        assert await reader.read() == b""
        writer.close()
        assert (await http.post(claude.url, json=ASK)).status_code == 200
    assert [record for record in caplog.records if record.name == "asyncio"] == []


def test_a_port_in_use_is_an_error_at_the_start() -> None:
    with ScriptedClaude(["Hi."]) as claude, pytest.raises(OSError, match="in use"):
        ScriptedClaude(["Hi."], port=int(claude.base_url.rpartition(":")[2])).start()


# -------------------------------------------------------------------------------------------------------- standalone


@pytest.fixture
def standalone(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """ScriptedClaude in a process of its own, its script a module on the path."""
    (tmp_path / "a_script.py").write_text("turns = ['Hi from another process.']\n")
    root = Path(__file__).parents[2]
    path = os.pathsep.join([str(tmp_path), str(root)])
    env = {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": ""}
    command = [sys.executable, "-m", "tenure.testing.scripted_claude", "--script", "a_script:turns", "--latency=0.01"]
    with subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def close_stdin(process: subprocess.Popen[str]) -> None:
    assert process.stdin
    process.stdin.close()


def terminate(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)


@pytest.mark.parametrize("end", [close_stdin, terminate])
async def test_the_standalone_server_prints_its_url_and_serves_until_it_is_told_to_end(
    http: httpx2.AsyncClient, standalone: subprocess.Popen[str], end: Callable[[subprocess.Popen[str]], None]
) -> None:
    assert standalone.stdout
    base_url = standalone.stdout.readline().strip()
    response = await http.post(f"{base_url}/v1/messages", json=ASK)
    assert response.json()["content"] == [text("Hi from another process.")]
    end(standalone)
    assert standalone.wait(timeout=5) == 0
