"""What ScriptedClaude promises, seen through the real Anthropic client and, for what that never sends, raw HTTP."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import pytest
from anthropic import AsyncAnthropic
from anthropic.types import Message

from tenure.testing.scripted_claude import (
    Block,
    Reply,
    Script,
    ScriptedClaude,
    block,
    overloaded,
    pause,
    refusal,
    text,
    thinking,
    tool_use,
)
from tests.unit.asking import ASK, HELLO, Ask, Json, answered, created, dumped, streamed

pytestmark = pytest.mark.filterwarnings("error")

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
