"""The second look (`permit`): an effect begins by a ruling that holds now, and an approval counts for what it was given for.

What stands in the store is written here by hand: whatever a run claims, only that counts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from tenure.activities.act import Acting, _begin
from tenure.activities.job import Job, job_of
from tenure.activities.permit import Stale, decision, permit
from tenure.approvals.answer import Answer, sign
from tenure.approvals.approvers import vouch
from tenure.approvals.digest import call_digest, request_digest
from tenure.approvals.request import Kind, Request, Verdict
from tenure.run import OpenTurn, RunRequest, RunState
from tenure.runtime.store import Connection, approvals, approvers, effects, restrictions, runs
from tenure.spec import AgentSpec
from tenure.transcript import assistant_row
from tenure.trust.restrictions import Restriction, Standing
from tenure.turn import Act, Turn
from tenure.wire import JsonObject
from tenure.workflows.call import Call, _input
from tenure.workflows.gate import gate
from tests.unit.desk_policy import CALLS, DESK, OTHER_ROOT, PEOPLE, ROOT, TENANT, USER, key_of, token
from tests.unit.inside import Memory
from tests.unit.policies import LEVELS, strictness

WORKFLOW, SEQ = "acme:run:desk:1", 2
ASKED: JsonObject = {"to": "bob", "amount": 51}
OTHERWISE: JsonObject = {"to": "bob", "amount": 99}
STATEMENTS = {name: vouch(person.statement(), ROOT) for name, person in PEOPLE.items()}


@pytest.fixture
def db(db: Connection) -> Connection:
    return opened(db)


def opened(db: Connection | None = None) -> Connection:
    """A store with the run and everybody's statements."""
    db = db or Memory().db
    runs.observe(db, WORKFLOW, RunRequest(agent="desk", tenant=TENANT, user=USER), DESK.snapshot(), 0)
    for name, statement in STATEMENTS.items():
        approvers.add(db, name, statement, 1000)
    return db


def job(db: Connection, name: str = "pay", given: JsonObject = ASKED, /, *, taint: str = "", **claimed: Any) -> Job:
    """An attempt at the call, as the workflow claims it."""
    block = {"type": "tool_use", "id": "c", "name": name, "input": given}
    row, run = assistant_row(Turn(content=[block], taint={0: taint} if taint else {})), runs.get(db, WORKFLOW)
    input_ = claimed.get("edited", given)
    bound = call_digest(TENANT, WORKFLOW, SEQ, name, input_)
    ask = Act(**{"seq": SEQ - 1, "call": 0, "digest": bound, "state_before": SEQ, **claimed})
    environment = ActivityEnvironment()
    environment.info = dataclasses.replace(environment.info, activity_type=f"tool.{name}", workflow_id=WORKFLOW)
    assert run is not None
    return environment.run(job_of, ask, row, [], run, DESK)


def card(*shown: tuple[str, JsonObject], epoch: int = 0, **more: Any) -> Request:
    """The request that people were shown these calls in."""
    told = [{"tool": name, "arguments": given} for name, given in shown or (("pay", ASKED),)]
    payload: JsonObject = told[0] if len(told) == 1 else {"calls": [{**one, "row": SEQ} for one in told]}
    fields: dict[str, Any] = {"tenant": TENANT, "workflow": WORKFLOW, "seq": SEQ, "kind": Kind.TOOL_CALL}
    fields |= more
    bound = request_digest(fields["tenant"], fields["workflow"], fields["seq"], fields["kind"], payload, epoch)
    return Request(id=f"req-{bound[:16]}", agent="desk", payload=payload, why="", digest=bound, epoch=epoch, **fields)


