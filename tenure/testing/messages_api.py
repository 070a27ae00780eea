"""The wire format of Claude's Messages API: which requests it rejects, and how a Reply becomes JSON or events.

No I/O here: `check_request` and `encode` are functions of values, the server that drives them is `scripted_claude`.
Source: https://docs.claude.com/en/api/messages, /messages-streaming and /errors.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, takewhile
from typing import Any, Literal, TypedDict, TypeVar, Unpack, cast

from tenure.testing import prompt_cache, tool_schemas
from tenure.testing.prompt_cache import Bill, dumps, measured, tokens
from tenure.testing.tool_schemas import NAME

Json = dict[str, Any]  # Any: a JSON object has whatever shape its sender chose
Block = Json

Ending = Literal["closed", "stalled", "complete"]
"""How a cut answer ends: with its connection, in silence on an open one, or as if it were complete."""

# ------------------------------------------------------------------------------------------------ what a script says


@dataclass(frozen=True)
class Reply:
    """One answer of the stand-in: a turn of Claude, or a fault.

    `content` is a block, several, or a text. What is left out is derived: `stop_reason` from the blocks, `usage` from
    their size (about 4 bytes of JSON per token) and what of the prompt is cached; a `usage` given here overrides it
    field by field. `latency` is seconds before the first byte. `error` is the `error` object of the API's error body,
    sent under `status`.

    `cut_after` breaks the answer off after so many events of a stream, or half of a JSON body; 0 is before the first
    byte. `ending` is what happens then (see `Ending`); with an `error`, the stream ends under status 200 in that event.
    """

    content: str | Block | Sequence[str | Block] = ()
    stop_reason: str | None = None
    usage: Mapping[str, Any] | None = None  # Any: `cache_creation` and others are objects
    latency: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    status: int = 200
    error: Json | None = None
    cut_after: int | None = None
    ending: Ending = "closed"
    stop_details: Json | None = None

    def __post_init__(self) -> None:
        for block in self.blocks:
            if "type" not in block:
                raise TypeError(f"{block!r} has no type: make blocks with text(), tool_use(), thinking() or block()")

    @property
    def blocks(self) -> list[Block]:
        """The content as blocks, texts included."""
        parts = [self.content] if isinstance(self.content, str | dict) else self.content
        return [{"type": "text", "text": part} if isinstance(part, str) else part for part in parts]


Turn = str | Block | Sequence[str | Block] | Reply


def as_reply(turn: object) -> Reply:
    """Whatever may stand for a turn in a script, as a Reply; TypeError if it may not."""
    if isinstance(turn, Reply):
        return turn
    if isinstance(turn, str | dict | list | tuple):
        return Reply(cast(Sequence[Block], turn))  # what its elements are, Reply sees
    raise TypeError(f"{turn!r} is no turn: give a text, a block, a list of blocks or a Reply")


class RetryHints(TypedDict, total=False):
    """What an error says about trying again, each in its header: seconds, milliseconds, true or false."""

    retry_after: float
    retry_after_ms: float
    should_retry: bool


def api_error(
    status: int, type: str, message: str, *, details: Json | None = None, **hints: Unpack[RetryHints]
) -> Reply:
    """Any error of the API; `details={"error_code": ...}` chooses the client's class where the status does not."""
    error: Json = {"type": type, "message": message}
    return Reply(
        status=status,
        error=error if details is None else {**error, "details": details},
        headers={_HINTS[name]: json.dumps(value) for name, value in hints.items()},
    )


_HINTS = {"retry_after": "retry-after", "retry_after_ms": "retry-after-ms", "should_retry": "x-should-retry"}

# ------------------------------------------------------------------------------------------- which requests it rejects


class RejectedError(Exception):
    """A request the API would not accept; `reply` is what it says instead."""

    def __init__(self, status: int, type: str, message: str) -> None:
        super().__init__(message)
        self.reply = api_error(status, type, message)


T = TypeVar("T")

_OBJECT: type[Json] = dict
_LIST: type[list[Any]] = list  # Any: the elements are checked one by one
_FIELDS: Mapping[str, type] = {"model": str, "max_tokens": int, "messages": list}
_KINDS: Mapping[type, str] = {str: "string", int: "integer", list: "list", dict: "dictionary"}
_ROLES = ("user", "assistant", "system")

MESSAGES, COUNT_TOKENS = "/v1/messages", "/v1/messages/count_tokens"


def check_http(method: str, path: str, headers: Mapping[str, str]) -> None:
    """Raise RejectedError for an endpoint that is not there, and for a request without credentials."""
    if method != "POST" or path not in (MESSAGES, COUNT_TOKENS):
        raise RejectedError(404, "not_found_error", f"ScriptedClaude has no {method} {path}")
    if not (headers.get("x-api-key") or headers.get("authorization", "").startswith("Bearer ")):
        raise RejectedError(401, "authentication_error", "x-api-key header is required")


def parse_body(raw: bytes) -> Json:
    """The JSON object in a request's body, or RejectedError."""
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise _invalid(f"The request body is not valid JSON: {error}") from error
    return _typed(body, _OBJECT, "body")


