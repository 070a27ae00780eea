"""A whole Tenure whose workers are processes of their own, so that they can be killed, frozen and started again."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from bench.ledger import Ledger
from tenure.activities.resources import now
from tenure.approvals.request import Kind, Request, Verdict
from tenure.client import Tenure
from tenure.errors import TenureError
from tenure.runtime import keys
from tenure.runtime.blobs import Blobs
from tenure.runtime.settings import Settings
from tenure.runtime.store import Store
from tenure.runtime.temporal import start_server
from tenure.testing import ScriptedClaude

T = TypeVar("T")
ROOT = Path(__file__).resolve().parent.parent
READY = "ready on task queue"
LOOK = 0.03  # seconds between two looks at what is recorded
_starting: list[int] = []  # what stdout was before each server that is starting now
OURS = ("TENURE_", "TEMPORAL_", "ANTHROPIC_", "BENCH_")


@dataclass
class WorkerProcess:
    """One worker, served by a process that a benchmark owns."""

    process: asyncio.subprocess.Process
    log: Path
    begun: int  # milliseconds since the epoch

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    async def ready(self, *, within: float = 60.0) -> None:
        """Wait until it serves. Raises RuntimeError with what it said when it does not."""
        deadline = time.monotonic() + within
        while READY not in self.log.read_text():
            if self.process.returncode is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the worker did not start:\n{self.log.read_text()[-4000:]}")
            await asyncio.sleep(LOOK)

    async def kill(self) -> int:
        """SIGKILL; returns when it was sent, in milliseconds since the epoch."""
        if self.process.returncode is None:
            self.process.kill()
        at = now()
        await self.process.wait()
        return at

    def freeze(self) -> None:
        """SIGSTOP: the process stands still and knows nothing of it."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT: the process goes on where it stood."""
        self.process.send_signal(signal.SIGCONT)


@dataclass
class Stage:
    """Temporal, a store, a scripted Claude, the outside world, and as many worker processes as are started."""

    system: Tenure
    claude: ScriptedClaude
    ledger: Ledger
    folder: Path
    env: dict[str, str]
    workers: list[WorkerProcess] = field(default_factory=list[WorkerProcess])

    @property
    def store(self) -> Store:
        """The store that the workers write."""
        return self.system.require_store()

    async def start_worker(self, agents: str, *, module: str = "tenure.worker") -> WorkerProcess:
        """Start `python -m MODULE --agents AGENTS`; it dies with this process."""
        log = self.folder / f"worker-{len(self.workers)}.log"
        guard = shutil.which("setpriv")
        alone = [guard, "--pdeathsig", "KILL"] if guard else []
        begun = now()
        with log.open("wb") as out:
            process = await asyncio.create_subprocess_exec(
                *alone, sys.executable, "-m", module, "--agents", agents,
                cwd=ROOT, env=self.env, stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=out,
            )  # fmt: skip
        worker = WorkerProcess(process, log, begun)
        self.workers.append(worker)
        return worker

    async def answer(self, request: Request, choice: str) -> Verdict | None:
        """Answer as a local principal; None when no worker looked at it in time."""
        key = keys.load(self.system.settings.home / "keys", "operator")
        token = self.system.approvals.sign(request, choice, "operator", key)
        return await self.system.approvals.send(request, token)

    async def doubts(self) -> list[Request]:
        """The effects that a person is asked about now."""
        return [r for r in await self.system.approvals.pending() if r.kind is Kind.IN_DOUBT]

    async def ended(self) -> set[str]:
        """The runs that are at their end."""
        return await self.store.read(
            lambda db: {row[0] for row in db.execute("SELECT workflow FROM runs WHERE finished_at IS NOT NULL")}
        )

    async def say_what_happened(self, request: Request) -> Verdict | None:
        """Answer from the ledger; None while it is too early to say that an effect did not happen."""
        step = request.payload["arguments"]["step"]
        if self.ledger.happened(request.workflow, step):
            return await self.answer(request, "happened")
        if now() < request.did_not_from + 50:  # the workflow judges by its own clock, which stands still between tasks
            return None
        return await self.answer(request, "did-not")

    def faults_logged(self) -> dict[str, int]:
        """Error classes at the end of tracebacks in the workers' logs, counted: for a person to look into."""
        found: dict[str, int] = {}
        for worker in self.workers:
            lines = worker.log.read_text(errors="replace").splitlines()
            inside = False
            for line in lines:
                if line.startswith("Traceback (most recent call last)"):
                    inside = True
                elif inside and line and not line.startswith((" ", "\t")):
                    name = line.partition(":")[0][:80]
                    found[name] = found.get(name, 0) + 1
                    inside = False
        return found


