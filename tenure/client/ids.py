"""How people name a run or a request: by its whole id, or by so much of one that nobody means another by accident."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, TypeAlias

from tenure.errors import BadInput

LEAST = 6  # characters: an empty variable, or a slip of the finger, must name nothing
REQUEST = "req-"
WHOLE_RUN = re.compile(r"[^:]+:run:[^:]+:[^:]+")
PART = re.compile(rf"[a-z0-9][a-z0-9_.-]{{{LEAST - 1},}}")  # no sign that a search would take for "anything"
Named: TypeAlias = Literal["run", "request"]
RULES: dict[Named, str] = {
    "run": f"write its whole id, or at least {LEAST} characters that its last part begins or ends with; `tenure runs` lists them",
    "request": (
        f"write its whole id, at least {LEAST} characters that it begins or ends with after `{REQUEST}`, or the run that asks (its "
        f"whole id, or at least {LEAST} characters that its last part begins or ends with); `tenure pending` lists them"
    ),
}


def check_text(what: Named, told: str) -> None:
    """Raise BadInput for what no id can hold; a store takes no lone surrogates, which is what other bytes of a shell become."""
    if not told.isprintable():
        raise BadInput(f"{told!r} names no {what}: {RULES[what]}")


def check_part(what: Named, part: str) -> None:
    """Raise BadInput unless `part` may begin or end a request's id, or a run's last part, and is long enough."""
    told = part.removeprefix(REQUEST) if what == "request" else part
    if not PART.fullmatch(told):
        raise BadInput(f"{part!r} names no {what}: {RULES[what]}")


def several(what: Named, part: str, count: int, some: Sequence[str]) -> BadInput:
    """The error where a name fits more than one, of which `some` are named."""
    more = ", ..." if count > len(some) else ""
    verb = f"1 {what} matches" if count == 1 else f"{count:,} {what}s match"
    return BadInput(f"{verb} {part!r} ({', '.join(some)}{more}): {RULES[what]}")
