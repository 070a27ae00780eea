"""The terminal: whatever is written to it, wherever that comes from, is shown as it is and changes nothing around it."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text


class Terminal(Console):
    """A console on which no text moves the cursor: the one place through which all text passes on its way there."""

    def render_str(self, text: str, **options: Any) -> Text:  # Any: rich's own
        """A text as rich shows it, with nothing in it that acts on a terminal."""
        return super().render_str(plain(text), **options)


def plain(text: str) -> str:
    """A text that a terminal shows as it is: what would move the cursor, turn the line round or show nothing is spelled out.

    Whoever writes what people are asked about must not be able to change what they see.
    """
    if text.isprintable():
        return text
    shown = (sign if sign.isprintable() or sign in "\n\t" else sign.encode("unicode_escape").decode() for sign in text)
    return "".join(shown)
