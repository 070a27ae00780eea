"""Never wrong: is a request ever answered with the answer to another one that differs in a single thing that counts?

`python -m bench.never_wrong [--data ../shared/data/banking77] [--seed 1] [--pairs 1000]`: minimal pairs made of the requests of
banking77, each through the store as a run would look: the last digit of an identifier, the next day, a negation, ten times the
amount, the other direction, another name. Beside it what likeness alone would serve. Then all requests as one stream: how many are
answered again, and how many of those carry another label.
"""

from __future__ import annotations

import argparse
import csv
import random
import re
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from bench.measure import emit
from tenure import Agent
from tenure.optimize import guards, similarity
from tenure.run import RunRequest
from tenure.runtime import caching
from tenure.runtime.caching import Asked
from tenure.runtime.store import cached, schema
from tenure.turn import Turn

Pair: TypeAlias = tuple[str, str]
NAMES = ("Alice", "Bob", "Carol", "David", "Erin", "Frank", "Grace", "Heidi", "Ivan", "Judy")
PLACES = ("savings", "checking", "London", "Paris", "my joint account", "my business account", "GBP", "EUR")
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday", "Monday")
AUX = re.compile(r"\b(can|could|do|does|did|is|are|was|has|have|should|would)\b", re.IGNORECASE)
LIKE = 0.7  # the threshold of the rule, the lowest there is
ALIKE = 0.9  # above it, likeness of writing alone would call two requests the same


def digit(text: str, draw: random.Random) -> Pair:
    """The last digit of an identifier."""
    number = draw.randrange(10_000, 99_999)
    other = number - number % 10 + (number % 10 + draw.randrange(1, 10)) % 10
    form = draw.choice(("{} (order {})", "{} The reference is {}.", "Order {1}: {0}", "{} #{}", "{} id A{}"))
    return form.format(text, number), form.format(text, other)


def date(text: str, draw: random.Random) -> Pair:
    """The day after."""
    day, month, at = draw.randrange(1, 28), draw.choice(MONTHS), draw.randrange(7)
    forms = (
        (f"on {day} {month} 2026", f"on {day + 1} {month} 2026"),
        (f"on {month} {day}", f"on {month} {day + 1}"),
        (f"on 2026-03-{day:02}", f"on 2026-03-{day + 1:02}"),
        (f"by {day}/3", f"by {day + 1}/3"),
        (f"on {DAYS[at]}", f"on {DAYS[at + 1]}"),
        (f"on {DAYS[at].lower()}", f"on {DAYS[at + 1].lower()}"),
        ("today", "tomorrow"),
        (f"in {month.lower()}", f"in {MONTHS[(MONTHS.index(month) + 1) % 10].lower()}"),
    )
    one, other = draw.choice(forms)
    return f"{text} {one}", f"{text} {other}"


def negation(text: str, draw: random.Random) -> Pair | None:
    """The contrary."""
    found = AUX.search(text)
    if found is None or "n't" in text or " not " in text:
        return None
    said = draw.choice((f"{found[0]}n't" if found[0].casefold() != "can" else "can't", f"{found[0]} not"))
    return text, f"{text[: found.start()]}{said}{text[found.end() :]}"


def amount(text: str, draw: random.Random) -> Pair:
    """Ten times as much."""
    many = draw.randrange(1, 500)
    form = draw.choice(("{} It is about ${}.", "{} for {} EUR", "£{1}: {0}", "{} ({}.00 dollars)", "{} {}0% of it"))
    return form.format(text, many), form.format(text, many * 10)


def direction(text: str, draw: random.Random) -> Pair:
    """The other way round."""
    one, other = draw.sample(PLACES, 2)
    form = draw.choice(
        ("{} from {} to {}", "{} I go from {} to {}.", "From {1} to {2}: {0}", "{} {} to {}", "{} out of {} into {}")
    )
    return form.format(text, one, other), form.format(text, other, one)


def name(text: str, draw: random.Random) -> Pair:
    """Somebody else."""
    one, other = draw.sample(NAMES, 2)
    form = draw.choice(("{} It is for {}.", "{} to {}", "{1} asks: {0}", "{} {} sent it", "{} on behalf of {}"))
    if draw.random() < 0.3:
        one, other = one.lower(), other.lower()
    return form.format(text, one), form.format(text, other)


