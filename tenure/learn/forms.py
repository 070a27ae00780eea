"""Forms: the ways in which the same is asked for, and the template of one way, without the few requests that fit least.

Rules of this file: pure; the outcome does not depend on the order of the requests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

from tenure.learn.alignment import template
from tenure.learn.slots import Token, cut
from tenure.learn.trigger import Part

OFTEN = Fraction(1, 5)  # of the requests that hold a word which may belong to a form
ENOUGH = 5  # different requests of a kind, before anything is said of their words
TYPICAL = Fraction(9, 10)  # of them hold a word that belongs to what they ask for
ALIKE = Fraction(3, 5)  # of the words of two requests of one form that both hold


def templates(requests: Sequence[str], share: Fraction) -> Iterator[list[Part]]:
    """Templates of at least that share of the requests: of all first, then without ever more of those that fit least."""
    legible = _typical([tokens for request in requests if (tokens := cut(request))])
    fewest = -(-len(requests) * share.numerator // share.denominator)
    tried: list[list[Part]] = []
    left_out = 0
    while (kept := len(legible) - left_out) >= max(fewest, 1):
        parts = template(legible[:kept])
        if parts and parts not in tried:
            tried.append(parts)
            yield parts
        left_out += 1 + left_out // 2  # few steps where there are many requests


def _typical(requests: Sequence[list[Token]]) -> list[list[Token]]:
    """The most typical first: those that hold no sign and no type of value that few hold, and else what most others hold."""
    common = Counter(key for tokens in requests for key in {token.key for token in tokens})
    few = OFTEN * len(requests)

    def likeness(tokens: list[Token]) -> tuple[int, Fraction, list[str]]:
        keys = [token.key for token in tokens]
        strange = sum(token.kind != "word" and common[token.key] < few for token in tokens)
        return strange, -Fraction(sum(common[key] for key in keys), len(keys)), [token.text for token in tokens]

    return sorted(requests, key=likeness)


def forms(requests: Sequence[str]) -> list[frozenset[str]]:
    """The requests in clusters, the largest first: each holds the words that its first one holds, more or less."""
    words = {request: _words(request) for request in sorted(set(requests))}
    counts = Counter(word for held in words.values() for word in held)
    telling = {word for word, count in counts.items() if count >= OFTEN * len(words)}
    clusters: list[tuple[set[str], set[str]]] = []
    for request, held in words.items():
        told = held & telling
        near = next((members for leader, members in clusters if _alike(leader, told)), None)
        if near is None:
            clusters.append((told, {request}))
        else:
            near.add(request)
    return sorted((frozenset(members) for _, members in clusters), key=lambda members: (-len(members), sorted(members)))


def belonging(kinds: Iterable[Iterable[str]]) -> list[str]:
    """Words that belong to what any kind of request asks for: nearly all requests of that kind, of five or more, hold them.

    A request that came again tells nothing new.
    """
    found: set[str] = set()
    for requests in kinds:
        texts = [_words(request) for request in set(requests)]
        counts = Counter(word for words in texts for word in words)
        found |= {word for word, count in counts.items() if len(texts) >= ENOUGH and count >= TYPICAL * len(texts)}
    return sorted(found)


def _words(request: str) -> set[str]:
    return {token.key for token in cut(request) or [] if token.kind == "word"}


def _alike(left: set[str], right: set[str]) -> bool:
    return len(left & right) >= ALIKE * len(left | right)
