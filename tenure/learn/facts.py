"""Facts: what held in every example right before the first change, and becomes a check that the program makes.

Rules of this file: pure. A fact is about a record that was looked up and that has to do with the change. It may be a
coincidence of the examples: then a check too many makes the program abstain, which is safe.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from tenure.learn.expressions import At, Changed, Expression, Fixed, Name, NoValue, evaluate, same
from tenure.learn.plan import Call, Check, Step
from tenure.learn.slots import cut, mark
from tenure.learn.version_space import is_impersonal
from tenure.wire import Json

Scopes = Sequence[Mapping[str, Json]]
SHORTEST = 2  # characters of a text whose equality to another says something


def mined(reads: Sequence[Step], writes: Sequence[Call], slots: Scopes, results: Scopes) -> list[Check]:
    """The checks, in the order of the look-ups. `slots` and `results` hold one entry for each example."""
    scopes = [{**said, **known} for said, known in zip(slots, results, strict=True)]
    near = [step for step in reads if _relates(step, writes)]
    found: list[Check] = []
    for step in near:
        found += _about(step[0].name, reads, slots, scopes)
    taken = [expression for call in writes for expression in call.arguments.values()]
    taken = [expression for expression in dict.fromkeys(taken) if _is_known(expression, scopes)]
    for expression in taken:
        found += [*_listed(expression, near, scopes), *_bounded(expression, near, scopes)]
    return list(dict.fromkeys([*found, *_distinct(taken, scopes)]))


def _is_known(expression: Expression, scopes: Scopes) -> bool:
    """Whether it has a value before the first change already."""
    return all(_value(expression, scope) is not None for scope in scopes)


def _relates(step: Step, writes: Sequence[Call]) -> bool:
    """Whether a change takes something from the look-up, or something that the look-up was made with."""
    taken = frozenset[str]().union(*(call.reads for call in writes))
    return any(call.name in taken or call.reads & taken for call in step)


def _about(name: str, reads: Sequence[Step], slots: Scopes, scopes: Scopes) -> Iterator[Check]:
    """Its fields that were always the same, and those that always equalled what the request or another look-up says."""
    records = [scope[name] for scope in scopes]
    if not all(isinstance(record, dict) for record in records):
        return
    shared = set[str](cast("dict[str, Json]", records[0])).intersection(*records)
    others = [*(Name(slot) for slot in sorted(slots[0])), *(Name(s[0].name) for s in reads if s[0].name != name)]
    for key in sorted(shared):
        field = At(Name(name), key)
        values = [record[key] for record in records]
        if all(same(value, values[0]) for value in values) and _tells(values[0]):
            yield Check(field, "==", Fixed(values[0]))
        elif all(isinstance(value, str) and len(value) >= SHORTEST for value in values):
            yield from (Check(field, "==", other) for other in others if _equal(field, other, scopes))


def _tells(value: Json) -> bool:
    """Whether a constant field is a state of things: a word or a truth, nobody's name and no measure."""
    return isinstance(value, bool) or (isinstance(value, str) and value != "" and is_impersonal(value))


def _equal(left: Expression, right: Expression, scopes: Scopes) -> bool:
    return all(same(_value(left, scope), _value(right, scope)) for scope in scopes)


def _listed(expression: Expression, near: Sequence[Step], scopes: Scopes) -> Iterator[Check]:
    """What the request names always stood in a list of a record, or under that name in it."""
    if not isinstance(expression, Name):
        return
    for step in near:
        record = scopes[0][step[0].name]
        for key in sorted(cast("dict[str, Json]", record)) if isinstance(record, dict) else []:
            held = At(Name(step[0].name), key)
            if all(_holds(_value(held, scope), _value(expression, scope)) for scope in scopes):
                yield Check(expression, "in", held)


def _holds(held: Json, value: Json) -> bool:
    return isinstance(value, str) and isinstance(held, list | dict) and value in held


def _bounded(expression: Expression, near: Sequence[Step], scopes: Scopes) -> Iterator[Check]:
    """A number out of the request is never larger than the largest that was seen, nor than a field that it reached at times."""
    if not (isinstance(expression, Changed) and expression.how in ("int", "float", "cents")):
        return
    numbers = [_value(expression, scope) for scope in scopes]
    yield Check(expression, "<=", Fixed(max(numbers)))
    for step in near:
        record = scopes[0][step[0].name]
        for key in sorted(cast("dict[str, Json]", record)) if isinstance(record, dict) else []:
            limits = [_value(At(Name(step[0].name), key), scope) for scope in scopes]
            pairs = list(zip(numbers, limits, strict=True))
            if all(type(limit) is type(number) and number <= limit for number, limit in pairs) and _reached(pairs):
                yield Check(expression, "<=", At(Name(step[0].name), key))


def _reached(pairs: Sequence[tuple[Json, Json]]) -> bool:
    return any(number == limit for number, limit in pairs)


def _distinct(taken: Sequence[Expression], scopes: Scopes) -> Iterator[Check]:
    """Two values of one sort that a change took were never the same: nothing is a duplicate of itself."""
    named = [expression for expression in taken if isinstance(expression, Name)]
    for left, right in itertools.combinations(named, 2):
        pairs = [(str(_value(left, scope)), str(_value(right, scope))) for scope in scopes]
        if all(one != other and _sort(one) == _sort(other) != "" for one, other in pairs):
            yield Check(left, "!=", right)


def _sort(value: str) -> str:
    tokens = cut(value) or []
    return f"{tokens[0].key}{mark(tokens[0])}" if len(tokens) == 1 and tokens[0].is_typed else ""


def _value(expression: Expression, scope: Mapping[str, Json]) -> Json:
    try:
        return evaluate(expression, scope)
    except NoValue:
        return None
