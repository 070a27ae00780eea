"""Our gate beside Cedar: the same policy, written twice, decides the same for every call that Cedar can be asked about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from tenure.errors import ConfigError
from tenure.run import Effect, RunRequest, RunState, Snapshot, ToolFacts
from tenure.trust import Trust
from tenure.trust.grammar import Condition, Permission, parse
from tenure.trust.restrictions import Standing
from tenure.trust.ruling import Allow, Deny
from tenure.wire import Json, JsonObject
from tenure.workflows.gate import gate
from tests.unit.cedar import Policy, decided
from tests.unit.policies import written

TOOLS = ("get_a", "get_all", "pay", "payout", "mcp__x__y")
PATTERNS = st.sampled_from(["*", "*", "get_*", "get_a", "pay", "pay*", "p*", "mcp__x__*", "mcp__*", "other"])
STRINGS = st.sampled_from(
    ["", "a", "b", "A", "it's", 'say "x"', "a, b", "[c]", "back\\slash", "é", "e\u0301", "x\ny", "*", "10"]
)
EXACT = st.integers(-3, 3) | st.sampled_from([2**53, 2**53 + 1, -(2**63), 2**63 - 1])
DECIMAL = st.integers(-3, 3) | st.sampled_from(
    [0.1, 0.3, -0.1, 2.0, 2.5, -2.9999, 1e-4, 922337203685.4775, 2**53 / 10**4]
)
ARGUMENTS = ("a", "b", "a.c", "to.x-1")


@dataclass(frozen=True)
class Asked:
    """A call, and what is known of the run when it is asked about."""

    tool: str
    arguments: JsonObject
    level: int
    parent: int
    operator: int
    role: str
    effect: str
    taint: bool
    doubt: bool
    halted: bool

    @property
    def context(self) -> dict[str, Any]:
        told = vars(self).items()
        return {name: value for name, value in told if name != "arguments"}


def scalars(numbers: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    return st.integers(-3, 3) | st.none() | st.booleans() | numbers | STRINGS


def conditions(numbers: st.SearchStrategy[Any]) -> st.SearchStrategy[Condition]:
    names, values = st.sampled_from(ARGUMENTS), scalars(numbers)
    return st.one_of(
        st.builds(Condition, names, st.sampled_from(["==", "!="]), values),
        st.builds(Condition, names, st.sampled_from(["<", "<=", ">", ">="]), numbers | st.none() | st.booleans()),
        st.builds(Condition, names, st.sampled_from(["in", "not in"]), st.lists(values, max_size=3)),
    )


def policies(exact: bool) -> st.SearchStrategy[Policy]:
    one = conditions(EXACT if exact else DECIMAL)
    allowing = st.builds(Permission, PATTERNS, st.lists(one, max_size=1).map(tuple)).filter(readable)
    restricting = st.builds(Permission, PATTERNS, st.lists(one, min_size=1, max_size=3).map(tuple)).filter(readable)
    ruling = st.tuples(restricting, st.sampled_from(["deny", "ask"]))
    return st.builds(
        Policy,
        permissions=st.dictionaries(
            st.integers(0, 9), st.lists(allowing, min_size=1, max_size=2), min_size=1, max_size=3
        ),
        rules=st.just([]) | st.lists(ruling, max_size=2, unique_by=lambda told: written(told[0])),
        denied=st.just([]) | st.lists(restricting, max_size=1),
        roles=st.none() | st.fixed_dictionaries({"clerk": st.just(["*"]), "boss": st.lists(PATTERNS, max_size=2)}),
        exact=st.just(exact),
    )


def calls(exact: bool) -> st.SearchStrategy[Asked]:
    leaf = scalars(EXACT if exact else DECIMAL)
    inner = st.dictionaries(st.sampled_from(["c", "x-1"]), leaf)
    arguments = st.dictionaries(st.sampled_from(["a", "b", "to"]), leaf | inner | st.lists(leaf, max_size=1))
    high, rarely = st.sampled_from([*range(11), *[10] * 10]), st.sampled_from([False] * 9 + [True])
    return st.builds(
        Asked, st.sampled_from(TOOLS), arguments, high, high, high, st.sampled_from(["clerk", "clerk", "boss", "guest"]),
        st.sampled_from(sorted(Effect)), rarely, rarely, rarely,
    )  # fmt: skip


def readable(permission: Permission) -> bool:
    """Some literals with quotes and brackets cannot be written beside other conditions; they are refused, never misread."""
    try:
        told = parse(written(permission))
    except ConfigError:
        return False
    assert told == permission
    return True


def ours(policy: Policy, call: Asked) -> str:
    """What the gate says: allow, ask or deny. The policy goes the way a user's does: written down, read, taken apart by tool."""
    trust = Trust.model_construct(  # without the checks that refuse what can never count
        initial=call.level,
        permissions={tier: tuple(map(written, told)) for tier, told in policy.permissions.items()},
        tool_rules={written(told): decision for told, decision in policy.rules},
    )
    facts = ToolFacts(effect=call.effect, permits=trust.permits(call.tool), rules=trust.rules_for(call.tool))  # type: ignore[arg-type]
    roles = {} if policy.roles is None else {role: list(patterns) for role, patterns in policy.roles.items()}
    snapshot = Snapshot(
        agent="desk", fingerprint="f", model="m", tools={call.tool: facts}, level=call.level, roles=roles
    )
    run = RunState(
        request=RunRequest(agent="desk", role=call.role, cap=call.parent),
        snapshot=snapshot,
        standing=Standing(
            cap=call.operator, denied=[written(told) for told in policy.denied], halted="why" if call.halted else ""
        ),
    )
    taint, doubt = "from elsewhere" if call.taint else "", "edited" if call.doubt else ""
    decision = gate(run, call.tool, call.arguments, taint=taint, doubt=doubt).decision
    return "allow" if isinstance(decision, Allow) else "deny" if isinstance(decision, Deny) else "ask"


