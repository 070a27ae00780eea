"""Metrics: what a rule of trust may count. Each says of one finished and judged run whether it counts; their share is the rate.

A new one is a function in one file: `@metric("fast", better="higher") def fast(run: Outcome) -> bool: ...`, imported by the module
that defines the agent. It runs in the worker, on recorded values, and must be pure.
"""

from __future__ import annotations

import difflib
import inspect
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
BETTER = ("higher", "lower")


@dataclass(frozen=True)
class Metric:
    """A name, the function that counts, and whether a higher share is better or a lower one."""

    name: str
    counts: Counts
    better: Literal["higher", "lower"] = "higher"


METRICS: dict[str, Metric] = {}


def metric(name: str, *, better: Literal["higher", "lower"] = "higher") -> Callable[[Counts], Counts]:
    """Define a metric: a plain function of one Outcome. Raises ConfigError, also when another function has the name."""
    if not isinstance(name, str) or not name:  # pyright: ignore[reportUnnecessaryIsInstance]  # `@metric` without brackets gives the function
        raise ConfigError(f"metric {name!r:.80}: write its name, as in @metric('fast')")
    if better not in BETTER:
        raise ConfigError(
            f"metric {name!r}: better={better!r:.80} must be 'higher' or 'lower': which share is the good one"
        )

    def define(counts: Counts) -> Counts:
        _check(name, counts)
        known = METRICS.get(name)
        if known is not None and _written(known.counts) != _written(counts):
            raise ConfigError(f"metric {name!r} is defined twice: give one another name")
        METRICS[name] = Metric(name, counts, better)
        return counts

    return define


def named(name: object) -> Metric:
    """The metric of that name. Raises ConfigError with the nearest name."""
    if not isinstance(name, str) or name not in METRICS:
        near = difflib.get_close_matches(str(name), METRICS, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(METRICS))}"
        raise ConfigError(f"trust.rules: metric {name!r:.80}: {hint}")
    return METRICS[name]


def counted(run: Outcome, names: Iterable[str]) -> dict[str, bool]:
    """For each of these metrics whether the run counts. Raises ConfigError for an unknown one."""
    return {name: _counts(named(name), run) for name in names}


def _counts(of: Metric, run: Outcome) -> bool:
    try:
        return bool(of.counts(run))
    except Exception:  # noqa: BLE001  # a user's function: what it cannot read speaks against the agent, or failures go uncounted
        return of.better == "lower"


def _check(name: str, counts: Counts) -> None:
    """What is not a number of runs would be true of every run: a coroutine is, and so is a generator."""
    for one in (counts, getattr(counts, "__call__", None)):  # noqa: B004  # also an object that is called, whose method it is
        if any(
            told(one) for told in (inspect.iscoroutinefunction, inspect.isasyncgenfunction, inspect.isgeneratorfunction)
        ):
            raise ConfigError(
                f"metric {name!r}: it must be a plain function that returns a bool, not async and no generator"
            )
    try:
        inspect.signature(counts).bind(object())
    except TypeError as error:
        raise ConfigError(f"metric {name!r}: it is called with one argument, the Outcome of a run ({error})") from error
    except ValueError:
        return  # a builtin without a signature: what it cannot read speaks against the agent


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
