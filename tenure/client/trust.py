"""Trust: where an agent stands, what it rests on, and what is missing for the next step."""

from __future__ import annotations

import json
import statistics as numbers
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from temporalio.service import RPCError

from tenure.client.connected import Connected
from tenure.errors import BadInput, NotFound
from tenure.runtime import judging
from tenure.runtime.store import Connection, agents, ledgers, runs, statistics, verdicts
from tenure.runtime.store.ledgers import Kept
from tenure.runtime.store.statistics import Asked, Used
from tenure.runtime.store.verdicts import Tally
from tenure.trust.config import Permit, Step
from tenure.trust.evidence import bound, missing, speaking, tally
from tenure.trust.grammar import parse
from tenure.trust.ledger import Change, Policy, level_for
from tenure.wire import JsonObject

STAMPED = 20  # approvals by one person before their speed says anything
STAMP_MS = 5_000  # nobody reads a request in less


@dataclass(frozen=True)
class Toward:
    """A rule that raises: in how many of the runs that speak of it it is met, what that makes sure, how many more would do.

    `more` is None when so many speak against it that it takes a newer window.
    """

    rule: Step
    met: int
    judged: int
    at_least: float
    more: int | None


@dataclass(frozen=True)
class Trusted:
    """Where an agent stands with a tenant. `kept` is None as long as nothing was said of any run.

    `tenants` are those anything is known of; where this one is none of them, its level is that of an agent without history.
    """

    agent: str
    tenant: str
    policy: Policy
    kept: Kept | None
    changes: list[Change]
    tally: Tally
    toward: list[Toward]
    tenants: list[str] = field(default_factory=list[str])

    @property
    def is_known(self) -> bool:
        """Whether anything is known of the tenant: a run of any agent, or this one's ledger."""
        return self.kept is not None or self.tenant in self.tenants

    @property
    def level(self) -> int:
        """In tenths, of the build that is served now: its ledger may not have heard of it yet."""
        first = min(self.policy.initial, self.policy.cap)
        if self.kept is None:
            return first
        return level_for(self.kept.level, self.kept.fingerprint, self.policy.fingerprint, first)


@dataclass(frozen=True)
class Stamp:
    """A person who approves nearly everything, faster than one can read."""

    principal: str
    approved: int
    answered: int
    median_ms: int


@dataclass(frozen=True)
class Stats:
    """An agent's runs and requests since then, as figures. Times in milliseconds."""

    changes: list[Change]
    runs: int
    stops: dict[str, int]
    asked: int
    approved: int
    denied: int
    expired: int
    open: int
    median_ms: int | None
    tainted: float
    next_level: int | None
    next_allows: int
    unused: list[str]
    stamps: list[Stamp] = field(default_factory=list[Stamp])


@dataclass(frozen=True)
class TrustOf:
    """The facet `system.trust`."""

    system: Connected

    async def standing(self, agent: str, tenant: str = "default") -> Trusted:
        """Where `agent` stands with `tenant`. Raises NotFound for an agent nobody announced, BadInput for one without trust."""
        return await self.system.require_store().read(lambda db: _standing(db, agent, tenant))

    async def stats(self, agent: str, tenant: str | None = None, since: int = 0) -> Stats:
        """Figures since then (milliseconds since the epoch), for one tenant or all. Raises what `standing` raises."""
        return await self.system.require_store().read(lambda db: _stats(db, agent, tenant, since))

    async def ask_back(self, agent: str, tenant: str, kind: str, why: str) -> None:
        """Have people asked to give back what a severe incident (`restore`) or a rebuild (`carry`) took.

        Raises BadInput for another kind, without a reason, or where nothing was taken, NotFound for an agent without a ledger.
        """
        if kind not in ("restore", "carry"):
            raise BadInput(f"{kind!r} is nothing that people give back: write restore or carry")
        if not why.strip():
            raise BadInput(f"reason {why!r}: say why in words that the people who are asked can judge")
        _check_taken(await self.standing(agent, tenant), kind)
        ledger = self.system.temporal.get_workflow_handle(judging.ledger_id(tenant, agent))
        store = self.system.require_store()
        served_from = await store.read(lambda db: agents.queue(db, agent, _now()))
        try:
            await judging.nudge(store, self.system.temporal, served_from, (tenant, agent))
            await ledger.signal("ask_back", args=[kind, why])
        except RPCError as error:
            raise NotFound(f"{agent} has no ledger of trust for tenant {tenant}: {error.message}") from error


def _check_taken(found: Trusted, kind: str) -> None:
    """Raise unless there is something to give back, as far as the store knows: of a new build the ledger may not have heard."""
    kept = found.kept
    if kept is None:
        raise NotFound(f"{found.agent} has no ledger of trust for tenant {found.tenant}: nobody judged any run of it")
    if kind == "restore" and not kept.ledger.severe:
        raise BadInput(f"{found.agent} has nothing to restore for tenant {found.tenant}: no severe incident stands")
    if kind == "carry" and kept.ledger.severe:
        raise BadInput(
            f"a severe incident of {found.agent} stands: `tenure trust restore {found.agent}` lifts it first"
        )
    is_known = kept.fingerprint == found.policy.fingerprint
    if kind == "carry" and is_known and min(kept.ledger.earned, found.policy.cap) <= kept.level:
        raise BadInput(f"{found.agent} has nothing to carry over: no other build of it had earned more")


