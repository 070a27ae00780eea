"""Admission: what may be kept to be given again, to anybody who asks the same.

Rules of this file: pure. Whoever is in doubt is not let in. Names are not recognised as such: what people write about themselves is
found by its form (an address, a number that is somebody's) and by the words that go before it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tenure.optimize.guards import LONGEST

ANSWER_LONGEST = 8_000  # characters
_PERSONAL = (
    re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}\.\w"),  # an e-mail address
    re.compile(r"(?:\d[ ./()-]{0,2}){7,}"),  # a telephone, card, account or passport number
    re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,}"),  # an IBAN
    re.compile(r"\b(?:my name is|i am called|my name's|call me|signed|yours sincerely|kind regards|dear (?:mr|mrs|ms|dr))\b", re.I),
    re.compile(r"\b(?:born on|date of birth|my address is|i live (?:at|in)|social security)\b", re.I),
    re.compile(r"\b(?:passport (?:number|no)|password is|pin is \d)", re.I),
)  # fmt: skip


@dataclass(frozen=True)
class Finished:
    """What is known of a run that ended, as far as its answer may be given again.

    `calls` are the tools it called, `pure` those that only read and cannot know whose run it is. `others` counts rows in which
    somebody said more than the request; `spoken` is what was said of the run since.
    """

    request: str
    answer: str
    answered: bool
    tainted: bool
    calls: tuple[str, ...]
    pure: frozenset[str]
    failed: bool
    others: int
    good: int
    bad: int


def is_personal(text: str) -> bool:
    """Whether something in it looks as if it were about somebody in particular."""
    return any(pattern.search(text) for pattern in _PERSONAL)


def may_be_asked_again(request: str) -> bool:
    """Whether an answer to the request may be anybody's."""
    return len(request.strip()) > 0 and len(request) <= LONGEST and not is_personal(request)


def refusal(run: Finished, *, verified: bool) -> str | None:
    """Why the answer is not given again; None where it may be. `verified`: somebody must have called it good."""
    reasons = (
        (not run.answered or not run.answer.strip(), "it did not end with an answer"),
        (run.bad > 0, "somebody called it bad"),
        (verified and run.good == 0, "nobody has called it good"),
        (run.tainted, "it rests on what came from elsewhere"),
        (run.others > 0, "it was told more than the request"),
        (not set(run.calls) <= run.pure, "it did more than read, or read what may be somebody's own"),
        (run.failed, "a call of it failed"),
        (len(run.answer) > ANSWER_LONGEST, "its answer is too long"),
        (not may_be_asked_again(run.request) or is_personal(run.answer), "it holds what looks personal"),
    )
    return next((why for holds, why in reasons if holds), None)
