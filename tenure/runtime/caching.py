"""Caching: what a request is answered with before Claude is asked, and which answers may be given again.

The first rule of the agent that has an answer gives it. Nobody is answered from what another tenant, agent, build, role, level or
state was answered with.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from tenure.optimize import admission, audits, guards, similarity
from tenure.optimize.guards import Guarded
from tenure.optimize.rules import CacheRule
from tenure.run import Effect, RunRequest, Snapshot, StopReason
from tenure.runtime import embeddings
from tenure.runtime.store import Connection, accounts, cached, charges, epochs, transcript, verdicts
from tenure.runtime.store.cached import Entry, Hit
from tenure.runtime.store.routers import LearnedAnswer
from tenure.runtime.store.runs import RunRow
from tenure.spec import AgentSpec
from tenure.transcript import canonical, tool_calls
from tenure.turn import Audit, Served, Turn
from tenure.wire import JsonObject

PATTERNS = "patterns"  # the rule under which learned answers are audited, and close themselves


@dataclass(frozen=True)
class Asked:
    """A run's first request, as a cache looks at it. `at` in milliseconds; `draw`, 0 to 1, decides whether a hit is audited."""

    workflow: str
    request: RunRequest
    snapshot: Snapshot
    at: int
    draw: float
    learned: LearnedAnswer | None = None  # what was learned of such requests


def look(db: Connection, agent: AgentSpec, asked: Asked) -> Turn | Audit | None:
    """The turn that answers the request, what Claude's answer is to be compared with, or None: then its answer may be let in."""
    request = asked.request
    rules = agent.optimization.rules if agent.optimization else ()
    if not request.message or request.message_blob or request.context or request.tainted:
        return None
    found = next(_in_order(db, rules, agent, asked), None)
    if found is None:
        _open(db, rules, agent, asked)
        return None
    text, by = found
    if by.tier == "canned" or asked.draw >= agent.audited:
        return Turn(content=[{"type": "text", "text": text}], stop="end_turn", served=by)
    _open(db, rules, agent, asked)
    cached.note_hit(db, _hit(asked.workflow, request.tenant, agent.name, by, asked.at, audited=True))
    return Audit(rule=by.rule, source=by.source, answer=text)


def served(db: Connection, run: RunRow, by: Served, model: str, prices: str, at: int) -> None:
    """The run was answered without its model: what that spared stands in the accounts."""
    cached.note_hit(db, _hit(run.workflow, run.tenant, run.agent, by, at))
    charges.keep_hit(db, run, model, by, prices, at)


def finished(db: Connection, run: RunRow, at: int) -> None:
    """The run has ended, or somebody has said something of it: its answer is let in, or taken back."""
    said = verdicts.of_run(db, run.workflow)
    bad = any(not one.good for one in said)
    if said:
        _heard(db, run, bad, at)
    if bad:
        _withdraw(db, run)
        return
    entry = cached.opened(db, run.workflow)
    if entry is None:
        return
    rows = transcript.rows(db, run.workflow)
    calls = [call["name"] for row in rows if row["role"] == "assistant" for call in tool_calls(row["content"])]
    told = admission.Finished(
        request=entry.request,
        answer=run.message,
        answered=run.stop_reason == StopReason.ANSWERED,
        tainted=_is_tainted(db, run.workflow, rows),
        calls=tuple(calls),
        pure=frozenset(entry.epochs),
        failed=not all(row["ok"] for row in rows if row["role"] == "tool"),
        others=sum(row["role"] == "user" for row in rows) - 1,
        good=len(said),
        bad=0,
    )
    if admission.refusal(told, verified=entry.verified) is None:
        read = {tool: epoch for tool, epoch in entry.epochs.items() if tool in calls}
        cached.admit(db, entry, run.message, read, run.cost)


def audited(db: Connection, run: RunRow, agreed: bool, at: int) -> None:
    """What would have been given again was compared with what Claude said. A rule that is wrong too often closes itself."""
    hit = cached.hit_of(db, run.workflow)
    if hit is None:
        return
    cached.note_audit(db, run.workflow, agreed)
    if agreed:
        return
    cached.drop(db, hit.source)
    counted = cached.audits(db, (run.tenant, run.agent), hit.rule)
    _close_if_wrong(db, hit, counted, "audited answers were wrong", at)


def _in_order(
    db: Connection, rules: tuple[CacheRule, ...], agent: AgentSpec, asked: Asked
) -> Iterator[tuple[str, Served]]:
    """What may be said without Claude, in the order of the agent's `fallback`."""
    for step in agent.optimization.fallback if agent.optimization else ():
        if step == "cache":
            yield from _answers(db, rules, agent, asked)
        elif step == "pattern" and (known := asked.learned) is not None and not _is_closed(db, agent, asked, PATTERNS):
            yield known.text, Served(tier="pattern", rule=PATTERNS, source=known.run, saved=known.cost)


def _is_closed(db: Connection, agent: AgentSpec, asked: Asked, rule: str) -> bool:
    return rule in cached.closed(db, (asked.request.tenant, agent.name))


def _answers(
    db: Connection, rules: tuple[CacheRule, ...], agent: AgentSpec, asked: Asked
) -> Iterator[tuple[str, Served]]:
    """What the rules have to say, the first rule first."""
    message = asked.request.message
    closed = cached.closed(db, (asked.request.tenant, agent.name))
    for rule in rules:
        if rule.name in closed or not rule.matches(message):
            continue
        if rule.response is not None:
            saved = accounts.usual(db, asked.request.tenant, agent.name)
            yield rule.response, Served(tier="canned", rule=rule.name, saved=saved)
        elif (found := _given_before(db, rule, agent, asked)) is not None:
            entry, tier = found
            yield entry.answer or "", Served(tier=tier, rule=rule.name, source=entry.workflow, saved=entry.cost)


