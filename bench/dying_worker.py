"""A worker that kills itself between hold and settle: with p = 0.2 right before Claude is asked, or right after it has answered.

`BENCH_UNHELD=1` makes it check the budget and record the cost afterwards, as one does without holds: what the benchmark must catch.
Patches Tenure, and only in this process.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections.abc import Sequence

from tenure.optimize.budget import Scope
from tenure.runtime.claude import Claude, Prompt, Reply
from tenure.runtime.store import Connection, charges
from tenure.worker import main

P = 0.2
AT_ONCE = 2  # calls that one death takes with it, at most
_chance = random.Random(os.getpid())
_ask, _hold = Claude.reply, charges.hold
_gates: list[asyncio.Semaphore] = []


def _perhaps_die() -> None:
    if os.environ.get("BENCH_DIES") == "1" and _chance.random() < P / 2:
        os.kill(os.getpid(), signal.SIGKILL)


async def _reply(self: Claude, prompt: Prompt) -> Reply:
    if not _gates:
        _gates.append(asyncio.Semaphore(AT_ONCE))
    async with _gates[0]:
        _perhaps_die()
        reply = await _ask(self, prompt)
        _perhaps_die()
        return reply


def _check_only(db: Connection, call: charges.Call, scopes: Sequence[Scope]) -> charges.Short | None:
    """What is spent is looked at, what is under way is not."""
    for scope in scopes:
        db.execute("UPDATE totals SET held = 0 WHERE scope = ? AND subject = ?", (scope.name, scope.subject))
    return _hold(db, call, scopes)


if __name__ == "__main__":
    Claude.reply = _reply
    if os.environ.get("BENCH_UNHELD") == "1":
        charges.hold = _check_only
    sys.exit(main())
