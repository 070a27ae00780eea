"""Ruling: what one look of the gate costs an agent of 100 tools and 50 rules, beside Cedar asked the same.

`python -m bench.ruling [--rounds 30] [--calls 300]`: the same policy as ours and as Cedar policies (parsed once), asked about the
same calls in alternating batches; and the history of a run with an allowed call, with `trust=` and without.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import cedarpy

from bench.measure import emit, history_of, ratio
from tenure import Agent, Tool
from tenure.run import RunRequest, RunState
from tenure.testing import embedded
from tenure.testing.scripted_claude import text, tool_use
from tenure.trust.grammar import parse
from tenure.trust.restrictions import Standing
from tenure.trust.ruling import Allow, Ask, Deny
from tenure.wire import JsonObject
from tenure.workflows.gate import gate, terms_of
from tests.unit.cedar import NOBODY, Policy

GOAL = 50.0  # microseconds, at the median
AREAS = ("billing", "tickets", "orders", "users", "stock", "mail", "files", "reports", "crm", "hr")
VERBS = ("get", "list", "find", "create", "update", "close", "refund", "send", "delete", "grant")
EFFECTS = ("read", "read", "read", "write", "write", "write", "write", "egress", "destructive", "privileged")
# 26 permissions, 10 tool rules, 4 patterns of a role, 4 restrictions in force and 6 terms of approval.
PERMISSIONS: dict[float, list[str]] = {
    0.1: [*(f"get_{area}" for area in AREAS[:6]), "list_*"],
    0.3: ["find_*(limit <= 50)", "find_billing", "create_tickets", "update_tickets(status in ['open', 'closed'])"],
    0.5: [
        "create_*(amount <= 100, currency in ['EUR', 'USD'])", "update_*(reason != '')", "close_*", "get_*",
        "refund_*(amount <= 50, currency == 'EUR')", "refund_billing(amount <= 100)", "send_mail(to.country == 'CH')",
    ],
    0.7: ["refund_*(amount <= 500)", "send_*(urgent == false)", "create_*", "update_*"],
    0.9: ["refund_*", "send_*", "delete_*(count < 10)", "grant_*(role not in ['admin'])"],
}  # fmt: skip
RULES = {
    **{f"refund_{area}(amount > 1000)": "deny" for area in AREAS[:4]},
    **{f"delete_{area}": "ask" for area in AREAS[:3]},
    "send_*(to.country in ['KP'])": "deny",
    "create_hr": "ask",
    "grant_*(role == 'root')": "deny",
}
ROLE = ("get_*", "refund_*", "send_*", "list_*")
DENIED = ("send_files", "refund_*(currency == 'KPW')", "delete_crm")  # and a cap on the level
APPROVALS = {
    "*": {"deadline": "2h"},
    "refund_*(amount > 100)": {"quorum": 2},
    "refund_*": {"role": "finance"},
    "delete_*": {"on_timeout": "halt"},
    "grant_*": {"via": "cli"},
    "send_*(urgent == true)": {"deadline": "5m"},
}
CALLS: dict[str, tuple[str, JsonObject, type]] = {
    "allowed": ("refund_billing", {"amount": 40, "currency": "EUR", "reason": "late"}, Allow),
    "asked": ("refund_billing", {"amount": 400, "currency": "EUR", "reason": "late"}, Ask),
    "denied": ("refund_billing", {"amount": 4000, "currency": "EUR", "reason": "late"}, Deny),
}


@dataclass
class Spent:
    """Microseconds of single calls, and of each batch the median."""

    each: list[float] = field(default_factory=list[float])
    batches: list[float] = field(default_factory=list[float])

    def batch(self, once: Callable[[], object], calls: int) -> None:
        """Call so often, each timed for itself."""
        took: list[float] = []
        for _ in range(calls):
            begun = time.perf_counter_ns()
            once()
            took.append((time.perf_counter_ns() - begun) / 1000)
        self.each += took
        self.batches.append(statistics.median(took))

    def summary(self) -> dict[str, float]:
        """Median and 99th percentile."""
        return {
            "median_us": round(statistics.median(self.each), 1),
            "p99_us": round(statistics.quantiles(self.each, n=100)[98], 1),
        }


def tool(name: str, effect: Any) -> Tool:
    """A tool that takes what all of the policy's conditions ask about."""

    def function(amount: float = 0, currency: str = "EUR", reason: str = "") -> str:
        """Do it."""
        return "done"

    return Tool(function, name=name, effect=effect)


