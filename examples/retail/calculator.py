"""Arithmetic for Claude: numbers, + - * /, parentheses, and nothing that could be a program."""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable

from tenure import ToolError

SPELLING = re.compile(r"[0-9+\-*/(). ]{1,300}")  # the length bounds depth and size of everything below
BINARY: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: lambda left, right: left / right,  # truediv has no type that would say so
}
UNARY: dict[type[ast.unaryop], Callable[[float], float]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}


def calculated(expression: str) -> str:
    """The value, rounded to cents. Raises ToolError for what is no arithmetic and for what has no finite value."""
    if not SPELLING.fullmatch(expression):
        raise ToolError("Error: an expression holds numbers, + - * /, parentheses and spaces, 300 characters at most")
    try:
        value = float(_value(ast.parse(expression.strip(), mode="eval").body))
    except (SyntaxError, ArithmeticError) as error:
        raise ToolError(f"Error: {expression} has no value: {error}") from error
    if not math.isfinite(value):
        raise ToolError(f"Error: {expression} is too large")
    return str(round(value, 2))


def _value(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.BinOp(left=left, op=op, right=right) if type(op) in BINARY:
            return BINARY[type(op)](_value(left), _value(right))
        case ast.UnaryOp(op=op, operand=operand) if type(op) in UNARY:
            return UNARY[type(op)](_value(operand))
        case _:
            raise SyntaxError("only + - * / and parentheses are known")
