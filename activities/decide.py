"""decide: the next assistant turn. Ask the hooks, fit the transcript, call Claude, record; what stands is not paid twice."""

from __future__ import annotations

import asyncio
import functools
from dataclasses import dataclass, field
from typing import Any

from temporalio import activity

from tenure.activities import calling, hooks, provenance, routing
from tenure.activities.calling import Sent
from tenure.activities.observe import raise_elsewhere
from tenure.activities.paying import Exhausted, Payer
from tenure.activities.performing import Over, perform
from tenure.activities.provenance import Provenance
from tenure.activities.pulse import pulse
from tenure.activities.recall import Texts
from tenure.activities.resources import Resources, refuse
from tenure.approvals.digest import digest
from tenure.client.story import tool_calls_of
from tenure.errors import BadInput, HookFailed, NotServed, Unavailable
from tenure.hooks import ON_TOOL_CALL, Iteration, Missing, Reject, ToolCall
from tenure.run import Status
from tenure.runtime.claude import Prompt, Reply
from tenure.runtime.store import Connection, ledgers, runs, transcript
from tenure.runtime.store.runs import RunRow
from tenure.spec import AgentSpec
from tenure.transcript import assistant_row, problem_row, state_of, tool_calls
from tenure.trust.restrictions import FREE, Standing
from tenure.turn import Decide, Turn
from tenure.wire import JsonObject


@dataclass(frozen=True)
class Deciding:
    """The activity `decide`."""

    to: Resources

    @activity.defn(name="decide")
    async def decide(self, ask: Decide) -> Turn:
        """The turn that becomes row `ask.seq`. Temporal retries what `retry.advise` calls worth it."""
        workflow = activity.info().workflow_id or ""

        with pulse():
            looking = functools.partial(_look, workflow=workflow, ask=ask, to=self.to)
            found, held, stands, missing = await self.to.store.read(looking)
            if stands is not None:
                return stands
            run, agent = await resolve(self.to, found, workflow)
            if held.halted:
                return Turn(parked=True, standing=held)
            rows = await self.to.recall.rows(self.to.store, activity.client(), workflow, ask.seq, ask.head, missing)
            return await self._decide(ask, run, agent, rows)

    async def _decide(self, ask: Decide, run: RunRow, agent: AgentSpec, rows: list[JsonObject]) -> Turn:
        state = state_of(rows, run.initial_state)
        try:
            await self._tell_iteration(ask, run, agent, rows, state)
            if agent.until is not None and await hooks.holds(agent, "until", agent.until, state):
                return Turn(until=True)
            recovered = await _recover(run, agent, state)
            made = await self._make(ask, run, agent, rows, {**state, **recovered})
        except HookFailed as error:
            return Turn(halted=str(error))
        except Exhausted as error:
            return Turn(shortage=error.shortage)
        if isinstance(made, Over):
            return Turn(stuck=made.why)
        checked = await _check(run, agent, made.reply, {**state, **recovered})
        origin = self._origin(ask, agent, run, rows, made.reply, checked)
        turn = _turn(agent, made, checked, recovered, origin)
        return await self.to.store.transact(functools.partial(_record, run=run, ask=ask, turn=turn))

    async def _make(
        self, ask: Decide, run: RunRow, agent: AgentSpec, rows: list[JsonObject], state: JsonObject
    ) -> _Made | Over:
        """By a learned capability, else by Claude. Over: by neither, before a person has looked. Raises Exhausted, HookFailed."""
        over = None
        if ask.learned is not None:
            by = await perform(self.to, run, agent, rows, ask.learned)
            if isinstance(by, Reply):
                return _Made(by, Sent([]), "capability", by=ask.learned.id)
            if by.changed:
                return by
            over = by
        model = await routing.model_for(run, agent, rows, state)
        deadline = asyncio.get_running_loop().time() + agent.timeout  # a summary takes its share of it
        before = max((seq for seq, row in enumerate(rows) if row["role"] == "assistant"), default=None)
        payer = Payer(self.to, run, agent, ask.seq, before)
        sent = await calling.fit(payer, rows, ask, deadline)
        reply, sent, tier = await routing.ask(payer, _prompt(agent, run, sent.messages, model), sent, deadline)
        return _Made(reply, sent, tier, over.why if over else "")

    def _origin(
        self, ask: Decide, agent: AgentSpec, run: RunRow, rows: list[JsonObject], reply: Reply, checked: _Checked
    ) -> Provenance:
        """Where what the turn's calls say comes from."""
        calls = tool_calls(reply.content)
        given = [{**block, "input": checked.modified.get(n, block["input"])} for n, block in enumerate(calls)]
        load = self.to.blobs.get
        return provenance.look(agent, rows, given, run.initial_state, load, message_trusted=not ask.untrusted)

    async def _tell_iteration(
        self, ask: Decide, run: RunRow, agent: AgentSpec, rows: list[JsonObject], state: JsonObject
    ) -> None:
        if agent.on_iteration is None or ask.iteration < 2:
            return
        told = iteration(run, rows, ask.iteration - 1, Status.RUNNING, state, self.to)
        await hooks.ask(agent, "on_iteration", agent.on_iteration, told)


