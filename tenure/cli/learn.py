"""`learn`: what was learned from runs that repeat themselves, how far it has come, and what people want of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TextIO

import click

from tenure.cli.render import count
from tenure.errors import BadInput, NotFound

if TYPE_CHECKING:
    from tenure.client.learn import Known, What
    from tenure.runtime.store.capabilities import Kept, RolloutRow
    from tenure.wire import JsonObject

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
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def status(as_json: bool) -> None:
    """Show what was learned, and how far it has come: the same as without a command."""
    from tenure.cli.connection import perform

    perform(_list(as_json))


@learn.command()
@click.argument("agent")
@click.option("--tenant", help="Only this tenant's runs.")
@click.option(
    "--again",
    metavar="CAPABILITY",
    multiple=True,
    help="Propose it anew, though the same was taken back or turned away.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def mine(agent: str, tenant: str | None, again: tuple[str, ...], as_json: bool) -> None:
    """Look for patterns in the runs of AGENT now.

    By itself that happens every hour. What is new is tested on recorded runs, and then people are asked.
    """
    from tenure.cli.connection import perform

    perform(_mine(agent, tenant, again, as_json))


@learn.command()
@click.argument("agent")
@click.option("--tenant", default="default", show_default=True, help="Whose runs.")
@click.option("--least", default=10, show_default=True, type=click.IntRange(2), help="How many runs make a pattern.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def patterns(agent: str, tenant: str, least: int, as_json: bool) -> None:
    """Show what the runs of AGENT have in common.

    And why nothing was learned of the rest. Nothing of this is kept.
    """
    from tenure.cli.connection import perform

    perform(_patterns(agent, tenant, least, as_json))


@learn.command()
@click.argument("capability")
@_whose
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def show(capability: str, agent: str | None, tenant: str | None, as_json: bool) -> None:
    """Show CAPABILITY whole.

    Its program, what it was learned from, its test, and what became of it.
    """
    from tenure.cli.connection import perform

    perform(_show(capability, agent, tenant, as_json))


@learn.command()
@click.argument("capability")
@_whose
@click.option("--as", "principal", default="operator", show_default=True, help="Which key signs.")
def pack(capability: str, agent: str | None, tenant: str | None, principal: str) -> None:
    """Print CAPABILITY as one signed text, to be unpacked elsewhere."""
    from tenure.cli.connection import perform

    click.echo(perform(_pack(capability, agent, tenant, principal)))


@learn.command()
@click.argument("agent")
@click.argument("file", type=click.File())
@click.option("--tenant", default="default", show_default=True, help="Whose agent.")
def unpack(agent: str, file: TextIO, tenant: str) -> None:
    """Propose for AGENT what the pack in FILE (or -) holds.

    Whoever packed it must be an approver here. It is tested on the runs that were recorded here, and people are asked.
    """
    from tenure.cli.connection import perform

    try:
        told = file.read().strip()
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{file.name} is no pack: it is no text") from error
    perform(_unpack(agent, told, tenant))


def _answering(choice: str) -> Callable[..., Any]:  # Any: click's decorators
    @click.argument("capability")
    @_whose
    @click.option(
        "--version", type=int, help="Which version you have read; without it you are told which one is asked about."
    )
    @click.option("--as", "principal", default="operator", show_default=True, help="Which key signs.")
    @click.option("--note", default="", help="A word on why; it is recorded.")
    def command(
        capability: str, agent: str | None, tenant: str | None, version: int | None, principal: str, note: str
    ) -> int:
        from tenure.cli.approvals import give_answer
        from tenure.cli.connection import perform

        return give_answer(
            perform(_asked(capability, agent, tenant, version)),
            choice,
            principal,
            note,
            only_print=False,
            as_json=False,
        )

    return command


learn.command(
    "approve", help="Approve what is asked about CAPABILITY.\n\nThat it looks on, or that it serves everybody."
)(_answering("approve"))
learn.command("deny", help="Deny what is asked about CAPABILITY.\n\nThis version is rejected.")(_answering("deny"))


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
    from tenure.cli import learned, render
    from tenure.cli.connection import connected

    async with connected(server=False) as system:
        found = await system.learn.every()
    if as_json:
        told = [{"capability": _loaded(kept), "rollout": _rollout(rollout)} for kept, rollout in found]
        render.document({"capabilities": told})
    elif not found:
        told = "nothing was learned yet: learning={...} on an Agent, and runs that somebody calls good, do that"
        render.put(render.console(), told)
    else:
        learned.print_list(found)


async def _mine(agent: str, tenant: str | None, again: tuple[str, ...], as_json: bool) -> None:
    from tenure.cli import learned, render
    from tenure.cli.connection import connected

    click.echo(f"looking at the runs of {agent} ...", err=True)
    async with connected() as system:
        mined = await system.learn.mine(agent, tenant, again=again)
        whose = tenant or "default"
        recorded, unjudged = (0, 0) if mined.read else await system.learn.recorded(whose, agent)
    if as_json:
        render.document(mined.model_dump(mode="json"))
        return
    said = [f"{render.count(mined.read, 'verified run')} looked at", *learned.found(mined)]
    unknown = sorted(set(again) - {one.capability for one in mined.found})
    said += [f"--again {name}: nothing of that name was found; `tenure learn` lists what there is" for name in unknown]
    if not mined.read:
        said.append(_nothing_read(whose, recorded, unjudged))
    for line in said:
        render.put(render.console(), line)


async def _pack(name: str, agent: str | None, tenant: str | None, principal: str) -> str:
    from tenure.cli.connection import connected

    async with connected(server=False) as system:
        return system.learn.pack(await system.learn.of(name, tenant, agent), principal)


async def _unpack(agent: str, pack: str, tenant: str) -> None:
    from tenure.cli import learned, render
    from tenure.cli.connection import connected

    async with connected() as system:
        found = await system.learn.unpack(agent, pack, tenant)
    render.put(render.console(), learned.found_line(found))


def _nothing_read(tenant: str, recorded: int, unjudged: int) -> str:
    """Why no run could be looked at."""
    if unjudged or not recorded:
        told = f"{unjudged} of {count(recorded, 'recorded run')} of tenant {tenant} judged by nobody"
        return f"{told}: add evaluate= or feedback; only what somebody called good teaches"
    told = f"{count(recorded, 'recorded run')} of tenant {tenant}, and none teaches this build of the agent"
    return f"{told}: they are of earlier builds, older than timeWindow, or nobody called them good"


async def _patterns(agent: str, tenant: str, least: int, as_json: bool) -> None:
    from tenure.cli import learned, render
    from tenure.cli.connection import connected

    async with connected(server=False) as system:
        found = await system.learn.patterns(agent, tenant, least)
        recorded, unjudged = await system.learn.recorded(tenant, agent)
    if as_json:
        told = [one.model_dump(mode="json") for one in found]
        render.document({"patterns": told, "recorded": recorded, "unjudged": unjudged})
        return
    console, many = render.console(), render.count(recorded, "recorded run")
    render.put(console, f"{many}, {recorded - unjudged} of them judged: only what somebody called good teaches")
    for one in found:
        console.print()
        learned.print_pattern(console, one)


async def _show(name: str, agent: str | None, tenant: str | None, as_json: bool) -> None:
    from tenure.cli import learned, render
    from tenure.cli.connection import connected

    async with connected(server=False) as system:
        known = await system.learn.of(name, tenant, agent)
    if as_json:
        render.document(_document(known))
    else:
        learned.print_whole(known)


def _document(known: Known) -> JsonObject:
    return {
        "capability": _loaded(known.kept),
        "rollout": _rollout(known.rollout),
        "changes": [vars(one) for one in known.changes],
        "tried": [{**vars(one), "came_of": known.came_of(one)} for one in known.tried],
    }


def _loaded(kept: Kept) -> JsonObject:
    """What the store keeps as text is a document here too."""
    told = vars(kept)
    return {**told, **{name: json.loads(told[name]) if told[name] else None for name in ("body", "proposal", "report")}}


def _rollout(row: RolloutRow | None) -> JsonObject | None:
    return {**vars(row), "body": json.loads(row.body)} if row else None


async def _asked(name: str, agent: str | None, tenant: str | None, version: int | None) -> str:
    """The open request about the version of a capability that was read; an answer is never about another one."""
    from tenure.cli.connection import connected
    from tenure.client.learn import workflow_of

    async with connected(server=False) as system:
        known = await system.learn.of(name, tenant, agent)
        opened = [one for one in await system.approvals.pending() if one.workflow == workflow_of(known.kept)]
    if not opened:
        stage = known.rollout.stage.replace("_", " ") if known.rollout else "being tested"
        raise NotFound(f"nobody is asked about {name} now: it is {stage}")
    asked = opened[0].payload
    newest = asked.get("version")
    what, read = f"{asked.get('step')} {name} version {newest}", f"`tenure learn show {name}`"
    if version is None:
        raise BadInput(f"people are asked to {what}: read it ({read}), and say --version {newest}")
    if version != newest:
        raise BadInput(f"--version {version}: people are asked to {what}; read that one first ({read})")
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
    from tenure.cli.learned import state
    from tenure.learn.rollout import LIVE

    found, name = state(known.rollout) if known.rollout else None, known.kept.id
    stage = found.stage.replace("_", " ") if found else "mined"
    if what == "reopen" and stage != "inconclusive":
        raise BadInput(f"only what ended without a verdict is reopened: {name} is {stage}")
    is_stopped = (
        known.rollout is not None and known.rollout.serving == "no" and stage in LIVE
    )  # it may not have heard yet
    if what == "resume" and not (is_stopped or (found and found.held)):
        raise BadInput(f"{name} is not paused: it is {stage}")
    if what == "pause" and found and found.held:
        raise BadInput(f"{name} is paused already: {found.held}")
