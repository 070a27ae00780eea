"""Slots: how a request is cut into tokens: typed values (an address, an identifier, an amount), words and signs.

Rules of this file: pure, and nothing of a request is lost. Every character that is no white space stands in exactly one token,
so that what matches all tokens has explained the whole request. Types are told by spelling alone, never by a trade's words.
ASCII digits only: `\\d` would take digits of any script, which a tool may read as others than a person does.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

Type: TypeAlias = Literal["email", "quoted", "braced", "date", "money", "identifier", "number"]
Kind: TypeAlias = Type | Literal["word", "sign"]

LONGEST = 4000  # characters of a request that a capability reads; a longer one is for the model
# Ordered: the first that matches wins. None may end inside a word: "12abc" with a letter of another script is no identifier.
SPELLINGS: tuple[tuple[Kind, str], ...] = (
    ("email", r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+(?![\w@])"),
    ("quoted", r'"[^"\n]{1,200}"|“[^”\n]{1,200}”'),
    ("braced", r"\{[^{}\n]{0,400}\}"),
    ("date", r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?![\w-])|[0-9]{1,2}/[0-9]{1,2}/[0-9]{2,4}(?![\w/])"),
    ("money", r"[$€£] ?[0-9]+(?:,[0-9]{3})*(?:\.[0-9]{2})?(?![\w,]*[0-9])(?!\w)"),
    ("number", r"[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?(?![\w-])(?![.,][0-9])"),
    ("identifier", r"#?(?=[A-Za-z_-]*[0-9])[A-Za-z0-9]+(?:[_-][A-Za-z0-9]+)*(?![\w-])"),
    ("word", r"[^\W\d_]+(?:['’-][^\W\d_]+)*"),
    ("sign", r"\S"),
)
TOKEN = re.compile("|".join(f"(?P<{kind}>{spelling})" for kind, spelling in SPELLINGS))
WORDS_AND_SIGNS = frozenset({"word", "sign"})
CLOSING = frozenset(".!")  # at the very end they ask for nothing; a question mark does
CONTROL = re.compile(r"[^\t\n\r\x20-\x7e]")
MARKS = {"money": re.compile(r"^[$€£]"), "date": re.compile(r"[/-]"), "identifier": re.compile(r"^#?[A-Za-z_-]*")}


@dataclass(frozen=True)
class Token:
    """One piece of a request as it is written; `text` keeps the quotes of what is quoted, `value` does not.

    What is quoted or in braces is one value, whatever words it holds: it is data, and a tool or a look-up tells what it is worth.
    """

    kind: Kind
    text: str

    @property
    def is_typed(self) -> bool:
        """Whether it is a value by its spelling, whatever stands around it."""
        return self.kind not in WORDS_AND_SIGNS

    @property
    def value(self) -> str:
        """What a tool would be given."""
        return self.text[1:-1] if self.kind == "quoted" else self.text

    @property
    def key(self) -> str:
        """Equal for tokens that say the same in a template: of a value only its type, of a word not how it is written."""
        if self.kind in ("money", "date"):
            return f"<{self.kind} {mark(self)}>"
        return f"<{self.kind}>" if self.is_typed else plain(self.text)


def cut(request: str) -> list[Token] | None:
    """The request's tokens, without full stops at its end. None where it is too long or does not read as it is stored."""
    if len(request) > LONGEST or not is_legible(request):
        return None
    found = [
        Token(cast("Kind", match.lastgroup), match.group())
        for match in TOKEN.finditer(unicodedata.normalize("NFC", request))
    ]
    while found and found[-1].text in CLOSING:
        found.pop()
    return found


def is_legible(text: str) -> bool:
    """Whether it reads as it is stored: no control or format characters, no word that mixes scripts (Unicode TR 39)."""
    if text.isascii():
        return CONTROL.search(text) is None
    text = unicodedata.normalize("NFC", text)
    if any(unicodedata.category(sign)[0] in "CM" and sign not in "\n\t\r" for sign in text):
        return False
    return all(len(scripts(word)) <= 1 for word in re.findall(r"\w+", text))


def scripts(word: str) -> frozenset[str]:
    """The scripts of its letters and digits, by the first word of their Unicode names; ASCII digits belong to any."""
    signs = [sign for sign in word if sign.isalnum() and sign not in "0123456789"]
    return frozenset(unicodedata.name(sign, "UNKNOWN").split()[0] for sign in signs)


def plain(word: str) -> str:
    """In small letters, of ASCII only: `casefold` would make look-alikes equal."""
    return "".join(sign.lower() if sign.isascii() else sign for sign in word)


def mark(token: Token) -> str:
    """What tells values of one type apart: the currency, the sign in a date, what an identifier begins with (`#W` of #W1234567)."""
    found = MARKS.get(token.kind, re.compile("")).search(token.text)
    return found.group() if found else ""
