"""An agent with a policy, and the same policy once more in plain Python: what a property test holds the first one against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tenure.approvals.answer import Answer, sign
from tenure.approvals.approvers import Approver, encode_key
from tenure.approvals.request import Request
from tenure.spec import AgentSpec
from tenure.tools import tool
from tenure.trust.restrictions import Restriction
from tenure.wire import JsonObject

TENANT, USER = "acme", "alice"


@tool(effect="write", idempotent=True)
def put(what: str) -> str:
    """Put."""
    return what


@tool(effect="write")
def pay(to: str, amount: int) -> str:
    """Pay."""
    return f"{amount} to {to}"


@tool(effect="privileged")
def grant(who: str) -> str:
    """Grant."""
    return who


@tool(effect="destructive")
def wipe() -> str:
    """Wipe."""
    return ""


DESK = AgentSpec(
    name="desk",
    tools=(put, pay, grant, wipe),
    trust={  # type: ignore[arg-type]  # as a user writes it
        "initial": 0.6,
        "permissions": {0.3: ["put", "pay(amount <= 50)"], 0.5: ["grant"], 0.7: ["pay"], 0.9: ["wipe"]},
        "tool_rules": {"put(what == 'secret')": "deny", "put(what == 'odd')": "ask"},
        "approvals": {"pay(amount > 100)": {"role": "finance", "quorum": 2}},
    },
)
CALLS: list[tuple[str, JsonObject]] = [
    ("put", {"what": "plain"}),
    ("put", {"what": "odd"}),
    ("put", {"what": "secret"}),
    ("pay", {"to": "bob", "amount": 50}),
    ("pay", {"to": "bob", "amount": 51}),
    ("pay", {"to": "bob", "amount": 101}),
    ("pay", {"to": "bob", "amount": "101"}),
    ("grant", {"who": "bob"}),
    ("wipe", {}),
]


RESTRICTIONS = [
    Restriction(kind="halt", reason="looking into it"),
    Restriction(kind="deny", value="pay(amount > 50)"),
    Restriction(kind="deny", value="put"),
    Restriction(kind="cap", value="0.4"),
    Restriction(kind="cap", value="0.2"),
]


def level_needed(name: str, arguments: JsonObject) -> int:
    """From which level on the call is allowed."""
    if name == "pay":
        amount = arguments.get("amount")
        return 3 if isinstance(amount, int) and amount <= 50 else 7
    return {"put": 3, "grant": 5, "wipe": 9}[name]


def wanted(name: str, arguments: JsonObject, cap: int, doubts: bool) -> str:
    """allow, ask or deny, where `cap` bounds the level and `doubts` says that its origin or an edit asks."""
    what = arguments.get("what") if name == "put" else None
    if what == "secret":
        return "deny"
    asks = doubts or what == "odd" or level_needed(name, arguments) > min(6, cap)
    return "ask" if asks else "allow"


def people_wanted(name: str, arguments: JsonObject) -> tuple[int, str]:
    """How many people must approve, and the role that each must have."""
    amount = arguments.get("amount")
    if name == "pay" and (not isinstance(amount, int) or amount > 100):
        return 2, "finance"
    return (2 if name in ("grant", "wipe") else 1), ""


def is_denied(name: str, arguments: JsonObject, denied: list[str]) -> bool:
    """Whether an operator's denials mean the call."""
    if name == "put":
        return "put" in denied
    amount = arguments.get("amount")
    above = name == "pay" and (not isinstance(amount, int) or amount > 50)
    return above and "pay(amount > 50)" in denied


# ---------------------------------------------------------------------------------------------------------- the people


def key_of(name: str) -> Ed25519PrivateKey:
    """Always the same key for the same name."""
    return Ed25519PrivateKey.from_private_bytes(name.encode().ljust(32, b"."))


ROOT, OTHER_ROOT = key_of("root"), key_of("not the root")


@dataclass(frozen=True)
class Person:
    """Who may be registered as an approver; without a key of their own they answer through the gateway."""

    name: str
    roles: tuple[str, ...] = ()
    tenant: str = "*"
    keyless: bool = False
    gateway: bool = False

    def statement(self, **changed: Any) -> Approver:
        told: dict[str, Any] = {
            "principal": self.name,
            "key": "" if self.keyless else encode_key(key_of(self.name).public_key()),
            "tenant": self.tenant,
            "roles": list(self.roles),
            "gateway": self.gateway,
        }
        return Approver.model_validate(told | changed)


PEOPLE = {
    person.name: person
    for person in (
        Person("operator"),
        Person("reviewer", ("finance",)),
        Person("carol", ("finance", "legal")),
        Person(USER, ("*",)),  # the run's own user is an approver too
        Person("dave", ("finance",), keyless=True),
        Person("gate", gateway=True),
        Person("eve", ("*",), tenant="globex"),
    )
}


def token(asked: Request, by: str, via: str, at: int, jti: str, *, signer: str = "", **changed: Any) -> str:
    """An answer to a request as `by` gives it at `at` (milliseconds), with some claims changed or signed by another."""
    told: dict[str, Any] = {"request": asked.id, "digest": asked.digest, "principal": by, "jti": jti, "via": via}
    kid = "gate" if via == "gateway" else by
    claims = Answer.model_validate({**told, "exp": at // 1000 + 60, **changed})
    return sign(claims, key_of(signer or kid), kid)
