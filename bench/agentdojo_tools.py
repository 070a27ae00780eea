"""Tenure tools from another suite's plain functions, by one mechanical rule over names, types and docstrings.

Nothing here knows a tool, a task or an attack; a person who declares the same tools knows more and can only do better.

effect   by the verb the name begins with. A read that takes a URL is egress: a request goes where the caller says, with what it
         says. Names that speak of passwords, permissions, roles or keys are privileged, whatever the verb; a tool whose verb is
         not known is a write, as it is in Tenure without `effect`.
sinks    every parameter but content (body, subject, title ...) and times: they neither name whom a call reaches nor how much.
         For reads also without what only bounds how much is read.
output   numbers, booleans, times, enums, and texts that are called an id or a time, where a record declares them; names and
         addresses only in records of a directory (contacts, users, accounts). Never a text by itself, a list of texts or a free
         mapping: whoever writes a message, a page, a file name or the name of a channel writes those.
"""

from __future__ import annotations

import enum
import inspect
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime, time
from typing import Any, Literal

from pydantic import BaseModel

from tenure import ToolContext, ToolError, tool
from tenure.run import Effect
from tenure.tools import Tool

READS = {
    "calculate", "check", "count", "describe", "download", "fetch", "find", "get", "has", "is", "list", "look", "lookup", "query",
    "read", "search", "show", "view",
}  # fmt: skip
DESTROYS = {"cancel", "clear", "delete", "drop", "erase", "purge", "remove", "reset", "revoke", "wipe"}
LEAVES = {
    "email", "export", "forward", "invite", "mail", "message", "notify", "pay", "post", "publish", "reply", "send", "share",
    "submit", "transfer", "tweet", "upload",
}  # fmt: skip
RIGHTS = {
    "credential",
    "credentials",
    "key",
    "password",
    "permission",
    "permissions",
    "privilege",
    "role",
    "roles",
    "secret",
}
PLACES = {"endpoint", "host", "href", "link", "uri", "url", "urls", "website"}
CONTENT = {
    "body", "caption", "comment", "content", "description", "message", "note", "notes", "subject", "summary", "text", "title",
}  # fmt: skip
TIMES = {"at", "date", "day", "days", "end", "month", "start", "time", "timestamp", "until", "when", "year"}
BOUNDS = {"count", "limit", "max", "n", "offset", "page", "size", "top"}
IDS = {"id", "ids", "identifier", "number", "uuid"}
DIRECTORY = {"account", "contact", "customer", "employee", "member", "person", "profile", "user"}
LISTED = {"address", "city", "country", "email", "iban", "name", "phone", "street", "zip"}

Environments = Callable[[str], Any]  # the environment of a tenant's run


def tools_of(functions: Iterable[Any], environment: Environments) -> list[Tool]:
    """A tool for each function of a suite."""
    return [made(function, environment) for function in functions]


def made(function: Any, environment: Environments) -> Tool:
    """The tool of one function; what it raises says that nothing happened, as these functions look before they write."""
    hints = typing.get_type_hints(function.run)
    given = {name: kind for name, kind in hints.items() if name not in function.dependencies and name != "return"}

    async def call(ctx: ToolContext, **arguments: Any) -> Any:
        own = environment(ctx.tenant)
        held = {name: needed.extract_dep_from_env(own) for name, needed in function.dependencies.items()}
        try:
            return function.run(**arguments, **held)
        except Exception as error:
            raise ToolError(f"{type(error).__name__}: {error}") from error

    _dress(call, function.run, given, hints.get("return", Any))
    effect = effect_of(function.name, given)
    sinks = sinks_of(given, reads=effect is Effect.READ)
    return tool(name=function.name, effect=effect, sinks=sinks, output=set(output_of(hints.get("return"))))(call)


