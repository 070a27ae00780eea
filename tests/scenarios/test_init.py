"""`tenure init`: the folder it makes works as it says, at once and as typed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tenure.cli import main
from tenure.cli.init import FILES
from tenure.runtime import registry
from tenure.testing.scripted_claude import ScriptedClaude
from tests.scenarios.test_dev import Dev


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    # What `--agents agent.py` leaves in this process is put back afterwards: its folder on the path, its module.
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setitem(sys.modules, "agent", None)
    return tmp_path


def inside(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def init(*words: str) -> Result:
    return CliRunner(env={"COLUMNS": "80"}).invoke(main, ["init", *words])


def passes(folder: Path, *options: str) -> str:
    """What pytest says of the folder, as the command of that name: without the folder on the path."""
    command = [str(Path(sys.executable).parent / "pytest"), "-p", "no:cacheprovider", *options]
    told = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=90, check=False)
    assert told.returncode == 0, told.stdout + told.stderr
    return told.stdout


def test_it_says_what_it_made_and_what_comes_next(here: Path) -> None:
    told = init("my-agent")
    assert (told.exit_code, told.stderr) == (0, "")
    assert told.stdout.startswith("made my-agent/\n")
    assert told.stdout.endswith("next\n  cd my-agent && pytest\n  tenure dev --agents agent.py\n")
    assert all(len(line) <= 80 for line in told.stdout.splitlines())
    assert inside(here / "my-agent") == sorted(FILES)
    assert len((here / "my-agent" / "agent.py").read_text().splitlines()) <= 30
    assert len((here / "my-agent" / "README.md").read_text().splitlines()) == 5
    assert ".tenure/\n" in (here / "my-agent" / ".gitignore").read_text()


def test_it_prints_one_json_document(here: Path) -> None:
    told = json.loads(init("my-agent", "--json").stdout)
    assert (told["agent"], told["folder"], told["files"]) == ("my-agent", str(here / "my-agent"), list(FILES))
    assert told["next"][0] == "cd my-agent && pytest"


def test_the_test_it_makes_needs_nothing_but_pytest(here: Path) -> None:
    init("my-agent")
    assert "1 passed" in passes(here / "my-agent", "-p", "no:asyncio", "-p", "no:xdist", "-W", "error")


def test_the_test_it_makes_passes_in_a_repository_with_rules_of_its_own(here: Path) -> None:
    (here / "pytest.ini").write_text(
        "[pytest]\naddopts = --import-mode=importlib --strict-config\nno_such_option = 1\n"
    )
    init("my-agent")
    assert "1 passed" in passes(
        here / "my-agent", "--import-mode=importlib", "-o", "asyncio_default_fixture_loop_scope=function"
    )


@pytest.mark.parametrize("name", ["0", "class", "3d-printer", "a.b_c-d", "tenure", "x" * 63])
def test_every_name_an_agent_may_have_makes_a_module_that_works(here: Path, name: str) -> None:
    assert init(name).exit_code == 0
    (agent,) = registry.load(str(here / name / "agent.py"))
    assert agent.name == name
    assert {tool.name: tool.effect.value for tool in agent.tools} == {"list_tasks": "read", "close_task": "write"}


@pytest.mark.parametrize("name", ["My-Agent", "../up", "a/b", "", ".hidden", "x" * 64, "ä", "a\n"])
def test_a_name_no_agent_may_have_is_refused(here: Path, name: str) -> None:
    told = init(name)
    assert (told.exit_code, told.stderr.count("\n")) == (2, 1)
    assert f"agent name {name!r}: must match" in told.stderr
    assert inside(here) == []


def test_nothing_that_is_there_is_overwritten(here: Path) -> None:
    (here / "mine").mkdir()
    (here / "mine" / "agent.py").write_text("precious")
    told = init("mine")
    assert told.exit_code == 2
    assert "mine/agent.py exists and is not overwritten: choose another name, or move it away" in told.stderr
    assert inside(here / "mine") == ["agent.py"]
    (here / "file").write_text("precious")
    assert "'file' is a file here: choose another name" in init("file").stderr
    (here / "dangling").symlink_to(here / "nowhere" / "at all")
    assert init("dangling").exit_code == 2


def test_a_folder_with_other_things_in_it_is_welcome(here: Path) -> None:
    (here / "mine").mkdir()
    (here / "mine" / "notes.txt").write_text("kept")
    assert init("mine").exit_code == 0
    assert (here / "mine" / "notes.txt").read_text() == "kept"


@pytest.mark.skipif(sys.platform != "linux", reason="Dev looks into /proc")
async def test_what_its_readme_says_works_as_typed(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    init("my-agent")
    typed = (here / "my-agent" / "README.md").read_text()
    assert 'tenure run my-agent "The October invoice is out."' in typed
    assert "`tenure dev --agents agent.py`" in typed
    (agent,) = registry.load("my-agent/agent.py")
    dev = Dev(here / "my-agent")
    with ScriptedClaude("pong") as claude:
        try:
            await dev.up("--agents", "agent.py")  # without a key, its own script plays Claude
            told = await dev.type("run", "my-agent", "The October invoice is out.")
            assert (told.returncode, told.stdout) == (0, "The October invoice is sent: I closed t1.\n")
            monkeypatch.setenv("ANTHROPIC_BASE_URL", claude.base_url)
            doctor = await dev.type("doctor", "--agents", "agent.py")
            assert (doctor.returncode, doctor.stdout.endswith("all is well\n")) == (0, True), doctor.stdout
            assert f"my-agent@{agent.fingerprint[:8]}, exactly as a worker serves it" in doctor.stdout
        finally:
            assert dev.end(signal.SIGINT) == 0
