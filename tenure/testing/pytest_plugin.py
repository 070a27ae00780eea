"""The pytest fixtures that come with Tenure: `embedded_tenure`, a whole Tenure, and `scripted_claude`, who plays Claude.

pytest finds them by itself, and needs no other plugin. An async test (pytest-asyncio, any mode and loop scope) and a sync one:

    async def test_the_agent_answers(embedded_tenure):
        async with embedded_tenure(agent, claude=[tool_use("list_tasks"), text("All done.")]) as system:
            response = await agent.run("What is left to do?")
        assert response.success

    def test_the_agent_asks_before_it_deletes(embedded_tenure):
        with embedded_tenure(agent, claude=script) as system:
            response = agent.run_sync("Delete account a1.")
            requests = asyncio.run(system.approvals.pending())

Rules of this file: every session of everybody who has Tenure installed imports it, so that importing it costs milliseconds
and starts nothing; and nothing it starts outlives the session, not even one that is killed.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pytest

import tenure

if TYPE_CHECKING:
    from concurrent.futures import Future
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    from temporalio.client import Client

    from tenure.spec import AgentSpec
    from tenure.testing.embedded_system import Embedded
    from tenure.testing.scripted_claude import Script, ScriptedClaude

NAMESPACES = 50  # blocks that share one server: each leaves it about 3 MB larger
STOP_SECONDS = 10.0
RETENTION_SECONDS = 86_400  # of closed runs; a server keeps them at least so long
CODE = "import sys; sys.path.append(sys.argv[1]); from tenure.testing import pytest_plugin; pytest_plugin.serve()"

__all__ = ["Block", "EmbeddedTenure", "embedded_tenure", "scripted_claude"]


def pytest_configure(config: pytest.Config) -> None:
    """Keep pytest from rewriting assertions in Tenure itself, as it does in the package of every plugin.

    A module that is rewritten imports pytest, and a workflow's module is imported anew in the sandbox of each run, with all it
    imports: a run would take twice the CPU. Where pytest has changed inside, that is what it takes.
    """
    hook = config.pluginmanager.rewrite_hook
    getattr(hook, "_must_rewrite", set[str]()).discard("tenure")
    getattr(hook, "_marked_for_rewrite_cache", dict[str, bool]()).clear()


@pytest.fixture
def scripted_claude() -> Generator[Callable[..., ScriptedClaude]]:
    """Start stand-ins for Claude: `claude = scripted_claude(script, latency=0.1)`; they stop when the test ends.

    Takes what `tenure.testing.ScriptedClaude` takes: a turn, a list of turns, or a function of the request.
    """
    from tenure.testing.scripted_claude import ScriptedClaude

    with contextlib.ExitStack() as stack:

        def start(script: Script, **options: Any) -> ScriptedClaude:  # Any: what ScriptedClaude takes
            return stack.enter_context(ScriptedClaude(script, **options))

        yield start


@pytest.fixture(scope="session")
def embedded_tenure() -> Generator[EmbeddedTenure]:
    """A whole Tenure for agents: `async with embedded_tenure(agent, claude=script) as system:` (`with` in a sync test).

    Takes what `tenure.testing.embedded` takes, except `server`. Each block has a store and a Temporal namespace of its own;
    the server behind them is one process for the whole session. Fixtures of any scope may hold a block open.
    """
    with contextlib.closing(Server()) as server:
        yield EmbeddedTenure(server)


class EmbeddedTenure:
    """The fixture `embedded_tenure`: call it for a block."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def __call__(
        self,
        *agents: AgentSpec,
        claude: ScriptedClaude | Script | None = None,
        **options: Any,  # Any: what else `embedded` takes
    ) -> Block:
        """A block that serves `agents`, with a stand-in that plays Claude by the script `claude`."""
        return Block(lambda: _embedded(self._server, agents, claude=claude, **options))


class Block:
    """A Tenure for as long as it is entered: by `async with` in a coroutine, by `with` elsewhere.

    Entered by `with` it lives in a thread with an event loop of its own, so that `agent.run_sync(...)` and
    `asyncio.run(system.approvals.pending())` work inside.
    """

    def __init__(self, opened: Callable[[], AbstractAsyncContextManager[Embedded]]) -> None:
        self._opened = opened

    async def __aenter__(self) -> Embedded:
        self._block = self._opened()
        return await self._block.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._block.__aexit__(kind, error, trace)

    def __enter__(self) -> Embedded:
        from concurrent.futures import Future

        from tenure.client.system import current

        _must_not_be_async()
        self._entered: Future[Embedded] = Future()
        self._left = _in_thread(self._hold)
        self._left.add_done_callback(self._pass_on)
        system = self._entered.result()
        self._before = current.get()
        current.set(system)
        return system

    def __exit__(self, *_: object) -> None:
        from tenure.client.system import current

        current.set(self._before)
        self._loop.call_soon_threadsafe(self._leave.set)
        self._left.result()

    async def _hold(self) -> None:
        import asyncio

        self._loop, self._leave = asyncio.get_running_loop(), asyncio.Event()
        async with self._opened() as system:
            self._entered.set_result(system)
            await self._leave.wait()

    def _pass_on(self, left: Future[None]) -> None:
        """What kept the block from opening is raised where it is waited for."""
        if not self._entered.done():
            self._entered.set_exception(left.exception() or RuntimeError("the block ended before it was open"))


