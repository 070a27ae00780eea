"""Programs that want out of the sandbox, or their worker dead: none reaches anything, all end, and the next program is well.

The programs are those of `python -m bench.sandbox`, none of them read beforehand; of the slow ones every eighth.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bench.hostile import Hostile, hostile
from bench.sandbox import VARIABLE, Canaries, Verdicts, canaries
from tenure.learn.program import Finished
from tenure.learn.subset import faults
from tenure.runtime.monty import Limits, Sandbox

QUICK = Limits(seconds=0.25, grace=0.25, memory=24 * 1024 * 1024)
SLOW = {"endless loops", "memory", "recursion", "output", "floods of calls", "regular expressions", "formats and numbers",
        "sorting", "syntax", "named modules", "deep arguments", "inputs"}  # fmt: skip
REACHING = [
    "imports",
    "files",
    "environment, clock, randomness",
    "attribute walks",
    "eval and exec",
    "async and threads",
]
EVERY = hostile("{folder}", 1, VARIABLE)
KINDS = sorted({one.kind for one in EVERY if not one.killed})  # `test_monty.py` kills, and waits for it


@pytest.fixture(scope="module")
async def sandbox() -> AsyncIterator[Sandbox]:
    made = Sandbox(QUICK, processes=1)
    yield made
    await made.close()


@pytest.fixture(scope="module")
async def out() -> AsyncIterator[Canaries]:
    async with canaries() as made:
        yield made


def some(kind: str, out: Canaries) -> list[Hostile]:
    programs = [one for one in hostile(str(out.folder), out.port, VARIABLE) if one.kind == kind]
    return programs[::8] if kind in SLOW else programs


@pytest.mark.parametrize("kind", KINDS)
async def test_nothing_gets_out_everything_ends_and_the_next_program_is_well(
    kind: str, sandbox: Sandbox, out: Canaries
) -> None:
    verdicts = Verdicts()
    for one in some(kind, out):
        await verdicts.judge(sandbox, one, out)
    assert verdicts.faults == []


async def test_the_canaries_notice_what_was_touched(tmp_path: Path) -> None:
    """The check itself can fail."""
    async with canaries() as out:
        idle = Sandbox()
        nothing = Finished(answer="nothing")
        assert out.told(idle, nothing) is None
        assert out.told(idle, Finished(answer=f"it is {out.secret}")) == "the secret came back"
        (out.folder / "pwned").touch()
        assert out.told(idle, nothing) == "it wrote a file"


def test_there_are_two_hundred_of_them_of_twenty_kinds() -> None:
    assert len(EVERY) >= 200
    assert len(KINDS) >= 20


@pytest.mark.parametrize("kind", REACHING)
def test_what_reaches_for_the_host_is_also_refused_by_reading(kind: str) -> None:
    let_through = [one.program for one in EVERY if one.kind == kind and not faults(one.program, ["get_order"])]
    # What is left reaches for nothing, or does so in a string, and the sandbox itself refuses it.
    assert [text for text in let_through if not text.startswith("'{0.")] == []
