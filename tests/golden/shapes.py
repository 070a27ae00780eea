"""The run shapes whose histories are kept: each is recorded once on a real server and replayed on every commit.

`python -m tests.golden.shapes NAME ...` records the shapes that have no history yet. A history that was released is never
recorded again: a run of that shape may still be alive somewhere.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from temporalio.client import WorkflowHandle

from tenure import Agent, ToolContext, tool
from tenure.client import RunHandle
from tenure.hooks import Hold, Modify, Reject, Rewrite, ToolCall
from tenure.runtime.store import effects
from tenure.runtime.temporal import start_server
from tenure.testing import Embedded, embedded
from tenure.testing.messages_api import turn_of
from tenure.testing.scripted_claude import Reply, overloaded, pause, refusal, slow, text, tool_use
from tests.golden import learned, trusted
from tests.tickets import claude as closing
from tests.waiting import eventually, one_pending

FOLDER = Path(__file__).parent / "histories"


@tool(effect="read")
async def look(what: str) -> str:
    """Look at something."""
    return f"seen {what}"


@tool(effect="write", idempotent=True)
async def note_down(ctx: ToolContext, what: str) -> str:
    """Write something down."""
    ctx.state["noted"] = what
    return "noted"


@tool(effect="write")
async def break_off(order: str) -> str:
    """Fail after who knows what."""
    raise RuntimeError("connection reset")


@tool(effect="destructive", timeout=0.5)
async def wipe(what: str) -> str:
    """Destroy something."""
    return f"{what} wiped"


@tool(effect="write", timeout=30)
async def linger() -> str:
    """Take long."""
    await asyncio.sleep(25)
    return "done"


@tool(effect="read", cache=True)
async def price(item: str) -> int:
    """Get a price."""
    return 7


@tool(effect="read", cache=3600)
async def rate(currency: str) -> int:
    """Get a rate."""
    return 7


@tool(effect="egress", idempotent=True)
async def mail(to: str) -> str:
    """Send a mail."""
    return "sent"


def _tame(call: ToolCall) -> Modify | Reject | None:
    if call.tool == "look":
        return Modify({"what": call.input["what"].upper()})
    return Reject("not today") if call.tool == "break_off" else None


keeper = Agent(name="keeper", tools=[look, note_down, break_off, wipe, linger], error_threshold=2)
POLICED = Agent(
    name="keeper",
    tools=[look, note_down, break_off],
    required_state={"case": lambda missing: f"case of {missing.run.user}"},
    on_iteration=lambda told: None,
    on_tool_call=_tame,
    on_response=lambda answer: Rewrite(f"{answer.message}!"),
    evaluate=lambda response: response.success,
)
HELD = Agent(name="keeper", on_response=lambda answer: Hold("look at it"))
THRIFTY = Agent(name="keeper", tools=[price, mail, note_down], rate_limits={"mail": "1/hour", "note_down": "1/s"})
SHARING = Agent(name="keeper", tools=[rate, note_down])
FITTED = Agent(name="keeper", tools=[look], context_window=2_000)
TRUST = ("gated", "halted", "ledger-raised", "ledger-fallen")
LEARNED = ("learned", "learned-left", "rollout", "mined")
PAYING = Agent(name="keeper", tools=[look], optimization={"budget": {"daily": 0.05, "onExhausted": "pause"}})
KNOWING, AUDITED = (
    Agent(name="keeper", optimization={"enable_cache": True, "admit": "answered", "audit": share}) for share in (0, 1)
)
AGENTS = {
    "paid": PAYING,
    "lifted": PAYING,
    "known": KNOWING,
    "audited": AUDITED,
    "policed": POLICED,
    "held": HELD,
    "thrifty": THRIFTY,
    "shared": SHARING,
    "fitted": FITTED,
    **dict.fromkeys(TRUST, trusted.TRUSTED),
    **dict.fromkeys(LEARNED, learned.LEARNER),
}
SHORT = ("continued", "ledger-fallen")  # shapes that continue as new, which other histories are too short for
Play = Callable[[Embedded], Awaitable[RunHandle | WorkflowHandle[Any, Any]]]


async def _plain(system: Embedded) -> RunHandle:
    handle = await system.runs.start("keeper", "go", user="alice", state={"a": 1}, context="be brief")
    await handle.add_context("hurry")
    await handle.result()
    return handle


async def _approved(system: Embedded) -> RunHandle:
    handle = await system.runs.start("keeper", "go")
    request = await one_pending(system)
    await handle.workflow.signal("answer", "garbage")
    await system.approve(request)
    await handle.result()
    return handle


async def _denied(system: Embedded) -> RunHandle:
    handle = await keeper.start("go")
    await system.answer(await one_pending(system), "deny", note="no")
    await handle.result()
    return handle


async def _cancelled(system: Embedded) -> RunHandle:
    handle = await keeper.start("go")

    async def begun() -> bool:
        return bool(await system.require_store().read(lambda db: effects.of_run(db, handle.id)))

    await eventually(begun)
    await handle.cancel()
    await handle.result()
    return handle


async def _in_doubt(system: Embedded) -> RunHandle:
    """An intent without a result, as a killed worker leaves it, written before the run comes to its call."""
    from tenure.activities.resources import now
    from tenure.approvals.digest import call_digest, effect_key

    handle = await keeper.start("go")
    bound = call_digest("default", handle.id, 2, "break_off", {"order": "o1"})
    start = effects.Start(effect_key("default", handle.id, 2, bound), handle.id, 2, "break_off", bound, "dead", now())
    await system.require_store().transact(lambda db: effects.begin(db, start))
    await system.answer(await one_pending(system), "happened")
    await handle.result()
    return handle


async def _paid(system: Embedded) -> RunHandle:
    """A run whose budget is gone at its first call: people add to it."""
    await (await system.runs.start("keeper", "before")).result()
    await system.require_store().transact(
        lambda db: db.execute("UPDATE totals SET spent = 49900 WHERE scope = 'agent/day'")
    )
    handle = await system.runs.start("keeper", "go")
    await system.approve(await one_pending(system))
    await handle.result()
    return handle


async def _lifted(system: Embedded) -> RunHandle:
    """A run that waits for an operator's cap: it is woken for nothing, then the cap is lifted."""
    await (await system.runs.start("keeper", "before")).result()
    await system.cost.cap("default", daily="0.001", by="operator")
    handle = await system.runs.start("keeper", "go")
    await one_pending(system)
    await asyncio.sleep(1)  # it looks when it has asked, and when it is woken
    await system.restrictions.lift("default", "keeper", by="operator")
    await asyncio.sleep(1)
    await system.cost.cap("default", daily="none", by="operator")
    await handle.result()
    return handle


