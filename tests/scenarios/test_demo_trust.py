"""`tenure demo-trust`, as a newcomer runs it: without a key, without a terminal, in a folder where nothing is."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.scenarios.test_demo import in_order, processes_of

SECONDS = 150.0  # several times what it takes
COMMAND = [sys.executable, "-m", "tenure.cli", "demo-trust"]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@pytest.fixture
def inside(tmp_path: Path) -> dict[str, str]:
    """An environment in which everything that is left behind lies in one folder."""
    (tmp_path / "tmp").mkdir()
    return {**os.environ, "TENURE_HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "tmp"), "COLUMNS": "80"}


def test_an_agent_climbs_by_29_judged_runs_and_a_signature_each_and_falls_by_itself(
    tmp_path: Path, inside: dict[str, str]
) -> None:
    told = subprocess.run(
        COMMAND, cwd=tmp_path, env=inside, capture_output=True, text=True, check=False, timeout=SECONDS
    )
    assert (told.returncode, told.stderr) == (0, "")
    step = (
        r"29 runs in [\d.]+ s, judged by evaluate=: 29 good, 0 not$",
        r"a day passes on the ledger's clock$",
        r"^ +kind +escalation: a step up in trust$",
        r"^ +from, to +(0\.\d → 0\.\d), of refunds@\w{8}$",
        r"^ +evidence +success_rate 0.95 is met: 0 of 29 judged runs speak against it,$",
        r"^ +bound to +(\w{64})$",
        r"^ +who signs +one person, until \d{4}-\d\d-\d\d",
        r"the local key `operator` approves\.$",
        r"^level (0\.\d → 0\.\d)$",
    )
    found = in_order(
        told.stdout,
        r"That day is skipped",
        r"No rule of trust is changed\.$",
        *step,
        *step,
        r"a refund of \$120, which it had to ask for at 0\.3, is paid",
        r"^The shop's list begins to show totals without tax",
        r"3 runs in [\d.]+ s, judged by evaluate=: 0 good, 3 not$",
        r"^level (0\.5 → 0\.3)$",
        r"^ +nobody was asked: 3 of \d+ judged runs in a row failed$",
        r"refund needs level 0\.5, and the agent has 0\.3$",
        r"denies it: nothing was paid$",
        r"^tenure trust refunds$",
        r"^level +0\.3 of at most 1$",
        r"^judged +6\d of 6\d runs judged: 59 good, [34] not$",
        r" began$",
        r"(\d{4}-\d\d-\d\d) [\d:]+  rise 0\.3 → 0\.4, signed by operator$",
        r"(\d{4}-\d\d-\d\d) [\d:]+  rise 0\.4 → 0\.5, signed by operator$",
        r" fall 0\.5 → 0\.3$",
        r"no process stays\.$",
    )
    caught = [match[1] for match in found if match.re.groups]
    assert caught[:1] + caught[2:4] + caught[5:7] == ["0.3 → 0.4"] * 2 + ["0.4 → 0.5"] * 2 + ["0.5 → 0.3"]
    assert caught[1] != caught[4]  # the second step rests on other evidence
    assert caught[7] < caught[8]  # a day lies between them
    assert [line for line in told.stdout.splitlines() if len(line) > 80] == []
    assert "\x1b" not in told.stdout
    assert processes_of(tmp_path) == []
    assert [list((tmp_path / "tmp").iterdir()), (tmp_path / "home").exists()] == [[], False]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_who_stops_it_leaves_no_process_and_no_file(
    number: signal.Signals, tmp_path: Path, inside: dict[str, str]
) -> None:
    with (tmp_path / "said").open("w") as said:
        demo = subprocess.Popen(
            COMMAND, cwd=tmp_path, env=inside, stdout=said, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            _until(tmp_path / "said", r"29 good, 0 not")
            os.killpg(demo.pid, number)  # as a terminal does: the server hears it too
            assert demo.wait(SECONDS) == 128 + number
        finally:
            demo.kill()
    assert "Stopping; this takes some seconds." in (tmp_path / "said").read_text()
    assert "Traceback" not in (tmp_path / "said").read_text()
    assert processes_of(tmp_path) == []
    assert list((tmp_path / "tmp").iterdir()) == []


def _until(said: Path, words: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not re.search(words, said.read_text()):
        assert time.monotonic() < deadline, said.read_text()
        time.sleep(0.1)
