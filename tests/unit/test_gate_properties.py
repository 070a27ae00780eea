"""The gate as laws: more trust never makes stricter, whatever restricts never makes milder, and what nobody named is denied."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.run import Effect, RunRequest, RunState, Snapshot, ToolFacts
from tenure.runtime.store import restrictions
from tenure.trust.checks import Case, checks
from tenure.trust.config import Permit, ToolRule
from tenure.trust.grammar import parse
from tenure.trust.level import MOST
from tenure.trust.limits import RateLimit
from tenure.trust.restrictions import FREE, Restriction, Standing, fold
from tenure.trust.ruling import Allow, Ask, Deny, rule
from tenure.trust.terms import Terms, for_call, for_escalation, strictest
from tenure.workflows.gate import gate, terms_of
from tests.unit.inside import Memory
from tests.unit.policies import (
    ARGUMENTS,
    CASES,
    CONDITIONS,
    EFFECTS,
    LEVELS,
    PERMISSIONS,
    PERMITS,
    RESTRICTIONS,
    RULES,
    TERMS,
    TEXTS,
    WHO,
    ruled,
    strictness,
    written,
)


def strict(case: Case) -> int:
    return ruled(checks(case))


def capped(case: Case, cap: int) -> Case:
    return dataclasses.replace(case, standing=case.standing.model_copy(update={"cap": cap}))


# --------------------------------------------------------------------------------------------------------- the levels


@given(CASES, LEVELS, LEVELS)
def test_more_trust_never_makes_a_call_stricter_and_a_lower_cap_never_allows_more(
    case: Case, one: int, other: int
) -> None:
    low, high = sorted((one, other))
    assert strict(capped(case, high)) <= strict(capped(case, low))
    assert strict(dataclasses.replace(case, cap=high)) <= strict(dataclasses.replace(case, cap=low))
    if case.level is not None:
        assert strict(dataclasses.replace(case, level=high)) <= strict(dataclasses.replace(case, level=low))


@given(CASES)
def test_the_level_that_counts_is_below_every_cap(case: Case) -> None:
    if case.has is None:
        assert case.level is None
    else:
        assert case.has <= min(case.cap, case.standing.cap)
        assert case.has in (case.level, case.cap, case.standing.cap)


@given(CASES)
def test_nothing_is_allowed_below_the_lowest_level_that_is_written_for_it(case: Case) -> None:
    if case.has is not None and strict(case) == 0:
        allowing = [told.level for told in case.permits if parse(told.permission).allows(case.arguments)]
        assert min(allowing) <= case.has


@given(LEVELS | st.none(), LEVELS | st.none(), LEVELS)
def test_the_level_of_a_run_is_the_lowest_of_its_agents_its_parents_and_an_operators(
    level: int | None, parent: int | None, operator: int
) -> None:
    run = state(level=level, cap=parent, standing=Standing(cap=operator))
    bounds = [one for one in (level, parent, operator) if one is not None]
    assert run.level == (None if level is None and parent is None and operator == MOST else min(bounds))


# ---------------------------------------------------------------------------------------------------- what restricts

MORE: dict[str, Callable[[Case, Any], Case]] = {
    "a rule": lambda case, told: dataclasses.replace(case, rules=(*case.rules, told(RULES))),
    "a permit less": lambda case, told: dataclasses.replace(case, permits=case.permits[1:]),
    "a condition of a permit": lambda case, told: narrower(case, told(CONDITIONS)),
    "a higher level of a permit": lambda case, told: raised(case, told(LEVELS)),
    "a denied call": lambda case, told: standing(case, denied=[*case.standing.denied, told(TEXTS)]),
    "a halt": lambda case, told: standing(case, halted="why"),
    "taint": lambda case, told: dataclasses.replace(case, taint="from elsewhere"),
    "doubt": lambda case, told: dataclasses.replace(case, doubt="edited"),
    "roles": lambda case, told: dataclasses.replace(case, role_may=() if case.role_may is None else case.role_may[1:]),
}


def standing(case: Case, **more: Any) -> Case:
    return dataclasses.replace(case, standing=case.standing.model_copy(update=more))


def narrower(case: Case, more: Any) -> Case:
    if not case.permits:
        return case
    first = parse(case.permits[0].permission)
    told = written(dataclasses.replace(first, conditions=(*first.conditions, more)))
    return dataclasses.replace(case, permits=(Permit(level=case.permits[0].level, permission=told), *case.permits[1:]))


def raised(case: Case, level: int) -> Case:
    told = [one.model_copy(update={"level": max(one.level, level)}) for one in case.permits]
    return dataclasses.replace(case, permits=tuple(told))


@pytest.mark.parametrize("what", MORE)
@given(case=CASES, data=st.data())
def test_whatever_restricts_never_makes_a_call_milder(what: str, case: Case, data: st.DataObject) -> None:
    assert strict(MORE[what](case, data.draw)) >= strict(case)


@given(CASES, PERMITS)
def test_one_more_permit_never_makes_a_call_stricter(case: Case, more: Permit) -> None:
    assert strict(dataclasses.replace(case, permits=(*case.permits, more))) <= strict(case)


@given(CASES, st.randoms())
def test_the_order_in_which_a_policy_is_written_says_nothing(case: Case, random: Any) -> None:
    permits, rules = list(case.permits), list(case.rules)
    random.shuffle(permits)
    random.shuffle(rules)
    assert strict(dataclasses.replace(case, permits=tuple(permits), rules=tuple(rules))) == strict(case)


@given(CASES)
def test_every_check_is_made_and_every_reason_kept(case: Case) -> None:
    found = checks(case)
    told = rule(found).reasons
    expected = [one.reason for one in found if isinstance(one, Ask | Deny)]
    assert sorted(told) == sorted(expected)
    if case.standing.halted:
        assert f"halted: {case.standing.halted}" in told
    if case.doubt:
        assert case.doubt in told
    if case.taint and case.has is not None and case.effect != "read":
        assert case.taint in told


@pytest.mark.parametrize(
    ("pattern", "named", "not_named"),
    [
        ("pay", ["pay"], ["payout", "pa", "Pay", "repay"]),
        ("pay*", ["pay", "payout"], ["Pay", "repay"]),
        ("mcp__x__*", ["mcp__x__y"], ["mcp__xy", "mcp__z__y"]),
        ("*", ["pay", "x"], []),
    ],
)
def test_a_pattern_names_whole_names_and_a_star_whatever_follows(
    pattern: str, named: list[str], not_named: list[str]
) -> None:
    means = [told for told in [*named, *not_named] if parse(pattern).means(told)]
    assert means == named


@given(PERMISSIONS)
def test_a_permission_is_read_as_it_is_written(permission: Any) -> None:
    assert parse(written(permission)) == permission


# ---------------------------------------------------------------------------------------------- what nobody has named


def state(*, level: int | None = 5, **more: Any) -> RunState:
    facts = ToolFacts(effect=Effect.WRITE, permits=[Permit(level=5, permission="t(a <= 1)")])
    told = {"tools": {"t": facts, "free": ToolFacts(effect=Effect.WRITE)}, "roles": more.pop("roles", {})}
    request = RunRequest(agent="desk", role=more.pop("role", None), cap=more.pop("cap", None))
    snapshot = Snapshot(agent="desk", fingerprint="f", model="m", level=level, **told)
    return RunState(request=request, snapshot=snapshot, **more)


@given(LEVELS | st.none(), ARGUMENTS)
def test_an_unknown_tool_is_denied_at_every_level(level: int | None, arguments: dict[str, Any]) -> None:
    assert isinstance(gate(state(level=level), "u", arguments).decision, Deny)


@given(LEVELS, ARGUMENTS, EFFECTS)
def test_a_tool_that_no_level_names_is_denied_at_every_level(
    level: int, arguments: dict[str, Any], effect: str
) -> None:
    assert strict(Case("t", arguments, effect, level=level)) == strictness(Deny(""))
    assert isinstance(gate(state(level=level), "free", arguments).decision, Deny)


def test_no_check_at_all_is_a_denial() -> None:
    assert isinstance(rule([]).decision, Deny)


@pytest.mark.parametrize("effect", Effect)
def test_without_trust_only_what_cannot_be_undone_or_gives_power_asks_until_an_operator_sets_a_cap(
    effect: Effect,
) -> None:
    case = Case("t", {}, effect, taint="recorded, and no reason to ask")
    assert strict(case) == (effect in (Effect.DESTRUCTIVE, Effect.PRIVILEGED))
    assert strict(capped(case, MOST - 1)) == (effect is not Effect.READ)


# ---------------------------------------------------------------------------------- each single fact, through the gate

FACTS: dict[str, tuple[dict[str, Any], type]] = {
    "nothing": ({}, Allow),
    "the agent's own level": ({"level": 4}, Ask),
    "the parent's level": ({"cap": 4}, Ask),
    "a parent's level of 0": ({"cap": 0}, Ask),
    "an operator's cap": ({"standing": Standing(cap=4)}, Ask),
    "a halt": ({"standing": Standing(halted="why")}, Deny),
    "a denial": ({"standing": Standing(denied=["t(a < 5)"])}, Deny),
    "a denial of another call": ({"standing": Standing(denied=["t(a > 5)", "u"])}, Allow),
    "a role": ({"roles": {"clerk": ["u"]}, "role": "clerk"}, Deny),
    "no role where there are some": ({"roles": {"clerk": ["t"]}}, Deny),
    "the right role": ({"roles": {"clerk": ["t"]}, "role": "clerk"}, Allow),
    "taint": ({"taint": "from elsewhere"}, Ask),
    "doubt": ({"doubt": "edited"}, Ask),
    "other arguments": ({"arguments": {"a": 2}}, Deny),
    "arguments of another kind": ({"arguments": {"a": "1"}}, Deny),
    "no arguments": ({"arguments": {}}, Deny),
}


@pytest.mark.parametrize("what", FACTS)
def test_the_gate_knows_of(what: str) -> None:
    facts, expected = FACTS[what]
    facts = dict(facts)
    ruled_on = {name: facts.pop(name) for name in ("taint", "doubt") if name in facts}
    arguments = facts.pop("arguments", {"a": 1})
    assert isinstance(gate(state(**facts), "t", arguments, **ruled_on).decision, expected)


@pytest.mark.parametrize(("decision", "expected"), [("deny", Deny), ("ask", Ask)])
def test_a_tool_rule_counts_whatever_the_level_where_none_of_its_conditions_is_false(
    decision: Any, expected: type
) -> None:
    run = state(level=MOST)
    facts = run.agent.tools["t"].model_copy(update={"rules": [ToolRule(decision=decision, permission="t(b > 3)")]})
    run.agent.tools["t"] = facts
    for arguments, kind in (({"b": 4}, expected), ({"b": 3}, Allow), ({}, expected), ({"b": "3"}, expected)):
        assert isinstance(gate(run, "t", {"a": 1, **arguments}).decision, kind), arguments


# -------------------------------------------------------------------------------------------------------- restrictions


def tightness(standing: Standing) -> tuple[bool, int]:
    return bool(standing.halted), MOST - standing.cap


@given(st.lists(RESTRICTIONS, max_size=3), RESTRICTIONS)
def test_one_more_restriction_never_takes_one_away(some: list[Restriction], more: Restriction) -> None:
    before, after = fold(1, some), fold(2, [*some, more])
    assert all(old <= new for old, new in zip(tightness(before), tightness(after), strict=True))
    assert set(before.denied) <= set(after.denied)
    assert before.limits.items() <= after.limits.items()
    assert set(map(str, before.halted.split("; "))) <= {*after.halted.split("; "), ""}


def test_a_restriction_is_in_force_as_it_was_set() -> None:
    told = [
        ("halt", "", "why"),
        ("deny", "t(a > 1)", ""),
        ("cap", "0.4", ""),
        ("cap", "0.6", ""),
        ("limit", "t=1/hour", ""),
    ]
    found = fold(7, [Restriction(kind=kind, value=value, reason=why) for kind, value, why in told])  # type: ignore[arg-type]
    assert (found.fence, found.halted, found.denied, found.cap) == (7, "why", ["t(a > 1)"], 4)
    assert found.limits == {"t=1/hour": RateLimit(limit=1, per=3600)}
    assert fold(0, []) == FREE


def test_one_more_limit_on_the_same_tools_never_takes_one_away() -> None:
    some = [Restriction(kind="limit", value="t=1/hour"), Restriction(kind="limit", value="t=100/hour")]
    assert fold(1, some[:1]).limits.items() <= fold(2, some).limits.items()


@given(st.lists(st.tuples(WHO, RESTRICTIONS), max_size=4), WHO, RESTRICTIONS)
def test_what_is_lifted_leaves_exactly_what_held_without_it_and_the_fence_never_falls(
    held: list[tuple[tuple[str, str], Restriction]], who: tuple[str, str], more: Restriction
) -> None:
    db = Memory().db
    for each, restriction in held:
        if each != who:
            restrictions.restrict(db, each, restriction, "ops", 1)
    before = restrictions.standing(db, "acme", "desk")
    moved = restrictions.restrict(db, who, more, "ops", 2)
    during = restrictions.standing(db, "acme", "desk")
    restrictions.lift(db, who, None, None, "ops", 3)
    after = restrictions.standing(db, "acme", "desk")
    concerns = who[0] in ("*", "acme") and who[1] in ("*", "desk")
    assert after.model_copy(update={"fence": before.fence}) == before
    assert (during.fence, after.fence) == ((moved, moved) if concerns else (before.fence, before.fence))
    assert before.fence <= during.fence <= after.fence
    if not concerns:
        assert during == before


# --------------------------------------------------------------------------------------------------------------- terms


def looser(one: Terms, other: Terms) -> list[str]:
    """In what `one` asks for less than `other`."""
    found = {
        "roles": not set(other.roles) <= set(one.roles),
        "quorum": one.quorum < other.quorum,
        "deadline": one.deadline > other.deadline,
        "on_timeout": one.on_timeout == "deny" and other.on_timeout == "halt",
        "via": not set(one.via) <= set(other.via),
    }
    return [name for name, is_looser in found.items() if is_looser]


@given(EFFECTS, st.lists(TERMS, max_size=3), TERMS)
def test_more_terms_never_ask_for_less(effect: str, some: list[Terms], more: Terms) -> None:
    found = for_call(effect, [*some, more])
    written_before = for_call(effect, some)
    # The first deadline that is written may give people more time than the default; after it, only less.
    allowed = [] if some else ["deadline"]
    assert [name for name in looser(found, written_before) if name not in allowed] == []
    assert looser(found, more) == []


@given(st.lists(TERMS, min_size=1, max_size=4))
def test_the_strictest_terms_are_no_stricter_than_the_strictest_of_each(terms: list[Terms]) -> None:
    found = strictest(terms)
    assert [looser(found, one) for one in terms] == [[]] * len(terms)
    assert found.quorum in {one.quorum for one in terms}
    assert found.deadline in {one.deadline for one in terms}
    assert set(found.roles) <= {role for one in terms for role in one.roles}
    assert strictest([found, *terms]) == found


@given(EFFECTS, st.lists(TERMS, max_size=2))
def test_two_people_are_the_least_for_what_cannot_be_undone_or_gives_power(effect: str, terms: list[Terms]) -> None:
    found = for_call(effect, terms)
    assert found.quorum >= (2 if effect in ("destructive", "privileged") else 1)
    assert found.on_timeout == "halt" or effect != "destructive"


@given(LEVELS, LEVELS)
def test_a_higher_escalation_never_asks_fewer_people(one: int, other: int) -> None:
    low, high = sorted((one, other))
    assert for_escalation(low).quorum <= for_escalation(high).quorum


@given(ARGUMENTS, TEXTS, TERMS)
def test_terms_apply_wherever_none_of_their_conditions_is_false(arguments: Any, text: str, terms: Terms) -> None:
    facts = ToolFacts.model_validate({"approvals": [{"permission": text, "terms": terms}]})
    applies = parse(text).restricts(arguments)
    assert terms_of(facts, arguments) == for_call(facts.effect, [terms] if applies else [])
