"""Triggers: what a request must look like, wholly, for a capability to answer it; and what it then says in its slots.

Rules of this file: pure, and it abstains. A request matches only if every token of it is explained by exactly one reading: what
is left over, comes twice, is negated or stands in a place that is no slot makes it None, and the model answers instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from tenure.learn.slots import Token, Type, cut, mark, plain, scripts
from tenure.wire import Wire

Captured: TypeAlias = dict[str, str | list[str]]
Style: TypeAlias = Literal["title", "lower", "any"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


READINGS = 2  # one more than may be: then the request is ambiguous
# Words that turn a request around or join another to it. They never stand in a place that takes whatever words come.
TURNING = _words(
    """
    not no never none nor neither don't dont do does did doesn't didn't won't can't cannot isn't without except but unless if
    instead and or also then plus again stop undo ignore forget disregard rather only please previous above instructions
    """
)


class Word(Wire):
    """A word or sign that must stand there, in small letters."""

    kind: Literal["word"] = "word"
    text: str


class Typed(Wire):
    """One value of a type. `mark` (see slots), `length` (characters) and `fixed` (the value) bind where all examples agreed."""

    kind: Literal["typed"] = "typed"
    name: str
    type: Type
    mark: str | None = None
    length: int | None = None
    fixed: str | None = None


class Choice(Wire):
    """One of the phrases that the examples held, and no other."""

    kind: Literal["choice"] = "choice"
    name: str
    values: list[str]


class Phrase(Wire):
    """Between `low` and `high` words, as names are. Never one of the trigger's vocabulary."""

    kind: Literal["phrase"] = "phrase"
    name: str
    low: int
    high: int
    style: Style = "any"


class Row(Wire):
    """One item of a list that is more than a value or some words: `Desk Lamp {...} to {...}`. It is held whole, its tokens with
    a space between them."""

    kind: Literal["row"] = "row"
    parts: list[Annotated[Word | Typed | Choice | Phrase, Field(discriminator="kind")]]


class Repeated(Wire):
    """`low` to `high` items with `sign` between them; `closed`: whether one stands after the last as well (None: either)."""

    kind: Literal["repeated"] = "repeated"
    name: str
    sign: str
    item: Annotated[Phrase | Typed | Row, Field(discriminator="kind")]
    low: int
    high: int
    closed: bool | None = False


class Either(Wire):
    """One of several ways to say it; an empty one may be left out."""

    kind: Literal["either"] = "either"
    branches: list[list[Part]]


Slot: TypeAlias = Typed | Choice | Phrase | Repeated
Part: TypeAlias = Annotated[Word | Typed | Choice | Phrase | Repeated | Either, Field(discriminator="kind")]
Either.model_rebuild()


class Trigger(Wire):
    """The parts of a request in their order, and the words that no free place may hold: verbs of this and of other families."""

    parts: list[Part]
    vocabulary: list[str] = Field(default_factory=list[str])


def match(trigger: Trigger, text: str) -> Captured | None:
    """What the slots hold; None unless the whole text has exactly one reading. Slots of a branch not taken are empty."""
    tokens = cut(text)
    return None if not tokens else read(trigger, tokens)


def read(trigger: Trigger, tokens: Sequence[Token]) -> Captured | None:
    """The same of a request that was cut already."""
    reader = _Reader(tokens, frozenset(trigger.vocabulary))
    found: list[Captured] = []
    for end, captured in reader.sequence(trigger.parts, 0):
        if end == len(tokens) and captured not in found:
            found.append(captured)
        if len(found) == READINGS:
            return None
    return {**empty(trigger.parts), **found[0]} if found else None


def empty(parts: Sequence[Part]) -> Captured:
    """What slots hold that a request did not name: those of a branch that it did not take."""
    return {name: [] if isinstance(part, Repeated) else "" for name, part in names(parts).items()}


