"""Taint: what came from outside must not choose what a run does to the world.

Rules of this file: pure. A value is looked at leaf by leaf. An argument that is a sink must come from a trusted source in every
leaf; any other is content, and only the links and addresses in it must. What the author of a tool wrote into its schema is
trusted for that argument.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, cast

from tenure.trust import paths
from tenure.trust.addresses import addresses
from tenure.trust.paths import EACH, Steps
from tenure.trust.sources import leaves
from tenure.wire import Json, JsonObject

Covers: TypeAlias = Callable[[Json], bool]  # whether a leaf comes from a trusted source
FIELD = re.compile(r"[a-z][A-Za-z_]{0,31}")  # a key of a result that is the name of a field, and no data
SHOWN = 60  # characters of a value in a reason
TOLD = 3  # reasons for one call


def untrusted(value: Json, trusted: Iterable[str]) -> bool:
    """Whether a result holds a string or a number outside its fields at the paths `trusted`. Raises ConfigError for no path."""
    return _holds_more(value, {paths.parse(path) for path in trusted})


def fields(value: Json, trusted: Iterable[str]) -> list[Json]:
    """The trusted fields of a result. Raises ConfigError for what is no path."""
    return [found for path in trusted for found in paths.select(value, path)]


def _holds_more(value: Json, trusted: Collection[Steps]) -> bool:
    if () in trusted:
        return False
    if isinstance(value, dict):
        inner = cast("JsonObject", value)
        known = {steps[0] for steps in trusted}
        return any(_is_data(key, known) or _holds_more(one, _after(key, trusted)) for key, one in inner.items())
    if isinstance(value, list):
        below = _after(EACH, trusted)
        return any(_holds_more(one, below) for one in cast("list[Json]", value))
    return value != "" if isinstance(value, str) else value is not None and not isinstance(value, bool)


def _is_data(key: str, known: Collection[str]) -> bool:
    return key not in known and not FIELD.fullmatch(key)


def _after(step: str, trusted: Collection[Steps]) -> set[Steps]:
    return {steps[1:] for steps in trusted if steps[0] == step}


@dataclass(frozen=True)
class Sinks:
    """What of a tool's arguments must be trusted: `names` (None: all of them); `schema` is the tool's input schema."""

    tool: str
    names: Collection[str] | None = None
    schema: JsonObject = field(default_factory=dict[str, Json])

    def doubts(self, arguments: Mapping[str, Json], known: Covers) -> list[str]:
        """Why a person must look at a call with these arguments; nothing when all of it comes from `known`."""
        return [told for name, value in arguments.items() for told in self._doubts(name, value, known)]

    def choose(self, arguments: Mapping[str, Json], known: Covers) -> bool:
        """Whether all sinks come from `known`: then nobody outside chose what the call is about."""
        return not any(self._strangers(name, value, known) for name, value in arguments.items() if self._is_sink(name))

    def _is_sink(self, name: str) -> bool:
        return self.names is None or name in self.names

    def _doubts(self, name: str, value: Json, known: Covers) -> Iterator[str]:
        if self._is_sink(name):
            for leaf in self._strangers(name, value, known):
                yield f"{name}={_cut(leaf)} of {self.tool} is not found in trusted text"
        else:
            for found in self._addresses(name, value, known):
                yield f"{name} of {self.tool} holds {_cut(found)}, which is not found in trusted text"

    def _strangers(self, name: str, value: Json, known: Covers) -> list[Json]:
        """The leaves that come neither from `known` nor from the schema."""
        written, keys = _authored(self.schema, name)
        return [leaf for leaf in leaves(value, keys) if not _is_among(leaf, written) and not known(leaf)]

    def _addresses(self, name: str, value: Json, known: Covers) -> list[str]:
        """The links and addresses in `value` that come neither from `known` nor from the schema."""
        written, keys = _authored(self.schema, name)
        given = [str(leaf) for leaf in leaves(value, keys) if leaf is not None and not _is_among(leaf, written)]
        return [found for text in given for found in addresses(text) if not known(found)]


def reason(doubts: list[str]) -> str:
    """The doubts about one call as one line."""
    more = f" (+{len(doubts) - TOLD} more)" if len(doubts) > TOLD else ""
    return "; ".join(doubts[:TOLD]) + more


def _authored(schema: JsonObject, argument: str) -> tuple[list[Json], set[str]]:
    """What the schema says of `argument`: the values it names, and the keys that an object in it may have."""
    values: list[Json] = []
    keys: set[str] = set()
    for place in _places(schema.get("properties", {}).get(argument, {}), schema.get("$defs", {}), set()):
        values += [*place.get("enum", []), *(place[word] for word in ("const", "default") if word in place)]
        keys.update(place.get("properties", {}))
    return [leaf for value in values for leaf in leaves(value)], keys


def _is_among(leaf: Json, written: list[Json]) -> bool:
    return any(type(leaf) is type(one) and leaf == one for one in written)  # Python holds 1 and True to be equal


def _places(schema: Json, defs: JsonObject, seen: set[str]) -> Iterator[JsonObject]:
    """The schema and every schema inside it, each definition once."""
    if isinstance(schema, list):
        for inner in cast("list[Json]", schema):
            yield from _places(inner, defs, seen)
    elif isinstance(schema, dict):
        place = cast("JsonObject", schema)
        yield place
        name: str = place.get("$ref", "").removeprefix("#/$defs/")
        if name and name not in seen:
            seen.add(name)
            yield from _places(defs.get(name, {}), defs, seen)
        for word in ("items", "prefixItems", "anyOf", "oneOf", "allOf", "additionalProperties"):
            yield from _places(place.get(word), defs, seen)
        yield from _places(list(place.get("properties", {}).values()), defs, seen)


def _cut(value: Json) -> str:
    shown = repr(value)
    return shown if len(shown) <= SHOWN else f"{shown[: SHOWN - 1]}…"
