"""Traits: what kinds of value a request names, and whether it denies something.

Rules of this file: pure. The slots are those of `guards`, by their form alone. A learned answer that says the same to everybody is
not for a request with a trait that none of its examples has.
"""

from __future__ import annotations

import itertools
import re
from typing import Literal, TypeAlias

from tenure.optimize import english
from tenure.optimize.guards import Word, words

Trait: TypeAlias = Literal["address", "amount", "date", "identifier", "number", "name", "denial", "no denial"]
DENIALS = frozenset({"not", "no", "never", "nor", "neither", "without"})
SIGNS = frozenset("$€£¥")
CURRENCIES = frozenset(
    {"usd", "eur", "gbp", "chf", "jpy", "aud", "cad", "dollar", "euro", "pound", "penny", "pence", "cent"}
)
# Of several forms that fit, the first counts.
FORMS: tuple[tuple[re.Pattern[str], Trait], ...] = (
    (re.compile(r".*@.*|.*://.*|www\..*|[^\W\d][\w-]*(\.[\w-]+)*\.[^\W\d]{2,}(/.*)?", re.IGNORECASE), "address"),
    (
        re.compile(
            r"\d{1,4}([/.-])\d{1,2}\1\d{1,4}|\d{1,2}/\d{1,4}|\d{1,2}:\d\d.*|\d{1,2}(st|nd|rd|th|am|pm)", re.IGNORECASE
        ),
        "date",
    ),
    (re.compile(r"[.,]?\d{1,4}|\d{1,3}([.,]\d{3})+([.,]\d+)?|\d*[.,]\d+", re.IGNORECASE), "number"),
    (re.compile(r".*\d.*"), "identifier"),
    (re.compile(r"[^\W\d].*"), "name"),
)


def traits(request: str) -> frozenset[Trait]:
    """The traits of a request; each has either "denial" or "no denial"."""
    said = words(request)
    around = zip([None, *said[:-1]], said, itertools.chain(said[1:], [None]), strict=True) if said else ()
    found: set[Trait] = {trait for before, word, after in around if (trait := _trait(before, word, after))}
    denies: Trait = "denial" if any(not word.is_slot and word.text in DENIALS for word in said) else "no denial"
    return frozenset({*found, denies})


def _trait(before: Word | None, word: Word, after: Word | None) -> Trait | None:
    if word.text in SIGNS or (_is_money(word) and _is_figure(before)):
        return "amount"
    if not word.is_slot:
        return None
    if word.text.casefold() in english.CALENDAR | {"may", "march"}:
        return "date"
    if _is_figure(word) and (_is_money(before) or _is_money(after)):
        return "amount"
    if before is not None and before.text == "#":
        return "identifier"
    return next((trait for form, trait in FORMS if form.fullmatch(word.text)), None)


def _is_figure(word: Word | None) -> bool:
    return word is not None and word.text.lstrip(".,")[:1].isdigit()


def _is_money(word: Word | None) -> bool:
    return word is not None and (word.text in SIGNS or word.text.casefold().removesuffix("s") in CURRENCIES)
