"""Induction: from recordings of verified runs to proposed capabilities, without a model.

Rules of this file: pure, deterministic, independent of the order of the recordings. Runs are grouped by what they did first, by
what was asked second. A proposal explains at least a share of its group, contradicts no run of any group, and says what it rests
on; everything else is refused with the reason.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from tenure import bounds
from tenure.learn.capability import Capability
from tenure.learn.expressions import Expression, Fixed, Found, Mapped, Name, describe, inputs
from tenure.learn.forms import belonging, forms, templates
from tenure.learn.plan import Outcome, Plan, perform, recorded
from tenure.learn.recording import Recording, Step
from tenure.learn.replay import Comparison, compare
from tenure.learn.slots import cut
from tenure.learn.source import RESERVED, source
from tenure.learn.stubs import is_callable
from tenure.learn.synthesis import Run, Unexplained, synthesize
from tenure.learn.trigger import (
    Captured,
    Choice,
    Either,
    Part,
    Phrase,
    Repeated,
    Row,
    Trigger,
    Word,
    is_aside,
    names,
    read,
    type_of,
)  # fmt: skip
from tenure.wire import Wire

SHARE = Fraction(4, 5)  # of a group that a proposal explains at least, where nothing else is said
DAY = 24 * 3600 * 1000  # milliseconds
MONTH = 30 * DAY
Behaviour: TypeAlias = tuple[str, ...]


class Induced(Wire):
    """A proposal: the capability, and what speaks for it. `bound`: the one-sided 95 % lower bound on the share that agrees.

    `unexplained` are runs of the same behaviour that it would leave to the model; `cost` is what one of them comes to,
    `saving` what it would save a month at the rate of the recordings, 0 where these are of less than a day (both in
    micro-dollars); `notes` say what the person who approves should know.
    """

    capability: Capability
    runs: list[str]
    unexplained: list[str]
    agreement: float
    bound: float
    cost: int = 0
    saving: int
    notes: list[str]


class Refused(Wire):
    """A group of runs that nothing was learned from, and why."""

    why: str
    runs: list[str]
    changes: list[str]


@dataclass(frozen=True)
class _Group:
    """Runs of one agent that made the same changes; `form` tells them apart where these are asked for in several ways."""

    behaviour: Behaviour
    runs: Sequence[Recording]
    form: str = ""

    @property
    def ids(self) -> list[str]:
        return [run.run for run in self.runs]


@dataclass(frozen=True)
class _Terms:
    """On which terms something is learned: what no proposal may contradict, what stands in no free place, and how much it takes."""

    all_runs: Sequence[Recording]
    vocabulary: list[str]
    minimum: int
    share: Fraction


def induce(recordings: Sequence[Recording], *, minimum: int = 10, share: Fraction = SHARE) -> list[Induced | Refused]:
    """What can be learned, one entry for each behaviour that occurs, in the order of the behaviours.

    `minimum` runs must have done the same, and the program explain a `share` of them (above 0, at most 1).
    """
    once = {run.run: run for run in recordings}
    ordered = sorted(once.values(), key=lambda run: (run.request, run.run))
    groups = _groups(ordered)
    vocabulary = belonging([run.request for run in group.runs] for group in groups)
    terms = _Terms(ordered, vocabulary, minimum, share)
    return [found for group in groups for found in _of_group(group, terms)]


def _of_group(group: _Group, terms: _Terms) -> list[Induced | Refused]:
    """What the group teaches as one; where that is nothing, what the ways to ask for it teach one by one."""
    whole = _learned(group, terms)
    ways = _by_form(group, terms.minimum) if isinstance(whole, Refused) else []
    found = [_learned(way, terms) for way in ways]
    return found if any(isinstance(one, Induced) for one in found) else [whole]


def _groups(recordings: Sequence[Recording]) -> list[_Group]:
    found: dict[Behaviour, list[Recording]] = {}
    for run in recordings:
        found.setdefault(_behaviour(run), []).append(run)
    return [_Group(behaviour, found[behaviour]) for behaviour in sorted(found)]


def _by_form(group: _Group, minimum: int) -> list[_Group]:
    """Its forms, where it is asked for in several of which one occurs often enough; else nothing."""
    found = forms([run.request for run in group.runs])
    often = [requests for requests in found if len(requests) >= minimum]
    if len(found) == 1 or not often:
        return []
    parts = [[run for run in group.runs if run.request in requests] for requests in often]
    kept = {run.run for runs in parts for run in runs}
    rest = [run for run in group.runs if run.run not in kept]
    split = [_Group(group.behaviour, runs, form=_form(runs[0].request)) for runs in parts]
    return [*split, *([_Group(group.behaviour, rest, form="other")] if rest else [])]


def _form(request: str) -> str:
    """A short name for a form: the hash of its first request's words."""
    return hashlib.sha256(" ".join(token.key for token in cut(request) or []).encode()).hexdigest()[:6]


