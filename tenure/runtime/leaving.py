"""Leaving: how a process of ours ends that has spoken to Temporal."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
from typing import NoReturn


def leave(code: int) -> NoReturn:
    """End this process without finalising the interpreter.

    Threads of Temporal's core may still call into an interpreter that is being finalised, which aborts the process
    with SIGABRT (temporalio/sdk-python 300) after everything was done right.
    """
    atexit._run_exitfuncs()  # pyright: ignore[reportPrivateUsage]  # nothing public runs them before os._exit
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)
