"""How a request is cut: what counts as a value, what as a word, and what is not read at all."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.learn.slots import cut


def kinds(text: str) -> list[tuple[str, str]]:
    return [(token.kind, token.value) for token in cut(text) or []]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("a.b@example.com", "email"),
        ("#W1234567", "identifier"),
        ("credit_card_123", "identifier"),
        ("T-99", "identifier"),
        ("INV-2024-17", "identifier"),
        ("19031", "number"),
        ("1,250.5", "number"),
        ("$12.50", "money"),
        ("€1,250", "money"),
        ("2026-03-01", "date"),
        ("1/3/2026", "date"),
        ("T-Shirt", "word"),
        ("don't", "word"),
    ],
)
def test_a_value_is_told_by_its_spelling(text: str, kind: str) -> None:
    assert kinds(f"take {text}, then") == [("word", "take"), (kind, text), ("sign", ","), ("word", "then")]


def test_what_is_quoted_is_one_value_without_its_quotes() -> None:
    assert kinds('call it "Blue Moon" now') == [
        ("word", "call"),
        ("word", "it"),
        ("quoted", "Blue Moon"),
        ("word", "now"),
    ]


@pytest.mark.parametrize("text", ["{'size': 'A6', 'not': 3}", "{}"])
def test_what_stands_in_braces_is_one_value(text: str) -> None:
    assert kinds(f"take {text} now") == [("word", "take"), ("braced", text), ("word", "now")]


@pytest.mark.parametrize("text", ["{a {b} c}", "{a\nb}", "{" + "a" * 401 + "}", "{a", "a}"])
def test_braces_that_nest_do_not_close_or_hold_too_much_are_no_value(text: str) -> None:
    assert "{" in [sign for _, sign in kinds(text)] or "}" in [sign for _, sign in kinds(text)]


def test_a_full_stop_at_the_end_says_nothing_and_a_question_mark_does() -> None:
    assert kinds("close T-1.") == kinds("close T-1!") == kinds("close T-1")
    assert kinds("close T-1?") != kinds("close T-1")


@pytest.mark.parametrize(
    "text",
    [
        "close T-1\u200b as duplicate",  # zero width
        "close \u202eT-1",  # right to left
        "\u0441lose T-1",  # a Cyrillic letter in a Latin word
        "close T-1\u0000",
        "x" * 5000,
    ],
)
def test_what_does_not_read_as_it_is_stored_is_not_read(text: str) -> None:
    assert cut(text) is None


@pytest.mark.parametrize("text", ["T-\uff11\uff12", "T-\u0661", "$\u0661\u0662", "\u0665\u0665"])
def test_digits_of_other_scripts_are_no_values(text: str) -> None:
    assert not any(token.is_typed for token in cut(text) or [])


@given(st.text(max_size=60))
def test_every_character_that_is_no_white_space_stands_in_one_token(text: str) -> None:
    tokens = cut(text)
    if tokens is not None:
        told = "".join("".join(token.text.split()) for token in tokens)
        whole = "".join(unicodedata.normalize("NFC", text).split())
        assert whole.startswith(told)
        assert set(whole[len(told) :]) <= set(".!")
