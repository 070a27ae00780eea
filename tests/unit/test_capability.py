"""A capability as data: what a person reads and approves, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tenure.errors import BadInput
from tenure.learn.capability import Capability, parse
from tenure.learn.induction import Induced, induce
from tests.unit import taught

CASES = [taught.tickets(), taught.refunds(), taught.baskets()]


def capability(runs: list[Any]) -> Capability:
    (found,) = induce(runs)
    assert isinstance(found, Induced)
    return found.capability


@pytest.mark.parametrize("runs", CASES)
def test_it_survives_its_json_exactly(runs: list[Any]) -> None:
    told = capability(runs)
    again = parse(told.model_dump_json())
    assert again == told
    assert again.digest == told.digest
    assert again.model_dump_json() == told.model_dump_json()


def test_whatever_differs_in_it_the_digest_does() -> None:
    told = capability(taught.tickets())
    changed = [
        {"version": 2},
        {"program": told.program + "\n"},
        {"guards": []},
        {"changes": []},
        {"tests": ["r1"]},
        {"trigger": told.trigger.model_copy(update={"vocabulary": []})},
    ]
    digests = {told.digest, *(told.model_copy(update=one).digest for one in changed)}
    assert len(digests) == 1 + len(changed)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "Close Ticket"),
        ("id", "x" * 64),
        ("version", 0),
        ("version", "one"),
        ("program", ""),
        ("program", "if"),
        ("slots", {"other": "number"}),
        ("changes", ["delete_everything"]),
        ("provenance", []),
        ("trigger", {"parts": []}),
        ("trigger", {"parts": [{"kind": "regex", "text": ".*"}]}),
    ],
)
def test_what_is_malformed_is_refused_and_the_field_named(field: str, value: object) -> None:
    told = json.loads(capability(taught.tickets()).model_dump_json())
    with pytest.raises(BadInput, match=field):
        parse(json.dumps({**told, field: value}))


def test_the_digest_does_not_depend_on_the_order_of_names() -> None:
    told = capability(taught.tickets())
    turned = dict(reversed(list(told.slots.items())))
    assert told.model_copy(update={"slots": turned}).digest == told.digest


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(BadInput):
        parse("{")


def test_its_inputs_are_all_slots_by_name() -> None:
    told = capability(taught.tickets())
    inputs = told.inputs("please close ticket T-5000 as duplicate of T-77")
    assert inputs is not None
    assert set(inputs) == set(told.slots)
    assert told.inputs("hello") is None
