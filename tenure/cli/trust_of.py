"""`trust AGENT`, `trust stats`, `trust restore`, `trust carry`: where an agent stands, and what is missing for the next step."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from tenure.client.trust import Stats, Toward, Trusted
    from tenure.runtime.store.restrictions import Restricted
    from tenure.wire import JsonObject

DAY_MS = 86_400_000
CHANGES_SHOWN = 10


@click.command("show")
@click.argument("agent")
@click.option("--tenant", default="default", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def show(agent: str, tenant: str, as_json: bool) -> None:
    """Where AGENT stands: level, evidence, what is missing for the next step, and every change with who signed it."""
    from tenure.cli.connection import perform

    async def work() -> None:
        from tenure.cli import render, restricted
        from tenure.cli.connection import connected
        from tenure.client.restrictions import meaning

        async with connected(server=False) as system:
            found = await system.trust.standing(agent, tenant)
            held = meaning(await system.restrictions.in_force(), tenant, agent)
        if as_json:
            told = {"halted": restricted.reasons(restricted.halts(held, tenant, agent))}
            render.document({**_document(found), **told, "restrictions": [restricted.document(one) for one in held]})
            return
        print_standing(found, held)

    perform(work())


@click.command()
@click.argument("agent")
@click.option("--tenant", help="Only this tenant; default: all of them.")
@click.option("--days", type=click.IntRange(1), default=30, show_default=True, help="Of how many days.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def stats(agent: str, tenant: str | None, days: int, as_json: bool) -> None:
    """Figures about AGENT's runs and what they asked: how often, how fast, and whether anybody reads it."""
    import time

    from tenure.cli.connection import perform

    async def work() -> None:
        from tenure.cli import render
        from tenure.cli.connection import connected

        since = round(time.time() * 1000) - days * DAY_MS
        async with connected(server=False) as system:
            found = await system.trust.stats(agent, tenant, since)
        if as_json:
            render.document(_stats_document(agent, tenant, days, found))
        else:
            render.put(render.console(), render.pairs(_stats_rows(found, days), indent=0))

    perform(work())


def _asking(kind: str, told: str) -> click.Command:
    @click.command(kind, help=told)
    @click.argument("agent")
    @click.option("--tenant", default="default", show_default=True)
    @click.option("--reason", required=True, help="Why; the people who are asked read it, and sign it.")
    def ask(agent: str, tenant: str, reason: str) -> None:
        from tenure.cli.connection import perform

        async def work() -> None:
            from tenure.cli.connection import connected

            async with connected() as system:
                await system.trust.ask_back(agent, tenant, kind, reason)
            click.echo("asked: `tenure pending` shows the request, if there is something to give back")

        perform(work())

    return ask


restore = _asking("restore", "Ask two people to lift what a severe incident took from AGENT.")
carry = _asking("carry", "Ask people to carry the level that AGENT had earned over to its present build.")


def print_standing(found: Trusted, held: Sequence[Restricted] = ()) -> None:
    """The page of one agent: where it stands, what operators took away from it (`held`), then how it came there."""
    from tenure.cli import render

    render.put(render.console(), render.pairs(_rows(found, held), indent=0))
    _print_changes(found)


def _rows(found: Trusted, held: Sequence[Restricted]) -> list[tuple[str, str]]:
    from tenure.cli import render, restricted
    from tenure.trust import level

    rows = [
        ("agent", f"{found.agent}@{found.policy.fingerprint[:8]}, tenant {found.tenant}"),
        ("level", _level(found)),
        *restricted.rows(held),
        ("judged", _judged(found)),
    ]
    if found.policy.evidence == "point":
        rows.append(("WARNING", 'evidence="point" takes a rule by its letter: a single good run may be enough'))
    kept = found.kept.ledger if found.kept else None
    if kept and kept.severe:
        rows.append(("incident", f"`tenure trust restore {found.agent} --reason ...` asks two people to lift it"))
    if kept and kept.proposal:
        proposal = kept.proposal
        rows.append(("proposed", f"{level.shown(proposal.to)}, {render.ago(proposal.opened_at)}: {proposal.why}"))
        rows.append(("do", "tenure pending"))
    return rows + [("next step", told) for told in _next_steps(found)]


def _level(found: Trusted) -> str:
    from tenure.trust import level

    stands = f"{level.shown(found.level)} of at most {level.shown(found.policy.cap)}"
    if found.is_known:
        return stands
    near = difflib.get_close_matches(found.tenant, found.tenants, 1)
    known = f"there are {', '.join(found.tenants)}" if found.tenants else "no run was made yet"
    hint = f"did you mean {near[0]!r}?" if near else known
    return f"nothing is known of tenant {found.tenant!r}: {hint}\nits first run would begin at {stands}"


def _next_steps(found: Trusted) -> list[str]:
    """What the rules that raise still want; nothing while people are asked, or have to be."""
    from tenure.trust import level

    if found.kept and (found.kept.ledger.severe or found.kept.ledger.proposal):
        return []
    if found.level >= found.policy.cap:
        return [f"none: {level.shown(found.policy.cap)} is its cap"]
    return [_toward(one, found.policy.evidence) for one in found.toward]


