"""A whole Tenure on this machine, for as long as a block runs: Temporal with its UI, the store, keys, a worker process.

Rules of this file: everything started here ends here, in whatever way the block ends; the worker and what it leaves are
found again by the next set-up in the same folder if this process itself is killed.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from temporalio.testing import WorkflowEnvironment

from tenure.client import Tenure
from tenure.errors import ConfigError, TemporalUnavailable, Unavailable
from tenure.runtime import keys, running
from tenure.runtime.blobs import Blobs
from tenure.runtime.running import Running
from tenure.runtime.settings import Settings
from tenure.runtime.store import Store
from tenure.runtime.temporal import start_server

PORT, UI_PORT = 7233, 8233
READY = "ready on task queue"  # what the worker says once it serves
SAYS = "tenure worker: "
FAULT = re.compile(rf"{SAYS}[A-Z]\w+: ")  # an error, by its name
READY_SECONDS = 60.0
STOP_SECONDS = 5.0
LINE_LIMIT = 2**20  # bytes of one line of the worker's that are read as one
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Hear = Callable[[str], None]  # what is done with each line the worker writes


class WorkerProcess:
    """The worker as a process of its own, in a session of its own: Ctrl-C reaches us, and we end it."""

    def __init__(self, agents: Sequence[str], env: Mapping[str, str], hear: Hear) -> None:
        self._command = [sys.executable, "-m", "tenure.worker", "--agents", *agents]
        self._env = dict(env)
        self._hear: Hear | None = hear
        self._process: asyncio.subprocess.Process | None = None
        self._pump: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._last = self._fault = ""

    @property
    def pid(self) -> int:
        """Of the process that runs, or ran last."""
        return self._process.pid if self._process else 0

    async def start(self) -> None:
        """Start it; it serves once `ready` returns."""
        self._ready.clear()
        self._fault = ""
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            env=self._env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            limit=LINE_LIMIT,
        )
        self._pump = asyncio.create_task(self._listen(self._process))

    async def ready(self) -> None:
        """Wait until it serves. Raises ConfigError with its own words when it ends before, Unavailable when it takes too long."""
        ready, ended = asyncio.create_task(self._ready.wait()), asyncio.create_task(self.ended())
        try:
            await asyncio.wait({ready, ended}, timeout=READY_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
            ended.cancel()
        if self._ready.is_set():
            return
        if self._process is None or self._process.returncode is None:
            raise Unavailable(f"the worker was not ready within {READY_SECONDS:g} s; its last line: {self._last!r}")
        if self._pump:
            await self._pump
        raise ConfigError(f"the worker did not start: {self._fault or self._last or 'it said nothing'}")

    async def ended(self) -> int:
        """Wait until it has ended; its exit code, negative for a signal."""
        return await self._process.wait() if self._process else 0

    def kill(self) -> None:
        """SIGKILL: no goodbye."""
        if self._process and self._process.returncode is None:
            self._process.kill()

    async def stop(self) -> None:
        """End it: gently, then not; and whatever its tools have started."""
        process, self._hear = self._process, None  # its last words are of no interest
        if process is None:
            return
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOP_SECONDS)
            except TimeoutError:
                process.kill()
                await process.wait()
        with suppress(ProcessLookupError, PermissionError):  # nobody of its session is left
            os.killpg(process.pid, signal.SIGKILL)
        if self._pump:
            await self._pump

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        lines = process.stdout
        while lines is not None:
            try:
                line = await lines.readline()
            except ValueError:
                continue  # a line beyond the limit is dropped; reading must go on, or the worker would block
            if not line:
                return
            said = line.decode(errors="replace").rstrip()
            self._last = said.removeprefix(SAYS)
            if FAULT.match(said):  # its own word on why: what comes after it may be no more than how it fell
                self._fault = self._last
            if self._hear:
                self._hear(self._last)
            if READY in self._last:
                self._ready.set()


@dataclass(frozen=True)
class Local:
    """What runs. `notes` says where it differs from the usual, such as ports that were taken."""

    system: Tenure
    address: str
    worker: WorkerProcess
    notes: list[str]
    what: str

    async def start_worker(self) -> None:
        """Start the worker, the first time or after it ended, and wait until it serves. Raises what `ready` raises."""
        await self.worker.start()
        self.announce()
        await self.worker.ready()

    def announce(self) -> None:
        """Write down what runs, for the other commands and for a successor."""
        own = [self.worker.pid, *running.children_of(os.getpid())]
        born = {str(pid): running.born(pid) for pid in own if pid}
        told = Running(self.what, os.getpid(), self.address, self.system.settings.ui_url, born)
        running.write(self.system.settings.home, told)


@asynccontextmanager
async def local(what: str, agents: Sequence[str], claude: Mapping[str, str], hear: Hear) -> AsyncGenerator[Local]:
    """Run a whole Tenure that serves `agents`; `claude` is the part of the environment that says who answers.

    Raises ConfigError when one runs in this folder already or the worker cannot serve, TemporalUnavailable.
    """
    settings = Settings.load()
    async with AsyncExitStack() as stack:
        stack.enter_context(running.alone(settings.home))
        root = keys.make_local(settings.home / "keys")
        server, ui, notes = await _server(settings, stack)
        settings = Settings.at(settings.home, {**os.environ, "TENURE_APPROVER_ROOT": root, "TENURE_UI_URL": ui})
        store = Store.open(settings.database_url)
        system = Tenure(server.client, settings, store, Blobs(settings.blob_url))
        stack.callback(system.close)
        await store.transact(lambda db: keys.register_local(db, settings.home / "keys", round(time.time() * 1000)))
        address = server.client.service_client.config.target_host
        worker = WorkerProcess(agents, _environment(settings, address, root, claude), hear)
        stack.push_async_callback(worker.stop)
        made = Local(system, address, worker, notes, what)
        made.announce()
        await made.start_worker()
        yield made


def run_until_stopped(work: Coroutine[Any, Any, int]) -> int:
    """`asyncio.run`, where Ctrl-C, SIGTERM and a closed terminal end `work` through its own clean-up, once."""

    async def guarded() -> int:
        loop, task, stopped = asyncio.get_running_loop(), asyncio.ensure_future(work), list[int]()

        def stop(number: int) -> None:
            if not stopped:  # a second Ctrl-C must not cut the clean-up short: it takes seconds at most
                stopped.append(number)
                task.cancel()

        for number in ENDING:
            loop.add_signal_handler(number, stop, number)
        try:
            return await task
        except asyncio.CancelledError:
            if stopped:
                return 128 + stopped[0]
            raise

    return asyncio.run(guarded())


async def _server(settings: Settings, stack: AsyncExitStack) -> tuple[WorkflowEnvironment, str, list[str]]:
    async with running.one_at_a_time():
        port, ui_port = _port(PORT), _port(UI_PORT)
        server = await _started(settings.home / "temporal.db", port, ui_port)
        stack.push_async_callback(server.shutdown)
    chosen = ((PORT, port), (UI_PORT, ui_port))
    notes = [f"port {usual} is taken, {port} is used" for usual, port in chosen if usual != port]
    return server, f"http://localhost:{ui_port}", notes


async def _started(database: Path, port: int, ui_port: int) -> WorkflowEnvironment:
    starting = asyncio.create_task(start_server(database=database, port=port, ui_port=ui_port, log_level="never"))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        await (await starting).shutdown()  # given up halfway, it would stay behind
        raise
    except RuntimeError as error:
        raise TemporalUnavailable(f"the embedded Temporal server did not start: {error}") from error


def _port(usual: int) -> int:
    """The usual port if nobody has it, else a free one."""
    for port in (usual, 0):
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                continue
            return trial.getsockname()[1]
    raise TemporalUnavailable("no free port on 127.0.0.1")


def _environment(settings: Settings, address: str, root: str, claude: Mapping[str, str]) -> dict[str, str]:
    """The worker's environment: this one, except that Temporal is ours and nothing else of it is configured."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TEMPORAL_")}
    return inherited | {
        "TEMPORAL_ADDRESS": address,
        "TEMPORAL_NAMESPACE": "default",
        "TEMPORAL_CONFIG_FILE": os.devnull,
        "TENURE_HOME": str(settings.home),
        "TENURE_APPROVER_ROOT": root,
        "TENURE_UI_URL": settings.ui_url,
        **claude,
    }
