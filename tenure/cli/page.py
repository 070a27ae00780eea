"""The story of a run as a page in the terminal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tenure.approvals.request import Kind, Request
from tenure.cli import learned, render, restricted
from tenure.cli.story import Call, Claude, Message, Step, Story
from tenure.optimize import money
from tenure.optimize.budget import Scope, ended_at, named
from tenure.runtime.store.accounts import Account
from tenure.runtime.store.approvals import Answered, Asked
from tenure.runtime.store.verdicts import RunVerdict
from tenure.trust.terms import VIA
from tenure.wire import Json, JsonObject

if TYPE_CHECKING:
    from rich.table import Table

    from tenure.runtime.store.restrictions import Restricted

RESULT_SHOWN = 400  # characters of a result on the page
KINDS = {
    Kind.IN_DOUBT: "nobody knows whether an effect took place",
    Kind.ANSWER: "the final answer, which the agent's own rules hold",
    Kind.PARKED: "the run has asked often, and waits for somebody to look at it",
    Kind.ESCALATION: "a step up in trust",
    Kind.DEPLOYMENT: "a learned capability goes into service",
    Kind.BUDGET: "more money than was planned",
}
SILENCE = {  # what no answer in time leads to, where it does not end the run
    Kind.TOOL_CALL: "it counts as denied, and the run goes on",
    Kind.ANSWER: "it counts as denied, and the run ends",
    Kind.BUDGET: "it counts as denied, and the run ends",
    Kind.ESCALATION: "it counts as denied, and the level stays as it is",
}
UNANSWERED = {  # where people are asked about a capability: silence is neither a yes nor a no
    "deploy": "it serves nobody, and may be reopened (`tenure learn reopen`)",
    "promote": "it serves nobody any more, and may be reopened (`tenure learn reopen`)",
}
EFFECTS = {
    "done": "done",
    "raised": "raised: nobody knows whether it took effect, and Claude was told so",
    "intent": "in flight",
    "in_doubt": "IN DOUBT: a start left no result",
}


def print_story(story: Story, url: str, halts: Sequence[Restricted] = ()) -> None:
    """Head, steps, requests, and what an operator must not overlook at the end. `halts` is what stops the run now."""
    console = render.console()
    render.put(console, render.pairs(_head(story, halts), indent=0))
    console.print(url, soft_wrap=True)
    console.print()
    for number, step in enumerate(story.steps):
        table = render.columns(header=number == 0)
        table.add_row(*_line(step), style=_style(step))
        render.put(console, table)
        if isinstance(step, Call):
            render.put(console, _came_to(step))
        if isinstance(step, Claude) and step.model:
            render.put(console, _made_by(step))
    for asked in story.requests:
        console.print()
        render.put(console, render.pairs(_request(asked), indent=0))
    for line in _warnings(story):
        console.print()
        console.print(line, style="bold yellow")


def _head(story: Story, halts: Sequence[Restricted]) -> list[tuple[str, str]]:
    run = story.run
    took = None if run.finished_at is None else run.finished_at - run.started_at
    why = f" ({run.stop_reason})" if run.stop_reason else ""
    lasting = f", took {render.seconds(took)}" if took is not None else f", {render.ago(run.started_at)}"
    turns = sum(isinstance(step, Claude) and step.served is None and not step.by for step in story.steps)
    calls = render.count(sum(isinstance(step, Call) for step in story.steps), "call")
    cached = sum(isinstance(step, Call) and step.cached is not None for step in story.steps)
    calls += f" ({cached} from the cache)" if cached else ""
    who = "".join(f", {name} {told}" for name, told in (("user", run.user), ("role", run.role)) if told)
    rows = [
        ("run", run.workflow),
        ("status", f"{story.status}{why}"),
        *restricted.rows(halts),
        ("agent", f"{run.agent}@{run.fingerprint[:8]}, tenant {run.tenant}{who}"),
        ("began", f"{render.moment(run.started_at)}{lasting}"),
        (
            "spent",
            f"{render.count(turns, 'turn')}, {calls}, {story.tokens:,} tokens, {render.money(story.cost)}",
        ),
    ]
    rows += _prompts(story.paid) if story.paid else []
    rows += [("known", _known(step.served)) for step in story.steps if isinstance(step, Claude) and step.served]
    rows += _learned(story)
    rows += [("now", one.lasting) for one in story.flying]
    rows += [("judged", _verdict(verdict)) for verdict in story.verdicts]
    if story.status == "failed" and run.message:
        rows.append(("why", run.message))
    return rows


def _prompts(paid: Account) -> list[tuple[str, str]]:
    """How well the cache of prompts has worked, also where it did not; nothing where it was not used."""
    if not paid.cache_read and not paid.cache_write:
        return []
    told = f"{paid.cache_hits:.0%} read from the cache of prompts, saved {money.shown(paid.saved)}"
    return [("prompts", told if paid.saved >= 0 else f"{told}: writing to it cost more than reading from it gave back")]


def _known(served: JsonObject) -> str:
    """Why Claude was not asked."""
    source = f", as in {served['source']}" if served.get("source") else ""
    return f"by the rule {served.get('rule')!r} ({served['tier']}){source}; saved {money.shown(served.get('saved', 0))}"


def _learned(story: Story) -> list[tuple[str, str]]:
    """What a learned capability had to do with the run."""
    if (tried := story.tried) is None:
        return []
    name, made = f"{tried.capability} version {tried.version}", [one for one in story.steps if isinstance(one, Claude)]
    if tried.mode == "shadow":
        return [("learned", f"{name} looked on")]
    left = next((f"; Claude the others: {one.left}" for one in made if one.left), "")
    return [("learned", f"{name} made {sum(bool(one.by) for one in made)} of {render.count(len(made), 'turn')}{left}")]


def _verdict(verdict: RunVerdict) -> str:
    return f"{verdict.word} by {verdict.source}{': ' if verdict.note else ''}{verdict.note}"


def _line(step: Step) -> tuple[str, ...]:
    at, took = render.clock(step.span.at if step.span else None), step.span.took if step.span else None
    match step:
        case Message(text=text):
            return at, "▸", render.shown(text, RESULT_SHOWN), "", "", ""
        case Claude(text=text, by=by, tokens=tokens, cost=cost):
            return at, "●", (f"{by}: " if by else "") + (text or "(no words)"), *render.figures(took, tokens, cost)
        case Call(tool=tool, arguments=arguments):
            again = f"  ({step.span.attempts} attempts)" if step.span and step.span.attempts > 1 else ""
            return at, "└", f"{render.call(tool, arguments)}{again}", *render.figures(took)


def _style(step: Step) -> str:
    return "red" if isinstance(step, Call) and step.ok is False else ""


def _made_by(turn: Claude) -> Table:
    """The model of a turn, below it, where that is not the agent's own."""
    table = render.columns(figures=False)
    why = "the route chose it" if turn.tier else "the agent's own did not fit the budget"
    table.add_row("", "", f"by {turn.model}: {why}", style="dim")
    return table