def _judged(found: Trusted) -> str:
    told = f"{found.tally.judged} of {found.tally.finished} runs judged"
    if not found.tally.judged:
        return f"{told}: add evaluate= or feedback"
    return f"{told}: {found.tally.good} good, {found.tally.bad} not"


def _toward(one: Toward, mode: str) -> str:
    from tenure.cli import render
    from tenure.trust import level

    step = f"+{level.shown(one.rule.amount)} at {one.rule.metric} {one.rule.threshold}"
    seen = f"{one.met} of {one.judged} since the last change"
    sure = f", so at least {one.at_least:.3f} (95 % sure)" if mode == "confident" and one.judged else ""
    if one.more is None:
        return f"{step}: {seen}{sure}; too many failed, newer runs must take their place"
    missing = f"; {render.count(one.more, 'more good run')}" if one.more else "; enough, after the cool-down of a day"
    return f"{step}: {seen}{sure}{missing}"


def _print_changes(found: Trusted) -> None:
    from tenure.cli import render
    from tenure.trust.ledger import shown

    if not found.changes:
        return
    click.echo()
    earlier = len(found.changes) - CHANGES_SHOWN
    if earlier > 0:
        click.echo(f"{render.count(earlier, 'earlier change')}: --json has them")
    rows = [(render.moment(one.at), f"{shown(one)}\n{one.why}".strip()) for one in found.changes[-CHANGES_SHOWN:]]
    render.put(render.console(), render.pairs(rows, indent=0))


def _document(found: Trusted) -> JsonObject:
    from tenure.trust import level

    proposal = found.kept.ledger.proposal if found.kept else None
    return {
        "agent": found.agent,
        "tenant": found.tenant,
        "tenant_known": found.is_known,
        "fingerprint": found.policy.fingerprint,
        "level": level.shown(found.level),
        "cap": level.shown(found.policy.cap),
        "judged": dataclasses.asdict(found.tally),
        "severe": bool(found.kept and found.kept.ledger.severe),
        "proposal": proposal.model_dump(mode="json") if proposal else None,
        "next": [_toward_document(one) for one in found.toward],
        "changes": [change.model_dump(mode="json") for change in found.changes],
    }


def _toward_document(one: Toward) -> JsonObject:
    told = {"met": one.met, "judged": one.judged, "at_least": one.at_least, "more": one.more}
    return {"metric": one.rule.metric, "threshold": str(one.rule.threshold), **told}


def _stats_rows(found: Stats, days: int) -> list[tuple[str, str]]:
    from tenure.cli import render
    from tenure.trust import level

    answered = found.approved + found.denied
    rate = f"{found.approved / answered:.0%} approved of {answered} answered" if answered else "nobody has answered any"
    fast = f", half of them within {render.seconds(found.median_ms)}" if found.median_ms is not None else ""
    rows = [
        ("runs", f"{found.runs} ended in the last {render.count(days, 'day')}"),
        ("ended", ", ".join(f"{count} {reason}" for reason, count in found.stops.items()) or "none"),
        ("asked", f"{found.asked} times, {found.asked / max(found.runs, 1):.2f} a run; {found.open} open"),
        ("people", f"{rate}{fast}; {found.expired} ran out"),
        ("taint", f"{found.tainted:.0%} of the runs have read what others wrote"),
        ("levels", " → ".join(_levels(found)) or "no change"),
    ]
    if found.next_level is not None:
        rows.append(("level " + level.shown(found.next_level), f"would have let {found.next_allows} of them through"))
    if found.unused:
        rows.append(("unused", f"allowed, and never called: {', '.join(found.unused)}"))
    return rows + [("WARNING", _stamp(stamp)) for stamp in map(vars, found.stamps)]


def _levels(found: Stats) -> list[str]:
    from tenure.client.trust import steps_of
    from tenure.trust import level

    return [level.shown(to) for _, to in steps_of(found.changes)]


def _stamp(stamp: dict[str, Any]) -> str:  # Any: a Stamp's fields
    return (
        f"{stamp['principal']} approved {stamp['approved']} of {stamp['answered']}, half of them within"
        f" {stamp['median_ms'] / 1000:.1f} s: nobody reads that fast"
    )


def _stats_document(agent: str, tenant: str | None, days: int, found: Stats) -> JsonObject:
    from tenure.client.trust import steps_of
    from tenure.trust import level

    told = {name: value for name, value in vars(found).items() if name not in ("changes", "stamps", "next_level")}
    return {
        "agent": agent,
        "tenant": tenant,
        "days": days,
        **told,
        "levels": [{"at": at, "level": level.shown(to)} for at, to in steps_of(found.changes)],
        "next_level": None if found.next_level is None else level.shown(found.next_level),
        "rubber_stamps": [vars(stamp) for stamp in found.stamps],
    }
