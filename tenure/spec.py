"""What an agent is: its declaration, checked at construction, and the fingerprint workers announce."""

from __future__ import annotations

import difflib
import functools
import hashlib
import re
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, ValidationError, model_validator

from tenure.errors import ConfigError
from tenure.run import Snapshot
from tenure.tools import Function, Tool
from tenure.transcript import canonical
from tenure.wire import STATE_LIMIT, Json, JsonObject

NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
DEFAULT_MODEL = "claude-sonnet-5-5"


class AgentSpec(BaseModel):
    """An agent's declaration.

    `timeout` is in seconds per iteration and excludes waiting for people. `error_threshold` is how many tool calls may fail
    in a row. `until(state)` is asked before every model call and ends the run when it is true. Raises ConfigError.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", arbitrary_types_allowed=True, ignored_types=(functools.cached_property,)
    )

    name: str
    model: str = DEFAULT_MODEL
    instructions: str = ""
    tools: tuple[Tool, ...] = ()
    max_iterations: int = Field(default=10, ge=1, le=10_000)
    max_tokens: int = Field(default=4096, ge=1)
    timeout: float = Field(default=60.0, gt=0, allow_inf_nan=False)
    error_threshold: int = Field(default=3, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=1)
    effort: str | None = None
    state: JsonObject = Field(default_factory=dict[str, Json])
    until: Callable[[JsonObject], bool] | None = None

    @model_validator(mode="wrap")
    @classmethod
    def _explain(
        cls, data: dict[str, Any], handler: ModelWrapValidatorHandler[AgentSpec]
    ) -> AgentSpec:  # Any: not yet validated
        known = set(cls.model_fields)
        for key in (key for key in data if key not in known):
            near = difflib.get_close_matches(key, known, 1)
            raise ConfigError(f"Agent has no parameter {key!r}" + (f": did you mean {near[0]!r}?" if near else ""))
        if "tools" in data:
            data = {**data, "tools": tuple(_as_tool(item) for item in data["tools"])}
        try:
            spec = handler(data)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise ConfigError(
                f"Agent {'.'.join(map(str, first['loc']))}={first['input']!r:.80}: {first['msg']}"
            ) from error
        spec._check()
        return spec

    def _check(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ConfigError(f"agent name {self.name!r}: must match {NAME.pattern} (it becomes part of workflow ids)")
        seen: set[str] = set()
        for entry in self.tools:
            if entry.name in seen:
                raise ConfigError(f"agent {self.name!r}: two tools are named {entry.name!r}; give one another name=")
            seen.add(entry.name)
        try:
            size = len(canonical(self.state))
        except (TypeError, ValueError) as error:
            raise ConfigError(f"agent {self.name!r}: the initial state is not JSON: {error}") from error
        if size > STATE_LIMIT:
            raise ConfigError(f"agent {self.name!r}: the initial state takes {size:,} bytes, at most {STATE_LIMIT:,}")

    @functools.cached_property
    def tool(self) -> dict[str, Tool]:
        """The tools by name."""
        return {entry.name: entry for entry in self.tools}

    @functools.cached_property
    def manifest(self) -> JsonObject:
        """Everything that makes this agent behave as it does, as JSON."""
        return {
            **self.model_dump(include={"name", "model", "instructions", "max_iterations", "max_tokens", "timeout"}),
            **self.model_dump(include={"error_threshold", "temperature", "effort", "state"}),
            "until": getattr(self.until, "__qualname__", None),
            "tools": [{**entry.manifest, **entry.facts(self.timeout).model_dump(mode="json")} for entry in self.tools],
        }

    @functools.cached_property
    def fingerprint(self) -> str:
        """16 hex digits that change with anything in the manifest."""
        return hashlib.sha256(canonical(self.manifest).encode()).hexdigest()[:16]

    def snapshot(self) -> Snapshot:
        """The part of the declaration a workflow decides by; recorded once in the history of each run."""
        return Snapshot(
            agent=self.name,
            fingerprint=self.fingerprint,
            model=self.model,
            max_iterations=self.max_iterations,
            timeout=self.timeout,
            error_threshold=self.error_threshold,
            tools={entry.name: entry.facts(self.timeout) for entry in self.tools},
            **({"state": self.state} if self.state else {}),
        )


def _as_tool(item: Tool | Function) -> Tool:
    if isinstance(item, Tool):
        return item
    if callable(item):
        return Tool(item)
    raise ConfigError(f"tools: {item!r} is neither a @tool nor a function")
