"""Claude: one call of the Messages API, as plain JSON in and out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from tenure.errors import ClaudeUnavailable, ConfigError
from tenure.transcript import clean
from tenure.turn import Usage
from tenure.wire import JsonObject

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic
    from anthropic.types import Message

STREAM_ABOVE = 16_000  # max_tokens above which the API wants a streamed answer (it refuses 21,334 and more without)
# What an older model, or a compiler of grammars, says of schemas that are within the published limits all the same.
STRICTNESS = re.compile(r"strict|schema|grammar|too complex", re.IGNORECASE)
BREAKPOINT: JsonObject = {"cache_control": {"type": "ephemeral"}}


@dataclass(frozen=True)
class Prompt:
    """What Claude is asked. `timeout` is in seconds; `tools` are tool definitions, `messages` as the API wants them."""

    model: str
    messages: Sequence[JsonObject]
    max_tokens: int
    timeout: float
    system: str = ""
    tools: Sequence[JsonObject] = ()
    effort: str | None = None
    temperature: float | None = None


@dataclass(frozen=True)
class Reply:
    """What Claude said: content blocks as plain JSON, why it stopped, the tokens, and by which model.

    Micro-dollars: `cost` is what was paid for it, `saved` what the cache of prompts spared.
    """

    content: list[JsonObject]
    stop: str
    usage: Usage
    model: str = ""
    cost: int = 0
    saved: int = 0


class Claude:
    """The Anthropic client. `ANTHROPIC_BASE_URL` decides whom to ask. `open` it before the first run."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._key = env.get("ANTHROPIC_API_KEY") or env.get("ANTHROPIC_AUTH_TOKEN")
        self._base_url = env.get("ANTHROPIC_BASE_URL")
        self._too_strict: set[tuple[str, ...]] = set()  # a model and the names of tools it would not have strict
        if not self._key and not self._base_url:
            raise ConfigError(
                "no way to reach Claude: set ANTHROPIC_API_KEY, or ANTHROPIC_BASE_URL for a stand-in "
                "(tenure.testing.ScriptedClaude)"
            )

    def open(self) -> None:
        """Import and make the client now: it takes seconds, in which the heartbeats of a running attempt would stop."""
        self.client  # noqa: B018

    @cached_property
    def client(self) -> AsyncAnthropic:
        """The real client, which leaves every retry to Temporal."""
        from anthropic import AsyncAnthropic

        return AsyncAnthropic(
            api_key=self._key or "no-key-needed",
            base_url=self._base_url,
            max_retries=0,
            open_telemetry={"traces": False},  # `decide` makes the span of the call
        )

    async def reply(self, prompt: Prompt) -> Reply:
        """The next assistant turn. Raises what the client and its transport raise; `retry.advise` judges it."""
        try:
            message = await self._ask_leniently(prompt)
        except (ValueError, AssertionError, IndexError) as error:
            # What the client raises over a stream or a body it cannot read: none of its own classes.
            raise ClaudeUnavailable(f"an answer that cannot be read: {type(error).__name__}: {error}") from error
        if isinstance(message, str) or message.stop_reason is None:
            # A stream that ends early but properly raises nothing: its last tool call may have lost half its arguments.
            raise ClaudeUnavailable("an answer that breaks off without a stop reason")
        return _reply(message)

    async def _ask_leniently(self, prompt: Prompt) -> Message | str:
        """Ask; where the model will not have the tools strict, ask again without, and from then on."""
        from anthropic import BadRequestError

        tools = (prompt.model, *(told["name"] for told in prompt.tools if told.get("strict")))
        if tools in self._too_strict:
            return await self._ask(_lenient(prompt))
        try:
            return await self._ask(prompt)
        except BadRequestError as error:
            if len(tools) == 1 or not STRICTNESS.search(str(error)):
                raise
            self._too_strict.add(tools)
            return await self._ask(_lenient(prompt))

    async def _ask(self, prompt: Prompt) -> Message | str:
        request = request_of(prompt)
        if prompt.max_tokens > STREAM_ABOVE:
            async with self.client.messages.stream(**request) as stream:
                return cast("Message", await stream.get_final_message())  # generic over an output format we do not use
        return cast(
            "Message | str", await self.client.messages.create(**request)
        )  # a body that is no JSON comes back as text

    async def close(self) -> None:
        """Close the client's connections, if it was ever used."""
        if "client" in self.__dict__:
            await self.client.close()


def request_of(prompt: Prompt) -> dict[str, Any]:  # Any: the client's own keyword arguments
    """The keyword arguments of `messages.create`, with breakpoints so that a growing conversation is read from cache."""
    request: dict[str, Any] = {
        "model": prompt.model,
        "max_tokens": prompt.max_tokens,
        "messages": _with_breakpoints(prompt.messages),
        "timeout": prompt.timeout + 5,  # the caller bounds the call itself; this is for a client that does not heed it
    }
    if prompt.system:
        request["system"] = [{"type": "text", "text": prompt.system, **BREAKPOINT}]
    if prompt.tools:
        # The breakpoint behind the instructions covers the tools as well, which come before them.
        last = {} if prompt.system else BREAKPOINT
        request["tools"] = [*prompt.tools[:-1], {**prompt.tools[-1], **last}]
    if prompt.effort is not None:
        request["output_config"] = {"effort": prompt.effort}
    if prompt.temperature is not None:
        request["extra_body"] = {"temperature": prompt.temperature}  # the client has no typed parameter for it any more
    return request


def _lenient(prompt: Prompt) -> Prompt:
    tools = [{name: value for name, value in told.items() if name != "strict"} for told in prompt.tools]
    return replace(prompt, tools=tools)


def _with_breakpoints(messages: Sequence[JsonObject]) -> list[JsonObject]:
    """Mark the end of the last two messages that are not Claude's: what is written to the cache now, and what was last time.

    The API looks back at most 20 blocks from a breakpoint for what is cached: a turn of many calls would lose it otherwise.
    """
    marked = list(messages)
    for index in [index for index, message in enumerate(messages) if message["role"] == "user"][-2:]:
        blocks = messages[index]["content"]
        marked[index] = {**messages[index], "content": [*blocks[:-1], {**blocks[-1], **BREAKPOINT}]}
    return marked


def _reply(message: Message) -> Reply:
    # exclude_unset keeps what the API sent and nothing the client's classes would add; unknown blocks stay whole.
    content = [block.model_dump(mode="json", exclude_unset=True) for block in message.content]
    used = message.usage
    usage = Usage(
        input=used.input_tokens,
        output=used.output_tokens,
        cache_read=used.cache_read_input_tokens or 0,
        cache_write=used.cache_creation_input_tokens or 0,
    )
    return Reply(clean(content), message.stop_reason or "none", usage)
