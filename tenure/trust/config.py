"""Trust(...): the level an agent begins with, what each level may do, and by which rules it will rise and fall."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel

from tenure.errors import ConfigError
from tenure.trust import level
from tenure.trust.grammar import Permission, parse
from tenure.trust.metrics import named
from tenure.trust.rules import Rule, Step, rules_of
from tenure.trust.terms import Approval, Terms
from tenure.wire import Wire


class Permit(Wire):
    """From this level on (tenths) a call may be made, if its arguments fulfil the permission."""

    level: int
    permission: str


class ToolRule(Wire):
    """A call that the permission means is denied, or a person is asked, whatever the level."""

    decision: Literal["deny", "ask"]
    permission: str


class ApprovalRule(Wire):
    """A call that the permission means is approved on these terms, if it asks."""

    permission: str
    terms: Terms


class Trust(BaseModel):
    """What an agent may do, by its level of trust.

    `initial` is the level of an agent without history, `cap` the highest it may have. `permissions` maps a level to the calls that
    are allowed from it on, cumulatively: a call needs the lowest level that allows it, and above the agent's level a person is
    asked; a tool that no level names is denied, and what stands at several levels counts from the lowest. `tool_rules` maps
    permissions to "deny" or "ask", whatever the level. `rules` say when the level rises and falls, and `evidence` how much it takes
    to rise: "confident" wants so many judged runs that the rate is hardly an accident; "point", for trying things out, takes the
    rate as it is, so that one good run may be enough to propose a step, at the earliest a day after the last change, as ever.
    `approvals` maps permissions to what approving such a call takes: see `Approval`; where several mean a call, the strictest of
    each counts, and two people for destructive and privileged tools are the least. Levels are 0 to 1 in steps of 0.1. Keys may be
    written in camelCase.

    The agent checks what its trust speaks of: `tool_rules` and `approvals` must name a tool that it has, because misspelt they
    would protect nothing, and conditions an argument that the tool takes. `permissions` may name tools that are not there yet: they
    grant nothing, and the worker says so when it starts. Raises ConfigError.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    initial: int
    rules: tuple[Rule, ...] = ()
    permissions: dict[int, tuple[str, ...]] = Field(default_factory=dict[int, tuple[str, ...]])
    cap: int = level.MOST
    tool_rules: dict[str, Literal["deny", "ask"]] = Field(default_factory=dict[str, Literal["deny", "ask"]])
    approvals: dict[str, Approval] = Field(default_factory=dict[str, Approval])
    evidence: Literal["confident", "point"] = "confident"

    if TYPE_CHECKING:  # what may be written is wider than what is kept

        def __init__(
            self,
            *,
            initial: float,
            rules: Iterable[Rule | Mapping[str, Any]] = (),  # Any: the JSON of a Rule
            permissions: Mapping[float, Iterable[str]] = ...,
            cap: float = 1.0,
            tool_rules: Mapping[str, Literal["deny", "ask"]] = ...,
            approvals: Mapping[str, Approval | Mapping[str, Any]] = ...,  # Any: the JSON of an Approval
            evidence: Literal["confident", "point"] = "confident",
        ) -> None: ...

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
        if "rules" in told:
            told["rules"] = rules_of(told["rules"])
        for name in ("initial", "cap"):
            if name in told:
                told[name] = level.read(f"trust.{name}", told[name])
        return told

    @model_validator(mode="after")
    def _readable(self) -> Trust:
        if self.initial > self.cap:
            raise ConfigError(f"trust.initial={level.shown(self.initial)} is above cap={level.shown(self.cap)}")
        for tier, permissions in self.permissions.items():
            _check_twice(f"trust.permissions[{level.shown(tier)}]", permissions)
        _check_twice("trust.tool_rules", self.tool_rules)
        _check_twice("trust.approvals", self.approvals)
        self._check_shadows()
        return self

    def _check_shadows(self) -> None:
        """What can never count is a mistake of whoever wrote it."""
        for told, decision in self.tool_rules.items():
            for other, wider in self.tool_rules.items():
                if other != told and wider in ("deny", decision) and _shadows(other, told):
                    never = "asked" if decision == "ask" else "denied"
                    raise ConfigError(
                        f"trust.tool_rules[{told!r}]: never {never}, because {other!r} {wider}s all of it"
                    )
        for where, told in self.granting:
            for other, decision in self.tool_rules.items():
                if decision == "deny" and _shadows(other, told):
                    raise ConfigError(f"{where}: {told!r} is never allowed, because tool_rules denies {other!r}")

    @property
    def granting(self) -> list[tuple[str, str]]:
        """The permissions that let calls through, each with where it stands."""
        return [
            (f"trust.permissions[{level.shown(tier)}]", told)
            for tier, many in self.permissions.items()
            for told in many
        ]

    @property
    def restricting(self) -> list[tuple[str, str]]:
        """Those that deny a call, ask about it, or say who approves it."""
        told = [("trust.tool_rules", told) for told in self.tool_rules]
        return told + [("trust.approvals", told) for told in self.approvals]

    def permits(self, tool: str) -> list[Permit]:
        """From which level on calls of `tool` are allowed, the lowest first."""
        lowest: dict[str, int] = {}
        for tier, many in sorted(self.permissions.items()):
            for told in many:
                lowest.setdefault(told, tier)
        return [Permit(level=tier, permission=told) for told, tier in lowest.items() if parse(told).means(tool)]

    def rules_for(self, tool: str) -> list[ToolRule]:
        """What is denied or asked of `tool` whatever the level."""
        return [
            ToolRule(decision=decision, permission=told)
            for told, decision in self.tool_rules.items()
            if parse(told).means(tool)
        ]

    @property
    def steps(self) -> list[Step]:
        """The rules, each with what its metric means."""
        return [Step(**dict(rule), better=named(rule.metric).better) for rule in self.rules]

    def approving(self, tool: str) -> list[ApprovalRule]:
        """On which terms calls of `tool` are approved."""
        return [
            ApprovalRule(permission=told, terms=approval.terms)
            for told, approval in self.approvals.items()
            if parse(told).means(tool)
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


def _check_twice(where: str, permissions: Iterable[str]) -> None:
    seen: list[Permission] = []
    for told in permissions:
        permission = parse(told)
        if permission in seen:
            raise ConfigError(f"{where}: {told!r} is written twice")
        seen.append(permission)


def _shadows(wide: str, narrow: str) -> bool:
    """Whether `wide` means every call that `narrow` means."""
    every, some = parse(wide), parse(narrow)
    return not every.conditions and _covers(every.pattern, some.pattern)


def _covers(wide: str, narrow: str) -> bool:
    """Whether every tool that `narrow` names is named by `wide`."""
    return narrow.startswith(wide[:-1]) if wide.endswith("*") else wide == narrow
