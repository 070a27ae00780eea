"""A contestant: one process that holds a client and a worker, makes runs on request and says what they cost it.

Standard library only: peers run this in an environment without Tenure. The driver (`bench.measure`) writes one JSON line
`{"runs": N, "message": "..."}` and reads one back.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TextIO

Once = Callable[[str], Awaitable[tuple[str, str, list[Any]]]]


async def compete(once: Once) -> None:
    """Answer batches until stdin closes. `once(message)` makes one run: its workflow id, answer and tool results."""
    told = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints must not stand between our lines
    _say(told, {"ready": True})
    while line := await asyncio.to_thread(sys.stdin.readline):
        _say(told, await _batch(once, **json.loads(line)))


async def _batch(once: Once, runs: int, message: str) -> dict[str, Any]:
    latencies: list[float] = []
    workflow, answer, results = "", "", list[Any]()
    threads, cpu = threads_cpu(), time.process_time()
    for _ in range(runs):
        begun = time.perf_counter()
        workflow, answer, results = await once(message)
        latencies.append(time.perf_counter() - begun)
    spent = time.process_time() - cpu
    by_thread = {name: s - threads.get(name, 0.0) for name, s in threads_cpu().items()}
    last = {"workflow": workflow, "answer": answer, "results": results}
    return {"cpu": spent / runs, "latencies": latencies, "threads": by_thread, **last}


def threads_cpu() -> dict[str, float]:
    """CPU seconds so far by thread name (Linux; elsewhere empty), the numbers of a pool's threads left out."""
    found: dict[str, float] = {}
    own = {str(thread.native_id): thread.name for thread in threading.enumerate()}
    for stat in Path("/proc/self/task").glob("*/stat"):
        try:
            name, _, rest = stat.read_text().partition("(")[2].rpartition(")")
        except OSError:
            continue  # the thread ended between the listing and the look
        user, system = rest.split()[11:13]
        name = own.get(stat.parent.name, name).rstrip("0123456789_-")
        found[name] = found.get(name, 0.0) + (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
    return found


def _say(told: TextIO, value: dict[str, Any]) -> None:
    told.write(json.dumps(value) + "\n")
    told.flush()
