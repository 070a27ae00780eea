"""Recordings hold pseudonyms: equal for equal values, of the same shape, and of no use without the tenant's key."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.learn.induction import Induced, induce
from tenure.learn.pseudonyms import conceal, is_concealed
from tenure.learn.recording import Recording, Step

KEY, OTHER = b"k" * 32, b"o" * 32
PERSONAL = [
    "alice@example.com",
    "Alice.O'Brien+billing@mail.example.co.uk",
    "DE89 3704 0044 0532 0130 00",
    "GB82WEST12345698765432",
    "4111 1111 1111 1111",
    "5500-0055-5555-5559",
    "+49 151 23456789",
    "(555) 123-4567",
]


@pytest.mark.parametrize("value", PERSONAL)
def test_a_personal_value_is_concealed_wherever_it_stands(value: str) -> None:
    said = conceal({"request": f"I am {value}.", "results": [{"contact": value}]}, KEY)
    assert value not in json.dumps(said)
    assert said["results"][0]["contact"] in said["request"], "equal values stay equal"
    assert is_concealed(said["request"])


@pytest.mark.parametrize("value", PERSONAL)
def test_another_tenants_key_makes_another_pseudonym(value: str) -> None:
    assert conceal(value, KEY) != conceal(value, OTHER)


@pytest.mark.parametrize(
    "value",
    ["#W2378156", "9624127908", "credit_card_4190576", "1234567890123456", "2026-11-21", "$1,299.00", "v1.2.3.4", "DE00 3704 0044"],
)  # fmt: skip
def test_what_is_no_personal_value_stays(value: str) -> None:
    assert conceal(value, KEY) == value
    assert not is_concealed(value)


def test_an_address_is_one_person_in_whatever_case_it_is_written() -> None:
    assert conceal("Alice@Example.com", KEY) == conceal("alice@example.com", KEY)


def test_a_telephone_number_is_one_however_it_is_spaced() -> None:
    assert conceal("+49 151 23456789", KEY) == conceal("+4915123456789", KEY)


def test_names_of_keys_are_concealed_as_well() -> None:
    assert "alice@example.com" not in conceal({"alice@example.com": 1}, KEY)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(PERSONAL),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON)
def test_concealing_twice_is_concealing_once(value: object) -> None:
    once = conceal(value, KEY)
    assert conceal(once, KEY) == once


def test_what_is_learned_from_concealed_recordings_knows_real_requests_and_no_pseudonym() -> None:
    def recording(number: int) -> Recording:
        mail, id = f"user{number}@example.com", f"C-{1000 + number}"
        found = Step(
            tool="find", effect="read", arguments={"email": mail}, result={"id": id, "email": mail, "open": True}
        )
        close = Step(tool="close", effect="write", arguments={"customer": id}, result={"id": id})
        told = {
            "request": f"Please close the account of {mail}.",
            "steps": [found, close],
            "answer": f"{mail} is closed.",
        }
        made = Recording(run=f"r{number}", agent="a", fingerprint="f", at=number, **told)
        return Recording.model_validate(conceal(made.model_dump(mode="json"), KEY))

    learned = induce([recording(number) for number in range(10)])[0]
    assert isinstance(learned, Induced)
    assert "pseudonym" not in learned.capability.model_dump_json()
    assert learned.capability.inputs("Please close the account of carol@example.org.") == {"email": "carol@example.org"}
