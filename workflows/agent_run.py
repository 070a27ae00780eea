"""AgentRun: one agent run as a durable workflow. Observe, then decide and act in turns, until a terminal condition."""

from __future__ import annotations

import asyncio
from typing import Any, NoReturn

from pydantic import ValidationError
from temporalio import workflow
from temporalio.exceptions import FailureError
from temporalio.workflow import ContinueAsNewVersioningBehavior

from tenure.approvals.request import Request, Verdict
from tenure.errors import BadInput, TenureError
from tenure.run import Outcome, Progress, RunRequest, StopReason
from tenure.wire import INLINE_LIMIT
from tenure.workflows import budget, carry, ending, park, respond, story, turn
from tenure.workflows.ask import Desk, MoveOn
from tenure.workflows.call import NotServed
from tenure.workflows.carry import Stop
from tenure.workflows.observe import Ended, observe, take_context

FOREIGN = (
    "carried= (of agent {!r:.80}, attempt {}): state counts only where the run itself has carried it over by continue-as-new, "
    "never from a client, a workflow retry or a cron schedule: start a run as a client makes it, with `tenure run`"
)
REFUSED = f"[added context was refused: at most {INLINE_LIMIT:,} bytes a turn are taken]"


@workflow.defn(name="AgentRun", failure_exception_types=[TenureError, ValidationError])
class AgentRun:
    """The run itself; what it knows is in `carry.Run`, what a turn does is in `turn`, people are asked in `ask`."""

    @workflow.init
    def __init__(self, request: RunRequest | None = None) -> None:
        """State exists before the first signal arrives."""
        self._run = carry.begin(request or RunRequest(agent=""))
        self._desk = Desk(self._run, story.RunStory(self._run))

    @workflow.run
    async def run(self, request: RunRequest | None = None) -> Outcome:
        """Live until a terminal condition. Fails with `RunFailed` only when the run could not be carried out."""
        if request is None:  # a raw start may send anything
            raise BadInput("AgentRun takes one RunRequest as a client makes it: start runs with `tenure run`")
        if request.carried is not None and self._run is not request.carried:
            raise BadInput(FOREIGN.format(request.carried.request.agent, workflow.info().attempt))
        try:
            stop = await self._live()
        except Ended as ended:
            return await ending.again(self._run, ended.outcome)
        except (asyncio.CancelledError, FailureError, TenureError, ValidationError) as error:
            stop = ending.stop_for(error)
        return ending.end(await ending.undisturbed(self._close(stop)))

    async def _close(self, stop: Stop) -> Outcome:
        await self._desk.late()
        self._desk.close()
        return await ending.close(self._run, stop)

    async def _live(self) -> Stop:
        observed = 0
        while True:
            try:
                if self._run.snapshot is None or observed:
                    observed += 1
                    await observe(self._run, observed)
                stop = await self._turn()
            except NotServed:
                observed = max(observed, 1)
            except MoveOn:
                await self._move()
            else:
                if stop is not None:
                    return stop
                observed = 0

    async def _turn(self) -> Stop | None:
        if self._run.draft is not None:
            return await respond.finish(self._run, self._desk, self._run.draft)
        stop = await self._next()
        return None if stop is None else await respond.respond(self._run, self._desk, stop)

    async def _next(self) -> Stop | None:
        if workflow.cancellation_reason() is not None:
            raise asyncio.CancelledError  # a tool that finished in spite of the cancellation swallowed it
        if self._run.turn is None:
            if carry.should_move():
                await self._move()
            if self._run.shortage is not None:
                return await budget.exhausted(self._run, self._desk, self._run.shortage)
            if self._run.stuck:
                return await park.stuck(self._run, self._desk)
            await take_context(self._run)
            if self._run.iteration >= self._run.agent.max_iterations:
                return Stop(StopReason.MAX_ITERATIONS, f"no answer after {self._run.iteration} iterations")
            if (stop := await turn.decide(self._run)) is not None:
                return stop
        return await turn.settle(self._run, self._desk)

    async def _move(self) -> NoReturn:
        """Continue as new, on the newest build, with everything the run knows. Nothing is in flight here."""
        self._desk.close()
        await workflow.wait_condition(workflow.all_handlers_finished)
        workflow.continue_as_new(
            carry.pack(self._run), initial_versioning_behavior=ContinueAsNewVersioningBehavior.AUTO_UPGRADE
        )

    @workflow.signal(description="Answer the open request: one compact JWS, as `tenure approve --print` gives it")
    def answer(self, *sent: Any) -> None:  # Any: whatever somebody sends, and however much, must not raise
        """An answer arrives; it is verified before it counts."""
        for token in sent:
            self._desk.drop(token)

    @workflow.update(name="answer", description="Answer the open request and hear what became of it")
    async def answer_and_wait(self, *sent: Any) -> Verdict:  # Any: as for the signal
        """The same answer as an update: returns the verdict on it."""
        return await self._desk.verdict_on(self._desk.drop(sent[0]))

    @answer_and_wait.validator
    def _is_asking(self, *sent: Any) -> None:  # Any: as for the signal
        if len(sent) != 1:
            raise ValueError("an answer is one compact JWS")
        if self._run.waiting_for is None:
            raise ValueError("this run asks nothing now")

    @workflow.signal(description="Tell the agent something before its next turn (untrusted text)")
    def add_context(self, *sent: Any) -> None:  # Any: as for `answer`
        """More context, taken up before the next turn."""
        told = "\n".join(str(text) for text in sent)
        if not told.strip():
            return  # the Messages API takes no empty text
        if len("".join([*self._run.context, told]).encode("utf-8", "replace")) > INLINE_LIMIT:
            told = REFUSED
        if told != REFUSED or REFUSED not in self._run.context:
            self._run.context.append(told)

    @workflow.signal(
        description="Look again whether the run may go on: `tenure resume` and `tenure cost cap` send this"
    )
    def resume(self, *sent: Any) -> None:  # Any: as for `answer`
        """A halt may be over, or there may be money again."""
        self._run.woken = True

    @workflow.query(description="Where the run stands")
    def progress(self) -> Progress:
        """Status, steps, tokens and cost so far."""
        return story.progress(self._run)

    @workflow.query(description="What a person must decide before the run goes on")
    def pending(self) -> list[Request]:
        """The open requests."""
        return story.progress(self._run).waiting_for
