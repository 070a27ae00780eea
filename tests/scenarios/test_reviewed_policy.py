"""What a review proved broken in hooks, limits, caches and contexts, each as the promise it broke."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tenure import Agent, StopReason, ToolContext, ToolError, tool
from tenure.activities.resources import now
from tenure.approvals.digest import call_digest, effect_key
from tenure.hooks import Iteration, Modify, Reject, Retry, Stop, ToolCall
from tenure.response import Response
from tenure.runtime.store import Connection, effects, runs, transcript
from tenure.testing import embedded
from tenure.testing.scripted_claude import text, tool_use
from tests.waiting import eventually, one_pending

MADE: list[Any] = []


@pytest.fixture(autouse=True)
def _nothing_made() -> None:
    MADE.clear()


@tool(effect="write")
async def refund(amount: int) -> str:
    """Refund."""
    MADE.append(amount)
    return f"refunded {amount}"


@tool(effect="read")
async def select(ctx: ToolContext, customer: str) -> str:
    """Select a customer."""
    ctx.state["customer"] = customer
    return "selected"


@tool(effect="read", cache=True)
async def balance(ctx: ToolContext) -> str:
    """Get the balance of the selected customer."""
    return f"balance of {ctx.state['customer']}"


@tool(effect="read")
async def page(number: int) -> str:
    """Read a page."""
    return f"{number}: " + "all work and no play " * 150


async def run(script: Any, *tools: Any, **options: Any) -> Response:
    agent = Agent(name="desk", tools=tools or (refund,), **options)
    async with embedded(agent, claude=script):
        return await agent.run("go")


def orphan(workflow: str, name: str, arguments: dict[str, Any], seq: int = 2) -> effects.Start:
    """A start without a result, as a killed worker leaves it."""
    bound = call_digest("default", workflow, seq, name, arguments)
    return effects.Start(effect_key("default", workflow, seq, bound), workflow, seq, name, bound, "dead", now())


# ---------------------------------------------------------------------------------------------------------- effects


def test_a_person_s_word_about_a_start_does_not_count_for_one_after_a_withdrawal(db: Connection) -> None:
    begin = orphan("w", "refund", {"amount": 1})
    effects.begin(db, begin)
    told = effects.Start(**{**vars(begin), "token": "second", "resolved": "did-not", "generation": 1})
    assert isinstance(effects.begin(db, told), effects.Go)  # the person said that the first one did not happen
    effects.withdraw(db, begin.key, "second")  # the tool said so of the second
    third = effects.Start(**{**vars(told), "token": "third"})
    assert isinstance(effects.begin(db, third), effects.Go)
    fourth = effects.Start(**{**vars(told), "token": "fourth"})  # the third was made, and its worker died
    assert isinstance(effects.begin(db, fourth), effects.InDoubt)


async def test_a_rate_limit_does_not_hide_an_effect_that_happened() -> None:
    agent = Agent(name="desk", tools=[refund], rate_limits={"refund": "1/day"})
    script = [tool_use("refund", amount=7), text("ok")]
    async with embedded(agent, claude=script) as system:
        await agent.run("use the limit up")
        handle = await agent.start("go", idempotency_key="k")
        begin = orphan(handle.id, "refund", {"amount": 7})
        await system.require_store().transact(lambda db: effects.begin(db, begin))
        request = await one_pending(system)
        await system.answer(request, "happened")
        response = await handle.result()
    assert "took effect: a person confirmed it" in response.tool_calls[0]["result"]


async def test_a_tool_s_error_is_tried_again_without_a_second_person_or_a_second_effect() -> None:
    @tool(effect="write")
    async def shy(amount: int) -> str:
        """Say twice that nothing happened."""
        MADE.append(amount)
        if len(MADE) < 3:
            raise ToolError("not now")
        return "done"

    response = await run([tool_use("shy", amount=1), text("ok")], shy, on_error=lambda failure: Retry())
    assert (response.tool_calls[0]["result"], len(MADE)) == ("done", 3)


async def test_a_rebuild_of_the_store_keeps_the_key_and_the_state_a_run_began_with() -> None:
    agent = Agent(name="desk", tools=[refund], state={"limit": 50})
    async with embedded(agent, claude=[text("ok")]) as system:
        response = await agent.run("go", idempotency_key="k")
        store = system.require_store()
        before = await store.read(lambda db: runs.get(db, response.id))
        await store.transact(lambda db: transcript.cut(db, response.id, 0))
        await system.resources.recall.restore(store, system.temporal, response.id)
        after = await store.read(lambda db: runs.get(db, response.id))
    assert before is not None
    assert after is not None
    assert (after.first_run, after.initial_state) == (before.first_run, {"limit": 50})
    assert after.first_run


async def test_a_response_is_whole_when_rows_of_the_store_were_lost() -> None:
    agent = Agent(name="desk", tools=[refund])
    async with embedded(agent, claude=[tool_use("refund", amount=7), text("ok")]) as system:
        response = await agent.run("go")
        await system.require_store().transact(lambda db: db.execute("DELETE FROM transcript WHERE seq = 1") and None)
        assert await (await system.runs.find(response.id)).result() == response


# ------------------------------------------------------------------------------------------------------------ cache


async def test_a_read_that_changes_the_state_makes_cached_reads_stale() -> None:
    script = [
        tool_use("select", customer="alice"),
        tool_use("balance"),
        tool_use("select", customer="bob"),
        tool_use("balance"),
        text("ok"),
    ]
    response = await run(script, select, balance)
    assert [call["result"] for call in response.tool_calls][1::2] == ["balance of alice", "balance of bob"]


# ------------------------------------------------------------------------------------------------------------ hooks


async def test_what_a_hook_does_to_what_it_is_given_reaches_nothing() -> None:
    def tamper(call: ToolCall) -> None:
        call.input["amount"] = "lots"
        call.state.clear()

    def forget(told: Iteration) -> None:
        for call in told.tool_calls:
            call["result"] = call["input"]["amount"] = 999
        told.state.clear()

    agent = Agent(
        name="desk", tools=[refund], state={"a": 1}, required_state=["a"], on_tool_call=tamper, on_iteration=forget
    )
    async with embedded(agent, claude=[tool_use("refund", amount=7), text("ok")]) as system:
        response = await agent.run("go")
        assert system.claude is not None
        sent = json.dumps(system.claude.requests[-1].body["messages"])
    assert (response.success, MADE, response.tool_calls[0]["result"]) == (True, [7], "refunded 7")
    assert '"amount": 7' in sent
    assert "999" not in sent


class Crash(BaseException):
    """Not even an Exception."""


def crash(told: Any) -> Any:
    raise Crash("down")


async def leave(told: Any) -> Any:
    raise SystemExit("bye")


async def cancel_itself(told: Any) -> Any:
    raise asyncio.CancelledError


async def swallow(told: Any) -> Any:
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        await asyncio.sleep(60)  # until the end of the worker's loop


def own_timeout(told: Any) -> Any:
    raise TimeoutError("mine")


ODD: list[tuple[Any, str]] = [
    (crash, "down"),
    (leave, "SystemExit"),
    (cancel_itself, "CancelledError"),
    (swallow, "longer than 2 s"),
    (own_timeout, "raised TimeoutError: mine"),
    (lambda call: Reject(None), "gave None where words belong"),  # type: ignore[arg-type]
    (lambda call: Modify({"amount": {1}}), "to what it does not take"),  # type: ignore[dict-item]
    (lambda call: Modify({"amount": 7, "note": "x" * 3_000_000}), "to what it does not take"),
]


@pytest.mark.parametrize(("hook", "told"), ODD, ids=[told for _, told in ODD])
async def test_whatever_a_hook_does_the_run_ends_by_its_name_and_claude_is_asked_once(hook: Any, told: str) -> None:
    agent = Agent(name="desk", tools=[refund], on_tool_call=hook, timeout=2)
    async with embedded(agent, claude=[tool_use("refund", amount=7), text("ok")]) as system:
        response = await agent.run("go")
        assert system.claude is not None
        assert (response.stop_reason, len(system.claude.requests)) == (StopReason.FAILED, 1)
    assert told in response.message
    assert response.message.startswith("on_tool_call of 'desk'")
    assert MADE == []


@pytest.mark.parametrize("reason", [503, "half a pair: \ud800"])
async def test_a_stop_of_on_error_keeps_what_is_known_whatever_its_reason_is(reason: Any) -> None:
    @tool(effect="write")
    async def break_off() -> str:
        """Fail halfway."""
        MADE.append("break_off")
        raise ConnectionError("reset")

    agent = Agent(name="desk", tools=[break_off], on_error=lambda failure: Stop(reason))
    async with embedded(agent, claude=[tool_use("break_off"), text("ok")]) as system:
        response = await agent.run("go")
        [effect] = await system.require_store().read(lambda db: effects.of_run(db, response.id))
    assert (response.stop_reason, effect["status"], MADE) == (StopReason.FAILED, "raised", ["break_off"])


async def test_on_iteration_hears_only_of_the_calls_of_its_iteration_and_once_of_each() -> None:
    @tool(effect="read")
    async def done(ctx: ToolContext) -> str:
        """Finish."""
        ctx.finish("ok")
        return "done"

    heard: list[tuple[int, str, list[str]]] = []

    def hear(told: Iteration) -> None:
        heard.append((told.number, str(told.status), [call["tool"] for call in told.tool_calls]))

    await run(
        [tool_use("refund", amount=1), [tool_use("done"), tool_use("refund", amount=2)]],
        refund,
        done,
        on_iteration=hear,
    )
    assert heard == [(1, "running", ["refund"]), (2, "completed", ["done"])]

    heard.clear()
    response = await run([tool_use("refund", amount=1)], on_iteration=hear, until=lambda state: bool(MADE[1:]))
    assert (response.stop_reason, response.iterations, heard) == (StopReason.UNTIL, 1, [(1, "running", ["refund"])])


async def test_until_must_say_yes_or_no() -> None:
    response = await run([text("ok")], until=lambda state: "no")
    assert (response.stop_reason, "return True or False" in response.message) == (StopReason.FAILED, True)


# ------------------------------------------------------------------------------------------------------------ edges


async def test_an_empty_context_is_no_context() -> None:
    agent = Agent(name="desk", tools=[refund])
    async with embedded(agent, claude=[text("ok")]) as system:
        assert (await agent.run("go", context=["", "  "])).success
        handle = await agent.start("go")
        await handle.workflow.signal("add_context", "")
        assert (await handle.result()).success
        assert system.claude is not None
        assert "" not in [block["text"] for r in system.claude.requests for block in r.body["messages"][0]["content"]]


async def test_an_unknown_tool_s_message_names_only_tools_the_role_may_use() -> None:
    agent = Agent(name="desk", tools=[refund, page], roles={"viewer": ["page"]})
    async with embedded(agent, claude=[tool_use("wire"), text("ok")]):
        response = await agent.run("go", role="viewer")
    assert response.tool_calls[0]["result"] == "there is no tool 'wire'; there are: page"


async def test_a_follower_of_events_goes_on_after_a_reset() -> None:
    from temporalio.api.common.v1 import WorkflowExecution
    from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest

    @tool(effect="privileged")
    async def wire(amount: int) -> str:
        """Wire."""
        MADE.append(amount)
        return "wired"

    agent = Agent(name="desk", tools=[wire])
    async with embedded(agent, claude=[tool_use("wire", amount=1), text("ok")]) as system:
        handle = await agent.start("go")
        kinds: list[str] = []

        async def follow() -> None:
            async for event in handle.events():
                kinds.append(event.kind)

        following = asyncio.create_task(follow())
        await one_pending(system)

        async def heard() -> bool:
            return "waiting" in kinds

        await eventually(heard)
        events = [event async for event in handle.workflow.fetch_history_events()]
        first = next(event.event_id for event in events if event.HasField("workflow_task_completed_event_attributes"))
        await system.temporal.workflow_service.reset_workflow_execution(
            ResetWorkflowExecutionRequest(
                namespace="default",
                workflow_execution=WorkflowExecution(workflow_id=handle.id),
                workflow_task_finish_event_id=first,
                request_id="again",
                reason="a test",
            )
        )

        async def asked_again() -> Any:
            progress = await handle.progress()
            return progress.waiting_for[0] if progress.waiting_for else None

        await system.approve(await eventually(asked_again))
        await asyncio.wait_for(following, 30)
    assert (kinds[0], kinds[-1], kinds.count("started"), kinds.count("finished")) == ("started", "finished", 1, 1)
    assert MADE == [1]
