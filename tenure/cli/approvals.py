"""Requests and answers: `pending`, `approve`, `deny`, `answer`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from tenure.approvals.request import Request, Verdict
    from tenure.client import Tenure


MEANING = {
    "happened": "it took effect: go on with that",
    "did-not": "it did not: it may be made again",
    "stop": "nobody can say: end the run",
}


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
            given = [await _approved(system, request) for request in opened]
        if as_json:
            told = zip(opened, given, strict=True)
            render.document(
                [{**r.model_dump(mode="json"), "approved_by": by, "url": link(system, r.workflow)} for r, by in told]
            )
        elif not opened:
            click.echo("nothing is pending: no run waits for a person")
        for request, by in zip(opened, given, strict=True) if not as_json else ():
            _print_request(request, by)

    perform(work())


@click.command()
@_signing
def approve(request: str, principal: str, note: str, only_print: bool, as_json: bool) -> int:
    """Approve REQUEST."""
    return _answer(request, "approve", principal, note, only_print, as_json)


@click.command()
@_signing
def deny(request: str, principal: str, note: str, only_print: bool, as_json: bool) -> int:
    """Deny REQUEST."""
    return _answer(request, "deny", principal, note, only_print, as_json)


@click.command()
@_signing
@click.argument("choice")
def answer(request: str, choice: str, principal: str, note: str, only_print: bool, as_json: bool) -> int:
    """Answer REQUEST with CHOICE: `happened`, `did-not` or `stop` for an effect in doubt."""
    return _answer(request, choice, principal, note, only_print, as_json)


def _answer(part: str, choice: str, principal: str, note: str, only_print: bool, as_json: bool) -> int:
    from tenure.cli.connection import perform

    async def work() -> int:
        from tenure.cli.connection import connected
        from tenure.runtime import keys

        async with connected(server=not only_print) as system:
            request = await system.approvals.find(part)
            key = keys.load(system.settings.home / "keys", principal)
            token = system.approvals.sign(request, choice, principal, key, note)
            if only_print:
                click.echo(token)
                return 0
            if not as_json:
                _print_request(request, await _approved(system, request), how=False)
            verdict = await system.approvals.send(request, token)
            approved = await _approved(system, request)
            return _document(request, verdict, approved) if as_json else _tell(request, verdict, approved)

    return perform(work())


def _document(request: Request, verdict: Verdict | None, approved: list[str]) -> int:
    from tenure.cli import render

    told = {"request": request.id, "run": request.workflow, "approved_by": approved, "quorum": request.quorum}
    seen = (
        verdict.model_dump(mode="json") if verdict else {"accepted": None, "reason": "no worker has looked at it yet"}
    )
    render.document({**told, **seen})
    return 0 if verdict is not None and verdict.accepted else 1


def _tell(request: Request, verdict: Verdict | None, approved: list[str]) -> int:
    if verdict is None:
        click.echo(
            f"tenure: sent, but no worker has looked at the answer yet; it counts as soon as one does "
            f"(`tenure show {request.workflow.rpartition(':')[2]}`)",
            err=True,
        )
        return 1
    if not verdict.accepted:
        click.echo(f"tenure: refused: {verdict.reason}", err=True)
        return 1
    missing = request.quorum - len(approved)
    if verdict.choice != "approve" or missing <= 0:
        ends = verdict.choice == "stop" or (request.kind == "answer" and verdict.choice == "deny")
        click.echo(f"{verdict.choice} by {verdict.principal} counts: the run {'ends' if ends else 'goes on'}")
        return 0
    click.echo(f"approved by {verdict.principal}: {len(approved)} of {request.quorum}")
    click.echo(f"{missing} more must approve: tenure approve {request.id} --as {_another(approved)}")
    return 0


async def _approved(system: Tenure, request: Request) -> list[str]:
    """Who has approved so far."""
    from tenure.runtime.store import approvals

    return await system.require_store().read(lambda db: approvals.approved_by(db, request.id))


def _another(approved: list[str]) -> str:
    from tenure.runtime.keys import LOCAL_PRINCIPALS

    return next((name for name in LOCAL_PRINCIPALS if name not in approved), "SOMEBODY-ELSE")


def _print_request(request: Request, approved: list[str], *, how: bool = True) -> None:
    """Everything the answer will sign, and, with `how`, the commands that answer."""
    from tenure.cli import render
    from tenure.cli.page import what

    who = f" for {request.user}" if request.user else ""
    rows = [
        ("what", what(request.payload)),
        ("why", request.why),
        ("run", request.workflow),
        ("asked", f"{render.ago(request.opened_at)}{who} by {request.agent}, tenant {request.tenant}"),
        ("until", f"{render.moment(request.deadline)}, then {_timeout(request)}"),
    ]
    if request.quorum > 1:
        given = f", {len(approved)} so far: {', '.join(approved)}" if approved else ""
        rows.append(("needs", f"{request.quorum} different people{given}"))
    if request.did_not_from:
        rows.append(
            ("did-not", f"can be said from {render.moment(request.did_not_from)} on: before, it may still happen")
        )
    if how:
        rows += [("do", line) for line in _commands(request, approved)]
    click.echo(request.id)
    render.put(render.console(), render.pairs(rows))


def _timeout(request: Request) -> str:
    if request.on_timeout == "halt" or "approve" not in request.choices:
        return "the run ends"
    return "it counts as denied, and the run ends" if request.kind == "answer" else "it counts as denied"


def _commands(request: Request, approved: list[str]) -> list[str]:
    signed = f" --as {_another(approved)}" if approved else ""
    if "approve" in request.choices:
        return [f"tenure approve {request.id}{signed}", f"tenure deny {request.id}{signed} --note WHY"]
    return [f"tenure answer {request.id} {choice:<9}# {MEANING.get(choice, '')}" for choice in request.choices]
