"""The report on a capability's test: what it does with runs that it was not learned from, as a person reads it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Literal, TypeAlias

from pydantic import Field

from tenure.wire import Wire

Verdict: TypeAlias = Literal["clean", "wrong_write", "differs", "abstained"]
SHOWN = 5  # runs that are named for each way to go wrong


class Case(Wire):
    """One run that was held out: what the program would have done with its request, and why that is so."""

    run: str
    verdict: Verdict
    why: str = ""


class Report(Wire):
    """`cases` are the held-out runs of its kind, `others` how many requests of other kinds it was shown.

    `executed` are those of the others with which it would have done something. `problems` are what the type check says.
    `is_crossed`: each run was tried with the program that the others teach, in turn (cross-validation).
    """

    cases: list[Case] = Field(default_factory=list[Case])
    others: int = 0
    executed: list[Case] = Field(default_factory=list[Case])
    problems: list[str] = Field(default_factory=list[str])
    is_crossed: bool = False

    @property
    def how(self) -> str:
        """What the runs that it was tried on are to it."""
        return "each by a program learned from the others" if self.is_crossed else "none of which it was learned from"

    @property
    def coverage(self) -> Decimal:
        """The share of the held-out runs of its kind with which it does the same, 0 to 1; 0 if it does not pass the type check."""
        if not self.cases or self.problems:
            return Decimal(0)
        return Decimal(self._many("clean")) / len(self.cases)

    @property
    def wrong(self) -> list[Case]:
        """Where it would have changed what the run did not, or left out what it did."""
        return [case for case in (*self.cases, *self.executed) if case.verdict in ("wrong_write", "differs")]

    @property
    def digest(self) -> str:
        """64 hex digits: SHA-256 over its JSON with sorted keys."""
        told = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(told.encode()).hexdigest()

    def lines(self) -> list[str]:
        """It in words, the worst first."""
        told = [f"the type check says: {problem}" for problem in self.problems]
        told += _named(self.wrong, "would have been WRONG")
        told += _named(
            [case for case in self.executed if case.verdict == "clean"], "of another kind, and would be the same"
        )
        told.append(f"{self._many('clean')} of {len(self.cases)} runs, {self.how}: the same changes")
        told += _reasons(case for case in self.cases if case.verdict == "abstained")
        told.append(f"{self.others - len(self.executed)} of {self.others} requests of other kinds: left to Claude")
        return told

    def _many(self, verdict: Verdict) -> int:
        return sum(case.verdict == verdict for case in self.cases)


def _named(cases: Sequence[Case], what: str) -> list[str]:
    more = [f"and {len(cases) - SHOWN} more"] if len(cases) > SHOWN else []
    return [*(f"run {case.run} {what}: {case.why}" for case in cases[:SHOWN]), *more]


def _reasons(cases: Iterable[Case]) -> list[str]:
    return [f"{many} left to Claude: {why}" for why, many in Counter(case.why for case in cases).most_common(SHOWN)]
