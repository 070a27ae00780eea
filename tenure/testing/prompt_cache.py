"""What Claude's API reads of a prompt from its cache, what it writes there, and what it bills in full.

No I/O and no clock: `measured` makes of a request its prefixes, a `PromptCache` knows which of them were written before.
A prefix is known by its blocks without their markers, in the order tools, system, messages, for one model; what
`tool_choice` and `thinking` say belongs to the messages, because a change there costs only the messages their cache.
Source: https://docs.claude.com/en/docs/build-with-claude/prompt-caching. Refusals are worded as the API words them.

Left out: automatic caching (a `cache_control` of the whole request), markers inside the content of a tool_result (they
count as content), and that the API forgets thinking blocks of older turns.
"""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise
from typing import Any, NamedTuple, cast

Json = dict[str, Any]  # Any: a JSON object has whatever shape its sender chose

_BREAKPOINTS = 4
_WINDOW = 20  # positions looked at per breakpoint, its own the first
_LIFETIMES = {"5m": 300.0, "1h": 3600.0}  # seconds since the last use
_MINIMUMS = {"haiku": 4096, "opus": 4096}  # tokens; the strictest that is documented of a family, so none is flattered
_MINIMUM = 1024
_THINKING = ("thinking", "redacted_thinking")
_COMPACT = json.JSONEncoder(separators=(",", ":"))  # kept: json.dumps would make one for each of the events


def dumps(value: object) -> bytes:
    """Compact JSON, from whose length all tokens are counted."""
    return _COMPACT.encode(value).encode()


