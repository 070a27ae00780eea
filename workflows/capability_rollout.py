"""CapabilityRollout: the one owner of how far a version of a learned capability has come, for as long as it is of use.

Rules of this file: nothing is decided here that `tenure.learn.rollout` does not decide; what it came to is kept before anything
else is done; it reaches people only after people have approved it. What is lost here is read again: the store has every trial.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Literal, NoReturn, get_args

from pydantic import ValidationError
from temporalio import workflow
from temporalio.common import VersioningBehavior
from temporalio.workflow import ContinueAsNewVersioningBehavior

from tenure.approvals.request import Kind, Request, Settled
from tenure.errors import ConfigError, TenureError
from tenure.learn import rollout as policy
from tenure.learn.events import Answered, Event, Ordered, Ticked, Validated
from tenure.learn.reading import KeepRollout, ReadTrials, Tested, Trials
from tenure.trust.terms import DEFAULTS
from tenure.wire import JsonObject
from tenure.workflows.answerable import Answerable
from tenure.workflows.ask import Desk, MoveOn, make_request
from tenure.workflows.call import HEARTBEAT
from tenure.workflows.carry import now, own, should_move
from tenure.workflows.quick import quick
from tenure.workflows.rollout_state import TOLD, Order, RolloutState, RolloutStory, Start, What, line

JTIS_KEPT = 1000
WORDS_LIMIT = 1000  # characters of a reason
ORDERS_MOST = 20  # that wait to be heard
TEST = timedelta(minutes=10)
CHOICES: dict[str, Literal["approved", "denied", "expired"]] = {
    "approve": "approved",
    "deny": "denied",
    "expired": "expired",
}


@workflow.defn(name="CapabilityRollout", failure_exception_types=[TenureError, ValidationError])
class CapabilityRollout(Answerable[RolloutState]):
    """The workflow `{tenant}:capability:{agent}:{id}`."""

    @workflow.init
    def __init__(self, start: Start) -> None:
        """State exists before the first signal arrives."""
        of = start.of
        begun = policy.begin(of.capability, start.digest, of.version, now())
        self._state = own(start.carried) or RolloutState(of=of, rollout=begun, began=now())
        self._desk = Desk(self._state, RolloutStory(self._state))

    @workflow.run
    async def run(self, start: Start) -> str:
        """Live as long as the capability may be of use. Returns the stage that it ended in."""
        _check(start, self._state)
        while True:
            try:
                if (ended := await self._step()) is not None:
                    return ended
            except MoveOn:
                await self._move()

    async def _step(self) -> str | None:
        """One thing after the other; how it ended, once it has."""
        state = self._state
        if state.rollout.stage == "mined":
            await self._test()
        elif state.orders:
            await self._obey()
        elif state.nudged:
            await self._read()
        elif state.rollout.stage in policy.ENDS:
            return await self._over()
        elif state.rollout.asked is not None and state.request is None:
            await self._ask()  # it moved on before it had asked
        elif state.request is not None and (state.inbox or state.request.deadline <= now()):
            await self._look(state.request)
        elif should_move():
            await self._move()
        else:
            await self._wait()
        return None

    async def _test(self) -> None:
        state = self._state
        tested = await workflow.execute_activity(
            "test_capability",
            state.of,
            result_type=Tested,
            start_to_close_timeout=TEST,
            heartbeat_timeout=HEARTBEAT,
            summary=f"{state.of.capability} version {state.of.version} on what it was not learned from",
        )
        if tested.digest != state.rollout.digest:
            raise ConfigError(
                f"the store's {state.of.capability} is {tested.digest[:8]}, not {state.rollout.digest[:8]}"
            )
        state.card, state.policy = tested.card, tested.policy or state.policy
        told = {"report": tested.report, "coverage": tested.coverage, "wrong_writes": tested.wrong_writes}
        await self._hear([Validated(**self._next(), **told)])

    async def _read(self) -> None:
        state = self._state
        state.nudged = False
        asked = ReadTrials(of=state.of, digest=state.rollout.digest, after=state.read_to)
        found = await workflow.execute_activity(
            "read_trials",
            asked,
            result_type=Trials,
            start_to_close_timeout=TEST,
            heartbeat_timeout=HEARTBEAT,
            summary="what came of the runs that it was tried on",
        )
        state.policy, state.nudged = found.policy or state.policy, state.nudged or found.more
        if found.read_to != state.read_to or found.events:
            state.read_to = found.read_to
            await self._hear([*found.events, Ticked(**self._next())])

    async def _obey(self) -> None:
        orders, self._state.orders = self._state.orders, []
        for one in orders:
            await self._hear([Ordered(**self._next(), what=one.what, by=one.by, why=one.why)], by=one.by)

    async def _hear(self, events: Sequence[Event], by: str = "") -> None:
        """Whatever the events come to is kept, and people are asked, or not any more."""
        state = self._state
        for event in events:
            numbered = event.model_copy(update=self._next())
            state.rollout, decided = policy.advance(state.rollout, numbered, state.policy)
            state.told = [*state.told, *map(line, decided)][-TOLD:]
        await self._keep(by)
        await self._ask()
        RolloutStory(state).tell("")

    async def _keep(self, by: str) -> None:
        state = self._state
        keep = KeepRollout(
            of=state.of,
            rollout=state.rollout,
            percent=state.policy.percent,
            read_to=state.read_to,
            at=now(),
            deployed=state.deployed,
            promoted=state.promoted,
            by=by,
            require_approval=state.policy.require_approval,
        )
        await quick("keep_rollout", keep)

    async def _ask(self) -> None:
        """Put the question to people; take back the one that is none any more."""
        state, wanted = self._state, self._request()
        if state.request is not None and (wanted is None or wanted.digest != state.request.digest):
            await self._desk.end(state, state.request, Settled(choice="withdrawn", note=state.rollout.why))
        if wanted is not None:
            await self._desk.open(state, wanted)
        else:
            await self._desk.late()
            state.inbox.clear()  # nothing is asked: there is nothing that they could answer

    def _request(self) -> Request | None:
        state, asked = self._state, self._state.rollout.asked
        if asked is None:
            return None
        of = state.of
        payload: JsonObject = {
            "step": asked.what,
            "leads_to": policy.leads_to(asked.what, state.policy),
            "capability": of.capability,
            "version": of.version,
            "digest": state.rollout.digest,
            **state.card,
        }
        why = f"{asked.what} {of.capability} version {of.version}: {asked.why or state.rollout.why}"
        who = (of.tenant, of.agent)
        return make_request(who, Kind.DEPLOYMENT, asked.number, payload, why, DEFAULTS["deployment"], state.began)

    async def _look(self, request: Request) -> None:
        state = self._state
        settled, asked = await self._desk.look(state, request), state.rollout.asked
        if settled is None or asked is None:
            return
        settled = await self._desk.end(state, request, settled)
        by = [name for name in settled.principal.split(", ") if name]
        if settled.choice == "approve":
            state.deployed, state.promoted = (
                (settled.request, state.promoted) if asked.what == "deploy" else (state.deployed, settled.request)
            )
        answered = Answered(
            **self._next(),
            what=asked.what,
            asked=asked.number,
            choice=CHOICES.get(settled.choice, "denied"),
            digest=state.rollout.digest,
            by=by,
            note=settled.note[:WORDS_LIMIT],
        )
        await self._hear([answered], by=", ".join(by))

    def _next(self) -> JsonObject:
        rollout = self._state.rollout
        return {"number": rollout.last + 1, "at": now(), "version": rollout.version}

    async def _over(self) -> str:
        await self._desk.late()
        self._desk.close()
        return f"{self._state.rollout.stage}: {self._state.rollout.why}"

    async def _wait(self) -> None:
        state = self._state
        moments = [self._desk.due(state, state.request)] if state.request else []
        if state.rollout.stage in ("shadow", "canary") and not state.rollout.held:
            moments.append(max(state.rollout.since + policy.LASTS, now()))
        left = timedelta(milliseconds=max(min(moments) - now(), 1)) if moments else None
        try:
            await workflow.wait_condition(
                lambda: bool(state.inbox) or bool(state.orders) or state.nudged,
                timeout=left,
                timeout_summary="listening",
            )
        except TimeoutError:
            if state.request is not None:
                await self._desk.remind(state, state.request)
            else:
                await self._hear([Ticked(**self._next())])

    async def _move(self) -> NoReturn:
        self._desk.close()
        # A task that is made again hears of signals only after the activity it begins with: what they bring must be packed too.
        await workflow.sleep(timedelta(milliseconds=1), summary="moving on")
        await workflow.wait_condition(workflow.all_handlers_finished)
        state = self._state
        state.jtis = state.jtis[-JTIS_KEPT:]
        # Lists that were only appended to count as "not set" and would be left out of history: say every field again.
        whole = RolloutState.model_validate(state.model_dump())
        workflow.continue_as_new(
            Start(of=state.of, digest=state.rollout.digest, carried=whole),
            initial_versioning_behavior=ContinueAsNewVersioningBehavior.AUTO_UPGRADE,
        )

    @workflow.signal(description="There is something to read (a worker sends this every few seconds at most)")
    def nudge(self, *sent: Any) -> None:  # Any: whatever somebody sends must not raise
        """Something came of a run that it was tried on."""
        self._state.nudged = True

    @workflow.signal(description="pause, resume, roll_back, retire or reopen; who wants it, and why")
    def order(self, *sent: Any) -> None:  # Any: as for `nudge`
        """A person wants something of it."""
        told = [str(one)[:WORDS_LIMIT] for one in sent[:3]]
        what = next((one for one in get_args(What) if told[:1] == [one]), None)
        if len(told) > 1 and what is not None and len(self._state.orders) < ORDERS_MOST:
            self._state.orders.append(Order(what=what, by=told[1], why="".join(told[2:])))


@workflow.defn(
    name="CapabilityRollout",
    failure_exception_types=[TenureError, ValidationError],
    versioning_behavior=VersioningBehavior.AUTO_UPGRADE,
)
class UpgradingRollout(CapabilityRollout):
    """The same where builds are pinned: as for a ledger of trust, it must not stay with its build."""

    @workflow.init
    def __init__(self, start: Start) -> None:
        """State exists before the first signal arrives."""
        super().__init__(start)

    @workflow.run
    async def run(self, start: Start) -> str:
        """As that of any rollout."""
        return await super().run(start)


def _check(start: Start, state: RolloutState) -> None:
    """Raise unless the workflow is called as the rollout of this capability is, and nobody else has sent what it carries."""
    of = start.of
    name, mine = f"{of.tenant}:capability:{of.agent}:{of.capability}", workflow.info().workflow_id
    if start.carried is not None and state is not start.carried:
        raise ConfigError(
            "carried= is the rollout's own: what it knows comes from the store, not from whoever starts it"
        )
    if mine != name:
        raise ConfigError(
            f"the rollout of {of.capability} of {of.agent} for tenant {of.tenant} is called {name!r}, not {mine!r}"
        )
