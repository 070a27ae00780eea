"""TrustLedger: the one owner of an agent's level of trust, for one tenant. It reads what is said of finished runs.

Rules of this file: nothing is decided here that `tenure.trust.ledger` does not decide; a level that fell is kept before anything
else is done; a step up needs people. What is lost here is read again: the store has every outcome, in order.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, NoReturn

from pydantic import Field, ValidationError
from temporalio import workflow
from temporalio.workflow import ContinueAsNewVersioningBehavior

from tenure.approvals.request import Kind, Request, Settled, Verdict
from tenure.errors import TenureError
from tenure.run import Asking
from tenure.trust import ledger as trust
from tenure.trust import level, reading
from tenure.trust.ledger import Ledger, Policy, Proposal
from tenure.trust.reading import Batch, Heard, Keep, ReadOn
from tenure.wire import JsonObject, Wire
from tenure.workflows import story
from tenure.workflows.ask import Desk, make_request
from tenure.workflows.carry import now, should_move
from tenure.workflows.quick import quick

JTIS_KEPT = 1000
WORDS_LIMIT = 1000  # characters of a reason


class LedgerState(Asking):
    """Everything the workflow knows. Mutable; carried whole through continue-as-new."""

    tenant: str
    agent: str
    ledger: Ledger | None = None
    policy: Policy | None = None
    read_to: int = 0
    read_at: int = 0
    heard_at: int = 0
    nudged: bool = True
    more: bool = False
    wanted: list[tuple[str, str]] = Field(default_factory=list[tuple[str, str]])  # what people want back, and why
    inbox: list[str] = Field(default_factory=list[str])
    jtis: list[str] = Field(default_factory=list[str])


class Start(Wire):
    """Whose trust it is. Only the workflow itself carries anything."""

    tenant: str
    agent: str
    carried: LedgerState | None = None


@workflow.defn(name="TrustLedger", failure_exception_types=[TenureError, ValidationError])
class TrustLedger:
    """The workflow `{tenant}:trust:{agent}`."""

    @workflow.init
    def __init__(self, start: Start) -> None:
        """State exists before the first signal arrives."""
        continued = workflow.info().continued_run_id is not None
        fresh = LedgerState(tenant=start.tenant, agent=start.agent)
        self._state = start.carried if start.carried is not None and continued else fresh
        self._desk = Desk(self._state, LedgerStory(self._state))

    @workflow.run
    async def run(self, start: Start) -> str:
        """Live as long as there is something to hear. Returns the level it rests at."""
        state = self._state
        state.heard_at = state.heard_at or now()
        while True:
            reads_at = self._reads_at()
            if reads_at is not None and reads_at <= now():
                await self._read()
                if state.policy is None:
                    return "the agent has no trust="
            await self._ask()
            if state.request is not None and (state.inbox or state.request.deadline <= now()):
                await self._look(state.request)
            elif should_move():
                await self._move()
            elif self._is_idle():
                self._desk.close()
                return level.shown(state.ledger.level) if state.ledger else ""
            else:
                await self._wait()

    async def _read(self) -> None:
        state = self._state
        state.nudged, fresh = False, state.ledger is None
        ask = ReadOn(tenant=state.tenant, agent=state.agent, after=state.read_to, fresh=fresh)
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
        who, payload = (self._state.tenant, self._state.agent), _payload(ledger, proposal)
        terms = trust.terms_of(proposal)
        return make_request(who, Kind.ESCALATION, proposal.epoch, payload, proposal.why, terms, proposal.epoch)

    async def _look(self, request: Request) -> None:
        state = self._state
        settled = await self._desk.look(state, request)
        if settled is None or state.ledger is None or state.ledger.proposal is None:
            return
        settled = await self._desk.end(state, request, settled)
        by = [name for name in settled.principal.split(", ") if name]
        state.ledger = trust.settle(state.ledger, state.ledger.proposal, settled.choice, by, settled.note, now())
        await self._keep()

    async def _wait(self) -> None:
        state = self._state
        moments = [self._desk.due(state, state.request) if state.request else self._rests_at()]
        reads_at = self._reads_at()
        moments += [] if reads_at is None else [reads_at]
        left = timedelta(milliseconds=max(min(moments) - now(), 1))
        nudged, wanted = state.nudged, len(state.wanted)
        try:
            await workflow.wait_condition(
                lambda: bool(state.inbox) or state.nudged != nudged or len(state.wanted) != wanted,
                timeout=left,
                timeout_summary="listening",
            )
        except TimeoutError:
            if state.request is not None:
                await self._desk.remind(state, state.request)

    def _reads_at(self) -> int | None:
        """When it looks again: at once when there is more, soon after it heard something, else when somebody says so."""
        state = self._state
        if state.ledger is None or state.more or state.wanted:
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
        return state.request is None and not state.nudged and now() >= self._rests_at()

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
        """Something was said of a run."""
        self._state.nudged = True

    @workflow.signal(
        description="Ask people to give back what an incident (`restore`) or a rebuild (`carry`) took, and why"
    )
    def ask_back(self, *sent: Any) -> None:  # Any: as for `nudge`
        """Somebody wants a level back; people will be asked."""
        told = [str(one)[:WORDS_LIMIT] for one in sent[:10]] or [""]
        if told[0] in ("restore", "carry") and len(self._state.wanted) < 10:
            self._state.wanted.append((told[0], " ".join(told[1:])[:WORDS_LIMIT]))

    @workflow.signal(description="Answer the open request: one compact JWS, as `tenure approve --print` gives it")
    def answer(self, *sent: Any) -> None:  # Any: as for `nudge`
        """An answer arrives; it is verified before it counts."""
        for token in sent:
            self._desk.drop(token)

    @workflow.update(name="answer", description="Answer the open request and hear what became of it")
    async def answer_and_wait(self, *sent: Any) -> Verdict:  # Any: as for `nudge`
        """The same answer as an update: returns the verdict on it."""
        return await self._desk.verdict_on(self._desk.drop(sent[0]))

    @answer_and_wait.validator
    def _is_asking(self, *sent: Any) -> None:  # Any: as for `nudge`
        if len(sent) != 1:
            raise ValueError("an answer is one compact JWS")
        if self._state.request is None:
            raise ValueError("this ledger asks nothing now")

    @workflow.query(description="What a person must decide before the level rises")
    def pending(self) -> list[Request]:
        """The open request, if there is one."""
        return [self._state.request] if self._state.request else []


class LedgerStory:
    """How a ledger shows where it stands."""

    def __init__(self, state: LedgerState) -> None:
        self._state = state

    def tell(self, what: str, *, ok: bool = True) -> None:
        """Show it anew; what happened is in the changes."""
        workflow.set_current_details(_details(self._state))

    def waiting(self, waits: bool) -> None:
        """A step up waits for people, or no longer."""
        story.mark_waiting(waits)


def _hear(found: Ledger, policy: Policy, heard: Heard, finished: int, at: int) -> Ledger:
    if heard.severe:
        return trust.incident(found, heard.run, heard.why, at)
    return found if heard.judged is None else trust.judge(found, policy, [heard.judged], at, finished=finished)


def _payload(ledger: Ledger, proposal: Proposal) -> JsonObject:
    """What people sign: from where to where, when it was proposed, and the evidence as it stood."""
    return {
        "what": proposal.kind,
        "from": level.shown(proposal.before),
        "to": level.shown(proposal.to),
        "build": ledger.fingerprint,
        "proposed_at": proposal.opened_at,
        "evidence": proposal.evidence,
    }


def _details(state: LedgerState) -> str:
    ledger = state.ledger
    if ledger is None:
        return ""
    judged = list(ledger.evidence.judged.values())
    head = f"**{state.agent}** · tenant {state.tenant} · level **{level.shown(ledger.level)}** · build {ledger.fingerprint[:8]}"
    failed = sum(not one.good for one in judged)
    seen = f"{len(judged)} judged runs since the last change, {failed} of them not good"
    if state.request is None:
        return f"{head}\n\n{seen}"
    asks = f"**Proposed: {level.shown(ledger.proposal.to)}**. {state.request.why}" if ledger.proposal else ""
    return f"{head}\n\n{seen}\n\n{asks}\n\nAnswer with `tenure approve {state.request.id}` or `tenure deny {state.request.id}`"