def _behaviour(run: Recording) -> Behaviour:
    """Agent, fingerprint, the changes in their order; for a run that changes nothing its look-ups."""
    told = [step.tool for step in run.changes] or ["(reads)", *sorted({step.tool for step in run.steps})]
    return (run.agent, run.fingerprint, *told)


# ---------------------------------------------------------------------------------------------------------- one group


class _Nothing(Exception):
    """Nothing is learned from the group, and why."""


def _learned(group: _Group, terms: _Terms) -> Induced | Refused:
    try:
        return _proposal(group, terms)
    except (_Nothing, Unexplained) as nothing:
        changes = [step.tool for step in group.runs[0].changes]
        return Refused(why=str(nothing), runs=group.ids, changes=changes)


def _proposal(group: _Group, terms: _Terms) -> Induced:
    """By the first template that bears one. Raises what speaks against the first, which covers most, where none does."""
    sound = [run for run in group.runs if all(step.ok for step in run.changes)]
    if len(sound) < terms.minimum:
        raise _Nothing(f"{len(sound)} runs whose changes all succeeded, {terms.minimum} are needed")
    against: Exception = _Nothing("the requests do not follow one form: nothing tells which of their words may vary")
    for at, parts in enumerate(templates([run.request for run in sound], terms.share)):
        try:
            return _by_template(Trigger(parts=parts, vocabulary=terms.vocabulary), sound, group, terms)
        except (_Nothing, Unexplained) as nothing:
            against = nothing if at == 0 else against
    raise against


def _by_template(trigger: Trigger, sound: Sequence[Recording], group: _Group, terms: _Terms) -> Induced:
    runs = _matched(trigger, sound)
    _must_cover(len(runs), len(sound), terms.share, "requests follow one form")
    trigger, runs, plan = _settled(trigger, runs)
    _must_not_contradict(trigger, plan, group, terms.all_runs)
    clean = [run.recording for run in runs if _replayed(plan, run).verdict == "clean"]
    _must_cover(len(clean), len(sound), terms.share, "runs are explained")
    return _induced(group, sound, clean, trigger, plan)


def _must_cover(explained: int, runs: int, share: Fraction, what: str) -> None:
    if explained < share * runs:
        raise _Nothing(f"only {explained} of {runs} {what}, {float(share):.0%} are needed")


def _matched(trigger: Trigger, recordings: Sequence[Recording]) -> list[Run]:
    found = [(run, _said(trigger, run)) for run in recordings]
    return [Run(run, said) for run, said in found if said is not None]


def _said(trigger: Trigger, run: Recording) -> Captured | None:
    tokens = cut(run.request)
    return read(trigger, tokens) if tokens else None


def _settled(trigger: Trigger, runs: list[Run]) -> tuple[Trigger, list[Run], Plan]:
    """The plan, with slots named after the arguments they become, and the trigger without slots that nothing depends on."""
    plan = synthesize(runs, _free(trigger.parts))
    parts = _renamed(trigger.parts, _argument_names(plan, names(trigger.parts)))
    trigger = trigger.model_copy(update={"parts": parts})
    runs = _matched(trigger, [run.recording for run in runs])
    plan = synthesize(runs, _free(trigger.parts))
    told = frozenset[str]().union(*(inputs(p) for p in plan.answer.pieces or () if not isinstance(p, str)))
    trigger = trigger.model_copy(update={"parts": list(_ignoring(trigger.parts, plan.uses, told))})
    return trigger, _matched(trigger, [run.recording for run in runs]), plan


def _free(parts: Sequence[Part]) -> frozenset[str]:
    """Slots that end where the words end that fit: all phrases but names of a fixed length."""
    return frozenset(name for name, part in names(parts).items() if _is_open(part))


def _is_open(part: Part) -> bool:
    match part:
        case Phrase(low=low, high=high, style=style):
            return low != high or style != "title"
        case Repeated(item=Phrase() | Row()):
            return True
        case _:
            return False


def _argument_names(plan: Plan, slots: dict[str, Part]) -> dict[str, str]:
    """New names for slots: the arguments that they become, those of changes before those of look-ups.

    One whose argument is no name for it, or taken, keeps the name it has.
    """
    found: dict[str, str] = {}
    calls = sorted((call for step in plan.steps for call in step), key=lambda call: not call.changes)
    taken = {*RESERVED, *slots, *plan.tools, *(call.name for call in calls)}
    for call in calls:
        for argument, expression in call.arguments.items():
            slot, name = _becomes(argument, expression)
            if slot in slots and slot not in found and is_callable(name) and name not in taken - {slot}:
                found[slot] = name
                taken.add(name)
    return found


def _becomes(argument: str, expression: Expression) -> tuple[str, str]:
    """The slot that becomes the argument as it stands, or item by item, and a name for it."""
    match expression:
        case Name(name=name):
            return name, argument
        case Mapped(over=Name(name=name), item=Found(field=field)):
            return name, f"{argument}_by_{field}"
        case _:
            return "", ""


