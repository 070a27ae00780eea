"""What was learned, as people read it: the card they sign, one capability whole, all of them, and what runs have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import ValidationError

from tenure.cli import render
from tenure.learn.card import Asked, Described
from tenure.learn.rollout import LIVE
from tenure.optimize import money
from tenure.wire import JsonObject

if TYPE_CHECKING:
    from rich.console import Console

    from tenure.client.learn import Known
    from tenure.learn.induction import Induced, Refused
    from tenure.learn.reading import Found, Mined
    from tenure.learn.rollout import Rollout
    from tenure.runtime.store.capabilities import Kept, RolloutRow

SHOWN = 5  # of the newest runs
HOW = {"shadow": "looked on", "canary": "as a canary", "all": "made its turns"}


def asked(payload: JsonObject) -> Asked | None:
    """What a request asks of a capability; None where it is about something else, or does not say it as a rollout does."""
    try:
        return Asked.model_validate(payload)
    except ValidationError:
        return None


def step(told: Asked) -> str:
    """What an approval leads to."""
    return f"{told.step} {told.capability} version {told.version}: {told.leads_to}"


def card(told: Asked) -> list[tuple[str, str]]:
    """Everything there is to decide by, but for the program."""
    return [
        ("what", step(told)),
        *_does(told),
        *([("written", f"by {told.written_by}: read it as you would a stranger's")] if told.written_by else []),
        ("learned", f"from {render.count(told.learned_from, 'run')} that somebody called good, such as"),
        *(("", f"“{text}”") for text in told.examples),
        *_listed("tested", told.report),
        *_listed("note", told.notes),
        ("bound to", f"{told.digest} (what it does)"),
        ("", f"{told.report_digest} (its test)"),
    ]


def program(told: Described) -> str:
    """Its program as it stands."""
    return "\n".join(["The program", *(f"  {line}" for line in told.program.rstrip().splitlines())])


def _does(told: Described) -> list[tuple[str, str]]:
    slots = [f"{name}: {kind}" for name, kind in told.slots.items()]
    return [
        *_listed("changes", told.changes or ["nothing: it only looks things up"]),
        ("asked by", told.requests),
        *_listed("where", slots),
        *_listed("checks", told.checks or ["nothing before the first change"]),
        ("says", told.answer or "what Claude writes: the answers follow no template"),
        ("may call", ", ".join(told.tools)),
    ]


def _listed(name: str, lines: Sequence[str]) -> list[tuple[str, str]]:
    return [(name if not at else "", line) for at, line in enumerate(lines)]


def print_list(found: Sequence[tuple[Kept, RolloutRow | None]]) -> None:
    """All of them: how far each has come, and why."""
    console = render.console()
    rows = [(kept.id, f"{kept.version}", _stage(rollout), _serves(rollout), _whose(kept)) for kept, rollout in found]
    names = ("capability", "version", "stage", "serves", "agent")
    render.put(console, render.listing(names, rows, right=(1,)))
    console.print()
    for kept, rollout in found:
        if rollout is not None:
            told = [
                _why(kept, rollout),
                *([evidence(rollout)] if rollout.serving != "no" else []),
                *_asks(kept, rollout),
            ]
            render.put(console, render.pairs(_listed(kept.id, told), indent=0))


def print_whole(known: Known) -> None:
    """One of them, with all that became of it."""
    from tenure.learn.capability import Capability
    from tenure.learn.card import described
    from tenure.learn.report import Report
    from tenure.learn.written import proposal_of

    console, kept = render.console(), known.kept
    told = described(Capability.model_validate_json(kept.body))
    of = f"{kept.id} version {kept.version} of {kept.agent}@{kept.fingerprint[:8]}, tenant {kept.tenant}"
    render.put(console, of)
    counted = (
        [("evidence", evidence(known.rollout)), *_listed("asked", _asks(kept, known.rollout))] if known.rollout else []
    )
    rows = [
        ("stage", _now(known)),
        *counted,
        *_does(told),
        ("learned", f"from {render.count(told.learned_from, 'run')}"),
    ]
    rows += _listed("note", proposal_of(kept.proposal).notes)
    if kept.report:
        rows += _listed("tested", Report.model_validate_json(kept.report).lines())
    render.put(console, render.pairs([*rows, ("digest", kept.digest)]))
    console.print(f"\n{program(told)}")
    _print_past(console, known)


def _print_past(console: Console, known: Known) -> None:
    console.print("\nWhat became of it")
    rows: list[tuple[str, str]] = []
    for one in known.changes:
        by = f", by {one.by}" if one.by and one.by not in one.why else ""
        rows.append((render.moment(one.at), f"version {one.version} {_words(one.stage)}: {one.why}{by}"))
    render.put(console, render.pairs(rows or [("-", "nothing yet: it is being tested")]))
    if known.tried:
        console.print("\nNewest runs that it was tried on")
        tried = [
            (
                one.workflow.rpartition(":")[2],
                HOW[one.mode],
                ", ".join(known.came_of(one)) or "under way",
                render.ago(one.at),
            )
            for one in known.tried[:SHOWN]
        ]
        render.put(console, render.listing(("run", "how", "what came of it", ""), tried))


def found(mined: Mined) -> list[str]:
    """What a look at the runs has found, a line each."""
    return [found_line(one) for one in mined.found]


def found_line(one: Found) -> str:
    """A pattern, and what became of it."""
    where = f"{one.capability} ({render.count(one.runs, 'run')} of tenant {one.tenant})"
    match one.what:
        case "new":
            by = f" ({one.why})" if one.why else ""
            return f"{where}: version {one.version}{by} is being tested; `tenure learn` says what became of it"
        case "answers":
            return f"{where}: {one.version} learned; who asks for one of them is given it without Claude"
        case "known":
            return f"{where}: known, version {one.version}{': ' + one.why if one.why else ''}"
        case "refused":
            return f"{where}: nothing learned: {one.why}"


def print_pattern(console: Console, one: Induced | Refused) -> None:
    """What runs have in common, and what it would save; or why nothing was learned of them."""
    name, rows = _pattern(one)
    console.print(name)
    render.put(console, render.pairs(rows))


def _pattern(one: Induced | Refused) -> tuple[str, list[tuple[str, str]]]:
    from tenure.learn.induction import Refused

    if isinstance(one, Refused):
        runs = ("runs", f"{len(one.runs)}, such as {one.runs[0].rpartition(':')[2]}")
        return ", ".join(one.changes) or "no changes", [("learned", f"nothing: {one.why}"), runs]
    many = len(one.runs) + len(one.unexplained)
    return one.capability.id, [
        ("runs", f"{len(one.runs)} of {many} explained, such as {one.runs[0].rpartition(':')[2]}"),
        ("agrees", f"{one.agreement:.0%}; with so few runs that shows at least {one.bound:.0%} (one-sided, 95 %)"),
        ("saves", _saves(one)),
        ("does", ", ".join(one.capability.changes) or "no changes"),
        *(("note", note) for note in one.notes),
    ]


def _saves(one: Induced) -> str:
    each = f"{money.shown(one.cost)} a run"
    if not one.saving:
        return f"{each}; how much a month, a day of runs and more will tell"
    return f"{each}; ${one.saving / 1_000_000:,.2f} a month, if they keep coming as these runs did"


def _now(known: Known) -> str:
    rollout = known.rollout
    if rollout is None:
        return "mined: it is being tested"
    return f"{_stage(rollout)}, serves {_serves(rollout)}: {_why(known.kept, rollout)}"


def _asks(kept: Kept, rollout: RolloutRow) -> list[str]:
    """What people are asked about it now, and how they answer."""
    asked = state(rollout).asked
    how = f"`tenure learn approve {kept.id} --version {rollout.version}`, or deny"
    return [f"people are asked to {asked.what} it: {how}"] if asked else []


def state(row: RolloutRow) -> Rollout:
    """The rollout as its workflow has kept it."""
    from tenure.learn.rollout import Rollout

    return Rollout.model_validate_json(row.body)


def evidence(row: RolloutRow) -> str:
    """What speaks for it and against it so far."""
    found = state(row)
    tally, given = found.tally, found.errors.runs
    counted = f"{render.count(tally.runs, 'run')} counted, {tally.wrong} of them wrong"
    aim = "" if found.stage == "promoted" or not found.needs else f" ({found.needs} clean ones promote it)"
    return f"{counted}{aim}; {given} were given to it, {found.errors.bad} of those failed"


def _stage(rollout: RolloutRow | None) -> str:
    if rollout is None:
        return "mined"
    if state(rollout).held:
        return f"{_words(rollout.stage)}, paused"
    is_stopped = rollout.serving == "no" and rollout.stage in LIVE  # by somebody's word, before its workflow has heard
    return f"{_words(rollout.stage)}, stopped" if is_stopped else _words(rollout.stage)


def _serves(rollout: RolloutRow | None) -> str:
    match rollout.serving if rollout else "no":
        case "canary" if rollout is not None:
            return f"{rollout.percent} % of the users"
        case "all":
            return "everybody"
        case "shadow":
            return "nobody yet"
        case _:
            return "nobody"


def _why(kept: Kept, rollout: RolloutRow) -> str:
    held = state(rollout).held
    return f"paused: {held}: `tenure learn resume {kept.id}`" if held else rollout.why


def _whose(kept: Kept) -> str:
    return kept.agent if kept.tenant == "default" else f"{kept.agent} ({kept.tenant})"


def _words(stage: str) -> str:
    return stage.replace("_", " ")
