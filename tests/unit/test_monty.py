"""A program in the sandbox: it goes from call to call along its journal, and gives an answer or says why it does not."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenure.errors import Unavailable
from tenure.learn.program import Called, Finished, Progress, Stopped
from tenure.learn.recording import Step
from tenure.runtime.monty import Limits, Sandbox
from tests.unit.learned import CANCEL, NAMES, READ, WRITTEN, made
from tests.waiting import eventually

TIGHT = Limits(seconds=0.2, grace=0.2, calls=3, lookups=3, arguments=1_000, answer=1_000, printed=1_000)


@pytest.fixture(scope="module")
async def sandbox() -> AsyncIterator[Sandbox]:
    """One for all tests of this file."""
    made = Sandbox(TIGHT)
    yield made
    await made.close()


async def run(sandbox: Sandbox, program: str, *journal: Step, **inputs: Any) -> Progress:
    return await sandbox.advance(program, inputs, journal, NAMES)


async def stopped(sandbox: Sandbox, program: str, *journal: Step, **inputs: Any) -> Stopped:
    progress = await run(sandbox, program, *journal, **inputs)
    assert isinstance(progress, Stopped), progress
    return progress


def sandboxes() -> list[int]:
    return [child.pid for child in psutil.Process().children() if child.name() == "monty"]


def begun(before: set[int]) -> Callable[[], Awaitable[set[int]]]:
    async def look() -> set[int]:
        return set(sandboxes()) - before

    return look


async def test_a_program_goes_from_call_to_call_to_its_answer(sandbox: Sandbox) -> None:
    assert await run(sandbox, CANCEL, order_id="7") == Called(tool="get_order", arguments={"order_id": "7"})
    assert await run(sandbox, CANCEL, READ, order_id="7") == Called(
        tool="cancel_order", arguments={"order_id": "7", "reason": "late"}
    )
    assert await run(sandbox, CANCEL, READ, WRITTEN, order_id="7") == Finished(answer="Order 7 is cancelled.")


async def test_a_guard_that_fails_says_what_it_guards_and_nothing_of_the_values(sandbox: Sandbox) -> None:
    closed = READ.model_copy(update={"result": {"id": "7", "status": "closed"}})
    told = await stopped(sandbox, CANCEL, closed, order_id="7")
    assert told == Stopped(kind="guard", message="only open orders can be cancelled", line=2)


async def test_a_tool_that_failed_raises_in_the_program(sandbox: Sandbox) -> None:
    failed = made("get_order", "no such order", ok=False, order_id="7")
    told = await stopped(sandbox, CANCEL, failed, order_id="7")
    assert (told.kind, told.message, told.line) == ("error", "RuntimeError: no such order", 1)
    caught = "try:\n    get_order(order_id='7')\nexcept RuntimeError as error:\n    told = str(error)\ntold"
    assert await run(sandbox, caught, failed) == Finished(answer="no such order")
    structured = failed.model_copy(update={"result": {"code": 404}})
    assert await run(sandbox, caught, structured) == Finished(answer='{"code":404}')


async def test_calls_in_loops_and_functions_are_replayed_in_order(sandbox: Sandbox) -> None:
    program = (
        "def status(order_id):\n    return get_order(order_id=order_id)['status']\n', '.join([status(i) for i in ids])"
    )
    first, second = (
        made("get_order", {"status": "open"}, order_id="1"),
        made("get_order", {"status": "shut"}, order_id="2"),
    )
    assert await run(sandbox, program, first, ids=["1", "2"]) == Called(tool="get_order", arguments={"order_id": "2"})
    assert await run(sandbox, program, first, second, ids=["1", "2"]) == Finished(answer="open, shut")


@pytest.mark.parametrize(
    ("program", "journal"),
    [
        ("get_order(order_id='8')", [READ]),
        ("get_order(order_id=7)", [READ]),
        ("get_order(order_id='7', full=None)", [READ]),
        ("send_mail(order_id='7')", [READ]),
        ("unknown(order_id='7')", [READ]),
        ("'no call'", [READ]),
        ("assert False, 'first'", [READ]),
        ("get_order(order_id='7')\n'one call'", [READ, READ]),
    ],
)
async def test_a_program_that_does_not_make_its_calls_again_has_diverged(
    sandbox: Sandbox, program: str, journal: Sequence[Step]
) -> None:
    assert (await stopped(sandbox, program, *journal)).kind == "diverged"


async def test_the_order_of_arguments_and_of_keys_is_no_divergence(sandbox: Sandbox) -> None:
    told = made("send_mail", {}, amount=1.0, to={"b": 1, "a": 2})
    assert await run(sandbox, "send_mail(to={'a': 2, 'b': 1}, amount=1.0)\n'sent'", told) == Finished(answer="sent")


async def test_a_number_that_came_back_as_a_whole_one_is_no_divergence_but_a_truth_is(sandbox: Sandbox) -> None:
    program = "send_mail(to='a', amount=2.0 - 1.0)\n'sent'"
    assert await run(sandbox, program, made("send_mail", {}, to="a", amount=1)) == Finished(answer="sent")
    assert (await stopped(sandbox, program, made("send_mail", {}, to="a", amount=True))).kind == "diverged"


@pytest.mark.parametrize(
    ("program", "kind", "said", "line"),
    [
        ("x = 1\nnothing(a=x)", "unknown_tool", "'nothing'", 2),
        ("get_order('7')", "refused", "name them, get_order(name=value)", 1),
        ("x = (1, 2)\nget_order(order_id=x)", "refused", "a tuple in 'order_id'", 2),
        ("get_order(order_id=b'7')", "refused", "a bytes in 'order_id'", 1),
        ("get_order(order_id={1: 2})", "refused", "a key that is no text", 1),
        ("get_order(order_id=[float('nan')])", "refused", "the number nan", 1),
        ("get_order(order_id=10 ** 5000)", "refused", "more than 128 bits", 1),
        ("x = 1\nfor _ in range(100): x = [x]\nget_order(order_id=x)", "refused", "more than 64 lists", 3),
        ("get_order(order_id='x' * 2000)", "limit", "more than 1,000 bytes", 1),
        ("x = [1]\nfor _ in range(60): x = [x, x]\nget_order(order_id=x)", "limit", "more than 1,000 bytes", 3),
        ("'x' * 2000", "limit", "more than 1,000 bytes", 0),
        ("5", "refused", "int, not text", 0),
        ("x = 1", "refused", "NoneType, not text", 0),
        ("f = get_order\nf(order_id='7')", "refused", "'get_order' is used as a value", 1),
        ("while True:\n    try: nothing\n    except NameError: pass", "limit", "more than 3 times", 2),
        ("x = 1\nopen('/etc/passwd')", "refused", "asks the host for 'open'", 2),
        ("import datetime\nstr(datetime.datetime.now())", "refused", "asks the host for 'datetime.now'", 2),
        ("import random\nstr(random.random())", "refused", "asks the host for 'os.urandom'", 2),
        ("import nothing_of_that_name", "refused", "asks the host for 'import'", 1),
        ("await_ = [1]\nimport asyncio\nawait asyncio.sleep(1)", "refused", "", 3),
        ("while True: pass", "limit", "time limit", 0),
        ("'x' * 10**9", "limit", "memory limit", 0),
        ("def f(): f()\nf()", "limit", "recursion", 0),
        ("print('x' * 5000)\n'done'", "limit", "memory limit", 0),
        ("x = 1\n1 / 0", "error", "ZeroDivisionError", 2),
        ("raise ValueError('x' * 10**6)", "error", "ValueError: xxx", 1),
        ("x = (", "error", "SyntaxError", 1),
    ],
)
async def test_a_program_that_stops_says_why_and_where(
    sandbox: Sandbox, program: str, kind: str, said: str, line: int
) -> None:
    told = await stopped(sandbox, program)
    assert (told.kind, said in told.message) == (kind, True), told
    assert told.line == line or line == 0
    assert len(told.message) < 1_100


async def test_a_run_makes_no_more_calls_than_it_may(sandbox: Sandbox) -> None:
    program = "for i in ['7'] * 10: get_order(order_id=i)\n'all'"
    assert isinstance(await run(sandbox, program, READ, READ), Called)
    assert (await stopped(sandbox, program, READ, READ, READ)).kind == "limit"


async def test_one_program_leaves_nothing_to_the_next(sandbox: Sandbox) -> None:
    assert await run(sandbox, "kept = 'mine'\nlen = 'mine'\nkept") == Finished(answer="mine")
    assert (await stopped(sandbox, "kept")).message == "NameError: name 'kept' is not defined"
    assert await run(sandbox, "str(len('abc'))") == Finished(answer="3")


async def test_a_result_that_a_program_changes_is_changed_for_that_run_only(sandbox: Sandbox) -> None:
    told = made("get_order", {"tags": []}, order_id="7")
    program = "order = get_order(order_id='7')\norder['tags'].append('x')\nstr(order['tags'])"
    assert [await run(sandbox, program, told) for _ in range(2)] == [Finished(answer="['x']")] * 2


async def test_a_program_does_the_same_in_every_process(sandbox: Sandbox) -> None:
    program = (
        "x = {'b', 'a', 3, (1, 'c')}\nstr(list(x)) + str(hash('abc')) + str(id(x)) + repr(len) + str(dict.fromkeys(x))"
    )
    other = Sandbox()
    told = [await run(one, program) for one in (sandbox, other, sandbox, other)]
    await other.close()
    assert isinstance(told[0], Finished)
    assert told == [told[0]] * 4


async def test_a_process_that_is_killed_is_a_crash_and_is_replaced() -> None:
    before = set(sandboxes())
    sandbox = Sandbox(Limits(seconds=20))
    running = asyncio.ensure_future(run(sandbox, "while True: pass"))

    async def killed() -> bool:
        for process in map(psutil.Process, set(sandboxes()) - before):
            if process.cpu_times().user > 0.3:  # it runs the program, and does not only start
                process.kill()
        return running.done()

    await eventually(killed)
    assert (await running).model_dump(include={"kind"}) == {"kind": "crashed"}
    assert await run(sandbox, "'well'") == Finished(answer="well")
    await sandbox.close()


async def test_an_operation_that_notices_no_limit_is_ended_from_outside(sandbox: Sandbox) -> None:
    told = await stopped(sandbox, "x = 3 ** 3000000\nfor _ in range(10**6): y = x * x")
    assert (told.kind, "killed" in told.message) == ("limit", True)
    assert await run(sandbox, "'well'") == Finished(answer="well")


async def test_a_caller_who_gives_up_leaves_no_program_running() -> None:
    sandbox = Sandbox(Limits(seconds=60), processes=1)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(run(sandbox, "while True: pass"), 0.1)
    assert await asyncio.wait_for(run(sandbox, "'well'"), 5) == Finished(answer="well")
    await sandbox.close()


async def test_closing_waits_for_what_runs_and_leaves_no_process() -> None:
    before = set(sandboxes())
    sandbox = Sandbox(TIGHT)
    running = asyncio.ensure_future(run(sandbox, "while True: pass"))
    await eventually(begun(before))
    await sandbox.close()
    assert running.done()
    assert set(sandboxes()) <= before
    with pytest.raises(Unavailable, match="closed"):
        await run(sandbox, "'late'")
    await sandbox.close()


async def test_a_sandbox_that_was_never_used_starts_nothing() -> None:
    before = set(sandboxes())
    sandbox = Sandbox()
    assert set(sandboxes()) == before
    await sandbox.close()


async def test_programs_beyond_the_number_of_processes_wait_for_one() -> None:
    sandbox = Sandbox(processes=1)
    assert await asyncio.gather(*(run(sandbox, "'well'") for _ in range(8))) == [Finished(answer="well")] * 8
    await sandbox.close()


async def test_a_program_that_waits_too_long_for_a_process_is_to_be_tried_again() -> None:
    before = set(sandboxes())
    busy = Sandbox(Limits(waiting=0.05), processes=1)
    running = asyncio.ensure_future(run(busy, "while True: pass"))
    await eventually(begun(before))
    with pytest.raises(Unavailable, match="processes"):
        await run(busy, "'well'")
    await running
    await busy.close()


def test_nothing_of_the_sandbox_is_imported_before_it_is_used() -> None:
    told = "import sys, tenure, tenure.runtime.monty; sys.exit('pydantic_monty' in sys.modules)"
    subprocess.run([sys.executable, "-c", told], check=True)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**100), 2**100)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60)
@given(value=JSON, result=JSON)
async def test_whatever_goes_in_comes_out_as_it_was_and_the_next_call_is_always_the_same(
    sandbox: Sandbox, value: Any, result: Any
) -> None:
    program = "got = get_order(order_id=data)\nsend_mail(to=got, amount=data)\n'done'"
    first = made("get_order", result, order_id=value)
    once, again = [await run(sandbox, program, first, data=value) for _ in range(2)]
    assert once == again
    size = len(json.dumps({"to": result, "amount": value}))
    if isinstance(once, Stopped):
        assert once.kind == "limit" and size > 500, once
    else:
        assert once == Called(tool="send_mail", arguments={"to": result, "amount": value})


@settings(max_examples=60)
@given(text=st.text(), value=JSON)
async def test_an_input_is_data_whatever_it_says(sandbox: Sandbox, text: str, value: Any) -> None:
    hostile = f'\'"""\n{text}\nimport os; nothing(x=1) #'
    program = "assert isinstance(data, str)\ndata if value == value else 'never'"
    told = await run(sandbox, program, data=hostile, value=value)
    assert told == Finished(answer=hostile) or len(hostile) > 250
