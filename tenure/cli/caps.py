"""`cost cap`, `cost caps`: what an operator lets tenants spend, whatever their agents' budgets say."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from tenure.client.cost import Standing
    from tenure.client.waking import Woken
    from tenure.wire import JsonObject

SPANS = {"tenant/day": "day", "tenant/month": "month"}
NOW = {"tenant/day": "today", "tenant/month": "this month"}


@click.command()
@click.argument("tenant")
@click.option("--daily", metavar="DOLLARS", help="In each day of UTC, such as 50; `none` lifts it.")
@click.option("--monthly", metavar="DOLLARS", help="In each month of UTC; `none` lifts it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def cap(tenant: str, daily: str | None, monthly: str | None, as_json: bool) -> None:
    """Let TENANT spend no more than that, with all of its agents.

    It bites at the next call of the model, whatever the agents' own budgets say: the lowest counts. Runs that wait because the cap
    before it was used up look again.
    """
    from tenure.cli.connection import perform

    if daily is None and monthly is None:
        raise click.UsageError("Missing option '--daily' or '--monthly': dollars, or none")
    perform(_cap(tenant, daily, monthly, as_json))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, amounts in micro-dollars.")
def caps(as_json: bool) -> None:
    """List what operators let tenants spend, and what of it is spent now."""
    from tenure.cli.connection import perform

    perform(_caps(as_json))


async def _cap(tenant: str, daily: str | None, monthly: str | None, as_json: bool) -> None:
    from tenure.cli import render
    from tenure.cli.connection import connected, who

    async with connected(server=False) as system:
        done = await system.cost.cap(tenant, daily=daily, monthly=monthly, by=who() or "cli")
        doubts = await system.cost.doubts(tenant)
    for doubt in doubts + _used_up(done.in_force) + _not_told(done.woken):
        click.echo(f"tenure: warning: {doubt}", err=True)
    _print(done.in_force, f"no operator's cap on tenant {tenant}", as_json)
    if done.woken.told and not as_json:
        click.echo(f"{render.count(done.woken.told, 'waiting run')} told")


async def _caps(as_json: bool) -> None:
    from tenure.cli.connection import connected

    async with connected(server=False) as system:
        found = await system.cost.caps()
    _print(found, "no tenant is capped by an operator", as_json)


def _print(found: list[Standing], nothing: str, as_json: bool) -> None:
    from tenure.cli import render

    if as_json:
        render.document([_document(one) for one in found])
    elif not found:
        click.echo(nothing)
    else:
        head = ("tenant", "cap", "in a", "spent", "held", "added", "by", "set")
        render.put(render.console(), render.listing(head, map(_row, found), right=(1, 3, 4, 5), fold=(0, 6)))


def _row(one: Standing) -> tuple[str, ...]:
    from tenure.cli import render
    from tenure.optimize import money

    cap, now = one.cap, one.now
    added = money.shown(now.raised) if now.raised else "-"
    amounts = (money.shown(now.spent), money.shown(now.held) if now.held else "-", added)
    return (cap.tenant, money.shown(cap.amount), SPANS[cap.scope], *amounts, cap.by, render.ago(cap.set_at))


def _document(one: Standing) -> JsonObject:
    return {**vars(one.cap), **vars(one.now)}


def _not_told(woken: Woken) -> list[str]:
    """Runs that go on waiting: no worker comes by and looks."""
    from tenure.cli import render

    if not woken.missed:
        return []
    return [
        f"{render.count(woken.missed, 'waiting run')} not told, Temporal did not take it: type the same again later"
    ]


def _used_up(found: Iterable[Standing]) -> list[str]:
    """Whoever lowers a cap should hear at once that nothing fits below it any more."""
    from tenure.optimize import money

    return [
        f"tenant {one.cap.tenant} has spent {money.shown(one.now.spent)} of {money.shown(one.cap.amount + one.now.raised)}"
        f" {NOW[one.cap.scope]}: its next call is not made"
        for one in found
        if one.now.spent >= one.cap.amount + one.now.raised
    ]
