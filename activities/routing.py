"""Routing: which model makes the first turn of a run, and who is asked when that one will not."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from tenure.activities import calling, hooks
from tenure.activities.calling import Sent
from tenure.activities.paying import Payer
from tenure.errors import HookFailed
from tenure.hooks import CONFIDENT, Choice, FirstTurn
from tenure.optimize.rules import fits
from tenure.runtime.claude import Prompt, Reply
from tenure.runtime.store.runs import RunRow
from tenure.spec import AgentSpec, Hook
from tenure.wire import JsonObject

ROUTE = "optimization.route"


async def model_for(run: RunRow, agent: AgentSpec, rows: list[JsonObject], state: JsonObject) -> str:
    """The model for the next turn: after the first it is the agent's own. Raises HookFailed."""
    how = agent.optimization
    if how is None or how.route is None or any(row["role"] == "assistant" for row in rows):
        return agent.model
    texts = [text for row in rows for text in row.get("texts", [])]
    if how.routes:
        fitting = (model for model, patterns in how.routes.items() if any(fits(one, texts[0]) for one in patterns))
        return next(fitting, agent.model) if len(texts) == 1 else agent.model
    said = await hooks.ask(agent, ROUTE, cast("Hook", how.route), FirstTurn(hooks.info_of(run), texts, state))
    known = [agent.model, *how.models]
    choice = Choice(said) if isinstance(said, str) else said
    match choice:
        case None:
            return agent.model
        case Choice(model=str() as model, confidence=int() | float() as sure) if model in known:
            return model if sure >= CONFIDENT else agent.model
        case _:
            allowed = ", ".join(map(repr, known))
            told = f"return None, one of {allowed}, or a Choice of one (tenure.hooks)"
            raise HookFailed(f"{ROUTE} of {agent.name!r} returned {said!r:.200}: {told}")


async def ask(payer: Payer, prompt: Prompt, sent: Sent, deadline: float) -> tuple[Reply, Sent, str]:
    """Claude's reply, what was sent and spent beside it, and "cheap" where another model than the agent's gave it.

    A cheaper model that declines is not the last word: the agent's own is asked. Raises Exhausted.
    """
    own = payer.agent.model
    if prompt.model == own:
        return await calling.call(payer, prompt, deadline), sent, ""
    reply = await calling.call(payer, prompt, deadline, tier="cheap")
    if reply.stop != "refusal":
        return reply, sent, "cheap"
    beside = replace(sent, usage=sent.usage + reply.usage, cost=sent.cost + reply.cost)
    return await calling.call(payer, replace(prompt, model=own), deadline), beside, ""
