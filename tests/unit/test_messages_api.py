"""The Messages API as the stand-in speaks it to raw HTTP: what it refuses, and in which words."""

import asyncio
from typing import Any

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


def strict(*properties: Json, **changes: Any) -> Json:  # Any: JSON
    """A tool whose calls are guaranteed, its schema that of an object with these properties."""
    named = {f"p{index}": schema for index, schema in enumerate(properties)}
    schema = {"type": "object", "properties": named, "required": [*named]}
    return {"name": "get_x", "strict": True, "input_schema": {**schema, "additionalProperties": False, **changes}}


def strict_tools(*tools: Json) -> Json:
    return {"tools": [{**each, "name": f"get_{index}"} for index, each in enumerate(tools)]}


EPHEMERAL: Json = {"cache_control": {"type": "ephemeral"}}
HOUR: Json = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
MARKED: Block = {**text("Hi"), **EPHEMERAL}
THOUGHT: Block = {"type": "thinking", "thinking": "So.", "signature": "c2ln"}


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
    (tool(input_schema={"type": 7}), "tools.0.custom.input_schema.type: Input should be a valid string"),
    (tool(input_schema=[]), "tools.0.custom.input_schema: Input should be a valid dictionary"),
    (tool(name=7), "tools.0.custom.name: Input should be a valid string"),
    (tool(name=None), "tools.0.custom.name: Field required"),
    ({"tools": ["get_x"]}, "tools.0: Input should be a valid dictionary"),
    ({"system": 7}, "system: Input should be a valid list"),
    ({"system": ["Be brief."]}, "system.0: Input should be a valid dictionary"),
    ({"system": [{"type": "image"}]}, "system.0.type: Input should be 'text'"),
    (talk([MARKED] * 5), "A maximum of 4 blocks with cache_control may be provided. Found 5."),
    ({**talk([MARKED] * 3), **tool(**EPHEMERAL), "system": [MARKED]}, "Found 5."),
    (talk([{**text(""), **EPHEMERAL}]), "messages.0.content.0.text: cache_control cannot be set for empty text blocks"),
    ({"system": [{**text(""), **EPHEMERAL}]}, "system.0: cache_control cannot be set for empty text blocks"),
    (talk("Hi", [{**THOUGHT, **EPHEMERAL}]), "messages.1.content.0.thinking.cache_control: Extra inputs are not"),
    (talk([{**text("Hi"), "cache_control": True}]), "content.0.text.cache_control: Input should be a valid dictionary"),
    (tool(cache_control={}), "tools.0.custom.cache_control: Unable to extract tag using discriminator 'type'"),
    (tool(cache_control={"type": "eternal"}), "tools.0.custom.cache_control: Input tag 'eternal' found using 'type'"),
    (
        {"system": [{**text("Hi"), "cache_control": {"type": "ephemeral", "ttl": "2h"}}]},
        "system.0.cache_control.ephemeral.ttl: Input should be '5m' or '1h'",
    ),
    (
        {**talk([{**text("Hi"), **HOUR}]), "system": [MARKED]},
        "messages.0.content.0.cache_control.ttl: a ttl='1h' cache_control block must not come after a ttl='5m'",
    ),
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
    {"system": [text("Be brief."), {**text("Be kind."), **HOUR}], **talk([MARKED] * 3)},
    talk("Hi", [{**CALL, **EPHEMERAL}], [{**RESULT, **EPHEMERAL}, {**text("So?"), "cache_control": None}]),
    {**tool(**HOUR), **talk("Hi", [THOUGHT, {**MARKED, **HOUR}, MARKED])},
    tool(input_schema={"type": "object", "properties": {"a.B-9_": {"anyOf": [True]}}, "patternProperties": {}}),
]


@pytest.mark.parametrize("change", VALID)
async def test_a_request_the_api_would_take_is_taken(http: httpx2.AsyncClient, change: Json) -> None:
    with ScriptedClaude(lambda body: "Hi.") as claude:
        response = await http.post(claude.url + "?beta=true", json={**ASK, **change})
    assert response.status_code == 200


ANY: Json = {"type": "string"}
CIRCLE = {name: {"type": "array", "items": {"$ref": f"#/$defs/{to}"}} for name, to in ("ab", "bc", "ca")}

