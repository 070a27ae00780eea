"""A local server that speaks Claude's Messages API from a script, so that whole agents run without a network or a bill.

    script = [tool_use("lookup_customer", email="alice@example.com"), text("All done.")]
    with ScriptedClaude(script) as claude:
        client = anthropic.AsyncAnthropic(base_url=claude.base_url, api_key="any", max_retries=0)

In a process of its own: `python -m tenure.testing.scripted_claude --script MODULE:ATTR` prints its base URL on one line
and serves until its stdin closes or SIGTERM.
"""

import argparse
import asyncio
import importlib
import inspect
import itertools
import signal
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any, Self, Unpack

import h11

import tenure.testing.messages_api as api
from tenure.testing.messages_api import Answer, Block, Ending, Json, RejectedError, Reply, RetryHints, Turn, api_error
from tenure.testing.prompt_cache import Bill, PromptCache, measured

__all__ = [
    "Block",
    "Reply",
    "Request",
    "Script",
    "ScriptedClaude",
    "Turn",
    "api_error",
    "block",
    "cut",
    "overloaded",
    "pause",
    "rate_limited",
    "refusal",
    "server_error",
    "slow",
    "spend_limit",
    "text",
    "thinking",
    "tool_use",
]

Script = str | Block | Reply | Sequence[Turn] | Callable[[Json], Turn | Awaitable[Turn]]

# ------------------------------------------------------------------------------------------------- blocks and replies


def text(text: str) -> Block:
    """A text block."""
    return block("text", text=text)


def tool_use(name: str, /, *, partial_json: str | None = None, **input: Any) -> Block:  # Any: a tool takes any JSON
    """A call of the tool `name`; the id is derived from the conversation (for one of your own use `block`).

    `partial_json` is the raw text of an input that was cut off by max_tokens: streamed as it is, {} without a stream.
    """
    called = block("tool_use", name=name, input=input)
    return called if partial_json is None else {**called, "partial_json": partial_json}


def thinking(thinking: str, *, signature: str = "c2NyaXB0ZWQ=") -> Block:
    """A thinking block, which a client must send back with its signature intact."""
    return block("thinking", thinking=thinking, signature=signature)


def block(type: str, **fields: Any) -> Block:  # Any: blocks of types yet unknown hold any JSON
    """A block of any type, passed on intact."""
    return {"type": type, **fields}


def refusal(content: Turn = (), *, category: str | None = None, explanation: str | None = None) -> Reply:
    """Claude declines: stop_reason "refusal", as a rule without content."""
    details = {"type": "refusal", "category": category, "explanation": explanation}
    return replace(api.as_reply(content), stop_reason="refusal", stop_details=details)


def pause(content: Turn) -> Reply:
    """Claude pauses a long turn: stop_reason "pause_turn"; the client sends it back as it is and Claude goes on."""
    return replace(api.as_reply(content), stop_reason="pause_turn")


def slow(turn: Turn, seconds: float) -> Reply:
    """The turn, its first byte after so many seconds."""
    return replace(api.as_reply(turn), latency=seconds)


def cut(turn: Turn = "This never arrives whole.", *, after: int = 4, ending: Ending = "closed") -> Reply:
    """The turn breaks off after half of a JSON body, or `after` events of a stream (0: before the first byte).

    Then the connection closes; or, "stalled", stays open in silence, which only a time-out notices; or, "complete", the
    answer ends as if it were whole, which nothing notices. `cut(overloaded())` ends a stream in an `error` event.
    """
    return replace(api.as_reply(turn), cut_after=after, ending=ending)


def overloaded(**hints: Unpack[RetryHints]) -> Reply:
    """529 overloaded_error."""
    return api_error(529, "overloaded_error", "Overloaded", **hints)


def rate_limited(**hints: Unpack[RetryHints]) -> Reply:
    """429 rate_limit_error, the kind that passes."""
    return api_error(429, "rate_limit_error", "This request would exceed your rate limit.", **hints)


def server_error(**hints: Unpack[RetryHints]) -> Reply:
    """500 api_error."""
    return api_error(500, "api_error", "Internal server error", **hints)


def spend_limit(*, contract: bool = False, **hints: Unpack[RetryHints]) -> Reply:
    """The 429 that does not pass by waiting: EnforcedSpendLimitReachedError, or ContractSpendLimitReachedError."""
    code = "contract_spend_limit_reached" if contract else "enforced_spend_limit_reached"
    message = "You have reached your API usage limit."
    return api_error(429, "rate_limit_error", message, details={"error_code": code}, **hints)


