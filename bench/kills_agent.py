"""The agents that the fault benchmarks serve, and what the scripted Claude has them do.

`clerk` works through a plan of reads, idempotent and other writes; `sleeper` has tools that stand still at a gate until the
benchmark opens it, so that a worker can be killed or frozen at a chosen place.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from temporalio import activity

from bench.ledger import Ledger
from tenure import Agent, ToolContext, tool
from tenure.testing.messages_api import turn_of
from tenure.testing.scripted_claude import text, tool_use

FOLDER = Path(os.environ.get("BENCH_FOLDER", "/nonexistent"))
LEDGER = Ledger(FOLDER / "ledger.db")
GATE = FOLDER / "gate"  # tools of `sleeper` wait until this file exists
TIMEOUT = 2.0  # seconds a tool of `clerk` may take; a person may say did-not 15 s after that
HELD_TIMEOUT = 3.0
GATE_LOOK = 0.02
WRITES = {"book": True, "file_report": True, "pay": False, "send_letter": False}  # tool: is it idempotent?

# ------------------------------------------------------------------------------------------------------------- clerk


@tool(effect="read", timeout=TIMEOUT)
async def balance(step: str, before: float, after: float) -> dict[str, str]:
    """Read something."""
    await asyncio.sleep(before + after)
    return {"step": step}


@tool(effect="write", idempotent=True, timeout=TIMEOUT)
async def book(ctx: ToolContext, step: str, before: float, after: float) -> dict[str, str]:
    """Write to a service that knows idempotency keys."""
    await asyncio.sleep(before)
    LEDGER.ask(ctx.idempotency_key, ctx.run_id, step, dedupes=True)
    await asyncio.sleep(after)
    return {"step": step}


@tool(effect="write", timeout=TIMEOUT)
async def pay(ctx: ToolContext, step: str, before: float, after: float) -> dict[str, str]:
    """Write to a service that does whatever it is asked, as often as it is asked."""
    await asyncio.sleep(before)
    LEDGER.ask(ctx.idempotency_key, ctx.run_id, step, dedupes=False)
    await asyncio.sleep(after)
    return {"step": step}


@tool(effect="write", idempotent=True, timeout=TIMEOUT)
def file_report(ctx: ToolContext, step: str, before: float, after: float) -> dict[str, str]:
    """As `book`, in a thread."""
    time.sleep(before)
    LEDGER.ask(ctx.idempotency_key, ctx.run_id, step, dedupes=True)
    time.sleep(after)
    return {"step": step}


@tool(effect="egress", timeout=TIMEOUT)
def send_letter(ctx: ToolContext, step: str, before: float, after: float) -> dict[str, str]:
    """As `pay`, in a thread."""
    time.sleep(before)
    LEDGER.ask(ctx.idempotency_key, ctx.run_id, step, dedupes=False)
    time.sleep(after)
    return {"step": step}


clerk = Agent(
    name="clerk", tools=[balance, book, pay, file_report, send_letter], max_iterations=100, timeout=20, max_tokens=512
)

Plan = list[list[tuple[str, dict[str, Any]]]]  # turns of (tool, arguments)


def plan(seed: int, number: int, turns: int) -> Plan:
    """What run `number` does: the same on every attempt, in every process. Each has writes of both kinds."""
    rng = random.Random(f"{seed}/{number}")
    made: Plan = [
        [
            _call(rng, f"{turn}.{index}", rng.choice(["balance", "balance", *WRITES]))
            for index in range(rng.randint(1, 3))
        ]
        for turn in range(turns)
    ]
    made[0].append(_call(rng, "0.pay", "pay"))
    made[-1].insert(0, _call(rng, "last.book", "book"))
    return made


def _call(rng: random.Random, step: str, tool: str) -> tuple[str, dict[str, Any]]:
    return tool, {"step": step, "before": round(rng.uniform(0, 0.4), 3), "after": round(rng.uniform(0, 0.4), 3)}


def steps_of(made: Plan) -> Iterator[tuple[str, str]]:
    """(step, tool) of every write of a plan."""
    return ((arguments["step"], name) for turn in made for name, arguments in turn if name in WRITES)


def message_for(seed: int, number: int, turns: int) -> str:
    """The message that makes the scripted Claude follow a plan."""
    return f"Work through plan {seed}/{number}/{turns}."


def clerks_claude(body: dict[str, Any]) -> Any:
    """The next turn of the plan that the conversation's first message names."""
    found = re.search(r"plan (\d+)/(\d+)/(\d+)", json.dumps(body["messages"][0]))
    if found is None:
        return text("There is no plan.")
    seed, number, turns = map(int, found.groups())
    at = turn_of(body)
    return (
        [tool_use(name, **arguments) for name, arguments in plan(seed, number, turns)[at]]
        if at < turns
        else text("done")
    )


# ----------------------------------------------------------------------------------------------------------- sleeper

Where = Literal["before", "after"]


@tool(effect="write", idempotent=True, timeout=HELD_TIMEOUT)
async def book_held(ctx: ToolContext, step: str, where: Where) -> str:
    """An idempotent write that waits at the gate before or after its effect."""
    return await _held(ctx, step, where, dedupes=True)


@tool(effect="write", timeout=HELD_TIMEOUT)
async def pay_held(ctx: ToolContext, step: str, where: Where) -> str:
    """A write that is not idempotent and waits at the gate before or after its effect."""
    return await _held(ctx, step, where, dedupes=False)


@tool(effect="write", idempotent=True, timeout=HELD_TIMEOUT)
def book_blocked(ctx: ToolContext, step: str, beats: bool) -> str:
    """An idempotent write in a thread that waits at the gate before its effect."""
    return _blocked(ctx, step, beats, dedupes=True)


@tool(effect="write", timeout=HELD_TIMEOUT)
def pay_blocked(ctx: ToolContext, step: str, beats: bool) -> str:
    """A write that is not idempotent, in a thread that waits at the gate before its effect."""
    return _blocked(ctx, step, beats, dedupes=False)


async def _held(ctx: ToolContext, step: str, where: Where, *, dedupes: bool) -> str:
    if where == "after":
        LEDGER.ask(ctx.idempotency_key, ctx.run_id, step, dedupes=dedupes)
    LEDGER.enter(ctx.idempotency_key, ctx.run_id, step, activity.info().attempt)
    while not GATE.exists():
        await asyncio.sleep(GATE_LOOK)
    if where == "before":
        LEDGER.ask(ctx.idempotency_key, ctx.run_id, step, dedupes=dedupes)
    return step


def _blocked(ctx: ToolContext, step: str, beats: bool, *, dedupes: bool) -> str:
    LEDGER.enter(ctx.idempotency_key, ctx.run_id, step, activity.info().attempt)
    while not GATE.exists():
        time.sleep(GATE_LOOK)
    if beats:
        ctx.heartbeat()
    LEDGER.ask(ctx.idempotency_key, ctx.run_id, step, dedupes=dedupes)
    return step


sleeper = Agent(
    name="sleeper",
    tools=[book_held, pay_held, book_blocked, pay_blocked],
    max_iterations=100,
    timeout=30,
    max_tokens=512,
)


def sleepers_claude(body: dict[str, Any]) -> Any:
    """Call the tool that the message names as JSON, once, and be done."""
    if turn_of(body):
        return text("done")
    found = re.search(r"\[call (.*?)\]", json.dumps(body["messages"][0]).replace('\\"', '"'))
    if found is None:
        return text("There is nothing to call.")
    told = json.loads(found.group(1))
    return tool_use(told["tool"], **told["arguments"])
