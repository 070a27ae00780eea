"""Learning(...): what may be written, how, and what is said of what may not."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from tenure.errors import ConfigError
from tenure.learn import Learning
from tenure.learn.rollout import Policy

VISION: dict[str, Any] = {
    "enabled": True,
    "patterns": {"minOccurrences": 10, "confidenceThreshold": 0.95, "timeWindow": "7d"},
    "capabilities": {"autoGenerate": True, "requireApproval": True, "testCoverage": 0.9},
    "deployment": {"strategy": "canary", "rolloutPercentage": 10, "successCriteria": {"errorRate": 0.01}},
}


def test_what_the_vision_writes_are_the_defaults() -> None:
    assert Learning(**VISION) == Learning() == Learning.model_validate(VISION)
    assert Learning().policy == Policy()


def test_snake_case_means_the_same() -> None:
    told = Learning(
        patterns={"min_occurrences": 20, "time_window": "2w"},
        capabilities={"test_coverage": 1},
        deployment={"rollout_percentage": 50, "success_criteria": {"error_rate": "0.05"}},
    )
    assert (told.patterns.min_occurrences, told.patterns.time_window) == (20, 14 * 86_400)
    assert (told.policy.coverage, told.policy.percent, told.policy.error_rate) == (1, 50, Decimal("0.05"))


def test_it_goes_through_json() -> None:
    told = Learning(patterns={"time_window": "12h"}, deployment={"strategy": "shadow"})
    assert Learning.model_validate_json(told.model_dump_json()) == told
    assert Learning(**json.loads(told.model_dump_json(by_alias=True))) == told


@pytest.mark.parametrize(
    ("told", "named"),
    [
        ({"pattern": {}}, "learning has no setting 'pattern': did you mean 'patterns'"),
        ({"patterns": {"minOccurences": 3}}, "learning.patterns has no setting 'minOccurences': did you mean"),
        ({"deployment": {"successCriteria": {"errorrate": 1}}}, "success_criteria has no setting 'errorrate'"),
        ({"patterns": {"time_window": "1d", "timeWindow": "2d"}}, "learning.patterns.timeWindow is written twice"),
        ({"patterns": {"minOccurrences": 1}}, "learning.patterns.minOccurrences=1: must be a whole number of runs, 2"),
        ({"patterns": {"min_occurrences": 2.5}}, "learning.patterns.min_occurrences=2.5: must be a whole"),
        ({"patterns": {"min_occurrences": True}}, "learning.patterns.min_occurrences=True: must be a whole"),
        ({"patterns": {"confidenceThreshold": 1}}, "confidenceThreshold=1: must be a share above 0 and below 1"),
        ({"patterns": {"timeWindow": "7 days"}}, "timeWindow='7 days': must be a time from 1h to 366d, such as"),
        ({"patterns": {"timeWindow": "59m"}}, "timeWindow='59m': must be a time from 1h"),
        ({"patterns": {"timeWindow": "٧d"}}, "timeWindow='٧d': must be"),
        ({"patterns": []}, "learning.patterns=[]: must be a Patterns, or a dict"),
        ({"capabilities": {"testCoverage": 1.01}}, "testCoverage=1.01: must be a share above 0 and at most 1"),
        ({"capabilities": {"testCoverage": 0}}, "testCoverage=0: must be a share above 0"),
        ({"capabilities": {"testCoverage": -1}}, "testCoverage=-1: must be"),
        ({"capabilities": {"testCoverage": float("nan")}}, "testCoverage=nan: must be"),
        ({"capabilities": {"testCoverage": True}}, "testCoverage=True: must be a share"),
        ({"capabilities": {"requireApproval": "perhaps"}}, "requireApproval='perhaps': must be true or false"),
        ({"deployment": {"rolloutPercentage": 0}}, "rolloutPercentage=0: must be a whole number from 1 to 100"),
        ({"deployment": {"rolloutPercentage": 101}}, "rolloutPercentage=101: must be"),
        ({"deployment": {"strategy": "blue"}}, "learning.deployment.strategy='blue': must be 'canary' or 'shadow'"),
        ({"deployment": {"successCriteria": {"errorRate": 0}}}, "errorRate=0: must be a share from 0.0001"),
        ({"deployment": {"successCriteria": {"errorRate": 0.5}}}, "errorRate=0.5: must be a share from"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_field_value_rule_and_fix(told: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Learning(**told)
    assert named in str(refused.value)


def test_few_occurrences_are_allowed_and_what_they_prove_is_said() -> None:
    [note] = Learning(patterns={"min_occurrences": 5}).notes
    assert "5 clean agreements show a rate of at least 0.55 only" in note
    [note] = Learning().notes
    assert "10 clean agreements show a rate of at least 0.74 only" in note
    assert Learning(patterns={"min_occurrences": 59}).notes == []
    assert Learning(enabled=False).notes == []


def test_that_no_person_is_asked_is_said() -> None:
    [_, note] = Learning(capabilities={"require_approval": False}).notes
    assert "without a person" in note
