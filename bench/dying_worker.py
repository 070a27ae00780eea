"""A worker that kills itself around a call of the model: with p = 0.2 at the point, or at one of the points, of `BENCH_DIES`.

`BENCH_DIES=any` spreads the same p over all of them. `BENCH_UNHELD=1` makes it check the budget and record the cost afterwards, as
one does without holds: what the benchmark must catch. Patches Tenure, and only in this process.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections.abc import Sequence

from tenure.activities import paying
from tenure.activities.paying import Ask, Held, Payer
from tenure.optimize.budget import Scope
from tenure.runtime.claude import Prompt, Reply
from tenure.runtime.store import Connection, charges
from tenure.worker import main

P = 0.2
POINTS = ("before_hold", "after_hold", "after_call", "after_settle")
AT_ONCE = 2  # calls that one death takes with it, at most
MARGIN = 4_000  # milliseconds that a hold outlives a call: so little, that a benchmark can wait for it
_chance = random.Random(os.getpid())
_hold_call, _make, _hold = Payer.hold, Payer.make, charges.hold
_gates: list[asyncio.Semaphore] = []


def _perhaps_die(point: str) -> None:
    told = os.environ.get("BENCH_DIES", "")
    p = P / len(POINTS) if told == "any" else P * (told == point)
    if _chance.random() < p:
        os.kill(os.getpid(), signal.SIGKILL)


async def _dying_hold(self: Payer, prompt: Prompt, tier: str = "model") -> Held:
    _perhaps_die("before_hold")
    return await _hold_call(self, prompt, tier)


async def _dying_make(self: Payer, held: Held, ask: Ask) -> Reply:
    async def asked(prompt: Prompt) -> Reply:
        _perhaps_die("after_hold")
        reply = await ask(prompt)
        _perhaps_die("after_call")
        return reply

    if not _gates:
        _gates.append(asyncio.Semaphore(AT_ONCE))
    async with _gates[0]:
        reply = await _make(self, held, asked)
        _perhaps_die("after_settle")
        return reply


def _check_only(db: Connection, call: charges.Call, scopes: Sequence[Scope]) -> charges.Short | None:
    """What is spent is looked at, what is under way is not."""
    for scope in scopes:
        db.execute("UPDATE totals SET held = 0 WHERE scope = ? AND subject = ?", (scope.name, scope.subject))
    return _hold(db, call, scopes)


if __name__ == "__main__":
    Payer.hold, Payer.make, paying.MARGIN = _dying_hold, _dying_make, MARGIN
    if os.environ.get("BENCH_UNHELD") == "1":
        charges.hold = _check_only
    sys.exit(main())
