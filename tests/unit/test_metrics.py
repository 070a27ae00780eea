"""Metrics by name, and rules that name what there is not."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import pytest

from tenure.errors import ConfigError
from tenure.trust import Rule, Trust
from tenure.trust.metrics import METRICS, Outcome, counted, metric, named


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    known = dict(METRICS)
    yield
    METRICS.clear()
    METRICS.update(known)


def test_the_two_that_are_always_there_are_each_other_s_opposite() -> None:
    for good in (True, False):
        assert counted(Outcome(good=good), ["success_rate", "error_rate"]) == {
            "success_rate": good,
            "error_rate": not good,
        }
    assert (named("success_rate").better, named("error_rate").better) == ("higher", "lower")


def test_a_metric_of_one_s_own_is_one_function_and_a_rule_may_name_it() -> None:
    @metric("cheap")
    def cheap(run: Outcome) -> bool:
        return run.cost < 10_000

    assert counted(Outcome(good=True, cost=9_999), ["cheap"]) == {"cheap": True}
    assert cheap(Outcome(good=True, cost=10_000)) is False
    (step,) = Trust(initial=0.3, rules=(Rule("cheap", 0.9, "increment", 0.1),)).steps
    assert (step.metric, step.better, step.amount) == ("cheap", "higher", 1)


def test_a_metric_that_raises_speaks_against_the_agent() -> None:
    @metric("quick")
    def quick(run: Outcome) -> bool:
        return 1 / run.took < 1

    @metric("slow", better="lower")
    def slow(run: Outcome) -> bool:
        return 1 / run.took < 1

    assert counted(Outcome(good=True), ["quick", "slow"]) == {"quick": False, "slow": True}
    assert quick(Outcome(good=True, took=2)) and slow(Outcome(good=True, took=2))


def test_a_name_is_defined_once_and_a_module_may_be_loaded_twice() -> None:
    def make(limit: int) -> None:
        @metric("short")
        def short(run: Outcome) -> bool:
            return run.iterations < limit

        assert short(Outcome(good=True))

    make(3)
    make(4)
    assert counted(Outcome(good=True, iterations=3), ["short"]) == {"short": True}
    with pytest.raises(ConfigError, match="metric 'short' is defined twice"):
        metric("short")(lambda run: run.good)
    with pytest.raises(ConfigError, match="metric 'success_rate' is defined twice"):

        @metric("success_rate")
        def success_rate(run: Outcome) -> bool:  # pyright: ignore[reportUnusedFunction]  # refused
            return True


def test_an_unknown_metric_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="metric 'sucess_rate': did you mean 'success_rate'"):
        Trust(initial=0.3, rules=({"metric": "sucess_rate", "threshold": 0.9, "action": "increment", "amount": 0.1},))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"there are error_rate, .*success_rate"):
        named("xyz")


async def never_awaited(run: Outcome) -> bool:
    return run.good


def never_read(run: Outcome) -> Iterator[bool]:
    yield run.good


class Awaited:
    async def __call__(self, run: Outcome) -> bool:
        return run.good


@pytest.mark.parametrize("counts", [never_awaited, never_read, Awaited()])
def test_a_metric_whose_every_answer_would_be_true_is_refused(counts: Any) -> None:
    with pytest.raises(ConfigError, match="metric 'mine': it must be a plain function that returns a bool"):
        metric("mine")(counts)
    assert "mine" not in METRICS


def of_nothing() -> bool:
    return True


def of_two(run: Outcome, limit: int) -> bool:
    return run.iterations < limit


def by_name(*, run: Outcome) -> bool:
    return run.good


@pytest.mark.parametrize("counts", [of_nothing, of_two, by_name, 5])
def test_a_metric_takes_one_argument(counts: Any) -> None:
    with pytest.raises(ConfigError, match="metric 'mine': it is called with one argument, the Outcome of a run"):
        metric("mine")(counts)
    assert metric("other")(functools.partial(of_two, limit=3))


def test_a_metric_says_which_way_is_better_and_has_a_name() -> None:
    with pytest.raises(ConfigError, match="metric 'mine': better='up' must be 'higher' or 'lower'"):
        metric("mine", better="up")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"write its name, as in @metric\('fast'\)"):
        metric(lambda run: run.good)  # type: ignore[arg-type]


def test_thresholds_are_kept_as_they_are_written() -> None:
    (step,) = Trust(initial=0.3, rules=(Rule("success_rate", 0.95, "increment", 0.1),)).steps
    assert str(step.threshold) == "0.95"
