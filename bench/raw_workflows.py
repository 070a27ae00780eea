"""The baseline's workflows: an agent loop as one writes it in plain Temporal, with nothing around it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from bench.raw_values import Ask, Call, Request, Row

MINUTE = timedelta(minutes=1)


@workflow.defn
class WholeMessages:
    """The conversation lives in the workflow and goes whole into every model call."""

    @workflow.run
    async def run(self, request: Request) -> str:
        """Ask, act, until Claude calls no tool."""
        said: list[dict[str, Any]] = [{"role": "user", "content": request.message}]
        while True:
            turn = await workflow.execute_activity(
                "ask_claude", Ask(messages=said), result_type=list[dict[str, Any]], start_to_close_timeout=MINUTE
            )
            calls = [block for block in turn if block["type"] == "tool_use"]
            if not calls:
                return turn[-1]["text"]
            results: list[dict[str, Any]] = []
            for call in calls:
                told = await workflow.execute_activity(
                    call["name"], call["input"], result_type=str, start_to_close_timeout=MINUTE
                )
                results.append({"type": "tool_result", "tool_use_id": call["id"], "content": told})
            said += [{"role": "assistant", "content": turn}, {"role": "user", "content": results}]


@workflow.defn
class ByReference:
    """The conversation lives in a database; the workflow holds row numbers. Continues as new when history grows."""

    @workflow.run
    async def run(self, request: Request) -> str:
        """Ask, act, until Claude calls no tool. `results_in_history` keeps every content in history as well, once."""
        key, seq = workflow.info().workflow_id, request.seq
        while True:
            turn = await workflow.execute_activity(
                "ask_claude_about",
                Row(key=key, seq=seq, message=request.message if seq == 0 else ""),
                result_type=list[dict[str, Any]],
                start_to_close_timeout=MINUTE,
            )
            seq = seq + 1 if seq else 2
            calls = [block for block in turn if block["type"] == "tool_use"]
            if not calls:
                return turn[-1]["text"]
            for call in calls:
                await workflow.execute_activity(
                    "call_tool",
                    Call(key=key, seq=seq, id=call["id"], turn=seq - 1, told=request.results_in_history),
                    start_to_close_timeout=MINUTE,
                )
                seq += 1
            if workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(request.model_copy(update={"seq": seq}))