@asynccontextmanager
async def staged(
    script: Callable[[dict[str, Any]], Any],  # Any: JSON in, whatever ScriptedClaude takes out
    *,
    latency: float = 0.0,
    keep: Path | None = None,
    **env: str,
) -> AsyncIterator[Stage]:
    """Start everything but a worker; nothing is left behind, unless `keep` names a folder for what was recorded."""
    async with AsyncExitStack() as stack:
        folder = keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tenure-bench-")))
        folder.mkdir(parents=True, exist_ok=True)
        claude = stack.enter_context(ScriptedClaude(script, latency=latency, record=False))
        with _quiet():
            server = await start_server()
        stack.push_async_callback(server.shutdown)
        home = folder / ".tenure"
        keys.make_local(home / "keys")
        made = {name: value for name, value in os.environ.items() if not name.startswith(OURS)} | {
            "TENURE_HOME": str(home),
            "TEMPORAL_ADDRESS": server.client.service_client.config.target_host,
            "ANTHROPIC_BASE_URL": claude.base_url,
            "ANTHROPIC_API_KEY": "scripted",
            "BENCH_FOLDER": str(folder),
            **env,
        }
        settings = Settings.load(made)
        store = Store.open(settings.database_url)
        await store.transact(lambda db: keys.register_local(db, home / "keys", now()))
        system = Tenure(server.client, settings, store, Blobs(settings.blob_url))
        stack.callback(system.close)
        stage = Stage(system, claude, Ledger(folder / "ledger.db").make(), folder, made)
        stack.push_async_callback(_end_all, stage)
        yield stage


@contextmanager
def _quiet() -> Iterator[None]:
    """The server prints a banner on the stdout it inherits: figures alone belong there."""
    _starting.append(os.dup(1))
    os.dup2(2, 1)
    try:
        yield
    finally:
        # Stages may start side by side: the last one to be up puts back what the first one found.
        first = _starting[0]
        if len(_starting) == 1:
            os.dup2(first, 1)
        os.close(_starting.pop())


async def until(look: Callable[[], Awaitable[T]], *, within: float, what: str) -> T:
    """The first truthy thing `look` sees. Raises TimeoutError naming `what` was waited for."""
    deadline = time.monotonic() + within
    while True:
        found = await look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(f"not seen within {within:g} s: {what}")
        await asyncio.sleep(LOOK)


def say(what: str) -> None:
    """Tell a person who watches how far it is."""
    print(time.strftime("%H:%M:%S"), what, file=sys.stderr, flush=True)


def run_to_end(work: Coroutine[Any, Any, T]) -> T:
    """Like asyncio.run; SIGTERM ends it as Ctrl-C does, so that no server and no worker stays behind."""

    async def guarded() -> T:
        task = asyncio.ensure_future(work)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await task

    try:
        return asyncio.run(guarded())
    except TenureError as error:
        raise SystemExit(f"{type(error).__name__}: {error}") from error


async def _end_all(stage: Stage) -> None:
    for worker in stage.workers:
        await worker.kill()  # SIGKILL ends a stopped process too
