"""How things are shown: 80 columns, colour on a terminal only, and nothing cut that a person decides on."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from tenure.wire import Json, JsonObject

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

WIDEST = 110  # columns: longer lines of prose are hard to read
TEXT = 46  # columns left for the text of a step on a terminal of 80


def console(*, stderr: bool = False) -> Console:
    """A console that takes text as it is: no markup in it, no emoji codes, no guessed highlights, no control characters."""
    from tenure.cli.terminal import Terminal

    made = Terminal(stderr=stderr, highlight=False, markup=False, emoji=False)
    made.width = min(made.width, WIDEST)
    return made


def document(value: Json) -> None:
    """Print one JSON document."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def answer(text: str) -> None:
    """Print what Claude answered: where no person reads it, as it is."""
    from tenure.cli.terminal import plain

    sys.stdout.write((plain(text) if sys.stdout.isatty() else text) + "\n")


def columns(*, header: bool = False, figures: bool = True) -> Table:
    """Rows of a story: clock, guide, text and, with `figures`, took, tokens, cost."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), expand=True, show_header=header, header_style="dim")
    table.add_column("time", width=8, no_wrap=True, style="dim")
    table.add_column("", width=1, no_wrap=True)
    table.add_column("step", ratio=1, overflow="fold")
    if not figures:
        return table
    table.add_column("took", width=7, justify="right", no_wrap=True)
    table.add_column("tokens", width=6, justify="right", no_wrap=True, style="dim")
    table.add_column("cost", width=7, justify="right", no_wrap=True, style="dim")
    return table


def figures(took: int | None, tokens: int = 0, cost: int = 0) -> tuple[str, str, str]:
    """The last three cells of a row; what is nothing is not said."""
    return seconds(took or None), f"{tokens:,}" if tokens else "", money(cost) if cost else ""


def put(console: Console, what: RenderableType) -> None:
    """Print; outside a terminal without the blanks that tables pad their lines with."""
    if console.is_terminal:
        console.print(what)
        return
    with console.capture() as caught:
        console.print(what)
    lines = [line.rstrip() for line in caught.get().splitlines()]
    console.file.write("\n".join(lines) + "\n")
    console.file.flush()


def say(text: str) -> None:
    """Print prose, in lines as wide as the terminal."""
    put(console(), text)


def cut(text: str, limit: int) -> str:
    """A text in one line."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def pairs(rows: Iterable[tuple[str, str]], indent: int = 2) -> Table:
    """Names and what they are, one below the other."""
    from rich.padding import Padding
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    for name, told in rows:
        table.add_row(Padding(name, (0, 0, 0, indent)), told)
    return table


def listing(
    names: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    right: Iterable[int] = (),
    cut: Iterable[int] = (),
    fold: Iterable[int] = (),
) -> Table:
    """A table without lines. Where there is no room only the columns `cut` and `fold` give way, the latter into more lines: from
    the others one copies or compares."""
    from rich.table import Table

    cells, cut, fold = list(rows), list(cut), list(fold)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for index, name in enumerate(names):
        table.add_column(
            name,
            no_wrap=index not in fold,
            overflow="fold" if index in fold else "ellipsis",
            min_width=None if index in (*cut, *fold) else max(map(len, (name, *(row[index] for row in cells)))),
            justify="right" if index in right else "left",
        )
    for row in cells:
        table.add_row(*row)
    return table


def money(micro: int) -> str:
    """Micro-dollars as dollars."""
    return f"${micro / 1_000_000:.4f}"


def clock(at: int | None) -> str:
    """The local time of day of a moment in milliseconds."""
    return "" if at is None else datetime.fromtimestamp(at / 1000).strftime("%H:%M:%S")


def moment(at: int) -> str:
    """The local date and time of a moment in milliseconds."""
    return datetime.fromtimestamp(at / 1000).strftime("%Y-%m-%d %H:%M:%S")


def seconds(milliseconds: int | None) -> str:
    """A duration as people say it."""
    if milliseconds is None:
        return ""
    value = max(milliseconds, 0) / 1000  # two clocks tell when a run began and when it ended
    if value < 100:
        return f"{value:.1f} s"
    if value < 6000:
        return f"{value / 60:.0f} min"
    return f"{value / 3600:.0f} h" if value < 180_000 else f"{value / 86_400:.0f} d"


def ago(at: int) -> str:
    """How long ago a moment was."""
    passed = max(0, round(time.time() - at / 1000))
    return f"{passed} s ago" if passed < 100 else f"{seconds(passed * 1000)} ago"


def count(number: int, thing: str) -> str:
    """`1 turn`, `2 turns`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def call(tool: str, arguments: JsonObject) -> str:
    """A tool call as one would write it, uncut."""
    told = ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in arguments.items())
    return f"{tool}({told})"


def shown(value: Json, limit: int) -> str:
    """A value as text, cut with a word about what is missing."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if len(text) <= limit * 1.2:  # what is left must be worth a word about it
        return text
    return f"{text[:limit]}… ({len(text) - limit:,} characters more: --json has them)"
