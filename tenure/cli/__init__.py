"""The command line: a thin face over `tenure.client`.

Rules of this package: importing it costs milliseconds, so each command imports what it needs when it runs; whatever a user
can mend is one line on stderr and exit code 2; an answer or a run that did not succeed is exit code 1.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

import tenure
from tenure.cli.approvals import answer, approve, deny, pending
from tenure.cli.approvers import approvers
from tenure.cli.cache import cache
from tenure.cli.cost import cost
from tenure.cli.demo import demo
from tenure.cli.demo_learning import demo_learning
from tenure.cli.demo_trust import demo_trust
from tenure.cli.dev import dev, worker
from tenure.cli.doctor import doctor
from tenure.cli.feedback import feedback
from tenure.cli.halt import halt, resume
from tenure.cli.init import init
from tenure.cli.learn import learn
from tenure.cli.runs import cancel, run, runs, show
from tenure.cli.trust import trust
from tenure.errors import AnswerRefused, TenureError
from tenure.runtime.leaving import leave

INTERRUPTED = 130


class Face(click.Group):
    """The group of all commands, and the edge where errors become one line and an exit code."""

    def main(self, args: Sequence[str] | None = None, *more: Any, **options: Any) -> NoReturn:  # Any: click's own
        """Run a command and exit."""
        options["standalone_mode"] = False
        options["prog_name"] = "tenure"
        try:
            code = super().main(args, *more, **options)
        except click.Abort:
            code = INTERRUPTED
        except click.ClickException as error:
            code = _complain(_usage(error))
        except AnswerRefused as error:
            code = _complain(f"refused: {error}", 1)
        except TenureError as error:
            code = _complain(str(error))
        sys.exit(code)

    def __call__(self, *args: Any, **options: Any) -> NoReturn:  # Any: click's own
        """The program: run a command, then leave."""
        try:
            self.main(*args, **options)
        except SystemExit as left:
            leave(left.code if isinstance(left.code, int) else 0)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order one meets them."""
        return list(self.commands)


def _complain(problem: str, code: int = 2) -> int:
    click.echo(f"tenure: {problem}", err=True)
    return code


def _usage(error: click.ClickException) -> str:
    told = " ".join(error.format_message().split()).rstrip(".")
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"{told}; `{context.command_path} --help` shows how" if context else told


@click.group(cls=Face, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(tenure.__version__, message="tenure %(version)s")
@click.pass_context
def main(context: click.Context) -> None:
    """Claude agents that are durable, approved and accountable.

    Try `tenure demo`, then `tenure dev`. A RUN is a run's id, or at least 6 characters that its last part begins or ends
    with; a REQUEST is a request's id, or at least 6 characters that it begins or ends with after `req-`, or the run that asks.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for command in (
    demo,
    demo_trust,
    demo_learning,
    init,
    dev,
    worker,
    run,
    runs,
    show,
    cancel,
    pending,
    approve,
    deny,
    answer,
    feedback,
    cost,
    learn,
    cache,
    halt,
    resume,
    doctor,
    trust,
    approvers,
):
    main.add_command(command)