def check_request(body: Json, *, required: Sequence[str] = tuple(_FIELDS)) -> None:
    """Raise RejectedError, worded like the API, for what costs little to see and much to find out in production."""
    for name in required:
        _typed(body.get(name), _FIELDS[name], name)
    _refuse_first(tool_schemas.complaints(_objects(_typed(body.get("tools", []), _LIST, "tools"), "tools")))
    _check_system(body.get("system") or "")
    _check_messages(_objects(body["messages"], "messages"))
    _refuse_first(prompt_cache.complaints(body))


def _invalid(message: str) -> RejectedError:
    return RejectedError(400, "invalid_request_error", message)


def _typed(value: object, kind: type[T], where: str) -> T:
    if value is None:
        raise _invalid(f"{where}: Field required")
    if not isinstance(value, kind):
        raise _invalid(f"{where}: Input should be a valid {_KINDS[kind]}")
    return value


def _objects(values: list[Any], where: str) -> list[Json]:  # Any: see _LIST
    return [_typed(value, _OBJECT, f"{where}.{index}") for index, value in enumerate(values)]


def _refuse_first(complaints: Iterator[str]) -> None:
    for complaint in complaints:
        raise _invalid(complaint)


def _check_system(system: object) -> None:
    if not isinstance(system, str):
        for index, block in enumerate(_objects(_typed(system, _LIST, "system"), "system")):
            if block.get("type") != "text":
                raise _invalid(f"system.{index}.type: Input should be 'text'")


def _check_messages(messages: list[Json]) -> None:
    if not messages:
        raise _invalid("messages: at least one message is required")
    if messages[0].get("role") != "user":
        raise _invalid('messages: first message must use the "user" role')
    contents = [_blocks_of(message, f"messages.{index}") for index, message in enumerate(messages)]
    if not all(contents[:-1]) or not (contents[-1] or messages[-1]["role"] == "assistant"):
        rule = "all messages must have non-empty content except for the optional final assistant message"
        raise _invalid(f"messages: {rule}")
    _check_pairs(contents)


def _blocks_of(message: Json, where: str) -> list[Block]:
    if _typed(message.get("role"), str, f"{where}.role") not in _ROLES:
        raise _invalid(f"{where}.role: Input should be one of {', '.join(map(repr, _ROLES))}")
    content = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    where = f"{where}.content"
    return [_checked_block(block, f"{where}.{index}") for index, block in enumerate(_typed(content, _LIST, where))]


def _checked_block(value: object, where: str) -> Block:
    block = _typed(value, _OBJECT, where)
    match _typed(block.get("type"), str, f"{where}.type"):
        case "text" if not block.get("text") and not block.get("cache_control"):  # the marker has its own complaint
            raise _invalid("messages: text content blocks must be non-empty")
        case "tool_use":
            _typed(block.get("id"), str, f"{where}.tool_use.id")
            if not NAME.fullmatch(_typed(block.get("name"), str, f"{where}.tool_use.name")):
                raise _invalid(f"{where}.tool_use.name: String should match pattern '^{NAME.pattern}$'")
            _typed(block.get("input"), _OBJECT, f"{where}.tool_use.input")
        case "tool_result":
            _typed(block.get("tool_use_id"), str, f"{where}.tool_result.tool_use_id")
        case _:
            pass  # blocks of other types pass unread, so that the stand-in does not age with the API
    return block


def _check_pairs(contents: list[list[Block]]) -> None:
    used: set[str] = set()
    for index, (before, after) in enumerate(pairwise([[], *contents, []])):
        asked = [block["id"] for block in before if block["type"] == "tool_use"]
        if used.intersection(asked) or len(set(asked)) < len(asked):
            raise _invalid(f"messages.{index - 1}: `tool_use` ids must be unique")
        used.update(asked)
        _check_results(asked, after, index)


def _check_results(asked: list[str], after: list[Block], index: int) -> None:
    answered = {block["tool_use_id"] for block in takewhile(lambda block: block["type"] == "tool_result", after)}
    if missing := [id for id in asked if id not in answered]:
        raise _invalid(
            f"messages.{index - 1}: `tool_use` ids were found without `tool_result` blocks immediately after: "
            f"{', '.join(missing)}. Each `tool_use` block must have a corresponding `tool_result` block in the next "
            "message."
        )
    for position, block in enumerate(after):
        if block["type"] == "tool_result" and block["tool_use_id"] not in asked:
            raise _invalid(
                f"messages.{index}.content.{position}: unexpected `tool_use_id` found in `tool_result` blocks: "
                f"{block['tool_use_id']}. Each `tool_result` block must have a corresponding `tool_use` block in the "
                "previous message."
            )


# ---------------------------------------------------------------------------------------------------- how it answers


