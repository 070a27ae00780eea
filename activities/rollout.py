"""test_capability, read_trials and keep_rollout: what the rollout of a capability needs of the world."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import ValidationError
from temporalio import activity

from tenure.activities.pulse import pulse
from tenure.activities.resources import Resources, now, refuse
from tenure.errors import AnswerRefused, NotFound
from tenure.learn.capability import Capability
from tenure.learn.events import Breach, Compared, Served
from tenure.learn.reading import MORE, KeepRollout, ReadTrials, Tested, Trials, Which
from tenure.learn.rollout import Policy, serving
from tenure.learn.written import proposal_of
from tenure.runtime import deploying, validating
from tenure.runtime.learning import MOST
from tenure.runtime.replaying import replay
from tenure.runtime.store import Connection, capabilities, recordings, trials, verdicts
from tenure.runtime.store.capabilities import Kept, RolloutRow
from tenure.runtime.store.trials import Kind, Trial
from tenure.spec import AgentSpec

BREACHES: dict[Kind, Literal["unexpected_write", "unsafe"]] = {"breach": "unexpected_write", "unsafe": "unsafe"}
OUTCOMES: dict[Kind, Literal["failed", "fell_back", "in_doubt"]] = {
    "left": "fell_back",
    "failed": "failed",
    "bad": "failed",
    "in_doubt": "in_doubt",
}
NOBODYS = 0  # the number that the workflow gives an event in place of this


@dataclass(frozen=True)
class Rolling:
    """The activities of a rollout."""

    to: Resources

    @activity.defn(name="test_capability")
    async def test_capability(self, of: Which) -> Tested:
        """Test it on recordings that it was not learned from, and keep the report. Refuses one that the store does not hold."""
        with pulse():
            agent, kept = self.to.agent(of.agent), await self._kept(of)
            proposal = proposal_of(kept.proposal)
            read = await self.to.store.read(
                lambda db: recordings.verified(db, (of.tenant, of.agent), kept.fingerprint, 0, MOST)
            )
            report = await validating.validate(self.to.sandbox, agent, proposal, read)
            await self.to.store.transact(lambda db: capabilities.report(db, kept, report.model_dump_json()))
            return Tested(
                digest=proposal.capability.digest,
                report=report.digest,
                coverage=report.coverage,
                wrong_writes=len(report.wrong),
                card=validating.card(proposal, report, read).model_dump(mode="json"),
                policy=_policy(agent),
            )

    @activity.defn(name="read_trials")
    async def read_trials(self, ask: ReadTrials) -> Trials:
        """What came of the runs that it was tried on; those that it looked on at are compared now."""
        with pulse():
            agent, kept = self.to.agent(ask.of.agent), await self._kept(ask.of)
            who = ask.of.tenant, ask.of.agent
            found = await self.to.store.read(
                lambda db: trials.after(db, who, ask.of.capability, ask.of.version, ask.after, MORE)
            )
            read_to = found[-1].seq if found else ask.after
            capability = _as_tested(kept, ask.digest)
            if capability is None or capability.fingerprint != agent.fingerprint:
                what = "changed" if capability is None else "fingerprint"
                told = Breach(number=NOBODYS, at=now(), version=ask.of.version, run="", kind="breach", what=what)
                return Trials(events=[told], read_to=read_to, policy=_policy(agent))
            events = [event for one in found if (event := await self._event(ask.of, capability, one)) is not None]
            return Trials(events=events, read_to=read_to, more=len(found) == MORE, policy=_policy(agent))

    @activity.defn(name="keep_rollout")
    async def keep_rollout(self, keep: KeepRollout) -> None:
        """The rollout stands so from now on. Refuses one that reaches people whom nobody's signature lets it reach."""

        def write(db: Connection) -> None:
            row = _row(keep)
            _check(db, self.to.root, keep, row)
            capabilities.keep(db, row, keep.by)

        await self.to.store.transact(write)

    async def _event(self, of: Which, capability: Capability, trial: Trial) -> Compared | Served | Breach | None:
        told: dict[str, Any] = {  # and `kind` each time, because history leaves out what was not set
            "number": NOBODYS,
            "at": trial.at,
            "version": of.version,
            "run": trial.workflow.rpartition(":")[2],
        }
        if trial.mode == "shadow":
            return await self._compared(capability, trial, told)
        if trial.kind == "finished":
            return await self._served(trial, told)
        if trial.kind in BREACHES:
            return Breach(**told, kind="breach", what=BREACHES[trial.kind])
        outcome = OUTCOMES.get(trial.kind)
        return Served(**told, kind="served", outcome=outcome) if outcome else None

    async def _compared(self, capability: Capability, trial: Trial, told: dict[str, Any]) -> Compared | None:
        """Only what ended well, and nobody has called bad, is anything to be compared with."""
        if trial.kind != "finished" or trial.note:
            return None
        recording, said = await self.to.store.read(
            lambda db: (recordings.get(db, trial.workflow), verdicts.of_run(db, trial.workflow))
        )
        if recording is None or any(not one.good for one in said):
            return None
        came = await replay(self.to.sandbox, capability, recording)
        return Compared(**told, kind="compared", outcome=came.verdict)

    async def _served(self, trial: Trial, told: dict[str, Any]) -> Served | None:
        """How a run ended that it made to its end; one that it gave up, or that somebody called bad, counts as that alone."""
        said = await self.to.store.read(lambda db: trials.kinds(db, trial.workflow))
        counts_otherwise = said & {"left", "failed", "in_doubt", "breach", "bad", "unsafe"}
        return None if counts_otherwise else Served(**told, kind="served", outcome="failed" if trial.note else "ok")

    async def _kept(self, of: Which) -> Kept:
        kept = await self.to.store.read(
            lambda db: capabilities.get(db, (of.tenant, of.agent), of.capability, of.version)
        )
        if kept is None:
            raise refuse(
                NotFound(f"the store holds no {of.capability} version {of.version} of {of.agent} for {of.tenant}")
            )
        return kept


def _as_tested(kept: Kept, digest: str) -> Capability | None:
    """The capability; None where the store holds another one than was tested, and is approved by its digest."""
    try:
        found = Capability.model_validate_json(kept.body)
    except ValidationError:
        return None
    return found if found.digest == digest else None


def _policy(agent: AgentSpec) -> Policy | None:
    return agent.learning.policy if agent.learning else None


def _row(keep: KeepRollout) -> RolloutRow:
    of, rollout = keep.of, keep.rollout
    return RolloutRow(
        of.tenant, of.agent, of.capability, of.version, rollout.digest, rollout.stage, serving(rollout), keep.percent,
        rollout.held or rollout.why, rollout.model_dump_json(), rollout.last, keep.read_to, keep.at, keep.deployed, keep.promoted,
    )  # fmt: skip


def _check(db: Connection, root: Ed25519PublicKey, keep: KeepRollout, row: RolloutRow) -> None:
    if keep.require_approval and row.serving != "no" and (why := deploying.refusal(db, root, row)):
        raise refuse(AnswerRefused(why))