def answered(db: Connection, request: Request, *people: str, choice: str = "approve", closed: str = "approve") -> str:
    """`people` have answered the request, genuinely, and it ended."""
    approvals.open_request(db, request)
    for name in people:
        verdict = Verdict(accepted=True, choice=choice, principal=name, jti=f"{request.id}/{name}")
        approvals.record_answer(db, f"{request.id}/{name}", request, verdict, 1, signed(request, name, choice))
    if closed:
        approvals.close_request(db, request.id, closed, ", ".join(people), 2)
    return request.id


def signed(request: Request, name: str, choice: str) -> str:
    """The token by which somebody answered; of a stranger, one that nobody vouches for."""
    claims = Answer(
        request=request.id, digest=request.digest, verdict=choice, principal=name, jti=f"{request.id}/{name}", exp=60
    )
    return sign(claims, key_of(name) if name in PEOPLE else OTHER_ROOT)


def looked(db: Connection, call: Job) -> str:
    """Why the call must not begin; empty when it may."""
    stale = permit(db, call, ROOT.public_key())
    return "" if stale is None else stale.why


def test_a_call_that_people_approved_begins_and_its_record_names_the_ruling(db: Connection) -> None:
    request = answered(db, card(), "operator")
    begun = _begin(db, job(db, request=request), ROOT.public_key())
    (row,) = effects.of_run(db, WORKFLOW)
    assert isinstance(begun, effects.Go)
    assert (row["policy"], row["fence"], row["request"]) == (DESK.fingerprint, 0, request)
    assert row["digest"] == call_digest(TENANT, WORKFLOW, SEQ, "pay", ASKED)


def test_a_call_of_a_card_with_several_is_covered_and_a_call_beside_it_is_not(db: Connection) -> None:
    request = answered(db, card(("pay", ASKED), ("put", {"what": "odd"})), "operator")
    assert looked(db, job(db, request=request)) == ""
    assert looked(db, job(db, "put", {"what": "odd"}, request=request)) == ""
    assert "no approval" in looked(db, job(db, "pay", OTHERWISE, request=request))


def of_an_open_request(db: Connection) -> Job:
    return job(db, request=answered(db, card(), "operator", closed=""))


def of_a_denied_request(db: Connection) -> Job:
    return job(db, request=answered(db, card(), "operator", closed="deny"))


def of_no_request(db: Connection) -> Job:
    answered(db, card(), "operator")
    return job(db)


def of_another_run(db: Connection) -> Job:
    return job(db, request=answered(db, card(workflow="acme:run:desk:2"), "operator"))


def of_another_kind(db: Connection) -> Job:
    return job(db, request=answered(db, card(kind=Kind.IN_DOUBT), "operator"))


def with_other_arguments(db: Connection) -> Job:
    return job(db, "pay", OTHERWISE, request=answered(db, card(), "operator"))


def of_another_tool(db: Connection) -> Job:
    return job(db, "put", {"what": "odd"}, request=answered(db, card(), "operator"))


def edited_after_it_was_approved(db: Connection) -> Job:
    return job(db, request=answered(db, card(), "operator"), edited=OTHERWISE)


def altered_in_the_store(db: Connection) -> Job:
    genuine, other = card(), card(("pay", OTHERWISE))
    answered(db, genuine.model_copy(update={"payload": other.payload}), "operator")
    return job(db, "pay", OTHERWISE, request=genuine.id)


def approved_before_a_restriction(db: Connection) -> Job:
    request = answered(db, card(), "operator")
    restrictions.restrict(db, ("*", "*"), Restriction(kind="deny", value="wipe"), "ops", 3)
    return job(db, request=request, fence=1)


NO_APPROVAL = (
    of_an_open_request, of_a_denied_request, of_no_request, of_another_run, of_another_kind, with_other_arguments, of_another_tool,
    edited_after_it_was_approved, altered_in_the_store, approved_before_a_restriction,
)  # fmt: skip


@pytest.mark.parametrize("made", NO_APPROVAL, ids=lambda made: made.__name__)
def test_no_approval_stands_for_a_call(made: Callable[[Connection], Job], db: Connection) -> None:
    assert "no approval of it stands in the store" in looked(db, made(db))


