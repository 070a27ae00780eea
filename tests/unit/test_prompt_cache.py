"""What the stand-in bills of a prompt that was cached: pure, on values, and through the real client."""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import anthropic
import pytest
from anthropic import AsyncAnthropic
from anthropic.types import Usage
from hypothesis import given
from hypothesis import strategies as st

from tenure.testing.prompt_cache import PromptCache, measured
from tenure.testing.scripted_claude import Reply, ScriptedClaude, cut, overloaded, text, tool_use
from tests.unit.asking import ASK, HELLO, Ask, Json, created, dumped

pytestmark = pytest.mark.filterwarnings("error")

MINUTE, HOUR = 60.0, 3600.0
LONG = "x" * 8000  # 2,000 tokens, twice the minimum of the model that is asked


def marked(block: Json, ttl: str | None = None) -> Json:
    return {**block, "cache_control": {"type": "ephemeral", **({"ttl": ttl} if ttl else {})}}


def prompt(*blocks: Json, **fields: Any) -> Json:  # Any: whatever a request may hold
    """A request with one message of these blocks."""
    return {"model": "claude-sonnet-5-5", "messages": [{"role": "user", "content": list(blocks)}], **fields}


def tools(**changes: object) -> Json:
    return {"name": "get_x", "description": LONG, "input_schema": {"type": "object"}, **changes}


def asked(cache: PromptCache, body: Json, now: float = 0.0) -> Json:
    """The usage of a request that arrives and is answered at `now`."""
    bill = cache.bill(measured(body), now)
    cache.keep(bill, now)
    return dict(bill.usage)


def counts(usage: Mapping[str, Any]) -> tuple[int, int, int]:
    return usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"], usage["input_tokens"]


# ------------------------------------------------------------------------------------------------------ reads and writes


def test_what_one_request_wrote_the_next_one_reads() -> None:
    cache, body = PromptCache(), prompt(marked(text(LONG)))
    read, written, rest = counts(asked(cache, body))
    assert (read, written + rest) == (0, measured(body).tokens) and rest <= 3
    assert counts(asked(cache, body)) == (written, 0, rest)


def test_without_a_breakpoint_all_is_input_even_if_it_was_written_before() -> None:
    cache = PromptCache()
    asked(cache, prompt(marked(text(LONG))))
    bare = prompt(text(LONG))
    assert asked(cache, bare) == {
        "input_tokens": measured(bare).tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
    }


def test_what_follows_the_last_breakpoint_is_input() -> None:
    _, written, rest = counts(asked(PromptCache(), prompt(marked(text(LONG)), text("y" * 4000))))
    assert 2000 <= written < 2030 and 1000 <= rest < 1020


def test_a_longer_prompt_reads_the_longest_prefix_and_writes_what_it_adds() -> None:
    cache = PromptCache()
    _, first, _ = counts(asked(cache, prompt(marked(text(LONG)))))
    _, second, _ = counts(asked(cache, prompt(marked(text(LONG)), marked(text(LONG)))))
    read, written, _ = counts(asked(cache, prompt(marked(text(LONG)), text(LONG), marked(text("y" * 4000)))))
    assert read == first + second and 1000 <= written < 1020


def test_only_breakpoints_are_written_so_one_on_what_always_changes_is_never_read() -> None:
    cache = PromptCache()
    for moment in ("9:00", "9:01", "9:02"):
        read, written, _ = counts(asked(cache, prompt(text(LONG), marked(text(moment)))))
        assert read == 0 and written > 2000


@pytest.mark.parametrize(("added", "is_read"), [(1, True), (19, True), (20, False), (40, False)])
def test_a_breakpoint_looks_at_twenty_positions_its_own_the_first(added: int, is_read: bool) -> None:
    cache = PromptCache()
    asked(cache, prompt(marked(text(LONG))))
    more = [text("y")] * (added - 1)
    read, _, _ = counts(asked(cache, prompt(text(LONG), *more, marked(text("z")))))
    assert (read > 2000) is is_read


def test_a_second_breakpoint_near_the_old_one_has_a_window_of_its_own() -> None:
    cache = PromptCache()
    asked(cache, prompt(marked(text(LONG))))
    read, _, _ = counts(asked(cache, prompt(marked(text(LONG)), *[text("y")] * 30, marked(text("z")))))
    assert read > 2000


# ------------------------------------------------------------------------------------------------- what a prefix is made of

