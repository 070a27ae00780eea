"""What tests stand on, ours and users' alike: a whole Tenure in one block, and a Claude that answers by a script."""

from tenure.testing.embedded import Embedded, embedded
from tenure.testing.scripted_claude import ScriptedClaude

__all__ = ["Embedded", "ScriptedClaude", "embedded"]