def revoked(db: Connection) -> None:
    approvers.revoke(db, "operator", 5)


def vouched_for_by_another_root(db: Connection) -> None:
    forged = vouch(PEOPLE["operator"].statement(), OTHER_ROOT)
    db.execute("UPDATE approvers SET statement = ? WHERE principal = 'operator'", (forged,))


def gone(db: Connection) -> None:
    db.execute("DELETE FROM approvers WHERE principal = 'operator'")


def of_another_tenant(db: Connection) -> None:
    other = vouch(PEOPLE["operator"].statement(tenant="globex", issued=1), ROOT)
    assert approvers.add(db, "operator", other, 5)


@pytest.mark.parametrize("become", [revoked, vouched_for_by_another_root, gone, of_another_tenant])
def test_an_approval_counts_while_who_gave_it_is_an_approver(
    become: Callable[[Connection], None], db: Connection
) -> None:
    request = answered(db, card(), "operator")
    assert looked(db, job(db, request=request)) == ""
    become(db)
    assert "0 hold and 1 are needed" in looked(db, job(db, request=request))


@pytest.mark.parametrize(
    ("call", "people", "told"),
    [
        (("grant", {"who": "bob"}), ("operator", "reviewer"), ""),
        (("grant", {"who": "bob"}), ("operator",), "1 hold and 2 are needed"),
        (("wipe", {}), ("operator",), "1 hold and 2 are needed"),
        (("pay", ASKED), (USER,), "0 hold and 1 are needed"),
        (("pay", ASKED), ("gate",), "0 hold and 1 are needed"),
        (("pay", ASKED), ("stranger",), "0 hold and 1 are needed"),
        (("pay", {"to": "bob", "amount": 101}), ("reviewer", "carol"), ""),
        (("pay", {"to": "bob", "amount": 101}), ("reviewer", "operator"), "1 hold and 2 are needed"),
        (("pay", {"to": "bob", "amount": "101"}), ("reviewer", "operator"), "1 hold and 2 are needed"),
        (("pay", {"to": "bob", "amount": 101}), ("reviewer", USER), "1 hold and 2 are needed"),
    ],
)
def test_so_many_people_with_these_roles_must_have_approved(
    call: tuple[str, JsonObject], people: tuple[str, ...], told: str, db: Connection
) -> None:
    restrictions.restrict(db, ("*", "*"), Restriction(kind="cap", value="0.2"), "ops", 1)  # so that every call asks
    request = answered(db, card(call, epoch=1), *people)
    why = looked(db, job(db, *call, request=request, fence=1))
    assert (told in why) if told else (why == "")


def test_the_quorum_that_people_were_shown_counts_where_it_is_the_higher(db: Connection) -> None:
    request = answered(db, card(quorum=2), "operator")
    assert "1 hold and 2 are needed" in looked(db, job(db, request=request))


def test_a_denial_is_no_approval_and_one_person_is_one_however_often_they_answer(db: Connection) -> None:
    request = card(("grant", {"who": "bob"}))
    answered(db, request, "operator", closed="")
    again = Verdict(accepted=True, choice="approve", principal="operator", jti="again")
    approvals.record_answer(db, "again", request, again, 1, signed(request, "operator", "approve"))
    answered(db, request, "reviewer", choice="deny")
    call = job(db, "grant", {"who": "bob"}, request=request.id, doubt="look")
    assert "1 hold and 2 are needed" in looked(db, call)


def test_a_ruling_from_before_the_last_restriction_is_stale_whatever_it_restricts(db: Connection) -> None:
    call = job(db, "put", {"what": "plain"})
    assert looked(db, call) == ""
    restrictions.restrict(db, ("globex", "*"), Restriction(kind="halt"), "ops", 1)
    assert looked(db, call) == ""
    restrictions.restrict(db, (TENANT, "*"), Restriction(kind="revoked", value="operator"), "ops", 1)
    stale = permit(db, call, ROOT.public_key())
    assert isinstance(stale, Stale)
    assert stale.standing.fence == 2
    assert looked(db, job(db, "put", {"what": "plain"}, fence=2)) == ""


