"""A question on the terminal, asked so that the event loop goes on meanwhile and Ctrl-C is heard."""

from __future__ import annotations

import asyncio
import os
import sys
import termios
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

LINE = 4096  # bytes; a terminal hands over one line at a time, and none is longer


def attended() -> bool:
    """Whether there is a terminal on stdin that this process may read; one in the background would be stopped for it."""
    try:
        if not sys.stdin.isatty():
            return False
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except AttributeError:  # no stdin at all: Python holds None there
        return False
    except ValueError:  # closed
        return False
    except OSError:  # a terminal, but not the one that rules over us
        return True


async def ask(console: Console, words: str) -> str:
    """The line that is typed after `words`. Raises EOFError at the end of input."""
    fd, loop = sys.stdin.fileno(), asyncio.get_running_loop()
    typed: asyncio.Future[bytes] = loop.create_future()
    termios.tcflush(fd, termios.TCIFLUSH)  # what was typed before the question is no answer to it

    def read() -> None:
        loop.remove_reader(fd)
        try:
            typed.set_result(os.read(fd, LINE))
        except OSError:  # the terminal is gone
            typed.set_result(b"")

    console.print(words, end="")
    console.file.flush()
    loop.add_reader(fd, read)
    try:
        line = await typed
    finally:
        loop.remove_reader(fd)
    if not line:
        raise EOFError
    return line.decode(errors="replace").strip()
