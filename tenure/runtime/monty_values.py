"""What a program hands out, measured before anything is made of it: is it plain JSON, and small enough?

A value of the sandbox may contain itself, or the same list a billion times over: nothing here follows it further than its limit.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tenure.learn.program import Stopped
from tenure.transcript import canonical
from tenure.wire import Json, JsonObject

DEEPEST = 64  # lists and objects inside each other, in the arguments of one call
LARGEST = 128  # bits of a whole number: no identifier is longer, and Python refuses to write very long ones as JSON
EXACT = 2**53  # below it, every whole number is the same as a float
LONGEST_MESSAGE = 1_000  # characters of an error's message that are kept

_OBJECT: type[Json] = dict
_LIST: type[Json] = list


def fault_of_arguments(tool: str, args: Sequence[Any], kwargs: Mapping[str, Any], most: int) -> Stopped | None:
    """Why a call cannot be made with these, or None. At most `most` bytes of JSON, and every argument by name."""
    if args:
        return _refused(f"calls {tool!r} with {len(args)} arguments by position: name them, {tool}(name=value)")
    size = 2
    for at, value, depth in _walk(kwargs):
        if fault := _fault(value):
            return _refused(f"calls {tool!r} with {fault} in {at!r}: JSON is str, int, float, bool, None, list, dict")
        size += _size(value)
        if size > most:
            return Stopped(kind="limit", message=f"calls {tool!r} with more than {most:,} bytes of JSON")
        if depth > DEEPEST:
            return _refused(f"calls {tool!r} with {at!r} more than {DEEPEST} lists and objects deep")
    return None


def told_alike(arguments: JsonObject) -> str:
    """Text that is equal for arguments that JSON holds to be equal: 1.0 may come back from a store as 1; `true` is not 1."""
    return canonical(json.loads(canonical(arguments), parse_float=_number))


def _number(text: str) -> int | float:
    number = float(text)
    return int(number) if number.is_integer() and abs(number) < EXACT else number


def shortened(text: str) -> str:
    """The beginning of a message, which may be megabytes long."""
    return text if len(text) <= LONGEST_MESSAGE else text[:LONGEST_MESSAGE] + " ..."


def _walk(kwargs: Mapping[str, Any]) -> Iterator[tuple[str, Json, int]]:
    """Every value inside, and every key, with the argument it is part of and its depth; endless where one contains itself."""
    for name, argument in kwargs.items():
        yield name, name, 0
        waiting: list[tuple[Json, int]] = [(argument, 0)]
        while waiting:
            value, depth = waiting.pop()
            yield name, value, depth
            if isinstance(value, _OBJECT):
                for key, inner in value.items():
                    yield name, key if isinstance(key, str) else _KEY, depth
                    waiting.append((inner, depth + 1))
            elif isinstance(value, _LIST):
                waiting.extend((inner, depth + 1) for inner in value)


class _Key:
    """Stands for a key that is no text."""


_KEY = _Key()


def _size(value: Json) -> int:
    """Bytes of the value's own JSON, without what is inside; never less than one, so that nothing is walked for ever."""
    if isinstance(value, str):
        return len(value.encode(errors="replace")) + 3
    if isinstance(value, int):
        return value.bit_length() // 4 + 2
    return 2 if isinstance(value, list | dict) else 6


def _fault(value: Json) -> str | None:
    """What keeps the value itself from being JSON."""
    if isinstance(value, int):
        return None if value.bit_length() <= LARGEST else f"a whole number of more than {LARGEST} bits"
    if value is None or isinstance(value, str | list | dict):
        return None
    if isinstance(value, float):
        return None if math.isfinite(value) else f"the number {value}"
    return "a key that is no text" if isinstance(value, _Key) else f"a {type(value).__name__}"


def _refused(message: str) -> Stopped:
    return Stopped(kind="refused", message=message)
