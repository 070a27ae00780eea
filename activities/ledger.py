"""read_outcomes and keep_ledger: what a ledger of trust hears, and where it stands."""

from __future__ import annotations

from dataclasses import dataclass

from temporalio import activity

from tenure.activities.resources import Resources, now
from tenure.approvals.digest import digest
from tenure.errors import ConfigError, Unavailable
from tenure.runtime import judging
from tenure.runtime.store import Connection, agents, ledgers, outcomes, restrictions, runs, transcript
from tenure.runtime.store.ledgers import Kept
from tenure.runtime.store.outcomes import OutcomeRow
from tenure.runtime.store.runs import RunRow
from tenure.transcript import name_of
from tenure.trust.evidence import Judged
from tenure.trust.ledger import Policy
from tenure.trust.metrics import Outcome, counted
from tenure.trust.reading import Batch, Heard, Keep, ReadOn
from tenure.trust.restrictions import Restriction

MOST = 500  # outcomes in one batch
WHY_LIMIT = 200  # characters of a note that travel into history
LOWERING = ("fall", "incident", "rebuilt")


@dataclass(frozen=True)
class Ledgering:
    """The activities `read_outcomes` and `keep_ledger`."""

    to: Resources

    @activity.defn(name="read_outcomes")
    async def read_outcomes(self, ask: ReadOn) -> Batch:
        """The next batch of what was said of finished runs."""
        return await self.to.store.read(lambda db: _batch(db, ask))

    @activity.defn(name="keep_ledger")
    async def keep_ledger(self, keep: Keep) -> None:
        """Keep level, evidence and changes in one transaction. A level that fell moves the fence: it bites at the next effect."""

        def write(db: Connection) -> None:
            for change in ledgers.keep(db, keep.tenant, keep.agent, keep.ledger, keep.read_to, keep.at):
                if change.kind in LOWERING and change.after < change.before:
                    told = Restriction(kind="lowered", value=str(change.after), reason=change.why)
                    restrictions.restrict(db, (keep.tenant, keep.agent), told, "ledger", keep.at)

        await self.to.store.transact(write)


def _batch(db: Connection, ask: ReadOn) -> Batch:
    policy = _policy(db, ask.agent)
    if policy is None:
        return Batch()
    kept = ledgers.get(db, ask.tenant, ask.agent)
    after = _after(db, ask, kept)
    rows = outcomes.after(db, (ask.tenant, ask.agent), after, MOST)
    heard = [one for row in rows if (one := _heard(db, row, policy)) is not None]
    return Batch(
        policy=policy,
        heard=heard,
        finished=outcomes.places(db, (ask.tenant, ask.agent)),
        read_to=rows[-1].seq if rows else after,
        more=len(rows) == MOST,
        digest=digest([one.model_dump(mode="json") for one in heard]),
        kept=kept.ledger if kept and (ask.fresh or kept.level < ask.level) else None,
    )


def _after(db: Connection, ask: ReadOn, kept: Kept | None) -> int:
    """From where to read on: a store that was put back to an earlier day has begun to number outcomes anew."""
    is_known = not ask.fresh and ask.after <= outcomes.last(db)
    return ask.after if is_known else kept.read_to if kept else 0


def _policy(db: Connection, agent: str) -> Policy | None:
    text = agents.policy(db, agent, now())
    return Policy.model_validate_json(text) if text else None


def _heard(db: Connection, row: OutcomeRow, policy: Policy) -> Heard | None:
    run = runs.get(db, row.workflow)
    if row.kind == "finished" or run is None:
        return None
    name = row.workflow.rpartition(":")[2]
    if row.kind == "severe":
        return Heard(run=name, severe=True, why=row.note[:WHY_LIMIT])
    if run.fingerprint != policy.fingerprint or not row.place:
        return None  # of another build than the one that earns or loses now, or ended by something else than the agent
    judged = Judged(
        run=name,
        good=row.good,
        place=row.place,
        counts=_counts(run, row, policy),
        task=_task(db, run),
        by=judging.kind_of(row.source),
    )
    return Heard(run=name, judged=judged)


def _counts(run: RunRow, row: OutcomeRow, policy: Policy) -> dict[str, bool]:
    told = Outcome(
        good=row.good,
        status=run.status,
        stop_reason=run.stop_reason or "",
        iterations=run.iterations,
        calls=run.calls,
        cost=run.cost,
        took=(run.finished_at or run.started_at) - run.started_at,
    )
    try:
        return counted(told, sorted({rule.metric for rule in policy.rules}))
    except ConfigError as error:  # the agent is served by another worker, which knows the metric
        raise Unavailable(f"this worker does not know it, another one does: {error}") from error


def _task(db: Connection, run: RunRow) -> str:
    """Equal for runs that were asked the same."""
    first = transcript.standing(db, run.workflow, 0)
    return name_of([first[0], run.role]) if first else ""
