"""Waking: runs that wait are told to look again whether they may go on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

AT_ONCE = 20  # runs


@dataclass(frozen=True)
class Woken:
    """How many runs were told, and how many of those that still live could not be."""

    told: int = 0
    missed: int = 0


async def wake(temporal: Client, runs: Iterable[str]) -> Woken:
    """Signal `resume` to each of the runs."""
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(run: str) -> Woken:
        async with limit:
            return await _wake(temporal, run)

    found = await asyncio.gather(*(one(run) for run in runs))
    return Woken(sum(each.told for each in found), sum(each.missed for each in found))


async def _wake(temporal: Client, run: str) -> Woken:
    try:
        await temporal.get_workflow_handle(run).signal("resume")
    except RPCError as error:
        return Woken(missed=int(error.status is not RPCStatusCode.NOT_FOUND))  # else it has ended meanwhile
    except RuntimeError:  # a lazy client that cannot connect
        return Woken(missed=1)
    return Woken(told=1)
