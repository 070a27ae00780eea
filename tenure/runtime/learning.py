"""Learning: what a finished run leaves to learn from, and which learned capability a new one is tried on.

Rules of this file: a run teaches only what Claude did in it; what a capability did teaches nobody. Two capabilities that both know
a request know nothing: Claude is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import ValidationError

from tenure.learn.canary import in_canary
from tenure.learn.capability import Capability
from tenure.learn.pseudonyms import conceal
from tenure.learn.recording import Recording, Step
from tenure.run import STATUS_OF, Status, StopReason
from tenure.runtime import deploying
from tenure.runtime.answers import is_plain
from tenure.runtime.caching import Asked
from tenure.runtime.store import Connection, accounts, capabilities, charges, recordings, transcript, trials
from tenure.runtime.store.capabilities import Kept, RolloutRow
from tenure.runtime.store.runs import RunRow
from tenure.runtime.store.trials import Mode, Tried
from tenure.spec import AgentSpec
from tenure.transcript import calls_made, was_made
from tenure.turn import Learned, Served
from tenure.wire import JsonObject

MOST = 500  # recordings that are learned from at once, the newest
LONGEST = 8_000  # characters of a request that anything is learned from, or tried on


def choose(db: Connection, agent: AgentSpec, asked: Asked) -> Learned | None:
    """The capability that makes the run's turns; None where Claude does, whether or not one looks on."""
    request = asked.request
    if not agent.learns or request.context or request.tainted or not 0 < len(request.message) <= LONGEST:
        return None
    who = request.tenant, agent.name
    fitting = [one for one in capabilities.live(db, who, agent.fingerprint) if _knows(one[1], request.message)]
    if len(fitting) != 1:
        return None
    (row, kept), key = fitting[0], request.user or asked.workflow
    mode = _mode(agent, row, key)
    tried = trials.try_on(db, Tried(asked.workflow, *who, row.id, row.version, mode, asked.at))
    if tried.mode == "shadow" or (tried.capability, tried.version) != (row.id, row.version):
        return None
    return Learned(id=row.id, version=row.version, digest=kept.digest, saved=accounts.usual(db, *who))


def finished(db: Connection, run: RunRow, agent: AgentSpec | None, at: int) -> None:
    """The run has ended: what it teaches is kept, and what came of the capability that it was tried on."""
    if agent is None or not agent.records:
        return
    tried = trials.of_run(db, run.workflow)
    by_claude = tried is None or tried.mode == "shadow"
    if (recording := _recording(db, run, agent)) is not None:
        teaches = by_claude and _is_success(run) and all(step.ok for step in recording.steps)
        plain = not run.role and is_plain(agent, run.initial_state)
        recordings.put(db, run.tenant, recording, teaches=teaches, plain=plain)
    if tried is not None and run.stop_reason != StopReason.CANCELLED:
        trials.add(db, tried, "finished", "" if _is_success(run) else run.stop_reason or "", at)


def served(db: Connection, run: RunRow, by: Served, model: str, prices: str, at: int) -> None:
    """A capability made every turn of the run: what that spared stands in the accounts."""
    charges.keep_hit(db, run, model, by, prices, at)


def judged(db: Connection, workflow: str, good: bool, severe: bool, note: str, at: int) -> None:
    """Somebody has said something of a run. What made the turns of an unsafe one is given no other run from now on."""
    if (tried := trials.of_run(db, workflow)) is None:
        return
    trials.add(db, tried, "good" if good else "bad", note, at)
    if severe and is_answerable(db, tried):
        trials.add(db, tried, "unsafe", note, at)
        why = f"run {workflow.rpartition(':')[2]} was called unsafe"
        capabilities.stop(db, (tried.tenant, tried.agent), tried.capability, tried.version, why)


GIVEN_UP = frozenset({"left", "failed", "in_doubt", "breach"})


def is_answerable(db: Connection, tried: Tried) -> bool:
    """Whether the capability made the run to its end, or had changed something before the run went on without it."""
    given_up = [one for one in trials.of_workflow(db, tried) if one.kind in GIVEN_UP]
    return tried.mode != "shadow" and (not given_up or any(one.wrote for one in given_up))


