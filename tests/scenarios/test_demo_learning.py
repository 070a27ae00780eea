"""`tenure demo-learning`, as a newcomer runs it: without a key, without a terminal, in a folder where nothing is."""

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

SECONDS = 200.0  # several times what it takes
COMMAND = [sys.executable, "-m", "tenure.cli", "demo-learning"]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@pytest.fixture
def inside(tmp_path: Path) -> dict[str, str]:
    """An environment in which everything that is left behind lies in one folder."""
    (tmp_path / "tmp").mkdir()
    return {**os.environ, "TENURE_HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "tmp"), "COLUMNS": "80"}


@pytest.mark.timeout(SECONDS)
def test_what_repeats_itself_is_learned_let_in_by_people_and_taken_back_by_itself(
    tmp_path: Path, inside: dict[str, str]
) -> None:
    told = subprocess.run(
        COMMAND, cwd=tmp_path, env=inside, capture_output=True, text=True, check=False, timeout=SECONDS
    )
    assert (told.returncode, told.stderr) == (0, "")
    found = in_order(
        told.stdout,
        r"10 runs, by Claude: \$0\.0[1-9]\d\d$",
        r"^2  What do they have in common\? +tenure learn patterns refunds$",
        r"^ +runs +10 of 10 explained",
        r"10 verified runs looked at: refund version 1 is new$",
        r"^ +kind +deployment: a learned capability goes into service$",
        r"^ +what +deploy refund version 1: it looks on, and changes nothing; after",
        r"^ +changes +refund$",
        r"^ +checks +order / id is order id$",
        r"^ +order / status is delivered$",
        r"^ +“Please refund my order R-\d{4}\.”$",
        r"^ +tested +10 of 10 runs, each by a program learned from the others: the",
        r"^ +bound to +(\w{64})$",
        r"^ +elsewhere +tenure learn approve refund --version 1$",
        r"^ +refund\(amount=order\['total'\], order=order_id\)$",
        r"^stage validated → shadow$",
        r"9 runs, by Claude: \$0\.01\d\d$",
        r"(\d+) runs counted, 0 of them wrong \(\d+ clean ones promote it\); 0 were",
        r"^stage shadow → canary$",
        r"9 runs, \d by Claude, \d without: \$0\.0\d\d\d, \$0\.0\d\d\d saved$",
        r"(34) runs counted, 0 of them wrong \(34 clean ones promote it\)",
        r"^ +what +promote refund version 1: it makes the turns of every run",
        r"^ +bound to +(\w{64})$",
        r"^ +why +promote refund version 1: 34 runs, 0 of them wrong",
        r"^stage canary → promoted$",
        r"1 run, 0 by Claude, 1 without: \$0\.0000, \$0\.00\d\d saved$",
        r"^ +agent +\d\d dollars for R-\d{4} are on their way\.$",
        r"^7  An order that is not like the others$",
        r"1 run, by Claude: \$0\.000\d$",
        r"^8  Something breaks: the payment provider is down +tenure learn rollback refund$",
        r"9 runs, by Claude: \$0\.00\d\d$",
        r"^stage promoted → rolled back$",
        r"^ +\d of the \d+ runs given to it failed",
        r"^ +agent +\d\d dollars for R-\d{4} are on their way\.$",
        r"^ +stage +rolled back, serves nobody: \d of the",
        r" version 1 shadow: approved by operator$",
        r" version 1 promoted: approved by operator$",
        r"no process stays\.$",
    )
    digests = [match[1] for match in found if match.re.groups and len(match[1]) == 64]
    assert len(digests) == 2
    assert len(set(digests)) == 1, "what is promoted is what was let into the shadow"
    assert [line for line in told.stdout.splitlines() if len(line) > 80] == []
    assert "\x1b" not in told.stdout
    assert processes_of(tmp_path) == []
    assert [list((tmp_path / "tmp").iterdir()), (tmp_path / "home").exists()] == [[], False]


@pytest.mark.timeout(SECONDS)
def test_who_stops_it_leaves_no_process_and_no_file(tmp_path: Path, inside: dict[str, str]) -> None:
    with (tmp_path / "said").open("w") as said:
        demo = subprocess.Popen(
            COMMAND, cwd=tmp_path, env=inside, stdout=said, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            _until(tmp_path / "said", r"10 runs, by Claude")
            os.killpg(demo.pid, signal.SIGINT)  # as a terminal does: the server hears it too
            assert demo.wait(SECONDS) == 128 + signal.SIGINT
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