def _came_to(call: Call) -> Table:
    """The effect and the result of a call, below it."""
    table = render.columns(figures=False)
    if call.asked is not None:
        table.add_row(
            "", "", f"changed by policy or a person; Claude asked for {render.call(call.tool, call.asked)}", style="dim"
        )
    if call.effect is not None:
        starts = f", started {call.effect.starts} times" if call.effect.starts > 1 else ""
        style = "bold yellow" if call.effect.status == "in_doubt" else "dim"
        table.add_row("", "", f"effect: {EFFECTS[call.effect.status]}{starts}", style=style)
    if call.cached is not None:
        told = f"from the cache, {render.seconds(call.cached['age'])} old: read in {call.cached['run']}"
        table.add_row("", "", told, style="dim")
    if call.ok is None:
        table.add_row("", "", "no result yet", style="dim")
    else:
        result = f"{'→' if call.ok else '✗'} {render.shown(call.result, RESULT_SHOWN)}"
        table.add_row("", "", result, style="dim" if call.ok else "red")
    return table


def _request(asked: Asked) -> list[tuple[str, str]]:
    request = asked.request
    rows = [
        ("request", f"{request.id}, asked {render.moment(request.opened_at)}"),
        *kind(request),
        *about(request),
        ("why", request.why),
        *needs(request),
    ]
    rows += [("answer", _answer(answer)) for answer in asked.answers]
    return [*rows, ("end", _end(asked))]


def kind(request: Request) -> list[tuple[str, str]]:
    """What sort of thing is asked, where it is not a tool call."""
    return [("kind", f"{request.kind}: {KINDS[request.kind]}")] if request.kind in KINDS else []


def afterwards(request: Request) -> str:
    """What follows when nobody answers in time."""
    if request.on_timeout == "halt" or "approve" not in request.choices:
        return "the run ends"
    if (over := _period_ends(request)) is not None and over <= request.deadline:
        return f"the {request.payload['scope'].rpartition('/')[2]} is over, and the run tries again"
    if request.kind is Kind.DEPLOYMENT:
        return UNANSWERED.get(request.payload.get("step", ""), UNANSWERED["deploy"])
    return SILENCE.get(request.kind, "it counts as denied")


def subject(request: Request) -> tuple[str, str]:
    """What asks: a run, or the page on which a capability's rollout or a level is told of."""
    told = request.payload
    if request.kind is Kind.DEPLOYMENT:
        return "see", f"tenure learn show {told.get('capability')} --agent {request.agent} --tenant {request.tenant}"
    if request.kind is Kind.ESCALATION:
        return "see", f"tenure trust {request.agent} --tenant {request.tenant}"
    return "run", request.workflow


