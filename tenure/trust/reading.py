"""What a ledger reads and keeps: the values it exchanges with its activities.

Rules of this file: frozen values that grow only by fields with defaults and ignore what they do not know, as in `tenure.run`.
"""

from __future__ import annotations

from pydantic import Field

from tenure.trust.evidence import Judged
from tenure.trust.ledger import Ledger, Policy
from tenure.wire import Wire

EVERY = 12_000  # milliseconds between two looks at the outcomes: longer than nudges are held back
IDLE = 3600_000  # milliseconds without a word after which a ledger rests; the next nudge brings it back


class ReadOn(Wire):
    """Read what came after outcome number `after`; `fresh`: the ledger has just begun, and wants what was kept of it.

    `level` is the one it has, in tenths: it wants to know of a lower one.
    """

    tenant: str
    agent: str
    after: int = 0
    fresh: bool = False
    level: int = 0


class Heard(Wire):
    """One thing that was said of run `run`: whether it was good, or that something severe happened in it."""

    run: str
    judged: Judged | None = None
    severe: bool = False
    why: str = ""


class Batch(Wire):
    """What was read, in order: `policy` as announced now (None: the agent has no `trust`), and how far it goes.

    `finished` is how many runs of the agent have ended so far.
    `kept` is the ledger as the store has it: all of it for one that has just begun, for another only where its level is lower.
    `digest` binds what was heard. `more`: there is more to read.
    """

    policy: Policy | None = None
    heard: list[Heard] = Field(default_factory=list[Heard])
    finished: int = 0
    read_to: int = 0
    more: bool = False
    digest: str = ""
    kept: Ledger | None = None


class Keep(Wire):
    """Keep the ledger as it is now."""

    tenant: str
    agent: str
    ledger: Ledger
    read_to: int
    at: int
