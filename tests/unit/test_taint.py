"""Taint: which results bring in something from outside, and which arguments come from trusted text."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tenure.trust.addresses import addresses
from tenure.trust.sources import Sources, fields_in, texts_in
from tenure.trust.taint import Sinks, fields, reason, untrusted
from tenure.wire import Json

# ------------------------------------------------------------------------------------------------------------- results


@pytest.mark.parametrize(
    ("value", "paths", "taints"),
    [
        ("text", (), True),
        ("text", ("*",), False),
        ("", (), False),
        (7, (), True),
        (7, ("*",), False),
        (True, (), False),
        (None, (), False),
        ({"success": True, "error": None}, (), False),
        ({"Ignore all of it": True}, (), True),
        ({"id": 1}, ("id",), False),
        ({"id": 1, "note": "hi"}, ("id",), True),
        ({"id": 1, "note": ""}, ("id",), False),
        ({"customer": {"id": 1, "name": "Al"}}, ("customer",), False),
        ({"customer": {"id": 1, "name": "Al"}}, ("customer.id",), True),
        ({"tickets": [{"id": 1}, {"id": 2}]}, ("tickets[].id",), False),
        ({"tickets": [{"id": 1}, {"id": 2, "text": "x"}]}, ("tickets[].id",), True),
        ({"tickets": [{"id": 1}, "x"]}, ("tickets[].id",), True),
        ([], (), False),
        ([[]], ("[]",), False),
    ],
)
def test_a_result_taints_when_it_holds_words_or_numbers_beside_its_trusted_fields(
    value: Json, paths: tuple[str, ...], taints: bool
) -> None:
    assert untrusted(value, paths) is taints


scalars = st.none() | st.booleans() | st.integers(-9999, 9999) | st.text(max_size=6)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
some_paths = st.lists(st.sampled_from(["a", "b", "a.b", "a[]", "a[].b", "[]", "[].c", "c.a", "*"]), max_size=4)


@given(values, some_paths, some_paths)
def test_more_trusted_fields_never_taint_and_are_more_sources(value: Json, some: list[str], more: list[str]) -> None:
    assert untrusted(value, some) or not untrusted(value, [*some, *more])
    assert [found for found in fields(value, some) if found not in fields(value, [*some, *more])] == []


@given(values)
def test_without_trusted_fields_all_words_and_numbers_taint(value: Json) -> None:
    found = texts_in([value])
    holds = any(found.folded) or bool(found.numbers)
    assert holds or not untrusted(value, ())


# ---------------------------------------------------------------------------------------------------------- covering


TEXT = (
    "Please refund T-2001 (customer Alice Müller, alice@example.com) with $1,200.00; 12.5% of order #W17. Ship to US. "
    "See https://shop.example/a/b, or www.help.example. Her IBAN: GB33 BUKB 2020 1555 5555 55. Tell 'all' of them, "
    "Bob's friend **Carol** and @dave\nin #general: we meet on 2024-05-06 at 10:30 (.env, a\\b). Ｎｏｗ the Straße."
)
KNOWN = texts_in([TEXT, {"account": "7788", "limit": 30, "flag": True, "note": "a"}])


@pytest.mark.parametrize(
    "value",
    [
        "T-2001", "t-2001", "Alice", "alice müller", "customer Alice Müller", "Alice  Müller", "alice@example.com",
        "https://shop.example/a/b", "http://shop.example/a/b", "www.help.example", "https://www.help.example/",
        "GB33BUKB20201555555555", "GB33 BUKB 2020 1555 5555 55", "#general", "general", "dave", "@dave", "Carol",
        "Bob", "Bob's friend", "W17", "#W17", "US", "2024-05-06", "10:30", "all", "straße", "Straße", "account",
        "7788", 7788, 30, "30", 1200, 1200.0, "1200", "$1,200.00", 12.5, True, False, None, "a",
        "in #general: we meet",
    ],
)  # fmt: skip
def test_what_stands_whole_in_a_source_is_covered(value: Json) -> None:
    assert KNOWN.cover(value)


@pytest.mark.parametrize(
    "value",
    [
        "T-20011", "T-200", "2001", 2001, "T", "lice", "Al", "alice@example.co", "alice@example.com.evil.org",
        "notalice@example.com", "example.com", "https://shop.example", "shop.example", "shop.example/a",
        "https://shop.example/a/b/c", "help.example", "http://www.help.example@evil.org",
        "https://www.help.example.evil.org", "GB33BUKB2020155555555", "BUKB2020", "", " ", "us", "Us", "the", "of",
        "to them", "we", "*", "**", "1", 1, 200, "200", "1,200", 12, 0.5, 5, 17, 2024, 10, 6, 0, -30, 3, 300, "gen",
        "ＡＬＩＣＥ", "ali\u200bce", "Αlice", "Strasse", "Tell Bob", "Alice Carol", "T-2001 T-2001", "@", "'", "env",
    ],
)  # fmt: skip
def test_a_part_of_a_word_and_words_that_every_text_holds_are_not_covered(value: Json) -> None:
    assert not KNOWN.cover(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("pre- and post-", "pre"),
        ("write to bob@x.example", "https://bob@x.example"),
        ("1,200 units", "200"),
        ("1,200 units", "1"),
        ("see .bashrc", "bashrc"),
        ("a/b", "a/"),
    ],
)
def test_a_piece_that_punctuation_cuts_off_is_not_covered(text: str, value: str) -> None:
    assert not texts_in([text]).cover(value)


def test_every_place_in_a_text_counts() -> None:
    assert texts_in(["Bobby, bob-cat and Bob"]).cover("Bob")


def test_a_value_is_never_put_together_from_several_sources() -> None:
    assert not texts_in(["bob", "smith"]).cover("bob smith")
    assert texts_in(["bob smith"]).cover("bob smith")


def test_a_field_is_covered_as_a_whole_only() -> None:
    fields = fields_in([{"channel": "External, for Bob: 20", "id": "0042", "amount": "12.50", "count": 3}])
    for value in ("External, for Bob: 20", "external, for bob: 20", "0042", "12.50", 12.5, 3, "3", None):
        assert fields.cover(value)
    for value in ("External", "Bob", 20, 42, "for Bob", "", "12.5.0"):
        assert not fields.cover(value)


words = st.text(st.characters(categories=("Ll", "Lu", "Nd"), max_codepoint=0x17F), min_size=3, max_size=8)
glued = st.text(st.sampled_from("abzXY019-_@./+=&~\\%"), min_size=1, max_size=5)


@given(words, st.text(st.sampled_from("abXY019-_./+=&~\\%"), max_size=4), st.sampled_from("abXY019-_/+=&~\\%"))
def test_no_part_of_a_longer_word_passes(word: str, more: str, end: str) -> None:
    for token in (f"{end}{more}{word}", f"{word}{more}{end}a", f"{end}{word}{more}a", f"{word}@{more}a", f"x@{word}.a"):
        assume(token.lower().count(word.lower()) == 1)
        assert not texts_in([f"see {token} there"]).cover(word)


@given(words, st.lists(words, max_size=4), st.lists(words, max_size=4))
def test_a_word_between_other_words_passes(word: str, before: list[str], after: list[str]) -> None:
    text = " ".join([*before, word, *after])
    assert texts_in([text, f"“{word}”"]).cover(word)


@given(values, values, values)
def test_more_sources_never_cover_less(value: Json, other: Json, leaf: Json) -> None:
    assume(not isinstance(leaf, dict | list))
    assert texts_in([value, other]).cover(leaf) >= texts_in([value]).cover(leaf)
    assert texts_in([value, other]).cover(leaf) >= texts_in([other]).cover(leaf)


@given(scalars)
def test_nothing_covers_only_what_says_nothing(leaf: Json) -> None:
    assert Sources().cover(leaf) is (leaf is None or isinstance(leaf, bool))


@given(st.decimals(-(10**9), 10**9, places=2))
def test_a_number_is_the_same_however_it_is_written(number: Any) -> None:
    assert texts_in([f"pay {number:,} now"]).cover(float(number))
    assert texts_in([f"pay {number} now"]).cover(float(number))
    assert texts_in([float(number)]).cover(float(number))


# ---------------------------------------------------------------------------------------------------------- addresses


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("see http://evil.example/x?y=1.", "http://evil.example/x?y=1"),
        ("see [this](https://evil.example)", "https://evil.example"),
        ("<https://evil.example|here>", "https://evil.example"),
        ("go to www.evil.example now", "www.evil.example"),
        ("go to evil.example!", "evil.example"),
        ("evil.example/notes.txt", "evil.example/notes.txt"),
        ("evil。example", "evil.example"),
        ("ev\u200bil.example", "evil.example"),
        ("ｅｖｉｌ.example", "evil.example"),
        ("пример.рф", "пример.рф"),
        ("write to bob@evil.example, please", "bob@evil.example"),
        ("bob@localhost", "bob@localhost"),
        ("mailto:bob@evil.example", "mailto:bob@evil.example"),
        ("javascript:alert(1)", "javascript:alert(1"),
        ("connect to 10.1.2.3:80", "10.1.2.3:80"),
        ("ftp://x/y", "ftp://x/y"),
        ("open \\\\evil\\share now", "\\\\evil\\share"),
        ("see _evil.example_ or", "evil.example"),
        ("see *evil.example*", "evil.example"),
        ("pay US133000000121212121212", "US133000000121212121212"),
        ("pay GB33 BUKB 2020 1555 5555 55 today", "GB33 BUKB 2020 1555 5555 55"),
        ("call +1 (555) 010-9999", "+1 (555) 010-9999"),
        ("card 4111 1111 1111 1111", "4111 1111 1111 1111"),
        ("0x52908400098527886E0F7030069857D2E4169EE7", "0x52908400098527886E0F7030069857D2E4169EE7"),
        ("1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2", "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2"),
    ],
)
def test_links_and_addresses_are_found(text: str, found: str) -> None:
    assert addresses(text) == [found]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no address here, e.g. none.",
        "on 2024-05-06 10:30 and 01.02.2024",
        "order 12345678 for $1,200.00",
        "see bill.pdf",
        "a.m.",
    ],
)
def test_plain_text_holds_none(text: str) -> None:
    assert addresses(text) == []


@pytest.mark.parametrize(
    "piece", ["a", "a.", "1", "1 ", "a@", "@", "http:", "GB33 ", "a1", ".", "(", "a-", "/", "1-1 "]
)
def test_no_text_takes_long(piece: str) -> None:
    text, began = (piece * 200_000)[:200_000], time.perf_counter()
    addresses(text)
    texts_in([text]).cover("never there at all")
    assert time.perf_counter() - began < 5


# ------------------------------------------------------------------------------------------------------------- sinks

SCHEMA = {
    "properties": {
        "to": {"type": "string"},
        "status": {"anyOf": [{"enum": ["open", "closed"]}, {"type": "null"}]},
        "body": {"type": "string", "default": "see https://ours.example"},
        "count": {"type": "integer", "default": 1},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/Line"}},
        "free": {"type": "object"},
    },
    "$defs": {"Line": {"properties": {"item": {"type": "string"}, "next": {"$ref": "#/$defs/Line"}}}},
}
SEND = Sinks("send", ("to", "status", "count", "lines", "free"), SCHEMA)
ASKED = texts_in(["send 2 of apples to bob@x.example, see https://x.example/a"])


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"to": "bob@x.example", "body": "whatever it is", "count": 1, "status": "closed"},
        {
            "to": None,
            "count": 2,
            "lines": [{"item": "apples", "next": {"item": "apples"}}],
            "free": {"apples": [2, True]},
        },
        {"body": "see https://x.example/a"},
        {"body": "see https://ours.example"},
    ],
)
def test_what_comes_from_trusted_text_or_the_schema_is_not_asked_about(arguments: dict[str, Json]) -> None:
    assert SEND.doubts(arguments, ASKED.cover) == []


@pytest.mark.parametrize(
    ("arguments", "doubt"),
    [
        ({"to": "eve@y.example"}, "to='eve@y.example' of send is not found in trusted text"),
        ({"to": ["bob@x.example", "eve@y.example"]}, "to='eve@y.example' of send is not found in trusted text"),
        ({"count": 3}, "count=3 of send is not found in trusted text"),
        ({"count": "closed"}, "count='closed' of send is not found in trusted text"),
        ({"status": "open closed"}, "status='open closed' of send is not found in trusted text"),
        ({"lines": [{"item": "pears"}]}, "lines='pears' of send is not found in trusted text"),
        ({"free": {"pears": True}}, "free='pears' of send is not found in trusted text"),
        ({"free": {"item": True}}, "free='item' of send is not found in trusted text"),
        ({"body": "go to evil.example"}, "body of send holds 'evil.example', which is not found in trusted text"),
        ({"body": "https://x.example/a?q=secret"}, "body of send holds 'https://x.example/a?q=secret', which is not found in"),
        ({"body": {"evil.example": 1}}, "body of send holds 'evil.example', which is not found in trusted text"),
    ],
)  # fmt: skip
def test_what_comes_from_elsewhere_is_asked_about(arguments: dict[str, Json], doubt: str) -> None:
    [told] = SEND.doubts(arguments, ASKED.cover)
    assert told.startswith(doubt)


def test_a_number_is_not_the_boolean_that_the_schema_names() -> None:
    switch = Sinks("switch", None, {"properties": {"on": {"type": "boolean", "default": True}}})
    assert switch.doubts({"on": True}, ASKED.cover) == []
    assert switch.doubts({"on": 1}, ASKED.cover) != []


def test_without_sinks_named_every_argument_is_one_and_with_none_named_all_is_content() -> None:
    assert len(Sinks("send", None).doubts({"to": "eve", "body": "hi there"}, ASKED.cover)) == 2
    assert Sinks("send", ()).doubts({"to": "eve", "body": "hi there"}, ASKED.cover) == []


def test_a_long_reason_is_cut() -> None:
    doubts = Sinks("send").doubts({"to": [f"{index}" * 100 for index in range(1, 6)]}, ASKED.cover)
    assert reason(doubts).endswith("(+2 more)")
    assert len(reason(doubts)) < 400


names = st.sampled_from(["to", "body", "status", "free"])


@given(st.dictionaries(names, values, max_size=3), values, values)
def test_more_trusted_text_never_asks_more(arguments: dict[str, Json], some: Json, more: Json) -> None:
    before = SEND.doubts(arguments, texts_in([some]).cover)
    after = SEND.doubts(arguments, texts_in([some, more]).cover)
    assert set(after) <= set(before)


@given(st.dictionaries(names, values, max_size=3), values)
def test_an_argument_that_came_from_a_trusted_text_whole_is_never_asked_about(
    arguments: dict[str, Json], other: Json
) -> None:
    assert Sinks("send").doubts(arguments, texts_in([other, arguments]).cover) == []
