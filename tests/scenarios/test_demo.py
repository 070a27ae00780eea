"""`tenure demo`, as a newcomer runs it: in an empty folder, without a key, with a terminal and without one."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import sqlite3
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path

import pytest

SECONDS = 60.0
DEMO = [sys.executable, "-m", "tenure.cli", "demo"]
README = Path(__file__).parents[2] / "README.md"
QUESTION = r"Approve\? y or n: $"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


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


def stored(home: Path, query: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(home / "tenure.db") as db:
        return db.execute(query).fetchall()


EFFECTS = "SELECT tool, status, generation, request FROM effects"
REQUESTS = "SELECT id, choice, principal FROM requests"


class Terminal:
    """A terminal of 80 columns in which the demo runs, and all it has said there."""

    def __init__(self, folder: Path) -> None:
        self.home, self.said = folder / ".tenure", ""
        self._read = 0  # of what was said, how much somebody has waited for
        self._screen, inside = pty.openpty()
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
        env = {**os.environ, "TENURE_HOME": str(self.home), "TERM": "xterm"}
        env.pop("COLUMNS", None)
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *DEMO], cwd=folder, env=env, stdin=inside, stdout=inside, stderr=inside
        )
        os.close(inside)

    def until(self, words: str, within: float = SECONDS) -> re.Match[str]:
        """Wait until it says what the pattern means, after what was waited for before."""
        deadline = time.monotonic() + within
        while True:
            found = re.compile(words).search(self.said, self._read)
            if found:
                self._read = found.end()
                return found
            assert time.monotonic() < deadline and self._listen(), f"{words!r} was not said: {self.said}"

    def type(self, keys: str) -> None:
        os.write(self._screen, keys.encode())

    def end(self) -> int:
        """Wait for the end; its exit code."""
        while self._listen():
            pass
        return self.process.wait(SECONDS)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.end()
        os.close(self._screen)

    def _listen(self) -> bool:
        """Whether there may be more."""
        ready, _, _ = select.select([self._screen], [], [], SECONDS)
        with suppress(OSError):  # nobody has the terminal open any more
            heard = os.read(self._screen, 65536) if ready else b""
            self.said += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", heard.decode(errors="replace")).replace("\r\n", "\n")
            return bool(heard)
        return False


@pytest.fixture
def terminal(tmp_path: Path) -> Generator[Terminal]:
    made = Terminal(tmp_path)
    yield made
    made.close()
    assert processes_of(made.home) == []


def words(said: str) -> str:
    """What was said without what differs from run to run: ids, times, prices, and where lines are broken."""
    same = re.sub(r"req-\w{16}|\b[0-9a-f]{64}\b|effect \w{8}…", "", said)
    return " ".join(re.sub(r"\$?\d[\d,.:-]*( s\b)?", "", same).split())


def in_order(said: str, *patterns: str) -> list[re.Match[str]]:
    """Where each pattern is found, each after the one before."""
    found: list[re.Match[str]] = []
    for pattern in patterns:
        match = re.compile(pattern, re.MULTILINE).search(said, found[-1].end() if found else 0)
        assert match, f"{pattern!r} is not there, or not in this place: {said}"
        found.append(match)
    return found


def test_without_a_terminal_the_second_key_approves_what_outlived_the_kill(tmp_path: Path) -> None:
    home = tmp_path / ".tenure"
    env = {**os.environ, "TENURE_HOME": str(home), "COLUMNS": "80"}
    began = time.monotonic()
    silent, kept_open = os.pipe()  # a stdin on which nothing ever comes, and which does not end
    try:
        told = subprocess.run(
            DEMO, cwd=tmp_path, env=env, stdin=silent, capture_output=True, text=True, check=False, timeout=SECONDS
        )
    finally:
        os.close(silent)
        os.close(kept_open)
    took, said = time.monotonic() - began, told.stdout
    assert (told.returncode, told.stderr) == (0, "")
    assert took < SECONDS
    found = in_order(
        said,
        "scripted stand-in",
        r"^ +what +update_ticket\(ticket_id=\"T-2001\", status=\"resolved\"\), effect$",
        r"^ +why held +update_ticket needs level 0.5, and the agent has 0.3$",
        r"^ +asks +support for alice, tenant default$",
        r"^ +record +its first run in this store; no runs judged yet$",
        r"^ +so far +3 turns, [\d,]+ tokens, \$0\.\d{4}$",
        r"^ +until +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d, in 60 min; then it counts as denied, and the$",
        r"^ +request +(req-\w{16})$",
        r"^ +elsewhere +tenure approve (req-\w{16})$",
        r"worker killed \(SIGKILL, pid (\d+)\) while the request is pending$",
        r"worker started again \(pid (\d+)\)$",
        r"still pending, says the new worker: (req-\w{16})$",
        r"^There is no terminal to ask on: the second local key, `reviewer`, says approve\.$",
        "INV-3320",
        r"^ +asked +(req-\w{16}): approve by reviewer",
        r"^ +(\w{64})$",
        r"^ +effect +update_ticket: started once, done",
        r"approved in (req-\w{16})$",
        r"^http://localhost:\d+/namespaces/default/workflows/default:run:support:\w{26}$",
        "`make dev`",
        "ANTHROPIC_API_KEY=sk-ant-",
    )
    ids = {match[1] for match in found if match.re.groups and match[1].startswith("req-")}
    pids = [match[1] for match in found if match.re.groups and match[1].isdigit() and len(match[1]) < 16]
    (digest,) = (match[1] for match in found if match.re.groups and len(match[1]) == 64)
    assert ids == {f"req-{digest[:16]}"}
    assert len(set(pids)) == 2
    assert [line for line in said.splitlines() if len(line) > 80 and "http" not in line] == []
    assert "\x1b" not in said
    (sample,) = re.findall(r"^```text\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)
    assert words(sample) in words(said)
    (request,) = ids
    assert stored(home, EFFECTS) == [("update_ticket", "done", 1, request)]
    assert stored(home, REQUESTS) == [(request, "approve", "reviewer")]
    assert processes_of(home) == []


def test_on_a_terminal_nothing_is_approved_before_a_person_has_read_and_says_so(terminal: Terminal) -> None:
    terminal.until("A person is asked")
    terminal.type("y\n")  # before there is a question: it is no answer
    terminal.until(QUESTION)
    terminal.type("\n")
    terminal.until(QUESTION)
    (asked,) = stored(terminal.home, REQUESTS)
    assert asked[1:] == (None, None)
    assert stored(terminal.home, EFFECTS) == []
    terminal.type("y\n")
    terminal.until("update_ticket: started once, done")
    assert terminal.end() == 0
    assert stored(terminal.home, EFFECTS) == [("update_ticket", "done", 1, asked[0])]
    assert stored(terminal.home, REQUESTS) == [(asked[0], "approve", "operator")]


def test_a_person_who_denies_says_why_and_nothing_is_done(terminal: Terminal) -> None:
    terminal.until(QUESTION)
    terminal.type("n\n")
    terminal.until(r"Why\? Claude reads it: $")
    terminal.type("billing is looking into it\n")
    terminal.until(r"update_ticket: denied by operator. billing is")
    terminal.until("A colleague wants to keep ticket")
    terminal.until("“billing is looking into it”")
    terminal.until("none: nothing was started")
    assert terminal.end() == 0
    assert stored(terminal.home, EFFECTS) == []


def test_an_answer_from_another_terminal_ends_the_question(terminal: Terminal) -> None:
    request = terminal.until(r"tenure approve (req-\w{16})")[1]
    terminal.until(QUESTION)
    command = [sys.executable, "-m", "tenure.cli", "approve", request]
    env = {**os.environ, "TENURE_HOME": str(terminal.home)}
    told = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=SECONDS)
    assert told.returncode == 0, told.stderr
    terminal.until("It was answered from elsewhere.")
    terminal.until(f"approved in {request}")
    assert terminal.end() == 0


@pytest.mark.parametrize("key", ["\x03", "\x04"], ids=["Ctrl-C", "Ctrl-D"])
def test_who_leaves_at_the_question_leaves_the_request_open_and_no_process(key: str, terminal: Terminal) -> None:
    terminal.until(QUESTION)
    terminal.type(key)
    terminal.until("Nobody answered, so the run waits on")
    assert terminal.end() == 130
    assert [row[1:] for row in stored(terminal.home, REQUESTS)] == [(None, None)]
    assert stored(terminal.home, EFFECTS) == []


@pytest.mark.parametrize("stdin", ["<&-", "</dev/null", "< pipe"])
def test_where_stdin_is_no_terminal_nobody_is_asked(stdin: str) -> None:
    told = "from tenure.cli.question import attended; print(attended())"
    before = "sleep 0 |" if stdin == "< pipe" else ""
    after = "" if before else stdin
    ended = subprocess.run(
        ["sh", "-c", f'{before} "{sys.executable}" -c "{told}" {after}'],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert (ended.stdout, ended.stderr) == ("False\n", "")
