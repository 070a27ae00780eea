"""`cost`: what was paid for, for whom, and what that would have been without caches."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from tenure.cli.caps import cap, caps
from tenure.errors import BadInput

if TYPE_CHECKING:
    from tenure.runtime.store.accounts import Account
    from tenure.runtime.store.alerts import Alert
    from tenure.wire import JsonObject

BY = ("agent", "tenant", "model", "tier", "day")
UNITS = {"m": 60, "h": 3600, "d": 86_400}
ASSUMES = """\
saved: what it would have cost without caches, less what it did. It assumes that
a run answered from a cache would have cost what the run did that its answer
comes from (a canned one: what the agent's last 20 did on average), and that
without the cache of prompts the same tokens are plain input. Below 0: writing
prompts to the cache cost more than reading them saved."""


@click.group(invoke_without_command=True, subcommand_metavar="[cap TENANT ...|caps]")
@click.option("--by", type=click.Choice(BY), default="agent", show_default=True, help="What the sums are over.")
@click.option("--since", default="30d", show_default=True, metavar="TIME", help="How far back: 30m, 24h or 7d.")
@click.option("--tenant", help="Only this tenant.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, amounts in micro-dollars.")
@click.pass_context
def cost(context: click.Context, by: str, since: str, tenant: str | None, as_json: bool) -> None:
    """Show what calls of the model have cost, with tokens, what was answered without one, and what caches saved."""
    from tenure.cli.connection import perform

    if context.invoked_subcommand is None:
        perform(_cost(by, _moment(since), tenant, as_json))
    elif any(context.get_parameter_source(name) is ParameterSource.COMMANDLINE for name in context.params):
        raise click.UsageError(f"write options behind the word `{context.invoked_subcommand}`")


async def _cost(by: str, since: int, tenant: str | None, as_json: bool) -> None:
    from tenure.cli import render
    from tenure.cli.connection import connected

    async with connected(server=False) as system:
        found = await system.cost.accounts(by, since, tenant)
        alerts, has_webhook = await system.cost.alerts(since, tenant), bool(system.settings.alert_webhook)
    if as_json:
        render.document({"by": by, "since": since, "accounts": [_document(one) for one in found],
                         "alerts": [vars(one) for one in alerts], "assumes": " ".join(ASSUMES.split())})  # fmt: skip
        return
    if found:
        _print(by, found)
    else:
        click.echo("no call of the model was paid for in that time")
    _print_alerts(alerts, has_webhook)


def _print(by: str, found: list[Account]) -> None:
    from tenure.cli import render
    from tenure.optimize import money

    rows = [_row(one) for one in found]
    head = (by, "calls", "known", "cost", "tokens in", "out", "cached", "saved")
    render.put(render.console(), render.listing(head, rows, right=(1, 2, 3, 4, 5, 6, 7), fold=(0,)))
    total, held = sum(one.cost for one in found), sum(one.held for one in found)
    click.echo(f"{money.shown(total)} in all" + (f", and at most {money.shown(held)} under way" if held else ""))
    lost = sum(one.unknown for one in found)
    if lost:
        told = "their worker died, or Claude's answer was lost"
        render.say(f"{render.count(lost, 'call')} counted with the most they can have cost: {told}")
    if refused := sum(one.refused for one in found):
        click.echo(f"{render.count(refused, 'call')} not made: no budget for {'it' if refused == 1 else 'them'}")
    click.echo(f"known: answered without a model. cached: tokens read from the cache of prompts.\n{ASSUMES}")


def _print_alerts(alerts: list[Alert], has_webhook: bool) -> None:
    """The newest, and every one that nobody may have heard of."""
    from tenure.cli import render

    untold = [_untold(one, has_webhook) for one in alerts]
    shown = [(one, why) for number, (one, why) in enumerate(zip(alerts, untold, strict=True)) if number < 5 or why]
    rows = [("alert", f"{render.moment(one.at)}: {_alert(one)}{why or _taken(one)}") for one, why in shown]
    if rows:
        render.put(render.console(), render.pairs(rows, indent=0))


def _alert(one: Alert) -> str:
    """Which threshold of what, and how it stood then."""
    from tenure.optimize import money
    from tenure.optimize.budget import Scope, named
    from tenure.runtime.store.alerts import EXHAUSTED

    scope = named(Scope(one.scope, one.subject, one.period, operator=one.operator), later=True)
    passed = "a call did not fit any more" if one.threshold == EXHAUSTED else f"{float(one.threshold):.0%} is spent"
    return f"{scope}: {passed}: {money.shown(one.spent)} of {money.shown(one.cap)}"


def _taken(one: Alert) -> str:
    return "; no webhook is set" if one.delivered_at is None else "; delivered"


def _untold(one: Alert, has_webhook: bool) -> str:
    """What keeps an alert from its webhook; empty: nothing, or there is none."""
    from tenure.cli import render

    if one.delivered_at is not None or not (one.attempts or has_webhook):
        return ""
    what = "given up" if one.given_up_at else "not delivered"
    tried = (
        f"{one.problem or 'no answer yet'}, {render.count(one.attempts, 'attempt')}" if one.attempts else "never tried"
    )
    return f"; {what}: {tried}"


def _row(one: Account) -> tuple[str, ...]:
    from tenure.optimize import money

    tokens = one.input + one.cache_read + one.cache_write
    share = f"{one.cache_hits:.0%}" if tokens else "-"
    saved = money.shown(one.saved)
    return (
        one.name,
        f"{one.calls:,}",
        f"{one.answered:,}",
        money.shown(one.cost),
        f"{tokens:,}",
        f"{one.output:,}",
        share,
        saved,
    )


def _document(one: Account) -> JsonObject:
    return {**vars(one), "saved": one.saved, "cache_hits": round(one.cache_hits, 4)}


def _moment(since: str) -> int:
    found = re.fullmatch(r"(\d{1,5})([mhd])", since)
    if found is None:
        raise BadInput(f"--since {since!r}: write how far back, such as 30m, 24h or 7d")
    return round(time.time() * 1000) - int(found[1]) * UNITS[found[2]] * 1000


cost.add_command(cap)
cost.add_command(caps)
