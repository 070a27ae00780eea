"""`cache`: what is answered without Claude, how often that was wrong, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from tenure.runtime.store.cached import RuleAccount

MEANS = """\
bad: of those answered, what somebody called bad. wrong: of those audited, what
Claude answers otherwise. at most: the share of wrong answers is no larger, as
far as the audits tell (one-sided, 95 %)"""


@click.group(invoke_without_command=True)
@click.option("--tenant", help="Only this tenant.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def cache(context: click.Context, tenant: str | None, as_json: bool) -> None:
    """Show what the rules of caches have answered, what people called bad, how many were audited, and how many wrong."""
    if context.invoked_subcommand is None:
        from tenure.cli.connection import perform

        perform(_list(tenant, as_json))
    elif tenant is not None or as_json:
        raise click.UsageError(f"--tenant and --json belong behind {context.invoked_subcommand!r}, where it takes them")


@cache.command()
@click.argument("pattern")
@click.option("--tenant", default="default", show_default=True, help="Whose data.")
def bump(pattern: str, tenant: str) -> None:
    """Say that what tools read has changed: no answer that rests on a tool of PATTERN, such as 'orders*', is given again."""
    from tenure.cli.connection import perform

    perform(_bump(pattern, tenant))


@cache.command()
@click.argument("rule")
@click.option("--agent", required=True, help="Whose rule.")
@click.option("--tenant", default="default", show_default=True, help="For which tenant.")
def reopen(rule: str, agent: str, tenant: str) -> None:
    """Let RULE give answers again, after it closed itself because too many were wrong."""
    from tenure.cli.connection import perform

    perform(_reopen(rule, agent, tenant))


async def _list(tenant: str | None, as_json: bool) -> None:
    from tenure.cli import render
    from tenure.cli.connection import connected

    async with connected(server=False) as system:
        found = await system.cost.rules(tenant)
    if as_json:
        render.document({"rules": [{**vars(one), "wrong_at_most": _bound(one)} for one in found]})
    elif not found:
        click.echo(
            "nothing was answered without Claude yet: optimization={'enable_cache': True, ...} on an Agent does that"
        )
    else:
        _print(found)


async def _bump(pattern: str, tenant: str) -> None:
    from tenure.cli.connection import connected

    async with connected(server=False) as system:
        await system.cost.bump_epoch(pattern, tenant)
        doubts = await system.cost.doubts(tenant, pattern)
    for doubt in doubts:
        click.echo(f"tenure: warning: {doubt}", err=True)
    click.echo(
        f"what {pattern} read for tenant {tenant} is stale: no result and no answer that rests on it is given again"
    )


async def _reopen(rule: str, agent: str, tenant: str) -> None:
    from tenure.cli.connection import connected

    async with connected(server=False) as system:
        await system.cost.reopen(rule, agent, tenant)
    click.echo(f"{rule} of {agent} for tenant {tenant} gives answers again")


def _print(found: list[RuleAccount]) -> None:
    from tenure.cli import render

    head = ("agent", "tenant", "rule", "answered", "bad", "audited", "wrong", "at most")
    rows = [
        (
            one.agent,
            one.tenant,
            one.rule,
            *(f"{n:,}" for n in (one.hits, one.complaints, one.audited, one.wrong)),
            _shown(one),
        )
        for one in found
    ]
    render.put(render.console(), render.listing(head, rows, right=(3, 4, 5, 6, 7), fold=(0, 1, 2)))
    for one in found:
        if one.closed:
            told = f"tenure cache reopen {one.rule!r} --agent {one.agent} --tenant {one.tenant}"
            render.say(f"closed: {one.rule} of {one.agent}: {one.closed}. To open it again:")
            click.echo(told)  # in one line, to be copied
    click.echo(MEANS)


def _bound(one: RuleAccount) -> float | None:
    from tenure.optimize import audits

    return audits.upper(one.audited, one.wrong) if one.audited else None


def _shown(one: RuleAccount) -> str:
    bound = _bound(one)
    return "-" if bound is None else f"{bound:.1%}"
