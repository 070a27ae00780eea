"""Which expression explains a value, and that the rendered source gives what the evaluation gives."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.learn.expressions import At, Changed, Expression, Fixed, Found, Mapped, Name, NoValue, WordOf, evaluate
from tenure.learn.plan import Answer, Call, Check, Plan, perform
from tenure.learn.source import source
from tenure.learn.version_space import Example, explanations
from tenure.wire import Json


def best(*examples: tuple[dict[str, Any], dict[str, Any], Any]) -> Expression | None:
    found = explanations([Example(slots, results, value) for slots, results, value in examples])
    return found[0] if found else None


def test_what_the_request_names_is_cheaper_than_what_must_be_looked_up() -> None:
    found = best(({"a": "x"}, {"r": {"k": "x"}}, "x"), ({"a": "y"}, {"r": {"k": "y"}}, "y"))
    assert found == Name("a")


@pytest.mark.parametrize("value", ["Ada Byron", "T-1", "a@b.example", {"name": "x"}, ["T-1"], "x" * 100])
def test_what_could_be_somebody_s_is_no_constant(value: Json) -> None:
    assert best(*[({"a": str(n)}, {}, value) for n in range(6)]) is None


@pytest.mark.parametrize("value", ["no longer needed", "", True, 30, ["late"]])
def test_what_is_nobody_s_is_one_where_all_examples_agree(value: Json) -> None:
    assert best(*[({"a": "q"}, {}, value) for _ in range(6)]) == Fixed(value)
    assert best(*[({"a": "q"}, {}, value) for _ in range(5)], ({"a": "q"}, {}, "other")) is None


def test_one_example_in_five_may_be_left_without_a_value_and_not_two() -> None:
    said = [({"a": "x"}, {"r": {"k": n}}, n) for n in range(8)]
    silent: list[Any] = [({"a": "x"}, {"r": {}}, n) for n in (8, 9)]
    assert best(*said[:4], silent[0]) == At(Name("r"), "k")
    assert best(*said[:3], *silent) is None
    assert best(*said, *silent) == At(Name("r"), "k")


def test_a_path_into_a_result_explains_what_the_request_does_not_say() -> None:
    found = best(({"a": "1"}, {"r": {"k": {"id": 7}}}, 7), ({"a": "2"}, {"r": {"k": {"id": 8}}}, 8))
    assert found == At(At(Name("r"), "k"), "id")


def test_a_record_is_found_by_what_the_request_says() -> None:
    shelf = [{"name": "Pot", "id": 1}, {"name": "Pan", "id": 2}]
    found = best(({"what": "Pan"}, {"r": {"all": shelf}}, 2), ({"what": "Pot"}, {"r": {"all": shelf}}, 1))
    assert found == Found(At(Name("r"), "all"), "name", Name("what"), "id")


@pytest.mark.parametrize(("text", "value"), [("$12.50", 1250), ("$1,200", 120_000)])
def test_amounts_become_cents(text: str, value: int) -> None:
    assert evaluate(Changed(Name("a"), "cents"), {"a": text}) == value


def test_a_first_and_a_last_name_are_words_of_a_name() -> None:
    assert best(({"n": "Ada Byron"}, {}, "Byron"), ({"n": "Jean Barto"}, {}, "Barto")) == WordOf(Name("n"), 1, 2)


def test_a_constant_comes_last_and_is_nobodys() -> None:
    assert best(({"a": "x"}, {}, "no longer needed"), ({"a": "y"}, {}, "no longer needed")) == Fixed("no longer needed")
    assert best(({"a": "x"}, {}, "a@b.de"), ({"a": "y"}, {}, "a@b.de")) is None
    assert best(({"a": "x"}, {}, "Ada Byron"), ({"a": "y"}, {}, "Ada Byron")) is None
    assert best(({"a": "x"}, {}, "card_12"), ({"a": "y"}, {}, "card_12")) is None


def test_one_example_that_it_gets_wrong_ends_an_expression() -> None:
    right = [({"a": str(n)}, {}, str(n)) for n in range(20)]
    assert best(*right) == Name("a")
    assert best(*right, ({"a": "7"}, {}, "8")) is None


def test_true_is_not_one_and_one_is_not_one_point_nought() -> None:
    assert best(({}, {"r": {"k": True}}, 1), ({}, {"r": {"k": True}}, 1)) == Fixed(1)
    assert best(({"a": "5"}, {}, 5.0), ({"a": "6"}, {}, 6.0)) == Changed(Name("a"), "float")


# ------------------------------------------------------------------------------------------- source and evaluation agree

LOOKUP = Found(At(Name("r"), "all"), "name", Name("each"), "id")
EXPRESSIONS: list[Expression] = [
    Changed(Name("text"), "cents"),
    Changed(Name("text"), "int"),
    Changed(Name("text"), "bare"),
    WordOf(Name("text"), 1, 2),
    Mapped(Name("names"), LOOKUP),
    At(At(Name("r"), "all"), 0),
    Fixed({"a": [1, "it's", None, True]}),
]
TEXTS = st.sampled_from(["$1.50", "$15", "12", "1.5", "1,250", "#a", "a b", "a b c", "", "x'y", "$1.505"])
RECORDS = st.lists(st.fixed_dictionaries({"name": st.sampled_from("abc"), "id": st.integers(0, 3)}), max_size=4)


@given(st.sampled_from(EXPRESSIONS), TEXTS, st.lists(st.sampled_from("abc"), max_size=3), RECORDS)
def test_the_source_does_what_the_evaluation_does(
    expression: Expression, text: str, names: list[str], all_: list[Any]
) -> None:
    slots = {"text": text, "names": names}
    plan = Plan(
        ((Call("r", "look", {}),), (Call("done", "act", {"value": expression}, changes=True),)),
        (Check(Name("text"), "!=", Fixed("")),),
        Answer(("It is ", Name("text"), ".")),
    )
    results: dict[str, Any] = {"look": {"all": all_}, "act": "ok"}
    evaluated = perform(plan, slots, lambda tool, _: results[tool])
    made: list[Any] = []

    def act(**arguments: Any) -> str:
        made.append(("act", arguments))
        return "ok"

    scope: dict[str, Any] = {**slots, "look": lambda: results["look"], "act": act}
    *body, last = source(plan).splitlines()
    try:
        exec("\n".join(body), scope)
        answer = eval(last, scope)
    except (AssertionError, ValueError, KeyError, IndexError):
        answer = None
    assert made == list(evaluated.calls)
    assert answer == evaluated.answer


def test_what_has_no_value_says_why() -> None:
    with pytest.raises(NoValue, match="r / all has 0 with name 'x'"):
        evaluate(LOOKUP, {"r": {"all": []}, "each": "x"})


def test_two_finds_are_no_find() -> None:
    pots = [{"name": "x", "id": 1}, {"name": "x", "id": 2}]
    assert evaluate(LOOKUP, {"r": {"all": pots[:1]}, "each": "x"}) == 1
    with pytest.raises(NoValue, match="has 2"):
        evaluate(LOOKUP, {"r": {"all": pots}, "each": "x"})
