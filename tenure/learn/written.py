"""Written programs: a proposal whose program a model has written from some of the recordings, and what is made of the model's text.

Rules of this file: pure. The text is data: one JSON object with one program in it, bounded, and nothing of it reaches people but
the program as Python itself would write it, without comments. What it calls, checks and says is read off it, never believed.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from pydantic import Field

from tenure import bounds
from tenure.learn.capability import Capability
from tenure.learn.induction import Induced
from tenure.learn.program import Problem
from tenure.learn.recording import Recording
from tenure.learn.subset import LONGEST, faults, parsed, tree_of
from tenure.learn.trigger import Trigger, names, type_of
from tenure.learn.wording import family, overlooked, settled
from tenure.wire import Wire

LEAST = 5  # runs that Claude is shown, and that are held out from it
MOST = 10  # that it is shown
CARD_LONGEST = 12_000  # characters in which people are shown it, with all that is told of it
LONGEST_TEXT = 4 * LONGEST  # bytes of what it answers
FENCED = re.compile(r"\s*```(?:json)?\s*\n(.*)\n\s*```\s*", re.DOTALL)
SHOWN = 240  # characters of a condition on the card


class Written(Induced):
    """A proposal that `model` has written. It has seen the runs `shown`, and is tested on the others of its kind alone.

    `agreement` and `bound` are about the runs that it was shown.
    """

    model: str
    shown: list[str] = Field(min_length=1)


class Packed(Induced):
    """A proposal that `packed_by` has brought from elsewhere. `unexplained` are the runs here that it is tested on, all of them."""

    packed_by: str


Proposal: TypeAlias = Written | Packed | Induced  # each says how it is to be tested


class Unusable(Exception):
    """What is wrong with a text or the program in it, in words for whoever wrote it."""

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class Tools(Wire):
    """What a family's program may call: all tools of the agent, and which of them look up only."""

    every: list[str]
    reads: list[str]


def proposal_of(text: str) -> Proposal:
    """The proposal as it was kept (JSON)."""
    told = json.loads(text)
    kind = Written if "shown" in told else Packed if "packed_by" in told else Induced
    return kind.model_validate(told)


def picked(runs: Sequence[Recording]) -> list[Recording]:
    """Those that Claude is shown: at most half, drawn by their ids, so that nobody has chosen them. [] where they are too few."""
    many = min(MOST, len(runs) // 2)
    drawn = sorted(runs, key=lambda run: hashlib.sha256(run.run.encode()).hexdigest())
    return drawn[:many] if many >= LEAST else []


# ------------------------------------------------------------------------------------------------------------ the text


def program_in(text: str, stop: str) -> str:
    """The program in what Claude answered; `stop` is why it stopped. Raises Unusable."""
    if stop not in ("end_turn", "stop_sequence"):
        raise Unusable(f"the answer was cut ({stop}): write a shorter program, and nothing beside the JSON object")
    if len(text.encode(errors="replace")) > LONGEST_TEXT:
        raise Unusable(f"an answer of more than {LONGEST_TEXT:,} bytes: write a shorter program")
    fenced = FENCED.fullmatch(text)
    try:
        told = json.loads(fenced[1] if fenced else text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise Unusable(f"the answer is not one JSON object and nothing else: {error!s:.200}") from error
    if not isinstance(told, dict) or list(told) != ["program"]:  # pyright: ignore[reportUnknownArgumentType]  # any JSON
        raise Unusable('the answer must be a JSON object with the one key "program"')
    program: Any = told["program"]  # Any: any JSON  # pyright: ignore[reportUnknownVariableType]
    if not isinstance(program, str) or not program.strip():
        raise Unusable('"program" must be text: the lines of the program')
    return program


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:  # Any: any JSON
    """An object in which no key is twice: one reader would take the first, another the last."""
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key stands in it twice")
    return dict(pairs)


def plain(program: str) -> str:
    """The program as Python writes it: one style, no comments, no text that does nothing. Raises Unusable."""
    if problems := [one for one in faults(program) if one.rule in ("too-long", "invalid-syntax")]:
        raise Unusable(*map(str, problems))
    tree = parsed(program)
    assert not isinstance(tree, Problem), "what cannot be parsed is a fault"
    try:
        return ast.unparse(_Plain().visit(tree)) + "\n"
    except RecursionError as error:
        raise Unusable("the program is nested too deeply: write it plainer") from error


class _Plain(ast.NodeTransformer):
    """Drops docstrings and other text that stands alone; the last line of a program is its answer, and stays."""

    def visit_Module(self, node: ast.Module) -> ast.Module:
        last = node.body[-1:]
        node.body = [*_doing(node.body[:-1]), *last]
        self.generic_visit(node)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        node.body = _doing(node.body) or [ast.Pass()]
        self.generic_visit(node)
        return node


def _doing(body: Sequence[ast.stmt]) -> list[ast.stmt]:
    return [one for one in body if not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))]


