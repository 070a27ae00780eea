"""Audits: how often an answer that a rule gives is another than Claude would give now, and when a rule closes itself.

A rule is judged by two counts, each for itself. Audits are a random sample of what it would have given: they bound its errors from
both sides. Complaints are no sample: nobody asks for them, and of those who get a wrong answer most say nothing. So they are held
against every answer that the rule has given, as if all others had been right: where even that is more than a rule may be wrong, it
is wrong too often; where it is not, nothing is proven, and `upper` is of audits alone. The two are not added up: the many answers
that nobody compared would outweigh the few that were. Whose mistake it was, the rule's or Claude's in the answer that was given
again, a complaint does not say; it counts either way, once for each run.

Rules of this file: pure. The bounds are those of `tenure.bounds`, one-sided at 95 %, anew at each look.
"""

from __future__ import annotations

from fractions import Fraction

from tenure import bounds

WRONG_AT_MOST = 0.02  # of what a rule gives


def closes(n: int, wrong: int) -> bool:
    """Whether so many wrong ones, of `n` audits or of `n` answers given, prove that the rule is wrong more often than it may be."""
    return bounds.is_more(n, wrong, Fraction(str(WRONG_AT_MOST)))


def upper(audited: int, wrong: int) -> float:
    """The share of wrong ones is no larger, from 0 to 1."""
    return float(bounds.upper(audited, wrong))
