"""TrustLedger: the one owner of an agent's level of trust, for one tenant. It reads what is said of finished runs.

Rules of this file: nothing is decided here that `tenure.trust.ledger` does not decide; a level that fell is kept before anything
else is done; a step up needs people. What is lost here is read again: the store has every outcome, in order.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, NoReturn

from pydantic import ValidationError
from temporalio import workflow
from temporalio.common import VersioningBehavior
from temporalio.workflow import ContinueAsNewVersioningBehavior

from tenure.approvals.request import Kind, Request, Settled
from tenure.errors import ConfigError, TenureError
from tenure.trust import ledger as trust
from tenure.trust import level, reading
from tenure.trust.ledger import Ledger, Policy, Proposal
from tenure.trust.reading import Batch, Heard, Keep, ReadOn
from tenure.wire import JsonObject
from tenure.workflows.answerable import Answerable
from tenure.workflows.ask import Desk, MoveOn, make_request
from tenure.workflows.carry import now, own, should_move
from tenure.workflows.ledger_state import TOLD, LedgerState, LedgerStory, Start, told
from tenure.workflows.quick import quick

JTIS_KEPT = 1000
WORDS_LIMIT = 1000  # characters of a reason


@workflow.defn(name="TrustLedger", failure_exception_types=[TenureError, ValidationError])
class TrustLedger(Answerable[LedgerState]):
    """The workflow `{tenant}:trust:{agent}`."""

    @workflow.init
    def __init__(self, start: Start) -> None:
        """State exists before the first signal arrives."""
        self._state = own(start.carried) or LedgerState(tenant=start.tenant, agent=start.agent)
        self._desk = Desk(self._state, LedgerStory(self._state))

    @workflow.run
    async def run(self, start: Start) -> str:
        """Live as long as there is something to hear. Returns the level it rests at."""
        state = self._state
        _check(start, state)
        state.heard_at = state.heard_at or now()
        while True:
            reads_at = self._reads_at()
            if reads_at is not None and reads_at <= now():
                await self._read()
            if state.policy is None:
                return await self._over()
            try:
                await self._ask()
            except MoveOn:  # the approvers are asked too much at the moment, and a newer build waits
                await self._move()
            if state.request is not None and (state.inbox or state.request.deadline <= now()):
                await self._look(state.request)
            elif should_move():
                await self._move()
            elif self._is_idle():
                self._desk.close()
                return level.shown(state.ledger.level) if state.ledger else ""
            else:
                await self._wait()

    async def _over(self) -> str:
        """The agent has no trust= any more: nobody is asked about its level, and what is kept of it stays."""
        if self._state.request is not None:
            gone = Settled(choice="withdrawn", note="the agent has no trust= any more")
            await self._desk.end(self._state, self._state.request, gone)
        self._desk.close()
        return "the agent has no trust="

    async def _read(self) -> None:
        state = self._state
        state.nudged, state.urgent, fresh = False, False, state.ledger is None
        has = state.ledger.level if state.ledger else 0
        ask = ReadOn(tenant=state.tenant, agent=state.agent, after=state.read_to, fresh=fresh, level=has)
        batch = await quick("read_outcomes", ask, Batch)
        state.policy, state.read_at, state.more = batch.policy, now(), batch.more
        if batch.policy is None:
            return
        if batch.read_to != state.read_to:
            state.heard_at = state.read_at
        before, state.ledger = state.ledger, self._heard(batch, batch.policy)
        if fresh or batch.read_to != state.read_to or state.ledger != before:
            state.read_to = batch.read_to
            await self._keep()

    def _heard(self, batch: Batch, policy: Policy) -> Ledger:
        """The ledger after everything in the batch; where it and the store disagree, the lower level holds."""
        state, at = self._state, now()
        found = state.ledger or batch.kept or trust.begin(policy, at)
        if batch.kept is not None and batch.kept.level < found.level:
            found = batch.kept.model_copy(update={"changes": found.changes})
        found = trust.announce(found, policy, at)
        for one in batch.heard:
            found = _hear(found, policy, one, batch.finished, at)
        for kind, why in state.wanted:
            found = trust.ask_back(found, policy, "restore" if kind == "restore" else "carry", why, at)
        state.wanted = []
        return found if batch.more else trust.propose(found, policy, at)

    async def _keep(self) -> None:
        state = self._state
        if state.ledger is None:
            return
        keep = Keep(tenant=state.tenant, agent=state.agent, ledger=state.ledger, read_to=state.read_to, at=now())
        await quick("keep_ledger", keep)
        state.told = [*state.told, *map(told, state.ledger.changes)][-TOLD:]
        state.ledger = state.ledger.model_copy(update={"changes": []})
        LedgerStory(state).tell("")

    async def _ask(self) -> None:
        """Put the proposal to people; take back the request whose proposal died."""
        state = self._state
        proposal = state.ledger.proposal if state.ledger else None
        wanted = self._request(state.ledger, proposal) if state.ledger and proposal else None
        if state.request is not None and (wanted is None or wanted.digest != state.request.digest):
            await self._desk.end(state, state.request, Settled(choice="withdrawn", note="what it rested on changed"))
        if wanted is not None:
            await self._desk.open(state, wanted)
        else:
            await self._desk.late()
            state.inbox.clear()  # nothing was ever asked: there is nothing that they could answer

    def _request(self, ledger: Ledger, proposal: Proposal) -> Request:
        who, payload = (self._state.tenant, self._state.agent), payload_of(ledger, proposal)
        terms = trust.terms_of(proposal)
        return make_request(who, Kind.ESCALATION, proposal.epoch, payload, proposal.why, terms, proposal.epoch)

    async def _look(self, request: Request) -> None:
        state = self._state
        settled = await self._desk.look(state, request)
        proposal = await self._still_proposed(settled) if settled else None
        if settled is None or proposal is None or state.ledger is None:
            return
        settled = await self._desk.end(state, request, settled)
        by = [name for name in settled.principal.split(", ") if name]
        state.ledger = trust.settle(state.ledger, proposal, settled.choice, by, settled.note, now())
        await self._keep()

    async def _still_proposed(self, settled: Settled) -> Proposal | None:
        """The proposal that was answered, unless something that was said until now, and is heard first, has ended it."""
        state = self._state
        proposal = state.ledger.proposal if state.ledger else None
        state.more = settled.choice == "approve"
        while state.more and proposal is not None:
            await self._read()
            if state.policy is None or state.ledger is None or state.ledger.proposal != proposal:
                return None
        return proposal

    async def _wait(self) -> None:
        state = self._state
        moments = [self._desk.due(state, state.request) if state.request else self._rests_at()]
        reads_at = self._reads_at()
        moments += [] if reads_at is None else [reads_at]
        left = timedelta(milliseconds=max(min(moments) - now(), 1))
        nudged, wanted = state.nudged, len(state.wanted)
        try:
            await workflow.wait_condition(
                lambda: bool(state.inbox) or state.urgent or state.nudged != nudged or len(state.wanted) != wanted,
                timeout=left,
                timeout_summary="listening",
            )
        except TimeoutError:
            if state.request is not None:
                await self._desk.remind(state, state.request)

    def _reads_at(self) -> int | None:
        """When it looks again: at once when there is more, soon after it heard something, else when somebody says so."""
        state = self._state
        if state.ledger is None or state.more or state.wanted or state.urgent:
            return 0
        if state.nudged or state.heard_at == state.read_at:
            return state.read_at + reading.EVERY
        # What is enough for a step up already is proposed when the cool-down is over, whether or not anything is said by then.
        cool = trust.cools_at(state.ledger)
        return cool if state.read_at < cool else None

    def _rests_at(self) -> int:
        """When it rests if nothing is said: not before the cool-down is over."""
        state = self._state
        return max(state.heard_at + reading.IDLE, trust.cools_at(state.ledger) if state.ledger else 0)

    def _is_idle(self) -> bool:
        state = self._state
        return state.request is None and self._reads_at() is None and now() >= self._rests_at()

    async def _move(self) -> NoReturn:
        self._desk.close()
        # A task that is made again hears of signals only after the activity it begins with: what they bring must be packed too.
        await workflow.sleep(timedelta(milliseconds=1), summary="moving on")
        await workflow.wait_condition(workflow.all_handlers_finished)
        state = self._state
        state.jtis = state.jtis[-JTIS_KEPT:]
        # Lists that were only appended to count as "not set" and would be left out of history: say every field again.
        whole = LedgerState.model_validate(state.model_dump())
        workflow.continue_as_new(
            Start(tenant=state.tenant, agent=state.agent, carried=whole),
            initial_versioning_behavior=ContinueAsNewVersioningBehavior.AUTO_UPGRADE,
        )

    @workflow.signal(description="There is something to read (sent at most every ten seconds)")
    def nudge(self, *sent: Any) -> None:  # Any: whatever somebody sends must not raise
        """Something was said of a run; `urgent`: it is read at once."""
        self._state.nudged = True
        self._state.urgent = self._state.urgent or sent[:1] == ("urgent",)

    @workflow.signal(
        description="Ask people to give back what an incident (`restore`) or a rebuild (`carry`) took, and why"
    )
    def ask_back(self, *sent: Any) -> None:  # Any: as for `nudge`
        """Somebody wants a level back; people will be asked."""
        told = [str(one)[:WORDS_LIMIT] for one in sent[:10]] or [""]
        if told[0] in ("restore", "carry") and len(self._state.wanted) < 10:
            self._state.wanted.append((told[0], " ".join(told[1:])[:WORDS_LIMIT]))


@workflow.defn(
    name="TrustLedger",
    failure_exception_types=[TenureError, ValidationError],
    versioning_behavior=VersioningBehavior.AUTO_UPGRADE,
)
class UpgradingLedger(TrustLedger):
    """The same where builds are pinned: a ledger that stayed with its build would hear nothing once its last worker is gone.

    Only a worker with a build id may say so, which is why these are two classes.
    """

    @workflow.init
    def __init__(self, start: Start) -> None:
        """State exists before the first signal arrives."""
        super().__init__(start)

    @workflow.run
    async def run(self, start: Start) -> str:
        """As that of any ledger."""
        return await super().run(start)


def _check(start: Start, state: LedgerState) -> None:
    """Raise unless the workflow is called as the ledger of this agent is, and nobody else has sent what it carries."""
    name, mine = f"{start.tenant}:trust:{start.agent}", workflow.info().workflow_id
    if start.carried is not None and state is not start.carried:
        raise ConfigError(
            "carried= is the ledger's own: what it knows comes from the store, not from whoever starts it"
        )
    if mine != name:  # a second one would lead another life beside it
        raise ConfigError(f"the ledger of {start.agent} for tenant {start.tenant} is called {name!r}, not {mine!r}")


def _hear(found: Ledger, policy: Policy, heard: Heard, finished: int, at: int) -> Ledger:
    if heard.severe:
        return trust.incident(found, heard.run, heard.why, at)
    return found if heard.judged is None else trust.judge(found, policy, [heard.judged], at, finished=finished)


def payload_of(ledger: Ledger, proposal: Proposal) -> JsonObject:
    """What people sign: from where to where, the how-manieth proposal it is, and the evidence as it stood.

    No time is in it: a worker that dies right after it asked leaves the question to another, which asks the same.
    """
    return {
        "step": proposal.kind,
        "from": level.shown(proposal.before),
        "to": level.shown(proposal.to),
        "build": ledger.fingerprint,
        "proposal": proposal.number,
        "evidence": proposal.evidence,
    }
