"""Intents: requests that ask for nothing but a polite word, by all the ways in which they are commonly written.

Rules of this file: pure, and lists of whole requests. "Hello, where is my order?" is no greeting.
"""

from __future__ import annotations

import itertools
import re
import unicodedata

_OPEN = (
    "hi",
    "hello",
    "hey",
    "hiya",
    "howdy",
    "greetings",
    "good morning",
    "good afternoon",
    "good evening",
    "good day",
    "hallo",
)
_WHOM = ("", " there", " all", " everyone", " team", " folks")
_ASKS = (
    "",
    " how are you",
    " how are you doing",
    " how are you today",
    " how is it going",
    " hows it going",
    " whats up",
)
_THANKS = (
    "thanks",
    "thank you",
    "thx",
    "cheers",
    "many thanks",
    "thanks a lot",
    "thank you very much",
    "thank you so much",
)
_FOR = ("", " for your help", " for the help", " for helping", " for that", " again")
_LEAVE = (
    "bye",
    "goodbye",
    "bye bye",
    "see you",
    "see you later",
    "farewell",
    "good night",
    "have a nice day",
    "have a good day",
)
INTENTS: dict[str, frozenset[str]] = {
    "greeting": frozenset("".join(said) for said in itertools.product(_OPEN, _WHOM, _ASKS)),
    "thanks": frozenset("".join(said) for said in itertools.product(_THANKS, _FOR)),
    "goodbye": frozenset(f"{before}{said}" for before in ("", "thanks ", "thank you ", "ok ") for said in _LEAVE),
}
_MARKS = re.compile(r"[^\w\s]")


def says(request: str) -> str:
    """The request in plain words: small letters, no marks, single spaces."""
    text = unicodedata.normalize("NFC", request).casefold().replace("'", "").replace("’", "")
    return " ".join(_MARKS.sub(" ", text).split())
