"""The Messages API as the stand-in speaks it to raw HTTP: what it refuses, and in which words."""

import asyncio

import anthropic
import httpx2
import pytest
from anthropic import AsyncAnthropic

from tenure.testing.scripted_claude import (
    Block,
    ScriptedClaude,
    block,
    overloaded,
    text,
)
from tests.unit.asking import ASK, HELLO, Json, created, dumped

pytestmark = pytest.mark.filterwarnings("error")

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