@dataclass(frozen=True)
class Answer:
    """An HTTP response, its JSON or events encoded, and the tokens it bills.

    An `ending` other than "complete" breaks it off after `body`; with an empty `body` not even the status is sent.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    ending: Ending = "complete"
    usage: Mapping[str, int] = field(default_factory=dict[str, int])


def encode(reply: Reply, body: Json, request_id: str, bill: Bill) -> Answer:
    """The reply as the API would send it for this `body` at this `bill`; for an error both may be empty."""
    headers = {"request-id": request_id, **reply.headers}
    error = reply.error and {"type": "error", "error": reply.error, "request_id": request_id}
    if error and not (reply.cut_after and body.get("stream")):
        return _json_answer(reply, error, headers)
    message = _message(reply, body, bill)
    if body.get("stream"):
        return _event_answer(reply, message, error, headers)
    return _json_answer(reply, {**message, "content": [_shown(block) for block in message["content"]]}, headers)


def encode_token_count(body: Json, request_id: str) -> Answer:
    """The answer of `/v1/messages/count_tokens`: what a call would bill, read and written included."""
    return _json_answer(Reply(), {"input_tokens": measured(body).tokens}, {"request-id": request_id})


def turn_of(body: Json) -> int:
    """How many turns Claude has had in this conversation: the assistant messages in the request."""
    return sum(message["role"] == "assistant" for message in body["messages"])


def _json_answer(reply: Reply, payload: Json, headers: Mapping[str, str]) -> Answer:
    whole, ending = dumps(payload), _ending(reply)
    kept = whole if reply.cut_after is None else whole[: len(whole) // 2 if reply.cut_after else 0]
    length = len(kept if ending == "complete" else whole)
    headers = {"content-type": "application/json", "content-length": str(length), **headers}
    return Answer(reply.status, headers, kept, ending, _counts(payload.get("usage", {})))


def _event_answer(reply: Reply, message: Json, error: Json | None, headers: Mapping[str, str]) -> Answer:
    events = list(_events(message))[: reply.cut_after]
    headers = {"content-type": "text/event-stream; charset=utf-8", "transfer-encoding": "chunked", **headers}
    if error:
        return Answer(200, headers, _sse([*events, error]))
    return Answer(reply.status, headers, _sse(events), _ending(reply), _counts(message["usage"]))


def _ending(reply: Reply) -> Ending:
    return "complete" if reply.cut_after is None else reply.ending


def _sse(events: Sequence[Json]) -> bytes:
    return b"".join(b"event: %s\ndata: %s\n\n" % (event["type"].encode(), dumps(event)) for event in events)


def _counts(usage: Mapping[str, Any]) -> dict[str, int]:  # Any: some entries of a usage are objects
    return {name: count for name, count in usage.items() if isinstance(count, int)}


def _message(reply: Reply, body: Json, bill: Bill) -> Json:
    mark = f"{turn_of(body)}_{bill.digest}"
    content = [_identified(block, f"toolu_{mark}_{index}") for index, block in enumerate(reply.blocks)]
    return {
        "id": f"msg_{mark}",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": content,
        "stop_reason": reply.stop_reason or _stop_reason(content),
        "stop_sequence": None,
        "stop_details": reply.stop_details,
        "usage": {**bill.usage, "output_tokens": tokens(dumps(content)), **(reply.usage or {})},
    }


def _identified(block: Block, id: str) -> Block:
    return {"id": id, **block} if block["type"] == "tool_use" else block


def _shown(block: Block) -> Block:
    return {key: value for key, value in block.items() if key != "partial_json"}


def _stop_reason(content: list[Block]) -> str:
    if any("partial_json" in block for block in content):
        return "max_tokens"
    return "tool_use" if any(block["type"] == "tool_use" for block in content) else "end_turn"


def _events(message: Json) -> Iterator[Json]:
    usage = {**message["usage"], "output_tokens": 1}
    started: Json = {**message, "content": [], "stop_reason": None, "stop_details": None, "usage": usage}
    yield {"type": "message_start", "message": started}
    yield {"type": "ping"}
    for index, block in enumerate(message["content"]):
        opened, deltas = _opened(block)
        yield {"type": "content_block_start", "index": index, "content_block": opened}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    stopped = {key: message[key] for key in ("stop_reason", "stop_sequence", "stop_details")}
    yield {"type": "message_delta", "delta": stopped, "usage": message["usage"]}
    yield {"type": "message_stop"}


def _opened(block: Block) -> tuple[Block, list[Json]]:
    """A block as its `content_block_start` shows it, and the deltas that complete it."""
    match block["type"]:
        case "text":
            return {**block, "text": ""}, _deltas("text_delta", "text", block["text"])
        case "thinking":
            thought = _deltas("thinking_delta", "thinking", block["thinking"])
            signed = {"type": "signature_delta", "signature": block["signature"]}
            return {**block, "thinking": "", "signature": ""}, [*thought, signed]
        case "tool_use":
            written = block.get("partial_json", dumps(block.get("input", {})).decode())
            return {**_shown(block), "input": {}}, _deltas("input_json_delta", "partial_json", written)
        case _:
            return block, []


def _deltas(type: str, key: str, whole: str) -> list[Json]:
    # Never in one piece: a client that reads only the first delta must fail its tests.
    size = min(512, (len(whole) + 1) // 2) or 1
    return [{"type": type, key: whole[start : start + size]} for start in range(0, len(whole), size)]
