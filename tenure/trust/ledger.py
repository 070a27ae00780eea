"""The ledger of one agent's trust: its level, the evidence since the last change, and every change with its reason.

Rules of this file: pure; time comes in. The level rises only by an approval of exactly the proposal that is open, by as many people
as it takes; it falls by itself, and a fall is never put off. Given the same events in the same order it is the same ledger. No
order of words raises the level, and where all of them together make a fall, it falls in every order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypeAlias

from pydantic import Field

from tenure.trust import level
from tenure.trust.config import Step
from tenure.trust.evidence import (
    Evidence,
    Judged,
    Mode,
    add,
    bound,
    digest,
    fall,
    may_fall,
    of_so_many,
    renewed,
    rise,
    speaking,
    tally,
    used,
)
from tenure.trust.terms import Terms, for_escalation
from tenure.wire import Wire

HOUR = 3600_000  # milliseconds
COOL_DOWN = 24 * HOUR  # after a change or the end of a proposal, before the next step up is proposed
PROPOSAL_LASTS = 72 * HOUR
RESTORERS = 2  # people that lift what a severe incident has done
INCIDENTS = 20  # remembered
Moved: TypeAlias = Literal["began", "rise", "fall", "incident", "rebuilt", "restore", "carry"]
Ended: TypeAlias = Literal["withdrawn", "denied", "expired"]


class Policy(Wire):
    """What a worker announced of an agent's trust. Levels in tenths."""

    fingerprint: str
    initial: int
    cap: int = level.MOST
    rules: list[Step] = Field(default_factory=list[Step])
    evidence: Mode = "confident"


class Proposal(Wire):
    """A step from level `before` that people are asked about, the `number`-th; `evidence` is the digest of what it rests on.

    `restore` goes back to the level before a severe incident, `carry` to that of the build before.
    """

    number: int
    kind: Literal["rise", "restore", "carry"]
    before: int
    to: int
    epoch: int
    evidence: str
    why: str
    opened_at: int


class Change(Wire):
    """What happened to the level, or nearly did. `by` holds the people who answered.

    `epoch` is that of the ledger after it, `asked` how many proposals there were by then.
    """

    at: int
    kind: Moved | Ended
    before: int
    after: int
    why: str
    by: list[str] = Field(default_factory=list[str])
    fingerprint: str = ""
    epoch: int = 0
    asked: int = 0


class Ledger(Wire):
    """All of it.

    `changes` are those that were not kept elsewhere yet. `earned` is what people may give back: while `severe` the level before the
    incident, otherwise the one that another build had. `asked` counts proposals; at `ended_at` one ended last without a change.
    """

    level: int
    fingerprint: str
    epoch: int = 0
    evidence: Evidence = Evidence()
    changed_at: int = 0
    ended_at: int = 0
    asked: int = 0
    proposal: Proposal | None = None
    severe: bool = False
    earned: int = 0
    incidents: list[str] = Field(default_factory=list[str])
    changes: list[Change] = Field(default_factory=list[Change])


def begin(policy: Policy, at: int) -> Ledger:
    """The ledger of an agent without history."""
    first = Ledger(level=_initial(policy), fingerprint=policy.fingerprint)
    return _changed(first, "began", first.level, "an agent without history", at)


def announce(ledger: Ledger, policy: Policy, at: int) -> Ledger:
    """A worker serves the agent as `policy` says: another build has at most the initial level, and evidence begins anew."""
    if policy.fingerprint != ledger.fingerprint:
        return _rebuilt(ledger, policy, at)
    if policy.cap < ledger.level:
        return _lowered(ledger, "fall", policy.cap, "trust.cap was lowered", at)
    if ledger.proposal is not None and ledger.proposal.to > policy.cap:
        ledger = withdraw(ledger, "trust.cap was lowered", at)
    return _checked(ledger, policy, at)  # the rules may be stricter than they were


def judge(ledger: Ledger, policy: Policy, words: Iterable[Judged], at: int, *, finished: int = 0) -> Ledger:
    """Words about finished runs of the build that is served: they are evidence, and the level falls as soon as a rule says so.

    `finished` is how many runs of the agent have finished by now, among which complaints count; at least those spoken of.
    """
    evidence = of_so_many(ledger.evidence, finished)
    for word in words:
        heard = add(evidence, word)
        if may_fall(heard, word, policy.rules):
            ledger = _heard(_with(ledger, evidence=evidence), policy, word, at)
            heard = ledger.evidence
        evidence = heard
    return _with(ledger, evidence=evidence)


