"""What an agent is: its declaration, checked at construction, and the fingerprint workers announce."""

from __future__ import annotations

import difflib
import functools
import hashlib
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, ValidationError, model_validator

from tenure.errors import ConfigError
from tenure.hooks import HOOKS
from tenure.learn import Learning
from tenure.optimize import Budget, Optimization
from tenure.run import Snapshot, ToolFacts
from tenure.tools import LONGEST, Function, Tool, manifests
from tenure.transcript import canonical
from tenure.trust import known, pattern
from tenure.trust.config import Trust
from tenure.trust.grammar import parse
from tenure.trust.ledger import Policy
from tenure.trust.limits import RateLimit
from tenure.trust.terms import Terms, strictest
from tenure.wire import STATE_LIMIT, Json, JsonObject

NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
DEFAULT_MODEL = "claude-sonnet-5-5"
SUMMARISER = "claude-haiku-5-5"  # makes the summaries of agents that have a context_window
EFFORTS = ("low", "medium", "high", "xhigh", "max")
CONTEXT_LEAST = 2_000  # tokens: below, not even a summary and one turn fit
LATER = {  # named by the design, not yet built: said so, instead of calling them unknown
    "channels", "message_handling", "audit", "privacy", "mcp_servers",
}  # fmt: skip
TRUSTED = {name for key, field in Trust.model_fields.items() for name in (key, field.alias)}
Hook = Callable[..., Any]  # what hooks take and may return is in tenure.hooks; sync or async


