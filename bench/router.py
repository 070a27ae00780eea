"""Router: how much of a stream may be sent to learned answers, and how much of that goes wrong?

`python -m bench.router [--vectors ngrams|embeddings] [--folds 5] [--seed 1] [--strangers 0] [--without-none] [--data FOLDER]`: in
each fold a tenth of the intents of banking77 is held back as "none of these", a router is fitted to the other parts of the file
and asked about its own. Beside it the same router with the threshold that it would have without "none of these" in its calibration;
with `--without-none` a router that has not heard of them at all, neither there nor among its classes.
`--strangers` holds back so many intents more, which are in nobody's examples: requests of a kind that the promise is not about.
"""

from __future__ import annotations

import argparse
import csv
import random
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

from bench.measure import emit
from tenure.learn import router as policy
from tenure.learn.router import Guess, Open
from tenure.optimize.guards import exact
from tenure.optimize.traits import traits
from tenure.runtime import embeddings, routing
from tenure.runtime.routing import Router

Row: TypeAlias = tuple[str, str]
Split: TypeAlias = tuple[list[Row], list[Row], set[str], set[str]]
NONE = 0.1  # of the intents
TARGETS = ("0.02", "0.0225", "0.0175", "0.015")  # of one fit, the first is the router's own


@dataclass(frozen=True)
class Tried:
    """What one router made of one request: `label` is None for none of these, `stranger` was in nobody's examples."""

    label: str | None
    guess: Guess
    strange: bool  # by its traits
    stranger: bool = False


@dataclass(frozen=True)
class Fold:
    """One router and what it was asked."""

    router: Router
    tried: list[Tried]
    seconds: float


def folds(rows: Sequence[Row], many: int, strangers: int, draw: random.Random) -> Iterator[Split]:
    """What is learned from, what is asked, the intents held back, and those that nobody has heard of."""
    mixed = draw.sample(rows, len(rows))
    labels = sorted({label for _, label in rows})
    for part in range(many):
        chosen = draw.sample(labels, round(NONE * len(labels)) + strangers)
        unheard = set(chosen[:strangers])
        learned = [row for at, row in enumerate(mixed) if at % many != part and row[1] not in unheard]
        yield learned, mixed[part::many], set(chosen[strangers:]), unheard


def fold(learned: Sequence[Row], asked: Sequence[Row], none: set[str], unheard: set[str], given: Any) -> Fold:
    """Fit and ask (given, Any: the command's arguments)."""
    known = [row for row in learned if row[1] not in none]
    rest = [text for text, label in learned if label in none]
    start = time.perf_counter()
    texts, labels = [text for text, _ in known], [label for _, label in known]
    if given.without_none:
        router = unwarned(texts, labels, given)
    else:
        router = routing.fit(texts, labels, rest, given.seed, vectors=given.vectors, embed=given.embed)
    took = time.perf_counter() - start
    assert router.model is not None, router.calibration
    tried: list[Tried] = []
    for (text, label), guess in zip(asked, router.model.guesses([exact(text) for text, _ in asked]), strict=True):
        examples = router.model.examples.get(guess.label or "", frozenset())
        strange = bool(policy.unlike(frozenset(traits(text)), examples))
        tried.append(Tried(None if label in none | unheard else label, guess, strange, label in unheard))
    return Fold(router, tried, took)


def unwarned(texts: Sequence[str], labels: Sequence[str], given: Any) -> Router:
    """A router made the same way, which has never heard of "none of these" (given, Any: the command's arguments)."""
    examples = routing.Examples(texts, labels, given.vectors, given.embed)
    scored = examples.scored(given.seed)
    return Router(examples.fitted(range(len(texts))), policy.widest(scored, policy.TARGET), scored=tuple(scored))


def without_none(router: Router) -> Open | policy.Closed:
    """The threshold that the same scores would have, were there none that ask for none of these."""
    return policy.widest([one for one in router.scored if one.known], router.target)