def iteration(
    run: RunRow, rows: list[JsonObject], number: int, status: Status, state: JsonObject, to: Resources
) -> Iteration:
    """What `on_iteration` is told of the iteration whose rows stand last."""
    last = max((seq for seq, row in enumerate(rows) if row["role"] == "assistant"), default=0)
    made = sum(row["role"] == "tool" for row in rows[last:])  # a run may end in the middle of a turn
    calls = tool_calls_of(rows, to.blobs)
    return Iteration(hooks.info_of(run), number, status, calls[len(calls) - made :] if made else [], state)


async def _recover(run: RunRow, agent: AgentSpec, state: JsonObject) -> JsonObject:
    """The delta that sets what is missing of `required_state`. Raises HookFailed when something stays missing."""
    try:
        async with asyncio.timeout(hooks.bound(agent)):
            return await _recovered(run, agent, state)
    except TimeoutError:
        told = f"required_state of {agent.name!r} took longer than {hooks.bound(agent):g} s to recover"
        raise HookFailed(told) from None


async def _recovered(run: RunRow, agent: AgentSpec, state: JsonObject) -> JsonObject:
    delta: JsonObject = {}
    for name, recover in agent.required_state.items():
        if state.get(name) is not None:
            continue
        if recover is None:
            told = f"required_state {name!r} of {agent.name!r} is missing: start the run with state={{{name!r}: ...}}"
            raise HookFailed(f"{told}, or give required_state a function that recovers it")
        known = {**state, **delta}
        missing = Missing(hooks.info_of(run), name, known)
        value = await hooks.ask(agent, f"required_state[{name!r}]", recover, missing)
        delta |= hooks.recovered(agent, name, value, known)
    return delta


def _prompt(agent: AgentSpec, run: RunRow, said: list[JsonObject], model: str) -> Prompt:
    return Prompt(
        model=model,
        messages=said,
        max_tokens=agent.max_tokens,
        timeout=agent.timeout,
        system=agent.instructions,
        tools=agent.offered(run.role),
        effort=agent.effort,
        temperature=agent.temperature,
    )


@dataclass(frozen=True)
class _Made:
    """A turn as it was made: what was sent for it, by which tier; `by` which capability, or why one has `left` it to Claude."""

    reply: Reply
    sent: Sent
    tier: str = ""
    left: str = ""
    by: str = ""


@dataclass
class _Checked:
    problems: dict[int, str] = field(default_factory=dict[int, str])
    rejected: dict[int, str] = field(default_factory=dict[int, str])
    modified: dict[int, JsonObject] = field(default_factory=dict[int, JsonObject])
    broken: str = ""


def _turn(agent: AgentSpec, made: _Made, checked: _Checked, recovered: JsonObject, origin: Provenance) -> Turn:
    reply, sent = made.reply, made.sent
    said: dict[str, Any] = {  # Any: the fields of Turn
        "content": reply.content,
        "stop": reply.stop,
        **vars(checked),
        "state": recovered,
        "fitted": sent.fitted,
        "tainted": origin.tainted,
        "taint": origin.asks,
        "usage": reply.usage + sent.usage,
        "cost": reply.cost + sent.cost,
        "model": reply.model if reply.model != agent.model else "",
        "tier": made.tier,
        "left": made.left,
        "by": made.by,
        "saved": reply.saved,
        "tokens": reply.usage.total if agent.context_window else 0,
    }
    # History leaves out what was not set: only what says something is.
    return Turn(**{name: value for name, value in said.items() if value})


