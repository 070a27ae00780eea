"""What reaches a run that should not: each is named with its fix, and none leaves a run running for ever."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError

from tenure import Agent, ToolContext, ToolError, tool
from tenure.errors import (
    BadInput,
    ConfigError,
    NotFound,
    StoreMismatch,
    StoreUnavailable,
    TemporalUnavailable,
)
from tenure.run import RunRequest
from tenure.runtime.registry import load
from tenure.runtime.store import Store
from tenure.runtime.temporal import connect, start_server
from tenure.testing import embedded
from tenure.testing.scripted_claude import Reply, ScriptedClaude, text, tool_use

MAKERS: dict[str, Any] = {}


def circle() -> Any:
    found: list[Any] = []
    found.append(found)
    return found


MAKERS |= {
    "nan": lambda: float("nan"),
    "bytes": lambda: {"data": b"\xff\x00"},
    "a circle": circle,
    "a function": lambda: print,
    "five megabytes": lambda: "x" * 5_000_000,
    "a surrogate": lambda: "\ud800 alone",
    "a deep nest": lambda: [[[[[[]]]]]],
}
BROKEN = {"nan": "Out of range", "bytes": "base64", "a circle": "Circular", "a function": "serialize"}


@tool(effect="read", retries=0)
async def make(what: str) -> Any:
    """Return something odd."""
    return MAKERS[what]()


@tool(effect="read", retries=0)
async def promised_a_number() -> int:
    """Return something else than promised."""
    return "seven"  # pyright: ignore[reportReturnType]  # the point of the test


@tool(effect="read", retries=0)
async def explode(how: str) -> str:
    """Raise."""
    raise {"key": KeyError, "exit": SystemExit, "recursion": RecursionError}[how]("boom")


@tool(effect="read", timeout=0.3, retries=0)
async def hang() -> str:
    """Never return."""
    await asyncio.sleep(3600)
    return "late"


@tool(effect="write", timeout=0.3)
def hang_in_a_thread() -> str:
    """Never return, in a thread."""
    import time

    time.sleep(4)
    return "late"


@tool(effect="write")
async def break_off(order: str) -> str:
    """Fail after who knows what."""
    raise RuntimeError("connection reset")


@tool(effect="write", idempotent=True)
async def count(number: int) -> str:
    """Echo a number."""
    return str(number)


odd = Agent(
    name="odd",
    tools=[make, promised_a_number, explode, hang, hang_in_a_thread, break_off, count],
    error_threshold=10,
)


async def told(*calls: Any) -> list[dict[str, Any]]:
    """What Claude is told of these calls, and that the run went on after them."""
    async with embedded(odd, claude=[list(calls), text("I see.")]):
        response = await odd.run("go")
    assert response.message == "I see."
    return response.tool_calls


async def test_results_that_json_cannot_hold_are_told_to_claude_by_name() -> None:
    calls = await told(*(tool_use("make", what=what) for what in BROKEN))
    for call, reason in zip(calls, BROKEN.values(), strict=True):
        assert not call["ok"]
        assert reason in call["result"], call


async def test_large_and_odd_results_are_kept_whole_and_shown_cut() -> None:
    async with embedded(odd, claude=[tool_use("make", what="five megabytes"), text("Long.")]) as system:
        response = await odd.run("go")
        assert len(response.tool_calls[0]["result"]) == 5_000_000
        assert system.claude is not None
        shown = system.claude.requests[-1].body["messages"][-1]["content"][0]["content"]
        assert "the first 262,144 of 5,000,000 characters" in shown
        description = await system.temporal.get_workflow_handle(response.id).describe()
        assert description.history_length < 30
        history = await system.temporal.get_workflow_handle(response.id).fetch_history()
        assert sum(event.ByteSize() for event in history.events) < 20_000
    [surrogate, nest] = await told(tool_use("make", what="a surrogate"), tool_use("make", what="a deep nest"))
    assert (surrogate["result"], nest["result"]) == ("? alone", [[[[[[]]]]]])


async def test_a_tool_that_breaks_its_promise_raises_or_hangs_is_told_to_claude() -> None:
    broken = [tool_use("explode", how=how) for how in ("key", "exit", "recursion")]
    calls = await told(tool_use("promised_a_number"), *broken, tool_use("hang"))
    reasons = ("valid integer", "KeyError", "SystemExit", "RecursionError", "within 0.3 s")
    for call, reason in zip(calls, reasons, strict=True):
        assert not call["ok"]
        assert reason in call["result"]


async def test_a_change_that_hangs_or_breaks_off_is_of_unknown_outcome_and_asks_when_made_again() -> None:
    from tests.waiting import one_pending

    script = [
        tool_use("hang_in_a_thread"),
        tool_use("break_off", order="o1"),
        tool_use("break_off", order="o1"),
        text("ok"),
    ]
    async with embedded(odd, claude=script) as system:
        handle = await odd.start("go")
        request = await one_pending(system)
        assert "nobody knows whether it took effect" in request.why
        await system.answer(request, "deny")
        response = await handle.result()
    assert "Nobody knows whether hang_in_a_thread took effect" in response.tool_calls[0]["result"]
    assert "RuntimeError: connection reset" in response.tool_calls[1]["result"]
    assert "denied by operator" in response.tool_calls[2]["result"]


async def test_calls_that_cannot_be_made_go_back_to_claude_as_errors() -> None:
    unknown, wrong, extra, big = await told(
        tool_use("launch_rocket"),
        tool_use("count", number="three"),
        tool_use("count", number=1, colour="red"),
        tool_use("count", number=2**60),
    )
    assert "no tool 'launch_rocket'; there are: make" in unknown["result"]
    assert "number: Input should be a valid integer" in wrong["result"]
    assert "colour: Extra inputs" in extra["result"]
    assert big["result"] == str(2**60)


async def test_a_tool_call_cut_at_max_tokens_is_not_made() -> None:
    reply = Reply([tool_use("count", number=1), tool_use("count", number=2)], stop_reason="max_tokens")
    async with embedded(odd, claude=[reply, text("ok")]):
        response = await odd.run("go")
    assert [call["ok"] for call in response.tool_calls] == [True, False]
    assert "cut at max_tokens" in response.tool_calls[1]["result"]


async def test_a_message_of_three_megabytes_travels_as_a_reference() -> None:
    async with embedded(odd, claude=[text("Long.")]) as system:
        response = await odd.run("x" * 3_000_000)
        assert response.message == "Long."
        history = await system.temporal.get_workflow_handle(response.id).fetch_history()
        assert sum(event.ByteSize() for event in history.events) < 10_000
        assert system.claude is not None
        assert len(system.claude.requests[0].body["messages"][0]["content"][0]["text"]) == 3_000_000


async def test_a_client_without_blobs_refuses_a_long_message_by_name() -> None:
    from dataclasses import replace

    async with embedded(odd, claude=[text("ok")]) as system:
        with pytest.raises(BadInput, match=r"3,000,000 bytes.*TENURE_BLOB_URL"):
            await odd.run("x" * 3_000_000, client=replace(system, blobs=None))


async def test_names_messages_and_states_that_cannot_be_are_refused_before_anything_starts() -> None:
    async with embedded(odd, claude=[text("ok")]) as system:
        for wrong, match in (
            ({"message": "  "}, "empty"),
            ({"tenant": "a/b"}, "tenant 'a/b'"),
            ({"state": {"x": float("nan")}}, "not JSON"),
            ({"state": {"x": "y" * 70_000}}, "70,008 bytes"),
        ):
            with pytest.raises(BadInput, match=match):
                await odd.run(**({"message": "hi"} | wrong))
        with pytest.raises(BadInput, match="agent 'a/b'"):
            await system.runs.start("a/b", "hi")
        with pytest.raises(NotFound, match="no living run"):
            await (await system.runs.find("default:run:odd:nothing")).result()


async def test_an_agent_or_fingerprint_nobody_serves_fails_the_run_with_the_fix() -> None:
    other = Agent(name="odd", instructions="newer", tools=odd.tools)
    async with embedded(odd, claude=[text("ok")]) as system:
        response = await other.run("hi")
        assert (response.status, response.stop_reason) == ("failed", "failed")
        assert (
            f"the worker serves odd@{odd.fingerprint[:8]}, you have odd@{other.fingerprint[:8]}: restart"
            in response.message
        )
        response = await (await system.runs.start("ghost", "hi")).result()
        assert "no worker serves an agent 'ghost'; this one serves odd" in response.message


async def test_a_raw_start_with_garbage_fails_and_does_not_hang() -> None:
    async with embedded(odd, claude=[text("ok")]) as system:
        starts: list[list[Any]] = [["garbage"], [{"agent": 5}], [], [{"agent": "odd", "message": ""}], [[1, 2]], [None]]
        for index, given in enumerate(starts):
            handle = await system.temporal.start_workflow(
                "AgentRun", args=given, id=f"raw-{index}", task_queue="tenure"
            )
            with pytest.raises(WorkflowFailureError):
                await asyncio.wait_for(handle.result(), 15)


async def test_a_raw_start_of_a_good_request_is_a_run_like_any_other() -> None:
    async with embedded(odd, claude=[text("ok")]) as system:
        request = RunRequest(agent="odd", message="hi")
        outcome = await system.temporal.execute_workflow(
            "AgentRun", request, id="default:run:odd:raw", task_queue="tenure"
        )
        assert outcome["message"] == "ok"


def test_agents_that_cannot_work_are_refused_where_they_are_written() -> None:
    def untyped(x):  # pyright: ignore[reportUnknownParameterType, reportMissingParameterType]  # the point
        return x

    cases: list[tuple[dict[str, Any], str]] = [
        ({"name": "a/b"}, r"agent name 'a/b': must match"),
        ({"name": "a", "tols": []}, "did you mean 'tools'"),
        ({"name": "a", "tools": [count, count]}, "two tools are named 'count'"),
        ({"name": "a", "tools": ["count"]}, "neither a @tool nor a function"),
        ({"name": "a", "tools": [untyped]}, "parameter 'x' needs a type hint"),
        ({"name": "a", "max_iterations": 0}, "max_iterations=0"),
        ({"name": "a", "timeout": float("inf")}, "timeout=inf"),
        ({"name": "a", "state": {"x": object()}}, "state"),
    ]
    for wrong, match in cases:
        with pytest.raises(ConfigError, match=match):
            Agent(**wrong)
    with pytest.raises(ConfigError, match="effect='delete' must be one of read"):
        tool(effect="delete", name="a")(lambda: None)  # pyright: ignore[reportArgumentType]  # the point of the test


def test_an_agent_module_that_fails_to_import_or_holds_no_agent_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("raise RuntimeError('no config')")
    with pytest.raises(ConfigError, match="RuntimeError: no config"):
        load(str(broken))
    empty = tmp_path / "empty.py"
    empty.write_text("x = 1")
    with pytest.raises(ConfigError, match="defines no Agent"):
        load(str(empty))
    with pytest.raises(ConfigError, match="not an Agent"):
        load(f"{empty}:x")
    with pytest.raises(ConfigError, match="cannot be imported"):
        load("no.such.module")


async def test_a_worker_without_key_root_or_price_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ANTHROPIC_API_KEY"):
        async with embedded(odd):
            pass
    with pytest.raises(ConfigError, match="'claude-nonsense-9' has no price"):
        async with embedded(Agent(name="a", model="claude-nonsense-9"), claude=[text("ok")]):
            pass
    with pytest.raises(ConfigError, match="two agents are named 'odd'"):
        async with embedded(odd, odd, claude=[text("ok")]):
            pass


async def test_no_temporal_is_said_with_the_command_that_starts_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
    with pytest.raises(TemporalUnavailable, match=r"127.0.0.1:1: start one with `tenure dev`"):
        await connect()


def test_the_worker_says_a_users_mistake_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tenure.worker", "--agents", "no.such.module"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    assert "--agents no.such.module: the module cannot be imported" in ended.stderr


def test_a_store_that_is_read_only_newer_or_no_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tenure.db"
    with pytest.raises(ConfigError, match="must be sqlite:///"):
        Store.open("mysql://x/y")
    with pytest.raises(StoreUnavailable, match="cannot be used"):
        Store.open(f"sqlite://{path}?mode=ro")
    Store.open(f"sqlite://{path}").close()
    import sqlite3

    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(StoreMismatch, match="has schema 99, this Tenure knows 1"):
        Store.open(f"sqlite://{path}")
    path.write_bytes(b"this is not a database, but a text" * 100)
    with pytest.raises(StoreUnavailable, match="not a database"):
        Store.open(f"sqlite://{path}")


async def test_a_read_only_store_refuses_to_write_by_name(tmp_path: Path) -> None:
    url = f"sqlite://{tmp_path / 'tenure.db'}"
    Store.open(url).close()
    store = Store.open(f"{url}?mode=ro")
    with pytest.raises(StoreUnavailable, match=r"readonly.*writable"):
        await store.transact(lambda db: db.execute("INSERT INTO meta VALUES ('a', 'b')"))
    store.close()


async def test_a_store_of_another_installation_is_refused(tmp_path: Path) -> None:
    server = await start_server()
    try:
        claude = ScriptedClaude([text("ok")])
        async with embedded(odd, claude=claude, home=tmp_path / "one", server=server):
            assert (await odd.run("hi")).success
        async with embedded(odd, claude=claude, home=tmp_path / "one", server=server):
            assert (await odd.run("hi")).success
        with pytest.raises(StoreMismatch, match="is not the one this Temporal namespace belongs to"):
            async with embedded(odd, claude=claude, home=tmp_path / "two", server=server):
                pass
    finally:
        await server.shutdown()


@tool(effect="write")
async def ramble(ctx: ToolContext, how: str) -> str:
    """Say five megabytes."""
    words = "x" * 5_000_000
    if how == "decline":
        raise ToolError(words)
    if how == "break":
        raise RuntimeError(words)
    ctx.finish(words)
    return "ok"


async def test_words_that_do_not_fit_into_history_are_cut() -> None:
    agent = Agent(name="odd", tools=[ramble])
    script = [tool_use("ramble", how=how) for how in ("decline", "break", "finish")]
    async with embedded(agent, claude=script):
        response = await asyncio.wait_for(agent.run("go"), 30)
    assert response.stop_reason == "finished"
    for said in (response.message, *(call["result"] for call in response.tool_calls[:2])):
        assert "[cut: the first 8,000 of 5,000," in said


async def test_a_flood_of_signals_does_not_outgrow_the_run() -> None:
    from tenure.testing.scripted_claude import slow

    async with embedded(odd, claude=[slow(tool_use("count", number=1), 2), text("ok")]) as system:
        handle = await odd.start("go")
        for number in range(30):
            await handle.workflow.signal("add_context", f"{number}" * 20_000)
            await handle.workflow.signal("answer", "y" * 100_000)
        response = await asyncio.wait_for(handle.result(), 30)
        assert response.message == "ok"
        assert system.claude is not None
        assert "added context was refused" in str(system.claude.requests[-1].body["messages"])
