"""Guards: when two requests ask for the same, so surely that the answer to one may be given to the other.

Rules of this file: pure. Nothing here is a guess about likeness: a word counts unless it stands in one of the short lists below,
which hold what people say around a request. So two requests that differ in a number, an identifier, a date, an amount, a name, a
negation, a direction or any word of content have different signatures, whatever a measure of similarity says of them.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from tenure.optimize import english

LONGEST = 500  # characters of a request that may be the same as another
# Numbers keep every sign that is part of them, words their apostrophe; what is neither stands alone.
TOKEN = re.compile(r"[.,]?\d(?:[\w.,:/@+-]*\w)?|[^\W\d](?:[.,:/@+'-]?\w)*|\((?=[\d$€£])|[^\w\s.,!?;:'\"()]|[.!?]")
ENDS = frozenset(".!?")
APOSTROPHES = str.maketrans("’‘`´ʼ", "'''''")


@dataclass(frozen=True)
class Guarded:
    """What a request says: `signature` is equal for requests that ask for the same, `kept` are the words that say it."""

    signature: str
    kept: str


@dataclass(frozen=True)
class Word:
    """One word of a request, in small letters, or a slot: a name, a number, a sign, which counts as it is written."""

    text: str
    is_slot: bool = False

    @property
    def is_dropped(self) -> bool:
        return not self.is_slot and self.text in english.DROPPED


def read(request: str) -> Guarded | None:
    """What of the request counts; None where that is too little, or the request too long, to be the same as another."""
    if len(request) > LONGEST:
        return None
    said = _strip(words(request))
    kept = [word for word, after in itertools.zip_longest(said, said[1:]) if _counts(word, after)]
    if all(word.text in english.BARE for word in kept):
        return None  # "why not?" could be about anything
    text = " ".join(word.text for word in kept)
    stems = " ".join(word.text if word.is_slot else stem(word.text) for word in kept)
    return Guarded(f"{_mood(said)}|{stems}", text)


def exact(request: str) -> str:
    """The request, equal for those that differ in nothing but white space and the way letters are composed."""
    return " ".join(unicodedata.normalize("NFC", request).split())


def stem(word: str) -> str:
    """An English word without the ending that number or tense give it."""
    if not (word.isascii() and word.isalpha()):
        return word
    if word.endswith("ies") and len(word) > 4:
        word = word[:-3] + "y"
    elif word.endswith("s") and not word.endswith("ss") and len(word) > 3:
        word = word[:-1]
    for ending in ("ing", "ed"):
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            word = word[: -len(ending)]
            return word[:-1] if word[-1] == word[-2] else word
    return word.rstrip("e") if len(word) > 4 else word


def _counts(word: Word, after: Word | None) -> bool:
    if not word.is_slot and word.text in english.LINKS:
        return after is not None and after.is_slot  # "to Paris", "in 3 days": here it says something
    return not word.is_dropped


def _mood(words: Sequence[Word]) -> str:
    """The time it speaks of; and where it speaks of both sides, which comes first: who does something to whom."""
    told = {word.text for word in words if not word.is_slot}
    people = "".join(
        "i" if word.text in english.FIRST else "u" for word in words if word.text in english.FIRST | english.SECOND
    )
    tense = ("p" if told & english.PAST else "") + ("f" if told & english.FUTURE else "")
    return f"{tense}{people if len(set(people)) > 1 else ''}"


def words(request: str) -> list[Word]:
    """The words and slots of a request, in order, contractions in full."""
    text = unicodedata.normalize("NFC", request).translate(APOSTROPHES)
    shouts = text.upper() == text
    found: list[Word] = []
    begins = True
    for token in TOKEN.findall(text):
        if token in ENDS:
            begins = True
            continue
        found += _said(token, begins=begins, shouts=shouts)
        begins = False
    return _dated(found)


def _dated(words: list[Word]) -> list[Word]:
    """With the two months that are words as well as what they are, where they stand as a month does."""
    found: list[Word] = []
    for word in words:
        before = found[-1] if found else None
        follows = before is not None and (before.text in english.BEFORE_MONTH or before.text[0].isdigit())
        found.append(Word(word.text, is_slot=True) if word.text in ("may", "march") and follows else word)
    return found


def _said(token: str, *, begins: bool, shouts: bool) -> list[Word]:
    """The words of one token: contractions in full, compounds apart, slots as they are written."""
    plain = token.casefold()
    if not token[0].isalpha() or any(sign.isdigit() or sign in ".,:/@+_" for sign in token):
        return [Word(token, is_slot=True)]
    if "-" in token:
        return [word for part in token.split("-") for word in _said(part, begins=begins, shouts=shouts)]
    if not shouts and _is_name(token, plain, begins=begins):
        # "US" is not "us" and "Apple" no apple, but an acronym is often written small.
        return [Word(plain if token.isupper() and len(token) > 2 else token, is_slot=True)]
    return [Word(word, is_slot=word in english.CALENDAR) for word in _spoken(plain)]


def _is_name(token: str, plain: str, *, begins: bool) -> bool:
    if not token[0].isupper() or plain == "i" or plain.startswith("i'"):
        return False
    if token.isupper():
        return len(token) > 1 or not begins
    return not begins and (plain not in english.DROPPED or plain == "will")


def _spoken(word: str) -> list[str]:
    if word in english.SPOKEN:
        return english.SPOKEN[word].split()
    if word in english.NEGATED:
        return [word[:-2], "not"]
    for ending, full in english.ENDINGS:
        if word.endswith(ending) and word != ending:
            return [part for part in (word.removesuffix(ending), full) if part]
    return [word]


def _strip(words: list[Word]) -> list[Word]:
    """Without what is said around the request. Something of it always stays."""
    words = [word for word in words if word.is_slot or word.text not in english.ADVERBS] or words
    while 0 < (taken := _prefix(words)) < len(words):
        words = words[taken:]
    while 0 < (taken := _suffix(words)) < len(words):
        words = words[:-taken]
    return _reworded(words)


def _prefix(words: Sequence[Word]) -> int:
    return next((n for n in range(english.LONGEST_PHRASE, 0, -1) if _texts(words[:n]) in english.OPENERS), 0)


def _suffix(words: Sequence[Word]) -> int:
    return next((n for n in range(english.LONGEST_PHRASE, 0, -1) if _texts(words[-n:]) in english.CLOSERS), 0)


def _reworded(words: list[Word]) -> list[Word]:
    for n in range(english.LONGEST_PHRASE, 0, -1):
        if _texts(words[:n]) in english.SAME:
            return [*map(Word, english.SAME[_texts(words[:n])]), *words[n:]]
    return words


def _texts(words: Sequence[Word]) -> tuple[str, ...]:
    return tuple("" if word.is_slot else word.text for word in words)
