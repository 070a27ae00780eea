"""`feedback`: say from outside whether a finished run was good, and see how runs were judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tenure.errors import BadInput

if TYPE_CHECKING:
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

    if summary == bool(run):
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
        render.document([_document(one) for one in found])
    elif not found:
        click.echo(f"nobody has judged this run: tenure feedback {run} good|bad")
    else:
        _print_verdicts(found)


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
        (_word(one), f"by {one.source}, {render.moment(one.at)}" + (f"\n{one.note}" if one.note else ""))
        for one in found
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


def _word(verdict: RunVerdict) -> str:
    return "good" if verdict.good else "bad"


def _document(verdict: RunVerdict) -> JsonObject:
    return {
        "run": verdict.workflow,
        "source": verdict.source,
        "verdict": _word(verdict),
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
