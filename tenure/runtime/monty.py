"""Monty, the sandbox in which learned programs run: in processes of their own, with nothing of the host within reach.

Rules of this file: a program is run again from its start at every step, with the results of its earlier calls, so it must be the
same program each time: no clock, no randomness, no files, no modules of the host. What it hands out (arguments, an answer, an
error) is measured before anything is made of it: it may be larger than memory, or contain itself. Nothing it does raises here.

    sandbox = Sandbox()
    match await sandbox.advance(program, {"email": "a@b.c"}, journal=[], tools={"find_order"}):
        case Called(): ...      # make the call, journal what came of it, advance again
        case Finished(): ...    # the answer
        case Stopped(): ...     # the program abstains, or failed
    await sandbox.close()

pydantic-monty is imported when the first program runs: it takes 40 ms.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from tenure.errors import Unavailable
from tenure.learn.program import (
    Called,
    Finished,
    Journalled,
    Problem,
    Progress,
    Signature,
    Signatures,
    Slots,
    StopKind,
    Stopped,
)
from tenure.learn.subset import faults, is_wordless
from tenure.runtime import monty_check
from tenure.runtime.monty_values import fault_of_arguments, shortened, told_alike
from tenure.schema import result_schema
from tenure.tools import Tool
from tenure.transcript import canonical
from tenure.wire import INLINE_LIMIT, JsonObject

if TYPE_CHECKING:
    from pydantic_monty import (
        AsyncFunctionSnapshot,
        AsyncMonty,
        AsyncMontySession,
        AsyncNameLookupSnapshot,
        MontyError,
        OSPolicy,
        ResourceLimits,
    )
    from pydantic_monty import AsyncSnapshot as Snapshot

Resumed: TypeAlias = dict[str, Any]  # what a call came to, in Monty's words


@dataclass(frozen=True)
class Limits:
    """What a program may take, each time it is run. One that works takes a millisecond and a few kilobytes."""

    seconds: float = 1.0  # of running, by the wall clock; waiting for the host does not count
    grace: float = 0.25  # seconds after which a process is killed that did not notice: one operation can take minutes
    memory: int = 64 * 1024 * 1024  # bytes of heap; the process is ended by its own allocator above that
    recursion: int = 200  # functions inside each other
    calls: int = 64  # of tools, in the whole run: a person would not have approved more
    lookups: int = 64  # of names that are not defined; each is a trip to the host
    arguments: int = INLINE_LIMIT  # bytes of JSON of one call
    answer: int = INLINE_LIMIT  # bytes of text
    printed: int = 64 * 1024  # bytes of output, which nobody reads
    checking: float = 2.0  # seconds for type-checking one program, which takes 20 ms
    waiting: float = 30.0  # seconds for a process to come free


LIMITS = Limits()


@dataclass
class Sandbox:
    """A pool of `processes` sandbox processes, started by the first program and ended by `close`.

    A process that dies is replaced, and serves nobody again. Raises Unavailable where no process can be had: none starts, none
    came free in time, or the sandbox is closed.
    """

    limits: Limits = LIMITS
    processes: int = 2
    _pool: AsyncMonty | None = field(default=None, init=False, repr=False)
    _starting: asyncio.Lock = field(default_factory=asyncio.Lock, init=False, repr=False)
    _free: asyncio.Condition = field(default_factory=asyncio.Condition, init=False, repr=False)
    _running: int = field(default=0, init=False)
    _closed: bool = field(default=False, init=False)

    async def advance(
        self, program: str, inputs: JsonObject, journal: Sequence[Journalled], tools: Collection[str]
    ) -> Progress:
        """Run `program` until it comes to a call that `journal` does not hold, to its end, or to a stop.

        The journal is what its calls came to, in the order in which it made them; a call that failed raises RuntimeError in the
        program. The same arguments always give the same progress, but for `limit` and `crashed`, which the machine has a say in.
        """
        from pydantic_monty import CollectString, MontyError

        replay = _Replay(program, journal, tools, self.limits)
        async with self._session(limits=_resources(self.limits)) as session:
            try:
                started = session.feed_start(program, inputs=inputs, print_callback=CollectString(self.limits.printed))
                return await replay.follow(await started)
            except MontyError as error:
                return replay.stopped(error)

    async def check(self, program: str, tools: Sequence[Tool] | Signatures, inputs: Slots) -> list[Problem]:
        """What is wrong with `program`, without running it; `inputs` are the JSON schemas of its variables.

        First what stands in it that may not (`subset`), then, if that was nothing, what its types say: tools that do not exist,
        arguments that are missing, misspelt or ill-typed, unknown names and fields, an answer that is no text.
        """
        signatures = [signature_of(tool) if isinstance(tool, Tool) else tool for tool in tools]
        if found := faults(program, {tool.name for tool in signatures}, inputs):
            return found
        options = monty_check.options(signatures, inputs)
        resources: ResourceLimits = {**_resources(self.limits), "max_feed_duration_secs": self.limits.checking}
        async with self._session(limits=resources, **options) as session:
            return await monty_check.problems(session, program, [tool.name for tool in signatures])

    async def close(self) -> None:
        """End all processes, after the programs that are running: their limits bound the wait. Closing twice is once."""
        self._closed = True
        async with self._free:
            await self._free.wait_for(lambda: not self._running)
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.__aexit__(None, None, None)

    @asynccontextmanager
    async def _session(self, **options: Any) -> AsyncGenerator[AsyncMontySession]:  # Any: checkout's own options
        from pydantic_monty import MontyCrashedError

        if self._closed:
            raise Unavailable("the sandbox is closed: its worker is ending")
        self._running += 1  # from here on `close` waits
        try:
            pool = await self._started()
            # Without the operands' values, which may be personal; and the message is the program's own, in every release.
            checkout = pool.checkout(os_policy=_policy(), assert_message_annotations=False, **options)
            async with AsyncExitStack() as stack:
                try:
                    session = await stack.enter_async_context(checkout)
                except (TimeoutError, RuntimeError, MontyCrashedError) as error:
                    raise Unavailable(f"no sandbox process can be had: {error}; more `processes`?") from error
                yield session
        finally:
            self._running -= 1
            async with self._free:
                self._free.notify_all()

    async def _started(self) -> AsyncMonty:
        from pydantic_monty import AsyncMonty

        async with self._starting:
            if self._pool is None:
                made = AsyncMonty(
                    max_processes=self.processes,
                    checkout_timeout=self.limits.waiting,
                    feed_duration_limit_grace=self.limits.grace,
                )
                try:
                    self._pool = await made.__aenter__()
                except (OSError, RuntimeError) as error:
                    raise Unavailable(
                        f"no sandbox process starts: {error}; is pydantic-monty installed whole?"
                    ) from error
            return self._pool


def signature_of(tool: Tool) -> Signature:
    """What a program may know of `tool`."""
    return Signature(tool.name, takes=tool.manifest["input_schema"], gives=result_schema(tool.returns))


def _resources(limits: Limits) -> ResourceLimits:
    return {
        "max_feed_duration_secs": limits.seconds,
        "max_memory": limits.memory,
        "max_recursion_depth": limits.recursion,
        "max_suspensions": limits.calls + limits.lookups + 2,  # ours come first, and have words for it
        "max_total_sleep_secs": 0.0,
    }


def _policy() -> OSPolicy:
    """Every question about the world comes to us, and `_Replay` answers none."""
    return {
        "datetime": "call_host",
        "sleep": "call_host",
        "random_start": "call_host",
        "process_time": "zero",
        "timezone": "utc",
    }


@dataclass
class _Replay:
    """One run of a program along its journal; `done` calls of it have been made again."""

    program: str
    journal: Sequence[Journalled]
    tools: Collection[str]
    limits: Limits
    done: int = 0

    async def follow(self, snapshot: Snapshot) -> Progress:
        """From the first stop on the way to the next call, the end, or a stop for good."""
        from pydantic_monty import AsyncFunctionSnapshot, AsyncNameLookupSnapshot, MontyComplete

        lookups = 0
        while not isinstance(snapshot, MontyComplete):
            match snapshot:
                case AsyncFunctionSnapshot():
                    come = self.called(snapshot)
                    if not isinstance(come, dict):
                        return self.placed(come, snapshot)
                    snapshot = await snapshot.resume(come)  # pyright: ignore[reportArgumentType]  # one of its typed dicts
                case AsyncNameLookupSnapshot(variable_name=name):
                    lookups += 1
                    if stop := self.looked_up(name, lookups):
                        return self.placed(stop, snapshot)
                    snapshot = await snapshot.resume()  # NameError, in the program
                case _:
                    return Stopped(kind="refused", message="awaits something: tools are called as plain functions")
        return self.finished(snapshot.output)

    def placed(
        self, come: Called | Stopped, snapshot: AsyncFunctionSnapshot | AsyncNameLookupSnapshot
    ) -> Called | Stopped:
        """With the line at which the program stands."""
        line = self.program.encode()[: snapshot.position.start].count(b"\n") + 1
        return come if isinstance(come, Called) else come.model_copy(update={"line": line})

    def looked_up(self, name: str, lookups: int) -> Stopped | None:
        """A name that is not defined; `lookups` of them by now. None: the program is told so."""
        if name in self.tools:
            told = f"{name!r} is used as a value: a tool can only be called, {name}(...)"
            return Stopped(kind="refused", message=told)
        if lookups > self.limits.lookups:
            return Stopped(kind="limit", message=f"looks up undefined names more than {self.limits.lookups} times")
        return None

    def called(self, snapshot: AsyncFunctionSnapshot) -> Called | Stopped | Resumed:
        """What the call came to in the journal; the call itself where it is the next one."""
        name = str(snapshot.function_name)
        if snapshot.is_os_function or snapshot.object_id is not None:
            told = f"asks the host for {name!r}: a program has its inputs and the tools"
            return Stopped(kind="refused", message=told)
        arguments = snapshot.kwargs
        if fault := fault_of_arguments(name, snapshot.args, arguments, self.limits.arguments):
            return fault
        call = Called(tool=name, arguments=arguments)
        if self.done == len(self.journal):
            return self.next(call)
        step = self.journal[self.done]
        self.done += 1
        if (step.tool, told_alike(step.arguments)) != (call.tool, told_alike(call.arguments)):
            return self.diverged(f"calls {_told(call)}, where the journal has {_told(step)}")
        return _resumed(step)

    def next(self, call: Called) -> Called | Stopped:
        """A call that was not made yet."""
        if call.tool not in self.tools:
            told = f"calls {call.tool!r}: the agent has no such tool, Python no such function"
            return Stopped(kind="unknown_tool", message=told)
        if self.done >= self.limits.calls:
            return Stopped(kind="limit", message=f"makes more than {self.limits.calls} calls")
        return call

    def finished(self, output: Any) -> Finished | Stopped:  # Any: the value of a program's last expression
        """The answer, if it is one."""
        if self.done < len(self.journal):
            return self.diverged("is at its end")
        if output is None and is_wordless(self.program):
            return Finished(answer="")
        if not isinstance(output, str):
            told = f"its last expression is {type(output).__name__}, not text: end it with the answer's text"
            return Stopped(kind="refused", message=told)
        if len(output.encode(errors="replace")) > self.limits.answer:
            return Stopped(kind="limit", message=f"an answer of more than {self.limits.answer:,} bytes")
        return Finished(answer=output)

    def stopped(self, error: MontyError) -> Stopped:
        """An exception that the program did not catch, or the end of its process."""
        from pydantic_monty import MontyCrashedError, MontyRuntimeError, MontySyntaxError

        if isinstance(error, MontyCrashedError):
            return Stopped(kind="limit" if error.timed_out else "crashed", message=shortened(str(error)))
        kind = _kind(error.exception())
        line, told = 0, shortened(str(error))
        if isinstance(error, MontyRuntimeError | MontySyntaxError):
            line = next((frame.line for frame in reversed(error.traceback())), 0)
            told = shortened(error.display("msg" if kind == "guard" else "type-msg"))
        if kind != "limit" and self.done < len(self.journal):
            return self.diverged(f"stops with {told!r}").model_copy(update={"line": line})
        return Stopped(kind=kind, message=told, line=line)

    def diverged(self, does: str) -> Stopped:
        """It does something else than it did; `done` counts the call at which it showed."""
        told = f"not the program that wrote its journal of {len(self.journal)}: after {self.done} it {does}"
        return Stopped(kind="diverged", message=told)


def _kind(raised: BaseException) -> StopKind:
    match raised:
        case AssertionError():
            return "guard"
        case MemoryError() | TimeoutError() | RecursionError():
            return "limit"
        case _:
            return "error"


def _resumed(step: Journalled) -> Resumed:
    if step.ok:
        return {"return_value": step.result}
    told = step.result if isinstance(step.result, str) else canonical(step.result)
    return {"exc_type": "RuntimeError", "message": told}


def _told(call: Called | Journalled) -> str:
    return shortened(f"{call.tool}({canonical(call.arguments)})")
