"""What operators have taken away, in words: for `tenure halt`, and wherever one reads of a run, a request or an agent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tenure.wire import JsonObject

if TYPE_CHECKING:
    from tenure.runtime.store.restrictions import Restricted

TOLD = {"halt": "halted", "deny": "denied", "cap": "capped at", "limit": "limited to"}


def line(one: Restricted) -> str:
    """`agent support halted: odd refunds (alice, 5 min ago)`."""
    return f"{whom(one.tenant, one.agent)} {what(one)}{because(one)}"


def what(one: Restricted) -> str:
    """`halted`, `denied refund`."""
    return f"{TOLD[one.restriction.kind]} {one.restriction.value}".rstrip()


def because(one: Restricted) -> str:
    """Why, by whom and since when."""
    from tenure.cli import render

    why = f": {one.restriction.reason}" if one.restriction.reason else ""
    return f"{why} ({one.by}, {render.ago(one.set_at)})"


def whom(tenant: str, agent: str) -> str:
    """Whom a restriction is about."""
    from tenure.trust.restrictions import EVERY

    if tenant == agent == EVERY:
        return "everybody"
    if EVERY in (tenant, agent):
        return f"agent {agent}" if tenant == EVERY else f"tenant {tenant}"
    return f"agent {agent} of tenant {tenant}"


def resume(one: Restricted) -> str:
    """The command that lifts what was set for exactly these."""
    from tenure.trust.restrictions import EVERY

    if EVERY not in (one.tenant, one.agent):
        return f"tenure resume --tenant {one.tenant} --agent {one.agent}"
    name = one.tenant if one.agent == EVERY else one.agent
    return f"tenure resume {name if name != EVERY else repr(EVERY)}"


def halts(in_force: Iterable[Restricted], tenant: str, agent: str) -> list[Restricted]:
    """What stops this agent of this tenant now."""
    from tenure.client.restrictions import meaning

    return [one for one in meaning(in_force, tenant, agent) if one.restriction.kind == "halt"]


def reasons(found: Iterable[Restricted]) -> str | None:
    """Why they are halted, for documents; None: they are not."""
    return "; ".join(one.restriction.reason or "no reason given" for one in found) or None


def rows(found: Iterable[Restricted]) -> list[tuple[str, str]]:
    """A line of a page for each: what it is, for whom, why, and what lifts it."""
    return [_row(one) for one in found]


def _row(one: Restricted) -> tuple[str, str]:
    subject = whom(one.tenant, one.agent)
    if one.restriction.kind == "halt":
        return "halted", f"{subject}{because(one)}; `{resume(one)}` lifts it"
    return "restricted", f"{subject} {what(one)}{because(one)}"


def document(one: Restricted) -> JsonObject:
    """One of them as JSON."""
    told = one.restriction.model_dump(mode="json")
    return {"tenant": one.tenant, "agent": one.agent, **told, "by": one.by, "set_at": one.set_at, "fence": one.epoch}