class AgentSpec(BaseModel):
    """An agent's declaration.

    `timeout` is in seconds per iteration and excludes waiting for people and for rate limits. `max_tokens` bounds one answer.
    `temperature` (0..1) and `effort` go to Claude as they are. `error_threshold` is how many tool calls may fail in a row.
    `context_window` is in tokens: above it the oldest tool results are cleared, then old turns are summarised.

    `state` is what a run begins with (JSON, at most 64 KB). `required_state` names variables that must be there before every
    model call; a mapping gives each a function that recovers it, or None to halt. `roles` maps a role to patterns of the tools it
    may use; with it a run without one of these roles is refused. `rate_limits` maps a pattern of tools to "10/hour". A limit, and
    the patterns of a role together, must name a tool.

    `trust` says which calls each level of trust may make; see `tenure.trust.Trust`. `optimization` says what may be spent, and on
    which models; see `tenure.optimize.Optimization`. `learning` says what is learned from its runs; see `tenure.learn.Learning`.

    `until`, `on_iteration`, `on_tool_call`, `on_error`, `on_response` and `evaluate` are hooks: see `tenure.hooks` for what they
    are given and may return. They run in the worker, never in workflow code, at least once. Raises ConfigError.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", arbitrary_types_allowed=True, ignored_types=(functools.cached_property,)
    )

    name: str
    model: str = Field(default=DEFAULT_MODEL, min_length=1)
    instructions: str = ""
    tools: tuple[Tool, ...] = ()
    max_iterations: int = Field(default=10, ge=1, le=10_000)
    max_tokens: int = Field(default=4096, ge=1)
    timeout: float = Field(default=60.0, gt=0, le=LONGEST, allow_inf_nan=False)
    error_threshold: int = Field(default=3, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=1)
    effort: str | None = None
    context_window: int | None = Field(default=None, ge=CONTEXT_LEAST)
    state: JsonObject = Field(default_factory=dict[str, Json])
    required_state: dict[str, Hook | None] = Field(default_factory=dict[str, Hook | None])
    roles: dict[str, tuple[str, ...]] = Field(default_factory=dict[str, tuple[str, ...]])
    rate_limits: dict[str, RateLimit] = Field(default_factory=dict[str, RateLimit])
    trust: Trust | None = None
    optimization: Optimization | None = None
    learning: Learning | None = None  # not in the manifest: how it learns does not change what it is
    until: Hook | None = None
    on_iteration: Hook | None = None
    on_tool_call: Hook | None = None
    on_error: Hook | None = None
    on_response: Hook | None = None
    evaluate: Hook | None = None

    @model_validator(mode="wrap")
    @classmethod
    def _explain(
        cls, data: dict[str, Any], handler: ModelWrapValidatorHandler[AgentSpec]
    ) -> AgentSpec:  # Any: not yet validated
        for key in (key for key in data if key not in cls.model_fields):
            raise ConfigError(f"Agent has no parameter {key!r}{_instead(key, cls.model_fields)}")
        if "tools" in data:
            data = {**data, "tools": tuple(_as_tool(item) for item in _listed("tools", data["tools"]))}
        if "required_state" in data and not isinstance(data["required_state"], Mapping):
            data = {**data, "required_state": _names("required_state", data["required_state"])}
        try:
            spec = handler(data)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise ConfigError(
                f"Agent {'.'.join(map(str, first['loc']))}={first['input']!r:.80}: {first['msg']}"
            ) from error
        spec._check()
        return spec

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:  # Any: pydantic's own
        """Another agent, declared and checked as one: a copy of what was derived from the old declaration would lie."""
        return type(self)(**{name: getattr(self, name) for name in type(self).model_fields} | dict(update or {}))

    def _check(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ConfigError(f"agent name {self.name!r}: must match {NAME.pattern} (it becomes part of workflow ids)")
        seen: set[str] = set()
        for entry in self.tools:
            if entry.name in seen:
                raise ConfigError(f"agent {self.name!r}: two tools are named {entry.name!r}; give one another name=")
            seen.add(entry.name)
        self._check_policy()
        self._check_state()

    def _check_policy(self) -> None:
        if self.effort is not None and self.effort not in EFFORTS:
            raise ConfigError(f"agent {self.name!r}: effort={self.effort!r} must be one of {', '.join(EFFORTS)}")
        for role, patterns in self.roles.items():
            pattern.check(f"agent {self.name!r}: roles[{role!r}]", patterns, self.tool)
            known.check_tools(f"agent {self.name!r}: roles[{role!r}]", patterns, self.tool)
        pattern.check(f"agent {self.name!r}: rate_limits", self.rate_limits, self.tool)
        for limited in self.rate_limits:
            known.check_tools(f"agent {self.name!r}: rate_limits", [limited], self.tool)
        self._check_trust()
        for entry in self.tools:
            pattern.check(f"tool {entry.name!r}: invalidates", entry.invalidates or (), self.tool)
        for name in HOOKS:
            _check_hook(f"agent {self.name!r}: {name}", getattr(self, name))
        for name, recover in self.required_state.items():
            if not name:
                raise ConfigError(f"agent {self.name!r}: required_state names a variable '': give it a name")
            _check_hook(f"agent {self.name!r}: required_state[{name!r}]", recover)

    def _check_trust(self) -> None:
        if self.trust is None:
            return
        schemas = {entry.name: entry.manifest["input_schema"] for entry in self.tools}
        for check, many in (
            (known.check_grant, self.trust.granting),
            (known.check_restriction, self.trust.restricting),
        ):
            for place, told in many:
                where = f"agent {self.name!r}: {place}"
                pattern.check(where, [parse(told).pattern], self.tool)
                check(where, told, schemas)
        self._check_ways()

    def _check_ways(self) -> None:
        """Two entries of `approvals` that always apply together must leave a way to answer."""
        for name, facts in self.facts.items():
            always = [told.terms for told in facts.approvals if not parse(told.permission).conditions]
            if not strictest([Terms(), *always]).via:
                told = f"agent {self.name!r}: trust.approvals: nobody could approve {name}"
                raise ConfigError(f"{told}: one entry takes answers by cli only, another by gateway only")

    def _check_state(self) -> None:
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
            **self.model_dump(include={"error_threshold", "temperature", "effort", "state", "context_window"}),
            **self.model_dump(mode="json", include={"roles", "rate_limits", "trust", "optimization"}),
            **{name: _named(getattr(self, name)) for name in HOOKS},
            "required_state": {name: _named(recover) for name, recover in self.required_state.items()},
            "tools": [{**entry.manifest, **_told(self.facts[entry.name])} for entry in self.tools],
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
            tools=self.facts,
            **self._more(),
        )

    @functools.cached_property
    def facts(self) -> dict[str, ToolFacts]:
        """What is ruled on, by tool."""
        return {entry.name: self._facts(entry) for entry in self.tools}

    @property
    def budget(self) -> Budget:
        """What the agent may spend."""
        return self.optimization.budget if self.optimization else Budget()

    @property
    def fallback(self) -> tuple[str, ...]:
        """The models that follow on its own when that does not fit the budget any more."""
        falls_back = self.budget.on_exhausted == "fallback"
        return self.optimization.models if self.optimization and falls_back else ()

    @property
    def models(self) -> list[str]:
        """Every model that may be asked for the agent."""
        told = self.optimization
        beside = (
            [SUMMARISER] if self.context_window or (told and (told.rules or self.learns_answers) and told.audit) else []
        )
        return [self.model, *(told.models if told else ()), *beside]

    @property
    def audited(self) -> float:
        """The share of answers given again for which Claude is asked all the same."""
        return float(self.optimization.audit) if self.optimization else 0.0

    @property
    def learns(self) -> bool:
        """Whether capabilities are learned from its runs."""
        return self.learning is not None and self.learning.enabled

    @property
    def learns_answers(self) -> bool:
        """Whether answers are."""
        how = self.optimization
        return how is not None and how.patterns is not None and how.patterns.auto_detect and "pattern" in how.fallback

    @property
    def records(self) -> bool:
        """Whether its runs are kept to learn from."""
        return self.learns or self.learns_answers

    @property
    def level(self) -> int | None:
        """The level (tenths) that an agent without history begins with; None without `trust`."""
        return None if self.trust is None else min(self.trust.initial, self.trust.cap)

    @functools.cached_property
    def policy(self) -> Policy | None:
        """How the agent's trust rises and falls, as a worker announces it."""
        if self.trust is None:
            return None
        told = self.trust
        return Policy(
            fingerprint=self.fingerprint,
            initial=told.initial,
            cap=told.cap,
            rules=told.steps,
            evidence=told.evidence,
        )

    def _facts(self, entry: Tool) -> ToolFacts:
        facts = entry.facts(self.timeout)
        told: dict[str, Any] = {"defaults": known.defaults(entry.manifest["input_schema"])}  # Any: the fields' types
        if self.trust is not None:
            told["permits"] = self.trust.permits(entry.name)
            told["rules"] = self.trust.rules_for(entry.name)
            told["approvals"] = self.trust.approving(entry.name)
        return facts.model_copy(update={name: value for name, value in told.items() if value})

    def _more(self) -> dict[str, Any]:  # Any: values of several fields; those an agent does not use stay out of history
        hooks = [name for name in HOOKS if getattr(self, name) is not None]
        hooks += ["required_state"] if any(self.required_state.values()) else []
        told: dict[str, Any] = {  # Any: as above
            "state": self.state,
            "hooks": hooks,
            "roles": {role: list(patterns) for role, patterns in self.roles.items()},
        }
        level = {} if self.level is None else {"level": self.level}
        return {name: value for name, value in told.items() if value} | level

    def idle_patterns(self) -> list[tuple[str, str]]:
        """Patterns that grant what is not there yet, each with the parameter it stands in: a word to whoever starts a worker."""
        told = [(f"roles[{role!r}]", named) for role, patterns in self.roles.items() for named in patterns]
        told += [(where, parse(written).pattern) for where, written in (self.trust.granting if self.trust else ())]
        return [(where, named) for where, named in told if not any(pattern.matches(named, tool) for tool in self.tool)]

    def offered(self, role: str | None) -> list[JsonObject]:
        """The tool definitions that Claude is sent in a run of this role."""
        return self._offers.get(role or "", []) if self.roles else self._offers[None]

    @functools.cached_property
    def _offers(self) -> dict[str | None, list[JsonObject]]:
        """By role; None: without roles. Made once, because every model call sends them."""
        allowed: dict[str | None, tuple[str, ...]] = {**self.roles, None: ("*",)}
        return {
            role: manifests(
                [
                    entry
                    for entry in self.tools
                    if pattern.any_matches(patterns, entry.name) and self._may_be_called(entry)
                ]
            )
            for role, patterns in allowed.items()
        }

    def _may_be_called(self, entry: Tool) -> bool:
        """Whether any call of the tool can pass the gate at all, by itself or with a person's approval."""
        if self.trust is None:
            return True
        always = [rule for rule in self.trust.rules_for(entry.name) if not parse(rule.permission).conditions]
        return bool(self.trust.permits(entry.name)) and not any(rule.decision == "deny" for rule in always)

    def limits(self, tool: str) -> dict[str, RateLimit]:
        """The rate limits that a call of this tool counts for, by their patterns."""
        return {told: limit for told, limit in self.rate_limits.items() if pattern.matches(told, tool)}


