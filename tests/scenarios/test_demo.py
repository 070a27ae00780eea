"""`tenure demo`, as a newcomer runs it: in an empty folder, without a key."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

SECONDS = 60.0


def processes_of(home: Path) -> list[str]:
    """Every process that has `home` in its command line or its environment."""
    found: list[str] = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            told = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
        except OSError:
            continue  # ended while we looked
        if str(home).encode() in told:
            found.append((folder / "cmdline").read_text().replace("\0", " "))
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_the_demo_survives_its_own_kill_and_leaves_nothing_behind(tmp_path: Path) -> None:
    home = tmp_path / ".tenure"
    env = {**os.environ, "TENURE_HOME": str(home), "COLUMNS": "80"}
    began = time.monotonic()
    told = subprocess.run(
        [sys.executable, "-m", "tenure.cli", "demo"],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    took, said = time.monotonic() - began, told.stdout
    assert told.returncode == 0, told.stderr
    assert took < SECONDS
    assert "scripted stand-in" in said
    killed = re.search(r"worker killed \(SIGKILL, pid (\d+)\) while update_ticket was running", said)
    restarted = re.search(r"worker started again \(pid (\d+)\)", said)
    assert killed
    assert restarted
    assert killed[1] != restarted[1]
    assert re.search(r"update_ticket begun again \(attempt 2\), \d\.\d s after the kill", said)
    assert re.search(r"done once +started 2 times under one idempotency key, result recorded once", said)
    assert "4 requests to the stand-in for 4 turns" in said
    recovery = re.search(r"recovery +(\d+\.\d) s", said)
    assert recovery
    assert float(recovery[1]) <= 10
    assert "INV-3320" in said
    assert re.search(
        r"^http://localhost:\d+/namespaces/default/workflows/default:run:support:\w{26}$", said, re.MULTILINE
    )
    assert "`make dev`" in said
    assert "ANTHROPIC_API_KEY=sk-ant-" in said
    assert told.stderr == ""
    assert "\x1b" not in said
    assert processes_of(home) == []