def over(
    db: Connection,
    workflow: str,
    kind: Literal["done", "left", "failed", "in_doubt", "breach"],
    why: str,
    at: int,
    *,
    wrote: bool,
) -> None:
    """The capability makes no turn of the run any more; `wrote`: it had changed something.

    Where it must not go on at all, no other run is given to it.
    """
    tried = trials.of_run(db, workflow)
    if tried is None or kind == "done":
        return
    trials.add(db, tried, kind, why, at, wrote=wrote)
    if kind in ("in_doubt", "breach"):
        capabilities.stop(db, (tried.tenant, tried.agent), tried.capability, tried.version, why)


def standing(
    db: Connection, root: Ed25519PublicKey, agent: AgentSpec, run: RunRow, learned: Learned
) -> Capability | str:
    """The capability as people have approved it; or why it makes no turn of this run any more."""
    who = run.tenant, run.agent
    row, kept = capabilities.rollout(db, who, learned.id), capabilities.get(db, who, learned.id, learned.version)
    if row is None or kept is None or row.version != learned.version or row.serving not in ("canary", "all"):
        return "it was rolled back or paused meanwhile"
    found = _read(kept)
    if found is None or not learned.digest == found.digest == row.digest:
        return "it is not what was approved"
    if found.fingerprint != run.fingerprint or agent.learning is None:
        return "the agent was rebuilt meanwhile"
    if _mode(agent, row, run.user or run.workflow) == "shadow":
        return "it serves others, as a canary"
    signed = agent.learning.capabilities.require_approval
    return (deploying.refusal(db, root, row) if signed else "") or found


def journal(agent: AgentSpec, rows: Sequence[JsonObject]) -> list[Step] | None:
    """The calls of a run in order, with what came of them; None where one of them cannot be told: its result is too large.

    The arguments are those that a call was made with, whoever put them there. A call that was not made is left out.
    """
    asked: dict[str, JsonObject] = {}
    found: list[Step] = []
    for row in rows:
        if row["role"] == "assistant":
            asked |= {call["id"]: call for call in calls_made(row)}
        elif row["role"] == "tool" and was_made(row, row["id"]):
            same: int | None = row.get("same_as")
            original = row if same is None else rows[same]
            if "blob" in original:
                return None
            found.append(_step(agent, asked[row["id"]], row, original))
    return found


def _step(agent: AgentSpec, call: JsonObject, row: JsonObject, original: JsonObject) -> Step:
    tool = agent.tool.get(call["name"])
    return Step(
        tool=call["name"],
        effect=tool.effect if tool else "write",
        arguments=row.get("edited", call["input"]),
        result=original["value"],
        ok=row["ok"],
    )


def _recording(db: Connection, run: RunRow, agent: AgentSpec) -> Recording | None:
    rows = transcript.rows(db, run.workflow)
    request, steps = _request(rows), journal(agent, rows)
    if request is None or steps is None:
        return None
    made = Recording(
        run=run.workflow,
        agent=run.agent,
        fingerprint=run.fingerprint,
        request=request,
        steps=steps,
        answer=run.message,
        cost=run.cost,
        at=run.finished_at or run.started_at,
    )
    told = made.model_dump(mode="json")
    concealed = conceal({name: told[name] for name in ("request", "steps", "answer")}, recordings.key(db, run.tenant))
    return Recording.model_validate(told | concealed)


def _request(rows: Sequence[JsonObject]) -> str | None:
    """What the run was asked, where that is all that it was told."""
    texts: list[str] = [text for row in rows for text in row.get("texts", [])]
    is_whole = not any("blob" in row for row in rows if row["role"] == "user")
    return texts[0] if is_whole and len(texts) == 1 and len(texts[0]) <= LONGEST else None


def _is_success(run: RunRow) -> bool:
    return STATUS_OF[StopReason(run.stop_reason)] is Status.COMPLETED if run.stop_reason else False


def _knows(kept: Kept, message: str) -> bool:
    found = _read(kept)
    return found is not None and found.inputs(message) is not None


def _read(kept: Kept) -> Capability | None:
    """The capability; None where somebody has written something else there."""
    try:
        return Capability.model_validate_json(kept.body)
    except ValidationError:
        return None


def _mode(agent: AgentSpec, row: RolloutRow, key: str) -> Mode:
    """In which way a run is tried; the same for the same user, as long as the share does not shrink.

    How large the share is, is not for the store to say: people have signed for no more than what the agent declares.
    """
    percent = min(row.percent, agent.learning.deployment.rollout_percentage) if agent.learning else 0
    match row.serving:
        case "all":
            return "all"
        case "canary" if in_canary(key, f"{row.tenant}:{row.agent}:{row.id}", percent):
            return "canary"
        case _:
            return "shadow"
