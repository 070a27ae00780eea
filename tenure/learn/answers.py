"""Answers: the text that the recorded answers share, with the values that differ taken from slots and results.

Rules of this file: pure. A value is only written where one expression explains it in every example; else there is no template,
and the proposal says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from tenure.learn.alignment import anchors_of, gaps_of
from tenure.learn.expressions import Expression, Joined, Name
from tenure.learn.plan import Answer
from tenure.learn.slots import TOKEN, Kind, Token
from tenure.learn.version_space import Example, explains, explanations
from tenure.wire import Json

Scopes = Sequence[Mapping[str, Json]]
JOINTS = (", ", "; ", " and ")


def answer_of(answers: Sequence[str], slots: Scopes, results: Scopes) -> Answer:
    """The template of the answers; the plain text where all are equal."""
    if len(set(answers)) == 1:
        return Answer((answers[0],))
    columns = _columns([_tokens(answer) for answer in answers])
    texts = [{name: _spelled(value) for name, value in known.items()} for known in results]
    pieces: list[str | Expression] = []
    for column in columns:
        found = _explained(column, slots, texts)
        if found is None:
            return Answer(None)
        pieces += found
    return Answer(tuple(_joined(pieces)))


def _tokens(text: str) -> list[Token]:
    """The text's tokens with its white space, which an answer keeps."""
    found: list[Token] = []
    at = 0
    for match in TOKEN.finditer(text):
        if match.start() > at:
            found.append(Token("sign", text[at : match.start()]))
        found.append(Token(cast("Kind", match.lastgroup), match.group()))
        at = match.end()
    return [*found, Token("sign", text[at:])] if at < len(text) else found


def _columns(examples: Sequence[list[Token]]) -> list[list[str]]:
    """What each answer says in each place."""
    anchors = anchors_of(examples)
    rows = [gaps_of(tokens, anchors) for tokens in examples]
    columns: list[list[str]] = []
    for at in range(len(anchors) + 1):
        columns.append(["".join(token.text for token in gaps[at]) for gaps in rows])
        if at < len(anchors):
            columns.append([token.text for token in anchors[at]])
    return columns


def _explained(column: Sequence[str], slots: Scopes, results: Scopes) -> list[str | Expression] | None:
    if len(set(column)) == 1:
        return [column[0]]
    before, after = _white([*column]), _white([text[::-1] for text in column])[::-1]
    inner = [text[len(before) : len(text) - len(after)] for text in column]
    examples = [
        Example({k: v for k, v in said.items() if v}, known, text)
        for said, known, text in zip(slots, results, inner, strict=True)
    ]
    found = [*explanations(examples, constants=False), *_lists(examples)]
    return [before, found[0], after] if found else None


def _white(texts: Sequence[str]) -> str:
    """The white space and signs that all begin with."""
    low, high = min(texts), max(texts)
    shared = low[: next((at for at, sign in enumerate(low) if high[at : at + 1] != sign), len(low))]
    return shared[: len(shared) - len(shared.lstrip(" .,:;!()\n"))]


def _lists(examples: Sequence[Example]) -> Iterator[Expression]:
    for name in sorted(examples[0].scope):
        for sign in JOINTS:
            joined = Joined(Name(name), sign)
            if _is_texts(examples, name) and explains(joined, examples):
                yield joined


def _is_texts(examples: Sequence[Example], name: str) -> bool:
    held = [example.scope.get(name) for example in examples]
    return all(
        isinstance(value, list) and all(isinstance(each, str) for each in cast("list[Json]", value)) for value in held
    )


def _spelled(value: Json) -> Json:
    """A result with its numbers as an answer writes them."""
    if isinstance(value, dict):
        return {key: _spelled(inner) for key, inner in cast("dict[str, Json]", value).items()}
    if isinstance(value, list):
        return [_spelled(inner) for inner in cast("list[Json]", value)]
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _joined(pieces: Sequence[str | Expression]) -> Iterator[str | Expression]:
    text = ""
    for piece in pieces:
        if isinstance(piece, str):
            text += piece
            continue
        if text:
            yield text
        text = ""
        yield piece
    if text:
        yield text
