"""What runs in a `.tenure` folder: written by `tenure dev` and `demo`, read by every other command to find the server."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import tempfile
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TextIO

from tenure.errors import ConfigError

FILE, LOCK = "dev.json", "dev.lock"


@dataclass(frozen=True)
class Running:
    """One set-up: who started it, where its server and UI are, and its processes by pid with when each was born."""

    what: str
    pid: int
    address: str
    ui: str
    processes: dict[str, str] = field(default_factory=dict[str, str])


def read(home: Path) -> Running | None:
    """The set-up that lives in `home`; None when nobody lives there."""
    found = _read(home)
    return found if found is not None and _lives(found.pid) else None


def write(home: Path, running: Running) -> None:
    """Say what runs; a reader sees the old file or the new one, never half of one."""
    draft = home / f"{FILE}.new"
    draft.write_text(json.dumps(asdict(running), indent=2) + "\n")
    draft.replace(home / FILE)


@contextmanager
def alone(home: Path) -> Generator[None]:
    """Hold `home` for one set-up; what a killed predecessor left running is ended. Raises ConfigError when it is taken."""
    home.mkdir(parents=True, exist_ok=True)
    # The kernel lets go of the lock when its holder dies, however it dies; a pid in a file would outlive it.
    with (home / LOCK).open("w") as lock:
        if not _locked(lock):
            raise ConfigError(_taken(home))
        _end_leftovers(home)
        try:
            yield
        finally:
            (home / FILE).unlink(missing_ok=True)


@asynccontextmanager
async def one_at_a_time() -> AsyncGenerator[None]:
    """Hold what every set-up of this user must hold while it picks ports and starts to listen on them.

    Otherwise two could pick the same ones, and the second would take the first one's server for its own.
    """
    path = Path(tempfile.gettempdir(), f"tenure-ports-{os.getuid()}.lock")
    with path.open("w") as lock:  # noqa: ASYNC230  # an empty file
        while not _locked(lock):  # noqa: ASYNC110  # another process holds it: no event of ours can tell
            await asyncio.sleep(0.05)
        yield


def born(pid: int) -> str:
    """When a living process began, in words of its kernel; empty where /proc does not tell. A reused pid has another birth."""
    try:
        told = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if told[0] == "Z" else told[19]


def children_of(pid: int) -> list[int]:
    """The living children of a process, where /proc tells."""
    return [int(folder.name) for folder in Path("/proc").glob("[0-9]*") if _parent(folder) == pid]


def _locked(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _taken(home: Path) -> str:
    found = _read(home)
    if found is None:
        return f"another `tenure dev` is starting in {home}: wait for it, or set TENURE_HOME to another folder"
    return (
        f"`tenure {found.what}` runs in {home} already (pid {found.pid}, UI {found.ui}): use it, stop it, "
        "or set TENURE_HOME to another folder"
    )


def _end_leftovers(home: Path) -> None:
    found = _read(home)
    for pid, birth in (found.processes if found else {}).items():
        if birth and born(int(pid)) == birth:
            os.kill(int(pid), signal.SIGKILL)
            _wait_for_end(int(pid), birth)


def _wait_for_end(pid: int, birth: str) -> None:
    deadline = time.monotonic() + 2.0
    while born(pid) == birth and time.monotonic() < deadline:
        time.sleep(0.01)


def _read(home: Path) -> Running | None:
    try:
        return Running(**json.loads((home / FILE).read_text()))
    except (OSError, ValueError, TypeError):
        return None  # nobody wrote one, or not in this form: the same as nobody there


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _parent(folder: Path) -> int | None:
    try:
        return int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None  # ended while we looked
