"""Optimization(...): what an agent may spend, and on which models."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from tenure.errors import ConfigError
from tenure.optimize.budget import Budget

LATER = {"enable_cache", "cache_rules", "patterns", "fallback"}  # named by the design, not yet built


class Optimization(BaseModel):
    """What an agent may spend, and on which models.

    `budget` bounds the spend: see `tenure.optimize.Budget`. `models` are what the agent falls back to, in order, when its own model
    does not fit the budget any more and `on_exhausted` is "fallback". Keys may be written in camelCase. Raises ConfigError.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    budget: Budget = Budget()
    models: tuple[str, ...] = ()

    if TYPE_CHECKING:  # what may be written is wider than what is kept

        def __init__(
            self, *, budget: Budget | Mapping[str, Any] = ..., models: Iterable[str] = ()
        ) -> None: ...  # Any: the JSON of a Budget

    @model_validator(mode="wrap")
    @classmethod
    def _explain(
        cls, data: Any, handler: ModelWrapValidatorHandler[Optimization]
    ) -> Optimization:  # Any: not yet validated
        if isinstance(data, Optimization):
            return data
        if not isinstance(data, Mapping):
            raise ConfigError(f"optimization={data!r:.80}: must be an Optimization, or a dict of what it takes")
        told: dict[str, Any] = {str(key): value for key, value in data.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  # not yet validated
        _check_known(told, [*cls.model_fields])
        try:
            return handler(told)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise ConfigError(f"optimization.{where}={first['input']!r:.80}: {first['msg']}") from error

    @model_validator(mode="after")
    def _check(self) -> Optimization:
        if len(set(self.models)) < len(self.models):
            raise ConfigError(f"optimization.models={list(self.models)}: a model is named twice")
        if self.budget.on_exhausted == "fallback" and not self.models:
            raise ConfigError("budget.on_exhausted='fallback': name what to fall back to in optimization.models")
        if self.models and self.budget.on_exhausted != "fallback":
            told = f"nothing falls back to them with budget.on_exhausted={self.budget.on_exhausted!r}"
            raise ConfigError(f"optimization.models={list(self.models)}: {told}: write on_exhausted='fallback'")
        return self


def _check_known(told: Mapping[str, Any], known: list[str]) -> None:  # Any: not yet validated
    for key in told:
        if key in LATER or key in map(to_camel, LATER):
            raise ConfigError(f"optimization.{key} is not built yet: leave it out")
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            raise ConfigError(f"optimization has no setting {key!r}" + (f": did you mean {near[0]!r}?" if near else ""))
