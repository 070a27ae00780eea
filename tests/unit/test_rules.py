"""Rules of trust: one that nobody could follow, or that says nothing, is refused where it is written, with what to write."""

from __future__ import annotations

from typing import Any

import pytest

from tenure.errors import ConfigError
from tenure.trust import Rule, Trust

GOOD: dict[str, Any] = {"metric": "success_rate", "threshold": 0.95, "action": "increment", "amount": 0.1}
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"threshold": 95}, "threshold=95 is outside 0 to 1: it is a share of runs; for 95 % write 0.95"),
    ({"threshold": 1.5}, "threshold=1.5 is outside 0 to 1: it is a share of runs; write it as in 0.95"),
    ({"threshold": -0.1}, "threshold=-0.1 is outside 0 to 1"),
    ({"threshold": float("nan")}, "threshold=nan is no number: write a share of runs, as in 0.95"),
    ({"threshold": float("inf")}, "threshold=inf is no number"),
    ({"threshold": True}, "threshold=True is no number"),
    ({"threshold": "much"}, "threshold='much' is no number"),
    ({"threshold": None}, "threshold=None is no number"),
    ({"amount": 0}, "amount=0 moves nothing: write 0.1 to 1, or leave the rule out"),
    ({"amount": 0.15}, "amount: level 0.15 is not one of 0, 0.1, .* the nearest is 0.2"),
    ({"amount": 1.1}, "amount: level 1.1 is outside 0 to 1"),
    ({"amount": -0.1}, "amount: level -0.1 is outside 0 to 1"),
    ({"amount": True}, "amount: True is no level"),
    ({"action": "incremnt"}, r"action='incremnt' must be 'increment' or 'decrement': did you mean 'increment'\?"),
    ({"action": "promote"}, "action='promote' must be 'increment' or 'decrement'"),
    ({"action": None}, "action=None must be"),
    ({"metric": "sucess_rate"}, r"metric 'sucess_rate': did you mean 'success_rate'\?"),
    ({"metric": ""}, "metric '': there are error_rate, "),
    ({"metric": 3}, "metric 3: there are"),
    ({"threshold": 0}, "threshold=0 would always raise: success_rate is at least 0 whatever happens"),
    (
        {"metric": "error_rate", "threshold": 1},
        "threshold=1 would always raise: error_rate is at most 1 whatever happens",
    ),
    ({"treshold": 3}, r"a rule has no 'treshold': did you mean 'threshold'\?"),
    ({"window": 3}, "a rule has no 'window': it has metric, threshold, action, amount"),
]


@pytest.mark.parametrize(("changed", "told"), WRONG)
def test_a_rule_that_nobody_could_follow_is_refused_however_it_is_written(changed: dict[str, Any], told: str) -> None:
    for write in (lambda: Rule(**GOOD | changed), lambda: Trust(initial=0.3, rules=[GOOD | changed])):
        with pytest.raises(ConfigError, match=told) as raised:
            write()
        assert "pydantic" not in str(raised.value)


def test_a_rule_that_lacks_something_says_what() -> None:
    with pytest.raises(ConfigError, match=r"'threshold': 0\.95.* lacks 'amount'"):
        Trust(initial=0.3, rules=[{name: value for name, value in GOOD.items() if name != "amount"}])


@pytest.mark.parametrize("told", [GOOD, Rule(**GOOD), "success_rate", 3, None])
def test_rules_are_a_list(told: Any) -> None:
    with pytest.raises(ConfigError, match="must be a list of rules"):
        Trust(initial=0.3, rules=told)
    with pytest.raises(ConfigError, match=r"3 is no rule: write Rule\('success_rate'"):
        Trust(initial=0.3, rules=[3])  # type: ignore[list-item]


@pytest.mark.parametrize("again", [{}, {"amount": 0.2}, {"threshold": "0.950"}])
def test_of_two_rules_for_the_same_runs_one_could_never_count(again: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"'increment' at success_rate 0\.950? is written twice: leave one out"):
        Trust(initial=0.3, rules=[GOOD, GOOD | again])


def test_rules_with_another_threshold_metric_or_direction_are_other_rules() -> None:
    others = [{"threshold": 0.9}, {"action": "decrement"}, {"metric": "error_rate"}]
    assert len(Trust(initial=0.3, rules=[GOOD, *(GOOD | other for other in others)]).steps) == 4


def test_a_fall_may_be_written_at_either_end_of_the_scale() -> None:
    """There a flawless record never falls, and one of nothing but failures does."""
    for metric in ("success_rate", "error_rate"):
        for threshold in (0, 1):
            Rule(metric, threshold, "decrement", 0.1)