def incident(ledger: Ledger, run: str, why: str, at: int) -> Ledger:
    """Something severe happened: nothing is trusted any more until people say so. A run has one incident."""
    if run in ledger.incidents:
        return ledger
    taken = {
        "severe": True,
        "earned": ledger.earned if ledger.severe else ledger.level,
        "incidents": [*ledger.incidents, run][-INCIDENTS:],
    }
    return _lowered(_with(ledger, **taken), "incident", 0, f"run {run}: {why}" if why else f"run {run}", at)


def propose(ledger: Ledger, policy: Policy, at: int) -> Ledger:
    """Propose a step up, if the evidence is enough and nothing stands against it."""
    ledger = _outlived(ledger, at)
    waits = at - max(ledger.changed_at, ledger.ended_at) < COOL_DOWN
    if waits or ledger.proposal is not None or ledger.severe or ledger.level >= policy.cap:
        return ledger
    rule = rise(ledger.evidence, policy.rules, policy.evidence)
    if rule is None or fall(ledger.evidence, policy.rules) is not None:  # at level 0 what would make a fall stays
        return ledger
    return _asked(ledger, "rise", min(ledger.level + rule.amount, policy.cap), _grounds(rule, ledger), at)


def cools_at(ledger: Ledger) -> int:
    """From when on a step up may be proposed."""
    return max(ledger.changed_at, ledger.ended_at) + COOL_DOWN


def ask_back(ledger: Ledger, policy: Policy, kind: Literal["restore", "carry"], why: str, at: int) -> Ledger:
    """Propose to give back what an incident (`restore`) or another build (`carry`) took; nothing happens where none did."""
    to = min(ledger.earned, policy.cap)
    if ledger.proposal is not None or ledger.severe != (kind == "restore"):
        return ledger
    if kind == "restore" and ledger.incidents:
        why = f"{why}; it was taken after an incident in run {ledger.incidents[-1]}"
    if kind == "carry" and (to <= ledger.level or fall(ledger.evidence, policy.rules) is not None):
        return ledger
    return _asked(ledger, kind, to, why, at)


def terms_of(proposal: Proposal) -> Terms:
    """On what terms people's approval of a proposal counts."""
    known = for_escalation(proposal.to)
    return known.model_copy(update={"quorum": max(known.quorum, RESTORERS)}) if proposal.kind == "restore" else known


def settle(ledger: Ledger, proposal: Proposal, choice: str, by: Sequence[str], note: str, at: int) -> Ledger:
    """People have answered `proposal`, or nobody has (`expired`). Nothing happens if it is not the one that is open."""
    if proposal != ledger.proposal:
        return ledger
    if choice == "approve" and at - proposal.opened_at <= PROPOSAL_LASTS:
        needed = terms_of(proposal).quorum
        if len(set(by)) >= needed:
            return _granted(ledger, proposal, by, note, at)
        return _ended(ledger, "withdrawn", f"approved by {len(set(by))}, it takes {needed}", at, by)
    return _ended(ledger, "expired" if choice in ("expired", "approve") else "denied", note, at, by)


def withdraw(ledger: Ledger, why: str, at: int) -> Ledger:
    """The proposal dies: what it rested on is no longer so."""
    return ledger if ledger.proposal is None else _ended(ledger, "withdrawn", why, at)


def shown(change: Change) -> str:
    """A change in words: what happened, from where to where, who signed it."""
    signed = f", signed by {' and '.join(change.by)}" if change.by else ""
    moved = f"{level.shown(change.before)} → {level.shown(change.after)}" if change.before != change.after else ""
    return " ".join(part for part in (change.kind, moved) if part) + signed


def level_for(ledger_level: int, ledger_fingerprint: str, fingerprint: str, initial: int) -> int:
    """The level of a run under `fingerprint`: a build that the ledger does not speak of has no more than the initial one."""
    return ledger_level if fingerprint == ledger_fingerprint else min(initial, ledger_level)


def _initial(policy: Policy) -> int:
    return min(policy.initial, policy.cap)


