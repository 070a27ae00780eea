"""Optimization(...): what an agent may spend, and what is tried before its model is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    field_serializer,
    model_validator,
)
from pydantic.alias_generators import to_camel

from tenure.errors import ConfigError
from tenure.optimize.budget import Budget
from tenure.optimize.rules import CacheRule, check_pattern
from tenure.optimize.written import check_known

Step: TypeAlias = Literal["cache", "pattern", "intelligent"]
Vectors: TypeAlias = Literal["ngrams", "embeddings"]
Route: TypeAlias = Callable[..., Any]  # what it takes and returns is in tenure.hooks
Routes: TypeAlias = dict[str, tuple[str, ...]]  # by model: patterns of requests, as in a CacheRule
ORDER: tuple[Step, ...] = ("cache", "pattern", "intelligent")
HOUR = 3600
EXACT = CacheRule(ttl=HOUR)  # where the cache is on and nobody said how


class Patterns(BaseModel):
    """When requests that repeat themselves are answered from what was learned of them.

    `min_frequency` is how often the same answer must have been given, `confidence` the share of those who asked the very same that
    had it. With `auto_detect` a router learns from that who else asks for it (needs `tenure[router]` where the worker runs).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    auto_detect: bool = False
    min_frequency: int = Field(default=10, ge=2)
    confidence: float = Field(default=0.9, gt=0, lt=1)


class Optimization(BaseModel):
    """What an agent may spend, and what is tried before its model is asked.

    `budget` bounds the spend: see `tenure.optimize.Budget`. `models` are what the agent falls back to, in order, when its own model
    does not fit the budget any more and `on_exhausted` is "fallback". `route` names the model for the first turn of a run: a
    function (see `tenure.hooks`), or for some of `models` the patterns of requests that they are asked, as in a CacheRule.

    With `enable_cache`, the first of `cache_rules` that has an answer gives it: see `tenure.optimize.CacheRule`. Without rules, the
    very same request is answered again for an hour. What is given again was a verified success (`admit="answered"`: any answer),
    read only, was untainted, and holds nothing personal. `audit` is the share of such requests, 0 to 1, for which Claude is asked
    all the same, to compare. `vectors` is by what requests that the guards call the same are ranked: "ngrams", how they are
    written, or "embeddings", what they are about (MiniLM; needs `tenure[embeddings]` where the worker runs). `fallback` says in
    which order "cache", "pattern" and "intelligent" (the model) are tried.

    Keys may be written in camelCase. Raises ConfigError.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, arbitrary_types_allowed=True
    )

    budget: Budget = Budget()
    models: tuple[str, ...] = ()
    route: Routes | Route | None = None
    enable_cache: bool = False
    cache_rules: tuple[CacheRule, ...] = ()
    admit: Literal["verified", "answered"] = "verified"
    audit: Decimal = Field(default=Decimal("0.01"), ge=0, le=1, allow_inf_nan=False)
    vectors: Vectors = Field(
        default="ngrams", exclude_if=lambda vectors: vectors == "ngrams"
    )  # builds keep their fingerprint
    patterns: Patterns | None = None
    fallback: tuple[Step, ...] = ORDER

    if TYPE_CHECKING:  # what may be written is wider than what is kept

        def __init__(
            self,
            *,
            budget: Budget | Mapping[str, Any] = ...,  # Any: the JSON of a Budget
            models: Iterable[str] = (),
            route: Route | Mapping[str, Iterable[str]] | None = None,
            enable_cache: bool = False,
            cache_rules: Iterable[CacheRule | Mapping[str, Any]] = (),  # Any: the JSON of a CacheRule
            admit: Literal["verified", "answered"] = "verified",
            audit: float | str | Decimal = ...,
            vectors: Vectors = "ngrams",
            patterns: Patterns | Mapping[str, Any] | None = None,  # Any: the JSON of Patterns
            fallback: Iterable[Step] = ORDER,
        ) -> None: ...

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
        check_known("optimization", told, cls.model_fields)
        if isinstance(told.get("patterns"), Mapping):
            check_known("optimization.patterns", told["patterns"], Patterns.model_fields)
        try:
            return handler(told)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise ConfigError(f"optimization.{where}={first['input']!r:.80}: {first['msg']}") from error

    @field_serializer("route")
    def _named(self, route: Routes | Route | None) -> Routes | str | None:
        if route is None or isinstance(route, dict):
            return self.routes or None
        return getattr(route, "__qualname__", type(route).__qualname__)

    @property
    def routes(self) -> Routes:
        """Where `route` is patterns: which requests each model is asked, in order."""
        return {} if callable(self.route) or self.route is None else self.route

    @property
    def rules(self) -> tuple[CacheRule, ...]:
        """The rules by which requests are answered without Claude."""
        if not self.enable_cache or "cache" not in self.fallback:
            return ()
        return self.cache_rules or (EXACT,)

    @model_validator(mode="after")
    def _check(self) -> Optimization:
        self._check_models()
        if self.fallback[-1:] != ("intelligent",) or len(set(self.fallback)) < len(self.fallback):
            rule = "each of 'cache' and 'pattern' at most once, and 'intelligent' at the end"
            raise ConfigError(f"optimization.fallback={list(self.fallback)}: must name {rule}")
        if self.cache_rules and not self.enable_cache and "enable_cache" not in self.model_fields_set:
            raise ConfigError("optimization.cache_rules: nothing is cached without enable_cache=True")
        return self

    def _check_models(self) -> None:
        if len(set(self.models)) < len(self.models):
            raise ConfigError(f"optimization.models={list(self.models)}: a model is named twice")
        falls_back = self.budget.on_exhausted == "fallback"
        if falls_back and not self.models:
            raise ConfigError("budget.on_exhausted='fallback': name what to fall back to in optimization.models")
        if self.models and not falls_back and self.route is None:
            told = f"nothing falls back to them with budget.on_exhausted={self.budget.on_exhausted!r}"
            raise ConfigError(
                f"optimization.models={list(self.models)}: {told}: write on_exhausted='fallback', or a route"
            )
        if self.route is not None and not self.models:
            raise ConfigError("optimization.route: name the models that it may choose from in optimization.models")
        for model, patterns in self.routes.items():
            if model not in self.models:
                raise ConfigError(f"optimization.route names {model!r}, which is not in optimization.models")
            for pattern in patterns:
                check_pattern(f"optimization.route[{model!r}]", pattern)
