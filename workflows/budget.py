"""Out of money: a run whose budget does not allow the next call ends, or waits until there is more.

That is when people add to the budget, when its day or month is over, or when a look at the ledger says so. The run looks as soon as
others can see that it waits, so that it misses nothing that came before, and whenever it is woken: by `tenure cost cap`, for one.

Rules of this file: nothing is in flight while a run waits, so it may continue as new at any moment here.
"""

from __future__ import annotations

from dataclasses import dataclass

from temporalio import workflow

from tenure.approvals.request import Kind, Request, Settled
from tenure.optimize import money
from tenure.run import Parked, Raise, RunState, StopReason
from tenure.trust.terms import DEFAULTS
from tenure.turn import Shortage
from tenure.workflows.ask import Desk, request_for
from tenure.workflows.carry import Stop, now, tell
from tenure.workflows.quick import quick

LOOKS = "a-run-without-money-looks-again"
WITHDRAWN = "withdrawn"


@dataclass(frozen=True)
class Ledger:
    """What a run that waits for money watches beside the answers."""

    run: RunState
    short: Shortage

    def is_woken(self) -> bool:
        """Whether somebody says that there may be enough. In a run that began to wait under an older worker nobody does."""
        return self.run.woken and workflow.patched(LOOKS)

    async def look(self) -> Settled | None:
        """Withdrawn, unless there is still too little, by the same budget or cap."""
        self.run.woken = False  # before the look: whoever says so during it is heard
        if await quick("still_short", self.short, bool):
            return None
        return Settled(choice=WITHDRAWN, note=f"what may be spent this {self.short.scope} has changed: trying again")


async def exhausted(run: RunState, desk: Desk, short: Shortage) -> Stop | None:
    """A Stop, unless the run may try again: people have added to the budget, or it is not as it was any more. Raises MoveOn."""
    if short.on != "pause":
        return Stop(StopReason.BUDGET, short.why)
    if run.parked is None:
        run.parked, run.woken = Parked(why=short.why, since=now()), True
    settled = await desk.ask(run.parked, _request(run, short, run.parked.since), Ledger(run, short))
    run.parked = run.shortage = None
    if settled.choice == "approve":
        await quick("raise_budget", Raise(request=settled.request))
        what = "an operator's cap on" if short.operator else "the budget of"
        tell(run, f"{settled.principal} added {money.shown(short.cap)} to {what} this {short.scope}")
        return None
    if settled.choice == WITHDRAWN:
        tell(run, settled.note)
        return None
    if settled.choice == "expired" and 0 < short.until <= now():
        tell(run, f"a new {short.scope.rpartition('/')[2]}, a new budget")
        return None
    return Stop(StopReason.BUDGET, f"{short.why}; {settled.refusal}")


def _request(run: RunState, short: Shortage, since: int) -> Request:
    """People are asked to add to the cap once what it is; silence means no, and the end of the day or month is a fresh start."""
    terms = DEFAULTS["budget"]
    if short.until:
        left = max((short.until - since) // 1000 + 1, 1)  # from when it was parked: the same after continue-as-new
        terms = terms.model_copy(update={"deadline": min(terms.deadline, left)})
    payload = {
        "scope": short.scope,
        "subject": short.subject,
        "period": short.period,
        "cap": money.shown(short.cap),
        "add": money.shown(short.cap),
        **({"operator_cap": short.operator} if short.operator else {}),  # who adds to it adds to this very cap
    }
    return request_for(run, Kind.BUDGET, run.seq, payload, short.why, terms)