def tally(pairs: Iterable[tuple[Open | policy.Closed, Fold]]) -> dict[str, Any]:
    """What was answered in all folds, of what, and how much of it wrongly."""
    every, answered, thresholds = [], [], []
    for calibration, one in pairs:
        every += one.tried
        if isinstance(calibration, Open):
            thresholds.append(round(calibration.threshold, 3))
            sure = (each for each in one.tried if each.guess.confidence >= calibration.threshold)
            answered += [each for each in sure if each.guess.label and not each.strange]
    known = [one for one in every if one.label]
    none = [one for one in every if not one.label and not one.stranger]
    wrong = [one for one in answered if one.guess.label != one.label and not one.stranger]
    strangers = sum(one.stranger for one in answered)
    fair = len(answered) - strangers
    return {
        "coverage": round(sum(bool(one.label) for one in answered) / len(known), 4),
        "coverage_of_all": round(fair / (len(known) + len(none)), 4),
        "wrong_of_answered": round(len(wrong) / max(fair, 1), 4),
        "none_answered": round(sum(not one.label for one in wrong) / max(len(none), 1), 4),
        "strangers_answered": round(strangers / max(len(every) - len(known) - len(none), 1), 4),
        "thresholds": thresholds,
    }


def main() -> None:
    """Measure and print one line."""
    given = arguments()
    with (given.data / "train.csv").open(encoding="utf-8") as file:
        rows = [(row["text"], row["category"]) for row in csv.DictReader(file)]
    given.embed = embedded(rows) if given.vectors == "embeddings" else None
    made: list[Fold] = []
    for one in folds(rows, given.folds, given.strangers, random.Random(given.seed)):
        made.append(fold(*one, given))
        progress(f"fold {len(made)} of {given.folds}: {made[-1].seconds:.0f} s, {made[-1].router.calibration}")
    by_target = {
        target: tally((policy.widest(one.router.scored, Fraction(target)), one) for one in made) for target in TARGETS
    }
    per_text = sum(one.seconds for one in made) / sum(len(one.router.scored) for one in made)
    emit(
        {
            "bench": "router",
            "vectors": given.vectors,
            "seed": given.seed,
            "folds": given.folds,
            "requests": len(rows),
            "strangers": given.strangers,
            "none_of_these": not given.without_none,
            "by_target": by_target,
            "calibrated_without_none": tally((without_none(one.router), one) for one in made),
            "fit_seconds": [round(one.seconds, 1) for one in made],
            "fit_ms_per_text": round(1000 * per_text, 2),
            "stored_mb": round(len(made[0].router.to_bytes()) / 1e6, 1),
            "goal": {"ngrams": [0.68, 0.02], "embeddings": [0.76, 0.015]}[given.vectors],
        }
    )


def embedded(rows: Sequence[Row]) -> Any:
    """The sentence vectors of all requests, made once and kept in memory (Any: an Embed)."""
    import numpy as np

    texts, model = sorted({exact(text) for text, _ in rows}), embeddings.Embeddings()
    known: dict[str, Any] = {}
    for start in range(0, len(texts), 1000):
        some = texts[start : start + 1000]
        known |= dict(zip(some, model.vectors(some), strict=True))
        progress(f"{len(known)} of {len(texts)} vectors")
    return lambda asked: np.array([known[text] for text in asked])


def arguments() -> Any:
    """What the command was given (Any: a Namespace)."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=Path("../shared/data/banking77"))
    parser.add_argument("--vectors", choices=("ngrams", "embeddings"), default="ngrams")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--strangers", type=int, default=0, help="intents that are in nobody's examples")
    parser.add_argument(
        "--without-none", action="store_true", help="leave 'none of these' out of everything that is learned from"
    )
    return parser.parse_args()


def progress(told: str) -> None:
    """For whoever waits."""
    sys.stderr.write(f"{told}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
