"""Digests of what is decided on: SHA-256 over RFC 8785 canonical JSON.

RFC 8785 knows only integers up to 2^53: larger ones enter as `{"$int": "..."}`, and a key of the data that begins with
`$` gains a second one, so that two different values never have the same canonical form.
"""

from __future__ import annotations

import hashlib

import rfc8785

from tenure.approvals.request import Kind
from tenure.errors import BadInput
from tenure.wire import Json, JsonObject

_SAFE = 2**53 - 1


def digest(value: Json) -> str:
    """SHA-256 (64 hex digits) of `value` in canonical form. Raises BadInput for what has none (NaN, lone surrogates)."""
    try:
        return hashlib.sha256(rfc8785.dumps(_tagged(value))).hexdigest()
    except (rfc8785.CanonicalizationError, UnicodeEncodeError, RecursionError) as error:
        raise BadInput(f"{str(value)[:80]!r} has no canonical JSON form (RFC 8785): {error}") from error


def call_digest(tenant: str, workflow: str, seq: int, tool: str, arguments: JsonObject) -> str:
    """What binds a ruling, an approval and an effect to one call of one run. `seq` is the row of the call's result."""
    return digest([tenant, workflow, seq, tool, arguments])


def request_digest(tenant: str, workflow: str, seq: int, kind: Kind, payload: JsonObject, epoch: int) -> str:
    """What an answer signs: everything a person was shown to decide on."""
    return digest([tenant, workflow, seq, str(kind), payload, epoch])


def effect_key(tenant: str, workflow: str, seq: int, call: str) -> str:
    """The name of an effect, and the idempotency key a tool is given: no run id, no attempt, so a reset finds it again."""
    return digest([tenant, workflow, seq, call])


def _tagged(value: Json) -> Json:
    match value:
        case bool():
            return value
        case int() if abs(value) > _SAFE:
            return {"$int": str(value)}
        case dict():
            return {_key(str(k)): _tagged(v) for k, v in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  # JSON
        case list():
            return [_tagged(v) for v in value]  # pyright: ignore[reportUnknownVariableType]  # JSON
        case _:
            return value


def _key(key: str) -> str:
    return f"${key}" if key.startswith("$") else key
