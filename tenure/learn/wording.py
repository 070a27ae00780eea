"""Wording: what the runs of one family have in common in how they were asked, where their program is not induced but written.

Rules of this file: pure, and no model. The trigger is that of `alignment`: it explains all of a request or does not know it. A
place that nothing depends on may hold only what asks for nothing; else a request could hide in it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Sequence
from fractions import Fraction

from tenure.learn.forms import belonging, templates
from tenure.learn.recording import Recording
from tenure.learn.trigger import Either, Part, Trigger, Word, is_aside, match

SHARE = Fraction(4, 5)  # of a family's requests that its form explains at least
READS = "(reads)"
LONGEST_ID = 63


def behaviour(run: Recording) -> tuple[str, ...]:
    """What the run did: its changes in order; where there are none, what it looked up."""
    return tuple(step.tool for step in run.changes) or (READS, *sorted({step.tool for step in run.steps}))


def family(run: Recording) -> str:
    """The id of what is learned of runs that did the same: induction would give it the same one."""
    told = behaviour(run)
    slug = re.sub(r"[^a-z0-9_.-]+", "-", "-".join(told).lower()).strip("-_.")
    if slug and len(slug) <= LONGEST_ID:
        return slug
    return f"{slug[:50]}-{hashlib.sha256(' '.join(told).encode()).hexdigest()[:12]}".lstrip("-")


def form(runs: Sequence[Recording], every: Sequence[Recording]) -> Trigger | None:
    """The trigger that the requests of `runs` share, all places named; None where they follow no one form.

    `every` are the runs of all families: the words that belong to what one of them asks for stand in no free place.
    """
    parts = next(templates([run.request for run in runs], SHARE), None)
    return Trigger(parts=parts, vocabulary=_vocabulary(every)) if parts else None


def known(trigger: Trigger, runs: Sequence[Recording]) -> list[Recording]:
    """The runs whose request it knows."""
    return [run for run in runs if match(trigger, run.request) is not None]


def settled(trigger: Trigger, used: Collection[str]) -> Trigger:
    """The trigger whose places have names only where something takes them."""
    return trigger.model_copy(update={"parts": list(_named(trigger.parts, used))})


def overlooked(parts: Sequence[Part], used: Collection[str]) -> list[str]:
    """The places that nothing takes, and that could ask for something."""
    return [name for name, part in _places(parts) if name not in used and not is_aside(part)]


def asides(parts: Sequence[Part]) -> list[str]:
    """The places that may be left unlooked at."""
    return [name for name, part in _places(parts) if is_aside(part)]


def _places(parts: Sequence[Part]) -> Iterator[tuple[str, Part]]:
    for part in parts:
        if isinstance(part, Either):
            for branch in part.branches:
                yield from _places(branch)
        elif not isinstance(part, Word) and part.name:
            yield part.name, part


def _named(parts: Sequence[Part], used: Collection[str]) -> Iterator[Part]:
    for part in parts:
        if isinstance(part, Either):
            yield Either(branches=[list(_named(branch, used)) for branch in part.branches])
        elif isinstance(part, Word) or part.name in used:
            yield part
        else:
            yield part.model_copy(update={"name": ""})


def _vocabulary(every: Sequence[Recording]) -> list[str]:
    families: dict[str, list[str]] = {}
    for run in every:
        families.setdefault(family(run), []).append(run.request)
    return belonging(families.values())
