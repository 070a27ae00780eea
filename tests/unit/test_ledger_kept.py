"""A worker that dies before it can say what it did leaves it to another, which does it again: that changes nothing more."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from temporalio.testing import ActivityEnvironment

from tenure.activities.ledger import Ledgering
from tenure.approvals.request import Kind
from tenure.runtime.store import Store, approvals, ledgers, restrictions
from tenure.trust.ledger import Ledger, begin, incident, propose
from tenure.trust.reading import Keep
from tenure.trust.terms import for_escalation
from tenure.workflows import ask
from tenure.workflows.trust_ledger import payload_of
from tests.unit.test_ledger import DAY, POLICY, earned

WHO = "default", "desk"


async def keep(store: Store, ledger: Ledger, at: int, read_to: int = 1) -> None:
    ledgering = Ledgering(SimpleNamespace(store=store))  # type: ignore[arg-type]
    told = Keep(tenant=WHO[0], agent=WHO[1], ledger=ledger, read_to=read_to, at=at)
    await ActivityEnvironment().run(ledgering.keep_ledger, told)


async def test_a_fall_that_is_kept_again_later_moves_the_fence_once_and_stands_in_the_history_once(
    store: Store,
) -> None:
    for at in (100, 7_000):
        fallen = incident(begin(POLICY, 0), "r1", "leaked an address", at)
        await keep(store, fallen, at, read_to=at)  # another worker may have read further meanwhile
    fence = await store.read(lambda db: restrictions.standing(db, *WHO).fence)
    changes = await store.read(lambda db: ledgers.changes(db, *WHO))
    assert (fence, [change.kind for change in changes]) == (1, ["began", "incident"])


async def test_two_proposals_that_end_alike_at_one_level_are_both_in_the_history(store: Store) -> None:
    ledger = earned()
    for start in (100, 200):
        ledger = unanswered(ledger)
        await keep(store, ledger, start, read_to=start)
        ledger = earned(start, at=DAY * start, ledger=ledger.model_copy(update={"changes": []}))
    changes = await store.read(lambda db: ledgers.changes(db, *WHO))
    assert [change.kind for change in changes].count("expired") == 2


def unanswered(ledger: Ledger) -> Ledger:
    """The ledger after nobody has answered its proposal."""
    assert ledger.proposal is not None
    ended = propose(ledger, POLICY, ledger.proposal.opened_at + 4 * DAY)
    assert ended.proposal is None
    return ended


def test_what_people_are_asked_is_the_same_whenever_it_is_asked() -> None:
    asked = [earned(at=at) for at in (DAY, DAY + 5_000)]
    first, second = (payload_of(ledger, ledger.proposal) for ledger in asked if ledger.proposal)
    assert first == second


async def test_a_workflow_that_asks_something_else_has_taken_back_what_it_asked(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ask.workflow, "info", lambda: SimpleNamespace(workflow_id="default:trust:desk"))
    monkeypatch.setattr(ask, "now", lambda: 5)
    one, other = (
        ask.make_request(WHO, Kind.ESCALATION, 1, {"to": to}, "why", for_escalation(4), 1) for to in ("0.4", "0.5")
    )
    for request in (one, other, other):
        await store.transact(lambda db, request=request: approvals.open_request(db, request))  # type: ignore[misc]
    assert [request.id for request in await store.read(approvals.pending)] == [other.id]