def _instead(key: str, names: Iterable[str]) -> str:
    """What to write in place of a parameter that there is not."""
    if key in TRUSTED:
        return f": write trust=Trust({key}=...), with `from tenure.trust import Trust`"
    near = difflib.get_close_matches(key, names, 1)
    if near:
        return f": did you mean {near[0]!r}?"
    return ": this version of Tenure cannot do it yet" if key in LATER else ""


def _listed(what: str, items: Any) -> Iterable[Any]:  # Any: not yet validated
    if isinstance(items, str | bytes) or not isinstance(items, Iterable):
        raise ConfigError(f"{what}={items!r:.80}: must be a list")
    return items  # pyright: ignore[reportUnknownVariableType]  # each item is checked where it is used


def _told(facts: ToolFacts) -> JsonObject:
    """What of a tool's facts belongs to the manifest: its defaults stand in the input schema already."""
    # `shared` came later, and an agent that does not use it stays who it is.
    return facts.model_dump(mode="json", exclude={"defaults"} | ({"shared"} if not facts.shared else set()))


def _names(what: str, items: Any) -> dict[str, None]:  # Any: not yet validated
    names = list(_listed(what, items))
    wrong = next((name for name in names if not isinstance(name, str)), None)
    if wrong is not None:
        raise ConfigError(f"{what}={items!r:.80}: {wrong!r:.40} is no name of a variable: write strings")
    return dict.fromkeys(names)


def _named(hook: Hook | None) -> str | None:
    return None if hook is None else getattr(hook, "__qualname__", type(hook).__qualname__)


def _check_hook(where: str, hook: Hook | None) -> None:
    if hook is None:
        return
    try:
        inspect.signature(hook).bind(object())
    except TypeError as error:
        raise ConfigError(f"{where}: it is called with one argument ({error}): see tenure.hooks") from error
    except ValueError:
        return  # a builtin without a signature: it says what is wrong when it is called


def _as_tool(item: Tool | Function) -> Tool:
    if isinstance(item, Tool):
        return item
    if callable(item):
        return Tool(item)
    raise ConfigError(f"tools: {item!r} is neither a @tool nor a function")
