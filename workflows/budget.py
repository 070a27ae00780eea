"""Out of money: a run whose budget does not allow the next call ends, or waits until people add to it or the day is over.

Rules of this file: nothing is in flight while a run waits, so it may continue as new at any moment here.
"""

from __future__ import annotations

from tenure.approvals.request import Kind, Request
from tenure.optimize import money
from tenure.run import Parked, Raise, RunState, StopReason
from tenure.trust.terms import DEFAULTS
from tenure.turn import Shortage
from tenure.workflows.ask import Desk, request_for
from tenure.workflows.carry import Stop, now, tell
from tenure.workflows.quick import quick


async def exhausted(run: RunState, desk: Desk, short: Shortage) -> Stop | None:
    """A Stop, unless the run may try again: people have added to the budget, or its day or month is over. Raises MoveOn."""
    if short.on != "pause":
        return Stop(StopReason.BUDGET, short.why)
    run.parked = run.parked or Parked(why=short.why, since=now())
    settled = await desk.ask(run.parked, _request(run, short, run.parked.since))
    run.parked = run.shortage = None
    if settled.choice == "approve":
        await quick("raise_budget", Raise(request=settled.request))
        what = "an operator's cap on" if short.operator else "the budget of"
        tell(run, f"{settled.principal} added {money.shown(short.cap)} to {what} this {short.scope}")
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
