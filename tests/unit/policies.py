"""Policies and calls for property tests: permissions as values and as people write them, and the cases that come of them."""

from __future__ import annotations

from hypothesis import strategies as st

from tenure.trust.checks import Case
from tenure.trust.config import Permit, ToolRule
from tenure.trust.grammar import Condition, Permission
from tenure.trust.level import MOST, shown
from tenure.trust.restrictions import Restriction, Standing
from tenure.trust.ruling import Allow, Ask, Decision, Deny, rule
from tenure.trust.terms import Terms
from tenure.wire import Json

WORDS = {None: "null", True: "true", False: "false"}
ARGUMENT_NAMES = st.sampled_from(["a", "b", "a.c"])
SCALARS = (
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.5, -2.5]) | st.sampled_from(["", "x", "y"])
)
ARGUMENTS = st.dictionaries(
    st.sampled_from(["a", "b"]), SCALARS | st.dictionaries(st.just("c"), SCALARS) | st.lists(SCALARS, max_size=1)
)
CONDITIONS = st.builds(
    Condition, ARGUMENT_NAMES, st.sampled_from(["==", "!=", "<=", ">=", "<", ">"]), SCALARS
) | st.builds(
    Condition,
    ARGUMENT_NAMES,
    st.sampled_from(["in", "not in"]),
    st.lists(st.integers(-3, 3) | st.just("x"), max_size=2),
)
LEVELS = st.integers(0, MOST)
# Whom a restriction may be about: the first four concern the agent `desk` of the tenant `acme`.
WHO = st.sampled_from([("acme", "desk"), ("acme", "*"), ("*", "desk"), ("*", "*"), ("globex", "*"), ("*", "other")])
EFFECTS = st.sampled_from(["read", "write", "egress", "destructive", "privileged"])
PERMISSIONS = st.builds(Permission, st.just("t"), st.lists(CONDITIONS, max_size=2).map(tuple))


def literal(value: Json) -> str:
    """A literal as people write it."""
    return WORDS[value] if value is None or isinstance(value, bool) else repr(value)


def written(permission: Permission) -> str:
    """A permission as people write it."""
    told = [f"{one.argument} {one.op} {literal(one.literal)}" for one in permission.conditions]
    return f"{permission.pattern}({', '.join(told)})" if told else permission.pattern


TEXTS = PERMISSIONS.map(written)
PERMITS = st.builds(Permit, level=LEVELS, permission=TEXTS)
RULES = st.builds(ToolRule, decision=st.sampled_from(["deny", "ask"]), permission=TEXTS)
RESTRICTIONS = st.one_of(
    st.builds(Restriction, kind=st.just("halt"), reason=st.sampled_from(["", "why"])),
    st.builds(Restriction, kind=st.just("deny"), value=TEXTS),
    st.builds(Restriction, kind=st.just("cap"), value=LEVELS.map(shown)),
    st.builds(Restriction, kind=st.just("limit"), value=st.sampled_from(["t=1/hour", "t*=2/minute", "u=1/day"])),
    st.builds(Restriction, kind=st.just("revoked"), value=st.just("operator")),
)
STANDINGS = st.builds(
    Standing,
    halted=st.sampled_from(["", "", "looking into it"]),
    denied=st.lists(TEXTS, max_size=1),
    cap=LEVELS | st.just(MOST),
)
CASES = st.builds(
    Case,
    tool=st.just("t"),
    arguments=ARGUMENTS,
    effect=EFFECTS,
    level=LEVELS | st.none(),
    cap=LEVELS | st.just(MOST),
    permits=st.lists(PERMITS, max_size=3).map(tuple),
    rules=st.lists(RULES, max_size=1).map(tuple),
    role=st.just("clerk"),
    role_may=st.none() | st.lists(st.sampled_from(["t", "*", "u"]), max_size=2).map(tuple),
    standing=STANDINGS,
    taint=st.sampled_from(["", "", "from elsewhere"]),
    doubt=st.sampled_from(["", "", "edited"]),
)
TERMS = st.builds(
    Terms,
    roles=st.lists(st.sampled_from(["finance", "legal"]), unique=True),
    quorum=st.integers(1, 4),
    deadline=st.sampled_from([60, 3600, 7200]),
    on_timeout=st.sampled_from(["deny", "halt"]),
    via=st.sampled_from([["cli"], ["gateway"], ["cli", "gateway"], []]),
)


def strictness(decision: Decision) -> int:
    """Allow is 0, Ask 1, Deny 2."""
    return (Allow, Ask, Deny).index(type(decision))


def ruled(checks: list[Decision]) -> int:
    """How strict several checks are together."""
    return strictness(rule(checks).decision)