KINDS: dict[str, Callable[[str, random.Random], Pair | None]] = {
    "last digit": digit, "next day": date, "negation": negation, "amount x 10": amount, "direction": direction, "name": name,
}  # fmt: skip


@dataclass
class Cache:
    """The cache of one agent over a store of its own."""

    db: sqlite3.Connection
    agent: Agent
    at: int = 1_800_000_000_000
    runs: int = 0

    def ask(self, text: str) -> str | None:
        """What a run would be answered with; None: Claude is asked, and its answer would be `text`."""
        self.runs, self.at = self.runs + 1, self.at + 1
        workflow = f"default:run:desk:{self.runs}"
        request = RunRequest(agent="desk", message=text)
        found = caching.look(self.db, self.agent, Asked(workflow, request, self.agent.snapshot(), self.at, 1.0))
        if isinstance(found, Turn):
            return found.content[0]["text"]
        entry = cached.opened(self.db, workflow)
        if entry is not None:
            cached.admit(self.db, entry, text, {}, 1)
        return None


def empty(like: float) -> Cache:
    """A cache that knows nothing yet."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.row_factory = sqlite3.Row
    schema.bring_up(db, Path("bench"), read_only=False)
    rule = {"similarity": like, "ttl": 86_400}
    return Cache(db, Agent(name="desk", optimization={"enable_cache": True, "cache_rules": [rule], "audit": 0}))


def pairs(texts: list[str], kind: str, many: int, draw: random.Random) -> Iterator[Pair]:
    """So many minimal pairs."""
    made = 0
    while made < many:
        pair = KINDS[kind](draw.choice(texts), draw)
        if pair is not None and pair[0] != pair[1]:
            made += 1
            yield pair


def by_likeness(pair: Pair, threshold: float) -> bool:
    """Whether likeness of writing alone would serve it."""
    one, other = (similarity.grams(guards.exact(text).casefold()) for text in pair)
    return similarity.cosine(one, other) >= threshold


def kind_of(texts: list[str], kind: str, many: int, draw: random.Random) -> dict[str, float]:
    """How many pairs were answered wrongly, asked both ways; what likeness alone would; how often a polite repeat was answered."""
    wrong = alike = again = 0
    cache = empty(LIKE)
    for pair in pairs(texts, kind, many, draw):
        alike += by_likeness(pair, ALIKE)
        for known, asked in (pair, pair[::-1]):
            cache.db.execute("DELETE FROM cached_answers")
            cache.ask(known)
            wrong += cache.ask(asked) == known
            again += cache.ask(f"Please, {known[0].lower()}{known[1:]}") is not None
    return {"asked": 2 * many, "served_wrong": wrong, "likeness_alone": alike * 2, "repeat_served": again / 2 / many}


def stream(told: list[tuple[str, str]], like: float, draw: random.Random) -> dict[str, Any]:
    """All requests, one after the other."""
    cache, label = empty(like), dict(told)
    served: list[tuple[str, str]] = []
    for text, _ in draw.sample(told, len(told)):
        given = cache.ask(text)
        served += [(text, given)] if given is not None else []
    other = [(text, given) for text, given in served if label[text] != label[given]]
    return {
        "requests": len(told),
        "served": round(len(served) / len(told), 4),
        "other_label": round(len(other) / max(len(served), 1), 4),
        "examples": draw.sample(other, min(5, len(other))),
    }


def main() -> None:
    """Measure and print one line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=Path("../shared/data/banking77"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=1000, help="of each kind")
    given = parser.parse_args()
    with (given.data / "train.csv").open(encoding="utf-8") as file:
        told = [(row["text"], row["category"]) for row in csv.DictReader(file)]
    texts, draw = [text for text, _ in told], random.Random(given.seed)
    kinds = {kind: kind_of(texts, kind, given.pairs, draw) for kind in KINDS}
    report = {
        "bench": "never_wrong",
        "seed": given.seed,
        "pairs": given.pairs * len(KINDS),
        "served_wrong": sum(one["served_wrong"] for one in kinds.values()),
        "kinds": kinds,
        "stream": {f"{like:g}": stream(told, like, random.Random(given.seed)) for like in (LIKE, 0.95)},
        "goal": {"served_wrong": 0, "served": 0.10},
    }
    emit(report)


if __name__ == "__main__":
    main()
