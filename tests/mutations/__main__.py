"""`python -m tests.mutations [--only NAME] [--list] [--jobs N]`: does a test fail for each check that is disabled?

The tree is copied to temporary folders, one a job; each mutant is written there, its tests run with this environment, and the
file restored. A mutant survives when its tests pass. Tests that fail without any mutant, and text that is no longer found, are
errors.
"""

from __future__ import annotations

import argparse
import itertools
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutations import approvals, cost, induction, learning, programs, serving, trust, writing
from tests.mutations.mutant import Mutant

LEARNED = (*induction.MUTANTS, *learning.MUTANTS, *programs.MUTANTS, *serving.MUTANTS, *writing.MUTANTS)
KNOWN: tuple[Mutant, ...] = (*trust.MUTANTS, *approvals.MUTANTS, *cost.MUTANTS, *LEARNED)
ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = shutil.ignore_patterns(".venv", ".git", "__pycache__", ".hypothesis", ".tenure", ".*_cache", "dist", "build")
SECONDS = 400  # the tests of one mutant may take
ALL = 2400  # seconds all of the tests may take without any mutant
PROFILE = """
from hypothesis import Phase, settings

settings.register_profile("mutants", phases=[Phase.explicit, Phase.generate], database=None, deadline=None)
"""
WIDTHS = (26, 26, 26)
_clock = itertools.count(int(time.time()) + 10, 2)  # bytecode is told from its source by the second it was written


def main() -> int:
    """Run them and print the table; 1 when one survives, 2 when one could not be made or the tests fail by themselves."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__)
    parser.add_argument("--only", metavar="NAME", help="mutants whose name contains this")
    parser.add_argument("--list", action="store_true", help="name them, run nothing")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    chosen = [one for one in KNOWN if (options.only or "") in one.name]
    if options.list or not chosen:
        print("\n".join(f"{one.name:<28}{one.file}" for one in chosen) or f"no mutant is named {options.only!r}")
        return 0 if chosen else 2
    with tempfile.TemporaryDirectory(prefix="tenure-mutants-") as folder:
        trees = [Path(folder, str(number)) for number in range(options.jobs)]
        for tree in trees:
            copy(tree)
        return judged(chosen, trees)


def copy(tree: Path) -> None:
    """The repository as it stands, where properties are not shrunk: that something fails is enough."""
    shutil.copytree(ROOT, tree, symlinks=True, ignore=LEFT_OUT)
    with (tree / "tests" / "conftest.py").open("a") as conftest:
        conftest.write(PROFILE)


def judged(chosen: Sequence[Mutant], trees: Sequence[Path]) -> int:
    """Every mutant's fate as a line; how many survived, as an exit code."""
    tree = trees[0]
    missing = [one for one in chosen if (tree / one.file).read_text().count(one.old) != 1]
    for one in missing:
        print(f"{one.name}: in {one.file} this does not stand exactly once:\n{one.old}", file=sys.stderr)
    failing = [] if missing else failures(tree, {test: None for one in chosen for test in one.tests}, limit=ALL)
    for name in failing:
        print(f"{name} fails without any mutant", file=sys.stderr)
    if missing or failing:
        return 2
    row("mutant", "in", "noticed by")
    free: queue.SimpleQueue[Path] = queue.SimpleQueue()
    for each in trees:
        free.put(each)
    with ThreadPoolExecutor(len(trees)) as pool:
        fates = list(pool.map(lambda one: noticed(free, one), chosen))
    print(f"{len(chosen)} mutants, {sum(fates)} noticed, {len(fates) - sum(fates)} survived")
    return int(not all(fates))


def noticed(free: queue.SimpleQueue[Path], one: Mutant) -> bool:
    """Whether a test fails once the check is disabled, in a tree that nobody else uses now."""
    tree = free.get()
    try:
        return notices(tree, one)
    finally:
        free.put(tree)


def notices(tree: Path, one: Mutant) -> bool:
    """Whether a test fails once the check is disabled."""
    file = tree / one.file
    genuine = file.read_text()
    write(file, genuine.replace(one.old, one.new))
    try:
        failing = failures(tree, one.tests, first=True)
    finally:
        write(file, genuine)
    row(one.name, one.file, failing[0].rpartition("::")[2] if failing else "NOBODY: it survived")
    return bool(failing)


def failures(tree: Path, tests: Iterable[str], *, first: bool = False, limit: int = SECONDS) -> list[str]:
    """The tests that fail. Raises RuntimeError when they could not be run at all."""
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--hypothesis-profile=mutants", "--hypothesis-seed=1"]
    words += [*(["-x"] if first else []), *tests]
    env = {**os.environ, "PYTHONPATH": str(tree)}
    try:
        done = subprocess.run(
            [sys.executable, *words], cwd=tree, env=env, capture_output=True, text=True, timeout=limit, check=False
        )
    except subprocess.TimeoutExpired:
        return [f"::no end within {limit} s"]
    if done.returncode not in (0, 1):
        raise RuntimeError(f"pytest {' '.join(tests)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    told = re.findall(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    return told or ["::?"] * done.returncode


def write(file: Path, text: str) -> None:
    """Write so that Python compiles it anew."""
    file.write_text(text)
    at = next(_clock)
    os.utime(file, (at, at))


def row(*cells: str) -> None:
    """A line of the table, 80 characters."""
    cut = (cell if len(cell) <= width else f"{cell[: width - 1]}…" for cell, width in zip(cells, WIDTHS, strict=True))
    print(" ".join(f"{cell:<{width}}" for cell, width in zip(cut, WIDTHS, strict=True)).rstrip(), flush=True)


if __name__ == "__main__":
    sys.exit(main())
