"""Learned answers: who asks, in whatever words, for what many have asked before is given the answer that all of them had.

Rules of this file: only runs that spoke and did nothing else teach, without a role and with the agent's own state, because what is
learned of them is told to everybody. A router that nothing proves is closed; its answers are audited like those of a cache.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from tenure.errors import ConfigError, NotFound, StoreUnavailable
from tenure.learn.frequent import Frequent, Spoken, frequent
from tenure.learn.reading import Found
from tenure.learn.router import TARGET, Closed, Routed
from tenure.optimize import Patterns, admission
from tenure.run import RunRequest
from tenure.runtime import routing
from tenure.runtime.blobs import Blobs
from tenure.runtime.routing import Router
from tenure.runtime.store import Store, recordings, routers
from tenure.runtime.store.recordings import Said
from tenure.runtime.store.routers import LearnedAnswer, RouterRow
from tenure.spec import AgentSpec

MOST = 5_000  # recordings that are learned from, the newest
SEED = 1


@dataclass
class Answers:
    """The routers that this worker has at hand. Mutable: one is loaded when it is first asked for."""

    loaded: dict[str, Router] = field(default_factory=dict[str, Router])

    async def find(self, store: Store, blobs: Blobs, agent: AgentSpec, request: RunRequest) -> LearnedAnswer | None:
        """The answer to a request; None where nothing was learned of it, or it is not for everybody."""
        if (
            not agent.learns_answers
            or request.role
            or request.context
            or request.tainted
            or not is_plain(agent, request.state)
        ):
            return None
        row = await store.read(lambda db: routers.get(db, request.tenant, agent.name))
        if row is None or row.why or row.fingerprint != agent.fingerprint:
            return None
        try:
            router = await asyncio.to_thread(self._load, blobs, row.blob)
        except (
            ConfigError,
            NotFound,
            StoreUnavailable,
        ):  # Claude answers; what is not installed, the worker says at its start
            return None
        routed = await asyncio.to_thread(router.route, request.message)
        return row.answers.get(routed.label) if isinstance(routed, Routed) else None

    def _load(self, blobs: Blobs, name: str) -> Router:
        if name not in self.loaded:
            self.loaded[name] = Router.from_bytes(blobs.get(name))
        return self.loaded[name]


def is_plain(agent: AgentSpec, state: dict[str, object]) -> bool:
    """Whether a run began as any run of the agent does."""
    return {**agent.state, **state} == agent.state


async def learn(store: Store, blobs: Blobs, agent: AgentSpec, tenant: str, since: int, at: int) -> Found | None:
    """Learn anew what the runs since then have in common. Says what came of it; None where nothing is to be learned."""
    how = agent.optimization.patterns if agent.optimization else None
    if how is None or not agent.learns_answers:
        return None
    said = await store.read(lambda db: recordings.said(db, (tenant, agent.name), agent.fingerprint, since, MOST))
    told, least = _frequent(said, how), how.min_frequency
    found = {"tenant": tenant, "agent": agent.name, "capability": "answers", "runs": len(told.examples)}
    if not told.examples:
        return Found.model_validate(
            {**found, "what": "refused", "why": f"no answer was given {least} times, word for word"}
        )
    router, why = await asyncio.to_thread(_fitted, agent, told, min(TARGET, 1 - Fraction(str(how.confidence))))
    answers = {label: LearnedAnswer(one.answer, one.run, one.cost) for label, one in told.newest.items()}
    blob = "" if router is None else blobs.put(router.to_bytes()).blob
    row = RouterRow(tenant, agent.name, agent.fingerprint, blob, answers, why, at)
    await store.transact(lambda db: routers.keep(db, row))
    return Found.model_validate({**found, "what": "refused" if why else "answers", "why": why, "version": len(answers)})


def _frequent(said: Sequence[Said], how: Patterns) -> Frequent:
    spoken, others = [_spoken(one) for one in said if one.spoke], [one.request for one in said if not one.spoke]
    return frequent(spoken, others, how.min_frequency, Fraction(str(how.confidence)))


def _fitted(agent: AgentSpec, told: Frequent, target: Fraction) -> tuple[Router | None, str]:
    """The router; or why there is none, or why it answers nothing."""
    texts, labels = [text for text, _ in told.examples], [label for _, label in told.examples]
    if not told.none:
        return None, "every request had one of these answers: nothing shows what asks for none of them"
    vectors = agent.optimization.vectors if agent.optimization else "ngrams"
    try:
        router = routing.fit(texts, labels, told.none, SEED, target=target, vectors=vectors)
    except ConfigError as error:
        return None, str(error)
    return router, router.calibration.why if isinstance(router.calibration, Closed) else ""


def _spoken(one: Said) -> Spoken:
    personal = not admission.may_be_asked_again(one.request) or admission.is_personal(one.answer)
    return Spoken(one.run, one.request, one.answer, one.cost, teaches=one.verified and not personal)
