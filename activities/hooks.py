"""Hooks: an agent's own functions, run in the worker: bounded in time, judged by what they return, named when they fail.

Rules of this file: a hook that raises, hangs or returns what it may not is a HookFailed that says which one and how; nothing
goes on as if it had agreed.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from typing import Any

from tenure.activities.attempt import threaded
from tenure.errors import BadInput, HookFailed
from tenure.hooks import Allow, Modify, Reject, RunInfo
from tenure.runtime.store.runs import RunRow
from tenure.spec import AgentSpec, Hook
from tenure.transcript import clean
from tenure.wire import STATE_LIMIT, JsonObject

SECONDS = 10.0  # a hook decides; what takes longer belongs into a tool
WORDS_LIMIT = 2_000  # characters of what a hook says, or of what it fails with


def info_of(run: RunRow) -> RunInfo:
    """The run as hooks know it."""
    return RunInfo(run.workflow, run.agent, run.tenant, run.user, run.role)


def bound(agent: AgentSpec) -> float:
    """Seconds that a hook of this agent may take."""
    return min(SECONDS, agent.timeout)


async def ask(agent: AgentSpec, name: str, hook: Hook, told: object) -> Any:  # Any: each hook has an answer of its own
    """What the hook says; sync ones run in a thread. Raises HookFailed."""
    where = f"{name} of {agent.name!r}"
    try:
        async with asyncio.timeout(bound(agent)):
            if inspect.iscoroutinefunction(hook) or inspect.iscoroutinefunction(getattr(hook, "__call__", None)):  # noqa: B004
                return await hook(told)
            said = await threaded(lambda: hook(told))
            return await said if inspect.isawaitable(said) else said
    except TimeoutError:
        raise HookFailed(f"{where} took longer than {bound(agent):g} s: decide faster, or make it a tool") from None
    except Exception as error:  # a user's function may raise anything; the run must say which one did
        raise HookFailed(f"{where} raised {type(error).__name__}: {str(error)[:WORDS_LIMIT]}") from error


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
    raise HookFailed(f"{name} of {agent.name!r} returned {said!r:.200}: return None or one of {allowed} (tenure.hooks)")


def modified(agent: AgentSpec, tool: str, said: Allow | Modify | Reject | None) -> JsonObject | None:
    """The input a call shall be made with instead, as JSON. Raises HookFailed for one the tool does not take."""
    if not isinstance(said, Modify):
        return None
    try:
        given = clean(json.loads(json.dumps(said.input, allow_nan=False)))
        agent.tool[tool].arguments(given)
    except (TypeError, ValueError, BadInput) as error:
        raise HookFailed(
            f"on_tool_call of {agent.name!r} changed the input of {tool} to what it does not take: {error}"
        ) from error
    return given


def recovered(agent: AgentSpec, name: str, value: Any, state: JsonObject) -> JsonObject:  # Any: not yet validated
    """`value` as the delta that sets the missing variable. Raises HookFailed."""
    where = f"required_state[{name!r}] of {agent.name!r}"
    if value is None:
        raise HookFailed(f"{where} recovered nothing: the run cannot go on without it")
    try:
        delta = clean(json.loads(json.dumps({name: value}, allow_nan=False)))
    except (TypeError, ValueError) as error:
        raise HookFailed(f"{where} recovered what JSON cannot hold: {error}") from error
    size = len(json.dumps({**state, **delta}))
    if size > STATE_LIMIT:
        raise HookFailed(f"{where} grows the run's state to {size:,} bytes: at most {STATE_LIMIT:,}")
    return delta
