"""What a run may take its arguments from: trusted texts, fields and numbers, and whether a value comes from one of them.

Rules of this file: pure. A string is covered when it is a field, or stands whole in one text with the ends of words around it:
never inside a longer identifier, address or number, and never put together from several texts. A field is only ever taken as
a whole: it may be a name that somebody else chose. What compares equal here but is
another string to the world (full-width letters) must stand there exactly. Words that stand in nearly every text
("all", "a"), and the empty one, are covered only when they are quoted, or are all that a string says.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import cast

from tenure.wire import Json

NUMBER = re.compile(r"(?<![\w.,:/@+-])[+-]?(?:\d{1,3}(?:,\d{3})+|\d{1,30})(?:\.\d{1,30})?(?!\w|[.,:/@-]\w)")
WRITTEN = re.compile(r"[+-]?(?:0|[1-9]\d{0,14})(?:\.\d{1,9})?")  # a string that can only be a number
GROUPED = re.compile(r"\b[A-Z]{2}\d{2}(?: [A-Z0-9]{4}){2,7}(?: [A-Z0-9]{1,4})?\b")  # an IBAN as people write it
SCHEME = re.compile(r"\bhttps?://(?![^/\s]*@)")
QUOTES = ('""', "''", "``", "“”", "‘’", "«»", "„“")
SEPARATORS = frozenset(',;|"`“”«»()[]{}<>—')  # they end a word wherever they stand
OPENING = frozenset("#@$€£*'‘")  # with no more of the word before them
CLOSING = frozenset(".!?:*'’/")  # with no more of the word after them
AROUND = 4  # of these in a row
COMMON = {
    "a", "all", "an", "and", "any", "are", "as", "at", "be", "both", "by", "can", "do", "each", "every", "everybody",
    "everyone", "everything", "for", "from", "go", "has", "have", "he", "her", "him", "his", "i", "if", "in", "is",
    "it", "its", "me", "my", "no", "none", "not", "now", "of", "off", "on", "one", "or", "our", "out", "over",
    "please", "she", "so", "than", "that", "the", "their", "them", "then", "there", "they", "this", "to", "too",
    "up", "us", "was", "we", "were", "what", "when", "where", "which", "who", "will", "with", "yes", "you", "your",
}  # fmt: skip


@dataclass(frozen=True)
class Sources:
    """Strings, as they are written and folded, and numbers; `texts`: what stands in the strings counts too."""

    written: frozenset[str] = frozenset()
    folded: frozenset[str] = frozenset()
    numbers: frozenset[Decimal] = frozenset()
    texts: bool = True

    def __or__(self, other: Sources) -> Sources:
        """What two texts cover, or two fields; both sides are of one kind."""
        written, folded = self.written | other.written, self.folded | other.folded
        return Sources(written, folded, self.numbers | other.numbers, self.texts)

    def cover(self, leaf: Json) -> bool:
        """Whether a string, a number, a boolean or null comes from here; the last two say nothing of their own."""
        if leaf is None or isinstance(leaf, bool):
            return True
        if isinstance(leaf, str):
            return self._cover_text(leaf)
        return _number(leaf) in self.numbers

    def _cover_text(self, text: str) -> bool:
        if WRITTEN.fullmatch(text) and Decimal(text) in self.numbers:
            return True
        exact = _must_be_exact(text)
        value, strings = (_plain(text), self.written) if exact else (_folded(text), self.folded)
        return value in strings or (self.texts and _stands_in(value, strings))


def texts_in(values: Iterable[Json]) -> Sources:
    """Everything that `values` hold as texts: the strings, keys among them, and the numbers, those written in a text too."""
    fields = fields_in(values := list(values))
    texts = [leaf for value in values for leaf in leaves(value) if isinstance(leaf, str)]
    ibans = [joined.replace(" ", "") for text in texts for joined in GROUPED.findall(text)]
    counted = {Decimal(told.replace(",", "")) for text in texts for told in NUMBER.findall(text)}
    return Sources(
        fields.written.union(ibans), fields.folded.union(map(_folded, ibans)), fields.numbers | counted, texts=True
    )


def fields_in(values: Iterable[Json]) -> Sources:
    """Everything that `values` hold, each string as one field."""
    found = [leaf for value in values for leaf in leaves(value)]
    strings = [leaf for leaf in found if isinstance(leaf, str)]
    counted = [_number(leaf) for leaf in found if isinstance(leaf, int | float) and not isinstance(leaf, bool)]
    counted += [Decimal(text) for text in strings if WRITTEN.fullmatch(text)]
    return Sources(frozenset(map(_plain, strings)), frozenset(map(_folded, strings)), frozenset(counted), texts=False)


def leaves(value: Json, names: Collection[str] = ()) -> Iterator[Json]:
    """The strings, numbers, booleans and nulls inside `value`, and the keys that are not in `names`."""
    if isinstance(value, dict):
        for key, inner in cast("dict[str, Json]", value).items():
            if key not in names:
                yield key
            yield from leaves(inner, names)
    elif isinstance(value, list):
        for inner in cast("list[Json]", value):
            yield from leaves(inner, names)
    else:
        yield value


def _number(value: float) -> Decimal:
    return Decimal(str(value))  # as it is written: 0.1 is 0.1, and equal to 0.10


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())


def _folded(text: str) -> str:
    """As two writings of the same thing compare equal; the scheme of a link and the slash after its host say nothing."""
    same = " ".join(unicodedata.normalize("NFKC", text).lower().split())
    short = SCHEME.sub("", same)
    return short.removesuffix("/") if short != same else same


def _must_be_exact(text: str) -> bool:
    """Whether folding would make `text` equal to what another system tells from it, or to a common word ("US", "us")."""
    abbreviation = text.isupper() and 1 < len(text) <= 3
    return abbreviation or not unicodedata.is_normalized("NFKC", text)


def _stands_in(value: str, texts: frozenset[str]) -> bool:
    if _says_nothing(value):
        return any(_is_quoted(value, text) for text in texts)
    return any(_stands(value, text) for text in texts)


def _says_nothing(value: str) -> bool:
    """Whether a text may well hold `value` without meaning it."""
    words = re.findall(r"\w+", value)
    return not any(len(word) > 1 and word not in COMMON for word in words)


def _is_quoted(value: str, text: str) -> bool:
    return any(f"{mark}{value}{end}" in text for mark, end in QUOTES)


def _stands(value: str, text: str) -> bool:
    """Whether `value` is in `text` with the ends of words around it."""
    at = text.find(value)
    while at >= 0:
        if _begins(text, at) and _ends(text, at + len(value)):
            return True
        at = text.find(value, at + 1)
    return False


def _begins(text: str, at: int) -> bool:
    """Whether a word begins there."""
    for before in range(at - 1, at - 2 - AROUND, -1):
        if before < 0 or _separates(text, before):
            return True
        if text[before] not in OPENING:
            return False
    return False


def _ends(text: str, at: int) -> bool:
    """Whether a word ends there."""
    at += 2 * text.startswith(("'s", "’s"), at)
    for after in range(at, at + 1 + AROUND):
        if after >= len(text) or _separates(text, after):
            return True
        if text[after] not in CLOSING:
            return False
    return False


def _separates(text: str, at: int) -> bool:
    char = text[at]
    if char == ",":  # not within a number
        return not (text[at - 1 : at].isdigit() and text[at + 1 : at + 2].isdigit())
    return char.isspace() or char in SEPARATORS
