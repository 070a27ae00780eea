"""permit: the second look at a call, from what the worker and the store know themselves, when its effect is about to begin.

Rules of this file: nothing of the workflow's ruling is taken for granted but what it claims to be; the agent's own policy is asked
again, restrictions are read now, and an approval counts as far as the people who gave it are approvers now.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tenure.activities.job import Job
from tenure.approvals.request import Kind, Request
from tenure.runtime import approving
from tenure.runtime.store import Connection, ledgers
from tenure.transcript import canonical
from tenure.trust.checks import Case, checks
from tenure.trust.grammar import parse
from tenure.trust.restrictions import Standing
from tenure.trust.ruling import Ask, Decision, Deny, rule
from tenure.trust.terms import Terms, for_call
from tenure.wire import JsonObject


@dataclass(frozen=True)
class Stale:
    """The call must not be made by the ruling it comes with; `standing` is what the gate should know before it rules again."""

    why: str
    standing: Standing


def permit(db: Connection, job: Job, root: Ed25519PublicKey) -> Stale | None:
    """None when the call may begin now."""
    standing = ledgers.standing(db, job.run.tenant, job.agent.name)
    if standing.fence > job.ask.fence:
        return Stale("what the agent may do was restricted after this was decided", standing)
    match decision(job, standing, _level(db, job)):
        case Deny(reason=why):
            return Stale(why, standing)
        case Ask(reason=why):
            missing = _unapproved(db, job, root)
            return Stale(f"{why}; {missing}", standing) if missing else None
        case _:
            return None


def decision(job: Job, standing: Standing, level: int | None) -> Decision:
    """What the agent's policy, as this worker has it, makes of the call at the level that its ledger gives it."""
    agent, facts = job.agent, job.agent.facts[job.tool.name]
    bounds = {} if job.ask.cap is None else {"cap": job.ask.cap}
    case = Case(
        tool=job.tool.name,
        arguments=facts.given(job.block["input"]),
        effect=facts.effect,
        level=level,
        permits=facts.permits,
        rules=facts.rules,
        role=job.run.role,
        role_may=agent.roles.get(job.run.role or "", ()) if agent.roles else None,
        standing=standing,
        taint=job.taint,
        doubt=job.doubt,
        **bounds,
    )
    return rule(checks(case)).decision


def _level(db: Connection, job: Job) -> int | None:
    agent = job.agent
    if agent.level is None:
        return None
    return ledgers.level_for(db, job.run.tenant, agent.name, agent.fingerprint, agent.level)


def _unapproved(db: Connection, job: Job, root: Ed25519PublicKey) -> str:
    """Why no approval of the call holds, empty when one does."""
    asked = approving.approved(db, job.ask.request)
    if asked is None or (asked.workflow, asked.tenant) != (job.workflow, job.run.tenant) or not _is_about(asked, job):
        return "no approval of it stands in the store"
    terms = _terms(job)
    people = approving.who_approved(db, root, asked, terms.roles, job.run.user)
    needed = max(asked.quorum, terms.quorum)
    return "" if len(people) >= needed else f"of its approvals {len(people)} hold and {needed} are needed"


def _is_about(asked: Request, job: Job) -> bool:
    """Whether people were shown this very call: its tool, its arguments and its place in the run."""
    if asked.kind is not Kind.TOOL_CALL or asked.epoch != job.ask.fence:
        return False
    calls: list[JsonObject] = asked.payload.get("calls", [{**asked.payload, "row": asked.seq}])
    made = canonical([job.tool.name, job.block["input"], job.seq])  # text: to Python 1 and True are equal
    return any(canonical([one.get("tool"), one.get("arguments"), one.get("row")]) == made for one in calls)


def _terms(job: Job) -> Terms:
    facts = job.agent.facts[job.tool.name]
    given = facts.given(job.block["input"])
    return for_call(
        facts.effect,
        [told.terms for told in facts.approvals if parse(told.permission).restricts(given)],
    )
