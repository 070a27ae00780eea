"""Replay: whether a program's calls have the effects that a recording had. Look-ups are not compared, only changes.

Rules of this file: pure. Arguments are compared as the tool's schema reads them. The order of a list counts, unless the tool
gave the same result for both orders: then its own effect says that it does not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias, cast

from tenure.learn.expressions import same
from tenure.learn.recording import Recording, Step
from tenure.wire import Json, JsonObject, Wire

Verdict: TypeAlias = Literal["clean", "wrong", "abstained"]
Schemas: TypeAlias = Mapping[str, JsonObject]  # the JSON schema of each tool's arguments, by its name


class Comparison(Wire):
    """What came of a replay; `why` names the first wrong change, or what made the program abstain."""

    verdict: Verdict
    why: str = ""


def compare(
    made: Sequence[Step], recording: Recording, *, abstained: str = "", schemas: Schemas | None = None
) -> Comparison:
    """Compare the calls a program made with a recording's. `abstained` says why the program ended early, if it did."""
    ours, theirs = [step for step in made if step.changes], recording.changes
    if abstained and not ours:
        return Comparison(verdict="abstained", why=abstained)
    for at, (mine, other) in enumerate(zip(ours, theirs, strict=False), 1):
        wrong = _differ(mine, other, schemas or {})
        if wrong:
            return Comparison(verdict="wrong", why=f"change {at}: {wrong}")
    if len(ours) != len(theirs):
        return Comparison(verdict="wrong", why=_count(ours, theirs) + (f": {abstained}" if abstained else ""))
    return Comparison(verdict="clean")


def canonical(arguments: JsonObject, schema: JsonObject) -> JsonObject:
    """The arguments with the schema's defaults filled in and numbers in the schema's type: 5 is 5.0 to a tool of floats."""
    known = cast("dict[str, JsonObject]", schema.get("properties", {}))
    defaults = {name: told["default"] for name, told in known.items() if "default" in told}
    return {name: _typed(value, known.get(name, {})) for name, value in {**defaults, **arguments}.items()}


def _typed(value: Json, schema: JsonObject) -> Json:
    if schema.get("type") == "number" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if schema.get("type") == "integer" and isinstance(value, float) and value.is_integer():
        return int(value)
    if schema.get("type") == "array" and isinstance(value, list):
        return [_typed(inner, schema.get("items", {})) for inner in cast("list[Json]", value)]
    return value


def _differ(mine: Step, other: Step, schemas: Schemas) -> str:
    """What is wrong with the call, or nothing."""
    if mine.tool != other.tool:
        return f"{mine.tool} instead of {other.tool}"
    ours, theirs = (canonical(step.arguments, schemas.get(step.tool, {})) for step in (mine, other))
    for name in sorted({*ours, *theirs}):
        if (name in ours) != (name in theirs):
            return f"{mine.tool} {'has' if name in ours else 'lacks'} {name}"
        if not same(ours[name], theirs[name]) and not _reordered(ours[name], theirs[name], mine, other):
            return f"{mine.tool} {name} {ours[name]!r} instead of {theirs[name]!r}"
    return f"{mine.tool} failed" if other.ok and not mine.ok else ""


def _reordered(ours: Json, theirs: Json, mine: Step, other: Step) -> bool:
    """Whether the lists hold the same in another order, and the tool did the same with both."""
    if not (isinstance(ours, list) and isinstance(theirs, list) and mine.ok and other.ok and other.result is not None):
        return False
    return _sorted(cast("list[Json]", ours)) == _sorted(cast("list[Json]", theirs)) and same(mine.result, other.result)


def _sorted(values: list[Json]) -> list[str]:
    return sorted(json.dumps(value, sort_keys=True) for value in values)


def _count(ours: Sequence[Step], theirs: Sequence[Step]) -> str:
    if len(ours) < len(theirs):
        return f"{theirs[len(ours)].tool} was not called ({len(ours)} of {len(theirs)} changes were made)"
    return f"{ours[len(theirs)].tool} was called beyond the {len(theirs)} recorded changes"
