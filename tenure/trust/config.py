"""Trust(...): the level an agent begins with, what each level may do, and by which rules it will rise and fall."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel

from tenure.errors import ConfigError
from tenure.trust import level, pattern
from tenure.trust.grammar import parse
from tenure.wire import Wire

METRICS = ("success_rate", "error_rate")


class Rule(BaseModel):
    """When `metric` passes `threshold` (0 to 1), the level moves by `amount` (steps of 0.1).

    `Rule("success_rate", 0.95, "increment", 0.1)`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: str
    threshold: Decimal = Field(ge=0, le=1)
    action: Literal["increment", "decrement"]
    amount: int  # tenths

    def __init__(
        self, metric: str, threshold: float, action: Literal["increment", "decrement"], amount: float, **more: Any
    ) -> None:  # Any: refused by name
        super().__init__(metric=metric, threshold=Decimal(str(threshold)), action=action, amount=amount, **more)  # type: ignore[call-arg]

    @field_validator("amount", mode="before")
    @classmethod
    def _tenths(cls, value: object) -> int:
        return level.read("amount", value)

    @field_validator("metric")
    @classmethod
    def _known(cls, metric: str) -> str:
        if metric not in METRICS:
            near = difflib.get_close_matches(metric, METRICS, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(METRICS)}"
            raise ConfigError(f"trust.rules: metric {metric!r}: {hint}")
        return metric


class Permit(Wire):
    """From this level on (tenths) a call may be made, if its arguments fulfil the permission."""

    level: int
    permission: str


class ToolRule(Wire):
    """A call that the permission means is denied, or a person is asked, whatever the level."""

    decision: Literal["deny", "ask"]
    permission: str


class Trust(BaseModel):
    """What an agent may do, by its level of trust.

    `initial` is the level of an agent without history, `cap` the highest it may have. `permissions` maps a level to the calls that
    are allowed from it on, cumulatively: a call needs the lowest level that allows it, and above the agent's level a person is
    asked; a tool that no level names is denied. `tool_rules` maps permissions to "deny" or "ask", whatever the level. `rules` say
    when the level rises and falls. Levels are 0 to 1 in steps of 0.1. Keys may be written in camelCase. Raises ConfigError.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    initial: int
    rules: tuple[Rule, ...] = ()
    permissions: dict[int, tuple[str, ...]] = Field(default_factory=dict[int, tuple[str, ...]])
    cap: int = level.MOST
    tool_rules: dict[str, Literal["deny", "ask"]] = Field(default_factory=dict[str, Literal["deny", "ask"]])

    @model_validator(mode="wrap")
    @classmethod
    def _explain(cls, data: Any, handler: ModelWrapValidatorHandler[Trust]) -> Trust:  # Any: not yet validated
        try:
            return handler(data if isinstance(data, Trust) else cls._levels(data))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise ConfigError(f"trust.{where}={first['input']!r:.80}: {first['msg']}") from error

    @classmethod
    def _levels(cls, data: Any) -> dict[str, Any]:  # Any: not yet validated
        if not isinstance(data, Mapping):
            raise ConfigError(f"trust={data!r:.80}: must be a Trust, or a dict of what it takes")
        told: dict[str, Any] = {str(key): value for key, value in data.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  # not yet validated
        known = {name for key, field in cls.model_fields.items() for name in (key, field.alias or key)}
        for key in told.keys() - known:
            near = difflib.get_close_matches(key, known, 1)
            raise ConfigError(f"trust has no setting {key!r}" + (f": did you mean {near[0]!r}?" if near else ""))
        if "permissions" in told:
            told["permissions"] = _tiers(told["permissions"])
        for name in ("initial", "cap"):
            if name in told:
                told[name] = level.read(f"trust.{name}", told[name])
        return told

    @model_validator(mode="after")
    def _readable(self) -> Trust:
        if self.initial > self.cap:
            raise ConfigError(f"trust.initial={level.shown(self.initial)} is above cap={level.shown(self.cap)}")
        for told in self.tool_rules:
            parse(told)
        for tier, permissions in self.permissions.items():
            _check_tier(level.shown(tier), permissions)
        shadowed = [told for told, decision in self.tool_rules.items() if decision == "ask" and self._is_denied(told)]
        if shadowed:
            raise ConfigError(f"trust.tool_rules[{shadowed[0]!r}]: never asked, because another rule denies all of it")
        return self

    def _is_denied(self, told: str) -> bool:
        """Whether a rule without conditions denies whatever `told` means."""
        denied = [parse(rule) for rule, decision in self.tool_rules.items() if decision == "deny"]
        wanted = parse(told).pattern
        return any(not one.conditions and _covers(one.pattern, wanted) for one in denied)

    @property
    def written(self) -> list[tuple[str, str]]:
        """Every permission and rule as it was written, each with where it stands."""
        tiers = [
            (f"trust.permissions[{level.shown(tier)}]", told)
            for tier, many in self.permissions.items()
            for told in many
        ]
        return tiers + [("trust.tool_rules", told) for told in self.tool_rules]

    def permits(self, tool: str) -> list[Permit]:
        """From which level on calls of `tool` are allowed, the lowest first."""
        lowest: dict[str, int] = {}
        for tier, many in sorted(self.permissions.items()):
            for told in many:
                lowest.setdefault(told, tier)
        return [
            Permit(level=tier, permission=told)
            for told, tier in lowest.items()
            if pattern.matches(parse(told).pattern, tool)
        ]

    def rules_for(self, tool: str) -> list[ToolRule]:
        """What is denied or asked of `tool` whatever the level."""
        return [
            ToolRule(decision=decision, permission=told)
            for told, decision in self.tool_rules.items()
            if pattern.matches(parse(told).pattern, tool)
        ]


def _tiers(told: object) -> dict[int, Iterable[str]]:
    if not isinstance(told, Mapping):
        raise ConfigError(f"trust.permissions={told!r:.80}: must map levels to lists, as in {{0.3: ['get_*']}}")
    found: dict[int, Iterable[str]] = {}
    for key, permissions in told.items():  # pyright: ignore[reportUnknownVariableType]  # not yet validated
        tier = level.read("trust.permissions", key)  # pyright: ignore[reportUnknownArgumentType]  # as above
        if tier in found:
            raise ConfigError(f"trust.permissions: level {level.shown(tier)} is written twice")
        if isinstance(permissions, str) or not isinstance(permissions, Iterable):
            raise ConfigError(
                f"trust.permissions[{level.shown(tier)}]={permissions!r:.80}: must be a list of permissions"
            )
        found[tier] = tuple(permissions)  # pyright: ignore[reportUnknownArgumentType]  # each is read on its own
    return found


def _check_tier(where: str, permissions: tuple[str, ...]) -> None:
    for index, told in enumerate(permissions):
        parse(told)
        if told in permissions[:index]:
            raise ConfigError(f"trust.permissions[{where}]: {told!r} is written twice")


def _covers(wide: str, narrow: str) -> bool:
    """Whether every tool that `narrow` names is named by `wide`."""
    return narrow.startswith(wide[:-1]) if wide.endswith("*") else wide == narrow
