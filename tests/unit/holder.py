"""A process that holds what it can of a budget, until nothing is left: `holder.py URL NAME`; prints how often it could."""

import asyncio
import json
import sys

from tenure.optimize.budget import Scope
from tenure.runtime.store import Store, charges
from tenure.runtime.store.charges import Call

NOON = 1_795_262_400_000


async def main(url: str, name: str) -> None:
    store, held = Store.open(url), 0
    for number in range(60):
        call = Call(f"{name}.{number}", name, "acme", "desk", None, "m", "model", 1, "1", 100, NOON, NOON + 60_000)
        scopes = [Scope("agent/day", "acme/desk", "2026-11-21", 4000), Scope("tenant/month", "acme", "2026-11", None)]
        held += await store.transact(lambda db, call=call, within=scopes: charges.hold(db, call, within)) is None
        await asyncio.sleep(0.02)
    print(json.dumps({"held": held}))
    store.close()


asyncio.run(main(*sys.argv[1:]))
