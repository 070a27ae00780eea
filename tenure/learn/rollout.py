"""The rollout of one version of a learned capability: who is served by it, on what evidence, and what ends it.

Rules of this file: pure; time comes in. Given the same events it is the same rollout; an event whose number was heard changes
nothing. What speaks for a capability counts in its own stage alone, what speaks against it in every stage in which it is live. It
reaches more people only by evidence and, where the policy says so, by two signed answers, each to the request that is open for this
digest and version; it is taken back by itself, and at once. An end is final for the version: another version is another rollout,
with nothing of this one's evidence (`begin`).

    mined ──► validated ══► shadow ──► canary ══► promoted         ══►: people are asked
    rejected    the gate failed, or a person said no                inconclusive    no verdict in time: a person may reopen it
    rolled_back it was live, and is not to be trusted               retired         a person has no use for it
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal, TypeAlias

from pydantic import Field

from tenure.learn import sprt, watch
from tenure.learn.events import (
    Answered,
    Asked,
    Breach,
    Compared,
    Decision,
    Event,
    Held,
    Moved,
    Ordered,
    Refused,
    Released,
    Served,
    Stage,
    Ticked,
    Validated,
    What,
    Withdrawn,
)
from tenure.learn.sprt import Tally
from tenure.learn.watch import Watch
from tenure.wire import Wire

DAY = 24 * 3600_000  # milliseconds
LASTS = 30 * DAY  # in a stage, after which there is no verdict
LIVE: frozenset[Stage] = frozenset({"shadow", "canary", "promoted"})
ENDS: frozenset[Stage] = frozenset({"rejected", "rolled_back", "retired"})
LEAST_TOLERATED = Decimal("0.01")  # of abstentions, where all recordings must be answered
SERVES: dict[Stage, Literal["shadow", "canary", "all"]] = {"shadow": "shadow", "canary": "canary", "promoted": "all"}
BREACHES = {
    "unexpected_write": "it wrote what it was not expected to",
    "guard": "a guard failed after its first write: what it did is in doubt",
    "fingerprint": "the agent is another than the one it was learned from",
    "diverged": "it did something else than its recording says",
    "unsafe": "somebody has called it unsafe",
    "changed": "the store holds another program than the one that was tested",
}


class Policy(Wire):
    """What the configuration of an agent says of rollouts, as recorded; shares from 0 to 1, `percent` of a hundred."""

    require_approval: bool = True
    coverage: Decimal = Field(default=Decimal("0.9"), gt=0, le=1)
    strategy: Literal["canary", "shadow"] = "canary"
    percent: int = 10
    error_rate: Decimal = Field(default=Decimal("0.01"), gt=0, lt=Decimal("0.5"))


class Request(Wire):
    """What people are being asked, and on which evidence."""

    what: What
    number: int
    why: str = ""


class Rollout(Wire):
    """All of it. `last` is the number of the last event, `at` the latest time told, `since` when the stage began.

    `tally` is the evidence for a promotion, `errors` watches the runs that were served, `abstained` what was left to the model;
    `held` is why it is paused, empty if it is not. `requests` counts what people were asked, `asked` is open. `needs` is how many
    clean runs promote it.
    """

    capability: str
    digest: str
    version: int
    stage: Stage = "mined"
    why: str = ""
    last: int = 0
    at: int = 0
    since: int = 0
    report: str = ""
    asked: Request | None = None
    requests: int = 0
    tally: Tally = Tally()
    errors: Watch = Watch()
    abstained: Watch = Watch()
    held: str = ""
    held_at: int = 0
    needs: int = 0


Step: TypeAlias = tuple[Rollout, list[Decision]]


def begin(capability: str, digest: str, version: int, at: int) -> Rollout:
    """The rollout of a version that was just mined."""
    return Rollout(capability=capability, digest=digest, version=version, at=at, since=at, why="it was mined")


def advance(state: Rollout, event: Event, policy: Policy) -> Step:
    """The rollout after one event, and what was decided because of it."""
    if event.number <= state.last:
        return state, []
    needs = sprt.clean_runs(policy.error_rate)
    state = _with(state, last=event.number, at=max(state.at, event.at), needs=needs)
    if event.version != state.version:
        return _refuse(state, f"{event.kind} speaks of version {event.version}, this is version {state.version}")
    if state.stage in ENDS:
        spoken = isinstance(event, Answered | Ordered)
        return (
            _refuse(state, f"version {state.version} is {_shown(state.stage)}: {state.why}") if spoken else (state, [])
        )
    return _heard(state, event, policy)


def serving(state: Rollout) -> Literal["no", "shadow", "canary", "all"]:
    """What the capability is given: nothing, copies of all matching requests, those `in_canary`, or all of them."""
    return "no" if state.held else SERVES.get(state.stage, "no")


def leads_to(what: What, policy: Policy) -> str:
    """All that follows from an approval by itself, in words for those who sign it."""
    needs = sprt.clean_runs(policy.error_rate)
    if what == "promote":
        return "it makes the turns of every run that it knows, in Claude's place, until it fails too often or is taken back"
    if policy.strategy == "shadow":
        return (
            f"it looks on, and changes nothing; after {needs} clean runs people are asked whether it serves everybody"
        )
    half, share = -(-needs // 2), f"{policy.percent} % of the users"
    return (
        f"it looks on, and changes nothing; after {half} clean runs, WITHOUT asking again, it makes the turns of {share}, "
        f"changes and all; after {needs} in all people are asked whether it serves everybody"
    )


def _heard(state: Rollout, event: Event, policy: Policy) -> Step:
    match event:
        case Served():
            return _served(state, event, policy)
        case Compared():
            return _compared(state, event, policy)
        case Breach():
            return _breached(state, event, policy)
        case Validated():
            return _validated(state, event, policy)
        case Answered():
            return _answered(state, event)
        case Ordered():
            return _ordered(state, event, policy)
        case Ticked():
            return _waited(state, policy)


def _validated(state: Rollout, event: Validated, policy: Policy) -> Step:
    if state.stage != "mined":
        return _refuse(state, f"it was validated before, by report {state.report[:8]}")
    state = _with(state, report=event.report)
    if event.wrong_writes:
        return _move(state, "rejected", f"{event.wrong_writes} wrong writes in validation: there must be none")
    if event.coverage < policy.coverage:
        return _move(
            state, "rejected", f"it answered {event.coverage:.0%} of the held-out runs, not {policy.coverage:.0%}"
        )
    why = f"it answered {event.coverage:.0%} of the held-out runs, without a wrong write"
    return _deployed(_move(state, "validated", why), why, policy)


def _deployed(step: Step, why: str, policy: Policy) -> Step:
    """It goes into the shadow, or people are asked whether it may."""
    state, told = step
    state, more = _ask(state, "deploy", why) if policy.require_approval else _move(state, "shadow", why)
    return state, [*told, *more]


def _answered(state: Rollout, event: Answered) -> Step:
    if event.digest != state.digest:
        return _refuse(state, f"the answer is about {event.digest[:8]}, this is {state.digest[:8]}")
    if state.asked is None or (event.what, event.asked) != (state.asked.what, state.asked.number):
        return _refuse(state, f"request {event.asked} ({event.what}) is not open")
    state, who = _with(state, asked=None), " and ".join(event.by)
    note = f": {event.note}" if event.note else ""
    match event.choice:
        case "approved":
            after: Stage = "shadow" if event.what == "deploy" else "promoted"
            return _move(state, after, (f"approved by {who}" if who else "approved") + note)
        case "denied":
            return _move(state, "rejected", (f"denied by {who}" if who else "denied") + note)
        case "expired":
            return _move(state, "inconclusive", f"nobody answered whether to {event.what} it: silence is no approval")


def _compared(state: Rollout, event: Compared, policy: Policy) -> Step:
    if event.outcome == "wrong_write":
        return _end(state, f"in the shadow of run {event.run} it wrote what the run did not")
    if state.stage not in LIVE:
        return state, []
    in_shadow, wrong = state.stage == "shadow", event.outcome == "differs"
    found: dict[str, Any] = {}  # Any: fields of the rollout
    if in_shadow:
        found["abstained"] = watch.observed(state.abstained, event.outcome == "abstained", _tolerated(policy))
    if wrong or (in_shadow and event.outcome == "clean"):
        found["tally"] = state.tally.more(wrong)
    return _judged(_with(state, **found), policy)


def _served(state: Rollout, event: Served, policy: Policy) -> Step:
    if event.outcome == "in_doubt":
        return _end(state, f"run {event.run} is in doubt: it may have changed something that nobody knows of")
    if state.stage not in LIVE:
        return state, []
    if event.outcome == "fell_back":
        return _judged(_fell_back(state, policy), policy)
    wrong, serves = event.outcome == "failed", state.stage != "shadow"
    found: dict[str, Any] = {}  # Any: fields of the rollout
    if serves:
        found["abstained"] = watch.observed(state.abstained, False, _tolerated(policy))
    if wrong or serves:
        found["errors"] = watch.observed(state.errors, wrong, policy.error_rate)
    if wrong or state.stage == "canary":
        found["tally"] = state.tally.more(wrong)
    return _judged(_with(state, **found), policy)


def _breached(state: Rollout, event: Breach, policy: Policy) -> Step:
    if event.what == "guard" and not event.wrote:
        return _judged(_fell_back(state, policy), policy) if state.stage in LIVE else (state, [])
    return _end(state, f"run {event.run}: {BREACHES[event.what]}" if event.run else BREACHES[event.what])


def _fell_back(state: Rollout, policy: Policy) -> Rollout:
    return _with(state, abstained=watch.observed(state.abstained, True, _tolerated(policy)))


def _judged(state: Rollout, policy: Policy) -> Step:
    """What the evidence says now: the watch first, then the test, then how much is left to the model."""
    if watch.sounds(state.errors):
        odds = f"{watch.odds(state.errors):.0f} to 1 against an error rate of {policy.error_rate}"
        return _end(state, f"{state.errors.bad} of the {state.errors.runs} runs given to it failed: {odds}")
    state, told = (state, []) if state.stage == "promoted" else _tested(state, policy)
    if state.stage in LIVE and not state.held and watch.sounds(state.abstained):
        share = f"more than {_tolerated(policy)} of {state.abstained.runs} matching runs were left to the model"
        state, more = _hold(state, f"{share}: it does not cover what it was validated for")
        told = [*told, *more]
    return state, told


def _tested(state: Rollout, policy: Policy) -> Step:
    """The test, in shadow and canary."""
    found, why = sprt.verdict(state.tally, policy.error_rate), _evidence(state, policy)
    match found:
        case "reject":
            return _end(state, why)
        case "inconclusive":
            return _move(state, "inconclusive", f"{why}: too few to promote it, too many to turn it away")
        case "promote" | "undecided":
            pass
    if state.stage == "shadow" and policy.strategy == "canary":
        ready = sprt.is_halfway(state.tally, policy.error_rate)
        return _move(state, "canary", f"{why}: half of what promotes it") if ready else (state, [])
    if found == "undecided":
        return _withdraw(state, f"{why}: not enough any more")
    if state.asked is not None:
        return state, []
    return _ask(state, "promote", why) if policy.require_approval else _move(state, "promoted", why)


def _waited(state: Rollout, policy: Policy) -> Step:
    waits = state.stage in ("shadow", "canary") and not state.held and state.asked is None
    if not waits or state.at - state.since < LASTS:
        return state, []
    days = f"after {LASTS // DAY} days in {state.stage} there are {_evidence(state, policy)}"
    need = sprt.clean_runs(policy.error_rate)
    return _move(state, "inconclusive", f"{days}, it takes {need} without any: no traffic is no pass")


def _ordered(state: Rollout, event: Ordered, policy: Policy) -> Step:
    why = f"{event.by}: {event.why}" if event.why else f"by order of {event.by}"
    match event.what:
        case "pause":
            return _refuse(state, f"it is paused: {state.held}") if state.held else _hold(state, why)
        case "resume":
            return _release(state, why) if state.held else _refuse(state, "it is not paused")
        case "roll_back":
            return _end(state, why)
        case "retire":
            return _move(state, "retired", why)
        case "reopen":
            if state.stage != "inconclusive":
                return _refuse(state, f"only what ended without a verdict is reopened: it is {_shown(state.stage)}")
            # The watch goes on: it is for the life of the version.
            fresh = _with(state, tally=Tally(), abstained=Watch())
            return _deployed(_move(fresh, "validated", why), why, policy)


def _hold(state: Rollout, why: str) -> Step:
    return _with(state, held=why, held_at=state.at), [Held(why=why)]


def _release(state: Rollout, why: str) -> Step:
    """It goes on; the time in between does not count, and what it left to the model is known to whoever resumes it."""
    since = state.since + state.at - max(state.since, state.held_at)
    return _with(state, held="", since=since, abstained=Watch()), [Released(why=why)]


def _end(state: Rollout, why: str) -> Step:
    """It is not to be trusted. What was never live is rejected."""
    return _move(state, "rejected" if state.stage in ("mined", "validated") else "rolled_back", why)


def _move(state: Rollout, after: Stage, why: str) -> Step:
    """It is in another stage now; what people are being asked is not the question any more."""
    state, told = _withdraw(state, why)
    moved = Moved(before=state.stage, after=after, why=why)
    held = "" if after in ENDS else state.held
    return _with(state, stage=after, why=why, since=state.at, held=held), [*told, moved]


def _ask(state: Rollout, what: What, why: str) -> Step:
    number = state.requests + 1
    asked = Asked(what=what, number=number, digest=state.digest, version=state.version, why=why)
    return _with(state, asked=Request(what=what, number=number, why=why), requests=number), [asked]


def _withdraw(state: Rollout, why: str) -> Step:
    if state.asked is None:
        return state, []
    return _with(state, asked=None), [Withdrawn(number=state.asked.number, why=why)]


def _refuse(state: Rollout, why: str) -> Step:
    return state, [Refused(why=why)]


def _evidence(state: Rollout, policy: Policy) -> str:
    return f"{state.tally.runs} runs, {state.tally.wrong} of them wrong, where {policy.error_rate:%} may be"


def _tolerated(policy: Policy) -> Decimal:
    """The share of matching runs that may be left to the model."""
    return max(1 - policy.coverage, LEAST_TOLERATED)


def _shown(stage: Stage) -> str:
    return stage.replace("_", " ")


def _with(state: Rollout, **fields: Any) -> Rollout:  # Any: fields of the rollout
    return state.model_copy(update=fields)
