"""The README's code is run as it stands, block after block, as a reader would type it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"


def test_the_readme_s_python_runs_as_it_stands(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(blocks) == 6
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


def test_every_command_the_readme_names_exists() -> None:
    from tenure.cli import main

    named = set(re.findall(r"^tenure ([a-z]+)", README.read_text(), re.MULTILINE))
    assert named
    assert named <= set(main.commands)
