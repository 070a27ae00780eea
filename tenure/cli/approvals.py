"""Requests and answers: `pending`, `approve`, `deny`, `answer`."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast

import click

from tenure.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable

    from tenure.approvals.request import Request, Verdict
    from tenure.client import Tenure
    from tenure.runtime.store.restrictions import Restricted
    from tenure.wire import Json, JsonObject


MEANING = {
    "happened": "it took effect: go on with that",
    "did-not": "it did not: it may be made again",
    "continue": "the run may ask on",
}
STOP = {"in_doubt": "nobody can say: end the run"}  # elsewhere: end the run
EXAMPLE = """--edit '{"amount": 40}'"""


def _signing(command: Callable[..., Any]) -> Callable[..., Any]:  # Any: click's decorators
    """The options every answer has."""
    for decorate in (
        click.option(
            "--print", "only_print", is_flag=True, help="Print the token, for the Temporal UI, and send nothing."
        ),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON document."),
        click.option("--note", default="", help="A word on why; it is recorded, and Claude reads it after a denial."),
        click.option("--as", "principal", default="operator", show_default=True, help="Which key signs."),
        click.argument("request"),
    ):
        command = decorate(command)
    return command


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def pending(as_json: bool) -> None:
    """List what people are asked, the oldest first."""
    from tenure.cli.connection import perform

    async def work() -> None:
        from tenure.cli import render
        from tenure.cli.connection import connected, link

        async with connected(server=False) as system:
            opened = await system.approvals.pending()
            told = [(request, await _approved(system, request), await _halts(system, request)) for request in opened]
        if as_json:
            render.document(
                [_pending(request, by, halts, link(system, request.workflow)) for request, by, halts in told]
            )
        elif not opened:
            click.echo("nothing is pending: no run waits for a person")
        for request, by, halts in () if as_json else told:
            _print_request(request, by, halts)

    perform(work())


@click.command()
@_signing
@click.option(
    "--edit",
    metavar="JSON",
    help="The arguments to change, as a JSON object, or @FILE that holds it; of a budget "
    """'{"add": 5}', in dollars.""",
)
def approve(request: str, principal: str, note: str, only_print: bool, as_json: bool, edit: str | None) -> int:
    """Approve REQUEST; with --edit nothing is approved yet: what is changed is asked about anew.

    Arguments that --edit does not name stay as they are.
    """
    if edit is None:
        return give_answer(request, "approve", principal, note, only_print, as_json)
    return give_answer(request, "edit", principal, note, only_print, as_json, _arguments(edit))


@click.command()
@_signing
def deny(request: str, principal: str, note: str, only_print: bool, as_json: bool) -> int:
    """Deny REQUEST."""
    return give_answer(request, "deny", principal, note, only_print, as_json)


@click.command()
@_signing
@click.argument("choice")
def answer(request: str, choice: str, principal: str, note: str, only_print: bool, as_json: bool) -> int:
    """Answer REQUEST with CHOICE: one of those that `tenure pending` shows.

    For an effect in doubt `happened`, `did-not` or `stop`; for a run that has asked often `continue` or `stop`.
    """
    return give_answer(request, choice, principal, note, only_print, as_json)


def _arguments(text: str) -> JsonObject:
    """What somebody wants a call to be made with. Raises BadInput."""
    where = f"--edit {text!r:.80}"
    try:
        told = json.loads(
            Path(text[1:]).read_text() if text.startswith("@") else text,
            parse_constant=_no_number,
            object_pairs_hook=_once,
        )
    except OSError as error:
        raise BadInput(f"{where}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{where} is no JSON ({error}): write an object, as in {EXAMPLE}") from error
    if not isinstance(told, dict):
        raise BadInput(f"{where}: must be a JSON object, as in {EXAMPLE}")
    return cast("JsonObject", told)  # json.loads: keys are strings


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number in JSON")


def _once(pairs: list[tuple[str, Json]]) -> JsonObject:
    told = dict(pairs)
    if len(told) < len(pairs):
        raise ValueError("a name is written twice")  # which of the two would be signed?
    return told


def give_answer(
    part: str,
    choice: str,
    principal: str,
    note: str,
    only_print: bool,
    as_json: bool,
    edit: JsonObject | None = None,
) -> int:
    """Show the request that `part` means, and answer it. Returns the exit code."""
    from tenure.cli.connection import perform

    async def work() -> int:
        from tenure.cli.connection import connected, link
        from tenure.client.approvals import edited
        from tenure.runtime import keys

        async with connected(server=not only_print) as system:
            request = await system.approvals.find(part)
            key = keys.load(system.settings.home / "keys", principal)
            wanted = None if edit is None else edited(request, edit)
            if only_print:
                token = system.approvals.sign(request, choice, principal, key, note, edit=wanted)
                return _print_token(request, choice, wanted, token, link(system, request.workflow), as_json)
            if not as_json:
                before = await _approved(system, request), await _halts(system, request)
                _print_request(request, *before, how=False, edit=wanted)
            token = system.approvals.sign(request, choice, principal, key, note, edit=wanted)
            verdict = await system.approvals.send(request, token)
            approved, halts = await _approved(system, request), await _halts(system, request)
            if as_json:
                return _document(request, verdict, approved, halts)
            fence = await system.restrictions.fence(request.tenant, request.agent)
            return _tell(request, verdict, approved, halts, is_late=fence > request.epoch)

    return perform(work())


def _print_token(request: Request, choice: str, edit: JsonObject | None, token: str, url: str, as_json: bool) -> int:
    """The token alone on stdout; what it says, and where it goes, beside it."""
    from tenure.cli import page, render
    from tenure.cli.terminal import plain
    from tenure.client.approvals import VALID

    if as_json:
        render.document({"request": request.id, "run": request.workflow, "token": token, "url": url})
        return 0
    asked = page.what(request.payload)
    said = asked if edit is None else f"{page.instead(request, edit)}\ninstead of {asked}"
    click.echo(token)
    click.echo(f"It says {choice} to {request.id}: {plain(said)}", err=True)
    click.echo(f"Within {VALID // 60} minutes, paste it in the Temporal UI, on the page of the run:\n{url}", err=True)
    click.echo(
        'More Actions, Send a Signal (or an Update): `answer`, with the "TOKEN"\nin double quotes as JSON.', err=True
    )
    return 0


def _pending(request: Request, approved: list[str], halts: list[Restricted], url: str) -> JsonObject:
    from tenure.cli import restricted

    more = {"approved_by": approved, "halted": restricted.reasons(halts), "url": url}
    return {**request.model_dump(mode="json"), **more}


def _document(request: Request, verdict: Verdict | None, approved: list[str], halts: list[Restricted]) -> int:
    from tenure.cli import render, restricted

    told: JsonObject = {"request": request.id, "run": request.workflow, "approved_by": approved}
    told |= {"quorum": request.quorum, "halted": restricted.reasons(halts)}
    seen = (
        verdict.model_dump(mode="json") if verdict else {"accepted": None, "reason": "no worker has looked at it yet"}
    )
    render.document({**told, **seen})
    return 0 if verdict is not None and verdict.accepted else 1


def _tell(
    request: Request, verdict: Verdict | None, approved: list[str], halts: list[Restricted], *, is_late: bool
) -> int:
    """What became of the answer. `is_late`: what the agent may do changed after this was asked."""
    if verdict is None:
        click.echo(
            f"tenure: sent, but no worker has looked at the answer yet; it counts as soon as one does, unless it found no room "
            f"among those that wait (`tenure show {request.workflow.rpartition(':')[2]}`)",
            err=True,
        )
        return 1
    if not verdict.accepted:
        click.echo(f"tenure: refused: {verdict.reason}", err=True)
        return 1
    missing = request.quorum - len(approved)
    if verdict.choice != "approve" or missing <= 0:
        click.echo(f"{verdict.choice} by {verdict.principal} counts{_follows(request, verdict.choice, halts, is_late)}")
        return 0
    click.echo(f"approved by {verdict.principal}: {len(approved)} of {request.quorum}")
    click.echo(f"{missing} more must approve: tenure approve {request.id} --as {_another(approved)}")
    return 0


def _follows(request: Request, choice: str, halts: list[Restricted], is_late: bool) -> str:
    """What an answer that counts leads to."""
    from tenure.cli import restricted

    if choice == "edit":
        changed = "amount" if request.kind == "budget" else "call"
        return f": the changed {changed} is a new request,\nand must be approved as it is now (`tenure pending`)"
    if request.kind == "deployment":
        return f" (`tenure learn show {request.payload.get('capability', '')}`)"
    if request.kind == "escalation":
        return ""
    if choice == "stop" or (request.kind in ("answer", "budget") and choice == "deny"):
        return ": the run ends"
    # What was approved before something was restricted does not survive it: see decision 7.
    anew = is_late and request.kind == "tool_call" and choice == "approve"
    late = "trust or restrictions changed since this was asked,\nso the call is ruled on once more before it is made"
    if halts:
        lift = " and ".join(f"`{restricted.resume(one)}`" for one in halts)
        waits = f"; the run is halted ({restricted.reasons(halts)})\nand goes on after {lift}"
        return f"{waits};\n{late}" if anew else waits
    return f": {late}" if anew else ": the run goes on"


async def _halts(system: Tenure, request: Request) -> list[Restricted]:
    """What stops the run that asks."""
    from tenure.cli import restricted

    return restricted.halts(await system.restrictions.in_force(), request.tenant, request.agent)


async def _approved(system: Tenure, request: Request) -> list[str]:
    """Who has approved so far."""
    from tenure.runtime.store import approvals

    return await system.require_store().read(lambda db: approvals.approved_by(db, request.id))


def _another(approved: list[str]) -> str:
    from tenure.runtime.keys import LOCAL_PRINCIPALS

    return next((name for name in LOCAL_PRINCIPALS if name not in approved), "SOMEBODY-ELSE")


def _print_request(
    request: Request,
    approved: list[str],
    halts: list[Restricted] | None = None,
    *,
    how: bool = True,
    edit: JsonObject | None = None,
) -> None:
    """Everything the answer will sign, and, with `how`, the commands that answer."""
    from tenure.cli import page, render, restricted

    who = f" for {request.user}" if request.user else ""
    console, below = render.console(), page.below(request)
    rows = [*page.kind(request), *page.about(request)]
    click.echo(request.id)
    if below:
        render.put(console, render.pairs(rows))
        console.print(textwrap.indent(below, "  "), soft_wrap=True)
        rows = []
    if edit is not None:
        rows.append(("instead", page.instead(request, edit)))
    rows += [
        ("why", request.why),
        page.subject(request),
        ("asked", f"{render.ago(request.opened_at)}{who} by {request.agent}, tenant {request.tenant}"),
        ("until", f"{page.until(request)}, then {page.afterwards(request)}"),
        *page.needs(request, approved),
        *restricted.rows(halts or []),
    ]
    if request.did_not_from:
        rows.append(
            ("did-not", f"can be said from {render.moment(request.did_not_from)} on: before, it may still happen")
        )
    if how:
        rows += [("do", line) for line in _commands(request, approved)]
    render.put(console, render.pairs(rows))


def _commands(request: Request, approved: list[str]) -> list[str]:
    if request.via and "cli" not in request.via:
        return [f"answer by way of {' or '.join(request.via)}: a command does not count"]
    signed = f" --as {_another(approved)}" if approved else ""
    if "approve" in request.choices:
        told = [f"tenure approve {request.id}{signed}", f"tenure deny {request.id}{signed} --note WHY"]
        edit = """'{"add": 5}'""" if request.kind == "budget" else "JSON"
        return [*told, f"tenure approve {request.id}{signed} --edit {edit}"] if "edit" in request.choices else told
    return [f"tenure answer {request.id} {choice:<9}# {_meaning(request, choice)}" for choice in request.choices]


def _meaning(request: Request, choice: str) -> str:
    return STOP.get(request.kind, "end the run") if choice == "stop" else MEANING.get(choice, "")
