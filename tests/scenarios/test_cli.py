"""The command line: what an operator types, reads and may get wrong. A real server and worker stand behind every command."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tenure import Agent, ToolError, tool
from tenure.cli import main
from tenure.testing import Embedded, embedded
from tenure.testing.messages_api import Json, turn_of
from tenure.testing.scripted_claude import text, tool_use
from tests.waiting import eventually, one_pending

MESSAGE = "Please tidy up account a1."


@tool(effect="read")
async def look_up(account: str) -> dict[str, str]:
    """Find an account."""
    if account != "a1":
        raise ToolError(f"no account {account!r}")
    return {"account": account, "owner": "Alice [admin]"}


@tool(effect="write", idempotent=True)
async def set_note(account: str, note: str) -> str:
    """Write a note."""
    return f"{account}: {note}"


@tool(effect="destructive")
async def delete_account(account: str) -> str:
    """Delete an account for good."""
    return f"{account} deleted"


@tool(effect="read")
async def wait() -> None:
    """Wait until somebody cancels the run."""
    await asyncio.Event().wait()


clerk = Agent(name="clerk", tools=[look_up, set_note, delete_account, wait])
TIDY = [
    [text("I'll look first."), tool_use("look_up", account="a1"), tool_use("look_up", account="b2")],
    tool_use("set_note", account="a1", note="tidied"),
    text("Account a1 is tidy."),
]
DELETE = [tool_use("delete_account", account="a1"), text("Nothing more to do.")]


def script(body: Json) -> Any:
    """One story for messages about deleting, one for waiting, another for the rest."""
    asked = json.dumps(body["messages"][0])
    return (DELETE if "delete" in asked else [tool_use("wait")] if "wait" in asked else TIDY)[turn_of(body)]


@pytest.fixture(scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Embedded]:
    async with embedded(clerk, claude=script, home=tmp_path_factory.mktemp("cli") / ".tenure") as made:
        yield made


Tenure = Callable[..., Any]


@pytest.fixture
def tenure(system: Embedded) -> Tenure:
    """Type a command and get its result; a thread, because each command has an event loop of its own."""
    env = {
        "TEMPORAL_ADDRESS": system.temporal.service_client.config.target_host,
        "TENURE_HOME": str(system.settings.home),
        "COLUMNS": "80",
    }

    async def typed(*words: str) -> Result:
        return await asyncio.to_thread(CliRunner(env=env).invoke, main, list(words))

    return typed


async def started(tenure: Tenure, message: str, *more: str) -> str:
    """The id of a run that goes on by itself."""
    return (await tenure("run", "clerk", message, "--no-wait", *more)).stdout.strip()


async def asking(tenure: Tenure, system: Embedded, *more: str) -> tuple[str, str]:
    """A run that waits for two people, and its request."""
    run = await started(tenure, "delete a1", *more)

    async def look() -> list[str]:
        return [request.id for request in await system.approvals.pending() if request.workflow == run]

    return run, (await eventually(look))[0]


async def ended(system: Embedded, run: str) -> str:
    return (await (await system.runs.find(run)).result()).message


def fits(output: str) -> bool:
    return all(len(line) <= 80 for line in output.splitlines() if "http" not in line)


async def test_run_follows_a_run_and_prints_its_answer_alone_on_stdout(tenure: Tenure) -> None:
    told = await tenure("run", "clerk", MESSAGE)
    assert (told.exit_code, told.stdout) == (0, "Account a1 is tidy.\n")
    assert 'set_note(account="a1", note="tidied")' in told.stderr
    assert re.search(r"completed \(answered\): 3 turns, 3 calls, [\d,]+ tokens, \$0\.\d{4}", told.stderr)
    assert "\x1b" not in told.output
    assert fits(told.stderr.replace("default:run:clerk:", ""))


async def test_run_prints_one_json_document(tenure: Tenure) -> None:
    told = json.loads((await tenure("run", "clerk", MESSAGE, "--state", '{"step": 1}', "--json")).stdout)
    assert (told["status"], told["message"], told["state"]) == ("completed", "Account a1 is tidy.", {"step": 1})
    assert [call["tool"] for call in told["tool_calls"]] == ["look_up", "look_up", "set_note"]


async def test_the_same_key_names_the_same_run(tenure: Tenure) -> None:
    first = await started(tenure, MESSAGE, "--key", "order-7", "--tenant", "acme")
    assert first == await started(tenure, MESSAGE, "--key", "order-7", "--tenant", "acme")
    assert first.startswith("acme:run:clerk:k-")


async def test_runs_are_listed_newest_first_and_by_what_one_asks(tenure: Tenure, system: Embedded) -> None:
    old, new = await started(tenure, MESSAGE), await started(tenure, MESSAGE, "--tenant", "north")
    await ended(system, old)
    await ended(system, new)
    listed = [run["id"] for run in json.loads((await tenure("runs", "--since", "1h", "--json")).stdout)]
    assert listed.index(new) < listed.index(old)
    north = await tenure("runs", "--tenant", "north", "--status", "completed", "--limit", "1")
    assert new.rpartition(":")[2] in north.stdout
    assert old.rpartition(":")[2] not in north.stdout
    assert fits(north.stdout)
    assert "no runs match" in (await tenure("runs", "--since", "2999-01-01")).stdout


async def test_show_tells_steps_calls_results_effects_and_times(tenure: Tenure, system: Embedded) -> None:
    run = await started(tenure, MESSAGE, "--user", "alice")
    await ended(system, run)
    page = await tenure("show", run.rpartition(":")[2])
    for told in ("completed (answered)", "user alice", MESSAGE, "I'll look first.", '"owner": "Alice [admin]"'):
        assert told in page.stdout
    assert "✗ no account 'b2'" in page.stdout
    assert "effect: done" in page.stdout
    assert f"/namespaces/default/workflows/{run}" in page.stdout
    assert len(re.findall(r"^\d\d:\d\d:\d\d", page.stdout, re.MULTILINE)) == 7
    assert fits(page.stdout)
    story = json.loads((await tenure("show", run, "--json")).stdout)
    assert [step["kind"] for step in story["steps"]] == [
        "message",
        "claude",
        "call",
        "call",
        "claude",
        "call",
        "claude",
    ]
    assert story["steps"][5]["effect"]["status"] == "done"
    assert all(step["took_ms"] >= 0 for step in story["steps"])


async def test_an_effect_without_a_result_in_a_closed_run_is_said_to_be_in_doubt(
    tenure: Tenure, system: Embedded
) -> None:
    run = await started(tenure, MESSAGE)
    await ended(system, run)
    lost = "UPDATE effects SET status = 'intent', result = NULL WHERE workflow = ?"
    await system.require_store().transact(lambda db: db.execute(lost, (run,)).rowcount)
    page = await tenure("show", run)
    assert "effect: IN DOUBT" in page.stdout
    assert "nobody knows whether set_note" in page.stdout.replace("\n", " ")
    assert json.loads((await tenure("show", run, "--json")).stdout)["in_doubt"] == [{"row": 5, "tool": "set_note"}]


async def test_nothing_pending_is_said_in_words(tenure: Tenure) -> None:
    assert (await tenure("pending")).stdout == "nothing is pending: no run waits for a person\n"
    assert json.loads((await tenure("pending", "--json")).stdout) == []


async def test_one_approval_of_two_says_who_is_missing_and_how(tenure: Tenure, system: Embedded) -> None:
    run, request = await asking(tenure, system, "--user", "alice")
    listed = (await tenure("pending")).stdout
    assert 'delete_account(account="a1")' in listed
    assert f"tenure approve {request}" in listed
    assert fits(listed)
    waiting = (await tenure("show", run)).stdout
    assert "waiting" in waiting
    assert "0 of 2 approvals" in waiting
    first = await tenure("approve", request[:10], "--note", "checked")
    assert first.exit_code == 0
    assert f"1 more must approve: tenure approve {request} --as reviewer" in first.stdout
    assert "1 so far: operator" in (await tenure("pending")).stdout
    second = await tenure("approve", run.rpartition(":")[2], "--as", "reviewer")
    assert "the run goes on" in second.stdout
    await ended(system, run)
    assert "approve by operator “checked”" in (await tenure("show", run)).stdout
    assert (await tenure("approve", request)).exit_code == 2


async def test_answers_and_cancellations_are_told_as_json_too(tenure: Tenure, system: Embedded) -> None:
    run, request = await asking(tenure, system)
    first = json.loads((await tenure("approve", request, "--json")).stdout)
    assert (first["accepted"], first["approved_by"], first["quorum"]) == (True, ["operator"], 2)
    again = await tenure("approve", request, "--json")
    assert again.exit_code == 1
    assert "has approved this already" in json.loads(again.stdout)["reason"]
    cancelled = json.loads((await tenure("cancel", run, "--json")).stdout)
    assert cancelled == {"id": run, "asked_to_stop": True}
    await ended(system, run)


async def test_show_tells_what_a_live_run_is_doing(tenure: Tenure, system: Embedded) -> None:
    run = await started(tenure, "wait for it")

    async def look() -> str:
        page = (await tenure("show", run)).stdout
        return page if re.search(r"^now +wait", page, re.MULTILINE) else ""

    page = await eventually(look)
    assert re.search(r"^status +running$", page, re.MULTILINE)
    assert re.search(r"^now +wait  \d+\.\d s$", page, re.MULTILINE)
    (flying,) = json.loads((await tenure("show", run, "--json")).stdout)["in_flight"]
    assert (flying["name"], flying["attempt"], flying["started"]) == ("tool.wait", 1, True)
    await tenure("cancel", run)
    assert await ended(system, run) == "cancelled"


async def test_a_denial_ends_the_request_and_claude_reads_the_note(tenure: Tenure, system: Embedded) -> None:
    run, request = await asking(tenure, system)
    assert (await tenure("deny", request, "--note", "still in use")).exit_code == 0
    await ended(system, run)
    page = (await tenure("show", run)).stdout
    assert "✗ denied by operator. still in use" in page
    assert "deny by operator" in page


async def test_a_printed_token_counts_when_somebody_pastes_it(tenure: Tenure, system: Embedded) -> None:
    run, request = await asking(tenure, system)
    token = (await tenure("answer", request, "deny", "--as", "reviewer", "--print")).stdout
    assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+\n", token)
    await (await system.runs.find(run)).workflow.signal("answer", token.strip())
    assert await ended(system, run) == "Nothing more to do."


async def test_a_refused_answer_exits_1_and_its_reason_stays_in_the_story(tenure: Tenure, system: Embedded) -> None:
    run, request = await asking(tenure, system, "--user", "operator")
    refused = await tenure("approve", request)
    assert (refused.exit_code, refused.stderr) == (1, "tenure: refused: nobody approves a run of their own\n")
    assert "REFUSED: nobody approves a run of their own" in (await tenure("show", run)).stdout
    (asked,) = json.loads((await tenure("show", run, "--json")).stdout)["requests"]
    assert [answer["accepted"] for answer in asked["answers"]] == [False]
    assert (await tenure("cancel", run)).exit_code == 0
    assert await ended(system, run) == "cancelled"


async def test_a_run_that_is_over_cannot_be_cancelled(tenure: Tenure, system: Embedded) -> None:
    run = await started(tenure, MESSAGE)
    await ended(system, run)
    told = await tenure("cancel", run)
    assert (told.exit_code, told.stderr) == (2, f"tenure: run {run} is completed already: there is nothing to cancel\n")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("runs --since yesterday", "--since 'yesterday': write a duration (30m, 1h, 2d, 1w) or a date"),
        ("runs --limit 0", "0 is not in the range"),
        ("runs --status done", "'done' is not one of"),
        ("show nothing-like-it", "no run 'nothing-like-it'"),
        ("show default:run:clerk:never", "no run 'default:run:clerk:never'"),
        ("cancel default:run:clerk:never", "Temporal knows no such run"),
        ("approve req-nothing", "no request 'req-nothing'"),
        ("run clerk hello --state [1]", "--state '[1]': must be a JSON object"),
        ("run clerk hello --state {", "--state '{' is no JSON"),
        ("run a/b hello", "agent 'a/b': must match"),
        ("run clerk  ", "Missing argument 'MESSAGE'"),
        ("fly", "No such command 'fly'"),
    ],
)
async def test_a_mistake_is_one_line_that_names_it(tenure: Tenure, typed: str, said: str) -> None:
    told = await tenure(*typed.split())
    assert told.exit_code == 2
    assert said in told.stderr
    assert re.fullmatch(r"tenure: .*\n", told.stderr)
    assert told.stdout == ""


async def test_an_unknown_principal_is_told_which_there_are(tenure: Tenure, system: Embedded) -> None:
    run, request = await asking(tenure, system)
    told = await tenure("approve", request, "--as", "mallory")
    assert told.exit_code == 2
    assert "no key 'mallory'" in told.stderr
    assert "operator, reviewer" in told.stderr
    await (await system.runs.find(run)).cancel()
    await ended(system, run)


def test_the_command_line_starts_without_what_it_does_not_need() -> None:
    code = "import sys, tenure.cli; print([m for m in ('anthropic', 'temporalio', 'rich') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_without_a_server_one_line_says_how_to_get_one(tmp_path: Path) -> None:
    env = {**os.environ, "TEMPORAL_ADDRESS": "127.0.0.1:1"}
    told = subprocess.run(
        [sys.executable, "-m", "tenure.cli", "cancel", "x"],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (told.returncode, told.stderr.count("\n")) == (2, 1)
    assert "no Temporal server at 127.0.0.1:1: start one with `tenure dev`" in told.stderr


async def test_a_call_that_policy_changed_is_shown_with_what_claude_had_asked_for() -> None:
    from tenure.cli.page import what
    from tenure.cli.story import Call, collect
    from tenure.hooks import Hold, Modify

    @tool(effect="privileged")
    async def wire(cents: int) -> str:
        """Wire."""
        return "wired"

    agent = Agent(
        name="till",
        tools=[wire],
        on_tool_call=lambda call: Modify({"cents": 100}),
        on_response=lambda answer: Hold("it promises something"),
    )
    async with embedded(agent, claude=[tool_use("wire", cents=900), text("I promise.")]) as system:
        handle = await agent.start("go")
        request = await one_pending(system)
        assert (request.payload["arguments"], request.payload["asked"]) == ({"cents": 100}, {"cents": 900})
        assert "why" not in what(request.payload)
        await system.approve(request)

        async def held() -> Any:
            return [one for one in await system.approvals.pending() if one.kind == "answer"]

        [answer] = await eventually(held)
        assert what(answer.payload) == "send this final answer:\nI promise."
        await system.answer(answer, "approve")
        response = await handle.result()
        story = await collect(system, handle.id)
    [call] = [step for step in story.steps if isinstance(step, Call)]
    assert (call.arguments, call.asked) == ({"cents": 100}, {"cents": 900})
    assert response.tool_calls == [
        {"tool": "wire", "input": {"cents": 100}, "asked": {"cents": 900}, "result": "wired", "ok": True}
    ]
