"""Who may answer: what the registry takes in, and when a worker must not serve."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tenure import Agent, tool
from tenure.approvals.approvers import Approver, encode_key, vouch
from tenure.errors import AnswerRefused, BadInput, ConfigError, NotFound
from tenure.runtime import approving, keys
from tenure.runtime.store import Connection, approvers, restrictions
from tests.unit.vouching import AT, ROOT, TRUSTED, known, person

KEY = encode_key(TRUSTED)


# The registry


def test_a_revoked_statement_never_comes_back_and_a_later_one_does(db: Connection) -> None:
    first, between, second = (vouch(person("bob", issued=AT // 1000 + n), ROOT) for n in (0, 2, 5))
    assert approvers.add(db, "bob", first, AT)
    assert approvers.add(db, "bob", first, AT)
    assert approvers.revoke(db, "bob", AT + 3000)
    assert not approvers.add(db, "bob", first, AT + 9000)
    with pytest.raises(BadInput, match="'bob' was revoked after this statement was issued"):
        approving.register(db, TRUSTED, first, AT + 9000, "test")
    assert not approvers.add(db, "bob", between, AT + 9000), "it was issued before the revocation, so that means it too"
    assert approvers.add(db, "bob", second, AT + 9000)
    assert not approvers.add(db, "bob", first, AT + 9000), "nor does it come back once another stands"
    approvers.revoke(db, "bob", AT + 4000)
    assert not approvers.add(db, "bob", second, AT + 9000), "though by its own clock it is later than the revocation"
    assert approvers.registered(db) == {}


def test_somebody_who_was_revoked_can_be_vouched_for_again_at_once(db: Connection) -> None:
    for _ in range(3):
        known(db, "bob")
        assert [one.principal for one in approving.eligible(db, TRUSTED, "acme", [])] == ["bob"]
        approving.revoke(db, TRUSTED, "bob", "", "test", AT)
        assert approving.eligible(db, TRUSTED, "acme", []) == []


def test_the_local_principals_have_every_role_and_do_not_come_back_by_themselves(
    db: Connection, tmp_path: Path
) -> None:
    keys.make_local(tmp_path)
    root = keys.load(tmp_path, "root")
    keys.register_local(db, tmp_path, AT)
    assert [one.roles for one in approving.eligible(db, root.public_key(), "t", ["finance"])] == [["*"], ["*"]]
    approving.revoke(db, root.public_key(), "operator", "", "test", AT)
    keys.register_local(db, tmp_path, AT + 1)
    assert list(approvers.registered(db)) == ["reviewer"]
    operator = Approver(principal="operator", key=encode_key(keys.load(tmp_path, "operator").public_key()))
    approving.enter(db, root, operator, AT + 2, "test")
    keys.register_local(db, tmp_path, AT + 3)
    assert approving.standing(approvers.every(db)[0], root.public_key()).roles == [], "the later word stands"


def test_one_key_is_one_person_and_changes_on_purpose_only(db: Connection) -> None:
    known(db, "bob")
    with pytest.raises(BadInput, match="the key of 'robert' is the key of 'bob' already"):
        known(db, "robert", key=person("bob").key)
    other = person("bob", key=person("spare").key)
    with pytest.raises(BadInput, match="'bob' is registered with another key already: --replace"):
        approving.enter(db, ROOT, other, AT, "test")
    assert approving.enter(db, ROOT, other, AT, "test", replace=True).key == other.key


def fence(db: Connection, tenant: str) -> int:
    return restrictions.standing(db, tenant, "desk").fence


def test_a_revocation_moves_the_fence_of_the_tenants_it_concerns(db: Connection) -> None:
    known(db, "bob", tenant="acme")
    known(db, "olga")
    approving.revoke(db, TRUSTED, "bob", "left", "test", AT)
    assert (fence(db, "acme"), fence(db, "north")) == (1, 0)
    approving.revoke(db, TRUSTED, "olga", "", "test", AT)
    assert (fence(db, "acme"), fence(db, "north")) == (2, 2)
    told = db.execute("SELECT kind, value, reason, by FROM restrictions ORDER BY epoch").fetchone()
    assert tuple(told) == ("revoked", "bob", "left", "test")
    with pytest.raises(BadInput, match="'bob' was revoked before"):
        approving.revoke(db, TRUSTED, "bob", "", "test", AT)
    with pytest.raises(NotFound, match="no approver 'zed': there are none"):
        approving.revoke(db, TRUSTED, "zed", "", "test", AT)


def test_somebody_can_be_revoked_where_no_root_is_known(db: Connection) -> None:
    known(db, "bob", tenant="acme")
    approving.revoke(db, None, "bob", "", "test", AT)
    assert (fence(db, "acme"), fence(db, "north")) == (1, 1), "whose tenant they were nobody can say: everybody's moves"


def test_a_statement_that_takes_another_s_place_moves_the_fence_and_the_same_again_does_not(db: Connection) -> None:
    known(db, "bob", roles=["finance"])
    known(db, "bob", roles=["finance"])
    assert fence(db, "acme") == 0
    known(db, "bob", roles=[])
    assert fence(db, "acme") == 1


def test_a_row_that_makes_nobody_stands_in_nobody_s_way(db: Connection) -> None:
    foreign = Ed25519PrivateKey.generate()
    approvers.add(db, "bob", vouch(person("bob", issued=10**12), foreign), AT)
    assert known(db, "bob").issued == AT // 1000
    assert [one.principal for one in approving.eligible(db, TRUSTED, "acme", [])] == ["bob"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"principal": "Bob"}, "principal 'Bob': must match"),
        ({"principal": "../bob"}, "principal '../bob': must match"),
        ({"principal": "root"}, "'root' is the root key's own name"),
        ({"tenant": "a/b"}, "tenant 'a/b': must match"),
        ({"roles": ["finance", " "]}, "role ' ': must be a word"),
        ({"key": "AAAA"}, "'AAAA' is no Ed25519 public key"),
        ({"key": KEY[:20] + "!!!!" + KEY[20:]}, "is no Ed25519 public key"),
        ({"key": "", "gateway": True}, "gateway 'bob' has no key"),
    ],
)
def test_the_root_vouches_for_nobody_who_could_not_be(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        vouch(person("bob").model_copy(update=wrong), ROOT)
    assert said in str(refused.value)


def test_who_could_answer(db: Connection) -> None:
    def names(*roles: str, tenant: str = "acme", via: tuple[str, ...] = ()) -> list[str]:
        return [one.principal for one in approving.eligible(db, TRUSTED, tenant, roles, via)]

    known(db, "bob", tenant="acme", roles=["finance"])
    known(db, "olga")
    known(db, "zoe", key="")
    known(db, "gone")
    approving.revoke(db, TRUSTED, "gone", "", "test", AT)
    assert names() == ["bob", "olga"], "without a gateway nobody hears who has no key"
    assert (names("finance"), names(tenant="north")) == (["bob"], ["olga"])
    assert (names(via=("cli",)), names(via=("gateway",))) == (["bob", "olga"], [])
    known(db, "web", gateway=True, tenant="acme")
    assert (names(), names(tenant="north")) == (["bob", "olga", "zoe"], ["olga"])
    assert (names(via=("cli",)), names(via=("gateway",))) == (["bob", "olga"], ["bob", "olga", "zoe"])


# Before serving


@tool(effect="read")
async def look() -> str:
    """Look."""
    return ""


@tool(effect="write")
async def refund(amount: int) -> str:
    """Refund."""
    return ""


@tool(effect="privileged")
async def grant() -> str:
    """Grant."""
    return ""


def desk(**trust: Any) -> Agent:
    told = {"initial": 0.5, "permissions": {0.5: ["*"]}, **trust}
    return Agent(name="desk", tools=[look, refund], trust=told)


QUIET = [Agent(name="quiet", tools=[look, refund]), desk(), desk(tool_rules={"refund": "deny"})]
ASKING = {
    "grant is privileged": Agent(name="desk", tools=[look, grant]),
    "its trust asks about 'refund(amount > 50)'": desk(tool_rules={"refund(amount > 50)": "ask"}),
    "its trust asks about 'refund'": desk(permissions={0.5: ["look"], 0.6: ["refund"]}),
    "its trust asks about 'ref*'": desk(approvals={"ref*": {"role": "finance"}}),
}


@pytest.mark.parametrize("agent", QUIET)
def test_an_agent_whose_policy_never_asks_needs_nobody(db: Connection, agent: Agent) -> None:
    approving.check_registry(db, TRUSTED, [agent])


@pytest.mark.parametrize("why", ASKING)
def test_an_agent_that_asks_needs_somebody_to_ask(db: Connection, why: str) -> None:
    with pytest.raises(ConfigError) as refused:
        approving.check_registry(db, TRUSTED, [*QUIET[:1], ASKING[why]])
    assert str(refused.value) == (
        f"agent 'desk' asks people ({why}), and no approver is registered: `tenure approvers add NAME`"
    )
    known(db, "web", gateway=True)
    with pytest.raises(ConfigError, match="no approver is registered"):
        approving.check_registry(db, TRUSTED, [ASKING[why]])
    known(db, "bob", tenant="acme", roles=["finance"])
    approving.check_registry(db, TRUSTED, [ASKING[why]])


def test_the_people_that_trust_names_must_be_there(db: Connection) -> None:
    known(db, "bob", roles=["finance"])
    known(db, "olga")

    def problem(**approval: Any) -> str:
        with pytest.raises(ConfigError) as refused:
            approving.check_registry(db, TRUSTED, [desk(approvals={"refund": approval})])
        return str(refused.value).removeprefix("agent 'desk': trust.approvals['refund'] ")

    assert problem(role="finance", quorum=2) == (
        "wants 2 people with role 'finance', 1 is registered: `tenure approvers add NAME --role finance`"
    )
    assert problem(role=["legal", "head of"]) == (
        "wants 1 person with role 'legal' and 'head of', none is registered: "
        "`tenure approvers add NAME --role legal --role 'head of'`"
    )
    assert problem(quorum=3) == "wants 3 people, 2 are registered: `tenure approvers add NAME`"
    assert problem(via="gateway").startswith("wants 1 person via 'gateway', none is registered")
    approving.check_registry(db, TRUSTED, [desk(approvals={"refund": {"role": "finance"}, "look": {"quorum": 2}})])


def test_people_of_different_tenants_are_not_enough_for_either(db: Connection) -> None:
    known(db, "bob", tenant="acme")
    known(db, "olga", tenant="north")
    agent = desk(approvals={"refund": {"quorum": 2}})
    with pytest.raises(ConfigError, match="wants 2 people, 1 is registered"):
        approving.check_registry(db, TRUSTED, [agent])
    known(db, "zed")
    approving.check_registry(db, TRUSTED, [agent])


def test_a_registry_under_another_root_is_told_so_even_where_nobody_is_asked(db: Connection) -> None:
    foreign = Ed25519PrivateKey.generate()
    approvers.add(db, "bob", vouch(person("bob"), foreign), AT)
    with pytest.raises(ConfigError) as refused:
        approving.check_registry(db, TRUSTED, QUIET)
    assert (
        f"the registry's 1 approver is vouched for by another root than TENURE_APPROVER_ROOT={encode_key(TRUSTED)}"
        in str(refused.value)
    )
    known(db, "olga")
    approving.check_registry(db, TRUSTED, QUIET)


def test_a_person_is_looked_up_again_by_whoever_acts_on_their_word(db: Connection) -> None:
    known(db, "bob", tenant="acme", roles=["finance"])
    assert approving.approver(db, TRUSTED, "bob", "acme", ["finance"]).principal == "bob"
    with pytest.raises(AnswerRefused, match="not vouched for as 'legal'"):
        approving.approver(db, TRUSTED, "bob", "acme", ["legal"])
    with pytest.raises(AnswerRefused, match="may not answer for tenant 'north'"):
        approving.approver(db, TRUSTED, "bob", "north", [])
    approving.revoke(db, TRUSTED, "bob", "", "test", AT)
    with pytest.raises(AnswerRefused, match="no approver here, or no longer"):
        approving.approver(db, TRUSTED, "bob", "acme", [])