BASE = prompt(marked(text(LONG)), tools=[tools()], system=LONG)
OTHERS: list[Json] = [
    {"model": "claude-sonnet-4-5"},
    {"tools": [tools(description="y")]},
    {"tools": [tools(), tools(name="get_y")]},
    {"tools": []},
    {"system": "Be brief."},
    {"messages": [{"role": "system", "content": [marked(text(LONG))]}]},
    {"tool_choice": {"type": "none"}},
    {"thinking": {"type": "enabled", "budget_tokens": 1024}},
]


@pytest.mark.parametrize("change", OTHERS, ids=lambda change: str(change)[:40])
def test_whatever_stands_before_it_is_part_of_a_prefix(change: Json) -> None:
    cache = PromptCache()
    asked(cache, BASE)
    assert counts(asked(cache, {**BASE, **change}))[0] == 0
    assert counts(asked(cache, {**BASE, "max_tokens": 1, "stream": True}))[0] > 0


def test_another_tool_choice_costs_the_messages_their_cache_but_not_the_tools_and_the_system() -> None:
    cache = PromptCache()
    body = prompt(marked(text(LONG)), tools=[tools()], system=[marked(text(LONG))])
    asked(cache, body)
    read, written, _ = counts(asked(cache, {**body, "tool_choice": {"type": "any"}}))
    assert 4000 <= read < 4100 and 2000 <= written < 2100


def test_a_text_alone_is_the_same_prefix_as_its_block() -> None:
    cache = PromptCache()
    asked(cache, prompt(marked(text(LONG)), system=[text(LONG)]))
    turns = [{"role": "user", "content": LONG}, {"role": "assistant", "content": [marked(text("Hi."))]}]
    read, _, rest = counts(asked(cache, {**prompt(), "messages": turns, "system": LONG}))
    assert read > 4000 and rest <= 3


