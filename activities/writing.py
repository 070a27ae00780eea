"""write_capability: Claude writes the program of a family of runs that induction has learned nothing of.

Rules of this file: it is asked through the budget like every call, in no run's name. What it answered is kept before it is judged:
an attempt that comes later does not pay for it again. What it wrote is a proposal like any other: nothing is in service by it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from temporalio import activity
from temporalio.exceptions import ApplicationError

from tenure.activities import calling, mining
from tenure.activities.paying import Exhausted, NoRun, Payer
from tenure.activities.pulse import pulse
from tenure.activities.resources import Resources, now
from tenure.learn import briefing
from tenure.learn.reading import Found, Write
from tenure.learn.recording import Recording
from tenure.learn.trigger import Trigger
from tenure.learn.wording import family, known
from tenure.learn.written import Unusable, Written
from tenure.runtime import drafting
from tenure.runtime.claude import Prompt, Reply
from tenure.runtime.learning import MOST
from tenure.runtime.store import Connection, recordings, writings
from tenure.runtime.store.writings import Draft, Family, Writing
from tenure.spec import AgentSpec
from tenure.transcript import answer_text
from tenure.turn import ITERATION_TIMEOUT
from tenure.wire import JsonObject

ROUNDS = 3  # one program and two corrections
TOKENS = 8_000  # of one answer
TIMEOUT = 300.0  # seconds for one answer
TIER = "learning"
DECLINED = "refusal"
NOTHING = "(no text)"  # the API takes no empty text
WHY_SHOWN = 600  # characters of a problem, which may quote what a program would have done


@dataclass(frozen=True)
class Task:
    """What is to be written: the runs of one kind, those of them that are shown, and the trigger that they have in common."""

    of: Family
    agent: AgentSpec
    writing: Writing
    trigger: Trigger
    kind: Sequence[Recording]
    shown: Sequence[Recording]


class Over(Exception):
    """No program comes of it. `final`: not of these runs, however often it is asked."""

    def __init__(self, why: str, *, final: bool = True) -> None:
        super().__init__(why)
        self.why, self.final = why, final


@dataclass(frozen=True)
class Drafting:
    """The activity `write_capability`."""

    to: Resources

    @activity.defn(name="write_capability")
    async def write_capability(self, ask: Write) -> Found:
        """A new capability, or why there is none."""
        with pulse():
            agent = self.to.agent(ask.agent)
            try:
                task = await self._task(ask, agent)
            except Over as over:
                return _none(ask, over.why)
            try:
                made = await self._written(task)
            except Over as over:
                if over.final:
                    await self._end(task, "refused", over.why)
                return _none(ask, over.why)
            return await self._proposed(task, made)

    async def _task(self, ask: Write, agent: AgentSpec) -> Task:
        """What is to be written, and remembered. Raises Over."""
        if agent.learning is None or not agent.learning.enabled or not agent.learning.capabilities.auto_generate:
            raise Over("the agent learns no more, or may not be written for", final=False)
        since = now() - agent.learning.patterns.time_window * 1000
        who = ask.tenant, agent.name
        every = await self.to.store.read(lambda db: recordings.verified(db, who, agent.fingerprint, since, MOST))
        kind = drafting.sound([run for run in every if family(run) == ask.family])
        trigger = await asyncio.to_thread(drafting.trigger_of, kind, every) if kind else None
        if trigger is None:
            raise Over(drafting.NO_FORM, final=False)
        of, readable = Family(*who, agent.fingerprint, ask.family), await asyncio.to_thread(known, trigger, kind)
        writing = await self.to.store.transact(lambda db: drafting.begun(db, of, kind, readable, now()))
        return Task(of, agent, writing, trigger, kind, [run for run in kind if run.run in writing.shown])

    async def _written(self, task: Task) -> Written:
        """The first program that will do. Raises Over."""
        text = briefing.asked(drafting.stubs(task.agent, task.trigger), task.trigger, task.shown)
        said = [_user(text)]
        why = ""
        for round in range(1, ROUNDS + 1):
            draft = await self._draft(task, said, round)
            try:
                return await drafting.judge(self.to.sandbox, task.agent, draft, task.trigger, task.kind, task.shown)
            except Unusable as unusable:
                why = unusable.problems[0][:WHY_SHOWN]
                answered = {"role": "assistant", "content": [{"type": "text", "text": draft.text}]}
                said += [answered, _user(briefing.again(unusable.problems))]
        raise Over(f"Claude wrote {ROUNDS} programs for it, and none will do: {why}")

    async def _draft(self, task: Task, said: list[JsonObject], round: int) -> Draft:
        """What Claude answers in that round: once, whoever asks. Raises Over."""
        of, number = task.of, task.writing.number
        stands = await self.to.store.read(lambda db: writings.draft_of(db, of, number, round))
        if stands is None:
            reply = await self._ask(task, said, round)
            text = answer_text(reply.content)
            made = Draft(reply.model, text if text.strip() else NOTHING, reply.stop)
            stands = await self.to.store.transact(lambda db: writings.keep(db, of, number, round, made, now()))
        if stands.stop == DECLINED:
            raise Over("Claude declined to write a program for it")
        return stands

    async def _ask(self, task: Task, said: list[JsonObject], round: int) -> Reply:
        prompt = Prompt(task.agent.model, said, TOKENS, TIMEOUT, system=briefing.SYSTEM)
        payer = Payer(self.to, NoRun(task.of.tenant), task.agent, seq=round)
        deadline = asyncio.get_running_loop().time() + TIMEOUT
        try:
            return await calling.call(payer, prompt, deadline, tier=TIER)
        except Exhausted as error:
            raise Over(error.shortage.why, final=False) from error  # another day has another budget
        except ApplicationError as error:
            if error.type != ITERATION_TIMEOUT:
                raise
            raise Over(f"Claude wrote no program within {TIMEOUT:g} s") from error  # and was paid for it

    async def _proposed(self, task: Task, made: Written) -> Found:
        def write(db: Connection) -> Found:
            found = mining.keep(db, task.of.tenant, task.of.agent, made)
            told = f"what {made.model} wrote for it is version {found.version}"
            writings.end(db, task.of, task.writing.number, "proposed", told)
            return found.model_copy(update={"why": f"written by {made.model}"}) if found.what == "new" else found

        return await self.to.store.transact(write)

    async def _end(self, task: Task, outcome: str, why: str) -> None:
        await self.to.store.transact(lambda db: writings.end(db, task.of, task.writing.number, outcome, why))


def _user(text: str) -> JsonObject:
    return {"role": "user", "content": [{"type": "text", "text": text}]}


def _none(ask: Write, why: str) -> Found:
    told = f"{ask.why}; {why}"
    return Found(tenant=ask.tenant, agent=ask.agent, capability=ask.family, runs=ask.runs, what="refused", why=told)
