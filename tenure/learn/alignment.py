"""Alignment: the template that example requests have in common: constant words, slots, repeated lists, other ways to say a
part.

Rules of this file: pure; the outcome does not depend on the order of the examples. Anchors are tokens that every example holds
equally often and in the same order (a longest common subsequence); between two anchors lies a gap, and a gap becomes the
narrowest part that covers what all examples put there. Where none does there is no template: None. The idea of generalising
over aligned strings is that of Gulwani (FlashFill, POPL 2011).
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from tenure.learn.slots import MARKS, Token, mark
from tenure.learn.stubs import is_callable
from tenure.learn.trigger import Choice, Either, Part, Phrase, Repeated, Row, Style, Typed, Word, styled

Tokens: TypeAlias = Sequence[Token]

SURE = 5  # examples that must agree before a value of a type counts as a constant
SIGNS = (";", ",")  # what stands between the items of a list
CHOICES = 6  # phrases at most that are a closed set
WAYS = 4  # to say one part
TWICE = 2  # examples of a way: what only one of them says is no way to say it, and that one is left out
LONGEST_ITEM = 6  # words
EMPTY_CUES = frozenset({"is", "are", "the", "a", "an", "to", "of", "my", "your", "for", "and", "with", "as"})


def template(examples: Iterable[Tokens]) -> list[Part] | None:
    """The parts that all examples share, with named slots; None where they do not align."""
    ordered = sorted((list(tokens) for tokens in examples), key=lambda tokens: [token.text for token in tokens])
    parts = _aligned(ordered)
    return None if parts is None else _named(parts, "", Counter())


def _aligned(examples: Sequence[Tokens]) -> list[Part] | None:
    anchors = anchors_of(examples)
    rows = [gaps_of(tokens, anchors) for tokens in examples]
    columns = _merged([list(column) for column in zip(*rows, strict=True)], anchors)
    parts: list[Part] = []
    for column, anchor in columns:
        found = _gap(column)
        if found is None:
            return None
        parts += [*found, *_anchored(anchor)]
    return parts


# ------------------------------------------------------------------------------------------------------------- anchors


def anchors_of(examples: Sequence[Tokens]) -> list[list[Token]]:
    """For each anchor its token in every example, in the order of the examples."""
    counts = [Counter(token.key for token in tokens) for tokens in examples]
    steady = {key for key, count in counts[0].items() if all(other[key] == count for other in counts)}
    keyed = [[token.key for token in tokens if token.key in steady] for tokens in examples]
    shared = functools.reduce(common, keyed)
    return [list(anchor) for anchor in zip(*(_found(tokens, shared) for tokens in examples), strict=True)]


def common(left: Sequence[str], right: Sequence[str]) -> list[str]:
    """A longest common subsequence."""
    if list(left) == list(right):
        return list(left)
    lengths = [[0] * (len(right) + 1) for _ in range(len(left) + 1)]
    for i in reversed(range(len(left))):
        for j in reversed(range(len(right))):
            same = left[i] == right[j]
            lengths[i][j] = lengths[i + 1][j + 1] + 1 if same else max(lengths[i + 1][j], lengths[i][j + 1])
    found, i, j = list[str](), 0, 0
    while i < len(left) and j < len(right):
        if left[i] == right[j]:
            found.append(left[i])
            i, j = i + 1, j + 1
        elif lengths[i + 1][j] >= lengths[i][j + 1]:
            i += 1
        else:
            j += 1
    return found


def _found(tokens: Tokens, keys: Sequence[str]) -> list[Token]:
    found: list[Token] = []
    left = iter(tokens)
    for key in keys:
        found.append(next(token for token in left if token.key == key))
    return found


def gaps_of(tokens: Tokens, anchors: Sequence[Sequence[Token]]) -> list[list[Token]]:
    """What stands before each anchor, and after the last one."""
    gaps: list[list[Token]] = [[]]
    for token in tokens:
        if len(gaps) <= len(anchors) and token.key == anchors[len(gaps) - 1][0].key:
            gaps.append([])
        else:
            gaps[-1].append(token)
    return gaps


Column: TypeAlias = list[list[Token]]  # for each example what it holds in one place


def _merged(columns: list[Column], anchors: list[list[Token]]) -> list[tuple[Column, list[Token]]]:
    """Neighbouring gaps as one where what stands in them goes together: "(mail is X | code is 9)" is one place, not two."""
    pairs = [(column, anchors[at] if at < len(anchors) else []) for at, column in enumerate(columns)]
    at = 0
    while at + 1 < len(pairs):
        (left, anchor), (right, after) = pairs[at], pairs[at + 1]
        if _goes_with(left, right) or _goes_with(right, left):
            joined = [[*a, token, *b] for a, token, b in zip(left, anchor, right, strict=True)]
            pairs[at : at + 2] = [(joined, after)]
            at = max(at - 1, 0)
        else:
            at += 1
    return pairs


def _goes_with(words: Column, values: Column) -> bool:
    """Whether the words of one place tell the types of the values in the other."""
    ways: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
    for told, value in zip(words, values, strict=True):
        ways.setdefault(_types(value), set()).add(tuple(token.key for token in told))
    kept = [next(iter(told)) for told in ways.values() if len(told) == 1]
    return 1 < len(ways) <= WAYS and len(kept) == len(ways) == len(set(kept))


def _types(tokens: Tokens) -> tuple[str, ...]:
    return tuple(token.kind for token in tokens if token.is_typed)


def _anchored(anchor: Sequence[Token]) -> list[Part]:
    if not anchor:
        return []
    return [_typed(anchor)] if anchor[0].is_typed else [Word(text=anchor[0].key)]


# ---------------------------------------------------------------------------------------------------------------- gaps


def _gap(column: Column) -> list[Part] | None:
    if not any(column):
        return []
    for build in (_constant, _phrase, _list, _ways):
        found = build(column)
        if found is not None:
            return found
    return None


def _constant(column: Column) -> list[Part] | None:
    keys = {tuple(token.key for token in tokens) for tokens in column}
    if len(keys) > 1:
        return None
    return [part for tokens in zip(*column, strict=True) for part in _anchored(tokens)]


def _phrase(column: Column) -> list[Part] | None:
    if not all(tokens and all(token.kind == "word" for token in tokens) for tokens in column):
        return None
    said = Counter(" ".join(token.text for token in tokens) for tokens in column)
    if len(said) <= CHOICES and len(column) >= 2 * len(said):
        return [Choice(name="?", values=sorted(said))]
    return [_words(column)]


def _words(phrases: Sequence[Tokens]) -> Phrase:
    """As many words as the examples had where they agreed on it, else up to one more."""
    sizes = {len(tokens) for tokens in phrases}
    styles: set[Style] = {styled(token.text) for tokens in phrases for token in tokens}
    low, high = (min(sizes), max(sizes)) if len(sizes) == 1 else (1, min(max(sizes) + 1, LONGEST_ITEM))
    return Phrase(name="?", low=low, high=high, style=styles.pop() if len(styles) == 1 else "any")


def _typed(tokens: Sequence[Token]) -> Typed:
    values = [token.value for token in tokens]
    marks, lengths = {mark(token) for token in tokens}, {len(value) for value in values}
    return Typed(
        name="?",
        type=tokens[0].kind,  # pyright: ignore[reportArgumentType] -- is_typed excludes words and signs
        mark=marks.pop() if len(marks) == 1 and tokens[0].kind in MARKS else None,
        length=lengths.pop() if len(lengths) == 1 and tokens[0].kind in ("identifier", "number") else None,
        fixed=values[0] if len(values) >= SURE and len(set(values)) == 1 else None,
    )


def _list(column: Column) -> list[Part] | None:
    for sign in SIGNS:
        split = [_items(tokens, sign) for tokens in column]
        rows = [row for row in split if row is not None]
        if len(rows) == len(column) and any(len(items) > 1 or closed for items, closed in rows):
            return _repeated(rows, sign)
    return None


def _items(tokens: Tokens, sign: str) -> tuple[list[list[Token]], bool] | None:
    """The items between the signs, and whether one stands after the last; None where one item is empty."""
    items: list[list[Token]] = [[]]
    for token in tokens:
        if token.text == sign:
            items.append([])
        else:
            items[-1].append(token)
    closed = not items[-1]
    items = items[:-1] if closed else items
    return (items, closed) if items and all(items) else None


def _repeated(rows: Sequence[tuple[list[list[Token]], bool]], sign: str) -> list[Part] | None:
    items = [item for row, _ in rows for item in row]
    item = _item(items)
    if item is None:
        return None
    sizes, ends = [len(row) for row, _ in rows], {closed for _, closed in rows}
    closed = ends.pop() if len(ends) == 1 else None
    return [Repeated(name="?", sign=sign, item=item, low=1, high=2 * max(sizes), closed=closed)]


def _item(items: Sequence[Tokens]) -> Phrase | Typed | Row | None:
    """What all items have in common: words, a value, or a row of such and of constant words."""
    if all(token.kind == "word" for item in items for token in item):
        return _words(items) if max(map(len, items)) <= LONGEST_ITEM else None
    parts = _aligned([list(item) for item in items])
    if parts is None:
        return None
    told = [part for part in parts if isinstance(part, Word | Typed | Choice | Phrase)]
    if len(told) < len(parts):
        return None
    if len(told) == 1 and isinstance(told[0], Typed):
        return told[0]
    return Row(parts=[part if isinstance(part, Word) else part.model_copy(update={"name": ""}) for part in told])


def _ways(column: Column) -> list[Part] | None:
    """Each way to say it as a template of its own, told apart by the types of the values in it."""
    ways: dict[tuple[str, ...], Column] = {}
    for tokens in column:
        ways.setdefault(_types(tokens) if tokens else ("",), []).append(tokens)
    if not 1 < len(ways) <= WAYS or min(map(len, ways.values())) < TWICE:
        return None
    branches = [_aligned(ways[types]) for types in sorted(ways)]
    kept = [branch for branch in branches if branch is not None]
    return [Either(branches=kept)] if len(kept) == len(branches) else None


# --------------------------------------------------------------------------------------------------------------- names


def _named(parts: Sequence[Part], cue: str, taken: Counter[str]) -> list[Part]:
    """Each slot named after the last word before it that says something."""
    named: list[Part] = []
    for part in parts:
        if isinstance(part, Word):
            cue = part.text if part.text.isascii() and part.text.isidentifier() and part.text not in EMPTY_CUES else cue
            named.append(part)
        elif isinstance(part, Either):
            named.append(Either(branches=[_named(branch, cue, taken) for branch in part.branches]))
        else:
            named.append(part.model_copy(update={"name": _name(part, cue, taken)}))
    return named


def _name(part: Part, cue: str, taken: Counter[str]) -> str:
    name = cue or (part.type if isinstance(part, Typed) else "words")
    if isinstance(part, Repeated):
        name += "_list"
    elif isinstance(part, Typed) and not name.endswith(part.type):
        name += {"identifier": "_id", "number": "_number", "money": "_amount", "email": "_email"}.get(part.type, "")
    if not is_callable(name):
        name += "_"
    taken[name] += 1
    return name if taken[name] == 1 else f"{name}_{taken[name]}"
