"""Somebody at a terminal, for tests of commands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from tenure.cli import main

Tenure = Callable[..., Any]


def at(home: Path, address: str = "127.0.0.1:1", **more: str) -> Tenure:
    """Somebody at a terminal; a thread, because each command has an event loop of its own."""
    env = {"TENURE_HOME": str(home), "TEMPORAL_ADDRESS": address, "COLUMNS": "80", **more}

    async def typed(*words: str) -> Result:
        return await asyncio.to_thread(CliRunner(env=env).invoke, main, list(words))

    return typed
