"""A run read back from its transcript: tool calls with their results, and the state they left."""

from __future__ import annotations

import json
from collections.abc import Iterable

from tenure.runtime.blobs import Blobs
from tenure.transcript import tool_calls
from tenure.wire import Json, JsonObject


def tool_calls_of(rows: Iterable[JsonObject], blobs: Blobs | None) -> list[JsonObject]:
    """Each call that was made or refused, with `tool`, `input`, `result` and `ok`, in order."""
    asked: dict[str, JsonObject] = {}
    found: list[JsonObject] = []
    for row in rows:
        if row["role"] == "assistant":
            asked |= {block["id"]: block for block in tool_calls(row["content"])}
        elif row["role"] == "tool":
            block = asked[row["id"]]
            result = _value(row, blobs)
            found.append({"tool": block["name"], "input": block["input"], "result": result, "ok": row["ok"]})
    return found


def _value(row: JsonObject, blobs: Blobs | None) -> Json:
    if "blob" not in row or blobs is None:
        return row.get("value") if "blob" not in row else row["blob"]
    text = blobs.get(row["blob"]["blob"]).decode()
    try:
        return json.loads(text)
    except ValueError:
        return text