def tokens(encoded: bytes) -> int:
    """About 4 bytes to the token, and never none."""
    return max(1, len(encoded) // 4)


# ----------------------------------------------------------------------------------------------- blocks in their order


class _Placed(NamedTuple):
    where: str
    frame: str  # tells equal blocks apart that stand in different lists or are said by different roles
    block: Json
    around: int  # bytes of the encoded prompt that belong to this block and are not its own


_TEXT = len(dumps({"type": "text", "text": ""})) - len(dumps(""))  # what a text alone saves against a block of it


def _placed(body: Json) -> Iterator[_Placed]:
    """Every block of a prompt in the order of its prefixes."""
    yield from _listed("tools", "tools", body.get("tools"), around=2)
    yield from _listed("system", "system", body.get("system"), around=2)
    settings = dumps([body.get("tool_choice"), body.get("thinking")]).decode()
    for index, message in enumerate(body["messages"]):
        around = len(dumps({**message, "content": []}))
        yield from _listed(f"messages.{index}.content", message["role"] + settings, message["content"], around)


def _listed(where: str, frame: str, content: str | list[Json] | None, around: int) -> Iterator[_Placed]:
    if isinstance(content, str):  # short for one text block, and cached as if it were written out
        content, around = ([{"type": "text", "text": content}] if content else []), around - 2 - _TEXT
    for index, block in enumerate(content or ()):
        yield _Placed(f"{where}.{index}", frame, block, 1 if index else 1 + around)


def _is_marked(body: Json) -> bool:
    contents: list[object] = [body.get("tools"), body.get("system"), *(each["content"] for each in body["messages"])]
    blocks = chain.from_iterable(cast(list[Json], content) for content in contents if isinstance(content, list))
    return any("cache_control" in block for block in blocks)


def _bare(block: Json) -> Json:
    return {key: value for key, value in block.items() if key != "cache_control"}


def _bared(content: str | list[Json] | None) -> object:
    return [_bare(block) for block in content] if isinstance(content, list) else content


# ------------------------------------------------------------------------------------------------ which markers it takes


def complaints(body: Json) -> Iterator[str]:
    """What the API has against the breakpoints of a request that is well formed otherwise; the first is its answer."""
    if not _is_marked(body):
        return
    marked = [placed for placed in _placed(body) if placed.block.get("cache_control") is not None]
    for placed in marked:
        yield from _of_marker(placed)
    if len(marked) > _BREAKPOINTS:
        yield f"A maximum of {_BREAKPOINTS} blocks with cache_control may be provided. Found {len(marked)}."
    for earlier, later in pairwise(marked):
        if _lifetime(earlier) < _lifetime(later):
            yield (
                f"{later.where}.cache_control.ttl: a ttl='1h' cache_control block must not come after a ttl='5m' "
                "cache_control block. Note that blocks are processed in the following order: `tools`, `system`, "
                "`messages`."
            )


def _of_marker(placed: _Placed) -> Iterator[str]:
    marker, kind = placed.block["cache_control"], placed.block.get("type")
    where = placed.where if placed.frame == "system" else f"{placed.where}.{kind or 'custom'}"
    if kind in _THINKING:
        yield f"{where}.cache_control: Extra inputs are not permitted"
    elif kind == "text" and not placed.block.get("text"):
        yield f"{where}: cache_control cannot be set for empty text blocks"
    elif isinstance(marker, dict):
        yield from _of_values(cast(Json, marker), f"{where}.cache_control")
    else:
        yield f"{where}.cache_control: Input should be a valid dictionary"


def _of_values(marker: Json, where: str) -> Iterator[str]:
    if (kind := marker.get("type")) is None:
        yield f"{where}: Unable to extract tag using discriminator 'type'"
    elif kind != "ephemeral":
        yield f"{where}: Input tag '{kind}' found using 'type' does not match any of the expected tags: 'ephemeral'"
    elif marker.get("ttl") not in (None, *_LIFETIMES):
        yield f"{where}.ephemeral.ttl: Input should be '5m' or '1h'"


def _lifetime(placed: _Placed) -> float:
    marker = placed.block.get("cache_control")
    return _LIFETIMES[marker.get("ttl") or "5m"] if marker else 0.0


# --------------------------------------------------------------------------------------------------- what is in a prompt


@dataclass(frozen=True)
class Prefix:
    """A prompt up to the end of a block; `lifetime` is in seconds, 0 where nothing is to be cached."""

    key: bytes
    tokens: int
    lifetime: float


@dataclass(frozen=True)
class Prompt:
    """What is billed of a request: its size, a digest that names it, and, if it has breakpoints, all its prefixes.

    Markers change neither size nor digest. The model, `stream` and the limits are not billed, so that both modes count
    and name alike.
    """

    digest: str
    tokens: int
    prefixes: Sequence[Prefix] = ()


def measured(body: Json) -> Prompt:
    """The prompt of a request that was checked."""
    if not _is_marked(body):
        return _whole(body.get("system"), body.get("tools"), body["messages"])
    messages = [{**message, "content": _bared(message["content"])} for message in body["messages"]]
    whole = _whole(_bared(body.get("system")), _bared(body.get("tools")), messages)
    return Prompt(whole.digest, whole.tokens, tuple(_prefixes(body)))


def _whole(*parts: object) -> Prompt:
    encoded = dumps(parts)
    return Prompt(hashlib.sha256(encoded).hexdigest()[:12], tokens(encoded))


def _prefixes(body: Json) -> Iterator[Prefix]:
    model: str = body["model"]
    least = next((minimum for family, minimum in _MINIMUMS.items() if family in model), _MINIMUM)
    key, size = model.encode(), 0
    for placed in _placed(body):
        own = dumps(_bare(placed.block))
        # Each key is made of the one before it, so that a long conversation is hashed once and not once per prefix.
        key = hashlib.sha256(b"\0".join((key, placed.frame.encode(), own))).digest()
        size += len(own) + placed.around
        yield Prefix(key, size // 4, _lifetime(placed) if size // 4 >= least else 0.0)


# --------------------------------------------------------------------------------------------------------- what it bills


@dataclass(frozen=True)
class Bill:
    """What a request costs before its answer: its part of `usage`, and the prefixes its answer keeps for so long."""

    digest: str = ""
    usage: Mapping[str, Any] = field(default_factory=dict[str, Any])  # Any: `cache_creation` is an object
    kept: Mapping[bytes, float] = field(default_factory=dict[bytes, float])


class _Entry(NamedTuple):
    expires: float
    lifetime: float


class PromptCache:
    """The prefixes that were written and have not expired; of more than `capacity` the least recently used is lost."""

    def __init__(self, capacity: int = 10_000) -> None:
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        self._capacity = capacity

    def bill(self, prompt: Prompt, now: float) -> Bill:
        """The bill of a prompt that arrives now, in seconds of any clock. Nothing is written before `keep`.

        The longest prefix that a breakpoint finds in its window is read, from there to the last breakpoint is written,
        the rest is input. Where a breakpoint asks for 5 minutes and the prefix has an hour, it keeps the hour.
        """
        marks = [index for index, prefix in enumerate(prompt.prefixes) if prefix.lifetime]
        seen = {index for mark in marks for index in range(max(0, mark - _WINDOW + 1), mark + 1)}
        found = next((index for index in sorted(seen, reverse=True) if self._left(prompt.prefixes[index], now)), None)
        read = [] if found is None else [prompt.prefixes[found]]
        used = [*(prompt.prefixes[mark] for mark in marks), *read]
        kept = {prefix.key: max(prefix.lifetime, self._left(prefix, now)) for prefix in used}
        return Bill(prompt.digest, _usage(prompt, read, used), kept)

    def keep(self, bill: Bill, now: float) -> None:
        """Its request is answered: write its prefixes, or let them live on from now."""
        for key, lifetime in bill.kept.items():
            self._entries[key] = _Entry(now + lifetime, lifetime)
            self._entries.move_to_end(key)
        while len(self._entries) > self._capacity:
            self._entries.popitem(last=False)

    def _left(self, prefix: Prefix, now: float) -> float:
        entry = self._entries.get(prefix.key)
        return entry.lifetime if entry and now < entry.expires else 0.0


def _usage(prompt: Prompt, read: Iterable[Prefix], used: Iterable[Prefix]) -> Json:
    # As the documentation splits what is written: up to the last breakpoint of an hour by the hour, then by 5 minutes.
    at_read = max((prefix.tokens for prefix in read), default=0)
    at_hour = max((prefix.tokens for prefix in used if prefix.lifetime == _LIFETIMES["1h"]), default=0)
    at_last = max((prefix.tokens for prefix in used), default=0)
    by_hour = max(0, at_hour - at_read)
    written = at_last - at_read
    return {
        "input_tokens": prompt.tokens - at_last,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": at_read,
        "cache_creation": {"ephemeral_5m_input_tokens": written - by_hour, "ephemeral_1h_input_tokens": by_hour},
    }
