"""What a trigger explains and what it leaves to the model; how templates are aligned out of examples."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.learn.alignment import template
from tenure.learn.slots import cut
from tenure.learn.trigger import Choice, Either, Phrase, Repeated, Row, Trigger, Typed, Word, match, names, shown


def trigger(*requests: str) -> Trigger:
    parts = template([cut(request) or [] for request in requests])
    assert parts is not None
    return Trigger(parts=parts)


# ---------------------------------------------------------------------------------------------------------- alignment


def test_words_that_all_share_are_constant_and_values_are_slots() -> None:
    found = trigger("ship 3 boxes to a@b.de", "ship 14 boxes to c@d.org", "ship 5 boxes to e@f.net")
    assert shown(found.parts) == "ship {ship_number} boxes to {boxes_email}"


def test_two_ways_to_name_oneself_are_one_place_whose_words_and_values_go_together() -> None:
    ways = ("mail is a@b.de", "code is 777", "mail is c@d.de", "code is 123")
    requests = [f"my {how} and I want lunch at {at}" for at, how in enumerate(ways)]
    found = trigger(*requests)
    assert any(isinstance(part, Either) for part in found.parts)
    assert match(found, "my code is 555 and I want lunch at 9") is not None
    assert match(found, "my mail is 555 and I want lunch at 9") is None
    assert match(found, "my code is x@y.de and I want lunch at 9") is None


def test_a_slot_of_a_way_not_taken_is_empty() -> None:
    found = trigger("mail a@b.de please", "code 777 please", "mail c@d.de please", "code 123 please")
    assert match(found, "code 555 please") == {"mail_email": "", "code_number": "555"}


def test_phrases_that_come_again_are_a_closed_choice() -> None:
    found = trigger(
        *(f"stop {n} because {why}" for n, why in enumerate(("no need", "too late", "no need", "too late")))
    )
    (choice,) = [part for part in found.parts if isinstance(part, Choice)]
    assert choice.values == ["no need", "too late"]
    assert match(found, "stop 7 because TOO late") is not None
    assert match(found, "stop 7 because too bad") is None


def test_a_list_may_be_of_any_length_up_to_twice_the_longest() -> None:
    found = trigger("bring: Red Tea; Rye;", "bring: Salt;", "bring: Dry Plums; Oil; Rice;")
    assert match(found, "bring: Soap; Figs;") == {"bring_list": ["Soap", "Figs"]}
    assert match(found, f"bring: {'Fig; ' * 6}") is not None
    assert match(found, f"bring: {'Fig; ' * 7}") is None
    assert match(found, "bring: Soap; Figs") is None


def test_a_list_of_values_is_read_as_one() -> None:
    found = trigger("close T-1, T-2", "close T-3", "close T-4, T-5, T-6")
    assert match(found, "close T-9, T-8") == {"close_list": ["T-9", "T-8"]}
    assert match(found, "close T-9, all") is None


SWAPS = (
    "swap Desk Lamp {'bulb': 'E14'} to {'bulb': 'E27'}; Rug {'size': 'S'} to {}; today",
    "swap Tent {'size': 'S'} to {'size': 'L'}; today",
    "swap Rug {'size': 'M'} to {'size': 'S'}; Tent {'size': 'S'} to {'size': 'M'}; Kite {} to {'tail': 'red'}; today",
)


def test_the_items_of_a_list_may_be_rows_of_words_and_values() -> None:
    found = trigger(*SWAPS)
    assert match(found, "swap Field Bed {'size':  'S'} to {}; Kite {} to {}; today") == {
        "swap_list": ["Field Bed {'size':  'S'} to {}", "Kite {} to {}"]
    }


@pytest.mark.parametrize(
    "told",
    [
        "swap Rug {} to {}; Kite {}; today",  # a row of another kind
        "swap Rug {} to {}; Kite {} not to {}; today",
        "swap not Rug {} to {}; today",
        "swap Rug {} to {} also; today",
        "swap Rug {} to {}; and Kite {} to {}; today",
        "swap Rug {} to {}; {} to {}; today",
        "swap Rug {} to {}, Kite {} to {}; today",
    ],
)
def test_a_row_that_says_more_or_less_than_the_others_is_left_to_the_model(told: str) -> None:
    assert match(trigger(*SWAPS), told) is None


def test_a_list_with_an_empty_item_is_no_list() -> None:
    assert template([cut(text) or [] for text in ("bring: Soap; ; Figs;", "bring: Salt;", "bring: Oil; Rice;")]) is None


def test_a_list_of_mixed_rows_is_no_list() -> None:
    mixed = (
        "swap Rug {} to {}; Kite 5 to {}; today",
        *SWAPS[1:],
        "swap Rug 7 to {}; Tent {} to {}; Kite 2 to {}; today",
    )
    assert template([cut(text) or [] for text in mixed]) is None


def test_what_one_example_alone_says_is_no_way_to_say_it() -> None:
    told = ("close T-1 now", "close T-2 now", "close every T-4 and T-5 now")
    assert template([cut(text) or [] for text in told]) is None
    assert template([cut(text) or [] for text in (*told, "close every T-6 and T-7 now")]) is not None


def test_a_value_is_constant_only_after_five_examples_that_agree() -> None:
    told = [f"close T-1 for {name}" for name in ("Ann", "Bob", "Eve", "Kim", "Lou")]
    assert match(trigger(*told), "close T-2 for Ann") is None
    assert match(trigger(*told[:4]), "close T-2 for Ann") is not None


def test_items_that_have_nothing_in_common_make_no_list() -> None:
    assert template([cut(text) or [] for text in ("a (b); c ?", "a ! b; c", "a b; ( c; ) d")]) is None


@pytest.mark.parametrize("cue", ["type", "class", "zip", "hash", "str"])
def test_no_slot_is_called_as_python_calls_something_of_its_own(cue: str) -> None:
    found = trigger(f"new {cue} Red Tea", f"new {cue} Green Oil", f"new {cue} Wild Rye")
    assert list(names(found.parts)) == [f"{cue}_"]


def test_names_have_as_many_words_as_all_examples_had() -> None:
    found = trigger("I am Ada Byron, room 4", "I am Alan Moth, room 5", "I am Jean Barto, room 6")
    assert match(found, "I am Grace Hoops, room 7") is not None
    for name in ("Grace", "Grace B Hoops", "grace hoops", "Grace Not", "Grace 7"):
        assert match(found, f"I am {name}, room 7") is None


def test_requests_that_share_nothing_have_no_template() -> None:
    assert template([cut(text) or [] for text in ("a (b) 1", "? 2 x", "c: $1 d; (")]) is None


@given(st.permutations(["send 5 to Bob", "send 16 to Eve", "send 7 to Kim", "send 81 to Ann"]))
def test_the_order_of_the_examples_makes_no_difference(requests: list[str]) -> None:
    assert trigger(*requests) == trigger(*sorted(requests))


# -------------------------------------------------------------------------------------------------------------- match

ID = Typed(name="id", type="identifier", mark="T-", length=4)
WHO = Phrase(name="who", low=1, high=2, style="title")


def test_a_value_is_such_as_the_examples_held() -> None:
    found = Trigger(parts=[ID])
    assert match(found, "T-12") == {"id": "T-12"}
    for other in ("T-123", "T-1", "S-12", "1234", "$12.00"):
        assert match(found, other) is None
    fixed = Trigger(parts=[ID.model_copy(update={"fixed": "T-12"})])
    assert match(fixed, "T-12") is not None
    assert match(fixed, "T-13") is None


def test_small_and_capital_letters_of_constant_words_are_the_same_and_look_alikes_are_not() -> None:
    found = Trigger(parts=[Word(text="stop"), ID])
    assert match(found, "STOP T-12") == {"id": "T-12"}
    assert match(found, "\u017ftop T-12") is None  # a long s, which is an s to `casefold`


def test_a_request_with_two_readings_is_left_to_the_model() -> None:
    found = Trigger(parts=[WHO, Phrase(name="whom", low=1, high=2, style="title")])
    assert match(found, "Ada Eve") == {"who": "Ada", "whom": "Eve"}
    assert match(found, "Ada Byron Eve") is None


def test_the_vocabulary_of_the_agent_stands_in_no_free_place() -> None:
    assert match(Trigger(parts=[Word(text="for"), WHO]), "for Close Ticket") is not None
    assert match(Trigger(parts=[Word(text="for"), WHO], vocabulary=["close"]), "for Close Ticket") is None


@pytest.mark.parametrize("text", ["Not", "No", "Never", "Also", "And", "Except", "Ignore", "Undo", "Please", "Or"])
def test_words_that_turn_a_request_around_stand_in_no_free_place(text: str) -> None:
    assert match(Trigger(parts=[Word(text="for"), WHO]), f"for {text}") is None


ROW = Row(parts=[item.model_copy(update={"name": ""}) for item in (ID, WHO)])

PARTS = st.sampled_from([
    Word(text="go"), Word(text=","), ID, WHO, Choice(name="why", values=["late", "no longer"]),
    Repeated(name="ids", sign=";", item=ID, low=1, high=3, closed=None),
    Repeated(name="rows", sign=";", item=ROW, low=1, high=3, closed=None),
])  # fmt: skip
PIECES = st.sampled_from(["go", ",", "T-12", "T-34", "Ada", "Eve", "late", "no", "longer", ";", "not", "7"])


@given(st.lists(PARTS, min_size=1, max_size=4), st.lists(PIECES, min_size=1, max_size=8))
def test_a_match_leaves_no_token_over(parts: list[Word], pieces: list[str]) -> None:
    """What was captured and the constant words together are all tokens of the request, each once."""
    named = [p if isinstance(p, Word) else p.model_copy(update={"name": f"{p.name}{at}"}) for at, p in enumerate(parts)]
    found = Trigger(parts=list(named))
    captured = match(found, " ".join(pieces))
    if captured is None:
        return
    constants = [part.text for part in named if isinstance(part, Word)]
    held = [[value] if isinstance(value, str) else value for value in captured.values()]
    told = [token for value in itertools.chain(*held) for token in value.split()]
    signs = sum(piece == ";" for piece in pieces)
    assert sorted([*told, *constants, *([";"] * signs)]) == sorted(pieces)
    assert set(captured) == set(names(found.parts))
