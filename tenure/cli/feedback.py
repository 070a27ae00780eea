"""`feedback`: say from outside whether a finished run was good, and see how runs were judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tenure.errors import BadInput

if TYPE_CHECKING:
    from tenure.client.feedback import Bearing
    from tenure.runtime.store.verdicts import RunVerdict, Tally
    from tenure.wire import JsonObject

WORDS = {"good": True, "bad": False, "unsafe": False}


@click.command()
@click.argument("run", required=False)
@click.argument("verdict", required=False, type=click.Choice(tuple(WORDS)))
@click.option("--note", default="", help="Why; at most 8,000 characters.")
@click.option("--by", metavar="NAME", help="Who judges; default: the user you are logged in as.")
@click.option("--summary", is_flag=True, help="How many runs of each agent were judged, and how.")
@click.option("--agent", help="With --summary: only this agent.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def feedback(
    run: str | None, verdict: str | None, note: str, by: str | None, summary: bool, agent: str | None, as_json: bool
) -> None:
    """Judge RUN, which is over: good or bad. Without a word, list what was said of it.

    `unsafe` says that something severe happened: the agent's level of trust is 0 until two people restore it.
    Everybody has one verdict on a run, which a later one replaces; those of several people stay side by side.
    """
    from tenure.cli.connection import perform

    if summary == (run is not None):
        raise click.UsageError("name a RUN and say good or bad, or ask for --summary alone")
    if run is None:
        perform(_sum_up(agent, as_json))
    else:
        perform(_judge(run, verdict, note, by, as_json))


async def _judge(run: str, verdict: str | None, note: str, by: str | None, as_json: bool) -> None:
    from tenure.cli import render
    from tenure.cli.connection import connected, who
    from tenure.runtime.store import verdicts

    async with connected(server=False) as system:
        bearing = await system.feedback.bearing(run)  # before anything is said: the ledger may hear it at once
        if verdict is not None:
            judge = by or who()
            if judge is None:
                raise BadInput("nobody is logged in here: say who judges with --by NAME")
            source = verdicts.person(judge)
            severe = verdict == "unsafe"
            given = await system.feedback.give(run, WORDS[verdict], note=note, source=source, unsafe=severe)
            run = given.workflow
        found = await system.feedback.of(run)
    if as_json:
        render.document([_document(one, bearing) for one in found])
    elif not found:
        click.echo(f"nobody has judged this run: tenure feedback {run} good|bad|unsafe")
    else:
        _print_verdicts(found)
        for line in [*_takes_back(verdict, bearing), *_moves(verdict, bearing)]:
            click.echo(line)


async def _sum_up(agent: str | None, as_json: bool) -> None:
    from tenure.cli import render
    from tenure.cli.connection import connected

    async with connected(server=False) as system:
        found = await system.feedback.summary(agent=agent)
    if as_json:
        render.document([_counts(tally) for tally in found])
    elif not found:
        click.echo(f"no run of {agent!r} is over yet" if agent else "no run is over yet")
    else:
        _print_tallies(found)


def _print_verdicts(found: list[RunVerdict]) -> None:
    from tenure.cli import render

    click.echo(found[0].workflow)
    rows = [
        (one.word, f"by {one.source}, {render.moment(one.at)}" + (f"\n{one.note}" if one.note else "")) for one in found
    ]
    render.put(render.console(), render.pairs(rows))
    if len({one.good for one in found}) > 1:
        click.echo("they disagree: the run counts as bad")


def _print_tallies(found: list[Tally]) -> None:
    from tenure.cli import render

    rows = [
        (
            tally.agent if tally.tenant == "default" else f"{tally.agent} ({tally.tenant})",
            *(f"{number:,}" for number in (tally.finished, tally.good, tally.bad)),
        )
        for tally in found
    ]
    render.put(render.console(), render.listing(("agent", "finished", "good", "bad"), rows, right=(1, 2, 3)))
    for tally in found:
        if not tally.judged:
            runs = render.count(tally.finished, "run")
            click.echo(f"{tally.agent}: 0 of {runs} judged: add evaluate= or feedback")


def _takes_back(word: str | None, bearing: Bearing) -> list[str]:
    """What a complaint does to an answer that Claude was not asked for."""
    hit, made_by = bearing.given, bearing.made_by
    if word in (None, "good"):
        return []
    if made_by is not None:
        name = f"{made_by.capability} version {made_by.version}"
        if word == "unsafe":
            return [f"{name} made its turns: it is taken back, and serves nobody from now on"]
        return [
            f"{name} made its turns: this counts against it; `tenure learn rollback {made_by.capability}` takes it back"
        ]
    if hit is None:
        return []
    if hit.tier == "canned":
        return [f"its answer is that of the rule {hit.rule!r}, whoever asks: to give another one, change the rule"]
    return [f"its answer, from {hit.source}, is no longer given again"]


def _moves(word: str | None, bearing: Bearing) -> list[str]:
    """What the word just said does to the agent's level, where that is not what one expects of it."""
    agent, tenant = bearing.agent, bearing.tenant
    if word != "unsafe":
        is_idle = word is not None and bearing.has_trust and bearing.idle
        return [f"kept, and it moves no level: {bearing.idle}"] if is_idle else []
    if not bearing.has_trust:
        return [f"kept; {agent} has no trust=, so no level falls: `tenure halt {agent} --reason WHY` stops it"]
    if bearing.is_known:
        return ["kept; an incident in this run has counted before, so no level falls again"]
    whose = agent if tenant == "default" else f"{agent} --tenant {tenant}"
    falls = f"the level of {agent} for tenant {tenant} falls to 0 until two people restore it:"
    return [falls, f"`tenure trust restore {whose} --reason WHY`"]


def _document(verdict: RunVerdict, bearing: Bearing) -> JsonObject:
    return {
        "run": verdict.workflow,
        "source": verdict.source,
        "verdict": verdict.word,
        "moves_level": bearing.has_trust and (verdict.unsafe or not bearing.idle),
        "note": verdict.note,
        "at": verdict.at,
    }


def _counts(tally: Tally) -> JsonObject:
    return {
        "agent": tally.agent,
        "tenant": tally.tenant,
        "finished": tally.finished,
        "good": tally.good,
        "bad": tally.bad,
    }
