"""Runs over a real store, as far as the cache of answers looks at them: asked, answered by Claude or without, judged."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from tenure import Agent, ToolContext, tool
from tenure.run import Outcome, Record, RunRequest, Status, StopReason
from tenure.runtime import caching, judging
from tenure.runtime.caching import Asked
from tenure.runtime.store import runs, transcript
from tenure.transcript import assistant_row, first_row, result_row
from tenure.turn import Audit, Result, Turn
from tests.unit.inside import Memory

TTL = 100  # seconds
TENANTS = st.sampled_from(["acme", "globex"])
MESSAGES = (
    "When do you open?", "Hey, when do you open please?", "Where do you open?", "When don't you open?", "Open at 9?", "Open at 10?",
)  # fmt: skip
WHOSE = {"role": st.sampled_from("ab"), "cap": st.integers(0, 3), "state": st.sampled_from([{}, {"a": 1}])}
START = 1_800_000_000_000


@tool(effect="read", output="*")
def hours() -> str:
    """Read the hours."""
    return "nine"


@tool(effect="read", output="*")
def prices() -> str:
    """Read the prices."""
    return "9"


@tool(effect="read", output="*")
def mine(ctx: ToolContext) -> str:
    """Read what is the caller's."""
    return str(ctx.user)


@tool(effect="write")
def note(what: str) -> str:
    """Write."""
    return what


def desk(admit: str = "answered", instructions: str = "", similarity: float = 0.7) -> Agent:
    told = {
        "enable_cache": True,
        "cache_rules": [{"similarity": similarity, "ttl": TTL}],
        "admit": admit,
        "audit": "0.5",
    }
    return Agent(name="desk", tools=[hours, prices, mine, note], instructions=instructions, optimization=told)


DESK = desk()


@dataclass
class Runs:
    """Runs of one agent over a real store."""

    agent: Agent = field(default_factory=lambda: DESK)
    store: Memory = field(default_factory=Memory)
    at: int = START
    number: int = 0

    def look(self, tenant: str, message: str, draw: float = 1.0, **more: Any) -> tuple[str, Turn | Audit | None]:
        """Begin a run; its id, and what is known already."""
        self.number += 1
        workflow, level = f"{tenant}:run:desk:{self.number}", more.pop("level", None)
        request = RunRequest(agent="desk", tenant=tenant, message=message, **more)
        snapshot = self.agent.snapshot().model_copy(update={"level": level})

        def write(db: Any) -> Turn | Audit | None:
            runs.observe(db, workflow, request, snapshot, self.at, "first")
            transcript.put(db, workflow, 0, first_row(request))
            return caching.look(db, self.agent, Asked(workflow, request, snapshot, self.at, draw))

        return workflow, self.store.at_once(write)

    def end(self, workflow: str, answer: str, tools: list[str], *, tainted: bool = False) -> None:
        """Claude has called the tools, and answers."""
        calls = [{"type": "tool_use", "id": f"t{n}", "name": name, "input": {}} for n, name in enumerate(tools)]
        tenant = workflow.partition(":")[0]
        outcome = Outcome(status=Status.COMPLETED, stop_reason=StopReason.ANSWERED, message=answer, cost=7)

        def write(db: Any) -> None:
            seq = 1
            for content in ([calls] if calls else []) + [[{"type": "text", "text": answer}]]:
                turn = Turn(content=content, tainted=tainted)
                transcript.put(
                    db, workflow, seq, assistant_row(turn), turn.model_dump(mode="json", exclude={"content"})
                )
                for n, one in enumerate(call for call in content if call["type"] == "tool_use"):
                    transcript.put(db, workflow, seq + 1 + n, result_row(one["id"], Result(value="x")))
                seq += 1 + len(calls)
            runs.finish(db, workflow, Record(outcome=outcome, agent="desk", tenant=tenant, first_run="first"))
            judging.finished(db, runs.get(db, workflow), self.at)  # type: ignore[arg-type]

        self.store.at_once(write)

    def say(self, workflow: str, good: bool, source: str = "client") -> None:
        """Somebody judges the run."""
        self.store.at_once(
            lambda db: judging.say(db, runs.get(db, workflow), source, good, "", self.at)  # type: ignore[arg-type]
        )

    def answer(self, message: str, tools: tuple[str, ...] = (), **more: Any) -> str | None:
        """What a run is answered with; where nothing is known, Claude calls the tools and answers with the message itself."""
        workflow, found = self.look(more.pop("tenant", "acme"), message, **more)
        if isinstance(found, Turn):
            return found.content[0]["text"]
        self.end(workflow, message, [*tools])
        return None
