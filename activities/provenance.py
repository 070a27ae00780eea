"""Where the arguments of a turn's calls come from: taint applied to the original rows of a run.

Rules of this file: nothing is remembered between turns, so that no summary and no restart can launder. A result's trusted
fields are a source only if nobody outside chose what was asked: the call was made before the run was tainted, or its own
sinks come from trusted sources. Otherwise a look-up of what an attacker names would make it trusted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from tenure.run import Effect
from tenure.spec import AgentSpec
from tenure.tools import Tool
from tenure.transcript import calls_made, result_value
from tenure.trust.sources import Sources, fields_in, texts_in
from tenure.trust.taint import Sinks, fields, reason, untrusted
from tenure.wire import Json, JsonObject


@dataclass(frozen=True)
class Provenance:
    """Whether the run is tainted before a turn, and, by the index of a call in it, why a person must look at the call."""

    tainted: bool
    asks: dict[int, str] = field(default_factory=dict[int, str])


def look(
    agent: AgentSpec,
    rows: Sequence[JsonObject],
    calls: Sequence[JsonObject],
    initial: JsonObject,
    load: Callable[[str], bytes],
    *,
    message_trusted: bool = True,
) -> Provenance:
    """What taint says of `calls`, the turn's tool_use blocks with the input they are made with.

    `rows` are all rows of the run before the turn, `initial` is the state it began with; `load` fetches a blob's bytes by its
    SHA-256. Only sinks of a tainted run are asked about; unknown tools are passed over.
    """
    told = _Told(agent, rows, initial, load, message_trusted)
    since = next((seq for seq, _ in enumerate(rows) if told.taints(seq)), None)
    sinks = {index: tool for index, call in enumerate(calls) if (tool := _sink(agent, call))}
    if since is None or not sinks:
        return Provenance(since is not None)
    known = told.known(since)
    doubts = {index: _sinks(tool).doubts(calls[index]["input"], known.cover) for index, tool in sinks.items()}
    return Provenance(True, {index: reason(found) for index, found in doubts.items() if found})


def _sink(agent: AgentSpec, call: JsonObject) -> Tool | None:
    tool = agent.tool.get(call["name"])
    is_sink = tool is not None and tool.effect is not Effect.READ and isinstance(call["input"], dict)
    return tool if is_sink else None


def _sinks(tool: Tool) -> Sinks:
    # Kept as a frozenset, though declared wider for who writes the tool.
    names = None if tool.sinks is None else frozenset(tool.sinks)
    return Sinks(tool.name, names, tool.manifest["input_schema"])


@dataclass
class _Known:
    """The trusted texts and fields of a run. Mutable: its rows add to them."""

    texts: Sources
    fields: Sources = field(default_factory=lambda: fields_in([]))

    def cover(self, leaf: Json) -> bool:
        """Whether a leaf comes from one of them."""
        return self.fields.cover(leaf) or self.texts.cover(leaf)


class _Told:
    """The rows of a run, each with the call it answers."""

    def __init__(
        self,
        agent: AgentSpec,
        rows: Sequence[JsonObject],
        initial: JsonObject,
        load: Callable[[str], bytes],
        message_trusted: bool,
    ) -> None:
        self._agent, self._rows, self._initial, self._load = agent, rows, initial, load
        self._message_trusted = message_trusted
        self._call = dict(_answered(rows))

    def taints(self, seq: int) -> bool:
        """Whether the row brings in something from outside."""
        row = self._rows[seq]
        match row["role"]:
            case "assistant":
                return False
            case "tool":
                return row.get("made", True) and self._result_taints(seq, row)
            case _:
                return any(self._strange_texts(seq, row))

    def known(self, since: int) -> _Known:
        """What the run may take arguments from; it is tainted from row `since` on."""
        # The state comes from who wrote the message: where that is a stranger, only the agent's own part of it counts.
        given = self._initial if self._message_trusted else None
        known = _Known(texts_in([self._agent.instructions, self._agent.state, given, self._message()]))
        for seq in range(len(self._rows)):
            self._learn(seq, since, known)
        return known

    def _message(self) -> str | None:
        """What the run was asked, where that is trusted."""
        if not self._message_trusted or not self._rows:
            return None
        first = self._rows[0]
        if "blob" in first:
            return self._load(first["blob"]["blob"]).decode()
        return next(reversed(first["texts"]), None)

    def _strange_texts(self, seq: int, row: JsonObject) -> list[str]:
        """What others said; of the first row, all but the message."""
        texts: list[str] = row["texts"]
        if seq > 0 or not self._message_trusted:
            return [*texts, *(["(a blob)"] if "blob" in row else [])]
        return texts if "blob" in row else texts[:-1]

    def _result_taints(self, seq: int, row: JsonObject) -> bool:
        tool, original = self._trusting(seq, row), self._original(row)
        if tool is None:
            return "blob" in original or untrusted(original["value"], ())
        return untrusted(self._value(original, tool), tool.output)

    def _learn(self, seq: int, since: int, known: _Known) -> None:
        row = self._rows[seq]
        tool = self._trusting(seq, row) if row["role"] == "tool" else None
        if tool is None:
            return
        asked, call = self._call[seq]
        if since < asked and not _sinks(tool).choose(call["input"], known.cover):
            return
        value = self._value(self._original(row), tool)
        found = fields(value, tool.output)
        if isinstance(value, str):
            known.texts |= texts_in(found)
        else:
            known.fields |= fields_in(found)

    def _trusting(self, seq: int, row: JsonObject) -> Tool | None:
        """The tool whose result the row is, if anything of it is trusted; of a call that was not made, nothing is."""
        tool = self._agent.tool.get(self._call[seq][1]["name"]) if seq in self._call else None
        return tool if tool is not None and tool.output and row["ok"] else None

    def _original(self, row: JsonObject) -> JsonObject:
        """The row that holds the result."""
        seq: int | None = row.get("same_as")
        return row if seq is None else self._original(self._rows[seq])

    def _value(self, row: JsonObject, tool: Tool) -> Json:
        """The result as the tool returned it; a blob holds it as text."""
        value = result_value(self._rows, row, self._load)
        return json.loads(value) if "blob" in row and not _may_be_text(tool, value) else value


def _may_be_text(tool: Tool, text: str) -> bool:
    """Whether the tool could have returned `text` itself: then fields found in it may be another's."""
    if tool.returns is None:
        return True
    try:
        tool.returns.validate_python(text, strict=True)
    except Exception:  # noqa: BLE001  # a validator of the tool's types may raise anything: it does not take the text
        return False
    return True


def _answered(rows: Sequence[JsonObject]) -> Iterator[tuple[int, tuple[int, JsonObject]]]:
    """By the row of each result: the row of the turn that asked for it, and the call with the input it was made with."""
    asked = 0
    calls: dict[str, JsonObject] = {}
    for seq, row in enumerate(rows):
        if row["role"] == "assistant":
            asked, calls = seq, {call["id"]: call for call in calls_made(row)}
        elif row["role"] == "tool" and row["id"] in calls:
            yield seq, (asked, calls[row["id"]])
