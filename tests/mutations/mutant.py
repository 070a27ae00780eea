"""One check disabled: where, how, and which tests must notice."""

from __future__ import annotations

from dataclasses import dataclass

PROPERTIES = "tests/unit/test_gate_properties.py"
FACTS = tuple(
    f"{PROPERTIES}::{name}"
    for name in (
        "test_the_gate_knows_of",
        "test_a_tool_rule_counts_whatever_the_level_where_none_of_its_conditions_is_false",
        "test_without_trust_only_what_cannot_be_undone_or_gives_power_asks_until_an_operator_sets_a_cap",
        "test_a_tool_that_no_level_names_is_denied_at_every_level",
        "test_an_unknown_tool_is_denied_at_every_level",
        "test_no_check_at_all_is_a_denial",
        "test_a_pattern_names_whole_names_and_a_star_whatever_follows",
    )
)
LAWS_OF_TERMS = tuple(
    f"{PROPERTIES}::{name}"
    for name in (
        "test_the_strictest_terms_are_no_stricter_than_the_strictest_of_each",
        "test_two_people_are_the_least_for_what_cannot_be_undone_or_gives_power",
        "test_terms_apply_wherever_none_of_their_conditions_is_false",
    )
)
LAWS_OF_RESTRICTIONS = (
    f"{PROPERTIES}::test_one_more_restriction_never_takes_one_away",
    f"{PROPERTIES}::test_a_restriction_is_in_force_as_it_was_set",
)
SECOND = "tests/unit/test_second_look.py"
ANSWERS = "tests/unit/test_answers.py"
CHAIN = "tests/unit/test_taint_chain.py"
APPROVALS = "tests/scenarios/test_approvals.py"
RESTRICTIONS = "tests/scenarios/test_restrictions.py"
TERMS = "tests/scenarios/test_terms.py"
TOOL_POLICY = "tests/scenarios/test_tool_policy.py"
FORGERY = "tests/scenarios/test_forgery.py"
TIMING = "tests/scenarios/test_forgery_timing.py"


@dataclass(frozen=True)
class Mutant:
    """`old` stands exactly once in `file` and becomes `new`; one of `tests` (as pytest takes them) must then fail."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
