"""`tenure dev`: a whole Tenure in a folder, which mends itself and leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tenure.runtime import running
from tests.waiting import eventually


class Dev:
    """A folder in which `tenure dev` runs as a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / ".tenure"
        self.log = folder / "dev.log"
        self.process: subprocess.Popen[bytes] | None = None

    async def up(self, *words: str) -> None:
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(  # noqa: ASYNC220  # its end is waited for where nothing else runs
                self._command("dev", *words), cwd=self.folder, env=self._env(), stdout=log, stderr=log
            )
        await self.says("tenure runs | show RUN")  # the last line of the greeting

    async def says(self, words: str, times: int = 1) -> None:
        async def look() -> bool:
            return self.log.read_text().count(words) >= times

        await eventually(look, within=40)

    async def type(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Type a command in another terminal: the same folder, and no setting at all."""
        return await asyncio.to_thread(
            subprocess.run, self._command(*words), cwd=self.folder, env=self._env(), capture_output=True, text=True
        )

    async def asked(self) -> str:
        """The id of the request that is open, if one is."""
        opened = json.loads((await self.type("pending", "--json")).stdout)
        return opened[0]["id"] if opened else ""

    def worker(self) -> int:
        """The worker's pid; the server is the other process."""
        (pid,) = [pid for pid in self.pids() if b"tenure.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        return pid

    def pids(self) -> list[int]:
        told = running.read(self.home)
        return [int(pid) for pid in told.processes] if told else []

    def end(self, number: int) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(20)

    def _command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "tenure.cli", *words]

    def _env(self) -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if not name.startswith(("TEMPORAL_", "TENURE_"))}


@pytest.fixture
def dev(tmp_path: Path) -> Any:
    made = Dev(tmp_path)
    yield made
    for pid in [*made.pids(), *([made.process.pid] if made.process and made.process.poll() is None else [])]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if made.process:
        made.process.wait()


def living(pids: list[int]) -> list[int]:
    """Those that have not ended."""
    return [pid for pid in pids if running.born(pid)]


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
async def test_dev_serves_the_folder_mends_its_worker_and_leaves_nothing(dev: Dev) -> None:
    await dev.up()
    assert "scripted stand-in" in dev.log.read_text()
    again = await dev.type("dev")
    assert again.returncode == 2
    assert f"`tenure dev` runs in {dev.home} already" in again.stderr
    worker, pids = dev.worker(), dev.pids()
    os.kill(worker, signal.SIGKILL)
    await dev.says(f"worker {worker} ended (exit code -9)")
    await dev.says("ready on task queue", times=2)
    pids += dev.pids()
    running = asyncio.create_task(dev.type("run", "support", "Hi, I'm alice@example.com."))
    assert (await dev.type("approve", await eventually(dev.asked, within=40))).returncode == 0
    told = await running
    assert (told.returncode, "INV-3320" in told.stdout) == (0, True)
    assert (await dev.type("runs")).stdout.count("completed") == 1
    assert dev.end(signal.SIGINT) == 0
    assert living(pids) == []
    assert "completed" in (await dev.type("runs")).stdout  # the store tells without a server


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
async def test_a_dev_that_was_killed_is_cleaned_up_by_the_next_one(dev: Dev) -> None:
    await dev.up()
    left = dev.pids()
    dev.end(signal.SIGKILL)
    assert len(living(left)) == 2
    await dev.up()
    assert living(left) == []
    assert dev.end(signal.SIGTERM) == 0


async def test_dev_says_what_keeps_the_worker_from_serving(dev: Dev) -> None:
    told = await dev.type("dev", "--agents", "no_such_module")
    assert told.returncode == 2
    assert "--agents no_such_module: the module cannot be imported" in told.stderr
    assert "Traceback" not in told.stderr
    assert not (dev.home / running.FILE).exists()


SCRIPTED = "from tenure import Agent\n{0} = Agent(name='{0}'{1})\nscript = ['I am {0}.']\n"


def tried(dev: Dev, *words: str) -> subprocess.CompletedProcess[str]:
    """A `tenure dev` that does not come up."""
    return subprocess.run(
        [sys.executable, "-m", "tenure.cli", "dev", *words],
        cwd=dev.folder, env={**dev._env(), "ANTHROPIC_API_KEY": ""}, capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip


def test_a_worker_that_cannot_serve_is_quoted_with_its_reason_and_does_not_crash(dev: Dev) -> None:
    (dev.folder / "dear.py").write_text(SCRIPTED.format("dear", ", model='a-model-without-a-price'"))
    ended = tried(dev, "--agents", "dear")
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1].startswith("tenure: the worker did not start: ConfigError: ")
    assert "a-model-without-a-price" in ended.stderr.splitlines()[-1]
    assert "Fatal Python error" not in ended.stdout + ended.stderr


def test_two_modules_that_both_have_a_script_are_named(dev: Dev) -> None:
    for name in ("one", "two"):
        (dev.folder / f"{name}.py").write_text(SCRIPTED.format(name, ""))
    ended = tried(dev, "--agents", "one", "--agents", "two")
    assert ended.returncode == 2
    assert "there is no key, and one and two each have a `script`: a stand-in plays one" in ended.stderr
