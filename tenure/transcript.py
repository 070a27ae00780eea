"""The conversation as rows: how a row reads, how rows become Claude's messages, and the hash that chains them.

Rules of this file: pure functions over JSON. A row is written to the store by an activity and recomputed by the workflow
from what history holds, so both must come to the same bytes: everything goes through `canonical`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence

from tenure.run import RunRequest
from tenure.turn import Fitted, Result, Turn
from tenure.wire import BlobRef, Json, JsonObject

EMPTY_HEAD = ""
SHOWN_LIMIT = 256 * 1024  # characters of one tool result that Claude is shown
CLEARED = "[Tenure: cleared to make room; call the tool again if you need this]"
SUMMARISED = "[Tenure: a summary of the conversation so far, in place of its turns]\n{}"
MODIFIED = "[Tenure: by policy this call was made with other input: {}]"
EDITED = "[Tenure: a person had this call made with other input: {}]"


def canonical(value: Json) -> str:
    """JSON text that is equal for equal values: sorted keys, no spaces, ASCII only."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def name_of(value: Json) -> str:
    """16 hex digits that are equal for equal values: enough to notice the same call again, not to bind an approval."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:16]


def clean(value: Json) -> Json:
    """`value` as strict JSON: lone surrogates become `?`. Raises ValueError or TypeError for what JSON cannot say."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return json.loads(text.encode("utf-8", "replace"))


def extend(head: str, row: JsonObject) -> str:
    """The chain's new head (64 hex digits): SHA-256 over the old head and the row."""
    return extend_text(head, canonical(row))


def extend_text(head: str, row: str) -> str:
    """The same for a row that is canonical text already."""
    return hashlib.sha256((head + row).encode()).hexdigest()


def user_row(texts: Sequence[str], blob: BlobRef | None = None) -> JsonObject:
    """What a person or a client said; a long message stands as a reference."""
    row: JsonObject = {"role": "user", "texts": list(texts)}
    if blob is not None:
        row["blob"] = blob.model_dump()
    return row


def first_row(request: RunRequest) -> JsonObject:
    """What a run begins with: the context it was given, then the message."""
    return user_row([*request.context, *([request.message] if request.message else [])], request.message_blob)


def request_name(request: RunRequest) -> str:
    """16 hex digits that are equal for starts that ask for the same: message, context, state, user and role."""
    return name_of([first_row(request), request.state, request.user, request.role])


def assistant_row(turn: Turn) -> JsonObject:
    """What Claude said: content blocks exactly as the API gave them; beside it what hooks made of it, and how it was asked."""
    beside = turn.model_dump(
        mode="json", include={"modified", "state", "fitted", "taint", "served", "by"}, exclude_defaults=True
    )
    return {"role": "assistant", "content": list(turn.content), **beside}


def result_row(tool_use_id: str, result: Result) -> JsonObject:
    """What a tool call came to, and what it changed in the run's state; only what differs from a plain success is said."""
    told = result.model_dump(exclude_defaults=True, exclude={"standing"})
    return {**told, "role": "tool", "id": tool_use_id, "ok": result.ok, "value": result.value}


def result_of(row: JsonObject) -> Result:
    """The result a row was made from."""
    return Result.model_validate(row)


def problem_row(tool_use_id: str, problem: str) -> JsonObject:
    """A call that was not made, and why."""
    return {**result_row(tool_use_id, Result(ok=False, value=problem)), "made": False}


def was_made(row: JsonObject, tool_use_id: str) -> bool:
    """Whether the row is the result of that call, and not the word that it was not made."""
    return row.get("id") == tool_use_id and row.get("made", True)


def tool_calls(content: Sequence[JsonObject]) -> list[JsonObject]:
    """The `tool_use` blocks of an assistant turn, in order."""
    return [block for block in content if block.get("type") == "tool_use"]


def calls_made(row: JsonObject) -> list[JsonObject]:
    """The calls of an assistant row, with the input they are made with: Claude's, or what `on_tool_call` put in its place."""
    given, blocks = row.get("modified", {}), tool_calls(row["content"])
    return [{**block, "input": given.get(str(index), block["input"])} for index, block in enumerate(blocks)]


