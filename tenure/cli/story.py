"""One run, told in full: from the store, with times from Temporal's history and, while it lives, its own progress."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Literal, TypeAlias

from tenure.approvals.request import Kind
from tenure.client.story import tool_calls_of
from tenure.errors import NotFound
from tenure.run import Progress
from tenure.runtime.blobs import Blobs
from tenure.runtime.store import Connection, accounts, approvals, effects, runs, transcript, trials, verdicts
from tenure.runtime.store.accounts import Account
from tenure.runtime.store.approvals import Asked
from tenure.runtime.store.runs import RunRow
from tenure.runtime.store.trials import Tried
from tenure.runtime.store.verdicts import RunVerdict
from tenure.transcript import answer_text, calls_made
from tenure.turn import Usage
from tenure.wire import Json, JsonObject

if TYPE_CHECKING:
    from tenure.cli.follow import InFlight
    from tenure.cli.timeline import Span
    from tenure.client import Tenure

SILENT = "No worker answers: the run goes on as soon as one does (`tenure dev`)."
AWAY = "Times are missing, because the Temporal server does not answer: `tenure dev` starts it."


@dataclass(frozen=True)
class EffectTold:
    """The effect record of a call. `in_doubt`: a start left no result, and nobody has said whether it took effect."""

    status: Literal["intent", "done", "raised", "in_doubt"]
    starts: int
    started_at: int
    ended_at: int | None


@dataclass(frozen=True)
class Message:
    """What a person or a client said."""

    row: int
    text: str
    kind: Literal["message"] = "message"
    span: Span | None = None


@dataclass(frozen=True)
class Claude:
    """A turn of Claude's; or of the capability `by`. `left`: why that made it no more."""

    row: int
    text: str
    tokens: int
    cache_hits: float
    cost: int
    stop: str
    served: JsonObject | None = None  # where Claude was not asked: by which `tier` and `rule`, from which run
    model: str = ""  # where it was not the agent's own
    tier: str = ""  # "cheap": because `route` chose that model
    by: str = ""
    left: str = ""
    kind: Literal["claude"] = "claude"
    span: Span | None = None


@dataclass(frozen=True)
class Call:
    """A tool call. `ok` is None while it has no result."""

    row: int
    tool: str
    arguments: JsonObject
    ok: bool | None
    result: Json
    effect: EffectTold | None
    asked: JsonObject | None = None  # what Claude wrote, where policy or a person changed it
    cached: JsonObject | None = None  # in which `run` the result was obtained, and its `age` in milliseconds
    kind: Literal["call"] = "call"
    span: Span | None = None


Step: TypeAlias = Message | Claude | Call


@dataclass(frozen=True)
class Story:
    """The whole story. `status` is the run's own word while it lives, and Temporal's where the store has not heard of the end."""

    run: RunRow
    status: str
    steps: list[Step]
    requests: list[Asked]
    verdicts: list[RunVerdict] = field(default_factory=list[RunVerdict])
    flying: list[InFlight] = field(default_factory=list["InFlight"])
    missing: str | None = None
    paid: Account | None = None  # None where the store does not know what its calls of the model cost
    tried: Tried | None = None  # on which learned capability

    @property
    def tokens(self) -> int:
        """All tokens so far."""
        return sum(step.tokens for step in self.steps if isinstance(step, Claude))

    @property
    def cost(self) -> int:
        """Micro-dollars so far."""
        return sum(step.cost for step in self.steps if isinstance(step, Claude))

    @property
    def in_doubt(self) -> list[Call]:
        """The calls of which nobody knows whether they took effect."""
        return [s for s in self.steps if isinstance(s, Call) and s.effect and s.effect.status == "in_doubt"]


async def collect(system: Tenure, workflow: str) -> Story:
    """Everything there is to say of a run. Raises NotFound when the store does not know it."""
    store, blobs = system.require_store(), system.blobs
    story = await store.read(lambda db: _stored(db, workflow, blobs))
    if story is None:
        raise NotFound(
            f"no run {workflow!r} in {store.where}: `tenure runs` lists them; one no worker has taken is not there"
        )
    return await _live(system, story)


async def _live(system: Tenure, story: Story) -> Story:
    from temporalio.client import WorkflowExecutionStatus
    from temporalio.service import RPCError

    from tenure.cli.follow import in_flight
    from tenure.cli.timeline import spans

    workflow = story.run.workflow
    try:
        description = await system.temporal.get_workflow_handle(workflow).describe()
        timed = await spans(system.temporal, workflow)
    except (RPCError, RuntimeError):  # RuntimeError: a lazy client that cannot connect
        return replace(story, missing=AWAY)
    story = replace(story, steps=[replace(step, span=timed.get(step.row)) for step in story.steps])
    if story.run.finished_at is not None:
        return story
    if description.status is not WorkflowExecutionStatus.RUNNING:
        ended = description.status.name.lower() if description.status else "unknown"
        return replace(story, status=ended)
    progress = await _progress(system, workflow)
    return replace(
        story,
        flying=in_flight(description),
        status=progress.status if progress else story.status,
        missing=None if progress else SILENT,
    )


