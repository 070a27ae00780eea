"""What is quoted of a worker that did not start: its own word on why, whatever it writes while it falls."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tenure.cli.local import WorkerProcess
from tenure.errors import ConfigError

FALLS = """
import sys
sys.stderr.write("tenure worker: ConfigError: no way to reach Claude\\n")
sys.stderr.write("Fatal Python error: PyGILState_Release\\nPython runtime state: finalizing\\n")
sys.exit(2)
"""
RAISES = "raise SystemExit('no such thing')\n"


@pytest.mark.parametrize(
    ("program", "quoted"),
    [(FALLS, "ConfigError: no way to reach Claude"), (RAISES, "no such thing")],
    ids=["with its reason", "without one"],
)
async def test_a_worker_that_did_not_start_is_quoted(
    program: str, quoted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "worker.py"
    script.write_text(program)
    worker = WorkerProcess([], os.environ, lambda line: None)
    monkeypatch.setattr(worker, "_command", [sys.executable, str(script)])
    await worker.start()
    with pytest.raises(ConfigError, match=f"^the worker did not start: {quoted}$"):
        await worker.ready()