def _renamed(parts: Sequence[Part], new: dict[str, str]) -> list[Part]:
    return [
        Either(branches=[_renamed(branch, new) for branch in part.branches])
        if isinstance(part, Either)
        else part
        if isinstance(part, Word)
        else part.model_copy(update={"name": new.get(part.name, part.name)})
        for part in parts
    ]


def _ignoring(parts: Sequence[Part], used: frozenset[str], told: frozenset[str]) -> Iterator[Part]:
    """Slots that nothing depends on lose their names if they are such that no request can hide in them."""
    for part in parts:
        if isinstance(part, Either):
            yield Either(branches=[list(_ignoring(branch, used, told)) for branch in part.branches])
        elif isinstance(part, Repeated) and isinstance(part.item, Row):
            raise _Nothing(f"the items of {part.name!r} are rows, of which no expression reads every part")
        elif isinstance(part, Word) or part.name in used:
            yield part
        elif not is_aside(part):
            raise _Nothing(
                f"nothing that is done depends on {part.name!r} of the request, and it could ask for something"
            )
        else:
            yield part if part.name in told else part.model_copy(update={"name": ""})


def _must_not_contradict(trigger: Trigger, plan: Plan, group: _Group, all_runs: Sequence[Recording]) -> None:
    """No run of any behaviour whose request matches would have been given other changes than it had."""
    for run in _matched(trigger, all_runs):
        compared = _replayed(plan, run)
        if compared.verdict == "wrong" and _behaviour(run.recording)[:2] == group.behaviour[:2]:
            raise _Nothing(f"run {run.recording.run} contradicts it: {compared.why}")


def _replayed(plan: Plan, run: Run) -> Comparison:
    steps = [step for step in run.recording.steps if step.ok]
    outcome = perform(plan, run.slots, recorded([(step.tool, step.arguments, step.result) for step in steps]))
    made = [_step(outcome, at, run.recording) for at in range(len(outcome.calls))]
    return compare(made, run.recording, abstained=outcome.abstained)


def _step(outcome: Outcome, at: int, recording: Recording) -> Step:
    tool, arguments = outcome.calls[at]
    return Step(tool=tool, effect="write", arguments=arguments)


# ------------------------------------------------------------------------------------------------------- the proposal


def _induced(
    group: _Group, sound: Sequence[Recording], clean: Sequence[Recording], trigger: Trigger, plan: Plan
) -> Induced:
    kept = {run.run for run in clean}
    return Induced(
        capability=_capability(group, clean, trigger, plan),
        runs=sorted(kept),
        unexplained=sorted(run.run for run in sound if run.run not in kept),
        agreement=len(clean) / len(sound),
        bound=float(bounds.lower(len(sound), len(clean))),
        cost=sum(run.cost for run in clean) // len(clean),
        saving=_saving(clean),
        notes=list(_notes(plan, trigger)),
    )


def _capability(group: _Group, clean: Sequence[Recording], trigger: Trigger, plan: Plan) -> Capability:
    pieces = plan.answer.pieces or ()
    return Capability(
        id=_id(group),
        agent=clean[0].agent,
        fingerprint=clean[0].fingerprint,
        trigger=trigger,
        slots={name: type_of(part) for name, part in names(trigger.parts).items()},
        program=source(plan),
        guards=[check.why for check in plan.checks],
        tools=plan.tools,
        changes=plan.changes,
        answer="".join(p if isinstance(p, str) else f"{{{_shown(p)}}}" for p in pieces),
        provenance=sorted(run.run for run in clean),
    )


def _shown(piece: Expression) -> str:
    return piece.name if isinstance(piece, Name) else describe(piece)


def _id(group: _Group) -> str:
    """The changes by name; a hash where that is too long or says nothing."""
    told = [*group.behaviour[2:], *([group.form] if group.form else [])]
    slug = re.sub(r"[^a-z0-9_.-]+", "-", "-".join(told).lower()).strip("-_.")
    if len(slug) <= 63 and slug:
        return slug
    return f"{slug[:50]}-{hashlib.sha256(' '.join(told).encode()).hexdigest()[:12]}".lstrip("-")


def _saving(runs: Sequence[Recording]) -> int:
    """Micro-dollars a month: what the explained runs cost, at the rate at which they came."""
    times = [run.at for run in runs]
    span = max(times) - min(times)
    if span < DAY:
        return 0
    return sum(run.cost for run in runs) * (len(runs) - 1) * MONTH // (len(runs) * span)


def _notes(plan: Plan, trigger: Trigger) -> Iterator[str]:
    if plan.answer.pieces is None:
        yield "the recorded answers follow no template: the model has to write the answer"
    if plan.changes and not plan.checks:
        yield "no look-up tells anything about what is changed: the program checks nothing before the change"
    for call in (call for step in plan.steps for call in step if call.changes):
        for argument, expression in call.arguments.items():
            if isinstance(expression, Fixed):
                yield f"{argument} of {call.tool} is always {expression.value!r}"
    if any(isinstance(part, Repeated | Phrase | Choice) and not part.name for part in trigger.parts):
        yield "some words of the request are not looked at: see the trigger"
