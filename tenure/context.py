"""Context: what of a long conversation is still sent. The oldest tool results go first, then old turns become a summary.

Rules of this file: pure. Sizes are tokens; where they are not known they are guessed from bytes of JSON, too large rather than
too small. What was decided once stays decided, and more is cleared at once than is needed, because each change of what was
sent before makes the prompt cache useless.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tenure.transcript import SHOWN_LIMIT, canonical
from tenure.turn import Fitted
from tenure.wire import JsonObject

AFTER_CLEARING = 0.75  # share of the window that results are cleared down to
AFTER_SUMMARY = 0.5  # share of the window that the turns left as they are may take
LEAST_SUMMARISED = 0.25  # share of the window that a summary must replace
BYTES_IN = 3  # bytes a token, where content comes in: guessed too large
BYTES_OUT = 4  # where content goes out: what is freed is guessed too small


@dataclass(frozen=True)
class Plan:
    """What to leave out: results before row `cleared`, and as a summary rows 1 to before `summarised`."""

    cleared: int
    summarised: int


def plan(rows: Sequence[JsonObject], fitted: Fitted, window: int, *, known: int, fixed: int) -> Plan | None:
    """What else must go so that the conversation takes at most `window` tokens; None when it fits as it is.

    `known` is what the last call took, prompt and answer (0: unknown); `fixed` is the bytes of instructions and tools. The last
    turn and what follows it always stay: Claude has yet to read them.
    """
    last = _last_turn(rows)
    size = _size(rows, fitted, known, fixed, last)
    if size <= window or last == 0:
        return None
    cleared, freed = fitted.cleared, 0
    while cleared < last and size - freed > window * AFTER_CLEARING:
        row = rows[cleared]
        freed += _bytes(rows, row) // BYTES_OUT if row["role"] == "tool" and cleared >= fitted.summarised else 0
        cleared += 1
    cut = fitted.summarised if size - freed <= window else _cut(rows, cleared, window, last)
    found = Plan(cleared, cut if _is_worth_it(rows, fitted, cleared, cut, window) else fitted.summarised)
    return None if found == Plan(fitted.cleared, fitted.summarised) else found


def _last_turn(rows: Sequence[JsonObject]) -> int:
    return next((seq for seq in range(len(rows) - 1, 0, -1) if rows[seq]["role"] == "assistant"), 0)


def _size(rows: Sequence[JsonObject], fitted: Fitted, known: int, fixed: int, last: int) -> int:
    if known:
        return known + sum(_bytes(rows, row) for row in rows[last + 1 :]) // BYTES_IN
    sent = [seq for seq in range(len(rows)) if seq == 0 or seq >= fitted.summarised]
    shown = [rows[seq] for seq in sent if rows[seq]["role"] != "tool" or seq >= fitted.cleared]
    return (fixed + len(fitted.summary) + sum(_bytes(rows, row) for row in shown)) // BYTES_IN


def _cut(rows: Sequence[JsonObject], cleared: int, window: int, last: int) -> int:
    """The turn before which everything is summarised: as early as the rest leaves room, at the latest the last one."""
    size, cut = 0, last
    for seq in range(len(rows) - 1, 0, -1):
        hidden = rows[seq]["role"] == "tool" and seq < cleared
        size += 0 if hidden else _bytes(rows, rows[seq]) // BYTES_IN
        if size > window * AFTER_SUMMARY:
            break
        cut = seq if rows[seq]["role"] == "assistant" else cut
    return cut


def _is_worth_it(rows: Sequence[JsonObject], fitted: Fitted, cleared: int, cut: int, window: int) -> bool:
    """Whether a summary of what is sent before `cut` makes room; it costs a call, and the cache of all that follows."""
    replaced = [rows[seq] for seq in range(max(1, fitted.summarised), cut)]
    shown = [
        row for seq, row in enumerate(replaced, max(1, fitted.summarised)) if row["role"] != "tool" or seq >= cleared
    ]
    return sum(_bytes(rows, row) for row in shown) // BYTES_OUT >= window * LEAST_SUMMARISED


def _bytes(rows: Sequence[JsonObject], row: JsonObject) -> int:
    if "same_as" in row:
        original: int = row["same_as"]
        return _bytes(rows, rows[original])
    outside = row["blob"]["size"] if "blob" in row else 0
    if row["role"] == "tool":
        return min(outside or len(canonical(row.get("value"))), SHOWN_LIMIT)
    return outside + len(canonical(row.get("content", row.get("texts"))))
