"""Tenure as two contestants: `python -m bench.our_cached known|asked` answers from the cache, or asks Claude each time."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from temporalio.testing import WorkflowEnvironment

from bench import work
from bench.contestant import compete
from tenure import Agent
from tenure.runtime.temporal import connect
from tenure.testing import embedded

CACHED = {"enable_cache": True, "cache_rules": [{"similarity": 0.9, "ttl": 86_400}], "admit": "answered", "audit": 0}


async def _main(kind: str) -> None:
    server = WorkflowEnvironment.from_client(await connect())
    agent = Agent(name=kind, instructions=work.INSTRUCTIONS, optimization=CACHED if kind == "known" else None)
    home = Path(os.environ["BENCH_FOLDER"]).parent / ".tenure"  # one namespace, one store
    async with embedded(agent, home=home, server=server, task_queue=kind) as system:

        async def once(message: str) -> tuple[str, str, list[object]]:
            response = await agent.run(message, client=system)
            return response.id, response.message, [response.tier]

        await compete(once)


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1]))