def test_a_prompt_is_its_system_its_tools_and_its_messages_in_json() -> None:
    encoded = b'[null,[{"name":"a"}],[{"role":"user","content":"Hi"}]]'
    whole = measured({"model": "m", "messages": [{"role": "user", "content": "Hi"}], "tools": [{"name": "a"}]})
    assert (whole.tokens, whole.digest) == (len(encoded) // 4, hashlib.sha256(encoded).hexdigest()[:12])


def test_markers_change_neither_the_size_nor_the_digest_of_a_prompt() -> None:
    call = {"type": "tool_use", "id": "a", "name": "get_x", "input": {"cache_control": "a value like any other"}}
    bare = prompt(text(LONG), call, tools=[tools()], system=[text(LONG)])
    full = prompt(marked(text(LONG)), marked(call), tools=[marked(tools(), "1h")], system=[marked(text(LONG), "5m")])
    none = prompt({**text(LONG), "cache_control": None}, call, tools=[tools()], system=[text(LONG)])
    assert {(each.tokens, each.digest) for each in map(measured, (bare, full, none))} == {
        (measured(bare).tokens, measured(bare).digest)
    }
    assert measured(prompt({**call, "input": {}})).tokens < measured(prompt(call)).tokens


# ----------------------------------------------------------------------------------------------------- time, size, number


@pytest.mark.parametrize(("ttl", "lifetime"), [(None, 5 * MINUTE), ("5m", 5 * MINUTE), ("1h", HOUR)])
def test_a_prefix_lives_so_long_from_its_last_use(ttl: str | None, lifetime: float) -> None:
    cache, body = PromptCache(), prompt(marked(text(LONG), ttl))
    moments = [0, lifetime - 1, 2 * lifetime - 2, 3 * lifetime - 2]
    assert [counts(asked(cache, body, now=moment))[0] > 0 for moment in moments] == [False, True, True, False]


def test_a_prefix_that_is_read_by_looking_back_lives_on_too() -> None:
    cache = PromptCache()
    asked(cache, prompt(marked(text(LONG))), now=0)
    asked(cache, prompt(text(LONG), marked(text("y"))), now=4 * MINUTE)
    assert counts(asked(cache, prompt(marked(text(LONG))), now=8 * MINUTE))[0] > 0


def test_a_prefix_of_an_hour_keeps_its_hour_when_it_is_read_for_five_minutes() -> None:
    cache = PromptCache()
    asked(cache, prompt(marked(text(LONG), "1h")), now=0)
    asked(cache, prompt(marked(text(LONG))), now=MINUTE)
    assert counts(asked(cache, prompt(marked(text(LONG))), now=HOUR))[0] > 0


def test_what_is_written_is_split_by_how_long_it_is_to_live() -> None:
    cache = PromptCache()
    asked(cache, prompt(marked(text(LONG), "1h")))
    body = prompt(text(LONG), marked(text("y" * 4000), "1h"), text(LONG), marked(text(LONG), "5m"))
    usage = asked(cache, body)
    split = usage["cache_creation"]
    assert 1000 <= split["ephemeral_1h_input_tokens"] < 1020
    assert 4000 <= split["ephemeral_5m_input_tokens"] < 4040
    assert sum(split.values()) == usage["cache_creation_input_tokens"]


MINIMUMS = [("claude-sonnet-5-5", 1024), ("claude-haiku-4-5", 4096), ("claude-opus-4-6", 4096), ("a-model", 1024)]


@pytest.mark.parametrize(("model", "minimum"), MINIMUMS)
def test_a_prefix_below_the_minimum_of_its_model_is_input(model: str, minimum: int) -> None:
    def of(tokens: int) -> Json:
        [frame] = measured(prompt(marked(text("x")), model=model)).prefixes
        return prompt(marked(text("x" * 4 * (tokens - frame.tokens))), model=model)

    cache, below, enough = PromptCache(), of(minimum - 1), of(minimum)
    assert [measured(body).prefixes[0].tokens for body in (below, enough)] == [minimum - 1, minimum]
    for body, is_cached in ((below, False), (enough, True)):
        asked(cache, body)
        assert (counts(asked(cache, body))[0] > 0) is is_cached
    assert counts(asked(cache, below)) == (0, 0, measured(below).tokens)


def test_what_is_too_short_for_one_breakpoint_is_written_by_the_next() -> None:
    body = prompt(marked(text("x")), marked(text(LONG)))
    _, written, rest = counts(asked(PromptCache(), body))
    assert written > 2000 and rest <= 3


def test_of_more_prefixes_than_it_holds_the_least_recently_used_is_lost() -> None:
    cache = PromptCache(capacity=2)
    a, b, c = (prompt(marked(text(LONG + name))) for name in "abc")
    for body in (a, b, a, c):
        asked(cache, body)
    assert [counts(cache.bill(measured(body), 0).usage)[0] > 0 for body in (a, b, c)] == [True, False, True]


def test_a_request_that_is_never_answered_writes_nothing() -> None:
    cache, body = PromptCache(), prompt(marked(text(LONG)))
    cache.bill(measured(body), 0)
    assert counts(asked(cache, body))[0] == 0


# ------------------------------------------------------------------------------------------------------------- properties

TTLS = st.sampled_from((None, None, "5m", "1h"))


def said(size: int, ttl: str | None) -> Json:
    return marked(text("x" * size), ttl) if ttl else text("x" * size)


BLOCKS = st.builds(said, st.sampled_from((1, 7, 4321)), TTLS)
CONTENTS = st.one_of(st.sampled_from(("Hi", LONG)), st.lists(BLOCKS, min_size=1, max_size=12))


def conversation(contents: Sequence[object], system: object, marks: Sequence[str | None], model: str) -> Json:
    messages = [
        {"role": ("user", "assistant")[index % 2], "content": content} for index, content in enumerate(contents)
    ]
    own = [marked(tools(name=f"t{index}"), ttl) if ttl else tools() for index, ttl in enumerate(marks)]
    return {"model": model, "messages": messages, "system": system, "tools": own}


CONVERSATIONS = st.builds(
    conversation,
    st.lists(CONTENTS, min_size=1, max_size=6),
    st.one_of(st.none(), CONTENTS),
    st.lists(TTLS, max_size=2),
    st.sampled_from(("claude-sonnet-5-5", "claude-haiku-4-5")),
)


@given(st.lists(st.tuples(CONVERSATIONS, st.floats(0, HOUR)), max_size=5))
def test_read_written_and_input_are_the_whole_prompt_whatever_was_asked_before(
    requests: list[tuple[Json, float]],
) -> None:
    cache, now = PromptCache(), 0.0
    for body, passed in [*requests, *requests]:
        usage = asked(cache, body, now := now + passed)
        assert sum(counts(usage)) == measured(body).tokens
        assert sum(usage["cache_creation"].values()) == usage["cache_creation_input_tokens"]
        assert min(*counts(usage), *usage["cache_creation"].values()) >= 0


@given(st.lists(st.lists(st.integers(1, 3000), min_size=1, max_size=9), min_size=2, max_size=8))
def test_a_growing_conversation_marked_at_its_end_reads_all_that_was_written_before(turns: list[list[int]]) -> None:
    cache, cached, older = PromptCache(), 0, list[Json]()
    for index, sizes in enumerate(turns):
        blocks = [text("x" * size) for size in sizes]
        last = {"role": ("user", "assistant")[index % 2], "content": [*blocks[:-1], marked(blocks[-1])]}
        read, written, rest = counts(asked(cache, {"model": "m", "messages": [*older, last]}))
        assert read == cached
        assert rest <= 4 or (read, written) == (0, 0)  # 4: the brackets that end the prompt
        older.append({**last, "content": blocks})
        cached += written


# -------------------------------------------------------------------------------------------------- through the real client

SYSTEM: Json = {"system": [marked(text(LONG))]}


def spent(usage: Usage) -> tuple[int, int, int]:
    return usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0, usage.input_tokens


async def test_the_client_sees_what_was_written_and_then_read(client: AsyncAnthropic, ask: Ask) -> None:
    with ScriptedClaude(["Hi."]) as claude:
        first, second = [(await ask(client, claude, **SYSTEM)).usage for _ in range(2)]
    _, written, rest = spent(first)
    assert written > 2000 and spent(second) == (written, 0, rest)
    assert first.cache_creation and first.cache_creation.ephemeral_5m_input_tokens == written
    assert second.cache_creation and second.cache_creation.ephemeral_5m_input_tokens == 0


async def test_conversations_share_a_cache_and_servers_do_not(client: AsyncAnthropic) -> None:
    others: list[Json] = [{**HELLO, "content": "I'm bob@example.com."}]
    with ScriptedClaude(["Hi."]) as claude, ScriptedClaude(["Hi."]) as another:
        await created(client, claude, **SYSTEM)
        assert spent((await created(client, claude, **SYSTEM, messages=others)).usage)[0] > 2000
        assert spent((await created(client, another, **SYSTEM)).usage)[0] == 0


async def test_tokens_that_are_counted_are_those_that_are_billed_one_way_or_another(client: AsyncAnthropic) -> None:
    with ScriptedClaude(["Hi."]) as claude:
        await created(client, claude, **SYSTEM)
        usage = (await created(client, claude, **SYSTEM)).usage
        counting = client.with_options(base_url=claude.base_url).messages.count_tokens
        count = await counting(model=ASK["model"], messages=[HELLO], **SYSTEM)  # pyright: ignore[reportArgumentType]  plain dicts
    assert count.input_tokens == sum(spent(usage))


async def test_what_was_billed_counts_the_cache_too(client: AsyncAnthropic, ask: Ask) -> None:
    with ScriptedClaude(["Hi."]) as claude:
        usages = [(await ask(client, claude, **SYSTEM)).usage for _ in range(3)]
    names = ("cache_read_input_tokens", "cache_creation_input_tokens", "input_tokens")
    assert tuple(claude.billed[name] for name in names) == tuple(map(sum, zip(*map(spent, usages), strict=True)))
    assert set(claude.billed) == {*names, "output_tokens"}


async def test_a_usage_that_is_given_overrides_the_cache_field_by_field(client: AsyncAnthropic, ask: Ask) -> None:
    with ScriptedClaude(Reply("Hi.", usage={"cache_read_input_tokens": 7})) as claude:
        usage = (await ask(client, claude, **SYSTEM)).usage
    assert spent(usage)[0] == 7 and spent(usage)[1] > 2000


@pytest.mark.parametrize("fault", [overloaded(), cut(overloaded())])
async def test_a_request_that_ends_in_an_error_writes_nothing(client: AsyncAnthropic, ask: Ask, fault: Reply) -> None:
    with ScriptedClaude(["Hi."]) as claude:
        claude.interrupt(fault)
        with pytest.raises(anthropic.APIError):
            await ask(client, claude, **SYSTEM)
        assert spent((await ask(client, claude, **SYSTEM)).usage)[0] == 0


async def test_an_answer_that_was_cut_had_begun_and_so_is_read(client: AsyncAnthropic) -> None:
    with ScriptedClaude(["Hi."]) as claude:
        claude.interrupt(cut())
        with pytest.raises(anthropic.APIConnectionError):
            await created(client, claude, **SYSTEM)
        assert spent((await created(client, claude, **SYSTEM)).usage)[0] > 2000


async def test_a_request_cannot_read_what_another_writes_in_the_meantime(client: AsyncAnthropic) -> None:
    both_arrived = asyncio.Barrier(2)

    async def script(body: Json) -> str:
        await both_arrived.wait()
        return "Hi."

    with ScriptedClaude(script) as claude:
        both = await asyncio.gather(*(created(client, claude, **SYSTEM) for _ in range(2)))
    assert [spent(message.usage)[0] for message in both] == [0, 0]


async def test_ids_do_not_depend_on_breakpoints(client: AsyncAnthropic, ask: Ask) -> None:
    with ScriptedClaude([tool_use("get_x")]) as claude:
        plain = await ask(client, claude, system=[text(LONG)])
        cached = await ask(client, claude, **SYSTEM)
    assert (plain.id, dumped(plain)) == (cached.id, dumped(cached))
