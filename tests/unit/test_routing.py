"""The router itself: fitted to requests, asked about others, stored as plain data. Without weights, and with vectors of a fake."""

from __future__ import annotations

import hashlib
import io
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tenure.errors import BadInput, ConfigError
from tenure.learn.router import Abstained, Closed, Open, Routed
from tenure.runtime import arrays, routing
from tenure.runtime.routing import Model, Router

ASKS = {
    "hours": ["when do you open", "what are your hours", "are you open on monday", "opening times", "how late is it open"],
    "password": ["reset my password", "my password is forgotten", "change the password", "password does not work", "new password"],
    "invoice": ["send me the invoice", "where is my invoice", "copy of an invoice", "invoice is missing", "download an invoice"],
}  # fmt: skip
OTHERS = ["tell me a joke", "who won the match", "sing a song", "what is the weather", "translate this poem"]
AROUND = (
    "",
    "hello, ",
    "good day, ",
    "hi there, ",
    "excuse me, ",
    "so, ",
    "well, ",
    "tell me, ",
    "again, ",
    "first, ",
    "now, ",
    "ok, ",
)


def said(asks: Sequence[str]) -> list[str]:
    """Each of them in a dozen forms."""
    return [f"{around}{ask}" for around in AROUND for ask in asks]


TEXTS = [text for asks in ASKS.values() for text in said(asks)]
LABELS = [label for label, asks in ASKS.items() for _ in said(asks)]


def words(texts: Sequence[str]) -> Any:
    """Vectors of a fake: which words stand in a text."""
    known = sorted({word for asks in [*ASKS.values(), OTHERS] for ask in asks for word in ask.split()})
    return np.array([[word in text.casefold().split() for word in known] for text in texts], dtype=np.float32)


@pytest.fixture(scope="module")
def made() -> Router:
    return routing.fit(TEXTS, LABELS, said(OTHERS), seed=1)


def test_what_was_learned_is_answered_and_nothing_else(made: Router) -> None:
    assert isinstance(made.calibration, Open)
    found = made.route("Hello, where is my invoice?")
    assert isinstance(found, Routed)
    assert found.label == "invoice"
    assert made.route("sing a song, please") == Abstained("it asks for none of what was learned")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("where is my invoice 4711", "number: no example of 'invoice'"),
        ("where is my invoice of $30", "amount: no example of 'invoice'"),
        ("where is my invoice of yesterday", "date: no example of 'invoice'"),
        ("don't send me the invoice", "denial: no example of 'invoice'"),
        ("", "0 characters: must be 1 to 500"),
        ("invoice " * 100, "799 characters: must be 1 to 500"),
    ],
)
def test_what_no_example_has_is_sent_nowhere(made: Router, text: str, why: str) -> None:
    found = made.route(text)
    assert isinstance(found, Abstained)
    assert found.why.startswith(why)


def test_the_same_examples_and_seed_make_the_same_bytes(made: Router) -> None:
    again = routing.fit(TEXTS, LABELS, said(OTHERS), seed=1)
    assert again.to_bytes() == made.to_bytes()
    other = routing.fit(TEXTS, LABELS, said(OTHERS), seed=2)
    assert other.scored != made.scored


def test_what_is_stored_routes_as_before(made: Router) -> None:
    back = Router.from_bytes(made.to_bytes())
    assert back.to_bytes() == made.to_bytes()
    assert (back.calibration, back.target) == (made.calibration, made.target)
    asked = [*TEXTS[::7], *said(OTHERS)[::7], "something else", "invoice 12"]
    assert [back.route(text) for text in asked] == [made.route(text) for text in asked]


def test_sentence_vectors_stand_beside_the_ngrams_also_when_stored() -> None:
    made = routing.fit(TEXTS, LABELS, said(OTHERS), seed=1, vectors="embeddings", embed=words)
    back = Router.from_bytes(made.to_bytes(), embed=words)
    assert back.model is not None
    assert back.model.vectors == "embeddings"
    assert back.model.weights.shape[1] == len(back.model.ngrams) + words(["x"]).shape[1]
    found = back.route("where is my invoice")
    assert isinstance(found, Routed)
    assert found == made.route("where is my invoice")


def test_alone_the_ngrams_are_short_ones_of_letters_and_those_of_words(made: Router) -> None:
    assert made.model is not None
    words = {one for one in made.model.ngrams if one.startswith(routing.WORD)}
    assert {"\ninvoice", "\nmy invoice"} < words
    assert {len(one) for one in {*made.model.ngrams} - words} == {2, 3}


def test_beside_vectors_the_ngrams_are_those_of_letters_alone() -> None:
    made = routing.Examples(TEXTS, LABELS, "embeddings", words).fitted(range(len(TEXTS)))
    assert {len(one) for one in made.ngrams} == {2, 3, 4, 5}
    assert not any(one.startswith(routing.WORD) for one in made.ngrams)


def test_a_router_that_was_stored_with_longer_ngrams_and_no_words_routes_as_before() -> None:
    rarity, weights = np.ones(2, np.float32), np.array([[0, 0], [9, 0]], np.float32)
    known = Model(
        ("", "hours"),
        {"": frozenset(), "hours": frozenset()},
        (" open", "zz"),
        rarity,
        weights,
        np.zeros(2, np.float32),
    )
    guesses = known.guesses(["when do you open", "open zz", "zz"])
    assert [one.label for one in guesses] == ["hours", "hours", None]
    leads = [float(np.tanh(4.5)), float(np.tanh(4.5 / np.sqrt(2))), 0.0]
    assert [one.confidence for one in guesses] == pytest.approx(leads, abs=1e-5)


