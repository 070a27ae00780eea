"""Similarity: how alike two texts are written. It ranks requests that the guards call the same; alone it decides nothing.

The cosine of the counts of character n-grams (Cavnar and Trenkle, 1994), without weights.
"""

from __future__ import annotations

import math
from collections import Counter

SIZES = (3, 4, 5)
FLOOR = 0.7  # below, likeness of writing says nothing


def grams(text: str) -> Counter[str]:
    """How often each run of 3 to 5 characters stands in it."""
    padded = f" {text} "
    return Counter(padded[at : at + size] for size in SIZES for at in range(len(padded) - size + 1))


def cosine(one: Counter[str], other: Counter[str]) -> float:
    """From 0, nothing in common, to 1."""
    if len(other) < len(one):
        one, other = other, one
    shared = sum(count * other[gram] for gram, count in one.items() if gram in other)
    length = math.sqrt(sum(n * n for n in one.values()) * sum(n * n for n in other.values()))
    return min(shared / length, 1.0) if length else 0.0
