"""Rules: by which metric, at which share of runs and how far a level rises or falls.

Rules of this file: pure. A rule is checked where it is written, by the names it is written with.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from tenure.errors import ConfigError
from tenure.trust import level
from tenure.trust.metrics import named
from tenure.wire import Wire

ACTIONS = ("increment", "decrement")


class Rule(BaseModel):
    """When `metric` reaches `threshold` (a share of runs, 0 to 1), the level moves by `amount` (0.1 to 1, in steps of 0.1).

    `Rule("success_rate", 0.95, "increment", 0.1)`. "increment" means at the threshold or better, "decrement" at the threshold or
    worse, and the metric says which way is better: `Rule("error_rate", 0.05, "increment", 0.1)` raises an agent of whose runs at
    most 5 % fail, and none because it fails more. Raises ConfigError.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: str
    threshold: Decimal
    action: Literal["increment", "decrement"]
    amount: int  # tenths

    def __init__(
        self, metric: str, threshold: float, action: Literal["increment", "decrement"], amount: float, **more: Any
    ) -> None:  # Any: refused by name
        check_names(more)
        super().__init__(metric=metric, threshold=threshold, action=action, amount=amount)  # type: ignore[call-arg]

    @field_validator("metric", mode="before")
    @classmethod
    def _known(cls, metric: object) -> str:
        return named(metric).name

    @field_validator("threshold", mode="before")
    @classmethod
    def _share(cls, value: object) -> Decimal:
        return _share(value)

    @field_validator("action", mode="before")
    @classmethod
    def _action(cls, value: object) -> str:
        if value in ACTIONS:
            return str(value)
        near = difflib.get_close_matches(str(value), ACTIONS, 1)
        hint = f": did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"trust.rules: action={value!r:.80} must be 'increment' or 'decrement'{hint}")

    @field_validator("amount", mode="before")
    @classmethod
    def _tenths(cls, value: object) -> int:
        tenths = level.read("trust.rules: amount", value)
        if not tenths:
            raise ConfigError(f"trust.rules: amount={value!r} moves nothing: write 0.1 to 1, or leave the rule out")
        return tenths

    @model_validator(mode="after")
    def _can_fail(self) -> Rule:
        """A share that every agent has would raise them all."""
        better = named(self.metric).better
        if self.action == "increment" and self.threshold == (better == "lower"):
            most, always = ("most", 1) if better == "lower" else ("least", 0)
            raise ConfigError(
                f"trust.rules: threshold={self.threshold} would always raise: {self.metric} is at {most} {always} whatever "
                f"happens, and for it {better} is better; write {'0.05' if better == 'lower' else '0.95'}, say"
            )
        return self


class Step(Wire):
    """A rule as the ledger follows it: `better` says which way of its metric is good. `threshold` is written as a decimal."""

    metric: str
    better: Literal["higher", "lower"]
    threshold: Decimal
    action: Literal["increment", "decrement"]
    amount: int


def rules_of(told: object) -> tuple[Rule, ...]:
    """The rules of a list, each a Rule or its JSON. Raises ConfigError saying which is none."""
    if isinstance(told, str | bytes | Rule | Mapping) or not isinstance(told, Iterable):
        raise ConfigError(f"trust.rules={told!r:.80}: must be a list of rules")
    rules = tuple(_rule(one) for one in cast("Iterable[object]", told))
    _check_twice(rules)
    return rules


def check_names(told: Iterable[str]) -> None:
    """Raise ConfigError for what is no part of a rule."""
    for key in set(told).difference(Rule.model_fields):
        near = difflib.get_close_matches(key, Rule.model_fields, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(Rule.model_fields)}"
        raise ConfigError(f"trust.rules: a rule has no {key!r}: {hint}")


def _rule(told: object) -> Rule:
    if isinstance(told, Rule):
        return told
    if not isinstance(told, Mapping):
        raise ConfigError(f"trust.rules: {told!r:.80} is no rule: write Rule('success_rate', 0.95, 'increment', 0.1)")
    written = {
        str(key): value for key, value in cast("Mapping[object, Any]", told).items()
    }  # Any: the fields' own types
    check_names(written)
    for key in Rule.model_fields:
        if key not in written:
            raise ConfigError(f"trust.rules: {written!r:.120} lacks {key!r}")
    return Rule(**written)


def _share(value: object) -> Decimal:
    try:
        if isinstance(value, bool):
            raise InvalidOperation
        exact = Decimal(str(value))
    except InvalidOperation:
        exact = Decimal("nan")
    if not exact.is_finite():
        raise ConfigError(f"trust.rules: threshold={value!r:.80} is no number: write a share of runs, as in 0.95")
    if not 0 <= exact <= 1:
        fix = f"for {exact} % write {exact / 100}" if 2 <= exact <= 100 else "write it as in 0.95"
        raise ConfigError(f"trust.rules: threshold={value!r:.80} is outside 0 to 1: it is a share of runs; {fix}")
    return exact


def _check_twice(rules: Iterable[Rule]) -> None:
    """Of two rules that hold for the same runs only the larger step would ever count."""
    seen: set[tuple[str, Decimal, str]] = set()
    for rule in rules:
        when = rule.metric, rule.threshold, rule.action
        if when in seen:
            raise ConfigError(
                f"trust.rules: {rule.action!r} at {rule.metric} {rule.threshold} is written twice: leave one out"
            )
        seen.add(when)