def test_one_label_is_enough() -> None:
    made = routing.fit(said(ASKS["hours"]) * 3, ["hours"] * 180, said(OTHERS), seed=1)
    found = made.route("when do you open")
    assert isinstance(found, Routed)
    assert found.label == "hours"
    assert made.route("tell me a joke") == Abstained("it asks for none of what was learned")


def test_audits_that_break_its_bound_close_it(made: Router) -> None:
    assert made.after([True] * 50).route("where is my invoice") == made.route("where is my invoice")
    closed = made.after([True, False, False])
    assert isinstance(closed.calibration, Closed)
    assert closed.route("where is my invoice") == Abstained(f"closed: {closed.calibration.why}")
    assert Router.from_bytes(closed.to_bytes()).calibration == closed.calibration


def test_too_little_data_makes_a_closed_router_that_can_be_stored() -> None:
    few = routing.fit(["when do you open"], ["hours"], ["a joke"] * 30, seed=1)
    assert isinstance(few.calibration, Closed)
    assert few.model is None
    back = Router.from_bytes(few.to_bytes())
    assert back.calibration == few.calibration
    assert isinstance(back.route("when do you open"), Abstained)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ((TEXTS, LABELS, []), "without 'none of these'"),
        ((TEXTS, LABELS[1:], OTHERS), "180 texts and 179 labels"),
        (([], [], OTHERS), "texts with labels"),
        ((["a"], [""], OTHERS), "no label may be empty"),
    ],
)
def test_what_nothing_can_be_learned_from_is_refused(given: tuple[Any, Any, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        routing.fit(*given, seed=1)


def test_vectors_of_another_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="vectors='words': must be 'ngrams' or 'embeddings'"):
        routing.fit(TEXTS, LABELS, OTHERS, seed=1, vectors="words")  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------------------ what is stored


def test_damaged_bytes_are_refused(made: Router) -> None:
    data = made.to_bytes()
    for at in (0, len(arrays.MAGIC), arrays.HEAD + 5, len(data) // 2, len(data) - 1):
        with pytest.raises(BadInput, match="no stored arrays, or were damaged"):
            Router.from_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    for cut in (b"", data[:10], data[:-1], data + b"x"):
        with pytest.raises(BadInput, match="no stored arrays, or were damaged"):
            Router.from_bytes(cut)


def sealed(body: bytes) -> bytes:
    """What somebody writes who knows the format."""
    return arrays.MAGIC + hashlib.sha256(body).digest() + body


class Trap:
    """Runs when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return pytest.fail, ("the bytes ran code",)


def test_bytes_that_hold_objects_run_nothing() -> None:
    body = io.BytesIO()
    np.savez(body, json=np.frombuffer(b"{}", dtype=np.uint8), weights=np.array([Trap()], dtype=object))
    for inside in (body.getvalue(), pickle.dumps(Trap())):
        with pytest.raises(BadInput, match="stored arrays cannot be read"):
            Router.from_bytes(sealed(inside))


def test_bytes_that_grow_when_they_are_read_are_refused() -> None:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as inside:
        inside.writestr("weights.npy", b"\0" * 10**6)
    with pytest.raises(BadInput, match="larger than their bytes"):
        Router.from_bytes(sealed(body.getvalue()))


@pytest.mark.parametrize(
    "change",
    [
        {"target": "1/0"},
        {"target": "2"},
        {"target": "many"},
        {"labels": ["hours"]},
        {"labels": ["a", "b", "c", "d"]},
        {"ngrams": ["ab"]},
        {"ngrams": 7},
        {"vectors": "embeddings"},
        {"vectors": "words"},
        {"calibration": {"threshold": 0, "asked": 1, "answered": 1, "wrong": 0}},
        {"calibration": {}},
        {"more": 1},
    ],
)
def test_what_does_not_belong_together_is_refused(made: Router, change: dict[str, Any]) -> None:
    told, numbers = arrays.unpack(made.to_bytes())
    with pytest.raises(BadInput, match="stored router"):
        Router.from_bytes(arrays.pack({**told, **change}, numbers))


@pytest.mark.parametrize(
    "change",
    [
        {"weights": np.zeros((2, 2), np.float32)},
        {"base": np.full(4, np.nan, np.float32)},
        {"more": np.zeros(1, np.float32)},
    ],
)
def test_numbers_that_are_none_of_a_router_are_refused(made: Router, change: dict[str, Any]) -> None:
    told, numbers = arrays.unpack(made.to_bytes())
    with pytest.raises(BadInput, match="stored router: its numbers"):
        Router.from_bytes(arrays.pack(told, {**numbers, **change}))


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    code = """
import sys
import tenure.worker, tenure.runtime.routing, tenure.runtime.embeddings, tenure.learn.router
found = {"numpy", "scipy", "sklearn", "safetensors", "tokenizers"} & {name.partition(".")[0] for name in sys.modules}
assert not found, found
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
