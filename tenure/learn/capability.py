"""Capabilities: what was learned, as data that a person reads, approves by its digest, and a sandbox runs."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Self

from pydantic import Field, ValidationError, field_validator, model_validator

from tenure.errors import BadInput
from tenure.learn.program import Problem
from tenure.learn.subset import parsed
from tenure.learn.trigger import Captured, Trigger, match, names
from tenure.wire import Wire

ID = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")


class Capability(Wire):
    """One learned capability.

    `slots` holds the type of each slot by name, `guards` what the program checks in plain words, `tools` all it may call,
    `changes` those of them that change something in the order in which it calls them, `answer` the template of the answer for
    people ("" where there is none), `provenance` the runs it was learned from, `tests` the held-out runs it was tried on.
    """

    id: str
    version: int = Field(default=1, ge=1)
    agent: str
    fingerprint: str
    trigger: Trigger
    slots: dict[str, str]
    program: str = Field(min_length=1)
    guards: list[str] = Field(default_factory=list[str])
    tools: list[str]
    changes: list[str]
    answer: str = ""
    provenance: list[str] = Field(min_length=1)
    tests: list[str] = Field(default_factory=list[str])

    @field_validator("id")
    @classmethod
    def _slug(cls, value: str) -> str:
        if not ID.fullmatch(value):
            raise ValueError(f"{value!r} does not match {ID.pattern}")
        return value

    @field_validator("trigger")
    @classmethod
    def _matches_something(cls, value: Trigger) -> Trigger:
        if not value.parts:
            raise ValueError("a trigger without parts would match everything")
        return value

    @field_validator("program")
    @classmethod
    def _parses(cls, value: str) -> str:
        tree = parsed(value)
        if isinstance(tree, Problem):
            raise ValueError(f"is no program: {tree}")
        return value

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        unknown = sorted(set(self.changes) - set(self.tools))
        if unknown:
            raise ValueError(f"changes: {unknown[0]!r} is not among the tools")
        if set(self.slots) != set(names(self.trigger.parts)):
            raise ValueError(
                f"slots: {sorted(self.slots)} are not those of the trigger: {sorted(names(self.trigger.parts))}"
            )
        return self

    @property
    def digest(self) -> str:
        """64 hex digits, equal for equal capabilities: SHA-256 over its JSON with sorted keys and no white space."""
        told = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(told.encode()).hexdigest()

    def inputs(self, request: str) -> Captured | None:
        """The program's inputs for this request, all slots by name; None where the capability does not answer it."""
        return match(self.trigger, request)


def parse(text: str) -> Capability:
    """A capability from its JSON. Raises BadInput, which names the field that is not as it must be."""
    try:
        return Capability.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "as a whole"
        raise BadInput(f"this is no capability: {field}: {first['msg'].removeprefix('Value error, ')}") from error
