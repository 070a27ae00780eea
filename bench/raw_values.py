"""The baseline's values: what its workflows and activities exchange."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


class Request(BaseModel):
    """One run. `seq` counts rows written before it continued as new."""

    message: str = ""
    seq: int = 0
    results_in_history: bool = False


class Ask(BaseModel):
    """The whole conversation."""

    messages: list[dict[str, Any]]


class Row(BaseModel):
    """The conversation by reference: rows before `seq` of `key`; `message` begins it."""

    key: str
    seq: int
    message: str = ""


class Call(BaseModel):
    """The tool call `id` of the turn in row `turn`, whose result becomes row `seq`; `told` returns it as well."""

    key: str
    seq: int
    id: str
    turn: int
    told: bool = False
