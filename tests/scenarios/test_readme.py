"""The README's code is run as it stands, block after block, as a reader would type it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"


def test_the_readme_s_python_runs_as_it_stands(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(blocks) == 7
    script = tmp_path / "my_agents.py"
    script.write_text("\n\n".join(blocks))
    ended = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "Your ticket is resolved.\nanswered 3 0.00" in ended.stdout
    assert "['get_tickets', 'update_ticket']" in ended.stdout


def test_what_the_readme_installs_is_not_asked_of_an_index_that_does_not_have_it() -> None:
    installed = re.findall(r"pip install (.*)", README.read_text())
    assert installed
    assert not [line for line in installed if line.lstrip("'").startswith("tenure")]


def test_what_make_puts_in_place_of_an_installation_is_known_to_pip_file_by_file(tmp_path: Path) -> None:
    link = re.search(r"define LINK\n(.*?)endef", (README.parent / "Makefile").read_text(), re.DOTALL)
    assert link is not None
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "v")], check=True)
    look = "from importlib.metadata import distribution as d; print(all(f.locate().exists() for f in d('tenure').files or [0]))"
    python = str(tmp_path / "v" / "bin" / "python")
    subprocess.run([python, "-c", link[1]], cwd=tmp_path, check=True)
    told = subprocess.run(
        [python, "-I", "-c", f"{look}; print(len(d('tenure').files))"], capture_output=True, text=True, check=True
    )
    assert told.stdout.split() == ["True", "5"]


def test_every_command_the_readme_names_exists() -> None:
    from tenure.cli import main

    named = set(re.findall(r"^tenure ([a-z]+)", README.read_text(), re.MULTILINE))
    assert named
    assert named <= set(main.commands)
