"""What a function is, as JSON: equal for equal code wherever it stands, another when its code changes.

What the function calls, and what it closes over, is not seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import CodeType
from typing import Any

from tenure.schema import Function
from tenure.wire import Json


def of_function(function: Function) -> list[Json]:
    """The function's name and code, and of what decorators have wrapped the same."""
    code, inner = getattr(function, "__code__", None), getattr(function, "__wrapped__", None)
    name = getattr(function, "__qualname__", type(function).__qualname__)
    spelt = _spelt(code) if isinstance(code, CodeType) else ()
    return [getattr(function, "__module__", ""), name, *spelt, *(of_function(inner) if inner is not None else ())]


def _spelt(code: CodeType) -> Iterator[Json]:
    """Names, constants and instructions, without file and line: what stands above a function may change."""
    yield [code.co_code.hex(), list(code.co_names), list(code.co_varnames), list(code.co_freevars)]
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _spelt(constant)
        else:
            yield _constant(constant)


def _constant(value: Any) -> Json:  # Any: whatever stands in a function
    # In its own order a set would be another one in each process.
    return sorted(map(repr, value)) if isinstance(value, frozenset) else repr(value)  # pyright: ignore[reportUnknownArgumentType]  # of anything