@pytest.mark.parametrize(
    ("restriction", "told"),
    [
        (Restriction(kind="halt", reason="why"), "halted: why"),
        (Restriction(kind="deny", value="put"), "put is denied by an operator"),
        (Restriction(kind="cap", value="0.2"), "needs level 0.3, and the agent has 0.2"),
    ],
)
def test_a_restriction_counts_even_where_the_run_claims_to_know_of_it(
    restriction: Restriction, told: str, db: Connection
) -> None:
    fence = restrictions.restrict(db, (TENANT, "desk"), restriction, "ops", 1)
    assert told in looked(db, job(db, "put", {"what": "plain"}, fence=fence))


def test_a_call_that_is_not_the_one_ruled_on_is_refused(db: Connection) -> None:
    for name, told in (("pay", OTHERWISE), ("put", ASKED)):
        with pytest.raises(ApplicationError, match="that was not ruled on"):
            job(db, "pay", ASKED, digest=call_digest(TENANT, WORKFLOW, SEQ, name, told))


def test_an_answer_that_was_refused_approves_nothing(db: Connection) -> None:
    request = card()
    answered(db, request)
    told = Verdict(accepted=False, choice="approve", principal="operator", reason="expired")
    approvals.record_answer(db, "refused", request, told, 1, signed(request, "operator", "approve"))
    assert "0 hold and 1 are needed" in looked(db, job(db, request=request.id))


def test_a_row_that_says_somebody_approved_is_no_approval_without_their_own_signature(db: Connection) -> None:
    request = card()
    answered(db, request)
    of_another = token(request, "operator", "cli", 2_000_000_000_000, "j1", signer="mallory", verdict="approve")
    of_other = token(card(("pay", OTHERWISE)), "operator", "cli", 2_000_000_000_000, "j2", verdict="approve")
    for number, told in enumerate(("", "no token", of_another, of_other)):
        verdict = Verdict(accepted=True, choice="approve", principal="operator", jti=f"by hand {number}")
        approvals.record_answer(db, f"by hand {number}", request, verdict, 1, told)
    assert "0 hold and 1 are needed" in looked(db, job(db, request=request.id))


def test_a_card_covers_a_call_at_its_own_place_in_the_run_only(db: Connection) -> None:
    told = [{"tool": "pay", "arguments": ASKED, "row": SEQ + number} for number in (1, 2)]
    payload: JsonObject = {"calls": told}
    bound = request_digest(TENANT, WORKFLOW, SEQ + 1, Kind.TOOL_CALL, payload, 0)
    request = card(seq=SEQ + 1).model_copy(update={"id": f"req-{bound[:16]}", "digest": bound, "payload": payload})
    answered(db, request, "operator")
    assert "no approval" in looked(db, job(db, request=request.id))
    assert "no approval" in looked(db, job(db, request=answered(db, card(seq=SEQ + 1), "operator")))


def test_the_role_of_the_run_counts_as_the_worker_knows_it(db: Connection) -> None:
    call = job(db, "put", {"what": "plain"})
    told = {"name": "desk", "tools": DESK.tools, "trust": DESK.trust}
    agent = AgentSpec(**told, roles={"clerk": ("put",), "guest": ("wipe",)})  # type: ignore[arg-type]
    for role, why in (("clerk", ""), ("guest", "the role 'guest' may not use put"), (None, "may not use put")):
        run = dataclasses.replace(call.run, role=role)
        assert why in looked(db, dataclasses.replace(call, agent=agent, run=run)), role
    run = dataclasses.replace(call.run, role="clerk")
    assert looked(db, dataclasses.replace(call, agent=agent, run=run)) == ""


