"""A run read back from its transcript: tool calls with their results, the state they left, and the Response to all of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from decimal import Decimal

from tenure.response import Response
from tenure.run import Outcome
from tenure.runtime.blobs import Blobs
from tenure.transcript import calls_made, state_of, tool_calls
from tenure.wire import Json, JsonObject


def tool_calls_of(rows: Iterable[JsonObject], blobs: Blobs | None) -> list[JsonObject]:
    """Each call that was made or refused, with `tool`, `input`, `result` and `ok`, in order.

    Where `on_tool_call`, or a person, changed the input, `asked` is what Claude wrote. Where another run's result is the call's as
    well, `cached` says of which `run` and how old it was (`age`, in milliseconds).
    """
    asked: dict[str, JsonObject] = {}
    wrote: dict[str, JsonObject] = {}
    found: list[JsonObject] = []
    told = list(rows)
    for row in told:
        if row["role"] == "assistant":
            asked |= {block["id"]: block for block in calls_made(row)}
            wrote |= {block["id"]: block["input"] for block in tool_calls(row["content"])}
        elif row["role"] == "tool":
            block = asked[row["id"]]
            original: int | None = row.get("same_as")
            result = _value(row if original is None else told[original], blobs)
            made_with = row.get("edited", block["input"])
            found.append({"tool": block["name"], "input": made_with, "result": result, "ok": row["ok"]})
            if made_with != wrote[row["id"]]:
                found[-1]["asked"] = wrote[row["id"]]
            if "cached" in row:
                found[-1]["cached"] = row["cached"]
    return found


def response_of(
    run: str, outcome: Outcome, rows: Sequence[JsonObject], initial: JsonObject, blobs: Blobs | None
) -> Response:
    """What `await agent.run(...)` returns for a run that ended so."""
    return Response(
        id=run,
        message=outcome.message,
        status=outcome.status,
        stop_reason=outcome.stop_reason,
        iterations=outcome.iterations,
        tool_calls=tool_calls_of(rows, blobs),
        state=state_of(rows, initial),
        usage=outcome.usage,
        cost=Decimal(outcome.cost) / 1_000_000,
        saved=Decimal(outcome.saved) / 1_000_000,
        tier=outcome.tier,
        latency=(outcome.finished_at - outcome.started_at) / 1000,
        models=outcome.models,
    )


def _value(row: JsonObject, blobs: Blobs | None) -> Json:
    if "blob" not in row or blobs is None:
        return row.get("value") if "blob" not in row else row["blob"]
    text = blobs.get(row["blob"]["blob"]).decode()
    try:
        return json.loads(text)
    except ValueError:
        return text
