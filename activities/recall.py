"""The transcript of a run, verified against the head the workflow knows: from memory, from the store, or from history.

Rules of this file: rows are never trusted for being there. Whatever the source, their chain must end in the head that the
workflow computed from its own history; what does not is rebuilt from that history and put back.
"""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TypeAlias

from temporalio.client import Client

from tenure.errors import StoreUnavailable
from tenure.runtime import history
from tenure.runtime.store import Connection, Store, runs, transcript
from tenure.transcript import EMPTY_HEAD, extend_text
from tenure.wire import JsonObject

Texts: TypeAlias = list[tuple[int, str]]
RUNS_REMEMBERED = 256


@dataclass
class Known:
    """The rows of one run so far, and their head."""

    rows: list[JsonObject] = field(default_factory=list[JsonObject])
    head: str = EMPTY_HEAD


class Recall:
    """Remembers the rows of recent runs, so that a long conversation is not read again at every turn."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Known] = OrderedDict()

    def missing(self, db: Connection, workflow: str, end: int) -> Texts:
        """What the store has of the first `end` rows beyond those remembered."""
        known = self._known.get(workflow, Known())
        first = len(known.rows) if len(known.rows) <= end else 0  # a reset run asks for fewer rows than are remembered
        return transcript.between(db, workflow, first, end)

    async def rows(
        self, store: Store, client: Client, workflow: str, end: int, head: str, missing: Texts
    ) -> list[JsonObject]:
        """The first `end` rows, whose chain ends in `head`. Raises StoreUnavailable when even history disagrees."""
        known = self._start(workflow, end)
        _extend(known, missing)
        if len(known.rows) != end or known.head != head:
            known = await self._rebuild(store, client, workflow, end, head)
        self._remember(workflow, known)
        return known.rows

    async def restore(self, store: Store, client: Client, workflow: str) -> None:
        """Put the run and every row that history knows back into the store."""
        told = await history.read(client, workflow)

        def write(db: Connection) -> None:
            if told.request is not None and told.snapshot is not None:
                request = told.request.model_copy(update={"state": told.initial_state})
                runs.observe(db, workflow, request, told.snapshot, round(time.time() * 1000), told.first_run)
            transcript.replace(db, workflow, list(told.rows.items()))

        await store.transact(write)

    async def _rebuild(self, store: Store, client: Client, workflow: str, end: int, head: str) -> Known:
        await self.restore(store, client, workflow)
        known = Known()
        _extend(known, await store.read(lambda db: transcript.between(db, workflow, 0, end)))
        if len(known.rows) != end or known.head != head:
            raise StoreUnavailable(
                f"{workflow}: {len(known.rows)} of {end} rows, and their chain does not end as the run's does"
            )
        return known

    def _start(self, workflow: str, end: int) -> Known:
        known = self._known.pop(workflow, Known())
        return known if len(known.rows) <= end else Known()

    def _remember(self, workflow: str, known: Known) -> None:
        self._known[workflow] = known
        if len(self._known) > RUNS_REMEMBERED:
            self._known.popitem(last=False)


def _extend(known: Known, texts: Texts) -> None:
    for seq, text in texts:
        if seq != len(known.rows):
            return
        known.rows.append(json.loads(text))
        known.head = extend_text(known.head, text)
