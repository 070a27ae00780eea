"""What a rollout and a miner read and keep: the values they exchange with their activities.

Rules of this file: frozen values that grow only by fields with defaults and ignore what they do not know, as in `tenure.run`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from tenure.learn.events import Breach, Compared, Served
from tenure.learn.rollout import Policy, Rollout
from tenure.wire import JsonObject, Wire

MORE = 200  # trials in one batch


class Which(Wire):
    """One version of one capability of an agent of a tenant."""

    tenant: str
    agent: str
    capability: str
    version: int


class Tested(Wire):
    """What came of the test of a capability: the digest of the report, and what it says. `policy`: None, the agent learns no more.

    `card` is what people are shown of it when they are asked.
    """

    digest: str
    report: str = ""
    coverage: Decimal = Decimal(0)
    wrong_writes: int = 0
    card: JsonObject = Field(default_factory=dict[str, object])
    policy: Policy | None = None


class ReadTrials(Wire):
    """Read what came of the runs that it was tried on, after trial number `after`."""

    of: Which
    digest: str
    after: int = 0


class Trials(Wire):
    """What was read, in order, and how far it goes; the events have no numbers yet. `more`: there is more to read."""

    events: list[Annotated[Compared | Served | Breach, Field(discriminator="kind")]] = Field(
        default_factory=list[Compared | Served | Breach]
    )
    read_to: int = 0
    more: bool = False
    policy: Policy | None = None


class KeepRollout(Wire):
    """Keep the rollout as it is now. `deployed` and `promoted` are the requests that people approved; `by` is whom it is owed."""

    of: Which
    rollout: Rollout
    percent: int
    read_to: int
    at: int
    deployed: str = ""
    promoted: str = ""
    by: str = ""
    require_approval: bool = True


class Set(Wire):
    """What a rollout is started with: the version, bound by its digest."""

    of: Which
    digest: str


class Mine(Wire):
    """Look for patterns in the runs of an agent; of one tenant, or of each.

    `again`: capabilities that are to be proposed anew where the same is found of which a version has ended. With a `pack` nothing
    is looked for: what it holds is proposed, or refused.
    """

    agent: str
    tenant: str | None = None
    again: list[str] = Field(default_factory=list[str])
    pack: str = ""


class Found(Wire):
    """A pattern: what the runs have in common, how many there are, and what became of it.

    `version` counts those of a capability; of `answers`, how many different ones are given from now on.
    `family`: where induction has found nothing, the id of the family of runs that Claude may write a program for.
    """

    tenant: str
    agent: str
    capability: str
    runs: int
    what: Literal["new", "known", "refused", "answers"]
    version: int = 0
    digest: str = ""
    why: str = ""
    family: str = ""


class Write(Wire):
    """Have Claude write a program for a family of so many `runs`, of which induction has found nothing; `why` says why not."""

    tenant: str
    agent: str
    family: str
    why: str
    runs: int = 0


class Mined(Wire):
    """What was found. `read` is how many recordings were looked at."""

    found: list[Found] = Field(default_factory=list[Found])
    read: int = 0
