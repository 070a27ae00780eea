"""Expressions: how a value of a call follows from the request and from earlier results; evaluated here, rendered for Monty.

Rules of this file: pure. An expression either gives the one value it stands for or raises `NoValue`: a look-up that finds
nothing, or two, has none. Evaluation here and the rendered source must agree; the benchmark runs both. The language is small on
purpose (Gulwani, POPL 2011: what is cheap to say and explains all examples is likely meant).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

from tenure.wire import Json

Scope: TypeAlias = Mapping[str, Json]  # slots and results by the names the program gives them
How: TypeAlias = Literal["lower", "strip", "int", "float", "cents", "bare"]
Key: TypeAlias = str | int

EACH = "each"  # the item of the list a mapping goes through
NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")


class NoValue(Exception):
    """The expression has no value here; the message says in plain words what was missing."""


@dataclass(frozen=True)
class Name:
    """A slot, or the result of an earlier call."""

    name: str


@dataclass(frozen=True)
class Fixed:
    """The same value always."""

    value: Json

    def __hash__(self) -> int:
        return hash(repr(self.value))


@dataclass(frozen=True)
class Changed:
    """A text in another spelling: `int` and `float` of its number, `cents` of an amount, `bare` without its leading #."""

    of: Expression
    how: How


@dataclass(frozen=True)
class WordOf:
    """The word at `index` of a text of exactly `of_words` words."""

    of: Expression
    index: int
    of_words: int


@dataclass(frozen=True)
class At:
    """A field of a record, or the item at a place of a list."""

    of: Expression
    key: Key


@dataclass(frozen=True)
class Keyed:
    """What a record holds under a key that the request or a result names."""

    of: Expression
    key: Expression


@dataclass(frozen=True)
class Found:
    """Of the one record in a list (or among a record's values) whose `field` equals a value: its `take`."""

    where: Expression
    field: str
    equals: Expression
    take: str
    is_keyed: bool = False  # whether `where` is a record of records


@dataclass(frozen=True)
class Listed:
    """A list of one."""

    of: Expression


@dataclass(frozen=True)
class Joined:
    """The texts of a list with `sign` between them."""

    of: Expression
    sign: str


@dataclass(frozen=True)
class Mapped:
    """For each item of a list slot, in its order, the value of `item`; no value twice."""

    over: Expression
    item: Expression


Spelled: TypeAlias = Changed | WordOf | Listed | Joined
LookedUp: TypeAlias = At | Keyed | Found | Mapped
Expression: TypeAlias = Name | Fixed | Spelled | LookedUp


# ---------------------------------------------------------------------------------------------------------- evaluation


def evaluate(expression: Expression, scope: Scope) -> Json:
    """Its value. Raises NoValue."""
    match expression:
        case Name(name=name):
            if name not in scope:
                raise NoValue(f"{name} is not known")
            return scope[name]
        case Fixed(value=value):
            return value
        case Changed() | WordOf() | Listed() | Joined():
            return _spelled(expression, evaluate(expression.of, scope))
        case _:
            return _looked_up(expression, scope)


def _spelled(expression: Spelled, value: Json) -> Json:
    match expression:
        case Changed(how=how):
            return _changed(value, how)
        case WordOf(index=index, of_words=of_words):
            words = str(value).split()
            if len(words) != of_words:
                raise NoValue(f"{value!r} is not {of_words} words")
            return words[index]
        case Listed():
            return [value]
        case Joined(sign=sign):
            return sign.join(map(str, value))


def _looked_up(expression: LookedUp, scope: Scope) -> Json:
    match expression:
        case At(of=of, key=key):
            return _at(evaluate(of, scope), key)
        case Keyed(of=of, key=key):
            return _at(evaluate(of, scope), evaluate(key, scope))
        case Found(where=where, field=field, equals=equals, take=take):
            wanted = evaluate(equals, scope)
            found = [record for record in records(evaluate(where, scope)) if same(record.get(field), wanted)]
            if len(found) != 1:
                raise NoValue(f"{describe(where)} has {len(found)} with {field} {wanted!r}")
            return _at(found[0], take)
        case Mapped(over=over, item=item):
            return _mapped(evaluate(over, scope), item, scope)


def records(value: Json) -> list[dict[str, Json]]:
    """The records in a list, or among the values of a record."""
    inside = list(cast("dict[str, Json]", value).values()) if isinstance(value, dict) else value
    if not isinstance(inside, list):
        return []
    return [cast("dict[str, Json]", each) for each in cast("list[Json]", inside) if isinstance(each, dict)]