# ------------------------------------------------------------------------------------------------------ the capability


def proposed(
    program: str, trigger: Trigger, tools: Tools, kind: Sequence[Recording], shown: Sequence[Recording], model: str
) -> Written:
    """What `model` proposes with a program in plain form, for runs of one kind, of which it has seen `shown`. Raises Unusable."""
    if problems := faults(program, tools.every, names(trigger.parts)):
        raise Unusable(*(in_place(one, program) for one in problems))
    tree = tree_of(program)
    used = _names(tree)
    changes = [step.tool for step in kind[0].changes]
    called = [name for name in tools.every if name in used]
    _check(called, changes, tools)
    if unused := overlooked(trigger.parts, used):
        told = "the request could ask for something there that the program would not do"
        raise Unusable(f"the program never looks at {', '.join(unused)}: {told}. Check it, or use it")
    seen = sorted(run.run for run in shown)
    made = _capability(program, tree, settled(trigger, used), shown, called, changes)
    return Written(
        capability=made,
        runs=seen,
        unexplained=sorted(run.run for run in kind if run.run not in seen),
        agreement=1.0,
        bound=float(bounds.lower(len(seen), len(seen))),
        cost=sum(run.cost for run in shown) // len(shown),
        saving=0,
        notes=list(_notes(made, model, len(seen), len(kind))),
        model=model,
        shown=seen,
    )


def _check(called: Sequence[str], changes: Sequence[str], tools: Tools) -> None:
    """Raise Unusable where the program changes something else than the runs did."""
    beyond = [name for name in called if name not in tools.reads and name not in changes]
    if beyond:
        raise Unusable(f"the program calls {', '.join(beyond)}, which changes something and none of the runs did")
    if missing := sorted(set(changes) - set(called)):
        raise Unusable(f"the program does not call {', '.join(missing)}, and all of the runs did")


def _capability(
    program: str, tree: ast.Module, trigger: Trigger, shown: Sequence[Recording], called: list[str], changes: list[str]
) -> Capability:
    last = tree.body[-1]
    assert isinstance(last, ast.Expr), "the subset wants an answer"
    silent = isinstance(last.value, ast.Constant) and last.value.value == ""
    return Capability(
        id=family(shown[0]),
        agent=shown[0].agent,
        fingerprint=shown[0].fingerprint,
        trigger=trigger,
        slots={name: type_of(part) for name, part in names(trigger.parts).items()},
        program=program,
        guards=list(_guards(tree, changes)),
        tools=called,
        changes=changes,
        answer="" if silent else ast.unparse(last.value),
        provenance=sorted(run.run for run in shown),
    )


def names_in(program: str) -> set[str]:
    """The names that a program reads."""
    return _names(tree_of(program))


def _names(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}


def _guards(tree: ast.Module, changes: Collection[str]) -> Iterator[str]:
    """What the program asserts before its first change, as the conditions themselves: no words of whoever wrote them."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id in changes]
    first = min((node.lineno for node in calls), default=None)
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert) and (first is None or node.lineno < first):
            yield ast.unparse(node.test)[:SHOWN]


def _notes(made: Capability, model: str, shown: int, kind: int) -> Iterator[str]:
    yield f"{model} wrote the program, nothing was induced: read it as you would a stranger's"
    yield f"{model} was shown {shown} of {kind} runs; it is tested on the other {kind - shown}"
    if not made.answer:
        yield "the program ends without words: the model has to write the answer"
    if made.changes and not made.guards:
        yield "the program checks nothing before the change"


def in_place(problem: Problem, program: str) -> str:
    """The problem with the line that it is about: what is checked is not laid out as what was written."""
    lines = program.splitlines()
    told = lines[problem.line - 1].strip() if 0 < problem.line <= len(lines) else ""
    return f"{problem}: `{told:.160}`" if told else str(problem)


def tools_of(effects: Mapping[str, str]) -> Tools:
    """From the effect of each tool."""
    return Tools(every=sorted(effects), reads=sorted(name for name, effect in effects.items() if effect == "read"))
