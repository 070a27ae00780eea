"""Every released run shape still replays: a worker of today can take over a run that a worker of any release began."""

from __future__ import annotations

from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory

from tenure.worker import replayer
from tests.golden.shapes import FOLDER, SHAPES

NAMES = {"ledger-": "default:trust:keeper", "rollout": "default:capability:keeper:close_ticket"}  # which they check
HISTORIES = sorted(FOLDER.glob("*.json"))


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
async def test_a_released_history_replays(path: Path) -> None:
    name = next((known for shape, known in NAMES.items() if path.name.startswith(shape)), "default:run:keeper:golden")
    history = WorkflowHistory.from_json(name, path.read_text())  # noqa: ASYNC240  # a small file
    await replayer().replay_workflow(history)


def test_every_shape_has_its_history() -> None:
    assert {path.name.partition(".")[0] for path in HISTORIES} == set(SHAPES)


def test_a_shape_with_continuations_was_recorded_whole() -> None:
    assert len([path for path in HISTORIES if path.name.startswith("continued.")]) >= 2