def _heard(ledger: Ledger, policy: Policy, word: Judged, at: int) -> Ledger:
    """A word that may make a fall."""
    heard = add(ledger.evidence, word)
    if heard is ledger.evidence:
        return ledger
    new = not word.good and word.run not in ledger.evidence.failed
    ledger = _with(ledger, evidence=heard)
    return _checked(withdraw(ledger, f"run {word.run} was not good", at) if new else ledger, policy, at)


def _checked(ledger: Ledger, policy: Policy, at: int) -> Ledger:
    """The level falls if a rule says so. At level 0 it cannot: what was heard stays, and stands against the next step up."""
    falls = fall(ledger.evidence, policy.rules) if ledger.level else None
    if falls is None:
        return ledger
    rule, why = falls
    # What another build had earned is gone with it: this one has shown that it is not as good.
    return _lowered(_with(ledger, earned=0), "fall", max(ledger.level - rule.amount, 0), why, at)


def _rebuilt(ledger: Ledger, policy: Policy, at: int) -> Ledger:
    """A severe incident is not lifted by another build, nor is there more to restore than the initial level."""
    first = _initial(policy)
    earned = min(ledger.earned, first) if ledger.severe else max(ledger.level, ledger.earned)
    why = f"another build of the agent is served: {policy.fingerprint[:8]} after {ledger.fingerprint[:8]}"
    rebuilt = _with(ledger, fingerprint=policy.fingerprint, earned=earned)
    return _lowered(rebuilt, "rebuilt", min(ledger.level, first), why, at)


def _grounds(rule: Step, ledger: Ledger) -> str:
    n, misses = tally(rule, speaking(ledger.evidence))
    return (
        f"{rule.metric} {rule.threshold} is met: {misses} of {n} judged runs speak against it,"
        f" so that at least {bound(n, misses)} of all do not (95 % sure)"
    )


def _asked(ledger: Ledger, kind: Literal["rise", "restore", "carry"], to: int, why: str, at: int) -> Ledger:
    proposal = Proposal(
        number=ledger.asked + 1,
        kind=kind,
        before=ledger.level,
        to=to,
        epoch=ledger.epoch,
        evidence=digest(ledger.evidence),
        why=why,
        opened_at=at,
    )
    return _with(ledger, proposal=proposal, asked=proposal.number)


def _granted(ledger: Ledger, proposal: Proposal, by: Sequence[str], note: str, at: int) -> Ledger:
    given = ledger if proposal.kind == "rise" else _with(ledger, severe=False, earned=0)
    return _changed(given, proposal.kind, proposal.to, f"{proposal.why}. {note}".strip(" ."), at, by)


def _outlived(ledger: Ledger, at: int) -> Ledger:
    old = ledger.proposal is not None and at - ledger.proposal.opened_at > PROPOSAL_LASTS
    return _ended(ledger, "expired", "", at) if old else ledger


def _ended(ledger: Ledger, kind: Ended, why: str, at: int, by: Sequence[str] = ()) -> Ledger:
    """The proposal has ended without a change: the evidence that spoke for it is used up."""
    ended = _with(ledger, proposal=None, ended_at=max(at, ledger.ended_at), evidence=used(ledger.evidence))
    return _told(ended, Change(at=at, kind=kind, before=ledger.level, after=ledger.level, why=why, by=list(by)))


def _lowered(ledger: Ledger, kind: Moved, to: int, why: str, at: int) -> Ledger:
    return _changed(withdraw(ledger, why, at), kind, to, why, at)


def _changed(ledger: Ledger, kind: Moved, to: int, why: str, at: int, by: Sequence[str] = ()) -> Ledger:
    """The level is `to` now; evidence and whatever was proposed are spent."""
    change = Change(
        at=at, kind=kind, before=ledger.level, after=to, why=why, by=list(by), fingerprint=ledger.fingerprint
    )
    moved = _with(
        ledger,
        level=to,
        epoch=ledger.epoch + 1,
        evidence=renewed(ledger.evidence),
        changed_at=max(at, ledger.changed_at),
        proposal=None,
    )
    return _told(moved, change)


def _told(ledger: Ledger, change: Change) -> Ledger:
    told = change.model_copy(update={"epoch": ledger.epoch, "asked": ledger.asked})
    return _with(ledger, changes=[*ledger.changes, told])


def _with(ledger: Ledger, **fields: Any) -> Ledger:  # Any: fields of the ledger
    return ledger.model_copy(update=fields)
