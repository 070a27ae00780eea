"""A program is read and type-checked against its tools before anything of it is run: what is wrong is said with line and rule."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.learn.program import Problem
from tenure.learn.subset import LONGEST, faults
from tenure.runtime.monty import Limits, Sandbox, signature_of
from tests.unit.learned import CANCEL, NAMES, OFFICE, TEXT, TEXTS

SLOTS = {"order_id": TEXT, "ids": TEXTS, "amount": {"type": "number"}, "data": {}}


@pytest.fixture(scope="module")
async def sandbox() -> AsyncIterator[Sandbox]:
    made = Sandbox(processes=1)
    yield made
    await made.close()


async def found(sandbox: Sandbox, program: str) -> list[tuple[int, str]]:
    return [(problem.line, problem.rule) for problem in await sandbox.check(program, OFFICE, SLOTS)]


@pytest.mark.parametrize(
    "program",
    [
        CANCEL,
        "order = get_order(order_id=order_id, full=True)\norder['items'][0]['parts'][0]['sku']",
        "def status(one):\n    return get_order(order_id=one)['status']\n', '.join(sorted(status(one) for one in ids))",
        "try:\n    x = get_order(order_id=order_id)['id']\nexcept (RuntimeError, KeyError) as error:\n    x = str(error)\nx",
        "page = 1\nwhile page < 3:\n    page += 1\nf'{page:>3} {amount:.2f}'",
        "send_mail(to=data['to'], amount=amount)['id']",
        "x = [*ids, order_id][-1:]\n(\n    'first '\n    + x[0]\n)",
        "'ä — ü'; 'ö' + order_id",
        "cancel_order(order_id=order_id, reason='late', tags=[*ids])\n'done'",
    ],
)
async def test_a_program_that_is_right_has_no_problems(sandbox: Sandbox, program: str) -> None:
    assert await sandbox.check(program, OFFICE, SLOTS) == []


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("'x'\ncancle_order(order_id=order_id)['x']", (2, "unresolved-reference")),
        ("get_order()['id']", (1, "missing-argument")),
        ("get_order(order_id='7', ful=True)['id']", (1, "unknown-argument")),
        ("get_order('7')['id']", (1, "too-many-positional-arguments")),
        ("\n\nget_order(order_id=7)['id']", (3, "invalid-argument-type")),
        ("cancel_order(order_id='7', reason='bored')\n'x'", (1, "invalid-argument-type")),
        ("cancel_order(order_id='7', reason='late', tags=[1])\n'x'", (1, "invalid-argument-type")),
        ("order = get_order(order_id='7')\norder['statsu']", (2, "invalid-key")),
        ("get_order(order_id=amount)['id']", (1, "invalid-argument-type")),
        ("nobody + order_id", (1, "unresolved-reference")),
        ("get_order(order_id='7')", (1, "invalid-assignment")),
        ("get_order(order_id='7')['note']", (1, "invalid-assignment")),
        ("lambda: 1", (1, "invalid-assignment")),
    ],
)
async def test_types_are_checked_against_the_tools(sandbox: Sandbox, program: str, expected: tuple[int, str]) -> None:
    assert expected in await found(sandbox, program)


async def test_a_problem_says_how_to_put_it_right(sandbox: Sandbox) -> None:
    (problem,) = await sandbox.check("nothing(x=1)\n'x'", OFFICE, SLOTS)
    assert str(problem) == (
        "line 1: Name `nothing` used when not defined: a program has its inputs, get_order, cancel_order, send_mail and "
        "plain built-in functions (unresolved-reference)"
    )


async def test_checking_runs_nothing(sandbox: Sandbox) -> None:
    assert await sandbox.check("while True: pass\n'never'", OFFICE, SLOTS) == []


async def test_a_program_that_the_type_checker_cannot_finish_is_a_problem_and_not_a_wait() -> None:
    quick = Sandbox(Limits(checking=0.2, grace=0.1), processes=1)
    doubling = "x = (1, 2)\n" + "x = (x, x)\n" * 40 + "x"
    assert [problem.rule for problem in await quick.check(doubling, OFFICE, SLOTS)] == ["too-complex"]
    assert await quick.check("'well'", OFFICE, SLOTS) == []
    await quick.close()


async def test_tools_may_be_given_as_signatures(sandbox: Sandbox) -> None:
    assert await sandbox.check(CANCEL, [signature_of(tool) for tool in OFFICE], SLOTS) == []


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("import os\n'x'", (1, "not-in-subset")),
        ("'x'\nfrom json import loads\n'x'", (2, "not-in-subset")),
        ("class A: pass\n'x'", (1, "not-in-subset")),
        ("with order_id as f: pass\n'x'", (1, "not-in-subset")),
        ("async def f(): pass\n'x'", (1, "not-in-subset")),
        ("await order_id", (1, "not-in-subset")),
        ("def f():\n    yield 1\n'x'", (2, "not-in-subset")),
        ("match order_id:\n    case 'x': pass\n'x'", (1, "not-in-subset")),
        ("def f():\n    global x\n'x'", (2, "not-in-subset")),
        ("del order_id\n'x'", (1, "not-in-subset")),
        ("order_id.__class__\n'x'", (1, "private-name")),
        ("order_id._x\n'x'", (1, "private-name")),
        ("().__ｃlass__\n'x'", (1, "private-name")),
        ("оpen\n'x'", (1, "private-name")),
        ("__builtins__\n'x'", (1, "private-name")),
        ("eval('1')\n'x'", (1, "refused-name")),
        ("x = open\n'x'", (1, "refused-name")),
        ("getattr(order_id, 'x')\n'x'", (1, "refused-name")),
        ("id(order_id)\n'x'", (1, "refused-name")),
        ("get_order = 1\n'x'", (1, "tool-shadowed")),
        ("def get_order(): pass\n'x'", (1, "tool-shadowed")),
        ("[get_order for get_order in ids]\n'x'", (1, "tool-shadowed")),
        ("f = lambda get_order: 1\n'x'", (1, "tool-shadowed")),
        ("sorted(ids, key=lambda one: get_order(order_id=one))\n'x'", (1, "tool-in-lambda")),
        ("try:\n    assert False\nexcept: pass\n'x'", (3, "catches-guard")),
        ("try:\n    assert False\nexcept Exception: pass\n'x'", (3, "catches-guard")),
        ("try:\n    assert False\nexcept (KeyError, AssertionError): pass\n'x'", (3, "catches-guard")),
        ("try:\n    assert False\nexcept [KeyError][0]: pass\n'x'", (3, "catches-guard")),
        ("try:\n    assert False\nfinally:\n    x = 1\n'x'", (1, "finally")),
        ("x = 1", (1, "no-answer")),
        ("", (1, "no-answer")),
        ("if order_id:\n    'x'", (1, "no-answer")),
        ("'x'\nx = (", (2, "invalid-syntax")),
        ("'\x00'", (1, "invalid-syntax")),
        ("(" * 5_000 + ")" * 5_000, (1, "invalid-syntax")),
        ("-" * 15_000 + "1", (1, "invalid-syntax")),
        ("x = 1\n" * 201 + "'x'", (1, "too-long")),
        ("'" + "x" * LONGEST + "'", (1, "too-long")),
    ],
)
def test_what_no_program_may_hold_is_found_by_reading_it(program: str, expected: tuple[int, str]) -> None:
    assert expected in [(problem.line, problem.rule) for problem in faults(program, NAMES, SLOTS)]


@pytest.mark.parametrize("name", ["get_order", "list", "class", "a-b", "__x", "id", "str", "Any", ""])
def test_an_input_has_a_name_of_its_own(name: str) -> None:
    assert [problem.rule for problem in faults("'x'", NAMES, {name: TEXT})] == ["input-name"]


@given(st.text())
def test_reading_any_text_at_all_raises_nothing(text: str) -> None:
    assert all(isinstance(problem, Problem) for problem in faults(text))


def test_programs_may_be_read_in_several_threads_at_once() -> None:
    """CPython alone fails at that: "AST constructor recursion depth mismatch"."""
    deep = f"x = {'(' * 30}1{' + 1)' * 30}\n'said'"
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as threads:
            assert list(threads.map(faults, [deep] * 400)) == [[]] * 400
    finally:
        sys.setswitchinterval(before)
