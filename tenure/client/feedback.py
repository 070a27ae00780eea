"""Feedback: verdicts on finished runs from outside the agent, on which trust and learning rest."""

from __future__ import annotations

import time
from dataclasses import dataclass

from tenure.client.connected import Connected
from tenure.client.runs import Runs
from tenure.errors import BadInput, NotFound
from tenure.runtime import judging
from tenure.runtime.store import Connection, runs, verdicts
from tenure.runtime.store.runs import RunRow
from tenure.runtime.store.verdicts import RunVerdict, Tally

NOTE_LIMIT = 8_000  # characters
SOURCE_LIMIT = 200  # characters


@dataclass(frozen=True)
class Feedback:
    """The facet `system.feedback`."""

    system: Connected

    async def give(
        self, run: str, good: bool, *, note: str = "", source: str = verdicts.CLIENT, unsafe: bool = False
    ) -> RunVerdict:
        """Judge a finished run, by its id or the last part of it. The same source may change its mind: its last word counts.

        `source` says who judges: `client`, or `verdicts.person(name)`. `unsafe` says that something severe happened: the agent's
        level falls to 0 until two people restore it. Raises NotFound for an unknown run, BadInput for one
        that is not over yet, for a note above 8,000 characters and for a source that cannot be told from others.
        """
        handle = await Runs(self.system).find(run)
        given = RunVerdict(handle.id, _source(source), good and not unsafe, _note(note), round(time.time() * 1000))

        def judge(db: Connection) -> tuple[str, str] | None:
            found = _must_be_over(db, handle.id)
            judging.say(db, found, given.source, given.good, given.note, given.at, severe=unsafe)
            who = found.tenant, found.agent
            return who if judging.is_due(db, who, given.at) else None

        store = self.system.require_store()
        due = await store.transact(judge)
        if due is not None:
            await judging.nudge(store, self.system.temporal, self.system.settings.task_queue, due)
        return given

    async def of(self, run: str) -> list[RunVerdict]:
        """Every source's verdict on a run, the oldest first. Raises NotFound."""
        handle, store = await Runs(self.system).find(run), self.system.require_store()
        known, found = await store.read(lambda db: (runs.get(db, handle.id), verdicts.of_run(db, handle.id)))
        if known is None:
            raise _unknown(handle.id)
        return found

    async def summary(self, *, agent: str | None = None, tenant: str | None = None, since: int = 0) -> list[Tally]:
        """How the runs that finished since then (milliseconds) were judged, by agent and tenant."""
        return await self.system.require_store().read(lambda db: verdicts.tallies(db, agent, tenant, since))


def _must_be_over(db: Connection, run: str) -> RunRow:
    found = runs.get(db, run)
    if found is None:
        raise _unknown(run)
    if found.finished_at is None:
        raise BadInput(f"run {run} is {found.status}: a verdict is on a run that is over, so wait for its end")
    return found


def _unknown(run: str) -> NotFound:
    return NotFound(f"no run {run!r} in the store: `tenure runs` lists them")


def _source(source: str) -> str:
    if not source.strip() or len(source) > SOURCE_LIMIT or not source.isprintable():
        rule = f"must be 1 to {SOURCE_LIMIT} printable characters, such as 'client' or 'person:alice'"
        raise BadInput(f"source {source[:80]!r}: {rule}")
    return source


def _note(note: str) -> str:
    if len(note) > NOTE_LIMIT:
        raise BadInput(f"a note of {len(note):,} characters: at most {NOTE_LIMIT:,}; say the gist and link to the rest")
    return note.encode("utf-8", "replace").decode()  # lone surrogates, which no store takes