def _played(turns: Sequence[Turn]) -> Callable[[Json], Reply]:
    """A list as a function of the request: stateless, so retries and concurrent conversations see their own turn."""
    replies = [api.as_reply(turn) for turn in turns]

    def turn(body: Json) -> Reply:
        asked = api.turn_of(body)
        if asked < len(replies):
            return replies[asked]
        return _script_fault(
            f"the script has {len(replies)} turn{'s' * (len(replies) != 1)} and the conversation asks for a "
            f"{_ordinal(asked + 1)}: add a turn, or end with one that calls no tool"
        )

    return turn


def _script_fault(message: str) -> Reply:
    # A 400, because no retry mends a script and a retried 500 would hide the mistake behind a time-out.
    return api_error(400, "invalid_request_error", f"ScriptedClaude: {message}")


def _ordinal(number: int) -> str:
    suffix = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"


# ------------------------------------------------------------------------------------------------------------- server


@dataclass(frozen=True)
class Request:
    """One request as it arrived, answered or not. Header names are lower case; `at` is `time.monotonic()`."""

    id: str
    headers: Mapping[str, str]
    body: Json
    at: float


class ScriptedClaude:
    """A stand-in for api.anthropic.com on loopback, in a thread with an event loop of its own.

    `script` is a list of turns, a single one, or a function (plain or async) of the request's body. From a list a
    conversation gets the turn whose number is that of the assistant messages in the request; where older ones are
    cleared or summarised, use a function. `latency`: seconds before each turn. `requests` holds the requests for
    messages in order of arrival; `record=False` keeps none, for long benchmarks. Prompts are cached as the API caches
    them, in one cache for all conversations, which forgets by `clock` (seconds). Use it with `with` or `async with`, or
    `start` and `stop`; started again it has the same port and cache, so that an outage is `claude.stop()` ...
    `claude.start()`.
    """

    def __init__(
        self,
        script: Script,
        *,
        port: int = 0,
        latency: float = 0.0,
        record: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        alone = isinstance(script, str | dict | Reply)  # a str is a sequence too: each letter would become a turn
        self._script = script if callable(script) else _played([script] if alone else script)
        self.requests: list[Request] = []
        self._port = port
        self._latency = latency
        self._record = record
        self._clock = clock
        self._faults: deque[Reply] = deque()
        self._billed: Counter[str] = Counter()
        self._cache = PromptCache()
        self._ids = itertools.count(1)
        self._connections: set[asyncio.Task[None]] = set()
        self._thread: threading.Thread | None = None

    @property
    def running(self) -> bool:
        """Whether it is being served."""
        return self._thread is not None

    @property
    def base_url(self) -> str:
        """For the client's `base_url`, or ANTHROPIC_BASE_URL."""
        if self._thread is None:
            raise RuntimeError("ScriptedClaude is not running: use `with ScriptedClaude(...) as claude:`")
        return f"http://127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        """Where messages are posted."""
        return self.base_url + api.MESSAGES

    @property
    def billed(self) -> Mapping[str, int]:
        """Tokens billed so far, by the names of `usage`. A turn that was cut counts in full, an error not at all."""
        return Counter(self._billed)

    def interrupt(self, *faults: Turn) -> None:
        """Answer the next requests with these, one each in order of arrival, before the script is asked."""
        self._faults.extend(api.as_reply(fault) for fault in faults)

    def start(self) -> Self:
        """Serve; OSError if the port is taken."""
        bound: Future[int] = Future()
        thread = threading.Thread(target=lambda: asyncio.run(self._run(bound)), name="scripted-claude", daemon=True)
        thread.start()
        self._port = bound.result()
        self._thread = thread
        return self

    def stop(self) -> None:
        """Close every connection and free the port; what was recorded stays."""
        if self._thread is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()
            self._thread = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return self.start()

    async def __aexit__(self, *_: object) -> None:
        self.stop()

    async def _run(self, bound: Future[int]) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        try:
            server = await asyncio.start_server(self._connected, "127.0.0.1", self._port, limit=2**20, backlog=1024)
        except OSError as error:
            bound.set_exception(error)
            return
        bound.set_result(server.sockets[0].getsockname()[1])
        await self._stopping.wait()
        server.close()  # without wait_closed, which waits for idle clients; asyncio.run cancels their connections

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A task of our own: the one asyncio makes of a coroutine complains when it is cancelled (Python 3.11).
        task = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(reader, writer)
        try:
            while received := await connection.receive():
                if not await connection.send(await self._answer(*received)):
                    return
        except (h11.ProtocolError, ConnectionError):
            return  # the client hung up or speaks no HTTP: closing is all there is to say
        finally:
            writer.close()

    async def _answer(self, http: h11.Request, raw: bytes) -> Answer:
        id, body, bill = f"req_{next(self._ids):08d}", Json(), Bill()
        try:
            path, headers = _head(http)
            api.check_http(http.method.decode(), path, headers)
            body = api.parse_body(raw)
            if path == api.COUNT_TOKENS:
                api.check_request(body, required=("model", "messages"))
                return api.encode_token_count(body, id)
            if self._record:
                self.requests.append(Request(id, headers, body, time.monotonic()))
            api.check_request(body)
            bill = self._cache.bill(measured(body), self._clock())
            reply = self._faults.popleft() if self._faults else await self._ask_script(body)
        except RejectedError as rejected:
            reply = rejected.reply
        await asyncio.sleep(self._latency + reply.latency)
        answer = _encoded(reply, body, id, bill)
        if answer.usage:  # an error is not billed, and so writes nothing to the cache
            self._billed.update(answer.usage)
            self._cache.keep(bill, self._clock())
        return answer

    async def _ask_script(self, body: Json) -> Reply:
        try:
            turn = self._script(body)
            return api.as_reply(await turn if inspect.isawaitable(turn) else turn)
        except Exception as error:  # noqa: BLE001  the edge to the user's function, which may raise anything
            return _script_fault(f"the script raised {error!r}")


def _encoded(reply: Reply, body: Json, id: str, bill: Bill) -> Answer:
    try:
        return api.encode(reply, body, id, bill)
    except (KeyError, TypeError, ValueError) as error:
        return api.encode(_script_fault(f"{reply.content!r} cannot be sent: {error!r}"), body, id, bill)


def _head(http: h11.Request) -> tuple[str, dict[str, str]]:
    path = http.target.decode("latin-1").partition("?")[0]
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in http.headers}
    return path, headers


class _Connection:
    """HTTP/1.1 on one TCP connection: h11 for the protocol, asyncio's streams for the bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer, self._http = reader, writer, h11.Connection(h11.SERVER)

    async def receive(self) -> tuple[h11.Request, bytes] | None:
        """The next request and its body; None when the client is done."""
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        request, body = None, list[bytes]()
        while True:
            match self._http.next_event():
                case h11.Request() as request:
                    pass
                case h11.Data(data=data):
                    body.append(data)
                case h11.EndOfMessage() if request:
                    return request, b"".join(body)
                case h11.NEED_DATA:
                    await self._read()
                case _:
                    return None

    async def _read(self) -> None:
        if self._http.they_are_waiting_for_100_continue:
            self._write(h11.InformationalResponse(status_code=100, headers=[]))
        self._http.receive_data(await self._reader.read(2**20))

    async def send(self, answer: Answer) -> bool:
        """Send as much of the answer as it allows; whether the connection can be used again."""
        if answer.body or answer.ending == "complete":
            start = h11.Response(status_code=answer.status, headers=list(answer.headers.items()))
            end = [h11.EndOfMessage()] if answer.ending == "complete" else []
            self._write(start, h11.Data(data=answer.body), *end)
            await self._writer.drain()
        if answer.ending == "stalled":
            await self._reader.read()  # until the client gives up
        return answer.ending == "complete" and self._http.our_state is h11.DONE

    def _write(self, *events: h11.Event) -> None:
        self._writer.write(b"".join(self._http.send(event) or b"" for event in events))


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve a script from the command line until stdin closes or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m tenure.testing.scripted_claude", description=main.__doc__)
    parser.add_argument("--script", required=True, metavar="MODULE:ATTR", help="a list of turns or a function")
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    parser.add_argument("--latency", type=float, default=0.0, metavar="SECONDS", help="before each answer")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda signum, frame: sys.exit(0))
    module, _, attribute = options.script.partition(":")
    script: Script = getattr(importlib.import_module(module), attribute)
    with ScriptedClaude(script, port=options.port, latency=options.latency, record=False) as claude:
        sys.stdout.write(f"{claude.base_url}\n")
        sys.stdout.flush()
        sys.stdin.buffer.read()


if __name__ == "__main__":
    main()
