"""The baseline: the same Anthropic calls and the same tools in plain Temporal, as its authors would write it.

As a contestant: `python -m bench.raw_temporal whole|reference|reference-in-history`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import sys
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from anthropic import AsyncAnthropic
from temporalio import activity
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from bench import tools
from bench.contestant import compete
from bench.raw_values import Ask, Call, Request, Row
from bench.raw_workflows import ByReference, WholeMessages

QUEUE = "raw"
MODEL = "claude-sonnet-5-5"
INSTRUCTIONS = "You are a customer support agent. Look the customer up before you act, and change as little as you can."
TEXT, WHOLE = {"type": "string"}, {"type": "integer"}
STATUS = {"enum": ["open", "resolved", "closed"], "type": "string"}


def _told(name: str, description: str, **properties: dict[str, Any]) -> dict[str, Any]:
    """What Claude is told of a tool."""
    required = {"required": list(properties), "additionalProperties": False}
    return {
        "name": name,
        "description": description,
        "input_schema": {"type": "object", "properties": properties, **required},
    }


MANIFEST = [
    _told("lookup_customer", "Find a customer by e-mail address.", email=TEXT),
    _told("get_tickets", "Get a customer's support tickets.", customer_id=TEXT),
    _told("update_ticket", "Update a ticket's status.", ticket_id=TEXT, status=STATUS),
    _told("fetch", "Fetch one page of a report.", number=WHOLE, size=WHOLE, query=TEXT),
]


class Activities:
    """The model call and the tools, over a client and a database made once."""

    def __init__(self, database: Path) -> None:
        self._claude = AsyncAnthropic(max_retries=0)
        self._db = sqlite3.connect(database, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute("CREATE TABLE rows (key TEXT, seq INTEGER, row TEXT, PRIMARY KEY (key, seq)) WITHOUT ROWID")

    @activity.defn
    async def ask_claude(self, ask: Ask) -> list[dict[str, Any]]:
        """The next turn of a whole conversation."""
        return await self._turn(ask.messages)

    @activity.defn
    async def ask_claude_about(self, about: Row) -> list[dict[str, Any]]:
        """The next turn of the conversation in the database, which becomes a row there."""
        if about.message:
            self._put(about.key, 0, {"role": "user", "content": about.message})
        rows = self._db.execute("SELECT row FROM rows WHERE key = ? ORDER BY seq", (about.key,))
        turn = await self._turn([json.loads(row[0]) for row in rows])
        self._put(about.key, about.seq or 1, {"role": "assistant", "content": turn})
        return turn

    @activity.defn
    async def call_tool(self, call: Call) -> str:
        """Make the call and write its result as a row."""
        found = self._db.execute("SELECT row FROM rows WHERE key = ? AND seq = ?", (call.key, call.turn)).fetchone()
        block = next(block for block in json.loads(found[0])["content"] if block.get("id") == call.id)
        told = _text(await getattr(tools, block["name"])(**block["input"]))
        shown = {"type": "tool_result", "tool_use_id": call.id, "content": told}
        self._put(call.key, call.seq, {"role": "user", "content": [shown]})
        return told if call.told else ""

    def tools(self) -> list[Any]:
        """An activity for each tool of the support agent."""
        return [_tool_activity(function) for function in tools.SUPPORT]

    async def _turn(self, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        message = await self._claude.messages.create(
            model=MODEL, max_tokens=4096, system=INSTRUCTIONS, tools=MANIFEST, messages=messages, timeout=65
        )
        return [block.model_dump(mode="json", exclude_unset=True) for block in message.content]

    def _put(self, key: str, seq: int, row: dict[str, Any]) -> None:
        self._db.execute("INSERT OR IGNORE INTO rows VALUES (?, ?, ?)", (key, seq, json.dumps(row)))


def _tool_activity(function: Any) -> Any:
    @activity.defn(name=function.__name__)
    async def tool(given: dict[str, Any]) -> str:
        return _text(await function(**given))

    return tool


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


@asynccontextmanager
async def serving(database: Path) -> AsyncGenerator[Client]:
    """A client of TEMPORAL_ADDRESS whose worker runs while the block does."""
    client = await Client.connect(os.environ["TEMPORAL_ADDRESS"], data_converter=pydantic_data_converter)
    made = Activities(database)
    restrictions = SandboxRestrictions.default.with_passthrough_modules(
        "pydantic", "pydantic_core", "annotated_types", "anthropic"
    )
    async with Worker(
        client,
        task_queue=QUEUE,
        workflows=[WholeMessages, ByReference],
        activities=[made.ask_claude, made.ask_claude_about, made.call_tool, *made.tools()],
        workflow_runner=SandboxedWorkflowRunner(restrictions),
    ):
        yield client


async def _main(kind: str) -> None:
    async with serving(Path(os.environ["BENCH_FOLDER"]) / "raw.db") as client:

        async def once(message: str) -> tuple[str, str, list[Any]]:
            workflow, of = f"raw-{uuid.uuid4().hex}", WholeMessages if kind == "whole" else ByReference
            request = Request(message=message, results_in_history=kind == "reference-in-history")
            return workflow, await client.execute_workflow(of.run, request, id=workflow, task_queue=QUEUE), []

        await compete(once)


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1]))
