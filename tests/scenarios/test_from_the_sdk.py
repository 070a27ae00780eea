"""docs/from-the-claude-agent-sdk.md is true: every section runs as it stands and prints what stands below it."""

from __future__ import annotations

import asyncio
import re
import runpy
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "from-the-claude-agent-sdk.md"


def sections() -> dict[str, str]:
    """The text under each heading of the page."""
    heads = re.split(r"^## (.+)$", PAGE.read_text(), flags=re.MULTILINE)[1:]
    return dict(zip(heads[::2], heads[1::2], strict=True))


def blocks(language: str, section: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)


SAMPLES = {head: section for head, section in sections().items() if blocks("python", section)}


def run(head: str, folder: Path) -> dict[str, Any]:
    """The section's blocks as one file, run as a reader would; what it left defined."""
    script = folder / "sample.py"
    script.write_text("\n\n".join(blocks("python", SAMPLES[head])))
    return runpy.run_path(str(script))


@pytest.mark.parametrize("head", SAMPLES)
def test_a_sample_runs_as_it_stands_and_prints_what_the_page_says(
    head: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(head, tmp_path)
    told = blocks("text", SAMPLES[head])
    assert len(told) == 1, "a section with code says what it prints"
    assert capsys.readouterr().out == told[0]


async def test_the_test_that_the_page_shows_passes(tmp_path: Path, embedded_tenure: Any) -> None:
    shown = await asyncio.to_thread(run, "Testing offline", tmp_path)
    await shown["test_it_counts_once"](embedded_tenure)


def test_every_link_leads_somewhere() -> None:
    page = PAGE.read_text()
    anchors = {re.sub(r"[^a-z0-9 -]", "", head.lower()).replace(" ", "-") for head in sections()}
    for target in re.findall(r"\]\(([^)]+)\)", page):
        if target.startswith("#"):
            assert target[1:] in anchors
        elif not target.startswith("https:"):
            assert (PAGE.parent / target).exists()


def test_every_section_that_the_page_s_reader_looks_for_has_code() -> None:
    without = {head for head in sections() if head not in SAMPLES}
    assert without == {"How these samples run"}
