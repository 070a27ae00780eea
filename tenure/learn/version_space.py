"""Version space: all expressions that explain a value in every example, cheapest first.

Rules of this file: pure and deterministic. Candidates come from the first example and survive only if they give the recorded
value in all others (Mitchell 1982; Gulwani, POPL 2011). A constant is the last resort, and never one that could be somebody's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from tenure.learn.expressions import (
    EACH,
    At,
    Changed,
    Expression,
    Fixed,
    Found,
    How,
    Joined,
    Keyed,
    Listed,
    Mapped,
    Name,
    NoValue,
    WordOf,
    evaluate,
    mentions_each,
    records,
    same,
)  # fmt: skip
from tenure.learn.slots import cut
from tenure.wire import Json

SPARED = 5  # of so many examples an expression may have no value in one: there the program would abstain, which is safe
DEPTH = 4  # steps into a result
HOWS: tuple[How, ...] = ("lower", "strip", "bare", "int", "float", "cents")
LONGEST_CONSTANT = 80  # characters


@dataclass(frozen=True)
class Example:
    """One run at the moment of a call: what the slots held, what earlier calls gave, and the value to explain."""

    slots: Mapping[str, Json]
    results: Mapping[str, Json]
    value: Json

    @property
    def scope(self) -> dict[str, Json]:
        """All names."""
        return {**self.slots, **self.results}


def explanations(examples: Sequence[Example], *, constants: bool = True) -> list[Expression]:
    """What explains the value, cheapest first; among equally cheap ones in the order of their text.

    None gives a wrong value in any example; one in five may be left without a value, but what explains more comes first.
    """
    ordered = sorted(examples, key=lambda example: (repr(example.value), repr(sorted(example.slots.items()))))
    spared = len(ordered) // SPARED
    candidates = {found for example in ordered[: spared + 1] for found in _candidates(example.value, example)}
    missed = {found: missing for found in candidates if (missing := _missing(found, ordered)) is not None}
    value = ordered[0].value
    if constants and all(same(example.value, value) for example in ordered) and is_impersonal(value):
        missed[Fixed(value)] = 0
    kept = [found for found, missing in missed.items() if missing <= spared]
    return sorted(kept, key=lambda found: (missed[found], cost(found), repr(found)))


def _missing(expression: Expression, examples: Sequence[Example]) -> int | None:
    """In how many examples it has no value; None where it gives another than the recorded one in any."""
    missing = 0
    for example in examples:
        try:
            if not same(evaluate(expression, example.scope), example.value):
                return None
        except NoValue:
            missing += 1
    return missing


def explains(expression: Expression, examples: Sequence[Example]) -> bool:
    """Whether it gives the value of every example."""
    return all(_gives(expression, example) for example in examples)


def _gives(expression: Expression, example: Example) -> bool:
    try:
        return same(evaluate(expression, example.scope), example.value)
    except NoValue:
        return False


def is_impersonal(value: Json) -> bool:
    """Whether the value could be nobody's in particular: words without digits or capitals inside, or no text at all."""
    if isinstance(value, str):
        tokens = cut(value)
        if value == "" or tokens is None or len(value) > LONGEST_CONSTANT:
            return value == ""
        return all(not token.is_typed for token in tokens) and not any(
            token.text[0].isupper() and not token.text.isupper() for token in tokens[1:]
        )
    if isinstance(value, list):
        return all(is_impersonal(inner) for inner in cast("list[Json]", value))
    return not isinstance(value, dict)


def cost(expression: Expression) -> int:
    """What is named in the request is cheapest; what must be looked up costs more; a constant most."""
    match expression:
        case Name():
            return 1
        case Fixed():
            return 100
        case Changed(of=of) | WordOf(of=of) | Listed(of=of) | Joined(of=of):
            return 2 + cost(of)
        case At(of=of):
            return 3 + cost(of)
        case Keyed(of=of, key=key):
            return 4 + cost(of) + cost(key)
        case Found(where=where, equals=equals):
            return 6 + cost(where) + cost(equals)
        case Mapped(over=over, item=item):
            return 4 + cost(over) + cost(item)


# ---------------------------------------------------------------------------------------------------------- candidates


def _candidates(value: Json, example: Example) -> Iterator[Expression]:
    if isinstance(value, list):
        values = cast("list[Json]", value)
        yield from _lists(values, example)
        if len(values) == 1 and not isinstance(values[0], list | dict):
            yield from (Listed(of) for of in _scalars(values[0], example.slots, example.results))
    elif not isinstance(value, dict):
        yield from _scalars(value, example.slots, example.results)


def _lists(value: list[Json], example: Example) -> Iterator[Expression]:
    for name, held in example.slots.items():
        if not isinstance(held, list):
            continue
        if same(held, value):
            yield Name(name)
        items = cast("list[Json]", held)
        if value and len(items) == len(value):
            said = {**example.slots, EACH: items[0]}
            found = _scalars(value[0], said, example.results)
            yield from (Mapped(Name(name), item) for item in found if mentions_each(item))
    for path, held in _paths(example.results):
        if same(held, value):
            yield path


def _scalars(value: Json, slots: Mapping[str, Json], results: Mapping[str, Json]) -> Iterator[Expression]:
    said = list(_said(slots))
    yield from (expression for expression, held in said if same(held, value))
    for path, held in _paths(results):
        if same(held, value):
            yield path
        elif isinstance(held, list | dict):
            yield from _records(value, path, held, said)


def _said(slots: Mapping[str, Json]) -> Iterator[tuple[Expression, Json]]:
    """What the request names, in its spellings."""
    for name, held in slots.items():
        if not isinstance(held, str):
            continue
        yield Name(name), held
        words = held.split()
        if len(words) > 1:
            yield from ((WordOf(Name(name), at, len(words)), word) for at, word in enumerate(words))
        for how in HOWS:
            try:
                changed = evaluate(Changed(Name(name), how), slots)
            except NoValue:
                continue
            if not same(changed, held):
                yield Changed(Name(name), how), changed


def _paths(results: Mapping[str, Json]) -> Iterator[tuple[Expression, Json]]:
    """Every place in the results that can be named without knowing the data: fields, and the only item of a list."""
    for name, held in results.items():
        yield from _inside(Name(name), held, DEPTH)


def _inside(path: Expression, held: Json, depth: int) -> Iterator[tuple[Expression, Json]]:
    yield path, held
    if depth == 0:
        return
    if isinstance(held, dict):
        for key, inner in cast("dict[str, Json]", held).items():
            if key.isidentifier():
                yield from _inside(At(path, key), inner, depth - 1)


def _records(
    value: Json, path: Expression, held: Json, said: Sequence[tuple[Expression, Json]]
) -> Iterator[Expression]:
    """Look-ups: the record whose field says what the request says, or what stands under a key that the request names."""
    if isinstance(held, dict):
        inside = cast("dict[str, Json]", held)
        yield from (
            Keyed(path, key)
            for key, name in said
            if isinstance(name, str) and name in inside and same(inside[name], value)
        )
    for record in records(held):
        takes = [take for take, inner in record.items() if same(inner, value)]
        for field, told in record.items():
            for key, name in said:
                if same(told, name):
                    yield from (
                        Found(path, field, key, take, isinstance(held, dict)) for take in takes if take != field
                    )