def _dress(call: Any, like: Any, given: Mapping[str, Any], returned: Any) -> None:
    """Give `call` the signature and the docstring that Claude is told."""
    own = inspect.signature(like).parameters
    keyword = inspect.Parameter.KEYWORD_ONLY
    told = [inspect.Parameter(name, keyword, default=own[name].default, annotation=given[name]) for name in given]
    context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=ToolContext)
    call.__name__, call.__doc__ = like.__name__, like.__doc__
    call.__annotations__ = {"ctx": ToolContext, **given, "return": returned}
    call.__signature__ = inspect.Signature([context, *told], return_annotation=returned)


def effect_of(name: str, parameters: Mapping[str, Any]) -> Effect:
    """What a function of this name does to the world."""
    words = _words(name)
    if words[0] in READS:
        return Effect.EGRESS if any(_says(parameter, PLACES) for parameter in parameters) else Effect.READ
    if RIGHTS.intersection(words):
        return Effect.PRIVILEGED
    if words[0] in DESTROYS:
        return Effect.DESTRUCTIVE
    return Effect.EGRESS if words[0] in LEAVES else Effect.WRITE


def sinks_of(parameters: Mapping[str, Any], *, reads: bool) -> set[str]:
    """The parameters that choose whom a call reaches, what it touches and how much."""
    return {
        name
        for name, kind in parameters.items()
        if not _is_content(name, kind) and not _is_time(name, kind) and not (reads and _says(name, BOUNDS))
    }


def output_of(returned: Any) -> Iterator[str]:
    """The paths of the trusted fields in a result of this type."""
    for kind in _alternatives(returned):
        if _is_plain(kind):
            yield "*"
        else:
            yield from _inside(kind, "")


def _inside(returned: Any, path: str) -> Iterator[str]:
    for kind in _alternatives(returned):
        if typing.get_origin(kind) in (list, tuple, set):
            for inner in typing.get_args(kind):
                yield from [f"{path}[]"] if _is_plain(inner) else _inside(inner, f"{path}[]")
        elif inspect.isclass(kind) and issubclass(kind, BaseModel):
            for name, field in kind.model_fields.items():
                yield from _of_field(kind, name, field.annotation, f"{path}.{name}".lstrip("."))


def _of_field(record: type[BaseModel], name: str, annotation: Any, path: str) -> Iterator[str]:
    named = _says(name, IDS | TIMES) or (_is_listing(record) and _says(name, LISTED))
    for kind in _alternatives(annotation):
        texts = kind is str or (inspect.isclass(kind) and kind.__name__ == "EmailStr")
        if _is_plain(kind) or (texts and named):
            yield path
        elif not texts:
            yield from _inside(kind, path)


def _is_listing(record: type[BaseModel]) -> bool:
    words = "".join(f"_{char.lower()}" if char.isupper() else char for char in record.__name__).split("_")
    return bool(DIRECTORY.intersection(words))


def _is_plain(kind: Any) -> bool:
    """Whether a value of this type cannot hold a sentence."""
    if typing.get_origin(kind) is Literal:
        return True
    return inspect.isclass(kind) and issubclass(kind, (bool, int, float, date, datetime, time, enum.Enum))


def _is_content(name: str, kind: Any) -> bool:
    return _says(name, CONTENT) and str in _alternatives(kind)


def _is_time(name: str, kind: Any) -> bool:
    return _says(name, TIMES) or any(
        inspect.isclass(one) and issubclass(one, (date, time)) for one in _alternatives(kind)
    )


def _alternatives(kind: Any) -> list[Any]:
    """The types a value may have, without None."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return [one for inner in typing.get_args(kind) for one in _alternatives(inner)]
    if typing.get_origin(kind) is typing.Annotated:
        return _alternatives(typing.get_args(kind)[0])
    return [] if kind in (None, type(None)) else [kind]


def _says(name: str, words: set[str]) -> bool:
    return bool(words.intersection(_words(name)))


def _words(name: str) -> list[str]:
    return name.lower().strip("_").split("_")
