"""Several checks, one ruling: deny beats ask beats allow, and nothing said is a denial."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tenure.run import Effect, RunRequest, RunState, Snapshot, ToolFacts
from tenure.trust.ruling import Allow, Ask, Decision, Deny, rule
from tenure.workflows.gate import gate, terms_of

CHECKS = st.lists(
    st.just(Allow())
    | st.builds(Ask, st.text(min_size=1, max_size=5))
    | st.builds(Deny, st.text(min_size=1, max_size=5))
)


@given(CHECKS)
def test_the_most_restrictive_check_wins_and_every_reason_is_kept(checks: list[Decision]) -> None:
    ruling = rule(checks)
    kinds = {type(check) for check in checks}
    expected = Deny if Deny in kinds or not checks else Ask if Ask in kinds else Allow
    assert type(ruling.decision) is expected
    assert sorted(ruling.reasons) == sorted(check.reason for check in checks if not isinstance(check, Allow))


@given(CHECKS, st.builds(Ask, st.just("more")) | st.builds(Deny, st.just("more")) | st.just(Allow()))
def test_one_more_check_never_makes_a_ruling_milder(checks: list[Decision], more: Decision) -> None:
    order = [Allow, Ask, Deny]
    if checks:
        before, after = rule(checks).decision, rule([*checks, more]).decision
        assert order.index(type(after)) >= order.index(type(before))


def run(role: str | None = None, roles: dict[str, list[str]] | None = None, **tools: ToolFacts) -> RunState:
    snapshot = Snapshot(agent="a", fingerprint="f", model="m", tools=tools, roles=roles or {})
    return RunState(request=RunRequest(agent="a", role=role), snapshot=snapshot)


def test_destructive_and_privileged_tools_ask_two_people_and_the_rest_is_allowed() -> None:
    for effect in Effect:
        facts = ToolFacts(effect=effect)
        decision = gate(run(t=facts), "t", {}).decision
        assert isinstance(decision, Ask if effect in (Effect.DESTRUCTIVE, Effect.PRIVILEGED) else Allow)
        assert terms_of(facts, {}).quorum == (2 if isinstance(decision, Ask) else 1)


def test_an_unknown_tool_is_denied_and_what_is_in_doubt_asks() -> None:
    assert isinstance(gate(run(), "t", {}).decision, Deny)
    assert isinstance(gate(run(t=ToolFacts()), "t", {}, doubt="nobody knows").decision, Ask)


def test_a_role_may_use_what_its_patterns_name_and_nothing_else() -> None:
    roles = {"viewer": ["get_*"], "admin": ["*"]}
    tools = {"get_x": ToolFacts(effect=Effect.READ), "put_x": ToolFacts()}
    expected = {("viewer", "get_x"): Allow, ("viewer", "put_x"): Deny, ("admin", "put_x"): Allow}
    expected |= {(None, "get_x"): Deny, ("nobody", "get_x"): Deny}
    for (role, tool), kind in expected.items():
        assert isinstance(gate(run(role, roles, **tools), tool, {}).decision, kind), (role, tool)