def answer_text(content: Sequence[JsonObject]) -> str:
    """The text of an assistant turn."""
    return "\n".join(block["text"] for block in content if block.get("type") == "text").strip()


def state_of(rows: Iterable[JsonObject], initial: JsonObject) -> JsonObject:
    """The run's state: the initial one with the tools' deltas merged in the order of the calls."""
    merged = dict(initial)
    for row in rows:
        merged.update(row.get("state", {}))
    return merged


def fitted_of(rows: Iterable[JsonObject]) -> Fitted:
    """What is not sent of these rows any more, as the last turn that changed it recorded it."""
    told = [row["fitted"] for row in rows if "fitted" in row]
    return Fitted.model_validate(told[-1]) if told else Fitted()


def result_value(rows: Sequence[JsonObject], row: JsonObject, load: Callable[[str], bytes]) -> Json:
    """What a tool returned: the value, the text of its blob, or that of the earlier row whose result it is as well."""
    if "same_as" in row:
        original: int = row["same_as"]
        return result_value(rows, rows[original], load)
    return load(row["blob"]["blob"]).decode() if "blob" in row else row["value"]


def messages(
    rows: Sequence[JsonObject], load: Callable[[str], bytes], fitted: Fitted | None = None
) -> list[JsonObject]:
    """`rows` as the Messages API wants them. `load` fetches a blob's bytes by its SHA-256.

    Rows of one role that follow each other become one message, because the API wants roles to alternate and all results
    of a turn at the head of the next user message.
    """
    fit, changed = fitted or Fitted(), _changed(rows)
    found: list[JsonObject] = []
    for seq, row in enumerate(rows):
        if 0 < seq < fit.summarised:
            continue
        role, blocks = _blocks(rows, row, load, cleared=seq < fit.cleared, note=changed.get(row.get("id", "")))
        if seq == 0 and fit.summarised:
            blocks = [*blocks, {"type": "text", "text": SUMMARISED.format(fit.summary)}]
        if found and found[-1]["role"] == role:
            found[-1]["content"].extend(blocks)
        elif blocks:
            found.append({"role": role, "content": blocks})
    return found


def _changed(rows: Iterable[JsonObject]) -> dict[str, str]:
    """What Claude is told of calls that were made with another input than it wrote, by tool_use id."""
    found: dict[str, str] = {}
    for row in rows:
        for index, given in row.get("modified", {}).items():
            found[tool_calls(row["content"])[int(index)]["id"]] = MODIFIED.format(canonical(given))
        if "edited" in row:
            found[row["id"]] = EDITED.format(canonical(row["edited"]))
    return found


def _blocks(
    rows: Sequence[JsonObject], row: JsonObject, load: Callable[[str], bytes], *, cleared: bool, note: str | None
) -> tuple[str, list[JsonObject]]:
    match row["role"]:
        case "assistant":
            return "assistant", list(row["content"])
        case "tool":
            shown = CLEARED if cleared else as_text(result_value(rows, row, load))
            return "user", [_tool_result(row, f"{note}\n{shown}" if note and row.get("made", True) else shown)]
        case _:
            texts = list(row["texts"])
            if "blob" in row:
                texts.append(load(row["blob"]["blob"]).decode())
            return "user", [{"type": "text", "text": text} for text in texts]


def _tool_result(row: JsonObject, shown: str) -> JsonObject:
    block: JsonObject = {"type": "tool_result", "tool_use_id": row["id"], "content": _cut(shown)}
    return block if row["ok"] else {**block, "is_error": True}


def as_text(value: Json) -> str:
    """A result as Claude reads it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _cut(text: str) -> str:
    if len(text) <= SHOWN_LIMIT:
        return text
    return f"{text[:SHOWN_LIMIT]}\n[cut by Tenure: the first {SHOWN_LIMIT:,} of {len(text):,} characters]"
