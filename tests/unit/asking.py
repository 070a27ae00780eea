"""How the tests of the stand-in ask it: through the real client, in one piece and streamed, and by raw HTTP."""

from collections.abc import Awaitable, Callable
from typing import Any

from anthropic import AsyncAnthropic
from anthropic.types import Message

from tenure.testing.scripted_claude import ScriptedClaude

Json = dict[str, Any]  # Any: the tests send and read JSON as it comes
Ask = Callable[..., Awaitable[Message]]
HELLO: Json = {"role": "user", "content": "Hi, I'm alice@example.com."}
ASK: Json = {"model": "claude-sonnet-5-5", "max_tokens": 1024, "messages": [HELLO]}


async def created(client: AsyncAnthropic, claude: ScriptedClaude, **changes: Any) -> Message:
    return await client.with_options(base_url=claude.base_url).messages.create(**{**ASK, **changes}, stream=False)


async def streamed(client: AsyncAnthropic, claude: ScriptedClaude, **changes: Any) -> Message:
    async with client.with_options(base_url=claude.base_url).messages.stream(**{**ASK, **changes}) as stream:
        return await stream.get_final_message()


def dumped(message: Message) -> list[Json]:
    """The content as an agent keeps it."""
    return [part.model_dump(mode="json", exclude_unset=True) for part in message.content]


def answered(message: Message) -> list[Json]:
    """The assistant message and the results of its tools, as an agent sends them next."""
    content = dumped(message)
    calls = [part["id"] for part in content if part["type"] == "tool_use"]
    results = [{"type": "tool_result", "tool_use_id": call, "content": "ok"} for call in calls]
    return [{"role": "assistant", "content": content}, {"role": "user", "content": results or "And now?"}]
