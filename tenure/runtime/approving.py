"""Who may answer now: the registry of approvers read under the root key, changed by signed statements, checked before serving.

Rules of this file: a row counts only if the root signed its statement and it is about the principal it stands for. People answer; a
gateway only signs for them.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tenure.approvals import answer as answers
from tenure.approvals.answer import GATEWAY
from tenure.approvals.approvers import (
    EVERY,
    PRINCIPAL,
    Approver,
    checked,
    decode_key,
    encode_key,
    is_same,
    issued,
    vouch,
    vouched,
)
from tenure.approvals.digest import request_digest
from tenure.approvals.request import Request
from tenure.errors import AnswerRefused, BadInput, ConfigError, NotFound
from tenure.run import Effect
from tenure.runtime.store import Connection, approvals, approvers, restrictions
from tenure.runtime.store.approvers import Registered
from tenure.spec import AgentSpec
from tenure.trust.restrictions import Restriction
from tenure.trust.terms import Terms


def approver(db: Connection, root: Ed25519PublicKey, principal: str, tenant: str, roles: Sequence[str]) -> Approver:
    """The person, if their answer counts now for this tenant where all of `roles` are asked for. Raises AnswerRefused."""
    found = _known(db, root, principal, tenant)
    if found.gateway:
        raise AnswerRefused(f"{principal!r} is a gateway: it signs for people, never in its own name")
    lacking = found.lacks(roles)
    if lacking:
        raise AnswerRefused(f"{principal!r} is not vouched for as {' and '.join(map(repr, lacking))}")
    return found


def signer(db: Connection, root: Ed25519PublicKey, name: str, tenant: str) -> tuple[Approver, Ed25519PublicKey]:
    """Whoever signs by that name, a person or a gateway, and the key it signs with. Raises AnswerRefused."""
    found = _known(db, root, name, tenant)
    if not found.key:
        raise AnswerRefused(f"{name!r} has no key here: they answer through a gateway only")
    try:
        return found, decode_key(found.key)
    except ConfigError as error:
        raise AnswerRefused(str(error)) from error


def eligible(
    db: Connection, root: Ed25519PublicKey, tenant: str, roles: Sequence[str], via: Sequence[str] = ()
) -> list[Approver]:
    """Everybody who could answer: people with all of `roles` and one of the ways `via` (none named: any)."""
    known = [one for one in _valid(db, root) if one.answers_for(tenant)]
    gated = any(one.gateway for one in known)
    people = [one for one in known if not one.gateway and not one.lacks(roles)]
    return [one for one in people if _has_way(one, gated, via)]


def approved(db: Connection, request: str) -> Request | None:
    """The request of that id, if it ended with an approval and is one that a workflow has made: it says what its digest says."""
    asked = approvals.approved(db, request) if request else None
    return asked if asked is not None and _is_bound(asked) else None


def who_approved(
    db: Connection, root: Ed25519PublicKey, asked: Request, roles: Sequence[str], user: str | None
) -> set[str]:
    """The people who approved a request, each by a genuine token, who are approvers now and not the run's own `user`.

    What the store says of an answer counts for nothing.
    """
    return {
        name
        for token in approvals.approvals_of(db, asked.id)
        for name in _approved(db, root, token, asked, roles, user)
    }


def _is_bound(asked: Request) -> bool:
    """Whether the request says what its id and its digest say: only then is it one that a run has made."""
    try:
        bound = request_digest(asked.tenant, asked.workflow, asked.seq, asked.kind, asked.payload, asked.epoch)
    except BadInput:
        return False
    return asked.digest == bound and asked.id == f"req-{bound[:16]}"


def standing(row: Registered, root: Ed25519PublicKey) -> Approver:
    """Whom a row makes an approver, revoked or not. Raises AnswerRefused when it makes nobody."""
    found = vouched(row.statement, root)
    if found.principal != row.principal:
        raise AnswerRefused(f"the registry entry of {row.principal!r} is the statement about {found.principal!r}")
    return found


def enter(
    db: Connection, root: Ed25519PrivateKey, wanted: Approver, at: int, by: str, *, replace: bool = False
) -> Approver:
    """Vouch for `wanted` by a statement later than what stands, and register it. Raises what `register` raises."""
    row = approvers.find(db, wanted.principal)
    later = at // 1000
    if row is not None and (row.revoked_at is not None or _or_none(row, root.public_key())):
        later = max(later, issued(row.statement) + 1, (row.revoked_at or 0) // 1000 + 1)
    told = wanted.model_copy(update={"issued": later})
    return register(db, root.public_key(), vouch(told, root), at, by, replace=replace)


def register(
    db: Connection, root: Ed25519PublicKey, statement: str, at: int, by: str, *, replace: bool = False
) -> Approver:
    """Enter a signed statement. Raises AnswerRefused, ConfigError, and BadInput when what stands speaks against it.

    Where it takes the place of another, what that approver allowed and was not made yet is asked again.
    """
    new = checked(vouched(statement, root))
    row = approvers.find(db, new.principal)
    old = None if row is None or row.revoked_at is not None else _or_none(row, root)
    if old is None:
        approvers.forget(db, new.principal)
    _check_key(new, old, [one for one in _valid(db, root) if one.principal != new.principal], replace)
    if not approvers.add(db, new.principal, statement, at):
        later = "revoked" if row is not None and row.revoked_at is not None else "vouched for by a newer statement"
        raise BadInput(
            f"{new.principal!r} was {later} after this statement was issued, so it does not come back: sign a new one"
        )
    if old is not None and old.model_copy(update={"issued": new.issued}) != new:
        _move_fence(db, old.tenant, new.principal, "replaced by a new statement", by, at)
    return new


def revoke(db: Connection, root: Ed25519PublicKey | None, principal: str, reason: str, by: str, at: int) -> int:
    """Withdraw an approver at once; returns the fence it moves. Raises NotFound, BadInput when that was done before."""
    row = approvers.find(db, principal)
    if row is None:
        known = ", ".join(approvers.registered(db)) or "none"
        raise NotFound(f"no approver {principal!r}: there are {known}")
    if not approvers.revoke(db, principal, at):
        raise BadInput(f"{principal!r} was revoked before: nothing they sign counts")
    found = _or_none(row, root) if root is not None else None
    return _move_fence(db, found.tenant if found else EVERY, principal, reason, by, at)


def check_registry(db: Connection, root: Ed25519PublicKey, agents: Iterable[AgentSpec]) -> None:
    """Raise ConfigError when people must be asked for one of `agents` and nobody's answer, or too few people's, could count."""
    rows, valid = approvers.registered(db), _valid(db, root)
    if rows and not valid:
        many = "approver is" if len(rows) == 1 else "approvers are"
        raise ConfigError(
            f"the registry's {len(rows)} {many} vouched for by another root than TENURE_APPROVER_ROOT={encode_key(root)}: "
            f"set it to the root that signed them, or enter them anew with {_add()}"
        )
    tenants = sorted({one.tenant for one in valid} | {EVERY})  # enough that the people of one tenant suffice
    for agent in agents:
        why = _asks(agent)
        if why and not any(eligible(db, root, tenant, []) for tenant in tenants):
            raise ConfigError(f"agent {agent.name!r} asks people ({why}), and no approver is registered: {_add()}")
        for told, approval in agent.trust.approvals.items() if agent.trust else ():
            terms = approval.terms
            found = max(len(eligible(db, root, tenant, terms.roles, terms.via)) for tenant in tenants)
            if found < terms.quorum:
                raise ConfigError(f"agent {agent.name!r}: trust.approvals[{told!r}] {_wanted(terms, found)}")


def _approved(
    db: Connection, root: Ed25519PublicKey, token: str, asked: Request, roles: Sequence[str], user: str | None
) -> list[str]:
    try:
        by, key = signer(db, root, answers.claimed_signer(token), asked.tenant)
        answer = answers.read(token, key)
        answers.check(answer, asked, by, min(answer.exp * 1000 - 1, asked.deadline))  # in time when it was verified
        approver(db, root, answer.principal, asked.tenant, roles)
    except AnswerRefused:
        return []
    approves = answer.verdict == "approve" and not is_same(answer.principal, user)
    return [answer.principal] if approves else []


def _known(db: Connection, root: Ed25519PublicKey, principal: str, tenant: str) -> Approver:
    row = approvers.find(db, principal) if PRINCIPAL.fullmatch(principal) else None
    if row is None or row.revoked_at is not None:
        raise AnswerRefused(f"{principal!r} is no approver here, or no longer")
    found = standing(row, root)
    if not found.answers_for(tenant):
        raise AnswerRefused(f"{principal!r} may not answer for tenant {tenant!r}")
    return found


def _valid(db: Connection, root: Ed25519PublicKey) -> list[Approver]:
    rows = (row for row in approvers.every(db) if row.revoked_at is None)
    return [found for row in rows if (found := _or_none(row, root)) is not None]


def _or_none(row: Registered, root: Ed25519PublicKey) -> Approver | None:
    try:
        return standing(row, root)
    except AnswerRefused:
        return None


def _has_way(person: Approver, gated: bool, via: Sequence[str]) -> bool:
    itself = bool(person.key) and (not via or any(way != GATEWAY for way in via))
    return itself or (gated and (not via or GATEWAY in via))


def _check_key(new: Approver, old: Approver | None, others: Iterable[Approver], replace: bool) -> None:
    """One key is one person, and a person's key does not change by accident."""
    twin = next((one.principal for one in others if new.key and _same_key(one.key, new.key)), None)
    if twin is not None:
        raise BadInput(
            f"the key of {new.principal!r} is the key of {twin!r} already: everybody signs with one of their own"
        )
    if old is not None and not _same_key(old.key, new.key) and not replace:
        raise BadInput(
            f"{new.principal!r} is registered with another key already: --replace puts this one in its place"
        )