def until(request: Request) -> str:
    """How long people have: in their own time, but for budgets, whose days are those of UTC."""
    if request.kind is not Kind.BUDGET:
        return render.moment(request.deadline)
    return f"{datetime.fromtimestamp(request.deadline / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _period_ends(request: Request) -> int | None:
    """When the day or month is over that a request about a budget speaks of."""
    told = request.payload
    if request.kind is not Kind.BUDGET or not told.get("period"):
        return None
    return ended_at(Scope(told["scope"], told["subject"], told["period"]))


def instead(request: Request, edit: JsonObject) -> str:
    """What an edit puts in the place of what was asked about."""
    return (
        f"add: {edit.get('add')}"
        if request.kind is Kind.BUDGET
        else render.call(str(request.payload.get("tool", "")), edit)
    )


def needs(request: Request, approved: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Whose answers count, where that is not anybody's, by any way."""
    rows: list[tuple[str, str]] = []
    if request.quorum > 1:
        given = f", {len(approved)} so far: {', '.join(approved)}" if approved else ""
        rows.append(("needs", f"{request.quorum} different people{given}"))
    if request.roles:
        rows.append(("role", f"{' and '.join(request.roles)}: whoever answers must be vouched for as that"))
    if request.via and set(request.via) != set(VIA):
        rows.append(("via", f"{' or '.join(request.via)} only: an answer that comes another way is refused"))
    return rows


def about(request: Request) -> list[tuple[str, str]]:
    """What the request is about, in as many rows as that takes."""
    told = learned.asked(request.payload)
    if told is None:
        return [("what", what(request.payload))]
    more = {name: value for name, value in request.payload.items() if name not in type(told).model_fields}
    return [*learned.card(told), *_rest(more)]


def below(request: Request) -> str:
    """What is signed as well, and needs the whole width; empty for most requests."""
    told = learned.asked(request.payload)
    return learned.program(told) if told else ""


def what(payload: JsonObject) -> str:
    """What a request is about: the call in full, or several, and whatever else the person decides about."""
    if (told := learned.asked(payload)) is not None:
        return learned.step(told)
    if "answer" in payload:
        return f"send this final answer:\n{payload['answer']}"
    if "calls" in payload:
        calls: list[JsonObject] = payload["calls"]
        return "\n".join(f"{number}. {_call(one, one.get('why', ''))}" for number, one in enumerate(calls, 1))
    if "tool" in payload:
        return _call(payload)
    return "\n".join(f"{name}: {told}" for name, told in _rest(payload))


def _call(told: JsonObject, why: str = "") -> str:
    text = render.call(told["tool"], told.get("arguments", {}))
    text += "".join(f", {name} {value}" for name, value in _rest(told))
    text += f": {why}" if why else ""
    if "asked" in told:
        text += f"\nchanged since; Claude asked for {render.call(told['tool'], told['asked'])}"
    return text


def _rest(payload: JsonObject) -> list[tuple[str, str]]:
    """What a payload holds beside what is shown elsewhere."""
    elsewhere = ("tool", "arguments", "why", "asked", "terms", "row")
    return [
        (name, render.moment(value) if name == "at" else _value(value))
        for name, value in payload.items()
        if name not in elsewhere
    ]


def _value(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _answer(answer: Answered) -> str:
    verdict, at = answer.verdict, render.clock(answer.at)
    note = f" “{verdict.note}”" if verdict.note else ""
    if verdict.accepted:
        return f"{at} {verdict.choice} by {verdict.principal}{note}"
    return f"{at} REFUSED: {verdict.reason}"


def _end(asked: Asked) -> str:
    if asked.closed_at is None:
        approved = len({a.verdict.principal for a in asked.answers if a.verdict.accepted})
        needed = f"{approved} of {asked.request.quorum} approvals, " if asked.request.quorum > 1 else ""
        return f"open: {needed}until {until(asked.request)}"
    if asked.choice == "void":
        return f"{render.clock(asked.closed_at)} void: the run ended first"
    by = f" by {asked.principal}" if asked.principal else ""
    return f"{render.clock(asked.closed_at)} {asked.choice}{by}{_added(asked)}"


def _added(asked: Asked) -> str:
    """What people have added to which budget."""
    told = asked.request.payload
    if asked.request.kind is not Kind.BUDGET or asked.choice != "approve":
        return ""
    scope = Scope(told["scope"], told["subject"], told["period"], operator=told.get("operator_cap", 0))
    return f": {told['add']} added to {named(scope, later=True)}"


def _warnings(story: Story) -> list[str]:
    told = [
        f"IN DOUBT: nobody knows whether {call.tool} (row {call.row}) took effect. "
        + (
            "Find out and answer the request."
            if story.run.finished_at is None
            else "The run is over: find out, and mend it by hand."
        )
        for call in story.in_doubt
    ]
    told += [f"Waiting for a person: tenure {command(asked)}" for asked in story.requests if asked.closed_at is None]
    return told + ([story.missing] if story.missing else [])


def command(asked: Asked) -> str:
    """How an open request is answered."""
    request = asked.request
    return (
        f"approve {request.id}" if "approve" in request.choices else f"answer {request.id} {'|'.join(request.choices)}"
    )