async def test_a_read_is_looked_at_once_more_as_well() -> None:
    memory = Memory()
    call = job(opened(memory.db), "put", {"what": "plain"})
    acting = Acting(SimpleNamespace(store=memory, root=ROOT.public_key()))  # type: ignore[arg-type]  # all it looks at
    assert await acting._hold(call) is None
    restrictions.restrict(memory.db, ("*", "*"), Restriction(kind="deny", value="put"), "ops", 1)
    assert isinstance(await acting._hold(call), Stale)


@pytest.mark.parametrize("claimed", [{"doubt": "edited"}, {"edited": {"what": "other"}}, {"cap": 2}, {"taint": "why"}])
def test_what_makes_a_call_ask_is_asked_again(claimed: dict[str, Any], db: Connection) -> None:
    assert "no approval of it stands" in looked(db, job(db, "put", {"what": "plain"}, **claimed))


@given(st.sampled_from(CALLS), LEVELS | st.none(), LEVELS, st.booleans(), st.booleans())
def test_the_second_look_is_never_milder_than_the_gate(
    call: tuple[str, JsonObject], parent: int | None, cap: int, taint: bool, doubt: bool
) -> None:
    """What a run rules on and what the worker makes of the very same call: the message between them loses nothing."""
    if parent == 0:
        return  # see the test below
    name, given = call
    run = RunState(
        request=RunRequest(agent="desk", tenant=TENANT, user=USER, cap=parent),
        snapshot=DESK.snapshot(),
        standing=Standing(cap=cap),
    )
    why, doubts = "from elsewhere" if taint else "", "look" if doubt else ""
    ruled = gate(run, name, given, taint=why, doubt=doubts).decision
    made = sent(run, name, given, doubts)
    again = decision(job(SEEN, name, given, taint=why, **made), run.standing, DESK.level)
    assert strictness(again) == strictness(ruled)


SEEN = opened()


def sent(run: RunState, name: str, given: JsonObject, doubt: str = "") -> dict[str, Any]:
    """What the workflow tells the activity of its ruling."""
    bound = call_digest(TENANT, WORKFLOW, SEQ, name, given)
    call = Call(0, "c", name, given, SEQ, bound, "same", doubt=doubt)
    told = _input(run, OpenTurn(seq=SEQ - 1, content=[]), call, SEQ)
    return told.model_dump(include={"fence", "request", "tainted", "cap", "doubt"})


def test_nobody_approves_a_run_of_their_own_in_capitals_either(db: Connection) -> None:
    db.execute("UPDATE runs SET user = 'Operator '")
    assert "0 hold" in looked(db, job(db, request=answered(db, card(), "operator")))


# ---------------------------------------------------------------------------------------------- not yet as it should be


def test_a_run_of_level_0_gives_its_tools_and_the_runs_they_start_level_0() -> None:
    run = RunState(request=RunRequest(agent="desk", cap=0), snapshot=DESK.snapshot())
    assert run.level == 0
    assert sent(run, "put", {"what": "plain"})["cap"] == 0


def test_an_agent_without_trust_hands_its_parents_level_on() -> None:
    snapshot = DESK.snapshot().model_copy(update={"level": None})
    run = RunState(request=RunRequest(agent="desk", cap=2), snapshot=snapshot)
    assert sent(run, "put", {"what": "plain"})["cap"] == 2


def test_an_agent_without_trust_asks_where_its_parent_has_less_than_the_most() -> None:
    snapshot = DESK.snapshot().model_copy(update={"level": None})
    run = RunState(request=RunRequest(agent="desk", cap=2), snapshot=snapshot)
    assert strictness(gate(run, "put", {"what": "plain"}).decision) == 1


def test_an_approval_of_1_is_none_of_true(db: Connection) -> None:
    request = answered(db, card(("grant", {"who": 1})), "operator", "reviewer")
    assert "no approval" in looked(db, job(db, "grant", {"who": True}, request=request, doubt="look"))
