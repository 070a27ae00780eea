"""The subset of Python that a program is written in: what can be refused by reading it, before it runs or is type-checked.

Rules of this file: what is not named here is refused, so that a new Python brings nothing new. The sandbox holds without it
(`tests/unit/test_hostile.py` runs programs that were never read); this is the second wall, and it keeps programs readable.
"""

from __future__ import annotations

import ast
import threading
import warnings
from collections.abc import Collection, Iterator

from tenure.learn.program import Problem
from tenure.learn.stubs import is_callable

LONGEST = 16 * 1024  # bytes of one program: a person approves it, and must be able to read it
MOST_LINES = 200
# CPython counts the depth of a tree that it hands out for all threads together, and fails where two are handed out at once
# ("AST constructor recursion depth mismatch").
ONE_AT_A_TIME = threading.Lock()

_STATEMENTS = (
    ast.Module, ast.Expr, ast.Assign, ast.AnnAssign, ast.AugAssign, ast.For, ast.While, ast.If, ast.Break, ast.Continue,
    ast.Pass, ast.FunctionDef, ast.Return, ast.Assert, ast.Raise, ast.Try, ast.ExceptHandler,
)  # fmt: skip
_EXPRESSIONS = (
    ast.BoolOp, ast.NamedExpr, ast.BinOp, ast.UnaryOp, ast.Lambda, ast.IfExp, ast.Dict, ast.Set, ast.ListComp, ast.SetComp,
    ast.DictComp, ast.GeneratorExp, ast.Compare, ast.Call, ast.FormattedValue, ast.JoinedStr, ast.Constant, ast.Attribute,
    ast.Subscript, ast.Starred, ast.Name, ast.List, ast.Tuple, ast.Slice,
)  # fmt: skip
_PARTS = (
    ast.expr_context, ast.boolop, ast.operator, ast.unaryop, ast.cmpop, ast.comprehension, ast.arguments, ast.arg, ast.keyword,
    ast.alias,
)  # fmt: skip
_SUBSET = (*_STATEMENTS, *_EXPRESSIONS, *_PARTS)

_WHY: dict[str, str] = {
    "Import": "a program imports nothing: inputs are variables, the tools are functions",
    "ImportFrom": "a program imports nothing: inputs are variables, the tools are functions",
    "ClassDef": "a program defines no classes: use dict, list and functions",
    "With": "a program has no `with`: it opens nothing",
    "AsyncFunctionDef": "a program is not async: a tool is called as a plain function",
    "Await": "a program is not async: a tool is called as a plain function",
    "Yield": "a program has no generators: build a list",
}

# What would reach the host or run text; what may differ between two runs of one program; what no program needs.
_REACHES = (
    "open eval exec compile input breakpoint exit quit help globals locals vars dir getattr setattr delattr hasattr"
)
_VARIES = "id hash"
_INSIDES = ("_", "gi_", "cr_", "ag_", "tb_", "f_", "co_")  # of attributes: private ones, frames, tracebacks, code
_EXOTIC = "memoryview super type object"
REFUSED = frozenset(f"{_REACHES} {_VARIES} {_EXOTIC}".split())
# A guard that fails must end the program: nothing may catch it.
_CATCHABLE = {"RuntimeError", "KeyError", "IndexError", "LookupError", "ValueError", "TypeError", "ZeroDivisionError"}


def faults(program: str, tools: Collection[str] = (), inputs: Collection[str] = ()) -> list[Problem]:
    """What stands in the program's text that may not, first lines first; `tools` and `inputs` are names."""
    if told := _too_long(program):
        return [Problem(line=1, rule="too-long", message=told)]
    tree = parsed(program)
    if isinstance(tree, Problem):
        return [tree]
    found = [*_faults(tree, frozenset(tools)), *_ending(tree), *_shadowed(tools, inputs)]
    return sorted(found, key=lambda problem: problem.line)


def is_wordless(program: str) -> bool:
    """Whether it says by its last line, `None`, that it knows no words for people: Claude writes the answer."""
    tree = parsed(program)
    last = tree.body[-1:] if isinstance(tree, ast.Module) else []
    return any(
        isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant) and one.value.value is None for one in last
    )