UNFIT: list[tuple[Json, str]] = [
    (
        tool(input_schema={"type": "object", "oneOf": []}),
        ".input_schema: input_schema does not support oneOf, allOf, or",
    ),
    (
        tool(input_schema={"type": "object", "anyOf": []}),
        ".input_schema: input_schema does not support oneOf, allOf, or",
    ),
    (
        tool(input_schema={"type": "object", "properties": {"filter[id]": ANY}}),
        "tools.0.custom.input_schema.properties: Property keys should match pattern '^[a-zA-Z0-9_.-]{1,64}$'",
    ),
    (tool(input_schema={"type": "object", "properties": {"a" * 65: ANY}}), "Property keys should match pattern"),
    ({"tools": tool()["tools"] * 2}, "tools: Tool names must be unique."),
    (
        {"tools": [{"type": "web_search_20250305", "name": "get_x"}, *tool()["tools"]]},
        "tools: Tool names must be unique.",
    ),
    (strict_tools(*[strict()] * 21), "Too many strict tools (21). The maximum number of strict tools supported is 20."),
    (strict_tools(*[strict(*[ANY] * 5, required=[])] * 5), "Schemas contains too many optional parameters (25)"),
    (strict_tools(strict(*[{"type": ["string", "null"]}] * 17)), "(17 parameters with type arrays or anyOf)"),
    (strict_tools(*[strict(*[{"anyOf": [ANY]}] * 9)] * 2), "(18 parameters with type arrays or anyOf)"),
    (strict_tools(strict(additionalProperties=True)), "'additionalProperties: true' is not supported. Please set"),
    (strict_tools(strict(additionalProperties=ANY)), "'additionalProperties: object' is not supported. Please set"),
    (
        strict_tools(strict({"type": "object"})),
        "tools.0.custom: For 'object' type, 'additionalProperties' must be explicitly set to false",
    ),
    (strict_tools(strict(patternProperties={})), "For 'object' type, property 'patternProperties' is not supported"),
    (
        strict_tools(strict({"type": "integer", "minimum": 0, "maximum": 9})),
        "tools.0.custom: For 'integer' type, properties maximum, minimum are not supported",
    ),
    (strict_tools(strict({"type": "number", "multipleOf": 2})), "For 'number' type, property 'multipleOf' is not"),
    (strict_tools(strict({"type": "string", "minLength": 1})), "For 'string' type, property 'minLength' is not"),
    (strict_tools(strict({"type": "array", "maxItems": 3})), "For 'array' type, property 'maxItems' is not supported"),
    (strict_tools(strict({"type": "array", "uniqueItems": True})), "For 'array' type, property 'uniqueItems' is not"),
    (
        strict_tools(strict({"type": "array", "minItems": 2})),
        "For 'array' type, 'minItems' values other than 0 or 1 are not supported (got: 2)",
    ),
    (strict_tools(strict({"type": "array", "items": {"type": "integer", "minimum": 0}})), "property 'minimum' is not"),
    (strict_tools(strict({"anyOf": [{"type": "integer", "minimum": 0}]})), "property 'minimum' is not supported"),
    (
        strict_tools(strict(**{"$defs": {"a": {"type": "integer", "minimum": 0}}})),
        "property 'minimum' is not supported",
    ),
    (strict_tools(strict({"type": "string", "items": ANY})), "For 'string' type, property 'items' is not supported"),
    (strict_tools(strict({"oneOf": [ANY]})), "Schema type 'oneOf' is not supported"),
    (strict_tools(strict({"not": ANY})), "Schema type 'not' is not supported"),
    (strict_tools(strict({"type": "any"})), "Schema type 'any' is not supported"),
    (strict_tools(strict({})), "Schema must have a 'type'"),
    (strict_tools(strict({"type": "string", "format": "regex"})), "'format' 'regex' is not supported"),
    (strict_tools(strict({"type": "string", "pattern": "^(?=a)"})), "'pattern' '^(?=a)' is not supported"),
    (strict_tools(strict({"enum": ["a", {"b": 1}]})), "'enum' must hold strings, numbers, booleans or null"),
    (strict_tools(strict({"allOf": [{"$ref": "#/$defs/a"}]}, **{"$defs": {"a": ANY}})), "'allOf' with '$ref' is not"),
    (strict_tools(strict({"$ref": "https://example.com/a"})), "External references are not supported"),
    (strict_tools(strict({"$ref": "#/$defs/a"})), "Invalid schema: Reference to non-existent definition: #/$defs/a"),
    (
        strict_tools(strict({"$ref": "#/$defs/a"}, **{"$defs": CIRCLE})),
        "Circular reference detected in schema definitions: a -> b -> c -> a. Self-",
    ),
    (strict_tools(strict({"$ref": "#"})), "Circular reference detected in schema definitions: # -> #."),
]


@pytest.mark.parametrize(("change", "complaint"), UNFIT, ids=[complaint[:60] for _, complaint in UNFIT])
async def test_a_tool_the_api_would_refuse_is_refused_in_its_words(
    client: anthropic.AsyncAnthropic, change: Json, complaint: str
) -> None:
    with ScriptedClaude(["Hi."]) as claude, pytest.raises(anthropic.BadRequestError) as caught:
        await created(client, claude, **change)
    assert complaint in str(caught.value.api_message)


EVERYTHING: list[Json] = [
    *({"type": name} for name in ("string", "integer", "number", "boolean", "null")),
    *({"type": "string", "format": name} for name in ("date-time", "email", "uuid")),
    {"type": "string", "pattern": r"^\d{4}-[a-z]+$", "title": "P", "description": "A year.", "default": "2026-x"},
    {"enum": ["a", 1, 2.5, True, None]},
    {"const": "a"},
    {"type": "array", "items": {"$ref": "#/$defs/point"}, "minItems": 1},
    {"anyOf": [{"$ref": "#/$defs/point"}, {"type": "null"}], "default": None},
    {"allOf": [{"type": "string"}]},
]
POINT: Json = {"$defs": {"point": {"type": "object", "properties": {"x": ANY}, "additionalProperties": False}}}
FIT: list[Json] = [
    strict_tools(strict(*EVERYTHING, **POINT, **{"$schema": "https://json-schema.org/draft/2020-12/schema"})),
    strict_tools(*[strict()] * 20, *tool()["tools"]),
    strict_tools(*[strict(*[ANY] * 6, required=[])] * 4, strict(*[ANY] * 9)),
    strict_tools(*[strict(*[{"type": ["string", "null"]}] * 8)] * 2),
    tool(strict=False, input_schema={"type": "object", "properties": {"a": {"type": "integer", "minimum": 0}}}),
    tool(input_schema={"type": "object", "properties": {"a": {"oneOf": [ANY, {"$ref": "#"}]}}}),
]


@pytest.mark.parametrize("change", FIT)
async def test_a_tool_the_api_would_take_is_taken(client: anthropic.AsyncAnthropic, change: Json) -> None:
    with ScriptedClaude(["Hi."]) as claude:
        assert dumped(await created(client, claude, **change)) == [text("Hi.")]


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
