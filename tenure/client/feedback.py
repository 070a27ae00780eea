"""Feedback: verdicts on finished runs from outside the agent, on which trust and learning rest."""

from __future__ import annotations

import time
from dataclasses import dataclass

from tenure.client.connected import Connected
from tenure.client.runs import Runs
from tenure.errors import BadInput, NotFound
from tenure.runtime import judging, learning
from tenure.runtime.store import Connection, agents, cached, ledgers, outcomes, runs, trials, verdicts
from tenure.runtime.store.cached import Hit
from tenure.runtime.store.runs import RunRow
from tenure.runtime.store.trials import Tried
from tenure.runtime.store.verdicts import RunVerdict, Tally
from tenure.trust.ledger import Policy

NOTE_LIMIT = 8_000  # characters
SOURCE_LIMIT = 200  # characters


@dataclass(frozen=True)
class Bearing:
    """What verdicts on a run can do to the level of its agent.

    `idle` says why good and bad move none; empty where they may. `is_known`: an incident in this run has counted before. `given` is
    the answer that a rule of a cache gave in the place of Claude, if one did; `made_by` the capability that made its turns.
    """

    agent: str
    tenant: str
    has_trust: bool
    idle: str
    is_known: bool
    given: Hit | None = None
    made_by: Tried | None = None


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
        given = RunVerdict(handle.id, _source(source), good and not unsafe, _note(note), _now())

        def judge(db: Connection) -> tuple[tuple[str, str], str]:
            found = _must_be_over(db, handle.id)
            judging.say(db, found, given.source, given.good, given.note, given.at, severe=unsafe)
            who = found.tenant, found.agent
            return who, judging.due(db, who, given.at, urgent=unsafe)

        store = self.system.require_store()
        who, due = await store.transact(judge)
        if due:
            await judging.nudge(store, self.system.temporal, due, who, urgent=unsafe)
        return given

    async def of(self, run: str) -> list[RunVerdict]:
        """Every source's verdict on a run, the oldest first. Raises NotFound."""
        handle, store = await Runs(self.system).find(run), self.system.require_store()
        known, found = await store.read(lambda db: (runs.get(db, handle.id), verdicts.of_run(db, handle.id)))
        if known is None:
            raise _unknown(handle.id)
        return found

    async def bearing(self, run: str) -> Bearing:
        """What verdicts on this run can do to the level of its agent. Raises NotFound."""
        handle = await Runs(self.system).find(run)
        return await self.system.require_store().read(lambda db: _bearing(db, handle.id))

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


def _bearing(db: Connection, workflow: str) -> Bearing:
    run = runs.get(db, workflow)
    if run is None:
        raise _unknown(workflow)
    text, kept = agents.policy(db, run.agent, _now()), ledgers.get(db, run.tenant, run.agent)
    idle = _idle(db, run, Policy.model_validate_json(text).fingerprint) if text else f"{run.agent} has no trust="
    is_known = kept is not None and workflow.rpartition(":")[2] in kept.ledger.incidents
    hit = cached.hit_of(db, workflow)
    given = None if hit is None or hit.audited else hit  # audited: Claude was asked all the same
    tried = trials.of_run(db, workflow)
    made_by = tried if tried is not None and learning.is_answerable(db, tried) else None
    return Bearing(run.agent, run.tenant, bool(text), idle, is_known, given, made_by)


def _idle(db: Connection, run: RunRow, fingerprint: str) -> str:
    """Why good and bad words about the run are no evidence; empty: they are."""
    if not outcomes.is_of_the_agent(db, run.workflow):
        return f"the run ended as {run.stop_reason}, which says nothing of the agent"
    return "the run is of another build of the agent than is served now" if run.fingerprint != fingerprint else ""


def _now() -> int:
    return round(time.time() * 1000)


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
