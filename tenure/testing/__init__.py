"""What tests stand on, ours and users' alike: a whole Tenure in one block, and a Claude that answers by a script."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tenure.testing.embedded_system import Embedded, embedded
    from tenure.testing.scripted_claude import ScriptedClaude

__all__ = ["Embedded", "ScriptedClaude", "embedded"]
_HOME = {"Embedded": "embedded_system", "embedded": "embedded_system", "ScriptedClaude": "scripted_claude"}


def __getattr__(name: str) -> object:
    """Names are resolved on first use: a stand-in in a process of its own must not import all of Tenure."""
    if name not in _HOME:
        raise AttributeError(f"module 'tenure.testing' has no attribute {name!r}")
    return getattr(importlib.import_module(f"tenure.testing.{_HOME[name]}"), name)
