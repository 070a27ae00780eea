"""Paying: a call of the model is held at the most that it can cost before it is made, and settled at what it did cost.

Rules of this file: no call without a hold. What failed without an answer from the API may have been made, and been billed: its hold
stays, and becomes spend when it expires. Everything that is counted is counted in whole micro-dollars, rounded up.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Protocol, TypeAlias

from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from tenure.activities.resources import Resources, now
from tenure.optimize import money
from tenure.optimize.budget import Exhaustion, Scope, Spender, named, scopes, turns_at
from tenure.runtime import alerting, upkeep
from tenure.runtime.claude import Prompt, Reply
from tenure.runtime.prices import Prices
from tenure.runtime.retry import was_refused
from tenure.runtime.store import Connection, charges
from tenure.runtime.store.alerts import Alert
from tenure.runtime.store.charges import Call, Short
from tenure.spec import AgentSpec
from tenure.turn import Shortage, Usage
from tenure.wire import JsonObject

MARGIN = 30_000  # milliseconds that a hold outlives the time in which its call must be over
USEFUL = 256  # tokens: a shorter answer is not worth what it costs
FRAME = 1_000  # tokens that the API adds to a request, at most
WAITS = timedelta(seconds=60)  # in which others may give back what they hold
LOOKS, LOOK = 10, 0.2  # how often, and every how many seconds, one attempt looks whether there is room now
Ask: TypeAlias = Callable[[Prompt], Awaitable[Reply]]


class Exhausted(Exception):
    """The budget does not allow the call, with no model of the agent's."""

    def __init__(self, shortage: Shortage) -> None:
        super().__init__(shortage.why)
        self.shortage = shortage


@dataclass(frozen=True)
class Held:
    """A prompt as it may be sent, and the call that is held for it; `least` is what the shortest useful answer may cost."""

    prompt: Prompt
    call: Call
    least: int = 0


class Whose(Protocol):
    """For whom a call is made: a run (its row in the store is one), or nobody's run."""

    @property
    def workflow(self) -> str: ...
    @property
    def tenant(self) -> str: ...
    @property
    def user(self) -> str | None: ...
    @property
    def role(self) -> str | None: ...
    @property
    def carrier(self) -> Mapping[str, str]: ...


@dataclass(frozen=True)
class NoRun:
    """What an agent does for a tenant in no run, such as learning: its day and the tenant's pay for it, no run and no user."""

    tenant: str
    workflow: str = ""
    user: str | None = None
    role: str | None = None
    carrier: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Payer:
    """Who pays for a call: the run, at row `seq`; its last turn stood at row `before` (None: there was none).

    Where it belongs to no run, `seq` counts the calls of one attempt.
    """

    to: Resources
    run: Whose
    agent: AgentSpec
    seq: int
    before: int | None = None

    async def hold(self, prompt: Prompt, tier: str = "model") -> Held:
        """The prompt, held: shorter, or for another model, where the budget wants it so.

        Raises Exhausted where nothing fits, ApplicationError (to be retried) while others hold what it needs.
        """
        short: Short | None = None
        held: Held | None = None
        for model in (prompt.model, *(self.agent.fallback if tier == "model" else ())):
            held, short = await self._fitted(replace(prompt, model=model), tier)
            if short is None:
                return held
            if short.fit == "held" and _waited() < WAITS:
                raise _later(short)
            if self.agent.budget.alert_threshold:  # whoever wants no alerts wants none
                await alerting.exhausted(self.to.store, short, now())
        if held is None or short is None:
            raise Exhausted(Shortage())  # it never is: the prompt's own model is tried
        await self.to.store.transact(partial(charges.refuse, call=held.call))
        raise Exhausted(_shortage(short, held.least, self.agent.budget.on_exhausted))

    async def make(self, held: Held, ask: Ask) -> Reply:
        """The reply to what is held, settled at what it cost. Raises what `ask` raises."""
        prompt, call, cost_of = held.prompt, held.call, self.to.prices.cost_of
        try:
            reply = await ask(prompt)
        except Exception as error:
            if was_refused(error):
                await self.to.store.transact(lambda db: charges.release(db, call.key, now()))
            raise
        used = reply.usage
        cost = cost_of(prompt.model, used)
        plain = Usage(input=used.input + used.cache_read + used.cache_write, output=used.output)
        settled = charges.Settled(cost, cost_of(prompt.model, plain), used, now())
        await alerting.transact(self.to.store, lambda db: (None, self._settle(db, call, settled)))
        return replace(reply, model=prompt.model, cost=cost, saved=settled.uncached - cost)

    async def _fitted(self, prompt: Prompt, tier: str) -> tuple[Held, Short | None]:
        """The prompt as it fits, held; or in which scope it does not."""
        known = await self.to.store.read(self._last) if self.before is not None else {}
        size = tokens_at_most(prompt, known.get(prompt.model))
        call, short = await self._hold(prompt, tier, size)
        while short is not None and short.fit == "spent":  # each scope may want it shorter
            most = affordable(self.to.prices, prompt.model, size, prompt.max_tokens - 1, short.left)
            if most < USEFUL:
                break
            prompt = replace(prompt, max_tokens=most)
            call, short = await self._hold(prompt, tier, size)
        return Held(prompt, call, self.to.prices.at_most(prompt.model, size, USEFUL)), short

    async def _hold(self, prompt: Prompt, tier: str, size: int) -> tuple[Call, Short | None]:
        """Hold it; while others hold what it needs, look for a moment whether they give it back."""
        call, within = self._call(prompt, tier, size)
        short = await alerting.transact(self.to.store, partial(self._held, call=call, within=within))
        for _ in range(LOOKS):
            if short is None or short.fit == "spent":
                break
            await asyncio.sleep(random.uniform(0.5, 1.5) * LOOK)
            call, within = self._call(prompt, tier, size)
            # Looking is reading: a crowd that waits must not keep those from the store who give back.
            short = await self.to.store.read(partial(charges.short_of, scopes=within, amount=call.held))
            if short is None:
                short = await alerting.transact(self.to.store, partial(self._held, call=call, within=within))
        return call, short

    def _held(self, db: Connection, call: Call, within: list[Scope]) -> tuple[Short | None, list[Alert]]:
        raised = upkeep.expire(db, self.to.registry.agents, call.at)
        return charges.hold(db, call, within), raised

    def _last(self, db: Connection) -> dict[str, int]:
        return charges.tokens_at(db, self.run.workflow, self.before or 0)

    def _call(self, prompt: Prompt, tier: str, size: int) -> tuple[Call, list[Scope]]:
        at, info = now(), activity.info()
        who = Spender(self.run.tenant, self.agent.name, self.run.workflow, self.run.user)
        call = Call(
            # The activity's id as well: after a pause the same turn is decided anew, in the same run, and paid for anew.
            key=f"{info.workflow_run_id}:{info.activity_id}:{info.attempt}:{self.seq}:{tier}:{prompt.model}",
            workflow=self.run.workflow,
            tenant=self.run.tenant,
            agent=self.agent.name,
            user=self.run.user,
            model=prompt.model,
            tier=tier,
            seq=self.seq,
            prices=self.to.prices.version,
            held=self.to.prices.at_most(prompt.model, size, prompt.max_tokens),
            at=at,
            expires_at=at + round(prompt.timeout * 1000) + MARGIN,
        )
        return call, scopes(self.agent.budget, who, at)

    def _settle(self, db: Connection, call: Call, settled: charges.Settled) -> list[Alert]:
        """Settle, and raise the alerts that are due now."""
        charges.settle(db, call.key, settled)
        who = Spender(call.tenant, call.agent, call.workflow, call.user)
        return alerting.due(db, self.agent.budget, who, call.at, settled.at)