def agent(**more: Any) -> Agent:
    """100 tools; `more` is its policy."""
    named = zip(VERBS, EFFECTS, strict=True)
    tools = [tool(f"{verb}_{area}", effect) for verb, effect in named for area in AREAS]
    return Agent(name="desk", tools=tools, **more)


TRUST: dict[str, Any] = {"initial": 0.6, "permissions": PERMISSIONS, "tool_rules": RULES, "approvals": APPROVALS}


def run() -> RunState:
    """A run of it, as it is under way."""
    snapshot = agent(trust=TRUST, roles={"clerk": ROLE}).snapshot()
    standing = Standing(fence=4, denied=list(DENIED), cap=9)
    return RunState(request=RunRequest(agent="desk", role="clerk"), snapshot=snapshot, standing=standing)


def cedar() -> tuple[Policy, cedarpy.PolicySet]:
    """The same policy for Cedar; terms of approval are none of its business."""
    policy = Policy(
        permissions={round(10 * level): [parse(told) for told in many] for level, many in PERMISSIONS.items()},
        rules=[(parse(told), decision) for told, decision in RULES.items()],
        denied=[parse(told) for told in DENIED],
        roles={"clerk": ROLE},
    )
    return policy, policy.cedar()


def request(policy: Policy, name: str, arguments: JsonObject) -> JsonObject:
    """What Cedar is asked: may the call be made without anybody's approval?"""
    known = {"level": 6, "parent": 10, "operator": 9, "role": "clerk", "effect": "write", "tool": name}
    return policy.request(arguments, strictly=True, halted=False, doubt=False, taint=False, **known)


def measure(rounds: int, calls: int) -> dict[str, Any]:
    """Both, in alternating batches, for each kind of call."""
    state, (policy, policies) = run(), cedar()
    report: dict[str, Any] = {}
    for kind, (name, arguments, expected) in CALLS.items():
        asked = request(policy, name, arguments)
        ours, theirs, terms = Spent(), Spent(), Spent()
        assert isinstance(gate(state, name, arguments).decision, expected)
        assert cedarpy.is_authorized(asked, policies, NOBODY).allowed == (expected is Allow)
        contestants: list[tuple[Spent, Callable[[], object]]] = [
            (ours, lambda name=name, given=arguments: gate(state, name, given)),
            (theirs, lambda asked=asked: cedarpy.is_authorized(asked, policies, NOBODY)),
            (terms, lambda name=name, given=arguments: terms_of(state.agent.tools[name], given)),
        ]
        for number in range(rounds):
            for spent, once in contestants if number % 2 == 0 else reversed(contestants):
                spent.batch(once, calls)
        report[kind] = {
            **ours.summary(),
            "cedar": theirs.summary(),
            "of_cedar": ratio(ours.batches, theirs.batches),
            **({"terms": terms.summary()} if expected is Ask else {}),
        }
    return report


async def events() -> dict[str, int]:
    """The history of a run with one allowed call, with `trust=` and without."""
    found: dict[str, int] = {}
    for name, more in {"with_trust": {"trust": TRUST, "roles": {"clerk": ROLE}}, "without": {}}.items():
        desk = agent(**more)
        script = [tool_use(CALLS["allowed"][0], **CALLS["allowed"][1]), text("done")]
        async with embedded(desk, claude=script) as system:
            response = await desk.run("go", role="clerk" if more else None)
            assert response.tool_calls[0]["ok"], response
            found[name] = (await history_of(system.temporal, response.id))["events"]
    return found


def rules_of(permissions: dict[float, Sequence[str]]) -> int:
    """How many lines of policy there are, the cap among them."""
    return sum(map(len, permissions.values())) + len(RULES) + len(ROLE) + len(DENIED) + 1 + len(APPROVALS)


def main() -> None:
    """Read the parameters."""
    parser = argparse.ArgumentParser(prog="python -m bench.ruling", description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--calls", type=int, default=300, help="a batch")
    options = parser.parse_args()
    written = asyncio.run(events())
    gc.disable()  # a collection falls on whoever happens to run
    report = measure(options.rounds, options.calls)
    emit({
        "bench": "ruling",
        "tools": len(VERBS) * len(AREAS),
        "rules": rules_of(PERMISSIONS),  # type: ignore[arg-type]
        "rounds": options.rounds,
        "calls_per_batch": options.calls,
        **report,
        "events": written,
        "goal": {"median_us": GOAL, "events": "equal"},
        "holds": all(report[kind]["median_us"] <= GOAL for kind in CALLS) and len(set(written.values())) == 1,
    })  # fmt: skip


if __name__ == "__main__":
    main()
