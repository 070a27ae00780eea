"""Stubs: what a program may call, and its inputs, as Python declarations that a type checker reads."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tenure.learn.program import Signature, Signatures, Slots
from tenure.wire import Json, JsonObject

HEAD = "from __future__ import annotations\nfrom typing import Any, Literal, NotRequired, TypedDict\n"
DEEPEST = 12  # levels of a schema that are written out; what lies deeper is Any

_OBJECT: type[Json] = dict
_USED = frozenset(
    {"Any", "Literal", "NotRequired", "TypedDict", "annotations", "str", "int", "float", "bool", "list", "dict"}
)
_SCALARS = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}


def stubs_of(tools: Signatures, slots: Slots | None = None) -> str:
    """Declarations of the tools as functions of keyword arguments, and of the slots as variables; the same bytes every time.

    What a schema leaves open, or says in a way that Python's types cannot, is `Any`: the tool itself still checks it. A tool
    whose name is no identifier, or a built-in's, cannot be called by a program and is left out.
    """
    made = _Stubs()
    lines = [made.function(tool) for tool in tools if is_callable(tool.name)]
    lines += [f"{name}: {made.shape(schema, f'_{name}')}\n" for name, schema in (slots or {}).items()]
    return HEAD + "".join(made.classes.values()) + "".join(lines)


def is_callable(name: str) -> bool:
    """Whether a program can have a tool, or an input, of this name."""
    return is_name(name) and not hasattr(builtins, name)


def is_name(name: str) -> bool:
    """Whether it can stand in a stub, as an argument or a field, and hides nothing that the stubs use."""
    plain = name.isidentifier() and name.isascii() and not keyword.iskeyword(name)
    return plain and not name.startswith("__") and name not in _USED


@dataclass(frozen=True)
class _Root:
    """The schema that others lie in: whose it is, and what they may refer to."""

    owner: str
    defs: JsonObject


@dataclass
class _Stubs:
    """`classes` are the declarations of objects by the names given to them, in the order in which they were met."""

    classes: dict[str, str] = field(default_factory=dict[str, str])

    def function(self, tool: Signature) -> str:
        required = tool.takes.get("required", ())
        root = _Root(f"_{tool.name}", tool.takes.get("$defs", {}))
        told: list[str] = []
        for name, schema in tool.takes.get("properties", {}).items():
            shape = self.annotation(schema, root, f"{root.owner}_{name}")
            if is_name(name):
                told.append(f"{name}: {shape}" + ("" if name in required else " = ..."))
        open_ended = len(told) < len(tool.takes.get("properties", {})) or not tool.takes
        takes = [*(["*"] if told else []), *told, *(["**others: Any"] if open_ended else [])]
        gives = self.shape(tool.gives, f"_{tool.name}_result")
        return f"def {tool.name}({', '.join(takes)}) -> {gives}: ...\n"

    def shape(self, schema: JsonObject, owner: str) -> str:
        """The type of a schema that stands by itself."""
        return self.annotation(schema, _Root(owner, schema.get("$defs", {})), owner)

    def annotation(self, schema: Json, root: _Root, path: str, depth: int = 0) -> str:
        """The type of `schema`, which lies `depth` levels inside `root`; `path` names the classes it takes."""
        if not isinstance(schema, _OBJECT) or depth > DEEPEST:
            return "Any"
        if "$ref" in schema:
            return self._referred(str(schema["$ref"]), root, depth)
        choices = schema.get("anyOf") or schema.get("oneOf")
        if choices:
            return _union([self.annotation(one, root, f"{path}_{n}", depth + 1) for n, one in enumerate(choices)])
        if "const" in schema or "enum" in schema:
            return _literal(schema.get("enum", [schema.get("const")]))
        kinds = schema.get("type")
        if isinstance(kinds, list):
            return _union([self._typed(kind, schema, root, path, depth) for kind in _strings(kinds)])
        return self._typed(str(kinds), schema, root, path, depth)

    def _typed(self, kind: str, schema: JsonObject, root: _Root, path: str, depth: int) -> str:
        match kind:
            case "array":
                return f"list[{self.annotation(schema.get('items'), root, f'{path}_item', depth + 1)}]"
            case "object" if schema.get("properties"):
                return self._object(schema, root, path, depth)
            case "object":
                inner = self.annotation(schema.get("additionalProperties"), root, f"{path}_value", depth + 1)
                return f"dict[str, {inner}]"
            case _:
                return _SCALARS.get(kind, "Any")

    def _referred(self, ref: str, root: _Root, depth: int) -> str:
        name = ref.removeprefix("#/$defs/")
        place = _identifier(f"{root.owner}_{name}")
        # What refers to itself comes back to the class that is being written.
        return place if place in self.classes else self.annotation(root.defs.get(name), root, place, depth + 1)

    def _object(self, schema: JsonObject, root: _Root, path: str, depth: int) -> str:
        """A class for it; `dict[str, Any]` where a key is no name."""
        properties: Mapping[str, Json] = schema["properties"]
        if not all(is_name(key) for key in properties):
            return "dict[str, Any]"
        name = self._free(path)
        self.classes[name] = ""  # taken: what is inside may refer to it
        lines = "".join(self._fields(schema, root, name, depth))
        self.classes[name] = f"class {name}(TypedDict):\n{lines}"
        return name

    def _fields(self, schema: JsonObject, root: _Root, name: str, depth: int) -> Iterator[str]:
        required = schema.get("required", ())
        for key, inner in schema["properties"].items():
            shape = self.annotation(inner, root, f"{name}_{key}", depth + 1)
            yield f"    {key}: {shape if key in required else f'NotRequired[{shape}]'}\n"

    def _free(self, path: str) -> str:
        name, count = _identifier(path), 1
        while name in self.classes:
            count += 1
            name = f"{_identifier(path)}_{count}"
        return name


def _union(shapes: list[str]) -> str:
    return "Any" if "Any" in shapes else " | ".join(dict.fromkeys(shapes))


def _strings(listed: Json) -> list[str]:
    return [str(one) for one in listed]


def _identifier(text: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_]", "_", text)


def _literal(values: list[Json]) -> str:
    """A Literal of what Python allows in one, beside the types of the rest."""
    exact = [value for value in values if isinstance(value, str | int | None)]
    rest = [
        "float" if isinstance(value, float) else "Any" for value in values if not isinstance(value, str | int | None)
    ]
    literal = [f"Literal[{', '.join(map(repr, exact))}]"] if exact else []
    return _union([*literal, *rest])