class _Reader:
    """Reads one request; each method yields where a part may end and what it captured."""

    def __init__(self, tokens: Sequence[Token], vocabulary: frozenset[str]) -> None:
        self.tokens, self.vocabulary = tokens, vocabulary | TURNING

    def sequence(self, parts: Sequence[Part], at: int) -> Iterator[tuple[int, Captured]]:
        if not parts:
            yield at, {}
            return
        for end, captured in self.part(parts[0], at):
            for last, more in self.sequence(parts[1:], end):
                yield last, {**captured, **more}

    def part(self, part: Part, at: int) -> Iterator[tuple[int, Captured]]:
        if isinstance(part, Either):
            for branch in part.branches:
                yield from self.sequence(branch, at)
        elif isinstance(part, Word):
            if self._says(at) == part.text:
                yield at + 1, {}
        else:
            yield from ((end, {part.name: held} if part.name else {}) for end, held in self.slot(part, at))

    def slot(self, part: Slot, at: int) -> Iterator[tuple[int, str | list[str]]]:
        match part:
            case Typed():
                if at < len(self.tokens) and fits(part, self.tokens[at]):
                    yield at + 1, self.tokens[at].value
            case Choice(values=values):
                for value in values:
                    wanted = [plain(token.text) for token in cut(value) or []]
                    if wanted == [plain(token.text) for token in self.tokens[at : at + len(wanted)]]:
                        yield at + len(wanted), value
            case Phrase():
                yield from ((end, self.words(at, end)) for end in self.phrase(part, at))
            case Repeated():
                yield from self.repeated(part, at)

    def phrase(self, part: Phrase, at: int) -> Iterator[int]:
        for end in range(at + 1, min(at + part.high, len(self.tokens)) + 1):
            if not self._free(self.tokens[end - 1], part.style):
                return
            if end - at >= part.low:
                yield end

    def repeated(self, part: Repeated, at: int) -> Iterator[tuple[int, list[str]]]:
        held: list[tuple[int, list[str]]] = [(end, [item]) for end, item in self._item(part.item, at)]
        while held:
            end, items = held.pop()
            sign = end < len(self.tokens) and self.tokens[end].text == part.sign
            if part.low <= len(items):
                if sign and part.closed is not False:
                    yield end + 1, items
                elif not part.closed:
                    yield end, items
            if sign and len(items) < part.high:
                held += [(last, [*items, item]) for last, item in self._item(part.item, end + 1)]

    def words(self, at: int, end: int) -> str:
        return " ".join(token.text for token in self.tokens[at:end])

    def _says(self, at: int) -> str | None:
        """The word or sign there, in small letters."""
        token = self.tokens[at] if at < len(self.tokens) else None
        return None if token is None or token.is_typed else plain(token.text)

    def _item(self, item: Phrase | Typed | Row, at: int) -> Iterator[tuple[int, str]]:
        if isinstance(item, Row):
            ends = dict.fromkeys(
                end for end, _ in self.sequence(item.parts, at)
            )  # however it is read, it says the same
            yield from ((end, self.words(at, end)) for end in ends)
        elif isinstance(item, Phrase):
            yield from ((end, self.words(at, end)) for end in self.phrase(item, at))
        elif at < len(self.tokens) and fits(item, self.tokens[at]):
            yield at + 1, self.tokens[at].value

    def _free(self, token: Token, style: Style) -> bool:
        if token.kind != "word" or plain(token.text) in self.vocabulary:
            return False
        return style == "any" or styled(token.text) == style


def fits(part: Typed, token: Token) -> bool:
    """Whether the token is a value such as the examples held."""
    if token.kind != part.type or (part.fixed is not None and token.value != part.fixed):
        return False
    if part.length is not None and len(token.value) != part.length:
        return False
    return part.mark is None or mark(token) == part.mark


def styled(word: str) -> Style:
    """How a word is written. A script that has no capitals counts as small, a foreign one as neither."""
    if not scripts(word) <= {"LATIN"}:
        return "any"
    return "title" if word[0].isupper() else "lower" if word == word.lower() else "any"


def names(parts: Sequence[Part]) -> dict[str, Part]:
    """The slots by name, in the order of the request; those of branches too."""
    found: dict[str, Part] = {}
    for part in parts:
        if isinstance(part, Either):
            for branch in part.branches:
                found |= names(branch)
        elif not isinstance(part, Word) and part.name:
            found[part.name] = part
    return found


def shown(parts: Sequence[Part]) -> str:
    """The trigger as a person reads it: constants as they are, slots in braces."""
    return " ".join(_shown(part) for part in parts if _shown(part))


def _shown(part: Part) -> str:
    match part:
        case Word(text=text):
            return text
        case Either(branches=branches):
            return "(" + " | ".join(shown(branch) or "nothing" for branch in branches) + ")"
        case Typed(fixed=str() as fixed):
            return fixed
        case Typed(name="", type=type):
            return f"{{{type}}}"
        case Repeated(name=name, sign=sign):
            return f"{{{name or 'words'}{sign} ...}}"
        case _:
            return f"{{{part.name or 'words'}}}"


def is_aside(part: Part) -> bool:
    """Whether no request can hide in it: a closed choice, a fixed value, a name of fixed length, a list of single small words."""
    match part:
        case Repeated(item=Phrase(high=1, style="lower")) | Choice() | Typed(fixed=str()):
            return True
        case Phrase(low=low, high=high, style="title"):
            return low == high
        case _:
            return False


def type_of(part: Part | Row) -> str:
    """The type of what stands there, as people read it."""
    match part:
        case Typed(type=type, mark=mark):
            return f"{type} {mark}..." if mark else type
        case Choice(values=values):
            return "one of " + ", ".join(map(repr, values))
        case Row(parts=parts):
            return repr(shown(parts))
        case Repeated(item=item, sign=sign):
            return f"list of {type_of(item)} with {sign!r} between"
        case Phrase(low=low, high=high):
            return f"{low} words" if low == high else f"{low} to {high} words"
        case _:
            return "text"
