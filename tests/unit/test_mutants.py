"""A mutant whose text is not found any more is no check: each stands exactly once in its file."""

from __future__ import annotations

from pathlib import Path

from tests.mutations.__main__ import KNOWN

ROOT = Path(__file__).resolve().parents[2]


def test_the_text_of_every_mutant_stands_exactly_once_in_its_file_and_its_tests_exist() -> None:
    assert [one.name for one in KNOWN if (ROOT / one.file).read_text().count(one.old) != 1] == []
    files = {test.partition("::")[0] for one in KNOWN for test in one.tests}
    assert [file for file in sorted(files) if not (ROOT / file).exists()] == []


def test_no_two_mutants_have_the_same_name() -> None:
    assert len({one.name for one in KNOWN}) == len(KNOWN)