async def _known(system: Embedded) -> RunHandle:
    """A run that asks what another one has asked: it is answered as that one was, or compared with it."""
    await (await system.runs.start("keeper", "When is that?")).result()
    handle = await system.runs.start("keeper", "When is that?", user="alice")
    await handle.result()
    return handle


async def _shared(system: Embedded) -> RunHandle:
    """A run whose first read another run has made: one is found, equal ones of a turn follow each other, a write comes between."""
    await (await system.runs.start("keeper", "before")).result()
    return await _plain(system)


def _reading(body: dict[str, Any]) -> Any:
    euro = tool_use("rate", currency="EUR")
    turns = [euro, tool_use("note_down", what="a"), [euro, euro, tool_use("rate", currency="GBP")], text("done")]
    first = str(body["messages"][0]).find("before") >= 0
    return (turns[:1] + turns[-1:] if first else turns)[turn_of(body)]


def _long_winded(body: dict[str, Any]) -> Any:
    """Words enough that results are cleared and turns are summarised."""
    if "haiku" in body["model"]:
        return text("it was long")
    made = sum(message["role"] == "assistant" for message in body["messages"])
    summarised = "it was long" in str(body["messages"][0])
    return (
        text("done")
        if summarised or made > 5
        else [text(f"{made} " + "on and on " * 200), tool_use("look", what="x" * 300)]
    )