async def _progress(system: Tenure, workflow: str) -> Progress | None:
    import asyncio

    from temporalio.service import RPCError

    from tenure.client import RunHandle

    try:
        return await asyncio.wait_for(RunHandle(workflow, system).progress(), 2.0)
    except (RPCError, TimeoutError):
        return None  # no worker is there to answer; what the store knows is told all the same


def _stored(db: Connection, workflow: str, blobs: Blobs | None) -> Story | None:
    run = runs.get(db, workflow)
    if run is None:
        return None
    asked = approvals.of_run(db, workflow)
    doubted = {one.request.seq for one in asked if one.closed_at is None and one.request.kind is Kind.IN_DOUBT}
    records = {
        row["seq"]: EffectTold(
            "in_doubt" if row["status"] == "intent" and (run.finished_at or row["seq"] in doubted) else row["status"],
            row["generation"],
            row["started_at"],
            row["ended_at"],
        )
        for row in effects.of_run(db, workflow)
    }
    steps, paid = list(_steps(db, workflow, records, blobs)), accounts.of_run(db, workflow)
    tried = trials.of_run(db, workflow)
    return Story(run, run.status, steps, asked, verdicts.of_run(db, workflow), paid=paid, tried=tried)


def _steps(db: Connection, workflow: str, records: dict[int, EffectTold], blobs: Blobs | None) -> Iterator[Step]:
    rows = {seq: json.loads(text) for seq, text in transcript.between(db, workflow, 0, transcript.ALL)}
    made = iter(tool_calls_of(rows.values(), blobs))
    for seq, row in rows.items():
        match row["role"]:
            case "assistant":
                standing = transcript.standing(db, workflow, seq)
                yield _claude(seq, row, standing[1] if standing else {}, trials.of_run(db, workflow))
                for number, block in enumerate(calls_made(row), seq + 1):
                    open_call: JsonObject = {"input": block["input"], "ok": None, "result": None}
                    done = next(made) if number in rows else open_call
                    more = (records.get(number), done.get("asked"), done.get("cached"))
                    yield Call(number, block["name"], done["input"], done["ok"], done["result"], *more)
            case "user":
                yield Message(seq, "\n".join(row["texts"]) or f"(a message of {row['blob']['size']:,} bytes)")
            case _:
                pass  # a result: told with its call


def _claude(seq: int, row: JsonObject, meta: JsonObject, tried: Tried | None) -> Claude:
    by = tried.capability if tried and meta.get("tier") == "capability" else ""
    usage = Usage.model_validate(meta.get("usage", {}))
    text, cost, stop = answer_text(row["content"]), meta.get("cost", 0), meta.get("stop", "")
    other = meta.get("model", ""), meta.get("tier", ""), by, meta.get("left", "")
    return Claude(seq, text, usage.total, usage.cache_hits, cost, stop, row.get("served"), *other)


def as_document(story: Story, url: str) -> JsonObject:
    """The story as one JSON document. Times are milliseconds since the epoch, money is dollars as text."""
    run = story.run
    return {
        "id": run.workflow,
        "url": url,
        **{name: getattr(run, name) for name in ("tenant", "agent", "fingerprint", "user", "role")},
        "status": story.status,
        **{name: getattr(run, name) for name in ("stop_reason", "message", "started_at", "finished_at")},
        "tokens": story.tokens,
        "cost_usd": dollars(story.cost),
        "cache_hits": story.paid and round(story.paid.cache_hits, 4),
        "saved_usd": story.paid and dollars(story.paid.saved),
        "tried": story.tried and vars(story.tried),
        "steps": [_step_document(step) for step in story.steps],
        "requests": [_asked_document(asked) for asked in story.requests],
        "verdicts": [{"source": v.source, "good": v.good, "note": v.note, "at": v.at} for v in story.verdicts],
        "waiting_for": [one.request.id for one in story.requests if one.closed_at is None],
        "in_doubt": [{"row": call.row, "tool": call.tool} for call in story.in_doubt],
        "in_flight": [vars(one) for one in story.flying],
        "missing": story.missing,
    }


def dollars(micro: int) -> str:
    """Micro-dollars as exact dollars."""
    return str(Decimal(micro) / 1_000_000)


def _step_document(step: Step) -> JsonObject:
    told = {name: value for name, value in vars(step).items() if name not in ("span", "effect", "cost")}
    if isinstance(step, Claude):
        told["cost_usd"] = dollars(step.cost)
    if isinstance(step, Call):
        told["effect"] = None if step.effect is None else vars(step.effect)
    span = step.span
    return {**told, "at": span and span.at, "took_ms": span and span.took, "attempts": span and span.attempts}


def _asked_document(asked: Asked) -> JsonObject:
    answers = [{"at": answer.at, **answer.verdict.model_dump(mode="json")} for answer in asked.answers]
    return {
        **asked.request.model_dump(mode="json"),
        "closed_at": asked.closed_at,
        "choice": asked.choice,
        "principal": asked.principal,
        "answers": answers,
    }
