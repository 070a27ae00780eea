"""Metrics: what a rule of trust may count. Each says of one finished and judged run whether it counts; their share is the rate.

A new one is a function in one file: `@metric("fast", better="higher") def fast(run: Outcome) -> bool: ...`, imported by the module
that defines the agent. It runs in the worker, on recorded values, and must be pure.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from tenure.errors import ConfigError


@dataclass(frozen=True)
class Outcome:
    """A finished run that somebody judged: `good` or not, with what was recorded of it. Times in ms, cost in micro-dollars."""

    good: bool
    status: str = ""
    stop_reason: str = ""
    iterations: int = 0
    calls: int = 0
    cost: int = 0
    took: int = 0


Counts: TypeAlias = Callable[[Outcome], bool]


@dataclass(frozen=True)
class Metric:
    """A name, the function that counts, and whether a higher share is better or a lower one."""

    name: str
    counts: Counts
    better: Literal["higher", "lower"] = "higher"


METRICS: dict[str, Metric] = {}


def metric(name: str, *, better: Literal["higher", "lower"] = "higher") -> Callable[[Counts], Counts]:
    """Define a metric. Raises ConfigError when another function has the name."""

    def define(counts: Counts) -> Counts:
        known = METRICS.get(name)
        if known is not None and _written(known.counts) != _written(counts):
            raise ConfigError(f"metric {name!r} is defined twice: give one another name")
        METRICS[name] = Metric(name, counts, better)
        return counts

    return define


def named(name: str) -> Metric:
    """The metric of that name. Raises ConfigError with the nearest name."""
    if name not in METRICS:
        near = difflib.get_close_matches(name, METRICS, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(METRICS))}"
        raise ConfigError(f"trust.rules: metric {name!r}: {hint}")
    return METRICS[name]


def counted(run: Outcome, names: Iterable[str]) -> dict[str, bool]:
    """For each of these metrics whether the run counts. Raises ConfigError for an unknown one."""
    return {name: _counts(named(name), run) for name in names}


def _counts(of: Metric, run: Outcome) -> bool:
    try:
        return bool(of.counts(run))
    except Exception:  # noqa: BLE001  # a user's function: what it cannot read speaks against the agent, or failures go uncounted
        return of.better == "lower"


def _written(counts: Counts) -> tuple[str, str]:
    """Where a function stands: a module that is loaded twice, also as `__main__`, defines the same one again."""
    code = getattr(counts, "__code__", None)
    return getattr(code, "co_filename", repr(counts)), getattr(counts, "__qualname__", "")


@metric("success_rate")
def success_rate(run: Outcome) -> bool:
    """The run was judged good."""
    return run.good


@metric("error_rate", better="lower")
def error_rate(run: Outcome) -> bool:
    """The run was judged not good."""
    return not run.good
