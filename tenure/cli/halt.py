"""`halt` and `resume`: take something away from an agent or a tenant for now, and give it back."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from tenure.errors import BadInput

if TYPE_CHECKING:
    from tenure.client import Tenure
    from tenure.runtime.store.restrictions import Restricted
    from tenure.trust.restrictions import Restriction


def _scoped(command: Callable[..., Any]) -> Callable[..., Any]:  # Any: click's decorators
    """For whom, and what."""
    for decorate in (
        click.option("--json", "as_json", is_flag=True, help="Print one JSON document."),
        click.option("--limit", multiple=True, metavar="PATTERN=RATE", help="Only this often: 'refund*=10/hour'."),
        click.option("--cap", multiple=True, metavar="LEVEL", help="Only this level of trust, at most."),
        click.option("--deny", multiple=True, metavar="PERMISSION", help="Only this: 'refund(amount > 50)'."),
        click.option("--agent", help="The agent, where a tenant has the same name."),
        click.option("--tenant", help="The tenant; with --agent: that agent of that tenant only."),
        click.argument("name", required=False),
    ):
        command = decorate(command)
    return command


@click.command()
@_scoped
@click.option("--reason", default="", help="Why: whoever finds at night that nothing moves reads it.")
def halt(
    name: str | None, tenant: str | None, agent: str | None, deny: tuple[str, ...], cap: tuple[str, ...],
    limit: tuple[str, ...], reason: str, as_json: bool,
) -> None:  # fmt: skip
    """Stop NAME, an agent or a tenant, at its next step: nothing is made or asked until `tenure resume`, and nothing is lost.

    With --deny, --cap or --limit only that is taken away, and the rest goes on. Without NAME: list what is in force.
    """
    from tenure.cli.connection import perform

    restricts = any((name is not None, tenant is not None, agent is not None, deny, cap, limit, reason))
    if restricts and not reason.strip():
        raise click.UsageError("Missing option '--reason': say why")

    async def work() -> None:
        from tenure.cli.connection import connected, who

        async with connected(server=False) as system:
            if restricts:
                whom = await _who(system, name, tenant, agent)
                wanted = _restrictions(deny, cap, limit, reason)
                await system.restrictions.restrict(*whom, *wanted, by=who() or "cli")
                for doubt in await system.restrictions.doubts(*whom, wanted):
                    click.echo(f"tenure: warning: {doubt}", err=True)
            _print(await system.restrictions.in_force(), as_json)

    perform(work())


@click.command()
@_scoped
def resume(
    name: str | None, tenant: str | None, agent: str | None, deny: tuple[str, ...], cap: tuple[str, ...],
    limit: tuple[str, ...], as_json: bool,
) -> int:  # fmt: skip
    """Give back to NAME, an agent or a tenant, what `tenure halt` took; with --deny, --cap or --limit only that."""
    from tenure.cli.connection import perform

    async def work() -> int:
        from tenure.cli import render, restricted
        from tenure.cli.connection import connected, who

        async with connected() as system:
            whom = await _who(system, name, tenant, agent)
            told = (
                [(one.kind, one.value) for one in _restrictions(deny, cap, limit, "")] if deny or cap or limit else []
            )
            done = [
                await system.restrictions.lift(*whom, by=who() or "cli", kind=kind, value=value)
                for kind, value in told or [(None, None)]
            ]
            lifted, woken = map(sum, zip(*done, strict=True))
            if as_json:
                render.document({"tenant": whom[0], "agent": whom[1], "lifted": lifted, "woken": woken})
            elif lifted:
                told_runs = f"; {render.count(woken, 'waiting run')} told" if woken else ""
                click.echo(f"{restricted.whom(*whom)}: {render.count(lifted, 'restriction')} lifted{told_runs}")
            else:
                told_whom = restricted.whom(*whom)
                click.echo(f"tenure: nothing restricts {told_whom}: `tenure halt` lists what is in force", err=True)
            return 0 if lifted else 1

    return perform(work())


async def _who(system: Tenure, name: str | None, tenant: str | None, agent: str | None) -> tuple[str, str]:
    from tenure.trust.restrictions import EVERY

    if name is not None and (tenant is not None or agent is not None):
        raise BadInput(f"{name!r} and --tenant or --agent: write one or the other")
    if name is None and tenant is None and agent is None:
        raise BadInput("whom? write a NAME, --tenant or --agent; `*` means all")
    if name == EVERY:
        return EVERY, EVERY
    if name is not None:
        return await system.restrictions.subject(name)
    return _named("--tenant", tenant), _named("--agent", agent)


def _named(option: str, name: str | None) -> str:
    """The name as it is written; not written: all. An empty one, as of an unset variable, must not mean all."""
    from tenure.client.runs import NAME
    from tenure.trust.restrictions import EVERY

    if name is not None and name != EVERY and not NAME.fullmatch(name):
        raise BadInput(f"{option} {name!r}: must match {NAME.pattern}, or be `*` for all")
    return name or EVERY


def _restrictions(
    deny: tuple[str, ...], cap: tuple[str, ...], limit: tuple[str, ...], reason: str
) -> list[Restriction]:
    from tenure.trust.restrictions import Restriction

    told = [Restriction(kind="deny", value=value, reason=reason) for value in deny]
    told += [Restriction(kind="cap", value=value, reason=reason) for value in cap]
    told += [Restriction(kind="limit", value=value, reason=reason) for value in limit]
    return told or [Restriction(kind="halt", reason=reason)]


def _print(in_force: list[Restricted], as_json: bool) -> None:
    from tenure.cli import render, restricted
    from tenure.cli.terminal import plain

    if as_json:
        render.document([restricted.document(one) for one in in_force])
    elif not in_force:
        click.echo("nothing is restricted")
    for one in () if as_json else in_force:
        click.echo(plain(restricted.line(one)))