def same(left: Json, right: Json) -> bool:
    """Equal as JSON: Python holds 1, 1.0 and True to be equal, a tool may not."""
    if type(left) is not type(right):
        return False
    if isinstance(left, list):
        ours, theirs = cast("list[Json]", left), cast("list[Json]", right)
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(left, dict):
        mine, other = cast("dict[str, Json]", left), cast("dict[str, Json]", right)
        return mine.keys() == other.keys() and all(same(mine[key], other[key]) for key in mine)
    return bool(left == right)


def _at(value: Json, key: Json) -> Json:
    try:
        if isinstance(value, dict) or (isinstance(value, list) and isinstance(key, int)):
            return cast("dict[Key, Json]", value)[cast("Key", key)]
    except (KeyError, IndexError):
        pass
    raise NoValue(f"there is no {key!r}")


def _mapped(values: Json, item: Expression, scope: Scope) -> Json:
    found = [evaluate(item, {**scope, EACH: each}) for each in values]
    if any(same(left, right) for at, left in enumerate(found) for right in found[:at]):
        raise NoValue("the same one is named twice")
    return found


def _changed(value: Json, how: How) -> Json:
    text = str(value)
    number = text.strip().lstrip("$€£ ").replace(",", "")
    if how in ("int", "float", "cents") and not NUMBER.fullmatch(number):
        raise NoValue(f"{text!r} is no number")
    return CHANGES[how](number if how in ("int", "float", "cents") else text)


def _int(number: str) -> int:
    if not number.isdigit():
        raise NoValue(f"{number} is not whole")
    return int(number)


def _cents(number: str) -> int:
    whole, _, part = number.partition(".")
    if len(part) not in (0, 2):
        raise NoValue(f"{number} is no amount")
    return int(whole) * 100 + int(part or "0")


CHANGES: dict[How, Callable[[str], Json]] = {
    "lower": str.lower,
    "strip": str.strip,
    "bare": lambda text: text.removeprefix("#"),
    "int": _int,
    "float": float,
    "cents": _cents,
}

# --------------------------------------------------------------------------------------------------------------- words


def describe(expression: Expression) -> str:
    """The expression for people."""
    match expression:
        case Name(name=name):
            return name.replace("_", " ")
        case Fixed(value=value):
            return repr(value)
        case Changed() | WordOf() | Listed() | Joined():
            return _told(expression, describe(expression.of))
        case At(of=of, key=key):
            return f"{describe(of)} / {key}"
        case Keyed(of=of, key=key):
            return f"{describe(of)} / [{describe(key)}]"
        case Found(where=where, field=field, equals=equals, take=take):
            return f"the {take} in {describe(where)} where {field} is {describe(equals)}"
        case Mapped(over=over, item=item):
            return f"for each of {describe(over)}: {describe(item)}"


def _told(expression: Spelled, of: str) -> str:
    match expression:
        case Changed(how=how):
            return f"{of} ({how})"
        case WordOf(index=index):
            return f"word {index + 1} of {of}"
        case Listed():
            return f"[{of}]"
        case Joined():
            return f"all of {of}"


def mentions_each(expression: Expression) -> bool:
    """Whether it depends on the item of the list that a mapping goes through."""
    return EACH in _names(expression)


def inputs(expression: Expression) -> frozenset[str]:
    """The slots and results it reads."""
    return _names(expression) - {EACH}


def _names(expression: Expression) -> frozenset[str]:
    match expression:
        case Name(name=name):
            return frozenset({name})
        case Fixed():
            return frozenset()
        case Keyed(of=of, key=key):
            return _names(of) | _names(key)
        case Found(where=where, equals=equals):
            return _names(where) | _names(equals)
        case Mapped(over=over, item=item):
            return _names(over) | _names(item)
        case _:
            return _names(expression.of)


def unverified(expression: Expression) -> frozenset[str]:
    """The slots whose very text reaches the value, with no look-up in a record that must find it."""
    match expression:
        case Mapped(over=Name(name=name), item=item):
            return unverified(item).union({name} if _reaches(item) else ())
        case Fixed() | Found() | Keyed() | Mapped():
            return frozenset()
        case Name(name=name):
            return frozenset({name}) - {EACH}
        case _:
            return unverified(expression.of)


def _reaches(item: Expression) -> bool:
    match item:
        case Name(name=name):
            return name == EACH
        case Changed(of=of) | WordOf(of=of) | At(of=of) | Listed(of=of) | Joined(of=of):
            return _reaches(of)
        case _:
            return False
