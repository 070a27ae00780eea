"""What every value on the wire is made of: JSON, the frozen base class, the limits of what history may hold."""

from __future__ import annotations

from typing import Any, TypeAlias

from pydantic import BaseModel, ConfigDict

# JSON as parsed: dict, list, str, int, float, bool or None. Any, because its shape belongs to Claude and to users.
Json: TypeAlias = Any
JsonObject: TypeAlias = dict[str, Json]

INLINE_LIMIT = 64 * 1024  # bytes of JSON above which content travels as a reference to a blob
MESSAGE_LIMIT = 256 * 1024  # bytes of a message that a client without a blob store may send
STATE_LIMIT = 64 * 1024  # bytes of JSON that a run's merged state may take


class Wire(BaseModel):
    """Base of every value that is serialised into workflow history."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class BlobRef(Wire):
    """Content kept outside history: its SHA-256 (hex) and its size in bytes."""

    blob: str
    size: int