def theirs(policy: Policy, asked: list[Asked]) -> list[str]:
    requests = [
        policy.request(one.arguments, strictly=strictly, **one.context) for one in asked for strictly in (True, False)
    ]
    told = decided(policy.cedar(), requests)
    return [
        "allow" if strictly else "ask" if loosely else "deny"
        for strictly, loosely in zip(told[::2], told[1::2], strict=True)
    ]


def compare(policy: Policy, asked: list[Asked]) -> None:
    found = [ours(policy, one) for one in asked]
    for decision in found:
        event(decision)
    assert found == theirs(policy, asked)


@settings(max_examples=200)
@given(policies(exact=True), st.lists(calls(exact=True), min_size=10, max_size=10))
def test_our_gate_decides_as_cedar_does_where_numbers_are_integers(policy: Policy, asked: list[Asked]) -> None:
    compare(policy, asked)


@settings(max_examples=200)
@given(policies(exact=False), st.lists(calls(exact=False), min_size=10, max_size=10))
def test_our_gate_decides_as_cedar_does_where_numbers_are_decimals(policy: Policy, asked: list[Asked]) -> None:
    compare(policy, asked)


def test_an_error_in_cedar_counts_as_a_denial() -> None:
    """So that a translation that went wrong is seen, and not taken for a policy that does not apply."""
    policy = Policy(permissions={0: [Permission("*"), Permission("*", (Condition("a", "<", 3),))]})
    call = Asked("pay", {"a": 1}, 10, 10, 10, "clerk", "write", False, False, False)
    request = policy.request(call.arguments, strictly=True, **call.context)
    assert decided(policy.cedar(), [request]) == [True]
    request["context"]["args"]["a"]["value"] = "no number"
    assert decided(policy.cedar(), [request]) == [False]
