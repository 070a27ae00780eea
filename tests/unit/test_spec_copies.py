"""A copy of an agent is another agent: nothing derived from the old declaration comes along."""

from __future__ import annotations

import pytest

from examples.support import support
from tenure.errors import ConfigError


def test_a_copy_with_another_policy_has_another_fingerprint_and_other_permits() -> None:
    assert support.fingerprint
    assert support.facts["update_ticket"].permits
    other = support.model_copy(update={"trust": None})
    assert other.fingerprint != support.fingerprint
    assert other.facts["update_ticket"].permits == []


def test_a_copy_is_checked_like_a_declaration() -> None:
    with pytest.raises(ConfigError, match="max_iterations"):
        support.model_copy(update={"max_iterations": 0})
