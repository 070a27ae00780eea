"""Rate limits: how often an agent may call a tool in a sliding window of time, for each tenant.

Rules of this file: pure values; calls are counted in the transaction that writes the effect.
"""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "s": 1, "m": 60, "h": 3600, "d": 86_400}
WRITTEN = re.compile(r"\s*(\d{1,9})\s*/\s*(\d{0,6})\s*([a-z]+)\s*")
WAIT = 60  # seconds a run waits for a limit to allow a call, before Claude is told that it does not


class RateLimit(BaseModel):
    """At most `limit` calls in any `per` seconds. Written "10/hour", "2/s" or "100/15m"."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    limit: int = Field(ge=1)
    per: int = Field(ge=1)

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:  # Any: not yet validated
        if not isinstance(value, str):
            return value
        told = WRITTEN.fullmatch(value)
        unit = told and (SECONDS.get(told[3]) or SECONDS.get(told[3].removesuffix("s")))
        if not told or not unit:
            raise ValueError("write a count, a slash and a time, as in '10/hour', '2/s' or '100/15m'")
        return {"limit": int(told[1]), "per": int(told[2] or 1) * unit}

    def __str__(self) -> str:
        return f"{self.limit} in {self.per:,} s"
