"""What an agent's own functions are told and may decide, and what becomes of a run when they fail."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tenure import Agent, StopReason, ToolContext, ToolError, tool
from tenure.errors import ConfigError
from tenure.hooks import (
    Allow,
    Answer,
    Approve,
    Evaluation,
    Hold,
    Iteration,
    Missing,
    Modify,
    Reject,
    Retry,
    Rewrite,
    Stop,
    Tell,
    ToolCall,
    ToolFailure,
)
from tenure.response import Response
from tenure.runtime.store import verdicts
from tenure.testing import embedded
from tenure.testing.scripted_claude import text, tool_use
from tests.waiting import one_pending

MADE: list[Any] = []


@pytest.fixture(autouse=True)
def _nothing_made() -> None:
    MADE.clear()


@tool(effect="write")
async def pay(amount: int) -> str:
    """Pay."""
    MADE.append(amount)
    return f"paid {amount}"


@tool(effect="write")
async def decline(amount: int) -> str:
    """Say that nothing happened, the first two times."""
    MADE.append(amount)
    if len(MADE) < 3:
        raise ToolError("the bank is closed")
    return "paid"


@tool(effect="write")
async def explode() -> str:
    """Fail halfway."""
    MADE.append("explode")
    raise ConnectionError("reset")


@tool(effect="read", retries=2)
async def flaky() -> str:
    """Never succeed."""
    MADE.append("flaky")
    raise ConnectionError("reset")


PAY = [tool_use("pay", amount=100), text("Done.")]


async def run(script: Any, *tools: Any, message: str = "go", **options: Any) -> Response:
    agent = Agent(name="desk", tools=tools or (pay,), **options)
    async with embedded(agent, claude=script):
        return await agent.run(message, user="alice", role="clerk", tenant="acme")


# ---------------------------------------------------------------------------------------------------- on_tool_call


async def test_on_tool_call_sees_a_call_before_it_is_made_and_may_let_it_pass() -> None:
    seen: list[ToolCall] = []

    async def watch(call: ToolCall) -> Allow | None:
        seen.append(call)
        return Allow() if len(seen) == 1 else None

    script = [[tool_use("pay", amount=1), tool_use("pay", amount=2)], text("Done.")]
    response = await run(script, on_tool_call=watch, state={"vip": True})
    assert [(call.tool, call.input, call.state) for call in seen] == [
        ("pay", {"amount": 1}, {"vip": True}),
        ("pay", {"amount": 2}, {"vip": True}),
    ]
    told = seen[0].run
    assert (told.agent, told.tenant, told.user, told.role, told.id) == ("desk", "acme", "alice", "clerk", response.id)
    assert MADE == [1, 2]


async def test_on_tool_call_may_change_the_input_and_claude_is_told() -> None:
    agent = Agent(name="desk", tools=[pay], on_tool_call=lambda call: Modify({"amount": min(call.input["amount"], 50)}))
    async with embedded(agent, claude=PAY) as system:
        response = await agent.run("go")
        assert system.claude is not None
        sent = system.claude.requests[-1].body["messages"]
    assert MADE == [50]
    assert (response.tool_calls[0]["input"], response.tool_calls[0]["result"]) == ({"amount": 50}, "paid 50")
    assert sent[1]["content"][0]["input"] == {"amount": 100}  # what Claude said stays what it said
    assert sent[2]["content"][0]["content"] == (
        '[Tenure: by policy this call was made with other input: {"amount":50}]\npaid 50'
    )


async def test_people_approve_the_call_as_it_was_changed() -> None:
    @tool(effect="privileged")
    async def wire(amount: int) -> str:
        """Wire money."""
        MADE.append(amount)
        return "wired"

    agent = Agent(name="desk", tools=[wire], on_tool_call=lambda call: Modify({"amount": 7}))
    async with embedded(agent, claude=[tool_use("wire", amount=100), text("Done.")]) as system:
        handle = await agent.start("go")
        request = await one_pending(system)
        assert request.payload["arguments"] == {"amount": 7}
        await system.approve(request)
        assert (await handle.result()).message == "Done."
    assert MADE == [7]


async def test_on_tool_call_may_reject_and_that_is_no_error_of_the_tool() -> None:
    script = [*([[tool_use("pay", amount=n)] for n in range(4)]), text("I could not pay.")]
    response = await run(script, on_tool_call=lambda call: Reject("payments are frozen"), error_threshold=2)
    assert (response.stop_reason, MADE) == (StopReason.ANSWERED, [])
    assert [(call["ok"], call["result"]) for call in response.tool_calls] == [
        (False, "rejected: payments are frozen")
    ] * 4


async def test_calls_that_do_not_fit_the_schema_are_not_shown_to_on_tool_call() -> None:
    script = [[tool_use("pay", amount="much")], text("Done.")]
    response = await run(script, on_tool_call=MADE.append)
    assert (MADE, response.tool_calls[0]["ok"]) == ([], False)


# -------------------------------------------------------------------------------------------------------- on_error


async def test_on_error_is_told_what_failed_and_may_have_it_tried_again() -> None:
    seen: list[ToolFailure] = []

    def again(failure: ToolFailure) -> Retry:
        seen.append(failure)
        return Retry()

    response = await run([tool_use("decline", amount=5), text("Done.")], decline, on_error=again)
    assert (response.tool_calls[0]["result"], len(MADE)) == ("paid", 3)
    assert [(f.tool, f.error, f.kind, f.attempt, f.safe) for f in seen] == [
        ("decline", "the bank is closed", "declined", 1, True),
        ("decline", "the bank is closed", "declined", 2, True),
    ]


async def test_retry_is_not_heeded_where_it_could_double_an_effect() -> None:
    response = await run([tool_use("explode"), text("Done.")], explode, on_error=lambda failure: Retry())
    assert MADE == ["explode"]
    assert "Nobody knows whether explode took effect" in response.tool_calls[0]["result"]


async def test_on_error_may_tell_claude_at_once_instead_of_trying_again() -> None:
    response = await run([tool_use("flaky"), text("Done.")], flaky, on_error=lambda failure: Tell())
    assert (MADE, response.tool_calls[0]["ok"]) == (["flaky"], False)


async def test_on_error_may_stop_the_run() -> None:
    response = await run(PAY_BROKEN, explode, on_error=lambda failure: Stop(f"{failure.tool} is broken"))
    assert (response.stop_reason, response.message) == (StopReason.FAILED, "explode is broken")


PAY_BROKEN = [tool_use("explode"), text("Done.")]


async def test_without_a_word_of_on_error_a_failure_is_treated_as_ever() -> None:
    response = await run([tool_use("flaky"), text("Done.")], flaky, on_error=lambda failure: None)
    assert (len(MADE), response.tool_calls[0]["ok"]) == (3, False)


# ----------------------------------------------------------------------------------------------------- on_iteration


async def test_on_iteration_hears_of_every_iteration_with_its_calls() -> None:
    seen: list[Iteration] = []
    script = [[tool_use("pay", amount=1), tool_use("pay", amount=2)], tool_use("pay", amount=3), text("Done.")]
    await run(script, on_iteration=seen.append)
    assert [
        (told.number, str(told.status), [call["input"]["amount"] for call in told.tool_calls]) for told in seen
    ] == [
        (1, "running", [1, 2]),
        (2, "running", [3]),
        (3, "completed", []),
    ]
    assert seen[0].tool_calls[0] == {"tool": "pay", "input": {"amount": 1}, "result": "paid 1", "ok": True}


async def test_on_iteration_hears_of_the_last_iteration_of_a_run_that_gave_no_answer() -> None:
    seen: list[Iteration] = []
    script = [tool_use("pay", amount=1), tool_use("pay", amount=2)]
    response = await run(script, on_iteration=seen.append, max_iterations=2)
    assert response.stop_reason is StopReason.MAX_ITERATIONS
    assert [(told.number, str(told.status)) for told in seen] == [(1, "running"), (2, "failed")]


# ------------------------------------------------------------------------------------------------------ on_response


async def test_on_response_may_approve_or_rewrite_the_final_answer() -> None:
    seen: list[Answer] = []

    def sign(answer: Answer) -> Approve | Rewrite:
        seen.append(answer)
        return Approve() if answer.state else Rewrite(f"{answer.message} Yours, Tenure.")

    assert (await run(PAY, on_response=sign)).message == "Done. Yours, Tenure."
    assert (seen[0].message, [call["result"] for call in seen[0].tool_calls]) == ("Done.", ["paid 100"])
    assert (await run(PAY, on_response=sign, state={"a": 1})).message == "Done."


async def test_an_answer_that_is_held_goes_out_when_a_person_approves_it() -> None:
    agent = Agent(name="desk", tools=[pay], on_response=lambda answer: Hold("it names an amount"))
    async with embedded(agent, claude=PAY) as system:
        handle = await agent.start("go")
        request = await one_pending(system)
        assert (request.kind, request.payload["answer"], request.why) == ("answer", "Done.", "it names an amount")
        await system.answer(request, "approve")
        response = await handle.result()
        assert (response.message, response.stop_reason) == ("Done.", StopReason.ANSWERED)

        handle = await agent.start("again")
        await system.answer(await one_pending(system), "deny", note="too blunt")
        response = await handle.result()
    assert response.stop_reason is StopReason.DENIED
    assert response.message == "the answer was held (it names an amount); denied by operator. too blunt"


async def test_the_message_a_tool_finishes_with_is_a_final_answer_too() -> None:
    @tool(effect="read")
    async def done(ctx: ToolContext) -> str:
        """Finish."""
        ctx.finish("finished by the tool")
        return "ok"

    agent = Agent(name="desk", tools=[done, pay], on_response=lambda answer: Rewrite(answer.message.upper()))
    async with embedded(agent, claude=[[tool_use("done"), tool_use("pay", amount=1)]]):
        response = await agent.run("go")
    assert (response.message, response.stop_reason, MADE) == ("FINISHED BY THE TOOL", StopReason.FINISHED, [])


# --------------------------------------------------------------------------------------------------- required_state


async def test_a_run_halts_when_required_state_is_missing() -> None:
    response = await run(PAY, required_state=["customer"])
    assert (response.stop_reason, response.iterations, MADE) == (StopReason.FAILED, 0, [])
    assert "required_state 'customer' of 'desk' is missing" in response.message


async def test_required_state_that_is_there_lets_the_run_go_on() -> None:
    assert (await run(PAY, required_state=["customer"], state={"customer": "C-1"})).success


async def test_required_state_may_be_recovered_and_what_was_recovered_is_recorded() -> None:
    seen: list[Missing] = []

    async def recover(missing: Missing) -> str:
        seen.append(missing)
        return f"customer of {missing.run.user}"

    @tool(effect="read")
    async def who(ctx: ToolContext) -> str:
        """Tell who it is."""
        return str(ctx.state["customer"])

    response = await run([tool_use("who"), text("Done.")], who, required_state={"customer": recover})
    assert response.tool_calls[0]["result"] == "customer of alice"
    assert (response.state, len(seen)) == ({"customer": "customer of alice"}, 1)


# ------------------------------------------------------------------------------------------------------------ until


async def test_until_may_be_async_and_one_that_is_never_true_ends_at_max_iterations() -> None:
    async def never(state: dict[str, Any]) -> bool:
        return False

    script = [tool_use("pay", amount=n) for n in range(5)]
    response = await run(script, until=never, max_iterations=3)
    assert (response.stop_reason, response.iterations) == (StopReason.MAX_ITERATIONS, 3)


# --------------------------------------------------------------------------------------------------------- evaluate


async def judged(verdict: Any) -> tuple[Response, list[tuple[str, bool, str]]]:
    agent = Agent(name="desk", tools=[pay], evaluate=verdict)
    async with embedded(agent, claude=PAY) as system:
        response = await agent.run("go")
        found = await system.resources.store.read(lambda db: verdicts.of_run(db, response.id))
    return response, [(row.source, row.good, row.note) for row in found]


async def test_evaluate_judges_the_run_after_its_end() -> None:
    seen: list[Response] = []

    def verdict(response: Response) -> Evaluation:
        seen.append(response)
        return Evaluation(good=False, note="paid too much")

    response, rows = await judged(verdict)
    assert rows == [("evaluate", False, "paid too much")]
    assert (seen[0].message, seen[0].tool_calls) == (response.message, response.tool_calls)
    assert (await judged(lambda response: True))[1] == [("evaluate", True, "")]
    assert (await judged(lambda response: None))[1] == []


async def test_an_evaluate_that_fails_gives_no_verdict_and_changes_nothing() -> None:
    def broken(response: Response) -> bool:
        raise ValueError("no idea")

    for verdict in (broken, lambda response: "good"):
        response, rows = await judged(verdict)
        assert (response.success, rows) == (True, [])


# ---------------------------------------------------------------------------------------------------- hooks that fail


def raises(told: Any) -> Any:
    raise ValueError("I am broken")


async def hangs(told: Any) -> Any:
    await asyncio.Event().wait()


@pytest.mark.parametrize("hook", ["on_tool_call", "on_error", "on_response", "on_iteration", "until"])
async def test_a_hook_that_raises_ends_the_run_and_is_named(hook: str) -> None:
    tools = (explode,) if hook == "on_error" else (pay,)
    response = await run(PAY_BROKEN if hook == "on_error" else PAY, *tools, **{hook: raises})
    assert response.stop_reason is StopReason.FAILED
    assert response.message == f"{hook} of 'desk' raised ValueError: I am broken"


@pytest.mark.parametrize("hook", ["on_tool_call", "on_error", "on_response"])
async def test_a_hook_that_returns_nonsense_ends_the_run_and_is_told_what_it_may_return(hook: str) -> None:
    tools = (explode,) if hook == "on_error" else (pay,)
    response = await run(PAY_BROKEN if hook == "on_error" else PAY, *tools, **{hook: lambda told: "maybe"})
    assert response.stop_reason is StopReason.FAILED
    assert f"{hook} of 'desk' returned 'maybe': return None or one of " in response.message


async def test_a_hook_that_changes_the_input_to_nonsense_ends_the_run() -> None:
    response = await run(PAY, on_tool_call=lambda call: Modify({"amount": "all of it"}))
    assert response.stop_reason is StopReason.FAILED
    assert "changed the input of pay to what it does not take: amount:" in response.message
    assert MADE == []


async def test_what_a_turn_cost_is_kept_when_a_hook_fails_on_it() -> None:
    response = await run(PAY, on_tool_call=raises)
    assert response.cost > 0
    assert response.tokens_used > 0


@pytest.mark.parametrize("hook", ["on_tool_call", "on_iteration", "on_response"])
async def test_a_hook_that_hangs_ends_the_run(hook: str) -> None:
    response = await run(PAY, timeout=1.5, **{hook: hangs})
    assert (response.stop_reason, "longer than 1.5 s" in response.message) == (StopReason.FAILED, True)


def test_a_hook_that_cannot_be_called_is_refused_where_it_is_written() -> None:
    with pytest.raises(ConfigError, match=r"agent 'a': on_error: it is called with one argument"):
        Agent(name="a", on_error=lambda: None)
    with pytest.raises(ConfigError, match=r"required_state\['x'\]: it is called with one argument"):
        Agent(name="a", required_state={"x": lambda: None})
    with pytest.raises(ConfigError, match="on_tool_call"):
        Agent(name="a", on_tool_call="deny")