def _policy(db: Connection, agent: str) -> Policy:
    text = agents.policy(db, agent, _now())
    if not text and agent not in agents.names(db):
        known = ", ".join(agents.names(db)) or "none"
        raise NotFound(f"no worker has announced an agent {agent!r}: there are {known}")
    if not text:
        raise BadInput(f"{agent} has no trust=: it has no level, and nothing to earn")
    return Policy.model_validate_json(text)


def _standing(db: Connection, agent: str, tenant: str) -> Trusted:
    policy = _policy(db, agent)
    kept = ledgers.get(db, tenant, agent)
    return Trusted(
        agent=agent,
        tenant=tenant,
        policy=policy,
        kept=kept,
        changes=ledgers.changes(db, tenant, agent),
        tally=verdicts.tally(db, agent, tenant),
        toward=[_toward(rule, policy, kept) for rule in policy.rules if rule.action == "increment"] if kept else [],
        tenants=runs.tenants(db),
    )


def _toward(rule: Step, policy: Policy, kept: Kept) -> Toward:
    n, misses = tally(rule, speaking(kept.ledger.evidence))
    return Toward(rule, n - misses, n, bound(n, misses), missing(rule, kept.ledger.evidence, policy.evidence))


def _stats(db: Connection, agent: str, tenant: str | None, since: int) -> Stats:
    policy = _policy(db, agent)
    asked, used = statistics.asked(db, tenant, agent, since), statistics.used(db, tenant, agent, since)
    stops = statistics.stops(db, tenant, agent, since)
    choices = Counter(one.choice for one in asked)
    took = [one.took for one in asked if one.choice in ("approve", "deny", "edit")]
    stands = ledgers.of_agent(db, agent) if tenant is None else [ledgers.get(db, tenant, agent)]
    levels = [kept.level for kept in stands if kept] or [min(policy.initial, policy.cap)]
    permits = _permits(db, agent)
    following = _next_level(permits, min(levels))
    return Stats(
        changes=[change for kept in stands if kept for change in ledgers.changes(db, kept.tenant, agent)],
        runs=sum(stops.values()),
        stops=stops,
        asked=len(asked),
        approved=choices["approve"],
        denied=choices["deny"] + choices["edit"],
        expired=choices["expired"],
        open=choices[""],
        median_ms=round(numbers.median(took)) if took else None,
        tainted=used.tainted / used.runs if used.runs else 0.0,
        next_level=following,
        next_allows=0 if following is None else sum(_is_allowed(one, permits, following) for one in asked),
        unused=_unused(permits, used, min(levels)),
        stamps=_stamps(asked),
    )


def _permits(db: Connection, agent: str) -> dict[str, list[Permit]]:
    """What the newest announcement permits, by tool."""
    found = next((row for row in agents.announced(db) if row["name"] == agent), None)
    tools: list[JsonObject] = json.loads(found["manifest"])["tools"] if found else []
    return {told["name"]: [Permit.model_validate(one) for one in told.get("permits", [])] for told in tools}


def _next_level(permits: dict[str, list[Permit]], has: int) -> int | None:
    above = [one.level for many in permits.values() for one in many if one.level > has]
    return min(above, default=None)


def _is_allowed(asked: Asked, permits: dict[str, list[Permit]], at: int) -> bool:
    """Whether the level alone would have let every call of the request through."""
    payload = asked.request.payload
    calls: Sequence[JsonObject] = payload.get("calls", [payload])
    return all(
        "needs level" in str(call.get("why", asked.request.why))
        and any(
            one.level <= at and parse(one.permission).allows(call["arguments"]) for one in permits.get(call["tool"], [])
        )
        for call in calls
    )


def _unused(permits: dict[str, list[Permit]], used: Used, has: int) -> list[str]:
    """Tools that the level allows and that no run has called: less may be enough."""
    granted = [tool for tool, many in permits.items() if any(one.level <= has for one in many)]
    return [tool for tool in granted if not used.calls.get(tool)] if used.runs else []


def _stamps(asked: Sequence[Asked]) -> list[Stamp]:
    found: list[Stamp] = []
    for name in sorted({name for one in asked for name in one.principal.split(", ") if name}):
        mine = [one for one in asked if name in one.principal.split(", ")]
        approved = [one for one in mine if one.choice == "approve"]
        if len(approved) < STAMPED or len(approved) < 0.95 * len(mine):
            continue
        median = round(numbers.median(one.took for one in approved))
        if median < STAMP_MS:
            found.append(Stamp(name, len(approved), len(mine), median))
    return found


def steps_of(changes: Sequence[Change]) -> list[tuple[int, int]]:
    """The level over time: (milliseconds, tenths) of each time it moved."""
    moved = [(change.at, change.after) for change in changes if change.kind not in ("withdrawn", "denied", "expired")]
    return moved[:1] + [later for earlier, later in pairwise(moved) if later[1] != earlier[1]]


def _now() -> int:
    return round(time.time() * 1000)
