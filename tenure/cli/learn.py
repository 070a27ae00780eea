"""`learn`: what was learned from runs that repeat themselves, how far it has come, and what people want of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from tenure.errors import BadInput, NotFound

if TYPE_CHECKING:
    from tenure.client.learn import Known, What
    from tenure.learn.induction import Induced, Refused
    from tenure.learn.reading import Mined
    from tenure.wire import JsonObject

SERVES = {"no": "nobody", "shadow": "looks on", "canary": "a share", "all": "everybody"}
DONE = {
    "pause": "serves nobody until `tenure learn resume {}`",
    "resume": "goes on where it was held",
    "roll_back": "is rolled back: this version serves nobody again",
    "retire": "is retired: this version serves nobody again",
    "reopen": "is looked at again",
}


def _whose(command: Callable[..., Any]) -> Callable[..., Any]:  # Any: click's decorators
    """Which capability is meant, where several agents or tenants have one of that name."""
    command = click.option("--tenant", help="Of which tenant, where several have one.")(command)
    return click.option("--agent", help="Of which agent, where several have one.")(command)


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def learn(context: click.Context, as_json: bool) -> None:
    """Show what was learned, and how far it has come."""
    if context.invoked_subcommand is None:
        from tenure.cli.connection import perform

        perform(_list(as_json))
    elif as_json:
        raise click.UsageError(f"--json belongs behind {context.invoked_subcommand!r}, where it takes it")


@learn.command()
@click.argument("agent")
@click.option("--tenant", help="Only this tenant's runs.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def mine(agent: str, tenant: str | None, as_json: bool) -> None:
    """Look for patterns in the verified runs of AGENT now; by itself that happens every hour.

    What is new is tested on runs that it was not learned from, and then people are asked.
    """
    from tenure.cli.connection import perform

    perform(_mine(agent, tenant, as_json))


@learn.command()
@click.argument("agent")
@click.option("--tenant", default="default", show_default=True, help="Whose runs.")
@click.option("--least", default=10, show_default=True, type=click.IntRange(2), help="How many runs make a pattern.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def patterns(agent: str, tenant: str, least: int, as_json: bool) -> None:
    """Show what the verified runs of AGENT have in common, and why nothing was learned of the rest. Nothing is kept."""
    from tenure.cli.connection import perform

    perform(_patterns(agent, tenant, least, as_json))


@learn.command()
@click.argument("capability")
@_whose
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def show(capability: str, agent: str | None, tenant: str | None, as_json: bool) -> None:
    """Show CAPABILITY whole: its program, what it was learned from, its test, and what became of it."""
    from tenure.cli.connection import perform

    perform(_show(capability, agent, tenant, as_json))


def _answering(choice: str) -> Callable[..., Any]:  # Any: click's decorators
    @click.argument("capability")
    @_whose
    @click.option("--as", "principal", default="operator", show_default=True, help="Which key signs.")
    @click.option("--note", default="", help="A word on why; it is recorded.")
    def command(capability: str, agent: str | None, tenant: str | None, principal: str, note: str) -> int:
        from tenure.cli.approvals import give_answer
        from tenure.cli.connection import perform

        return give_answer(
            perform(_asked(capability, agent, tenant)), choice, principal, note, only_print=False, as_json=False
        )

    return command


learn.command("approve", help="Approve what is asked about CAPABILITY: that it looks on, or that it serves everybody.")(
    _answering("approve")
)
learn.command("deny", help="Deny what is asked about CAPABILITY: this version is rejected.")(_answering("deny"))


def _ordering(what: What) -> Callable[..., Any]:  # Any: click's decorators
    @click.argument("capability")
    @_whose
    @click.option("--reason", default="", help="Why; it is recorded.")
    @click.option("--by", metavar="NAME", help="Who wants it; default: the user you are logged in as.")
    def command(capability: str, agent: str | None, tenant: str | None, reason: str, by: str | None) -> None:
        from tenure.cli.connection import perform

        perform(_order(capability, agent, tenant, what, reason, by))

    return command


learn.command("pause", help="CAPABILITY serves nobody from now on, until it is resumed.")(_ordering("pause"))
learn.command("resume", help="Let a paused CAPABILITY go on.")(_ordering("resume"))
learn.command("rollback", help="Take this version of CAPABILITY back, for good and at once.")(_ordering("roll_back"))
learn.command("retire", help="CAPABILITY is of no use any more.")(_ordering("retire"))
learn.command("reopen", help="Look again at a CAPABILITY that ended without a verdict.")(_ordering("reopen"))


async def _list(as_json: bool) -> None:
    from tenure.cli import render
    from tenure.cli.connection import connected

    async with connected(server=False) as system:
        found = await system.learn.every()
    if as_json:
        told = [{"capability": vars(kept), "rollout": vars(rollout) if rollout else None} for kept, rollout in found]
        render.document({"capabilities": told})
        return
    if not found:
        click.echo("nothing was learned yet: learning={...} on an Agent, and runs that somebody calls good, do that")
        return
    rows = [
        (
            kept.id, kept.agent if kept.tenant == "default" else f"{kept.agent} ({kept.tenant})", f"{kept.version}",
            rollout.stage.replace("_", " ") if rollout else "mined",
            SERVES[rollout.serving] if rollout else "nobody",
            rollout.why if rollout else "",
        )
        for kept, rollout in found
    ]  # fmt: skip
    render.put(
        render.console(), render.listing(("capability", "agent", "version", "stage", "serves", "why"), rows, right=(2,))
    )


async def _mine(agent: str, tenant: str | None, as_json: bool) -> None:
    from tenure.cli import render
    from tenure.cli.connection import connected
    from tenure.cli.terminal import plain

    click.echo(f"looking at the runs of {agent} ...", err=True)
    async with connected() as system:
        mined = await system.learn.mine(agent, tenant)
        unsaid = (
            [(one, await system.learn.recorded(one, agent)) for one in [tenant or "default"]] if not mined.read else []
        )
    if as_json:
        render.document(mined.model_dump(mode="json"))
        return
    click.echo(f"{render.count(mined.read, 'verified run')} looked at")
    for whose, (recorded, unjudged) in unsaid:
        told = f"{unjudged} of {render.count(recorded, 'recorded run')} of tenant {whose} judged by nobody"
        click.echo(f"{told}: add evaluate= or feedback; only what somebody called good teaches")
    for line in _found(mined):
        click.echo(plain(line))  # it may quote what Claude or a user has written


def _found(mined: Mined) -> list[str]:
    said: list[str] = []
    for one in mined.found:
        where = f"{one.capability} ({one.runs} runs of tenant {one.tenant})"
        match one.what:
            case "new":
                by = f" ({one.why})" if one.why else ""
                said.append(
                    f"{where}: version {one.version}{by} is being tested; then people are asked (`tenure pending`)"
                )
            case "known":
                said.append(f"{where}: known, version {one.version}{': ' + one.why if one.why else ''}")
            case "answers":
                said.append(f"{where}: {one.version} learned; who asks for one of them is given it without Claude")
            case "refused":
                said.append(f"{where}: nothing learned: {one.why}")
    return said


async def _patterns(agent: str, tenant: str, least: int, as_json: bool) -> None:
    from tenure.cli import render
    from tenure.cli.connection import connected

    async with connected(server=False) as system:
        found = await system.learn.patterns(agent, tenant, least)
        recorded, unjudged = await system.learn.recorded(tenant, agent)
    if as_json:
        render.document(
            {"patterns": [one.model_dump(mode="json") for one in found], "recorded": recorded, "unjudged": unjudged}
        )
        return
    click.echo(
        f"{render.count(recorded, 'recorded run')}, {unjudged} of them judged by nobody: only what was called good teaches"
    )
    for one in found:
        name, rows = _pattern(one)
        click.echo()
        click.echo(name)
        render.put(render.console(), render.pairs(rows))


def _pattern(one: Induced | Refused) -> tuple[str, list[tuple[str, str]]]:
    from tenure.learn.induction import Refused
    from tenure.optimize import money

    if isinstance(one, Refused):
        runs = ("runs", f"{len(one.runs)}, such as {one.runs[0].rpartition(':')[2]}")
        return ", ".join(one.changes) or "look-ups only", [("learned", f"nothing: {one.why}"), runs]
    many = len(one.runs) + len(one.unexplained)
    return one.capability.id, [
        ("runs", f"{len(one.runs)} of {many} explained, such as {one.runs[0].rpartition(':')[2]}"),
        ("agrees", f"{one.agreement:.0%}; with so few runs that shows at least {one.bound:.0%} (one-sided, 95 %)"),
        ("saves", f"{money.shown(one.saving)} a month, at the rate of these runs"),
        ("does", ", ".join(one.capability.changes) or "look-ups only"),
        *(("note", note) for note in one.notes),
    ]


async def _show(name: str, agent: str | None, tenant: str | None, as_json: bool) -> None:
    from tenure.cli import render
    from tenure.cli.connection import connected
    from tenure.learn.capability import Capability, as_text
    from tenure.learn.report import Report
    from tenure.learn.written import proposal_of

    async with connected(server=False) as system:
        known = await system.learn.of(name, tenant, agent)
    if as_json:
        render.document(_document(known))
        return
    click.echo(as_text(Capability.model_validate_json(known.kept.body)), nl=False)
    click.echo("\nNotes")
    for note in proposal_of(known.kept.proposal).notes:
        render.put(render.console(), render.pairs([("-", note)]))
    if known.kept.report:
        click.echo("\nTest")
        for line in Report.model_validate_json(known.kept.report).lines():
            render.put(render.console(), render.pairs([("-", line)]))
    click.echo("\nWhat became of it")
    rows = [
        (
            render.moment(one.at),
            f"version {one.version} {one.stage.replace('_', ' ')}: {one.why}{f', by {one.by}' if one.by else ''}",
        )
        for one in known.changes
    ]
    render.put(render.console(), render.pairs(rows or [("-", "nothing yet: it is being tested")]))
    if known.tried:
        click.echo("\nNewest runs that it was tried on")
        render.put(render.console(), render.pairs([(one.mode, one.workflow) for one in known.tried[:5]]))


def _document(known: Known) -> JsonObject:
    import json

    kept = vars(known.kept)
    loaded = {name: json.loads(kept[name]) if kept[name] else None for name in ("body", "proposal", "report")}
    return {
        "capability": {**kept, **loaded},
        "rollout": vars(known.rollout) if known.rollout else None,
        "changes": [vars(one) for one in known.changes],
        "tried": [vars(one) for one in known.tried],
    }


async def _asked(name: str, agent: str | None, tenant: str | None) -> str:
    """The open request about a capability."""
    from tenure.cli.connection import connected
    from tenure.client.learn import workflow_of

    async with connected(server=False) as system:
        known = await system.learn.of(name, tenant, agent)
        opened = [one for one in await system.approvals.pending() if one.workflow == workflow_of(known.kept)]
    if not opened:
        stage = known.rollout.stage.replace("_", " ") if known.rollout else "being tested"
        raise NotFound(f"nobody is asked about {name} now: it is {stage}")
    return opened[0].id


async def _order(name: str, agent: str | None, tenant: str | None, what: What, why: str, by: str | None) -> None:
    from tenure.cli.connection import connected, who

    by = by or who()
    if by is None:
        raise BadInput("nobody is logged in here: say who wants it with --by NAME")
    async with connected() as system:
        known = await system.learn.of(name, tenant, agent)
        _check(known, what)
        await system.learn.order(known, what, by=by, why=why)
    click.echo(f"{name} version {known.kept.version} {DONE[what].format(name)}")


def _check(known: Known, what: What) -> None:
    """Raise BadInput for an order that its rollout would refuse."""
    stage = known.rollout.stage if known.rollout else "mined"
    if what == "reopen" and stage != "inconclusive":
        raise BadInput(f"only what ended without a verdict is reopened: {known.kept.id} is {stage.replace('_', ' ')}")