def _given_before(db: Connection, rule: CacheRule, agent: AgentSpec, asked: Asked) -> tuple[Entry, str] | None:
    part, since = _part(agent, asked), asked.at - (rule.ttl or 0) * 1000
    same = cached.of_request(db, part, guards.exact(asked.request.message), since, asked.at)
    fresh = [entry for entry in same if _is_current(db, entry, asked.at)]
    if fresh:
        return fresh[0], "exact"
    if rule.similarity is None or (guarded := guards.read(asked.request.message)) is None:
        return None
    alike = cached.of_signature(db, part, guarded.signature, since, asked.at)
    by_meaning = agent.optimization is not None and agent.optimization.vectors == "embeddings"
    ranked = sorted(_ranked(alike, guarded, by_meaning=by_meaning), key=lambda one: one[0], reverse=True)
    return next(
        ((entry, "similar") for by, entry in ranked if by >= rule.similarity and _is_current(db, entry, asked.at)), None
    )


def _ranked(entries: list[Entry], guarded: Guarded, *, by_meaning: bool) -> list[tuple[float, Entry]]:
    if by_meaning:
        return list(zip(embeddings.likeness(guarded.kept, [entry.kept for entry in entries]), entries, strict=True))
    mine = similarity.grams(guarded.kept)
    return [(similarity.cosine(mine, similarity.grams(entry.kept)), entry) for entry in entries]


def _is_current(db: Connection, entry: Entry, at: int) -> bool:
    """Whether nothing it rests on has changed since, or is just changing."""
    return epochs.of_tools(db, entry.tenant, entry.epochs, at) == entry.epochs


def _open(db: Connection, rules: tuple[CacheRule, ...], agent: AgentSpec, asked: Asked) -> None:
    """Claude is asked: what it says may be given again, if some rule would."""
    request = asked.request
    keep = [rule.ttl for rule in rules if rule.ttl and rule.response is None and rule.matches(request.message)]
    if not keep or not admission.may_be_asked_again(request.message):
        return
    guarded = guards.read(request.message)
    entry = Entry(
        workflow=asked.workflow,
        tenant=request.tenant,
        agent=agent.name,
        part=_part(agent, asked),
        request=guards.exact(request.message),
        signature=guarded.signature if guarded else "",
        kept=guarded.kept if guarded else "",
        epochs=epochs.of_tools(db, request.tenant, _pure(agent), asked.at),
        verified=agent.optimization is not None and agent.optimization.admit == "verified",
        at=asked.at,
        expires_at=asked.at + max(keep) * 1000,
    )
    cached.open_entry(db, entry)


def _part(agent: AgentSpec, asked: Asked) -> str:
    """Who shares answers: 64 hex digits, equal for runs that differ in their request and their user alone."""
    request = asked.request
    told = [
        request.tenant,
        agent.name,
        agent.fingerprint,
        request.role,
        request.state,
        request.cap,
        asked.snapshot.level,
    ]
    return hashlib.sha256(canonical(told).encode()).hexdigest()


def _pure(agent: AgentSpec) -> list[str]:
    """The tools that only read, and that cannot know for whom."""
    return [entry.name for entry in agent.tools if entry.effect is Effect.READ and not entry.takes_context]


def _hit(workflow: str, tenant: str, agent: str, served: Served, at: int, *, audited: bool = False) -> Hit:
    return Hit(workflow, tenant, agent, served.rule, served.tier, served.source, audited, at)


def _heard(db: Connection, run: RunRow, bad: bool, at: int) -> None:
    """What people say of an answer that a rule has given counts for the rule: once for each run, until they take it back."""
    hit = cached.hit_of(db, run.workflow)
    if hit is None or hit.audited:  # then it was Claude who answered
        return
    cached.note_complaint(db, run.workflow, bad)
    if bad:
        counted = cached.complaints(db, (run.tenant, run.agent), hit.rule)
        _close_if_wrong(db, hit, counted, "answers that it gave were called bad", at)


def _close_if_wrong(db: Connection, hit: Hit, counted: tuple[int, int], what: str, at: int) -> None:
    n, wrong = counted
    if audits.closes(n, wrong):
        told = f"{wrong} of {n} {what}, more than {audits.WRONG_AT_MOST:.0%} can explain"
        cached.close_rule(db, (hit.tenant, hit.agent), hit.rule, told, at)


def _withdraw(db: Connection, run: RunRow) -> None:
    """Somebody called the run bad: neither its answer is given again, nor the one that it gave again."""
    cached.drop(db, run.workflow)
    hit = cached.hit_of(db, run.workflow)
    if hit is not None and not hit.audited:
        cached.drop(db, hit.source)


def _is_tainted(db: Connection, workflow: str, rows: list[JsonObject]) -> bool:
    """Whether any turn rests on what came from elsewhere. A turn of which that is not known is one."""
    turns = [seq for seq, row in enumerate(rows) if row["role"] == "assistant"]
    metas = [transcript.standing(db, workflow, seq) for seq in turns]
    return not turns or any(found is None or found[1].get("tainted", True) for found in metas)