class Server:
    """The Temporal server of this session: a process that ends when its standard input closes, thus with us, however we end."""

    def __init__(self) -> None:
        self._lent = 0
        self._start()

    @contextlib.contextmanager
    def lent(self) -> Generator[tuple[str, str]]:
        """The address, and the name of a namespace nobody had. Raises TemporalUnavailable when no server can be started."""
        if self._number >= NAMESPACES and not self._lent:
            self.close()
            self._start()
        self._lent += 1
        self._number += 1
        try:
            yield self._address_told(), f"test-{self._number}"
        finally:
            self._lent -= 1

    def close(self) -> None:
        """End it."""
        stdin, stdout = _pipes(self._process)
        with contextlib.suppress(BrokenPipeError):
            stdin.close()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        stdout.close()
        self._words.close()

    def _start(self) -> None:
        self._address, self._number = "", 0
        self._words = tempfile.TemporaryFile()  # noqa: SIM115  # `close` closes it
        # It starts while this process imports the rest of Tenure. In a session of its own, so that Ctrl-C, which every process
        # of the terminal's group gets, leaves it to the fixture.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", CODE, str(Path(tenure.__file__).parents[1])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._words,
            start_new_session=True,
        )

    def _address_told(self) -> str:
        if not self._address:
            self._address = _pipes(self._process)[1].readline().decode().strip()
        if not self._address:
            from tenure.errors import TemporalUnavailable

            self._words.seek(0)
            told = self._words.read().decode(errors="replace").strip().rpartition("\n")[2]
            raise TemporalUnavailable(f"the Temporal server for the tests did not start: {told or 'it said nothing'}")
        return self._address


def serve() -> None:
    """Be a Temporal server until standard input closes; prints its address. For a process of its own."""
    import asyncio

    asyncio.run(_serve())


async def _serve() -> None:
    import asyncio

    from tenure.runtime.temporal import start_server

    server = await start_server(log_level="never")
    try:
        sys.stdout.write(f"{server.client.service_client.config.target_host}\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.buffer.read)
    finally:
        await server.shutdown()


@contextlib.asynccontextmanager
async def _embedded(
    server: Server,
    agents: tuple[AgentSpec, ...],
    **options: Any,  # Any: what `embedded` takes
) -> AsyncGenerator[Embedded]:
    from temporalio.testing import WorkflowEnvironment

    from tenure.testing.embedded_system import embedded

    with server.lent() as (address, namespace):
        shared = WorkflowEnvironment.from_client(await _namespace(address, namespace))
        async with embedded(*agents, server=shared, **options) as system:
            yield system


async def _namespace(address: str, name: str) -> Client:
    """A client in a new namespace: nothing of an earlier test is in it, neither its store nor its runs."""
    from google.protobuf.duration_pb2 import Duration
    from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
    from temporalio.client import Client

    from tenure.runtime.temporal import CONVERTER

    client = await Client.connect(address, namespace=name, data_converter=CONVERTER)
    retention = Duration(seconds=RETENTION_SECONDS)
    await client.workflow_service.register_namespace(
        RegisterNamespaceRequest(namespace=name, workflow_execution_retention_period=retention),
        retry=True,  # the server bounds how many may be made within a second
    )
    return client


def _in_thread(work: Callable[[], Coroutine[Any, Any, None]]) -> Future[None]:
    """Run a coroutine to its end in a thread with a loop of its own."""
    import asyncio
    import threading
    from concurrent.futures import Future

    left: Future[None] = Future()

    def run() -> None:
        try:
            asyncio.run(work())
        except BaseException as error:  # noqa: BLE001  # raised where the thread is waited for
            left.set_exception(error)
        else:
            left.set_result(None)

    # daemon: who interrupts pytest while a block opens must not wait for a block that nobody will leave
    threading.Thread(target=run, name="embedded-tenure", daemon=True).start()
    return left


def _must_not_be_async() -> None:
    import asyncio

    from tenure.errors import ConfigError

    with contextlib.suppress(RuntimeError):
        asyncio.get_running_loop()
        raise ConfigError(
            "`with embedded_tenure(...)` in a coroutine: write `async with`, or its loop would stand still"
        )


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the process was started without pipes")
    return process.stdin, process.stdout
