"""Learning(...): what is learned from runs that repeat themselves, and how what was learned is put into service."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from tenure.errors import ConfigError
from tenure.learn.rollout import Policy

Strategy: TypeAlias = Literal["canary", "shadow"]
DAY = 86_400
SECONDS = {"m": 60, "h": 3600, "d": DAY, "w": 7 * DAY}
DURATION = re.compile(r"(\d{1,5}) ?([mhdw])", re.ASCII)
MISTAKEN = 0.05  # one side


def _check_known(where: str, told: Mapping[str, Any], known: Mapping[str, str]) -> None:  # Any: not yet validated
    for key in told:
        if key in known and key != known[key] and known[key] in told:
            raise ConfigError(f"{where}.{key} is written twice, also as {known[key]!r}: leave one of them out")
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            raise ConfigError(f"{where} has no setting {key!r}" + (f": did you mean {near[0]!r}?" if near else ""))


def _seconds(value: Any) -> Any:  # Any: not yet validated
    """A time written "7d", in seconds; anything else as it is."""
    found = DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    return int(found[1]) * SECONDS[found[2]] if found else value


class _Section(BaseModel):
    """Part of the configuration: what is wrong in it is told by field, value, and the rule in the field's description."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, allow_inf_nan=False
    )
    named: ClassVar[str]

    @model_validator(mode="wrap")
    @classmethod
    def _explain(cls, data: Any, handler: ModelWrapValidatorHandler[Any]) -> Any:  # Any: not yet validated
        if isinstance(data, cls):
            return data
        if not isinstance(data, Mapping):
            raise ConfigError(f"{cls.named}={data!r:.80}: must be a {cls.__name__}, or a dict of what it takes")
        told: dict[str, Any] = {str(key): value for key, value in data.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  # not yet validated
        fields = {written: name for name in cls.model_fields for written in (name, to_camel(name))}
        _check_known(cls.named, told, fields)
        for key, value in told.items():
            if isinstance(value, bool) and cls.model_fields[fields[key]].annotation is not bool:
                raise cls._wrong(key, value)
        try:
            return handler(told)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise cls._wrong(str(first["loc"][0]), told.get(str(first["loc"][0]))) from error

    @classmethod
    def _wrong(cls, key: str, value: object) -> ConfigError:
        field = next(field for name, field in cls.model_fields.items() if key in (name, to_camel(name)))
        return ConfigError(f"{cls.named}.{key}={value!r:.80}: {field.description}")


class Patterns(_Section):
    """What counts as a pattern.

    `min_occurrences` runs within `time_window` ("7d"; seconds inside) that did the same, of which a program explains a share of
    `confidence_threshold` at least, and contradicts none. Few occurrences are allowed, although they prove little (`notes`): a
    capability is made of them, and evidence of its quality comes from its rollout.
    """

    named: ClassVar[str] = "learning.patterns"

    min_occurrences: int = Field(
        default=10, ge=2, le=10_000, description="must be a whole number of runs, 2 to 10000, such as 10"
    )
    confidence_threshold: Decimal = Field(
        default=Decimal("0.95"), gt=0, lt=1, description="must be a share above 0 and below 1, such as 0.95"
    )
    time_window: int = Field(
        default=7 * DAY,
        ge=3600,
        le=366 * DAY,
        description="must be a time from 1h to 366d, such as '12h', '7d' or '2w'",
    )

    if TYPE_CHECKING:  # what may be written is wider than what is kept

        def __init__(
            self,
            *,
            min_occurrences: int = 10,
            confidence_threshold: float | str | Decimal = ...,
            time_window: int | str = "7d",
        ) -> None: ...

    @model_validator(mode="before")
    @classmethod
    def _read(cls, told: dict[str, Any]) -> dict[str, Any]:  # Any: not yet validated
        return {key: _seconds(value) if key in ("time_window", "timeWindow") else value for key, value in told.items()}

    @property
    def bound(self) -> float:
        """So many agreements, and none against them, show that the rate is at least this (95 % sure): 0.74 for 10, 0.95 for 59."""
        return MISTAKEN ** (1 / self.min_occurrences)


class Capabilities(_Section):
    """How capabilities are made and admitted.

    With `auto_generate` Claude is paid to write a program where induction finds none. With `require_approval` a person
    approves each before it is in the shadow of any run, and again before it serves everybody. `test_coverage` is the share
    of held-out runs that it must answer.
    """

    named: ClassVar[str] = "learning.capabilities"

    auto_generate: bool = Field(default=True, description="must be true or false")
    require_approval: bool = Field(default=True, description="must be true or false")
    test_coverage: Decimal = Field(
        default=Decimal("0.9"), gt=0, le=1, description="must be a share above 0 and at most 1, such as 0.9"
    )

    if TYPE_CHECKING:  # what may be written is wider than what is kept

        def __init__(
            self,
            *,
            auto_generate: bool = True,
            require_approval: bool = True,
            test_coverage: float | str | Decimal = ...,
        ) -> None: ...


class SuccessCriteria(_Section):
    """How good a capability must be: it may be wrong in `error_rate` of its runs. At 0.01 it takes 71 clean ones to promote it."""

    named: ClassVar[str] = "learning.deployment.success_criteria"

    error_rate: Decimal = Field(
        default=Decimal("0.01"),
        ge=Decimal("0.0001"),
        lt=Decimal("0.5"),
        description="must be a share from 0.0001 (7,358 clean runs promote) to below 0.5, such as 0.01: no runs prove 0",
    )

    if TYPE_CHECKING:  # what may be written is wider than what is kept

        def __init__(self, *, error_rate: float | str | Decimal = ...) -> None: ...


class Deployment(_Section):
    """How a capability reaches people.

    `strategy` "canary": after half of the evidence it serves `rollout_percentage` of those who ask, the same ones each time, until
    the evidence is complete; "shadow": it serves nobody before it serves everybody, and all evidence is from comparisons.
    """

    named: ClassVar[str] = "learning.deployment"

    strategy: Strategy = Field(default="canary", description="must be 'canary' or 'shadow'")
    rollout_percentage: int = Field(
        default=10, ge=1, le=100, description="must be a whole number from 1 to 100, such as 10"
    )
    success_criteria: SuccessCriteria = Field(default=SuccessCriteria(), description="must be a dict")

    if TYPE_CHECKING:  # what may be written is wider than what is kept

        def __init__(
            self,
            *,
            strategy: Strategy = "canary",
            rollout_percentage: int = 10,
            success_criteria: SuccessCriteria | Mapping[str, Any] = ...,  # Any: the JSON of SuccessCriteria
        ) -> None: ...


class Learning(_Section):
    """What is learned from runs that repeat themselves, and how what was learned is put into service.

    Keys may be written in camelCase. Raises ConfigError.
    """

    named: ClassVar[str] = "learning"

    enabled: bool = Field(default=True, description="must be true or false")
    patterns: Patterns = Field(default=Patterns(), description="must be a dict")
    capabilities: Capabilities = Field(default=Capabilities(), description="must be a dict")
    deployment: Deployment = Field(default=Deployment(), description="must be a dict")

    if TYPE_CHECKING:  # what may be written is wider than what is kept

        def __init__(
            self,
            *,
            enabled: bool = True,
            patterns: Patterns | Mapping[str, Any] = ...,  # Any: the JSON of each
            capabilities: Capabilities | Mapping[str, Any] = ...,
            deployment: Deployment | Mapping[str, Any] = ...,
        ) -> None: ...

    @property
    def policy(self) -> Policy:
        """What a rollout goes by."""
        return Policy(
            require_approval=self.capabilities.require_approval,
            coverage=self.capabilities.test_coverage,
            strategy=self.deployment.strategy,
            percent=self.deployment.rollout_percentage,
            error_rate=self.deployment.success_criteria.error_rate,
        )

    @property
    def notes(self) -> list[str]:
        """What whoever wrote this should know, although it is allowed."""
        return [*self._few(), *self._alone()] if self.enabled else []

    def _few(self) -> list[str]:
        some = self.patterns
        if some.bound >= some.confidence_threshold:
            return []
        shown = f"{some.min_occurrences} clean agreements show a rate of at least {some.bound:.2f} only"
        return [f"learning.patterns.min_occurrences: {shown}; that it is good is proved in its rollout"]

    def _alone(self) -> list[str]:
        if self.capabilities.require_approval:
            return []
        return ["learning.capabilities.require_approval=False: what was learned goes into service without a person"]