def _same_key(one: str, other: str) -> bool:
    return one.rstrip("=") == other.rstrip("=")


def _move_fence(db: Connection, tenant: str, principal: str, reason: str, by: str, at: int) -> int:
    moved = Restriction(kind="revoked", value=principal, reason=reason)
    return restrictions.restrict(db, (tenant, EVERY), moved, by, at)


def _asks(agent: AgentSpec) -> str:
    """Why people may be asked about a call of this agent; empty when its policy never asks."""
    for tool in agent.tools:
        if tool.effect in (Effect.DESTRUCTIVE, Effect.PRIVILEGED):
            return f"{tool.name} is {tool.effect}"
    trust = agent.trust
    if trust is None:
        return ""
    begins = min(trust.initial, trust.cap)
    asked = [told for told, decision in trust.tool_rules.items() if decision == "ask"]
    above = [told for tier, permissions in trust.permissions.items() if tier > begins for told in permissions]
    found = next(iter([*asked, *trust.approvals, *above]), "")
    return f"its trust asks about {found!r}" if found else ""


def _wanted(terms: Terms, found: int) -> str:
    people = "1 person" if terms.quorum == 1 else f"{terms.quorum} people"
    roles = f" with role {' and '.join(map(repr, terms.roles))}" if terms.roles else ""
    way = f" via {terms.via[0]!r}" if len(terms.via) == 1 else ""
    registered = f"{found or 'none'} {'are' if found > 1 else 'is'} registered"
    return f"wants {people}{roles}{way}, {registered}: {_add(terms.roles)}"


def _add(roles: Iterable[str] = ()) -> str:
    return f"`tenure approvers add NAME{''.join(f' --role {shlex.quote(role)}' for role in roles)}`"
