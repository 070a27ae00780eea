"""`python tests/check_lengths.py`: no Python file of ours is above 400 lines."""

from __future__ import annotations

import sys
from pathlib import Path

LONGEST = 400
SKIPPED = {".venv", ".git", "node_modules", "build", "dist"}


def main() -> int:
    """Name every file that is too long; 1 if there is one."""
    root = Path(__file__).resolve().parent.parent
    found = 0
    for path in sorted(root.rglob("*.py")):
        inside = path.relative_to(root)
        if SKIPPED.intersection(inside.parts) or path.is_symlink():
            continue
        lines = len(path.read_text().splitlines())
        if lines > LONGEST:
            found += 1
            print(f"{inside}: {lines} lines, at most {LONGEST}: split it by idea")
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())