def parsed(program: str) -> ast.Module | Problem:
    """The program's tree, or what keeps it from having one."""
    try:
        return tree_of(program)
    except SyntaxError as error:
        return Problem(line=error.lineno or 1, rule="invalid-syntax", message=f"{error.msg}: this is no Python")
    except (
        ValueError,
        RecursionError,
        MemoryError,
    ) as error:  # NUL bytes, surrogates, or nested too deeply for the parser
        return Problem(line=1, rule="invalid-syntax", message=f"cannot be read: {error!s:.200}")


def tree_of(program: str) -> ast.Module:
    """The program's tree. Raises what `ast.parse` raises."""
    with ONE_AT_A_TIME, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `"\d"` is a matter of style, and no reason to write into a worker's log
        return ast.parse(program)


def _too_long(program: str) -> str | None:
    size, lines = len(program.encode(errors="replace")), program.count("\n") + 1
    if size <= LONGEST and lines <= MOST_LINES:
        return None
    return f"{lines:,} lines, {size:,} bytes: at most {MOST_LINES} and {LONGEST:,}; a person must be able to read it"


def _faults(tree: ast.Module, tools: frozenset[str]) -> Iterator[Problem]:
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 1)
        if not isinstance(node, _SUBSET):
            kind = type(node).__name__
            told = _WHY.get(kind, f"{kind} is not among what a program is made of")
            yield Problem(line=line, rule="not-in-subset", message=told)
        for rule, told in _told(node, tools):
            yield Problem(line=line, rule=rule, message=told)


def _told(node: ast.AST, tools: frozenset[str]) -> Iterator[tuple[str, str]]:
    """What is wrong with one node of the subset: rule and message."""
    match node:
        case ast.Name(id=name, ctx=ast.Load()):
            yield from _named(name)
        case ast.Name(id=name) | ast.FunctionDef(name=name) | ast.arg(arg=name):
            yield from _named(name)
            if name in tools:
                yield "tool-shadowed", f"{name!r} is a tool: give this another name"
        case ast.Attribute(attr=name) if name.startswith(_INSIDES) or not name.isascii():
            yield "private-name", f"no attribute {name!r}: what Python keeps inside its objects is not a program's"
        case ast.Lambda():
            yield from _tools_inside(node, tools)
        case ast.ExceptHandler(type=caught):
            yield from _caught(caught)
        case ast.Try(finalbody=[_, *_]):
            yield "finally", "no `finally`: it could swallow a guard that failed"
        case _:
            return


def _named(name: str) -> Iterator[tuple[str, str]]:
    if name in REFUSED:
        yield "refused-name", f"no `{name}`: a program has its inputs, the tools and plain built-in functions"
    elif name.startswith("__") or not name.isascii():
        yield "private-name", f"no name {name!r}: letters a-z, digits and single underscores"


def _tools_inside(node: ast.Lambda, tools: frozenset[str]) -> Iterator[tuple[str, str]]:
    for inner in ast.walk(node.body):
        if isinstance(inner, ast.Name) and inner.id in tools:
            yield (
                "tool-in-lambda",
                f"{inner.id!r} in a lambda: sorted, map and the like cannot wait for a tool; write a loop",
            )


def _caught(caught: ast.expr | None) -> Iterator[tuple[str, str]]:
    listed = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    for one in listed:
        if not (isinstance(one, ast.Name) and one.id in _CATCHABLE):
            told = "nothing" if one is None else ast.unparse(one)
            names = ", ".join(sorted(_CATCHABLE))
            yield (
                "catches-guard",
                f"`except` names {told:.60}: a failed guard must end the program; name one of {names}",
            )


def _ending(tree: ast.Module) -> Iterator[Problem]:
    last = tree.body[-1] if tree.body else None
    if not isinstance(last, ast.Expr):
        line = 1 if last is None else last.lineno
        yield Problem(line=line, rule="no-answer", message="the last line must be an expression: the answer's text")


def _shadowed(tools: Collection[str], inputs: Collection[str]) -> Iterator[Problem]:
    for name in sorted(inputs):
        if name in tools:
            yield Problem(line=1, rule="input-name", message=f"input {name!r} is a tool's name: rename the input")
        elif not is_callable(name):
            yield Problem(
                line=1, rule="input-name", message=f"input {name!r} is no name, or Python's own: rename the input"
            )
