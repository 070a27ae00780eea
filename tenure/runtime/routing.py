"""Routing: a router for learned answers, fitted to requests whose answer is known, and stored as plain data.

What a request says is seen by the n-grams in it (tf-idf): those of its characters and those of its words, or, with
`vectors="embeddings"`, those of its characters and its sentence vector beside them. A linear model makes probabilities of that, one
of them for "none of these": a support vector machine over n-grams alone (Joachims, 1998), a logistic regression where vectors stand
beside them. Confidence is by how much the first leads the second. When it may be answered is for `tenure.learn.router` to say.
scikit-learn is imported when it is needed.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic import BaseModel, ConfigDict

from tenure.errors import BadInput, ConfigError
from tenure.learn import router as policy
from tenure.learn.router import Abstained, Calibration, Closed, Guess, Open, Routed, Scored, Traits
from tenure.optimize.config import Vectors
from tenure.optimize.guards import LONGEST, exact
from tenure.optimize.traits import traits
from tenure.runtime import arrays, embeddings
from tenure.runtime.blas import single_threaded

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float32]

NONE = ""  # the class of what asks for none of these
FOLDS = 5  # each request is scored by a model that was fitted to four fifths of the others
LETTERS = (2, 5)  # characters of an n-gram, inside a word and its edges
BESIDE_WORDS = (2, 3)  # the same, where n-grams of words stand beside them
WORDS = (1, 2)  # words of an n-gram
WORD = "\n"  # stands before an n-gram of words, and in no other: white space of a request is single spaces
REGRESSION = 30.0  # C of the regression over four fifths of the examples: how little it is held back
MACHINE = 2.0  # C of the machine over as many
SURE = 6.0  # what the machine's scores are multiplied by: then its odds are about as often right as they say
ENOUGH = 1e-3  # the gradient at which either stops
Embed: TypeAlias = "Callable[[Sequence[str]], Floats]"


def check(vectors: str) -> None:
    """Raise ConfigError for what is no kind of vectors, or is not installed. Nothing is loaded for that."""
    if vectors not in ("ngrams", "embeddings"):
        raise ConfigError(f"vectors={vectors!r:.80}: must be 'ngrams' or 'embeddings'")
    if importlib.util.find_spec("sklearn") is None:
        raise ConfigError(
            "the router needs scikit-learn, which is not installed: install tenure[router], as you installed tenure"
        )
    if vectors == "embeddings":
        embeddings.check()


def missing() -> str:
    """What has to be installed before anything is fitted; empty: nothing."""
    try:
        check("ngrams")
    except ConfigError as error:
        return str(error)
    return ""


def fit(
    texts: Sequence[str],
    labels: Sequence[str],
    none_texts: Sequence[str],
    seed: int,
    *,
    target: Fraction = policy.TARGET,
    vectors: Vectors = "ngrams",
    embed: Embed | None = None,
) -> Router:
    """A router for the labels, calibrated; closed, where so much does not prove that it is wrong in at most `target`.

    `texts` have the answer `labels` names at the same place; `none_texts` ask for none of these, and should be as frequent among
    all as they are in truth. The same arguments make the same router. `embed` makes the sentence vectors, where others than those
    of MiniLM are wanted. Raises ConfigError for what cannot be learned from, and for what is not installed.
    """
    check("ngrams" if embed else vectors)
    _check_examples(texts, labels)
    scored: list[Scored] = []
    calibration: Calibration = Closed(policy.too_few(len(texts), len(none_texts), target))
    if calibration.why:
        return Router(None, calibration, target)
    told = Examples([*texts, *none_texts], [*labels, *([NONE] * len(none_texts))], vectors, embed)
    scored = told.scored(seed)
    calibration = policy.calibrate(scored, target)
    model = None if isinstance(calibration, Closed) else told.fitted(range(len(told.texts)))
    return Router(model, calibration, target, tuple(scored))


@dataclass(frozen=True, eq=False)
class Model:
    """What was fitted: `weights` of shape (labels, n-grams + width of a vector), float32, and what the n-grams are.

    `labels` has NONE among them; `examples` are the traits that any example of each label has.
    """

    labels: tuple[str, ...]
    examples: Mapping[str, Traits]
    ngrams: tuple[str, ...]
    rarity: Floats  # of each n-gram: its idf
    weights: Floats
    base: Floats  # of each label
    vectors: Vectors = "ngrams"
    embed: Embed | None = None

    def guesses(self, texts: Sequence[str], dense: Floats | None = None) -> list[Guess]:
        """What it believes of each; `dense` are their sentence vectors, where they are at hand."""
        np = _numpy()
        seen = _ngrams(self.ngrams, self.rarity).transform(texts)
        beside = _dense(texts, self.vectors, self.embed) if dense is None else dense
        many = len(self.ngrams)
        scores = seen @ self.weights[:, :many].T + beside @ self.weights[:, many:].T + self.base
        odds: Floats = np.exp(scores - scores.max(axis=1, keepdims=True))
        odds /= odds.sum(axis=1, keepdims=True)
        first: list[int] = odds.argmax(axis=1).tolist()
        two = np.partition(odds, -2, axis=1)[:, -2:]
        lead = two[:, 1] - two[:, 0]
        return [Guess(self.labels[at] or None, float(by)) for at, by in zip(first, lead.tolist(), strict=True)]


@dataclass(frozen=True, eq=False)
class Router:
    """Sends a request to a learned answer, or abstains. `scored` is what it was calibrated on, right after `fit` alone."""

    model: Model | None
    calibration: Calibration
    target: Fraction = policy.TARGET
    scored: tuple[Scored, ...] = field(default=(), repr=False)

    def route(self, text: str) -> Routed | Abstained:
        """Where the request goes."""
        plain = exact(text)
        if not 0 < len(plain) <= LONGEST:
            return Abstained(f"{len(plain)} characters: must be 1 to {LONGEST}")
        if self.model is None:
            return policy.route(Guess(None, 0.0), frozenset(), frozenset(), self.calibration)
        guess = self.model.guesses([plain])[0]
        examples = self.model.examples.get(guess.label or NONE, frozenset())
        return policy.route(guess, frozenset(traits(plain)), examples, self.calibration)

    def after(self, outcomes: Sequence[bool]) -> Router:
        """The router after audits of its answers (True: right), the oldest first; closed, where they break its bound."""
        return replace(self, calibration=policy.audited(self.calibration, outcomes, self.target))

    def to_bytes(self) -> bytes:
        """The router as plain data: see `tenure.runtime.arrays`. Equal routers are equal bytes."""
        model = self.model
        told = _Stored(
            target=str(self.target),
            calibration=self.calibration,
            labels=list(model.labels) if model else [],
            examples={label: sorted(known) for label, known in model.examples.items()} if model else {},
            ngrams=list(model.ngrams) if model else [],
            vectors=model.vectors if model else "ngrams",
        )
        named = {"rarity": model.rarity, "weights": model.weights, "base": model.base} if model else {}
        return arrays.pack(told.model_dump(mode="json"), named)

    @classmethod
    def from_bytes(cls, data: bytes, *, embed: Embed | None = None) -> Router:
        """The router that was stored. Raises BadInput for what is none, ConfigError for what it needs and is not installed."""
        told, found = arrays.unpack(data)
        try:
            stored = _Stored.model_validate(told)
            stored.check(found)
        except (ValueError, LookupError, ZeroDivisionError) as error:
            raise BadInput(f"stored router: {error}") from error
        check("ngrams" if embed else stored.vectors)
        target = Fraction(stored.target)
        if not stored.labels:
            return cls(None, stored.calibration, target)
        examples = {label: frozenset(known) for label, known in stored.examples.items()}
        return cls(
            Model(tuple(stored.labels), examples, tuple(stored.ngrams), **found, vectors=stored.vectors, embed=embed),
            stored.calibration,
            target,
        )


class _Stored(BaseModel):
    """What is stored of a router beside its numbers."""

    model_config = ConfigDict(extra="forbid")

    target: str
    calibration: Open | Closed
    labels: list[str]
    examples: dict[str, list[str]]
    ngrams: list[str]
    vectors: Vectors

    def check(self, found: Mapping[str, Floats]) -> None:
        """Raise one of the errors of arithmetic and look-up for what no router is made of."""
        if not 0 < Fraction(self.target) < 1:
            raise ValueError(f"target {self.target} is no share of wrong answers")
        if isinstance(self.calibration, Open) and not (0 < self.calibration.threshold <= 1 and self.labels):
            raise ValueError(f"threshold {self.calibration.threshold:g} with {len(self.labels)} labels answers nothing")
        if self.labels:
            self._check_model(found)

    def _check_model(self, found: Mapping[str, Floats]) -> None:
        if {*self.examples} != {*self.labels} or NONE not in self.labels or len({*self.ngrams}) < len(self.ngrams):
            raise ValueError("its labels, examples and n-grams do not belong together")
        many, seen = len(self.labels), len(self.ngrams)
        width = found["weights"].shape[-1] - seen
        shapes = {"rarity": (seen,), "weights": (many, seen + width), "base": (many,)}
        if {name: one.shape for name, one in found.items()} != shapes or (self.vectors == "ngrams") != (width == 0):
            raise ValueError("its numbers and its labels do not belong together")
        if not all(_numpy().isfinite(one).all() for one in found.values()):
            raise ValueError("its numbers are not all finite")


class Examples:
    """All that is learned from, and its sentence vectors, made once. `fit` is what promises something of it."""

    def __init__(self, texts: Iterable[str], labels: Sequence[str], vectors: Vectors, embed: Embed | None) -> None:
        self.texts = [exact(text) for text in texts]
        self.labels = labels
        self.vectors: Vectors = vectors
        self.embed = embed
        self.dense = _dense(self.texts, vectors, embed)
        self.traits: list[Traits] = [frozenset(traits(text)) for text in self.texts]

    def scored(self, seed: int) -> list[Scored]:
        """Each example, as a model answers it that was fitted to others: those of other parts."""
        parts = [policy.fold(text.casefold(), seed, FOLDS) for text in self.texts]
        found: dict[int, Scored] = {}
        for part in range(FOLDS):
            model = self.fitted([at for at in range(len(parts)) if parts[at] != part])
            asked = [at for at in range(len(parts)) if parts[at] == part]
            guesses = model.guesses([self.texts[at] for at in asked], self.dense[asked]) if asked else []
            found |= {at: self._score(at, guess, model) for at, guess in zip(asked, guesses, strict=True)}
        return [found[at] for at in range(len(parts))]

    def _score(self, at: int, guess: Guess, model: Model) -> Scored:
        label = guess.label or NONE
        abstains = guess.label is None or policy.unlike(self.traits[at], model.examples[label])
        known = self.labels[at] != NONE
        return Scored(0.0 if abstains else guess.confidence, known and label == self.labels[at], known)

    def fitted(self, chosen: Iterable[int]) -> Model:
        """The model that some of the examples make."""
        at, alone = list(chosen), self.vectors == "ngrams"
        seen = _ngrams(alone=alone)
        try:
            counted = seen.fit_transform([self.texts[one] for one in at])
        except ValueError as error:  # no n-gram stands in two of them
            raise ConfigError(f"{len(at)} examples have nothing in common: {error}") from error
        labels = [self.labels[one] for one in at]
        # Held back as much for each example, however many: or the model of all would be surer than those it was measured by.
        share = (1 - 1 / FOLDS) * len(self.texts) / len(at)
        names, weights, base = _linear(_beside(counted, self.dense[at]), labels, share, alone=alone)
        told: dict[str, Traits] = {label: frozenset() for label in names}
        for one in at:
            told[self.labels[one]] |= self.traits[one]
        return Model(
            labels=tuple(told),
            examples=told,
            ngrams=tuple(seen.get_feature_names_out().tolist()),
            rarity=seen.idf_.astype(_numpy().float32),
            weights=weights,
            base=base,
            vectors=self.vectors,
            embed=self.embed,
        )


def _check_examples(texts: Sequence[str], labels: Sequence[str]) -> None:
    if len(texts) != len(labels):
        raise ConfigError(f"{len(texts)} texts and {len(labels)} labels: each text needs its own")
    if not texts or any(not label for label in labels):
        raise ConfigError("the router needs texts with labels, and no label may be empty")


def _dense(texts: Sequence[str], vectors: str, embed: Embed | None) -> Floats:
    """The sentence vectors of texts; with n-grams alone, of width 0."""
    if vectors == "ngrams":
        np = _numpy()
        return np.zeros((len(texts), 0), dtype=np.float32)
    return (embed or embeddings.Embeddings().vectors)(texts)


def _numpy() -> Any:  # Any: the module, which is typed but not imported yet
    with single_threaded():
        import numpy as np
        import scipy.linalg  # pyright: ignore[reportMissingTypeStubs, reportUnusedImport]  # noqa: F401  # has a BLAS of its own
    return np


def _ngrams(known: Sequence[str] | None = None, rarity: Floats | None = None, *, alone: bool = True) -> Any:
    """The counts of n-grams (Any: scikit-learn is untyped): of those that are known, or of new ones, which stand alone or not."""
    _numpy()
    from sklearn.feature_extraction import text  # pyright: ignore[reportMissingTypeStubs]

    make: Any = text.TfidfVectorizer
    new = known is None
    # What is known may be of either kind, and stored with no word of it: what is looked for in vain counts for nothing.
    of_letters = make(analyzer="char_wb", ngram_range=BESIDE_WORDS if new and alone else LETTERS).build_analyzer()
    of_words = make(ngram_range=WORDS, token_pattern=r"\w+").build_analyzer()

    def both(asked: str) -> list[str]:
        return [*of_letters(asked), *(WORD + one for one in of_words(asked))]

    made = make(
        analyzer=of_letters if new and not alone else both,
        min_df=2 if new else 1,
        sublinear_tf=True,
        dtype=_numpy().float32,
        vocabulary=known,
    )
    if rarity is not None:
        made.idf_ = rarity
    return made


def _linear(seen: Any, labels: Sequence[str], share: float, *, alone: bool) -> tuple[list[str], Floats, Floats]:
    """The classes of a linear model of what was seen (Any: scipy is untyped), its weights and bases: the scores are log odds.

    A machine looks at one label against all others, and is wrong less often where it leads far: `bench/README.md`. What it makes of
    sentence vectors has not been measured.
    """
    np = _numpy()
    from sklearn.linear_model import LogisticRegression  # pyright: ignore[reportMissingTypeStubs]
    from sklearn.svm import LinearSVC  # pyright: ignore[reportMissingTypeStubs]

    if alone:
        made: Any = LinearSVC(C=MACHINE * share, tol=ENOUGH, random_state=0)
    else:
        made = LogisticRegression(C=REGRESSION * share, tol=ENOUGH, max_iter=1000)
    made.fit(seen, labels)
    times = SURE if alone else 1.0
    weights, base = times * made.coef_, times * made.intercept_
    if len(made.classes_) == 2:  # the library keeps the second one alone
        weights, base = np.vstack([-weights, weights]) / 2, np.hstack([-base, base]) / 2
    return made.classes_.tolist(), weights.astype(np.float32), base.astype(np.float32)


def _beside(counted: Any, dense: Floats) -> Any:  # Any: scipy is untyped
    from scipy import sparse  # pyright: ignore[reportMissingTypeStubs]

    made: Any = sparse
    return made.hstack([counted, made.csr_array(dense)]).tocsr() if dense.shape[1] else counted
