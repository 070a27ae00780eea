"""Tenure as a contestant: `python -m bench.our_own` serves the benchmark's agents and runs them through the client."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from temporalio.testing import WorkflowEnvironment

from bench import tools, work
from bench.contestant import compete
from tenure import Agent, tool
from tenure.runtime.temporal import connect
from tenure.testing import embedded

support = Agent(
    name="support",
    instructions=work.INSTRUCTIONS,
    tools=[
        tool(effect="read")(tools.lookup_customer),
        tool(effect="read")(tools.get_tickets),
        tool(effect="write", idempotent=True)(tools.update_ticket),
        tool(effect="read")(tools.fetch),
    ],
    max_iterations=10_000,
)


async def _main() -> None:
    server = WorkflowEnvironment.from_client(await connect())
    async with embedded(support, home=Path(os.environ["BENCH_FOLDER"]) / ".tenure", server=server) as system:

        async def once(message: str) -> tuple[str, str, list[object]]:
            response = await support.run(message, client=system)
            if not response.success:
                raise RuntimeError(f"{response.id} ended {response.stop_reason}: {response.message}")
            return response.id, response.message, [call["result"] for call in response.tool_calls]

        await compete(once)


if __name__ == "__main__":
    asyncio.run(_main())
