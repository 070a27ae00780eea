"""Out of money: a run whose budget does not allow the next call ends, or waits until there is more.

That is when people add to the budget, when its day or month is over, or when a look at the ledger says so. The run looks as soon as
others can see that it waits, so that it misses nothing that came before, and whenever it is woken: by `tenure cost cap`, for one.

Rules of this file: nothing is in flight while a run waits, so it may continue as new at any moment here.
"""

from __future__ import annotations

from dataclasses import dataclass

from temporalio import workflow

from tenure.approvals.request import Kind, Request, Settled
from tenure.errors import ConfigError
from tenure.optimize import money
from tenure.optimize.budget import Scope, named
from tenure.run import Parked, Raise, RunState, StopReason
from tenure.trust.terms import DEFAULTS
from tenure.turn import Shortage
from tenure.wire import JsonObject
from tenure.workflows.ask import Desk, request_for
from tenure.workflows.carry import Stop, now, tell
from tenure.workflows.quick import quick

LOOKS = "a-run-without-money-looks-again"
LACKS = "people-add-what-the-call-lacks"
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
        return Settled(choice=WITHDRAWN, note=f"{_named(self.short)} has changed: trying again")


async def exhausted(run: RunState, desk: Desk, short: Shortage) -> Stop | None:
    """A Stop, unless the run may try again: people have added to the budget, or it is not as it was any more. Raises MoveOn."""
    if short.on != "pause":
        return Stop(StopReason.BUDGET, short.why)
    if run.parked is None:
        run.parked, run.woken = Parked(why=short.why, since=now()), True
    # What was asked before continue-as-new stands as it was asked, also where this worker would word it otherwise.
    request = run.parked.request or _request(run, short, run.parked.since)
    settled = await desk.ask(run.parked, request, Ledger(run, short))
    run.parked = run.shortage = None
    return await _settled(run, short, request, settled)


async def _settled(run: RunState, short: Shortage, request: Request, settled: Settled) -> Stop | None:
    match settled.choice:
        case "approve":
            await quick("raise_budget", Raise(request=settled.request))
            tell(run, f"{settled.principal} added {request.payload['add']} to {_named(short)}")
        case "edit" if settled.edit is not None:  # another amount is another request
            run.shortage = _edited(short, settled.edit)
        case "withdrawn":
            tell(run, settled.note)
        case "expired" if 0 < short.until <= now():
            tell(run, f"a new {short.scope.rpartition('/')[2]}, a new budget")
        case _:
            return Stop(StopReason.BUDGET, f"{short.why}; {settled.refusal}")
    return None


def _request(run: RunState, short: Shortage, since: int) -> Request:
    """People are asked to add what the next call lacks, or another amount; silence means no, the end of the day a fresh start."""
    terms = DEFAULTS["budget"]
    if short.until:
        left = max((short.until - since) // 1000 + 1, 1)  # from when it was parked: the same after continue-as-new
        terms = terms.model_copy(update={"deadline": min(terms.deadline, left)})
    # A history of an older worker has no mark: it asks on as it did.
    add = short.add if short.add and workflow.patched(LACKS) else 0
    payload = {
        "scope": short.scope,
        "subject": short.subject,
        "period": short.period,
        "cap": money.shown(short.cap),
        "add": money.shown(add or short.cap),
        **({"after": _after(short, add)} if add else {}),
        **({"operator_cap": short.operator} if short.operator else {}),  # who adds to it adds to this very cap
    }
    more = {"choices": ["approve", "deny", "edit"]} if add else {}
    return request_for(run, Kind.BUDGET, run.seq, payload, short.why, terms, **more)


def _edited(short: Shortage, edit: JsonObject) -> Shortage:
    try:
        return short.model_copy(update={"add": money.amount(str(edit.get("add")))})
    except ConfigError:  # a verdict of an older worker, which does not look at amounts: asked again as it was
        return short


def _after(short: Shortage, add: int) -> str:
    """What may be spent if people say yes, and whether that pays for what the run would do next."""
    cap, needed = short.cap + add, money.shown(short.needed)
    enough = "enough" if cap - short.spent >= short.needed else "NOT enough"
    return f"{money.shown(cap)}: {enough} for the next call, which may cost {needed}"


def _named(short: Shortage) -> str:
    return named(Scope(short.scope, short.subject, short.period, operator=short.operator))
