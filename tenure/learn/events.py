"""What happens to the rollout of a capability, and what is decided of it: the values on the wire.

Events are past tense and numbered by whoever tells them, rising by any steps; a number that was heard, or a lower one, is not heard
again. Each names the version of the capability that it speaks of. Times in milliseconds.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from tenure.wire import Wire

What: TypeAlias = Literal["deploy", "promote"]
Stage: TypeAlias = Literal[
    "mined", "validated", "shadow", "canary", "promoted", "rejected", "rolled_back", "retired", "inconclusive"
]


class _Event(Wire):
    number: int
    at: int
    version: int


class Validated(_Event):
    """Held-out recordings were replayed: `coverage` of them (0 to 1) were answered, `wrong_writes` changed what they should not.

    `report` is the digest of the whole report.
    """

    kind: Literal["validated"] = "validated"
    report: str
    coverage: Decimal
    wrong_writes: int


class Answered(_Event):
    """People answered request `asked`, which was about the capability of this digest; or nobody did in time (`expired`)."""

    kind: Literal["answered"] = "answered"
    what: What
    asked: int
    choice: Literal["approved", "denied", "expired"]
    digest: str
    by: list[str] = Field(default_factory=list[str])
    note: str = ""


class Compared(_Event):
    """In the shadow of run `run` the capability did the same (`clean`), wrote what the run did not, differed, or abstained."""

    kind: Literal["compared"] = "compared"
    run: str
    outcome: Literal["clean", "wrong_write", "differs", "abstained"]


class Served(_Event):
    """Run `run` was given to the capability: it did well, failed, left it to the model before it wrote, or is in doubt."""

    kind: Literal["served"] = "served"
    run: str
    outcome: Literal["ok", "failed", "fell_back", "in_doubt"]


class Breach(_Event):
    """Something that must not happen, in run `run`; `wrote`: after the capability's first write.

    A `guard` that fails before it is a fall back, and is told either so or as Served, never twice. `fingerprint`: the agent is
    another than the one it was learned from. `diverged`: the program did not do what its recording says. `changed`: the store holds
    another program than the one that was tested. `unsafe`: somebody has said so of a run whose turns it made.
    """

    kind: Literal["breach"] = "breach"
    run: str
    what: Literal["unexpected_write", "guard", "fingerprint", "diverged", "changed", "unsafe"]
    wrote: bool = False


class Ordered(_Event):
    """A person acts. `reopen` takes up again what ended without a verdict."""

    kind: Literal["ordered"] = "ordered"
    what: Literal["pause", "resume", "roll_back", "retire", "reopen"]
    by: str
    why: str = ""


class Ticked(_Event):
    """Time has passed."""

    kind: Literal["ticked"] = "ticked"


Event: TypeAlias = Annotated[
    Validated | Answered | Compared | Served | Breach | Ordered | Ticked, Field(discriminator="kind")
]


class Moved(Wire):
    """The capability is in another stage."""

    kind: Literal["moved"] = "moved"
    before: Stage
    after: Stage
    why: str


class Asked(Wire):
    """People are asked whether it may be deployed or promoted: the `number`-th request, about exactly this."""

    kind: Literal["asked"] = "asked"
    what: What
    number: int
    digest: str
    version: int
    why: str


class Withdrawn(Wire):
    """A request is not asked any more."""

    kind: Literal["withdrawn"] = "withdrawn"
    number: int
    why: str


class Held(Wire):
    """It serves nothing until a person resumes it."""

    kind: Literal["held"] = "held"
    why: str


class Released(Wire):
    """It goes on where it was held."""

    kind: Literal["released"] = "released"
    why: str


class Refused(Wire):
    """What an event asked for was not done, and has changed nothing."""

    kind: Literal["refused"] = "refused"
    why: str


Decision: TypeAlias = Annotated[Moved | Asked | Withdrawn | Held | Released | Refused, Field(discriminator="kind")]