TOOLS = [[text("Let me see."), tool_use("look", what="a"), tool_use("look", what="b")], tool_use("note_down", what="a")]
SHAPES: dict[str, tuple[Any, Play]] = {  # Any: every script that ScriptedClaude takes
    "answered": ([*TOOLS, text("done")], _plain),
    "answered-after-an-outage": ([tool_use("look", what="a"), text("done")], _plain),
    "bad-calls": ([[tool_use("look"), tool_use("nothing")], text("never")], _plain),
    "refused": ([refusal("no")], _plain),
    "paused": ([pause("wait"), text("done")], _plain),
    "unknown-outcome": ([tool_use("break_off", order="o1"), tool_use("break_off", order="o1"), text("ok")], _denied),
    "approved": ([tool_use("wipe", what="x"), text("done")], _approved),
    "denied": ([tool_use("wipe", what="x"), text("fine")], _denied),
    "cancelled": ([tool_use("linger"), text("never")], _cancelled),
    "in-doubt": ([slow(tool_use("break_off", order="o1"), 1.5), text("done")], _in_doubt),
    "failed": ([Reply([text("half")], stop_reason="max_tokens")], _plain),
    "continued": (
        [*(tool_use("look", what=str(n)) for n in range(8)), tool_use("wipe", what="x"), text("done")],
        _approved,
    ),
    "policed": ([[tool_use("look", what="a"), tool_use("break_off", order="o")], text("done")], _plain),
    "held": ([text("done")], _approved),
    "thrifty": (
        [
            [tool_use("price", item="tea"), tool_use("price", item="tea")],
            [tool_use("mail", to="a"), tool_use("mail", to="b")],
            [tool_use("note_down", what="a"), tool_use("note_down", what="b")],
            text("done"),
        ],
        _plain,
    ),
    "shared": (_reading, _shared),
    "fitted": (_long_winded, _plain),
    "gated": (
        [
            tool_use("find", name="ann"),
            [tool_use("close_order", order="order-of-ann"), tool_use("close_order", order="order-of-bob")],
            tool_use("refund", order="order-of-ann", amount=50),
            text("done"),
        ],
        trusted.gated,
    ),
    "halted": (
        [
            slow(tool_use("close_order", order="order-of-ann"), 1.0),
            slow(tool_use("close_order", order="order-of-ann"), 1.0),
            text("done"),
        ],
        trusted.halted,
    ),
    "paid": ([tool_use("look", what="a"), text("done")], _paid),
    "lifted": ([tool_use("look", what="a"), text("done")], _lifted),
    "known": ([text("today")], _known),
    "audited": (lambda body: text("different" if "Two answers" in str(body) else f"at {time.time_ns() % 99}"), _known),
    "learned": (closing, learned.served),
    "learned-left": (closing, learned.left),
    "rollout": (closing, learned.rolled_out),
    "mined": (closing, learned.mined),
    "ledger-raised": (lambda body: text("done"), trusted.raised),
    "ledger-fallen": (lambda body: text("done"), trusted.fallen),
}


async def record(name: str) -> None:
    """Play one shape and keep its history, or the histories of all its continuations."""
    script, play = SHAPES[name]
    limit = 20 if name in SHORT else 4096
    server = await start_server(flags=["--dynamic-config-value", f"limit.historyCount.suggestContinueAsNew={limit}"])
    try:
        async with embedded(AGENTS.get(name, keeper), claude=script, server=server) as system:
            if name == "answered-after-an-outage" and system.claude is not None:
                system.claude.interrupt(overloaded(retry_after_ms=10), overloaded(retry_after_ms=10))
            handle = await play(system)
            await _keep(system, handle, name)
    finally:
        await server.shutdown()


async def _keep(system: Embedded, handle: RunHandle | WorkflowHandle[Any, Any], name: str) -> None:
    runs = [run async for run in system.temporal.list_workflows(f"WorkflowId = '{handle.id}'")]
    for number, run in enumerate(sorted(runs, key=lambda run: run.start_time)):
        history = await system.temporal.get_workflow_handle(handle.id, run_id=run.run_id).fetch_history()
        kept = _without_this_machine(json.loads(history.to_json()))
        (FOLDER / f"{name}.{number}.json").write_text(json.dumps(kept, indent=1) + "\n")


def _without_this_machine(value: Any) -> Any:  # Any: JSON
    """No paths and no host names: a history is replayed the same without them."""
    if isinstance(value, str):
        return re.sub(r"\d+@[\w.-]+", "worker", value)
    if isinstance(value, list):
        return [_without_this_machine(item) for item in value]
    if isinstance(value, dict):
        return {
            key: _without_this_machine(item) for key, item in value.items() if key not in ("stackTrace", "identity")
        }
    return value


async def main(wanted: list[str]) -> None:
    """Record what is missing."""
    for name in wanted or SHAPES:
        if not (FOLDER / f"{name}.0.json").exists():
            await record(name)
            sys.stdout.write(f"recorded {name}\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