async def _check(run: RunRow, agent: AgentSpec, reply: Reply, state: JsonObject) -> _Checked:
    """What becomes of the turn's calls before the gate: those that do not fit, and what `on_tool_call` says of the rest."""
    found = _Checked(problems=_problems(agent, run.role, reply))
    if agent.on_tool_call is None:
        return found
    try:
        async with asyncio.timeout(hooks.bound(agent)):
            for index, block in enumerate(tool_calls(reply.content)):
                if index not in found.problems:
                    await _ask_about(run, agent, block, state, index, found)
    except HookFailed as error:
        found.broken = str(error)
    except TimeoutError:
        found.broken = (
            f"on_tool_call of {agent.name!r} took longer than {hooks.bound(agent):g} s for the calls of one turn"
        )
    return found


async def _ask_about(
    run: RunRow, agent: AgentSpec, block: JsonObject, state: JsonObject, index: int, found: _Checked
) -> None:
    told = ToolCall(hooks.info_of(run), block["name"], block["input"], state)
    said = await hooks.choose(agent, "on_tool_call", told, ON_TOOL_CALL)
    if isinstance(said, Reject):
        found.rejected[index] = f"rejected: {hooks.words(agent, 'on_tool_call', said.reason)}"
    given = hooks.modified(agent, block["name"], said)
    if given is not None and given != block["input"]:
        found.modified[index] = given


async def resolve(to: Resources, run: RunRow | None, workflow: str) -> tuple[RunRow, AgentSpec]:
    """The run's row and its agent. Raises NotServed (not retryable) when nobody serves that fingerprint any more."""
    if run is None:
        await to.recall.restore(to.store, activity.client(), workflow)
        run = await to.store.read(functools.partial(runs.get, workflow=workflow))
    if run is None:
        raise Unavailable(f"{workflow} is neither in the store {to.store.where} nor in history")
    agent = to.registry.serving(run.agent, run.fingerprint)
    if agent is None:
        await raise_elsewhere(to, run.agent, run.fingerprint, begun=True)
        raise refuse(NotServed(f"no worker serves {run.agent}@{run.fingerprint[:8]} any more"))
    return run, agent


def _look(
    db: Connection, workflow: str, ask: Decide, to: Resources
) -> tuple[RunRow | None, Standing, Turn | None, Texts]:
    missing = to.recall.missing(db, workflow, ask.seq)
    run = runs.get(db, workflow)
    held = ledgers.standing(db, run.tenant, run.agent) if run else FREE
    return run, held, standing(db, workflow, ask.seq, ask.head), missing


def standing(db: Connection, workflow: str, seq: int, head: str) -> Turn | None:
    """The turn that stands there, if it followed on the same rows: after a reset another one may stand in its place."""
    found = transcript.standing(db, workflow, seq)
    if found is None or found[1].get("head") != head:
        return None
    row, meta = found
    return Turn.model_validate({**meta, "content": row["content"]})


def _record(db: Connection, run: RunRow, ask: Decide, turn: Turn) -> Turn:
    """Keep the turn and the rows of calls that cannot be made; the turn that stands wins over a late one."""
    workflow, seq = run.workflow, ask.seq
    stands = standing(db, workflow, seq, ask.head)
    if stands is not None:
        return stands
    held = ledgers.standing(db, run.tenant, run.agent)
    turn = turn.model_copy(update={"standing": held}) if held.fence else turn
    transcript.cut(db, workflow, seq)  # rows of a branch that a reset has left
    meta = {**turn.model_dump(mode="json", exclude={"content"}), "head": ask.head}
    transcript.put(db, workflow, seq, assistant_row(turn), meta)
    calls = tool_calls(turn.content)
    for index, problem in {**turn.problems, **turn.rejected}.items():
        transcript.put(db, workflow, seq + 1 + index, problem_row(calls[index]["id"], problem))
    return turn


def _problems(agent: AgentSpec, role: str | None, reply: Reply) -> dict[int, str]:
    calls = tool_calls(reply.content)
    found = {index: problem for index, call in enumerate(calls) if (problem := _problem(agent, role, call))}
    if reply.stop == "max_tokens" and calls:
        found[len(calls) - 1] = "this call was cut at max_tokens and not made: write less, or one call at a time"
    return found


def _problem(agent: AgentSpec, role: str | None, call: JsonObject) -> str | None:
    tool = agent.tool.get(call["name"])
    if tool is None:
        offered = [told["name"] for told in agent.offered(role)]
        return f"there is no tool {call['name']!r}; there are: {', '.join(offered) or 'none'}"
    try:
        tool.arguments(call["input"])
        digest(call["input"])
    except BadInput as error:
        return f"the arguments do not fit {tool.name}: {error}"
    return None