def tokens_at_most(prompt: Prompt, known: int | None) -> int:
    """No fewer tokens than the prompt has: a token is a byte at least, and what the API has counted once is known."""
    said: Sequence[JsonObject] = prompt.messages
    if known is not None:
        last = max((index for index, one in enumerate(said) if one["role"] == "assistant"), default=-1)
        return known + _bytes(said[last + 1 :]) + FRAME
    return _bytes(said) + _bytes(prompt.tools) + len(prompt.system.encode()) + FRAME


def affordable(prices: Prices, model: str, size: int, most: int, left: int) -> int:
    """How many tokens of answer, `most` at most, may follow on `size` tokens for what is left (micro-dollars)."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        fits = prices.at_most(model, size, middle) <= left
        low, high = (middle, high) if fits else (low, middle - 1)
    return low


def _shortage(short: Short, least: int, on: Exhaustion) -> Shortage:
    scope, total = short.scope, short.total
    cap = (scope.cap or 0) + total.raised
    return Shortage(
        scope=scope.name,
        subject=scope.subject,
        period=scope.period,
        cap=cap,
        spent=total.spent,
        needed=short.wanted,
        until=turns_at(scope, now()) or 0,
        on=on,
        operator=scope.operator,
        add=max(cap, money.cents_up(total.spent + total.held + short.wanted - cap)),
        why=f"{named(scope)} is {_why(short, cap, least)}",
    )


def _why(short: Short, cap: int, least: int) -> str:
    wanted, spent, held = money.shown(short.wanted), short.total.spent, short.total.held
    if least > cap:
        return f"too small for one call: it is {money.shown(cap)}, and a call needs up to {wanted}"
    others = f", {money.shown(held)} is held by calls under way" if held else ""
    left = money.shown(max(cap - spent - held, 0))
    used = f"{money.shown(spent)} of {money.shown(cap)} is spent{others}, left: {left}"
    return f"used up: {used}, and the next call may cost {wanted}"


def _bytes(told: Sequence[JsonObject]) -> int:
    return len(json.dumps(list(told), ensure_ascii=False).encode("utf-8", "replace"))


def _waited() -> timedelta:
    info = activity.info()
    return info.started_time - info.scheduled_time


def _later(short: Short) -> ApplicationError:
    told = f"{named(short.scope)} is held by other calls: trying again"
    wait = timedelta(seconds=random.uniform(0.5, 1.5))  # a crowd that waits should not come back as one
    return ApplicationError(told, type="BudgetHeld", next_retry_delay=wait, category=ApplicationErrorCategory.BENIGN)
