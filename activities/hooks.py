"""Hooks: an agent's own functions, run in the worker: bounded in time, judged by what they return, named when they fail.

Rules of this file: a hook gets copies, so that nothing it does to them reaches the transcript. One that raises, hangs or returns
what it may not is a HookFailed that says which one and how, whatever it raised; nothing goes on as if it had agreed.
"""

from __future__ import annotations

import asyncio
import copy
import inspect
import json
from collections.abc import Awaitable, Callable
from typing import Any

from tenure.activities.attempt import threaded
from tenure.errors import BadInput, HookFailed
from tenure.hooks import SECONDS, Modify, RunInfo
from tenure.runtime.store.runs import RunRow
from tenure.spec import AgentSpec, Hook
from tenure.transcript import clean
from tenure.wire import INLINE_LIMIT, STATE_LIMIT, JsonObject

WORDS_LIMIT = 2_000  # characters of what a hook says, or of what it fails with


def info_of(run: RunRow) -> RunInfo:
    """The run as hooks know it."""
    return RunInfo(run.workflow, run.agent, run.tenant, run.user, run.role)


def bound(agent: AgentSpec) -> float:
    """Seconds that the hooks of one kind may take in one turn."""
    return min(SECONDS, agent.timeout)


async def ask(agent: AgentSpec, name: str, hook: Hook, told: object) -> Any:  # Any: each hook has an answer of its own
    """What the hook says of a copy of `told`; sync ones run in a thread. Raises HookFailed."""
    where, given = f"{name} of {agent.name!r}", copy.deepcopy(told)
    # A task of its own: a hook that swallows its cancellation is left behind and not waited for.
    task = asyncio.ensure_future(_guarded(lambda: _call(hook, given)))
    try:
        done, _ = await asyncio.wait({task}, timeout=bound(agent))
    finally:
        task.cancel()
    if not done:
        raise HookFailed(f"{where} took longer than {bound(agent):g} s: decide faster, or make it a tool")
    error = asyncio.CancelledError("it cancelled itself") if task.cancelled() else task.exception()
    if error is not None:
        raise HookFailed(f"{where} raised {_cut(f'{type(error).__name__}: {error}')}") from error
    return task.result()


async def _call(hook: Hook, given: object) -> Any:  # Any: as for `ask`
    if inspect.iscoroutinefunction(hook) or inspect.iscoroutinefunction(getattr(hook, "__call__", None)):  # noqa: B004
        return await hook(given)
    said = await threaded(lambda: hook(given))
    return await said if inspect.isawaitable(said) else said


async def _guarded(call: Callable[[], Awaitable[Any]]) -> Any:  # Any: as for `ask`
    try:
        return await call()
    except (SystemExit, KeyboardInterrupt) as error:  # raised in a task they would end the worker's event loop
        raise RuntimeError(repr(error)) from error


async def choose(
    agent: AgentSpec, name: str, told: object, closed: tuple[type, ...]
) -> Any:  # Any: a member of `closed`, or None
    """The hook's decision: None without a hook or without a word, else one of `closed`. Raises HookFailed."""
    hook = getattr(agent, name)
    if hook is None:
        return None
    said = await ask(agent, name, hook, told)
    if said is None or isinstance(said, closed):
        return said
    allowed = ", ".join(kind.__name__ for kind in closed)
    raise HookFailed(
        f"{name} of {agent.name!r} returned {_shown(said)}: return None or one of {allowed} (tenure.hooks)"
    )


async def holds(agent: AgentSpec, name: str, hook: Hook, told: object) -> bool:
    """What a hook says that answers yes or no. Raises HookFailed."""
    said = await ask(agent, name, hook, told)
    if said is None or isinstance(said, bool):
        return bool(said)
    raise HookFailed(f"{name} of {agent.name!r} returned {_shown(said)}: return True or False")


def words(agent: AgentSpec, name: str, told: object, limit: int = WORDS_LIMIT) -> str:
    """What a hook says in words, cut where it is too long. Raises HookFailed for what are no words."""
    if not isinstance(told, str):
        raise HookFailed(f"{name} of {agent.name!r} gave {_shown(told)} where words belong: give a str")
    return _cut(told, limit)


def modified(agent: AgentSpec, tool: str, said: object) -> JsonObject | None:
    """The input a call shall be made with instead, as JSON. Raises HookFailed for one the tool does not take."""
    if not isinstance(said, Modify):
        return None
    where = f"on_tool_call of {agent.name!r} changed the input of {tool}"
    try:
        given = clean(json.loads(json.dumps(said.input, allow_nan=False)))
        agent.tool[tool].arguments(given)
    except (TypeError, ValueError, RecursionError, BadInput) as error:
        raise HookFailed(f"{where} to what it does not take: {error}") from error
    if len(json.dumps(given)) > INLINE_LIMIT:
        raise HookFailed(f"{where} to one of more than {INLINE_LIMIT:,} bytes: let the tool fetch what is large")
    return given


def recovered(agent: AgentSpec, name: str, value: Any, state: JsonObject) -> JsonObject:  # Any: not yet validated
    """`value` as the delta that sets the missing variable. Raises HookFailed."""
    where = f"required_state[{name!r}] of {agent.name!r}"
    if value is None:
        raise HookFailed(f"{where} recovered nothing: the run cannot go on without it")
    try:
        delta = clean(json.loads(json.dumps({name: value}, allow_nan=False)))
    except (TypeError, ValueError, RecursionError) as error:
        raise HookFailed(f"{where} recovered what JSON cannot hold: {error}") from error
    size = len(json.dumps({**state, **delta}))
    if size > STATE_LIMIT:
        raise HookFailed(f"{where} grows the run's state to {size:,} bytes: at most {STATE_LIMIT:,}")
    return delta


def _shown(said: object) -> str:
    try:
        return _cut(repr(said), 200)
    except Exception as error:  # noqa: BLE001  # even a repr is a user's function
        return f"a {type(said).__name__} whose repr raises {type(error).__name__}"


def _cut(text: str, limit: int = WORDS_LIMIT) -> str:
    return clean(text[:limit])
